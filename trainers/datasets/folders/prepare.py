"""Preparing an image folder: each image cropped, shrunk and appended; continued where it was stopped.

Beside the files, ``NAME.partial`` holds a journal: what was asked for, how many images of each part were written, and a
hash of which files these were. It is written after the images were made durable, so whatever a kill leaves behind the
journal's counts is overwritten, and the end is the same, byte for byte, as without the kill.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import PIL

from trainers.datasets.durable import write_durably
from trainers.datasets.folders.source import File, ImageSource, read_image, scanned
from trainers.datasets.mapped import FILES, LABELS, PARTS, RECORD, Record, finish, is_there, read_record, save
from trainers.datasets.partial import JOURNAL, cleared, locked, publish, refuse_others
from trainers.errors import SourceError

CHANNELS = 3
MAX_SIDE = 1024
AT_ONCE = 256  # images that are held in memory: 3 MB at 64 x 64
JOURNAL_IMAGES = 8192  # between two entries of the journal: some seconds
THREADS = min(16, os.cpu_count() or 1)  # Pillow decodes and shrinks outside Python's lock
HEADER = 128  # bytes before the first image: what numpy's format takes for any count

Did = Literal["prepared", "continued", "there"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a preparation is, in images."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be prepared: the images below ``source``, ``side`` pixels wide and high, into ``folder``."""

    name: str
    folder: Path
    source: Path
    side: int

    def said(self) -> dict[str, Any]:
        """As JSON, all that decides the bytes."""
        return {"images": str(self.source.absolute()), "side": self.side}


@dataclass(slots=True)
class Journal:
    """How many images of each part are on the disk, and the hash of their names and sizes."""

    asked: Mapping[str, Any]
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    files: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PARTS, hashlib.sha256().hexdigest()))

    def keep(self, partial: Path) -> None:
        write_durably(partial / JOURNAL, json.dumps(asdict(self), indent=1).encode())


@dataclass(frozen=True, slots=True)
class Prepared:
    record: Record
    did: Did


def prepare(
    asked: Asked,
    *,
    restart: bool = False,
    tell: Callable[[Progress], None] = lambda progress: None,
    journal_images: int = JOURNAL_IMAGES,
) -> Prepared:
    """Prepare ``asked`` in its folder, from where an earlier call stopped; nothing where it is there already.

    Args:
        restart: forget what is there and begin anew; finished images are replaced once the new ones are whole.
        tell: called now and then. What it raises stops the preparation as a kill would.

    Raises:
        SourceError: folder or options are wrong, or others than what is there was begun with.
        UnreachableError: another process prepares these images.
        OSError: the folder cannot be written.
    """
    if not 1 <= asked.side <= MAX_SIDE:
        raise SourceError(f"--side {asked.side}: from 1 to {MAX_SIDE} pixels are allowed")
    if not restart and is_there(asked.folder):
        return Prepared(_known(asked, asked.folder), "there")
    source = scanned(asked.source)
    with locked(asked.folder, RECORD) as partial:
        if restart:
            cleared(partial, RECORD, FILES)
        if is_there(partial):  # whole, but killed before it got its name
            record = _known(asked, partial)
            publish(partial, asked.folder, RECORD)
            return Prepared(record, "continued")
        journal = _read_journal(asked, partial)
        did: Did = "prepared" if journal is None else "continued"
        journal = journal or Journal(asked.said())
        try:
            record = _write(asked, source, partial, journal, tell, journal_images)
        except SourceError:
            if not any(journal.done.values()):  # it never worked: nothing is left
                cleared(partial, RECORD, FILES)
            raise
        publish(partial, asked.folder, RECORD)
        return Prepared(record, did)


def _known(asked: Asked, folder: Path) -> Record:
    record = read_record(asked.name, folder, "begin anew with --restart")
    refuse_others(asked.said(), record.prepared.get("asked"), folder)
    return record


def _read_journal(asked: Asked, partial: Path) -> Journal | None:
    path = partial / JOURNAL
    if not path.is_file():
        return None
    try:
        journal = Journal(**json.loads(path.read_bytes()))
        if set(journal.done) != set(PARTS) or set(journal.files) != set(PARTS):
            raise ValueError("it does not tell of training and test")  # noqa: TRY301
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path} is damaged: {error}. Begin anew with --restart") from error
    refuse_others(asked.said(), journal.asked, partial)
    return journal


def _write(
    asked: Asked,
    source: ImageSource,
    partial: Path,
    journal: Journal,
    tell: Callable[[Progress], None],
    journal_images: int,
) -> Record:
    with ThreadPoolExecutor(THREADS) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata in images that can be read
        for part in PARTS:
            done = _append(asked, source, partial, part, journal, tell, journal_images, pool)
            if done != sum(source.counts[part]):
                raise SourceError(f"{source.folders[part]} changed meanwhile; let it be, and give the command again")
            labels = np.repeat(np.arange(len(source.classes), dtype=LABELS), source.counts[part])
            save(partial / f"{part}_labels.npy", labels)
    prepared = {"asked": asked.said(), "pillow": PIL.__version__}
    return finish(partial, asked.name, source.classes, {"images": str(asked.source.absolute())}, prepared)


def _append(
    asked: Asked,
    source: ImageSource,
    partial: Path,
    part: str,
    journal: Journal,
    tell: Callable[[Progress], None],
    journal_images: int,
    pool: ThreadPoolExecutor,
) -> int:
    """Write the images of a part behind those that the journal counts; how many there are then."""
    shape = (CHANNELS, asked.side, asked.side)
    files, seen = source.files(part), hashlib.sha256()
    for file in itertools.islice(files, journal.done[part]):
        seen.update(file.mark)
    if seen.hexdigest() != journal.files[part]:
        raise SourceError(
            f"the first {journal.done[part]:,} images of {source.folders[part]} are others than those that were "
            "prepared before: the source has changed. Begin anew with --restart"
        )
    path = partial / f"{part}_images.npy"
    with path.open("r+b" if path.exists() else "w+b") as out:
        end = HEADER + journal.done[part] * int(np.prod(shape))
        if journal.done[part] and out.seek(0, os.SEEK_END) < end:
            raise SourceError(f"{path} is shorter than what was left there. Begin anew with --restart")
        out.seek(end)
        out.truncate()
        since = 0
        for chunk in _chunks(files):
            for image in pool.map(lambda file: read_image(file.path, asked.side), chunk):
                out.write(image.data)
            for file in chunk:
                seen.update(file.mark)
            since += len(chunk)
            journal.done[part] += len(chunk)
            journal.files[part] = seen.hexdigest()
            if since >= journal_images:
                _made_durable(out)
                journal.keep(partial)
                since = 0
            tell(Progress(sum(journal.done.values()), source.total))
        out.seek(0)
        out.write(_header((journal.done[part], *shape)))
        _made_durable(out)
    journal.keep(partial)
    return journal.done[part]


def _chunks(files: Iterator[File]) -> Iterator[list[File]]:
    while chunk := list(itertools.islice(files, AT_ONCE)):
        yield chunk


def _header(shape: tuple[int, ...]) -> bytes:
    """What an ``.npy`` file of uint8 begins with; its length is the same for any count of images."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    header = out.getvalue()
    if len(header) != HEADER:
        raise AssertionError(f"the header of {shape} has {len(header)} bytes, {HEADER} are due")
    return header


def _made_durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
