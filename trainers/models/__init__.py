"""Networks, a module each: plain functions from (shape, classes) to a torch module with fresh random weights."""
