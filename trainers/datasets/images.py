"""Labelled images with their split, and what the data sets of images share: reading, splitting, digesting."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.errors import DataMissingError
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


def packaged(package: str, path: str) -> Path | None:
    """A file inside an installed package, found without importing it; None where package or file is missing."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, path)
        if file.is_file():
            return file
    return None


def read_table(name: str, file: Path | None, shape: tuple[int, int], obtain: str) -> npt.NDArray[np.int16]:
    """Rows of a gzipped CSV of whole numbers from 0 to 999, ``shape`` = (rows, columns).

    Raises:
        DataMissingError: the file is missing, damaged, or holds other than ``shape`` numbers.
    """
    if file is None:
        raise DataMissingError(f"data set {name!r} is not on this machine: {obtain}")
    try:
        values = _whole_numbers(gzip.decompress(file.read_bytes()), shape)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataMissingError(
            f"data set {name!r} cannot be read from {file}: {error}. To repair it, {obtain}"
        ) from error
    return values


def _whole_numbers(text: bytes, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
    # Four million numbers of up to three digits, read by place value: some ten times as fast as a general parser.
    rows, columns = shape
    signs = np.frombuffer(b"\n\n\n" + text.rstrip() + b"\n", dtype=np.uint8)
    digits = signs - np.uint8(ord("0"))  # what lies below "0" wraps round to more than 9
    ends = np.flatnonzero(digits > 9)[2:]  # the padding lets three places be read before the first number
    starts, ends = ends[:-1], ends[1:]
    if len(ends) != rows * columns:
        raise ValueError(f"{len(ends)} numbers are there, {rows} rows of {columns} are due")
    separators = np.full(shape, ord(","), dtype=np.uint8)
    separators[:, -1] = ord("\n")
    lengths = ends - starts - 1
    if not np.array_equal(signs[ends], separators.reshape(-1)) or lengths.min() < 1 or lengths.max() > 3:
        raise ValueError(f"it is no table of {rows} rows of {columns} whole numbers from 0 to 999")
    values = digits[ends - 1].astype(np.int16)
    two = np.flatnonzero(lengths > 1)
    values[two] += digits[ends[two] - 2] * np.int16(10)
    three = two[lengths[two] > 2]
    values[three] += digits[ends[three] - 3] * np.int16(100)
    return values.reshape(shape)
