"""The folder in which data is prepared: held by one process, and given its name when it is whole.

``record`` is the file that makes a folder a data set of its kind; it is written last.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainers.datasets.durable import sync_folder
from trainers.errors import SourceError, UnreachableError

JOURNAL, LOCK = "journal.json", "lock"


@contextmanager
def locked(folder: Path, record: str) -> Iterator[Path]:
    """``NAME.partial`` beside ``folder``, made where it is not there, held against other processes meanwhile.

    Where nothing was prepared in it, it goes again.

    Raises:
        SourceError: ``folder``, or the one beside it, holds something else.
        UnreachableError: another process prepares the same data.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    for path in (folder, partial):
        known = any((path / name).exists() for name in (record, LOCK))
        if path.exists() and not known and not (path.is_dir() and not any(path.iterdir())):
            raise SourceError(f"{path} is there and holds no data of this kind; move it away, or choose another name")
    partial.mkdir(parents=True, exist_ok=True)
    with (partial / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.fstat(lock.fileno()).st_ino == (partial / LOCK).stat().st_ino
        except OSError:  # held, or gone since with the folder that another process has just finished
            same = False
        if not same:
            raise UnreachableError(f"another process prepares {folder}; wait for it, or stop it and run this again")
        try:
            yield partial
        finally:
            if partial.is_dir() and {path.name for path in partial.iterdir()} <= {LOCK}:
                shutil.rmtree(partial)


def refuse_others(asked: Mapping[str, Any], before: object, folder: Path) -> None:
    """Raises:
    SourceError: ``asked`` is not what the folder was begun with, ``before``.
    """
    old = before if isinstance(before, Mapping) else {}
    different = [
        f"{key} was {old.get(key)}, is {asked.get(key)}" for key in {**old, **asked} if old.get(key) != asked.get(key)
    ]
    if different:
        raise SourceError(
            f"{folder} was prepared otherwise: {'; '.join(different)}. Give what it was, or begin anew with --restart"
        )


def cleared(partial: Path, record: str, files: Iterable[str]) -> None:
    """Remove what a preparation left, and nothing else."""
    for name in (JOURNAL, record, *files):  # the journal first: without it the rest is nothing
        (partial / name).unlink(missing_ok=True)


def publish(partial: Path, folder: Path, record: str) -> None:
    """Give whole data its name. One that had it before steps aside first, and goes last: it is never missing
    but for a moment, and whoever has it open keeps it."""
    for name in (JOURNAL, LOCK):
        (partial / name).unlink(missing_ok=True)
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}") if (folder / record).is_file() else None
    if old is not None:
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if old is not None:
            with suppress(OSError):
                old.rename(folder)
        raise
    sync_folder(folder.parent)
    for left in folder.parent.glob(f".{folder.name}.*"):  # also one that a kill left at this point before
        if (left / record).is_file():
            shutil.rmtree(left, ignore_errors=True)
