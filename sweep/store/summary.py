"""What is in a store: counts of what is published, what failed, runs or was interrupted; and one trial whole."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sweep.errors import BadInputError, StoreError
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.lease import Lease
from sweep.store.read import Rows, first_published, named_rows, publication_order, read_table, rows_of
from sweep.store.store import Store

State = Literal["failed", "running", "interrupted"]
CANDIDATES = 8  # of an ambiguous prefix that are named


@dataclass(frozen=True)
class Count:
    """Published trials of one kind; several revisions of a trial count once."""

    family: str
    model: str
    dataset: str
    published: int


@dataclass(frozen=True)
class Unfinished:
    """A trial whose newest attempt published nothing, and why."""

    id: str
    revision: str
    attempt: str
    state: State
    reason: str
    host: str | None
    at: datetime | None  # of the event that says so; None for what runs or went without a word
    attempts: int  # how many there were, in this revision


@dataclass(frozen=True)
class Status:
    """What ``sweep status`` tells."""

    counts: tuple[Count, ...]
    failed: tuple[Unfinished, ...]
    running: tuple[Unfinished, ...]
    interrupted: tuple[Unfinished, ...]

    @property
    def published(self) -> int:
        return sum(count.published for count in self.counts)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a trial; its outcome is ``running`` under a live lease, ``gone`` where it left without a word."""

    attempt: str
    revision: str
    outcome: str
    started: datetime | None
    ended: datetime | None
    reason: str | None
    traceback: str | None
    host: str | None
    events: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Published:
    """One revision of a trial as it was published: rows as in the tables, metrics in order of samples and name."""

    row: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    artifacts: tuple[dict[str, Any], ...]

    @property
    def final(self) -> tuple[dict[str, Any], ...]:
        return tuple(row for row in self.metrics if row["final"])

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """Metrics from before the end of the budget."""
        return tuple(row for row in self.metrics if not row["final"])


@dataclass(frozen=True)
class Shown:
    """All that a store holds of a trial. ``spec`` is None where no attempt has even begun."""

    id: str
    spec: dict[str, Any] | None
    published: tuple[Published, ...]  # newest first
    attempts: tuple[Attempt, ...]  # oldest first
    checks: tuple[dict[str, Any], ...]
    lease: Lease | None


def status(store: Store, *, clock: Callable[[], float] = time.time) -> Status:
    """Counts and unfinished trials. Of ``attempts`` only the files are read that tell a reason.

    Raises:
        StoreError: a file of the store cannot be read.
    """
    rows = read_table(store, "trials", ["id", "family", "model", "dataset"]).to_pylist()
    kinds = {row["id"]: (row["family"], row["model"], row["dataset"]) for row in rows}
    counts = tuple(Count(*kind, number) for kind, number in sorted(Counter(kinds.values()).items()))
    found = sorted(_unfinished(store, clock()), key=lambda one: one.attempt)
    by_state = {
        state: tuple(one for one in found if one.state == state) for state in ("failed", "running", "interrupted")
    }
    return Status(counts, by_state["failed"], by_state["running"], by_state["interrupted"])


def _unfinished(store: Store, now: float) -> Iterable[Unfinished]:
    standing = leasing.leases(store.storage)
    live = {(one.trial, one.revision): one for one in standing if leasing.alive(one, now)}
    events: dict[tuple[str, str], dict[str, list[str]]] = {}  # (id, revision) -> attempt -> events
    for name in store.table_names("attempts"):
        parts = name.split("-")
        if len(parts) == 4:
            events.setdefault((parts[0], parts[1]), {}).setdefault(parts[2], []).append(parts[3])
    for one in standing:
        events.setdefault((one.trial, one.revision), {}).setdefault(one.attempt, [])
    # Looked at last: what was published meanwhile is then not called interrupted.
    published = store.index().published
    newest: dict[str, tuple[str, str]] = {}  # id -> newest attempt, its revision
    for (trial, revision), attempts in events.items():
        newest[trial] = max(newest.get(trial, ("", "")), (max(attempts), revision))
    for trial, (attempt, revision) in newest.items():
        if revision in published.get(trial, set()):
            continue
        lease, attempts = live.get((trial, revision)), events[trial, revision]
        if lease is not None:
            yield Unfinished(trial, revision, lease.attempt, "running", "", lease.host, None, len(attempts))
            continue
        ends = sorted(event for event in attempts[attempt] if event in names.OUTCOMES)
        end = next((event for event in ends if event in names.FAILURES), ends[0] if ends else None)
        row = _event(store, trial, revision, attempt, end or "started")
        reason = (row or {}).get("reason") or ("" if end else "its process went without a word")
        state: State = "failed" if end in names.FAILURES else "interrupted"
        host, at = (row or {}).get("host"), (row or {}).get("at") if end else None
        yield Unfinished(trial, revision, attempt, state, reason, host, at, len(attempts))


def _event(store: Store, trial: str, revision: str, attempt: str, event: str) -> dict[str, Any] | None:
    return next(iter(named_rows(store, "attempts", names.event_name(trial, revision, attempt, event))), None)


def find_trial(store: Store, prefix: str) -> str:
    """The one id that begins with ``prefix``, published or only attempted.

    Raises:
        StoreError: none does, or several do.
        BadInputError: it is no beginning of an id.
    """
    if not re.fullmatch(r"[0-9a-f]{1,16}", prefix):
        raise BadInputError(
            f"{prefix!r} is no trial id; give up to 16 of the digits 0-9 and a-f, as `sweep plan` lists them"
        )
    known = {name.partition("-")[0] for table in ("trials", "attempts") for name in store.table_names(table)}
    known |= {one.trial for one in leasing.leases(store.storage)}
    fitting = sorted(each for each in known if each.startswith(prefix))
    if not fitting:
        raise StoreError(
            f"store {store.root}: no trial begins with {prefix}; `sweep plan SPACE` lists the ids of a grid"
        )
    if len(fitting) > 1:
        more = f" and {len(fitting) - CANDIDATES} more" if len(fitting) > CANDIDATES else ""
        named = ", ".join(fitting[:CANDIDATES])
        raise StoreError(
            f"store {store.root}: {len(fitting)} trials begin with {prefix}: {named}{more}; give more digits"
        )
    return fitting[0]


def show(store: Store, prefix: str, *, clock: Callable[[], float] = time.time) -> Shown:
    """Everything about one trial, by its id or a beginning of it.

    Raises:
        StoreError: see :func:`find_trial`; a file of the store cannot be read.
    """
    trial = find_trial(store, prefix)
    rows = sorted(first_published(rows_of(store, "trials", trial)), key=publication_order, reverse=True)
    published = tuple(
        Published(row, _rows_of_attempt(store, "metrics", row), _rows_of_attempt(store, "artifacts", row))
        for row in rows
    )
    lease = max(
        (one for one in leasing.leases(store.storage) if one.trial == trial), key=lambda one: one.renewed, default=None
    )
    live = lease.attempt if lease is not None and leasing.alive(lease, clock()) else ""
    checks = sorted(rows_of(store, "checks", trial), key=lambda row: str(row["at"]))
    attempts = tuple(_attempts(rows_of(store, "attempts", trial), live))
    begun = [row for one in attempts for row in one.events if row["spec"]]
    spec = _spec(store, (rows or begun)[0]) if rows or begun else None
    return Shown(trial, spec, published, attempts, tuple(checks), lease)


def _spec(store: Store, row: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(row["spec"]))
    except (ValueError, TypeError):
        raise StoreError(
            f"store {store.root}: the column 'spec' of trial {row['id']} is damaged; see `sweep verify`"
        ) from None


def _rows_of_attempt(store: Store, table: str, row: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    rows = named_rows(store, table, names.part_name(row["id"], row["attempt"]))
    if table == "artifacts":
        return tuple(sorted(rows, key=lambda one: str(one["role"])))
    return tuple(sorted(rows, key=lambda one: (one["samples"], one["split"], one["metric"])))


def _attempts(rows: Rows, live: str) -> Iterable[Attempt]:
    for attempt in sorted({row["attempt"] for row in rows}):
        events = sorted(
            (row for row in rows if row["attempt"] == attempt), key=lambda row: (str(row["at"]), row["event"])
        )
        started = next((row["at"] for row in events if row["event"] != "ended"), None)
        end = next((row for row in reversed(events) if row["event"] == "ended"), None)
        said = end or events[0]
        outcome = end["outcome"] if end else "running" if attempt == live else "gone"
        ended, reason, trace = (end["at"], end["reason"], end["traceback"]) if end else (None, None, None)
        yield Attempt(attempt, said["revision"], outcome, started, ended, reason, trace, said["host"], tuple(events))
