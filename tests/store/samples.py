"""Plausible rows, a storage that dies on command, and what a store says: for the tests of the store."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sweep.store import names
from sweep.store.digest import store_digest
from sweep.store.lease import Lease
from sweep.store.read import first_published, read_table, tables
from sweep.store.schema import SCHEMAS
from sweep.store.storage import LocalStorage
from sweep.store.store import Store

REVISION = "0123456789ab"
START = datetime(2026, 1, 1, tzinfo=UTC)


def spec_of(number: int) -> str:
    """The canonical JSON of a made-up trial."""
    return json.dumps({"family": "classifier", "seed": number})


def id_of(number: int) -> str:
    """The id that belongs to it."""
    return hashlib.sha256(spec_of(number).encode()).hexdigest()[:16]


def attempt_of(number: int) -> str:
    """An attempt id, later for greater numbers."""
    return f"{number:021x}"


def trial(number: int, attempt: str = "", revision: str = REVISION, **changes: Any) -> dict[str, Any]:
    """A row of ``trials``."""
    row: dict[str, Any] = dict.fromkeys(SCHEMAS["trials"].names)
    return {
        **row,
        "id": id_of(number),
        "revision": revision,
        "attempt": attempt or attempt_of(number),
        "family": "classifier",
        "model": "small_cnn",
        "dataset": "digits",
        "noise_law": "uniform_wrong",
        "noise_refresh": "frozen",
        "noise_ratio": 1.0,
        "noise_rate": 0.5,
        "batch": 64,
        "batch_multiplier": 1,
        "budget_rule": "fixed",
        "samples": 640,
        "steps": 10,
        "seed": number,
        "parameters": 1234,
        "reading": "paper",
        "spec": spec_of(number),
        "needs": "{}",
        "started": START,
        "ended": START + timedelta(seconds=number + 1),
        "data_sha256": "d" * 64,
        **changes,
    }


def metric(number: int, attempt: str = "", **changes: Any) -> dict[str, Any]:
    """A row of ``metrics``."""
    return {
        "id": id_of(number),
        "attempt": attempt or attempt_of(number),
        "step": 10,
        "samples": 640,
        "split": "test",
        "metric": "top1",
        "value": number / 7,
        "final": True,
        **changes,
    }


def event(number: int, kind: str, attempt: str = "", revision: str = REVISION, **changes: Any) -> dict[str, Any]:
    """A row of ``attempts``; ``kind`` is started or an outcome."""
    return {
        "id": id_of(number),
        "revision": revision,
        "attempt": attempt or attempt_of(number),
        "event": kind if kind in ("started", "resumed") else "ended",
        "at": START + timedelta(seconds=number),
        "step": None,
        "outcome": None if kind in ("started", "resumed") else kind,
        "reason": None,
        "traceback": None,
        "host": "here",
        "pid": 1,
        "spec": None,
        **changes,
    }


def artifact(
    number: int, content: bytes, attempt: str = "", filename: str = "model.bin", **changes: Any
) -> dict[str, Any]:
    """A row of ``artifacts``."""
    attempt = attempt or attempt_of(number)
    return {
        "id": id_of(number),
        "attempt": attempt,
        "role": filename.partition(".")[0],
        "path": f"files/{id_of(number)}-{attempt}/{filename}",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **changes,
    }


def add_event(store: Store, number: int, kind: str, attempt: str = "", **changes: Any) -> bool:
    """Write an event as a worker does."""
    row = event(number, kind, attempt, **changes)
    return store.add("attempts", names.row_name("attempts", row), [row])


def write_results(store: Store, number: int, attempt: str = "", *, with_artifact: bool = True) -> None:
    """Write what an attempt writes before it publishes."""
    attempt = attempt or attempt_of(number)
    part = names.part_name(id_of(number), attempt)
    if with_artifact:
        content = f"content {number} {attempt}".encode()
        row = artifact(number, content, attempt)
        store.storage.create(row["path"], content)
        store.add("artifacts", part, [row])
    rows = [metric(number, attempt), metric(number, attempt, metric="inverted", value=None)]
    store.add("metrics", part, rows)


def publish(
    store: Store, number: int, attempt: str = "", revision: str = REVISION, *, with_artifact: bool = True
) -> bool:
    """Publish a made-up trial as a worker does, events included; whether it won."""
    attempt = attempt or attempt_of(number)
    add_event(store, number, "started", attempt, revision=revision)
    write_results(store, number, attempt, with_artifact=with_artifact)
    won = store.publish_trial(trial(number, attempt, revision))
    if not won:
        store.discard_attempt(id_of(number), attempt)
    add_event(store, number, "done" if won else "lost", attempt, revision=revision)
    return won


def dead_lease(number: int, attempt: str, **changes: Any) -> Lease:
    """A lease whose process is gone: no process of this machine was born then."""
    from sweep.store import lease

    fields = {"host": "here", "machine": lease.machine(), "pid": 1, "born": "never", "renewed": 1e9, "generation": 1}
    return Lease(id_of(number), REVISION, attempt, "run", **{**fields, **changes})


def digest(store: Store) -> str:
    """The store digest."""
    return store_digest(tables(store))


def said(store: Store) -> dict[str, Any]:
    """All that readers see of what is published, in a form that compares."""
    winners = first_published(read_table(store, "trials").to_pylist())
    pairs = {(row["id"], row["attempt"]) for row in winners}
    seen: dict[str, Any] = {"trials": sorted(map(repr, winners))}
    for table in ("metrics", "artifacts"):
        rows = {repr(row) for row in read_table(store, table).to_pylist() if (row["id"], row["attempt"]) in pairs}
        seen[table] = sorted(rows)
    seen["attempts"] = sorted({repr(row) for row in read_table(store, "attempts").to_pylist()})
    seen["checks"] = sorted({repr(row) for row in read_table(store, "checks").to_pylist()})
    seen["names"] = {table: store.table_names(table) for table in names.TABLES}
    return seen


class Crash(BaseException):
    """The process dies here. No error: nothing may catch it."""


class DyingStorage(LocalStorage):
    """A storage whose process dies after the writing operation of that number."""

    def __init__(self, root: Path, at: int | None = None) -> None:
        super().__init__(root)
        self.at, self.count = at, 0

    def _step(self) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            raise Crash

    def create(self, name: str, content: bytes, *, durable: bool = True, settle: bool = True) -> bool:
        done = super().create(name, content, durable=durable, settle=settle)
        self._step()
        return done

    def replace(self, name: str, content: bytes) -> None:
        super().replace(name, content)
        self._step()

    def remove(self, name: str) -> None:
        super().remove(name)
        self._step()
