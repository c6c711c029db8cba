"""Submitting sweeps to Ray clusters. Imported by ``sweep.cli`` only, inside functions."""
