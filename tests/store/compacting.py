"""What the tests of compaction share: stores with work to do, storages through which somebody meddles."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from store.samples import (
    START,
    add_event,
    attempt_of,
    dead_lease,
    id_of,
    publish,
    write_results,
)

from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.compact import GRACE_SECONDS, compact
from sweep.store.storage import LocalStorage
from sweep.store.store import Store

LATER = 2 * GRACE_SECONDS


def later() -> float:
    """A clock at which all that tests have written is old."""
    import time

    return time.time() + LATER


def add_check(store: Store, number: int) -> None:
    row = {"id": id_of(number), "attempt": attempt_of(number), "at": START, "what": "files", "verdict": "ok"}
    store.add("checks", f"verify-{number}", [{**row, "expected": None, "found": None}])


def fill(store: Store, numbers: range) -> None:
    for number in numbers:
        publish(store, number)
        add_check(store, number)


def files(store: Store) -> dict[str, list[str]]:
    return {table: store.storage.names(table) for table in names.TABLES}


def everything(store: Store) -> set[str]:
    return {path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()}


def copy(store: Store, to: Path, storage: type[LocalStorage] = LocalStorage) -> Store:
    shutil.copytree(store.root, to)
    return Store(storage(to))


def prepared(store: Store) -> None:
    """Single files, compacted ones enough to be merged again, a loser's results, an old lease: work for every step."""
    for number in (0, 2):
        for each in (number, number + 1):
            publish(store, each)
        compact(store)
    fill(store, range(4, 6))
    write_results(store, 5, attempt_of(77))
    add_event(store, 5, "raised", attempt_of(77))
    lease = dead_lease(5, attempt_of(5))
    store.storage.create(lease.name, leasing._encode(lease))


def compact_all(store: Store) -> None:
    compact(store, many=2, clock=later)


class Meddling(LocalStorage):
    """A storage that lets something else happen right before that operation on trials and metrics."""

    def __init__(self, root: Path, at: int, meddle: Any) -> None:
        super().__init__(root)
        self.at, self.meddle, self.count = at, meddle, -1

    def _turn(self, name: str) -> None:
        if "trials" in name or "metrics" in name:  # artifacts go the way of metrics, and nothing hangs on the others
            self.count += 1
            if self.count == self.at:
                self.meddle()

    def create(self, name: str, content: bytes, *, durable: bool = True, settle: bool = True) -> bool:
        self._turn(name)
        return super().create(name, content, durable=durable, settle=settle)

    def remove(self, name: str) -> None:
        self._turn(name)
        super().remove(name)

    def read(self, name: str) -> bytes | None:
        self._turn(name)
        return super().read(name)

    def names(self, folder: str) -> list[str]:
        self._turn(folder)
        return super().names(folder)


def turns(store: Store, root: Path, work: Any) -> int:
    meddling = Meddling(copy(store, root).root, -1, None)
    work(Store(meddling))
    return meddling.count + 1


class Between(LocalStorage):
    """A storage that lets something else happen right before the first look at that name."""

    def __init__(self, root: Path, name: str, meddle: Any) -> None:
        super().__init__(root)
        self.name, self.meddle = name, meddle

    def _look(self, name: str) -> None:
        if name == self.name:
            self.name = ""
            self.meddle()

    def read(self, name: str) -> bytes | None:
        self._look(name)
        return super().read(name)

    def names(self, folder: str) -> list[str]:
        self._look(folder)
        return super().names(folder)


def loser(store: Store) -> set[str]:
    write_results(store, 9, attempt_of(9))
    part = names.part_name(id_of(9), attempt_of(9))
    return {f"metrics/{part}.parquet", f"artifacts/{part}.parquet", f"files/{part}/model.bin"}
