"""The storage: whole or not at all, first wins, and every fault in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sweep.errors import StoreError
from sweep.store.storage import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def visible(storage: LocalStorage) -> set[str]:
    return {path.relative_to(storage.root).as_posix() for path in storage.root.rglob("*") if path.is_file()}


def test_the_first_wins(storage: LocalStorage) -> None:
    assert storage.create("a/b/c.bin", b"first")
    assert not storage.create("a/b/c.bin", b"second")
    assert storage.read("a/b/c.bin") == b"first"
    assert visible(storage) == {"a/b/c.bin"}


def test_replace_puts_the_whole_content(storage: LocalStorage) -> None:
    storage.create("lease.json", b"one")
    storage.replace("lease.json", b"two")
    assert storage.read("lease.json") == b"two"
    assert visible(storage) == {"lease.json"}


def test_reading_listing_and_removing_what_is_not_there(storage: LocalStorage) -> None:
    storage.create("file", b"")
    assert storage.read("none") is None
    assert storage.read("file/below") is None
    assert storage.names("none") == []
    assert storage.modified("none") is None
    assert not storage.exists("none")
    storage.remove("none")
    storage.create("folder/x", b"")
    storage.remove("folder/x")
    storage.remove("folder")
    assert storage.names("") == ["_tmp", "file"]


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/passwd", "a\0b"])
def test_a_name_that_leads_out_of_the_store_is_refused(storage: LocalStorage, name: str) -> None:
    for use in (storage.read, storage.remove, storage.path, lambda one: storage.create(one, b"")):
        with pytest.raises(StoreError, match="leads out of the store"):
            use(name)
    assert storage.create("a..b", b"")


class Dead(BaseException):
    """The process dies."""


def die(*_: Any, **__: Any) -> None:
    raise Dead


@pytest.mark.parametrize("step", ["write", "fsync", "link"])
def test_a_crash_before_the_link_shows_no_part(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(os, step, die)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # a dead process tidies nothing
    with pytest.raises(Dead):
        storage.create("trials/x.parquet", b"content")
    monkeypatch.undo()
    assert not storage.exists("trials/x.parquet")
    assert len(storage.names("_tmp")) == 1
    assert storage.create("trials/x.parquet", b"content")


@pytest.mark.parametrize("write", ["create", "replace"])
def test_a_full_disk_is_said_and_leaves_nothing(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    true_write = os.write
    written: list[int] = []

    def full(descriptor: int, content: memoryview) -> int:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(true_write(descriptor, content[:3]))
        return written[0]

    storage.create("leases/x", b"before")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match=r"cannot write trials/x\.parquet: No space left on device"):
        getattr(storage, write)("trials/x.parquet", b"content")
    assert written == [3]
    assert visible(storage) == {"leases/x"}


def test_short_writes_are_continued(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    true_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: true_write(descriptor, content[:2]))
    storage.create("x", b"content")
    assert storage.read("x") == b"content"


def test_a_read_only_folder_is_said(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    storage.create("x", b"content")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=r"store .*: cannot write y: Read-only file system"):
        storage.create("y", b"content")
    monkeypatch.undo()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match="cannot remove x: Read-only file system"):
        storage.remove("x")


@pytest.mark.parametrize(("call", "name"), [("read", "folder"), ("names", "file"), ("remove", "folder")])
def test_faults_name_the_operation(storage: LocalStorage, call: str, name: str) -> None:
    storage.create("file", b"")
    storage.create("folder/x", b"")
    with pytest.raises(StoreError, match=f"cannot {'list' if call == 'names' else call} {name}: "):
        getattr(storage, call)(name)


def test_hard_links_that_are_not_supported_are_said(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match="cannot write x: Operation not permitted"):
        storage.create("x", b"")
    assert visible(storage) == set()


def test_a_link_whose_answer_was_lost_counts(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system may link, lose the answer, repeat, and say that the name exists."""
    true_link = os.link

    def lossy(source: Path, target: Path) -> None:
        true_link(source, target)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", lossy)
    assert storage.create("x", b"mine")


def test_what_is_durable_is_synchronised(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(path.parent.name if path.is_file() else path.name)

    monkeypatch.setattr(os, "fsync", record)
    storage.create("files/part/x", b"")
    root = storage.root.name
    assert synced[0] == "_tmp"  # the content, before it has its name
    assert set(synced[1:]) == {root, "files", "part"}  # and every folder that is new, or has a new entry
    synced.clear()
    storage.create("files/part/y", b"", settle=False)
    assert synced == ["_tmp"]
    synced.clear()
    storage.create("files/part/z", b"", durable=False)
    assert synced == []
