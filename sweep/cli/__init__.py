"""The command line: ``sweep``. A module is a few commands; ``main`` gathers them and turns errors into exit codes."""
