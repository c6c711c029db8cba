"""Labelled images with their split: what a data set of images loads as, how it is split and digested."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.streams import permutation

#: The split belongs to the data set (design 3.1): one fixed stream, never the trial's seed.
SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Images:
    """Images float32 [N, channels, height, width] in [0, 1] and their classes int64 [N]; every array is read-only."""

    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]
    classes: int

    def __post_init__(self) -> None:
        for array in self.arrays():
            array.flags.writeable = False

    def arrays(self) -> tuple[npt.NDArray[np.float32] | npt.NDArray[np.int64], ...]:
        """Train images, train labels, test images, test labels."""
        return self.train_images, self.train_labels, self.test_images, self.test_labels


def split(name: str, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], test: int, classes: int) -> Images:
    """Set ``test`` examples aside, as many of each class as its share, both parts shuffled.

    ``name`` keys the draw. What rounding leaves over goes to the classes with the largest remainders.
    """
    counts = np.bincount(labels, minlength=classes)
    shares, remainders = np.divmod(counts * test, len(labels))
    shares[np.argsort(-remainders, kind="stable")[: test - int(shares.sum())]] += 1
    drawn = permutation(SPLIT_SEED, f"split/{name}", len(labels))
    aside = np.zeros(len(labels), dtype=bool)
    for label in range(classes):
        aside[drawn[labels[drawn] == label][: shares[label]]] = True
    # In another order than that of the draw, which has the classes that filled their share first at its head.
    shuffled = permutation(SPLIT_SEED, f"shuffle/{name}", len(labels))
    kept, held = shuffled[~aside[shuffled]], shuffled[aside[shuffled]]
    return Images(images[kept], labels[kept], images[held], labels[held], classes)


def content_digest(images: Images) -> str:
    """SHA-256 of the content as loaded: the classes, then kind, shape and little-endian bytes of each array."""
    digest = hashlib.sha256(f"classes {images.classes}".encode())
    for array in images.arrays():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"\n{little.dtype.str} {little.shape}\n".encode())
        digest.update(little.data)
    return digest.hexdigest()
