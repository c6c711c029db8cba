"""Class-conditional diffusion: images from labels, noise on the labels (paper, section 3.4). Imports no torch."""
