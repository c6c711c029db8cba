"""The 1,797 handwritten digits of 8 x 8 pixels (UCI optical recognition of handwritten digits, test part)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from trainers.datasets.images import Images, content_digest, packaged, read_table, split
from trainers.protocol import Dataset

NAME = "digits"
CLASSES = 10
SHAPE = (1, 8, 8)
TRAIN, TEST = 1437, 360
BRIGHTEST = 16  # a pixel counts the set dots of a 4 x 4 block
OBTAIN = "install scikit-learn 1.5 or later, whose wheel carries it (pip install scikit-learn)"


def file() -> Path | None:
    """The file inside scikit-learn; importing that package would take a second."""
    return packaged("sklearn", "datasets/data/digits.csv.gz")


def load(root: Path | None = None) -> Images:
    """The data set as :class:`Images`, the same arrays at each call; ``root`` is not read.

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


def present(root: Path | None = None) -> bool:
    """Whether the installed package carries the file; ``root`` is not read."""
    return file() is not None


@cache
def _load() -> Images:
    table = read_table(NAME, file(), (TRAIN + TEST, 8 * 8 + 1), OBTAIN)
    images = table[:, :-1].reshape(-1, *SHAPE).astype(np.float32) / np.float32(BRIGHTEST)
    return split(NAME, images, table[:, -1].astype(np.int64), TEST, CLASSES)


@cache
def _digest() -> str:
    return content_digest(_load())


DATASET = Dataset(
    name=NAME,
    version="1",
    kind="images",
    about="1,797 handwritten digits of 8 x 8 pixels in 10 classes, 1,437 to train on and 360 to test on",
    classes=CLASSES,
    shape=SHAPE,
    train_size=TRAIN,
    test_size=TEST,
    load=load,
    digest=digest,
    present=present,
    obtain=OBTAIN,
    source="UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), CC BY 4.0, as in scikit-learn",
)
