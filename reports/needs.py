"""Needed trials by what they are, not by their id: ids differ from seed to seed, and a panel holds all seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping

from reports.fields import Fields, Named, noise_variant

PREFIX = "needs."
#: A role that only tells a noisy trial from its clean twin.
TWIN = "twin"
#: A role that describes the noise: another teacher is another noise, held against the same clean trials.
TEACHER = "teacher"

#: Fields that vary within a panel: compared with its own, a needed trial's would come and go from cell to cell.
VARYING = frozenset({"noise.ratio", "noise.law", "noise.refresh", "batch.multiplier", "budget.samples", "budget.rule"})
#: How deep needs of needs are followed; no family goes beyond two, and a forged store could go round in a circle.
DEPTH = 4


def needed(fields: Fields, known: Mapping[str, Fields], *, seeds: bool = False) -> Named:
    """What the needs of a trial add to its configuration, ``needs.<role>.<field>``, ``needs.<role>`` for an unknown id.

    Of a needed trial that the store knows, those fields that differ from the trial's own, and those that vary within
    a panel. Its seed stays out unless ``seeds`` says so; so does how often it was measured. What a teacher is belongs
    to the noise: see :func:`teacher`.
    """
    return tuple(sorted((f"{PREFIX}{name}", value) for name, value in _needed(fields, known, seeds, DEPTH)))


def teacher(fields: Fields, known: Mapping[str, Fields]) -> Named:
    """What the teacher of a noise is: ``teacher.<field>``, or ``teacher`` for an id that the store does not know."""
    found = _role(TEACHER, fields, known, seeds=False, depth=DEPTH)
    return tuple(sorted(found))


def roles(fields: Fields) -> dict[str, str]:
    """Role -> id, as JSON text."""
    return {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}


def _needed(fields: Fields, known: Mapping[str, Fields], seeds: bool, depth: int) -> list[tuple[str, str]]:
    names = sorted(roles(fields).keys() - {TWIN, TEACHER})
    return [field for name in names for field in _role(name, fields, known, seeds=seeds, depth=depth)]


def _role(role: str, fields: Fields, known: Mapping[str, Fields], *, seeds: bool, depth: int) -> list[tuple[str, str]]:
    told = fields.get(f"{PREFIX}{role}")
    if told is None:
        return []
    trial = known.get(_id(told))
    if trial is None or not depth:
        return [(role, told)]
    found = [(name, value) for name, value in _described(trial, seeds) if _tells(name, value, fields)]
    found += _role(TEACHER, trial, known, seeds=False, depth=depth - 1)
    found += [(f"{PREFIX}{name}", value) for name, value in _needed(trial, known, seeds, depth - 1)]
    return [(f"{role}.{name}", value) for name, value in found]


def _described(trial: Fields, seeds: bool) -> list[tuple[str, str]]:
    """A trial's own fields: without needs, measuring, and what says nothing at its ratio or multiplier."""
    clean = trial.get("noise.ratio", "").strip('"') == "0"
    kept = [
        (name, value)
        for name, value in trial.items()
        if not name.startswith((PREFIX, "evaluation.", "noise.")) and (seeds or name != "seed")
        if not (name == "budget.rule" and clean) and (name, value) != ("batch.multiplier", "1")
    ]
    noise = ["noise.ratio"] if clean else ["noise.ratio", "noise.law", "noise.refresh"]
    kept += [(name, trial[name]) for name in noise if name in trial]
    if not clean:
        kept += [(f"noise.{name}", value) for name, value in noise_variant(trial)]
        kept += [("noise.map", trial["noise.map"])] if trial.get("noise.map", "null") != "null" else []
    return kept


def _tells(name: str, value: str, own: Fields) -> bool:
    return name in VARYING or name == "seed" or name.startswith("noise.") or own.get(name) != value


def _id(told: str) -> str:
    value = json.loads(told)
    return value if isinstance(value, str) else ""
