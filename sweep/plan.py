"""The plan: every trial of a grid against what a store holds. Reads file names, no rows, and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sweep.revision import Revision, changes, revisions
from sweep.store.names import Index
from sweep.store.store import Store
from sweep.trial import Space, Trial
from trainers import registry

Status = Literal["done", "todo", "failed", "stale", "blocked"]
STATUSES: tuple[Status, ...] = ("done", "todo", "failed", "stale", "blocked")


@dataclass(frozen=True, slots=True)
class Entry:
    """A trial and how it stands. ``revision`` is None where its data is not on this machine."""

    trial: Trial
    revision: Revision | None
    status: Status

    @property
    def id(self) -> str:
        return self.trial.id


@dataclass(frozen=True)
class Plan:
    """All trials of a grid, what is needed before what needs it."""

    space: Space
    entries: tuple[Entry, ...]
    index: Index
    data_root: Path | None = None

    @property
    def counts(self) -> dict[Status, int]:
        found = Counter(entry.status for entry in self.entries)
        return {status: found[status] for status in STATUSES}

    def to_run(self, *, stale: bool = False, failed: bool = False) -> list[Entry]:
        """What a run would train: what is missing and, where asked for, what is stale or failed.

        What such a trial needs comes along in its present revision, since artifacts of an older one would not be
        what its own revision says. What needs a failed trial stays blocked, unless that one is tried again.
        """
        by_id = {entry.id: entry for entry in self.entries}
        wanted: dict[str, Entry] = {}
        barred: set[str] = set()
        for entry in self.entries:
            if any(need in barred for need in entry.trial.needs.values()) or (entry.status == "failed" and not failed):
                barred.add(entry.id)
        for entry in reversed(self.entries):
            older = self.index.stale(entry.id, entry.revision.digest if entry.revision else None)
            # What is published in an older revision alone waits for --stale, also while what it needs has failed.
            chosen = stale if older else entry.status in {"todo", "failed", "blocked"}
            if (chosen or entry.id in wanted) and entry.id not in barred:
                wanted[entry.id] = entry
                for need in entry.trial.needs.values():
                    if by_id[need].status != "done":
                        wanted[need] = by_id[need]
        return [entry for entry in self.entries if entry.id in wanted]

    def missing_data(self) -> dict[str, str]:
        """Data set or other file -> how to get it, for what unfinished trials lack on this machine."""
        by_id = {entry.id: entry for entry in self.entries}
        lacking = [entry for entry in self.entries if entry.revision is None and entry.status != "done"]
        # A trial has no revision either where what it needs has none: then it is that one's data.
        asked = [*lacking, *(by_id[need] for entry in lacking for need in entry.trial.needs.values())]
        sets = {name: registry.dataset(name) for name in sorted({entry.trial.spec.dataset for entry in asked})}
        lacked = {name: found.obtain for name, found in sets.items() if not found.present(self.data_root)}
        for entry in self.entries:
            absent = registry.family(entry.trial.spec.family).absent
            if absent is not None and entry.status != "done":
                lacked |= absent(entry.trial.spec, self.data_root)
        return lacked


def make_plan(space: Space, store: Store | None, data_root: Path | None) -> Plan:
    """Status of every trial of ``space`` against ``store`` (None: there is no store yet).

    Raises:
        StoreError: the store cannot be read.
        BadInputError: the sources of a plug-in cannot be read.
    """
    index = store.index() if store is not None else Index()
    present = revisions(space.trials, data_root)
    entries: list[Entry] = []
    statuses: dict[str, Status] = {}
    for trial in space.trials:
        status = _status(trial, present[trial.id], index, statuses)
        statuses[trial.id] = status
        entries.append(Entry(trial, present[trial.id], status))
    return Plan(space, tuple(entries), index, data_root)


def _status(trial: Trial, revision: Revision | None, index: Index, known: Mapping[str, Status]) -> Status:
    digest = revision.digest if revision is not None else None
    if index.done(trial.id, digest):
        return "done"
    if digest is not None and index.failures.get((trial.id, digest)):
        return "failed"
    if any(known[need] in {"failed", "blocked"} for need in trial.needs.values()):
        return "blocked"
    return "stale" if index.stale(trial.id, digest) else "todo"


def what_changed(plan: Plan, store: Store) -> dict[str, list[str]]:
    """Stale trial -> modules, data or needs that differ from the newest published revision that is on record."""
    found: dict[str, list[str]] = {}
    seen: dict[tuple[str, str], list[str]] = {}
    for entry in plan.entries:
        if entry.status != "stale" or entry.revision is None:
            continue
        best: list[str] | None = None
        for old in sorted(plan.index.published[entry.id]):
            key = (old, entry.revision.digest)
            if key not in seen:
                record = store.read_revision(old)
                seen[key] = changes(record, entry.revision) if record else ["a revision that is not on record"]
            if best is None or len(seen[key]) < len(best):
                best = seen[key]
        found[entry.id] = best or []
    return found


def as_rows(plan: Plan, parameters: Mapping[str, int | None]) -> dict[str, Any]:
    """The stable JSON of ``plan --json`` (design 3.7)."""
    return {
        "space": plan.space.name,
        "counts": plan.counts,
        "trials": [_row(entry, parameters.get(entry.id)) for entry in plan.entries],
    }


def _row(entry: Entry, parameters: int | None) -> dict[str, Any]:
    spec = entry.trial.spec
    return {
        "id": entry.id,
        "group": entry.trial.group,
        "family": spec.family,
        "model": spec.model,
        "dataset": spec.dataset,
        "noise": {"law": spec.noise.law, "ratio": float(spec.noise.ratio), "rate": float(spec.noise.rate)},
        "batch": spec.batch.total,
        "steps": spec.steps,
        "samples": spec.samples,
        "parameters": parameters,
        "seed": spec.seed,
        "needs": sorted(spec.needs.values()),
        "status": entry.status,
    }


def needed_first(entries: Sequence[Entry]) -> list[tuple[Entry, tuple[str, ...]]]:
    """Each entry with those of its needs that run along with it."""
    running = {entry.id for entry in entries}
    return [(entry, tuple(n for n in entry.trial.needs.values() if n in running)) for entry in entries]
