"""The 5,000 images of ``mnist5k`` at 16 x 16 pixels, for generators that train on a CPU. The same split."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.datasets.images import BRIGHTEST, Images, content_digest, pixels
from trainers.datasets.mnist5k import CARRIED
from trainers.datasets.mnist5k import DATASET as FULL

SIDE = 16


def load(root: Path | None = None) -> Images:
    """The data set, the same arrays at each call; ``root`` is not read.

    Raises:
        DataMissingError: the file is not in the installed package, or is damaged.
    """
    return _load()


def digest(root: Path | None = None) -> str:
    """SHA-256 of the content as loaded, 64 hex digits; ``root`` is not read.

    Raises:
        DataMissingError: as :func:`load`.
    """
    return _digest()


def area_averaged(images: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """Images [N, C, H, W] of whole shades over 255 in [0, 1], as [N, C, side, side], float32.

    Each pixel is the mean of the area that it covers, H / side x W / side old pixels, those at its edges by their
    share. In whole numbers until the last division, so that every machine gets the same bits.
    """
    shades = np.rint(images * np.float32(BRIGHTEST)).astype(np.int64)
    rows, columns = (_overlaps(length, side) for length in images.shape[2:])
    summed = rows @ shades @ columns.T
    covered = int(rows[0].sum()) * int(columns[0].sum())
    averaged: npt.NDArray[np.float32] = (summed / (covered * BRIGHTEST)).astype(np.float32)
    return averaged


def _overlaps(length: int, side: int) -> npt.NDArray[np.int64]:
    """How much of old pixel j lies in new pixel i, in 1 / side of an old one; [side, length]."""
    new, old = np.arange(side)[:, None], np.arange(length)[None, :]
    # An old pixel is `side` units long and a new one `length`: both lines are side x length units.
    ends = np.minimum((new + 1) * length, (old + 1) * side)
    overlaps: npt.NDArray[np.int64] = np.maximum(ends - np.maximum(new * length, old * side), 0).astype(np.int64)
    return overlaps


@cache
def _load() -> Images:
    full = CARRIED.load()
    train, test = (area_averaged(pixels(part), SIDE) for part in (full.train_images, full.test_images))
    return Images(train, full.train_labels, test, full.test_labels, full.classes)


@cache
def _digest() -> str:
    return content_digest(_load())


DATASET = replace(
    FULL,
    name="mnist5k16",
    about="the 5,000 digits of mnist5k at 16 x 16 pixels, each the mean of what it covers, with the same split",
    shape=(1, SIDE, SIDE),
    load=load,
    digest=digest,
)
