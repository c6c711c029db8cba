"""Labelled images with their split: what a data set of images loads as, how it is split and digested."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from trainers.streams import permutation

#: The split belongs to the data set (design 3.1): one fixed stream, never the trial's seed.
SPLIT_SEED = 0

#: What a byte of a pixel is at its brightest.
BRIGHTEST = 255

Pixels = npt.NDArray[np.float32] | npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Images:
    """Images [N, channels, height, width] and their classes int64 [N]; every array is read-only.

    Images are float32 in [0, 1], or uint8 from 0 to 255, possibly mapped from a file that all processes of a machine
    share; :func:`pixels` makes either the same. Gather what is needed first: a map is not to be copied whole.
    """

    train_images: Pixels
    train_labels: npt.NDArray[np.int64]
    test_images: Pixels
    test_labels: npt.NDArray[np.int64]
    classes: int

    def __post_init__(self) -> None:
        for array in self.arrays():
            array.flags.writeable = False

    def arrays(self) -> tuple[Pixels | npt.NDArray[np.int64], ...]:
        """Train images, train labels, test images, test labels."""
        return self.train_images, self.train_labels, self.test_images, self.test_labels


def pixels(part: Pixels) -> npt.NDArray[np.float32]:
    """``part`` of a data set's images as float32 in [0, 1], same shape; bytes are divided by 255.

    Float images come back as they are; bytes are copied, so hand over a part, not the whole.

    Raises:
        TypeError: it is neither float32 nor uint8.
    """
    if part.dtype == np.float32:
        return cast("npt.NDArray[np.float32]", part)
    if part.dtype == np.uint8:
        shades: npt.NDArray[np.float32] = np.divide(np.asarray(part), np.float32(BRIGHTEST), dtype=np.float32)
        return shades
    raise TypeError(f"images are {part.dtype}; float32 in [0, 1] and uint8 are allowed")


def split(name: str, images: Pixels, labels: npt.NDArray[np.int64], test: int, classes: int) -> Images:
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
