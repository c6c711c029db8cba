"""Noise on targets: the laws by which a target becomes wrong, and their application to a stream of targets."""
