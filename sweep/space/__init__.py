"""Grid files: YAML in, fully resolved trials out."""

from sweep.space.resolve import load_space

__all__ = ["load_space"]
