"""What a grid will cost, from throughput that a store has measured; where it has none, nothing is claimed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

from pydantic import ValidationError

from sweep.errors import StoreError
from sweep.plan import Entry, Plan
from sweep.store import names
from sweep.store.read import named_rows
from sweep.store.store import Store
from sweep.trial import Kind, kind_of
from trainers import registry
from trainers.errors import SpecError

#: Rows read for an estimate: some of each kind in the grid, then some of whatever else the store has.
ROWS_A_KIND = 6
ROWS_OTHERS = 24


@dataclass(frozen=True)
class Cost:
    """Seconds on one slot for the trials that a run would train, and how many of them nothing is known of."""

    seconds: float
    unknown: int
    known: int


def sample_rates(plan: Plan, store: Store | None) -> dict[Kind, float]:
    """Median seconds a sample, by kind of trial, from published trials.

    Names tell which trials are published but not of what kind those are that this grid does not list; so trials of
    the grid are read first.
    """
    if store is None:
        return {}
    found: dict[Kind, list[float]] = defaultdict(list)
    listed: dict[Kind, list[str]] = defaultdict(list)
    for entry in plan.entries:
        if plan.index.published.get(entry.id):
            listed[entry.trial.kind].append(entry.id)
    ours = [trial for ids in listed.values() for trial in _spread(ids, ROWS_A_KIND)]
    missing = {entry.trial.kind for entry in plan.entries if entry.status != "done"} - listed.keys()
    kinds = {entry.id: entry.trial.kind for entry in plan.entries}
    others = [t for t in plan.index.published if t not in kinds] if missing else []
    for trial in [*ours, *_spread(sorted(others), ROWS_OTHERS)]:
        revision = max(plan.index.published[trial])  # any will do: how long it takes is what is asked
        with suppress(StoreError):  # an estimate does without a damaged row; `sweep verify` names it
            for row in named_rows(store, "trials", names.trial_name(trial, revision))[:1]:
                kind = kinds.get(trial) or _kind(row)
                if kind is not None and row["trial_seconds"] and row["samples"]:
                    found[kind].append(row["trial_seconds"] / row["samples"])
    return {kind: median(values) for kind, values in found.items()}


def cost(entries: Iterable[Entry], rates: Mapping[Kind, float]) -> Cost:
    """Sum the expected seconds of ``entries``."""
    seconds, unknown, known = 0.0, 0, 0
    for entry in entries:
        rate = rates.get(entry.trial.kind)
        if rate is None:
            unknown += 1
        else:
            known += 1
            seconds += rate * entry.trial.spec.samples
    return Cost(seconds, unknown, known)


def _kind(row: Mapping[str, Any]) -> Kind | None:
    """The kind of a stored trial; None where its family is not plugged in any more, or has other fields now."""
    try:
        fields = json.loads(row["spec"]) | {"dataset": row["dataset"]}
        return kind_of(registry.family(row["family"]).spec.model_validate(fields))
    except (SpecError, ValidationError, ValueError, TypeError):
        return None


def _spread(items: list[str], count: int) -> list[str]:
    """At most ``count`` of ``items``, evenly over the list."""
    step = max(1, len(items) // count)
    return items[::step][:count]
