"""CIFAR-10 and CIFAR-100 from the user's own files, through torchvision, kept as maps that all trials of a node share.

The files are read once, with torchvision's checksums, into the cache; later a trial opens the maps in milliseconds, and
a plan reads the digest from the record beside them. What is kept there follows from the files: others are read anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import shlex
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets import mapped
from trainers.datasets.durable import sync_folder
from trainers.datasets.images import Images
from trainers.datasets.mapped import Record
from trainers.datasets.root import cache_folder, data_folder
from trainers.datasets.torchvision_reader import read
from trainers.errors import DataMissingError
from trainers.protocol import Dataset

BUILDER = 1  # raised when the same files would give other arrays
SHAPE = (3, 32, 32)


@dataclass(frozen=True, slots=True)
class Cifar:
    """One of the two. ``reader`` is its class, ``module:name``, which knows the files and their checksums.

    ``folder`` or ``archive``, whichever is there, lies in the folder of users' data.
    """

    name: str
    reader: str
    folder: str
    archive: str
    classes: int
    train: int = 50_000
    test: int = 10_000

    def load(self, root: Path | None = None) -> Images:
        """The data set below ``root`` (None: the folder of ``$NOISEGRID_DATA`` or of the cache), as maps.

        Raises:
            DataMissingError: its files are not there or damaged, or the cache cannot be written.
        """
        return mapped.open_images(self.name, self._kept(root, whole=True), self._remedy(root))

    def digest(self, root: Path | None = None) -> str:
        """SHA-256 of the content, 64 hex digits, from the record.

        Raises:
            DataMissingError: as :meth:`load`.
        """
        return mapped.read_record(self.name, self._kept(root, whole=False), self._remedy(root)).digest

    def present(self, root: Path | None = None) -> bool:
        """Whether its folder or archive lies below ``root``; it is not read."""
        return self._source(root) is not None

    def dataset(self, *, about: str) -> Dataset:
        """As the registry knows it."""
        return Dataset(
            name=self.name,
            version="1",
            kind="images",
            about=about,
            classes=self.classes,
            shape=SHAPE,
            train_size=self.train,
            test_size=self.test,
            load=self.load,
            digest=self.digest,
            present=self.present,
            obtain=f"put {self.folder} or {self.archive} into the folder of --data, or fetch it into that of "
            f"$NOISEGRID_DATA or the cache: {self._fetch('data_folder()', 'data_folder')}",
            source="Learning Multiple Layers of Features from Tiny Images (Krizhevsky, 2009), "
            "https://www.cs.toronto.edu/~kriz/cifar.html",
        )

    def _fetch(self, place: str, imported: str | None = None) -> str:
        module, _, name = self.reader.partition(":")
        also = f"from trainers.datasets.root import {imported}; " if imported else ""
        return f"`python -c {shlex.quote(f'from {module} import {name}; {also}{name}({place}, download=True)')}`"

    def _remedy(self, root: Path | None) -> str:
        place = _place(root)
        return f"put {self.folder} or {self.archive} into {place}, or fetch it: {self._fetch(json.dumps(str(place)))}"

    def _source(self, root: Path | None) -> Path | None:
        folder, archive = _place(root) / self.folder, _place(root) / self.archive
        if folder.is_dir() and any(folder.iterdir()):
            return folder
        return archive if archive.is_file() else None

    def _kept(self, root: Path | None, *, whole: bool) -> Path:
        """The folder of the cache that holds what the user's files are now, read into it where it is not there."""
        source = self._source(root)
        if source is None:
            raise DataMissingError(f"data set {self.name!r} is not on this machine: {self._remedy(root)}")
        try:
            kept = cache_folder() / "images" / f"{self.name}-{_key(source)}"
            if not self._good(kept, whole):
                with _alone(kept):
                    if not self._good(kept, whole):  # nor has another process done it meanwhile
                        self._read(source, root, kept)
        except OSError as error:
            raise DataMissingError(
                f"data set {self.name!r} cannot be read from {source} into the cache, {cache_folder()}: "
                f"{error.strerror or error}. Make room there, or set XDG_CACHE_HOME to a folder that can be written"
            ) from error
        return kept

    def _good(self, kept: Path, whole: bool) -> bool:
        try:
            mapped.verified(self.name, kept, "", whole=whole)
        except DataMissingError:
            return False
        return True

    def _read(self, source: Path, root: Path | None, kept: Path) -> None:
        """Write aside, then rename; what other files or a kill left goes."""
        aside = kept.with_name(f".{kept.name}.{secrets.token_hex(8)}")
        for left in kept.parent.glob(f".{kept.name}.*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        aside.mkdir()
        try:
            record = self._written(source, root, aside)
            if kept.exists():  # damaged: whoever has it open keeps it
                kept.rename(kept.with_name(f".{kept.name}.{secrets.token_hex(8)}"))
            aside.rename(kept)
            sync_folder(kept.parent)
        finally:
            for left in kept.parent.glob(f".{kept.name}.*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
        self._forget_older(kept, record)

    def _written(self, source: Path, root: Path | None, aside: Path) -> Record:
        try:
            if source.is_dir():
                names = read(self.reader, source.parent, aside)
            else:
                with tarfile.open(source) as archive:
                    archive.extractall(aside / "extracted", filter="data")
                names = read(self.reader, aside / "extracted", aside)
                shutil.rmtree(aside / "extracted")
            record = mapped.finish(aside, self.name, names, {"files": str(source.resolve())}, {"builder": BUILDER})
            held = (len(record.classes), record.sizes["train"], record.sizes["test"], tuple(record.shape))
            due = (self.classes, self.train, self.test, SHAPE)
            if held != due:
                raise ValueError(f"classes, training images, test images and shape are {held}, {due} are due")  # noqa: TRY301
        except (ValueError, tarfile.TarError, EOFError, zlib.error) as error:
            raise DataMissingError(
                f"data set {self.name!r}: {source} is damaged or not whole: {error}. Remove it and {self._remedy(root)}"
            ) from error
        return record

    def _forget_older(self, kept: Path, record: Record) -> None:
        """Remove what was read of the same place when other files lay there."""
        for other in kept.parent.glob(f"{self.name}-*"):
            if other == kept:
                continue
            try:
                same = mapped.read_record(self.name, other, "").source == record.source
            except DataMissingError:
                continue
            if same:
                shutil.rmtree(other, ignore_errors=True)


def _place(root: Path | None) -> Path:
    return data_folder() if root is None else root


def _key(source: Path) -> str:
    """Changes where a file is replaced or written to: place, names, sizes, times of the last change."""
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    marks = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(json.dumps([BUILDER, str(source.resolve()), marks]).encode()).hexdigest()[:12]


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """One process of the machine at a time; the others wait for what it reads. A dead one holds nothing."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_name(f".{kept.name}-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


TEN = Cifar("cifar10", "torchvision.datasets:CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz", 10)
HUNDRED = Cifar("cifar100", "torchvision.datasets:CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz", 100)

CIFAR10 = TEN.dataset(about="60,000 colour photographs of 32 x 32 pixels in 10 classes, 10,000 of them to test on")
CIFAR100 = HUNDRED.dataset(
    about="60,000 colour photographs of 32 x 32 pixels in 100 classes, 10,000 of them to test on"
)
