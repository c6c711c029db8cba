"""The driver: what is missing of a grid, handed to Ray Tune in packs. Only ``cluster``, ``search`` and ``run`` see Ray."""
