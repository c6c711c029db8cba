"""Images on disk: a folder's files, the record that describes them, and how all processes of a machine map them.

train_images.npy, test_images.npy   uint8 [N, channels, height, width]
train_labels.npy, test_labels.npy   int64 [N], little-endian
images.json                         the record: classes, shape, sizes, digest of the content, source
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from trainers.datasets import record as records
from trainers.datasets.durable import sync_folder, write_durably
from trainers.datasets.images import Images, content_digest
from trainers.errors import DataMissingError

FORMAT = "noisegrid images"
VERSION = 1
RECORD = "images.json"
PARTS = ("train", "test")
FILES = tuple(f"{part}_{kind}.npy" for part in PARTS for kind in ("images", "labels"))
LABELS = np.dtype("<i8")

#: Files of up to so many bytes in all are hashed when a process first opens them (CIFAR: 0.2 s); of more, the sizes
#: are checked.
VERIFIED_BYTES = 400_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """What ``images.json`` says. ``classes`` are their names, ``sizes`` images by part, ``shape`` that of one image.

    ``digest`` is :func:`trainers.datasets.images.content_digest`. ``source`` tells where the images came from,
    ``prepared`` how; neither is part of the content.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    sizes: Mapping[str, int]
    digest: str
    source: Mapping[str, Any] = field(default_factory=dict)
    prepared: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def is_there(folder: Path) -> bool:
    """Whether ``folder`` holds images; its files are not read."""
    return (folder / RECORD).is_file()


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy`` and make it durable."""
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def finish(
    folder: Path, name: str, classes: Sequence[str], source: Mapping[str, Any], prepared: Mapping[str, Any]
) -> Record:
    """Digest the four files in ``folder`` and write, last, the record: the folder then holds images."""
    train, train_labels, test, test_labels = (
        np.asarray(np.load(folder / file, mmap_mode="r", allow_pickle=False)) for file in FILES
    )
    images = Images(train, train_labels, test, test_labels, len(classes))
    record = Record(
        name=name,
        classes=tuple(classes),
        shape=cast("tuple[int, int, int]", train.shape[1:]),
        sizes={"train": len(train), "test": len(test)},
        digest=content_digest(images),
        source=source,
        prepared=prepared,
    )
    write_durably(folder / RECORD, record.to_json().encode())
    sync_folder(folder)
    return record


def read_record(name: str, folder: Path, remedy: str) -> Record:
    """The record of the images ``name``. ``remedy`` says how to get them, or to get them anew.

    Raises:
        DataMissingError: there is none, or it is damaged, or of a newer program.
    """
    return records.read_record(name, folder / RECORD, remedy, form=FORMAT, version=VERSION, of="images", build=_record)


def _record(held: dict[str, Any]) -> Record:
    found = Record(**held | {"classes": tuple(held["classes"]), "shape": tuple(held["shape"])})
    if set(found.sizes) != set(PARTS) or len(found.shape) != 3 or not found.classes:
        raise ValueError("its sizes, shape or classes are none of images")
    return found


def damages(folder: Path, record: Record, *, whole: bool) -> list[str]:
    """What is wrong with the files: one that is missing or of another size, and where ``whole`` the content."""
    found, arrays = [], []
    for file in FILES:
        try:
            arrays.append(_mapped(folder, file, record))
        except FileNotFoundError:
            found.append(f"{file} is missing")
        except (OSError, ValueError, EOFError) as error:
            found.append(f"{file} cannot be read: {error}")
    if whole and not found and content_digest(_images(arrays, record)) != record.digest:
        found.append("the images or labels are not those that were written (their SHA-256 differs)")
    return found


def open_images(name: str, folder: Path, remedy: str) -> Images:
    """The images in ``folder``, mapped read-only, so that all processes of a machine share them; labels in memory.

    Raises:
        DataMissingError: they are not there, or damaged.
    """
    record = verified(name, folder, remedy, whole=True)
    try:
        arrays = [_mapped(folder, file, record) for file in FILES]
    except (OSError, ValueError, EOFError) as error:  # it went meanwhile
        raise DataMissingError(
            f"data set {name!r}: {folder} cannot be read: {error}. To repair it, {remedy}"
        ) from error
    return _images(arrays, record)


def verified(name: str, folder: Path, remedy: str, *, whole: bool) -> Record:
    """The record of images whose files are as it says, looked at once a process while they stay as they are.

    ``whole`` hashes the content too, unless it has more than ``VERIFIED_BYTES``.

    Raises:
        DataMissingError: they are not there, or damaged.
    """
    record = read_record(name, folder, remedy)
    found = _damages_once(folder, record.digest, _marks(folder), whole)
    if found:
        raise DataMissingError(f"data set {name!r} in {folder} is damaged: {'; '.join(found)}. To repair it, {remedy}")
    return record


def _mapped(folder: Path, file: str, record: Record) -> npt.NDArray[Any]:
    """One file's array, images as a map.

    Raises:
        ValueError: it is no array of the size and kind that the record gives.
    """
    part, _, kind = file.removesuffix(".npy").partition("_")
    pictures = kind == "images"
    array = np.load(folder / file, mmap_mode="r" if pictures else None, allow_pickle=False)
    shape = (record.sizes[part], *record.shape) if pictures else (record.sizes[part],)
    due = np.dtype(np.uint8) if pictures else LABELS
    if array.shape != shape or array.dtype != due:
        raise ValueError(f"it holds {array.dtype} {array.shape}, {due} {shape} is due")
    return np.asarray(array)


def _images(arrays: Sequence[npt.NDArray[Any]], record: Record) -> Images:
    train, train_labels, test, test_labels = arrays
    return Images(train, train_labels, test, test_labels, len(record.classes))


@lru_cache(maxsize=64)
def _damages_once(
    folder: Path, digest: str, marks: tuple[tuple[int, int, int] | None, ...], whole: bool
) -> tuple[str, ...]:
    record = read_record(folder.name, folder, "prepare it anew")
    small = sum(mark[1] for mark in marks if mark) <= VERIFIED_BYTES
    return tuple(damages(folder, record, whole=whole and small))


def _marks(folder: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes where a file is replaced or written to: inode, size, time of the last change."""
    found: list[tuple[int, int, int] | None] = []
    for file in FILES:
        try:
            stat = (folder / file).stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
