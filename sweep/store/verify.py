"""Integrity: is everything in a store what it says it is, and what to do where it is not."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sweep.errors import StoreError
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.compact import GRACE_SECONDS, row_names
from sweep.store.read import decode_table, patiently
from sweep.store.schema import schema_at, schema_version
from sweep.store.store import MARKER, Store, VanishedError, open_store

ID_DIGITS = 16
#: Tables whose rows belong to a trial by its attempt.
PARTS = ("metrics", "artifacts")
RESTORE = "restore it from a copy of the store"
#: A trial is deterministic: without its file under trials/ it is missing, and runs again.
RERUN = f"{RESTORE}, or move the trial's own file under trials/ out of it and run the grid again"
COMPACT = "`sweep compact` sees to it"

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. Errors lose or falsify results, warnings cost time, notes are chores."""

    severity: Severity
    path: str
    what: str
    remedy: str


@dataclass
class _Seen:
    """What the files of the store hold, as far as they could be read."""

    findings: list[Finding] = field(default_factory=list)
    trials: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # path, row
    parts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # table -> part names
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # table -> name -> files it lies in

    def say(self, severity: Severity, path: str, what: str, remedy: str) -> None:
        self.findings.append(Finding(severity, path, what, remedy))


def verify(store: Store, *, record: bool = True, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Read the whole store and list what is wrong with it, errors first; empty where all is well.

    Args:
        record: write one row of ``checks`` for each published trial with artifacts: its verdict and digests.

    Raises:
        StoreError: a folder cannot be listed, or the record cannot be written.
    """
    seen = _Seen()
    _check_marker(store, seen)
    for table in names.TABLES:
        findings = len(seen.findings)

        def once(table: str = table, findings: int = findings) -> None:
            del seen.findings[findings:]
            _check_table(store, table, seen)

        patiently(store, table, once)
    checks = _check_trials(store, seen, clock())
    _check_leftovers(store, seen, clock())
    if record and checks:
        store.add("checks", f"verify-{names.attempt_id()}", checks)
    order = ("error", "warning", "note")
    return sorted(set(seen.findings), key=lambda one: (order.index(one.severity), one.path, one.what))


def _check_marker(store: Store, seen: _Seen) -> None:
    try:
        open_store(str(store.root))
    except StoreError as error:
        seen.say("error", MARKER, str(error), RESTORE)


def _check_table(store: Store, table: str, seen: _Seen) -> None:
    if table == "trials":
        seen.trials.clear()
    if table == "artifacts":
        seen.artifacts.clear()
    held: dict[str, list[str]] = defaultdict(list)
    for listed in store.storage.names(table):
        if not listed.endswith(names.SUFFIX):
            seen.say("warning", f"{table}/{listed}", "is no Parquet file", "move it out of the store")
    for stem in store.stems(table):
        path = f"{table}/{stem}{names.SUFFIX}"
        content = store.storage.read(path)
        if content is None:
            raise VanishedError(stem)
        try:
            rows = decode_table(content, path, table)
            rows.to_pylist()  # a time that no calendar has is only noticed here
        except (StoreError, OverflowError, ValueError) as error:
            remedy = RERUN if table != "attempts" else "remove it: an event of an attempt is all that it held"
            seen.say("error", path, str(error).partition("; see")[0], remedy)
            continue
        _check_columns(content, path, table, seen)
        names_in = row_names(table, rows)
        for name in names_in:
            held[name].append(path)
        _check_names(store, table, stem, names_in, seen)
        if table == "trials":
            seen.trials += [(path, row) for row in rows.to_pylist()]
        elif table in PARTS:
            seen.parts[table] |= names_in.keys()
            seen.artifacts += rows.to_pylist() if table == "artifacts" else []
    for name, paths in held.items():
        if len(paths) > 1:
            what = f"{name} lies in {len(paths)} files: {', '.join(sorted(paths))}"
            seen.say("warning", min(paths), f"{what}; a compaction died or is at work", COMPACT)
    seen.files[table] = held


def _check_columns(content: bytes, path: str, table: str, seen: _Seen) -> None:
    """The closed schema, exactly: names, order, types and which columns may be null."""
    import io

    import pyarrow.parquet as pq

    found = pq.ParquetFile(io.BytesIO(content)).schema_arrow
    due = schema_at(table, schema_version(found.metadata))
    if not found.equals(due, check_metadata=False):
        odd = sorted(set(map(str, found)) ^ set(map(str, due))) or ["their order"]
        seen.say("error", path, f"its columns are not those of {table!r}: {', '.join(odd)}", RESTORE)


def _check_names(store: Store, table: str, stem: str, held: Mapping[str, str], seen: _Seen) -> None:
    path = f"{table}/{stem}{names.SUFFIX}"
    if not names.is_compacted(stem):
        if table != "checks" and set(held) != {stem}:
            inside = ", ".join(sorted(held)[:3]) or "nothing"
            seen.say("error", path, f"holds rows of {inside}", "give it its right name, or " + RESTORE)
        return
    listed = store.storage.read(names.list_name(table, stem))
    if listed is None:
        seen.say("error", path, f"has lost its list {names.list_name(table, stem)}", COMPACT)
        return
    promised = store.compacted(table, stem)
    if table == "checks":
        return
    for name in sorted(promised.keys() ^ held.keys()):
        state = "is listed but not in the file" if name in promised else "is in the file but not listed"
        seen.say("error", path, f"{name} {state} ({names.list_name(table, stem)})", RESTORE)
    for name in sorted(promised.keys() & held.keys()):
        if promised[name] != held[name]:
            what = f"{name} was published by attempt {held[name]}, but its list says {promised[name] or 'nobody'}"
            seen.say("error", path, what, RESTORE)


def _check_trials(store: Store, seen: _Seen, now: float) -> list[dict[str, Any]]:
    """Ids, needed parts, artifacts; returns the rows of ``checks``."""
    by_part: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in {row["path"]: row for row in seen.artifacts}.values():
        by_part[names.part_name(row["id"], row["attempt"])].append(row)
    winners: dict[str, set[str]] = defaultdict(set)
    checks: dict[str, dict[str, Any]] = {}
    for path, row in seen.trials:
        part = names.part_name(row["id"], row["attempt"])
        winners[names.trial_name(row["id"], row["revision"])].add(row["attempt"])
        if hashlib.sha256(row["spec"].encode()).hexdigest()[:ID_DIGITS] != row["id"]:
            seen.say("error", path, f"the id {row['id']} is not the hash of its column 'spec'", RERUN)
        for column in ("needs", "versions", "spec"):
            if row[column] is not None and not _is_mapping(row[column]):
                seen.say("error", path, f"the column {column!r} of {row['id']} is no JSON object", RERUN)
        if part not in seen.parts["metrics"]:
            seen.say("error", path, f"the metrics of {part} are missing", RERUN)
        if by_part[part] and part not in checks:
            checks[part] = _check_files(store, seen, by_part[part], now)
        elif store.storage.names(f"files/{part}") and not by_part[part]:
            seen.say("error", f"files/{part}", "the rows of 'artifacts' for these files are missing", RERUN)
    for name, attempts in winners.items():
        if len(attempts) > 1:
            what = f"{name} is published by several attempts: {', '.join(sorted(attempts))}"
            seen.say("warning", seen.files["trials"][name][0], f"{what}; readers count the first", COMPACT)
    return list(checks.values())


def _check_files(store: Store, seen: _Seen, rows: list[dict[str, Any]], now: float) -> dict[str, Any]:
    """Compare the files of one attempt with what its rows promise."""
    expected, found, verdict = hashlib.sha256(), hashlib.sha256(), "ok"
    for row in sorted(rows, key=lambda row: str(row["path"])):
        try:
            content = store.storage.read(row["path"])
        except StoreError as error:
            content, problem = None, str(error)
        else:
            problem = "is missing" if content is None else ""
        digest = "" if content is None else hashlib.sha256(content).hexdigest()
        if content is not None and len(content) != row["bytes"]:
            problem = f"has {len(content)} bytes in place of {row['bytes']}"
        elif content is not None and digest != row["sha256"]:
            problem = f"has the SHA-256 {digest} in place of {row['sha256']}"
        if problem:
            verdict = "missing" if content is None and verdict == "ok" else "damaged"
            seen.say("error", row["path"], f"role {row['role']!r} of trial {row['id']}: {problem}", RERUN)
        expected.update(f"{row['path']} {row['sha256']}\n".encode())
        found.update(f"{row['path']} {digest}\n".encode())
    first = rows[0]
    return {
        "id": first["id"],
        "attempt": first["attempt"],
        "at": datetime.fromtimestamp(now, UTC),
        "what": "artifacts",
        "verdict": verdict,
        "expected": expected.hexdigest(),
        "found": found.hexdigest(),
    }


def _check_leftovers(store: Store, seen: _Seen, now: float) -> None:
    """What a process that died has left: temporary files, lists, results without a trial, leases."""
    for path in _old(store, "_tmp", now):
        seen.say("note", path, "a temporary file of a writer that died", COMPACT)
    for table in names.TABLES:
        for listed in store.storage.names(f"compacted/{table}"):
            if not store.storage.exists(f"{table}/{listed.removesuffix(names.LIST_SUFFIX)}{names.SUFFIX}"):
                seen.say("note", f"compacted/{table}/{listed}", "the file of this list was never made", COMPACT)
    winners = {names.part_name(row["id"], row["attempt"]) for _, row in seen.trials}
    standing = leasing.leases(store.storage)
    working = {names.part_name(one.trial, one.attempt) for one in standing if leasing.alive(one, now)}
    readable = not any(one.path.startswith("trials/") and one.severity == "error" for one in seen.findings)
    for folder in (*PARTS, "files") if readable else ():  # a trial that cannot be read may have won
        for path in _old(store, folder, now):
            part = path.removeprefix(f"{folder}/").removesuffix(names.SUFFIX)
            if not names.is_compacted(part) and part not in winners | working:
                seen.say("note", path, "belongs to an attempt that published no trial", COMPACT)
    published = {(row["id"], row["revision"]) for _, row in seen.trials}
    for one in standing:
        if not leasing.alive(one, now):
            done = (one.trial, one.revision) in published
            remedy = COMPACT if done else "the next run of the trial takes it over"
            seen.say("note", one.name, f"process {one.pid} on {one.host or 'an unknown host'} is gone", remedy)


def _old(store: Store, folder: str, now: float) -> Iterator[str]:
    for listed in store.storage.names(folder):
        modified = store.storage.modified(f"{folder}/{listed}")
        if modified is not None and modified < now - GRACE_SECONDS:
            yield f"{folder}/{listed}"


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
