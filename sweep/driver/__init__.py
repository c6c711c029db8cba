"""The driver: what is missing of a grid, handed to Ray Tune in packs. ``cluster``, ``search`` and ``run`` see Ray."""
