"""The folder that a report lies in: written aside and swapped in whole, and never over something else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from reports.errors import ReportError

PDF = "report.pdf"
#: What a report consists of, later versions' parts included; a folder with anything else is left alone.
FILES = frozenset({PDF, "report.html", "verdicts.json"})
FOLDERS = frozenset({"figures", "tables"})
SUFFIXES = frozenset({".svg", ".png", ".csv"})


def check(out: Path) -> Path:
    """The folder that ``out`` stands for, links followed, if a report may be written there; touches nothing.

    Raises:
        ReportError: it is a file, or a folder that holds something that is no report.
    """
    try:
        target = out.expanduser().resolve()
        if target.is_dir():
            foreign = _foreign(target)
            if foreign is not None:
                raise ReportError(
                    f"the output folder {str(out)!r} holds {foreign!r}, which is not part of a report; give a new "
                    "folder, or an older report's to replace it."
                )
        elif target.exists():
            raise ReportError(f"the output {str(out)!r} is a file; give a folder.")
        if target.parent == target:
            raise ReportError(f"the output {str(out)!r} is the root of the file system; give a folder in it.")
    except (OSError, ValueError, RuntimeError) as error:
        raise ReportError(f"the output folder {str(out)!r} cannot be looked at: {error}") from error
    return target


def write(target: Path, files: Mapping[str, bytes]) -> None:
    """Put ``files`` (relative path -> content) in the place of ``target``, all of them or none.

    Raises:
        ReportError: the folder cannot be written; what was there is there still.
    """
    token = secrets.token_hex(6)
    aside = target.with_name(f".{target.name}.new-{token}")
    old = target.with_name(f".{target.name}.old-{token}")
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            _write(aside / name, content)
        check(target)  # a report takes a while: something else may lie there by now
        _swap(aside, target, old)
    except OSError as error:
        where = error.filename or target
        raise ReportError(f"the report cannot be written to {target}: {error.strerror or error} ({where})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _swap(aside: Path, target: Path, old: Path) -> None:
    if not target.exists():
        aside.rename(target)
    elif not _exchange(aside, target):
        target.rename(old)  # a crash before the next line leaves the old report here, whole
        try:
            aside.rename(target)
        except OSError:
            old.rename(target)
            raise
    # A power cut may then lose the new name, not the report: the folder's entry is flushed where that is possible.
    with contextlib.suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where the system or the file system cannot."""
    at_current, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(call(at_current, os.fsencode(one), at_current, os.fsencode(other), ctypes.c_uint(exchange)) == 0)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _foreign(folder: Path) -> str | None:
    """The name of something in ``folder`` that no report has; None where it is empty or a report."""
    entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.is_symlink() or not (_own_file(entry) or _own_folder(entry)):
            return entry.name
    if entries and not (folder / PDF).is_file():
        return entries[0].name
    for name in sorted(FOLDERS):
        for entry in sorted((folder / name).iterdir()) if (folder / name).is_dir() else ():
            if entry.is_symlink() or not entry.is_file() or entry.suffix not in SUFFIXES:
                return f"{name}/{entry.name}"
    return None


def _own_file(entry: Path) -> bool:
    return entry.name in FILES and entry.is_file()


def _own_folder(entry: Path) -> bool:
    return entry.name in FOLDERS and entry.is_dir()
