"""Images of users' own: folders of a class each, prepared once into maps."""
