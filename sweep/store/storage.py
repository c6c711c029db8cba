"""The one module that writes files of a store: whole or not at all, and only if nobody was first.

A file is written beside the tables under ``_tmp``, fsynced, and then hard-linked to its name. ``link`` fails where
the name exists, which makes it the local first-wins; a reader never sees a part. Object stores have a conditional
put in its place; pyarrow's filesystems have neither, so they only read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path, PurePosixPath

from sweep.errors import StoreError


class LocalStorage:
    """Files under a folder, named by paths relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, content: bytes, *, durable: bool = True, settle: bool = True) -> bool:
        """Create ``name`` with ``content``; False, and nothing changed, where it exists already.

        ``durable`` files survive a power cut; a lease, which means nothing after one, need not. Without ``settle``
        the folder is not synchronised: after a power cut the file may be gone, but it is never there in part.

        Raises:
            StoreError: the disk is full, the folder read-only, or hard links are not supported; the name leads out
                of the store.
        """
        target = self.path(name)
        temporary = self._temporary()
        try:
            self._write(temporary, content, durable)
            try:
                os.link(temporary, target)
            except FileNotFoundError:
                self._make_folder(target.parent, durable)
                os.link(temporary, target)
            if durable and settle:
                self._sync_folder(target.parent)
        except FileExistsError:
            # A network file system may carry out a link, lose the answer, and refuse the repetition.
            return _links(temporary) > 1
        except OSError as error:
            raise self.fault("write", name, error) from error
        finally:
            with contextlib.suppress(OSError):  # a temporary file left over harms nobody
                temporary.unlink(missing_ok=True)
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Put ``content`` in the place of ``name``, whole, whether or not it exists.

        Raises:
            StoreError: as :meth:`create`.
        """
        target = self.path(name)
        temporary = self._temporary()
        try:
            self._write(temporary, content, durable=False)
            temporary.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise self.fault("write", name, error) from error

    def read(self, name: str) -> bytes | None:
        """The content of ``name``, or None where it does not exist.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return self.path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.fault("read", name, error) from error

    def names(self, folder: str) -> list[str]:
        """File names in ``folder``, sorted; empty where the folder does not exist.

        Raises:
            StoreError: the folder cannot be listed.
        """
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entry.name for entry in entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self.fault("list", folder, error) from error

    def below(self, folder: str) -> list[str]:
        """Everything in ``folder`` and its folders, what is inside before what it is in; names as from the root.

        Raises:
            StoreError: the folder cannot be listed.
        """
        try:
            paths = sorted(self.path(folder).rglob("*"), key=lambda path: (-len(path.parts), path))
        except OSError as error:
            raise self.fault("list", folder, error) from error
        return [path.relative_to(self.root).as_posix() for path in paths]

    def remove(self, name: str) -> None:
        """Remove a file or an empty folder; nothing happens where there is none.

        Raises:
            StoreError: it cannot be removed.
        """
        path = self.path(name)
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.fault("remove", name, error) from error

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name.

        Raises:
            StoreError: the file system does not answer.
        """
        try:
            return self.path(name).exists()
        except OSError as error:
            raise self.fault("look for", name, error) from error

    def modified(self, name: str) -> float | None:
        """When ``name`` was last changed, in seconds since the epoch; None where it does not exist."""
        try:
            return self.path(name).stat().st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.fault("read", name, error) from error

    def path(self, name: str) -> Path:
        """Where ``name`` lies on this machine. Names come from rows and plug-ins too, so they are not trusted.

        Raises:
            StoreError: the name leads out of the store.
        """
        if name.startswith("/") or "\0" in name or (".." in name and ".." in PurePosixPath(name).parts):
            raise StoreError(f"store {self.root}: the file name {name!r} leads out of the store; give a plain name")
        return self.root / name

    def fault(self, verb: str, name: str, error: OSError) -> StoreError:
        """The error for a failed operation, in words."""
        return StoreError(f"store {self.root}: cannot {verb} {name}: {error.strerror or error}")

    def _temporary(self) -> Path:
        return self.root / "_tmp" / f"{os.getpid()}-{secrets.token_hex(8)}"

    def _write(self, path: Path, content: bytes, durable: bool) -> None:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _make_folder(self, folder: Path, durable: bool) -> None:
        made = [each for each in (folder, *folder.parents) if self.root in each.parents and not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        if durable:
            for each in made:
                self._sync_folder(each.parent)

    def _sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _links(path: Path) -> int:
    try:
        return path.stat().st_nlink
    except OSError:
        return 0
