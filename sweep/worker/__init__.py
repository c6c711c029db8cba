"""What runs in a worker process: packs of trials, each leased, trained, measured and published on its own."""
