"""A part of a space: the trials that have certain values, and what they need (``--where``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweep.errors import BadInputError
from sweep.space.conditions import ABSENT, hashed, same, value_of
from sweep.space.explain import joined, nearest, short
from sweep.space.source import scalar
from sweep.space.vocabulary import Vocabulary
from sweep.trial import Space, Trial
from trainers import registry

#: What can be asked of a trial beside the fields of its specification.
_OWN = ("id", "group", "family")
SHOWN = 8


def select(space: Space, wanted: Mapping[str, Sequence[Any]]) -> Space:
    """Trials that have, in every field of ``wanted``, one of its values; and whatever those need.

    Fields are dotted names, ``noise.rate``, ``id``, ``group`` and ``family``. A value may be given as text, as on a
    command line: it is read as the field reads it. A clean trial (ratio 0) has the default law.

    Raises:
        BadInputError: a field that no trial has, a value that none has, or values that none has together.
    """
    vocabularies = {name: Vocabulary(registry.family(name)) for name in {trial.spec.family for trial in space.trials}}
    held = {key: [_held(space, key, value, vocabularies.values()) for value in wanted[key]] for key in wanted}
    chosen = {
        trial.id
        for trial in space.trials
        if all(any(same(_value(trial, key), value) for value in values) for key, values in held.items())
    }
    if not chosen:
        asked = " and ".join(f"{key} = {' or '.join(map(str, values))}" for key, values in held.items())
        raise BadInputError(f"--where: no trial of {space.source} has {asked} together; drop a condition")
    for trial in reversed(space.trials):  # what is needed stands before what needs it
        if trial.id in chosen:
            chosen.update(trial.needs.values())
    return replace(space, trials=tuple(trial for trial in space.trials if trial.id in chosen))


def _value(trial: Trial, key: str) -> Any:
    if key == "id":
        return trial.id
    return trial.group if key == "group" else value_of(trial.spec, key)


def _spellings(value: Any) -> list[Any]:
    """A text as it stands, and as a grid file would read it."""
    if not isinstance(value, str):
        return [value]
    try:
        return [value, scalar(value)]
    except BadInputError:
        return [value]


def _held(space: Space, key: str, value: Any, vocabularies: Iterable[Vocabulary]) -> Any:
    """``value`` as the trials hold it."""
    where = f"--where {key}"
    known = {name for vocabulary in vocabularies for name in vocabulary.keys}
    if key not in known.union(_OWN):
        raise BadInputError(f"{where}: unknown field {short(key)}{nearest(key, known.union(_OWN))}")
    readings = [value]
    refusals: list[str] = []
    if key not in _OWN:
        given, readings = _spellings(value), []
        for vocabulary in vocabularies:
            for one in given if key in vocabulary.keys else ():
                try:
                    readings.extend(vocabulary.comparable(key, [one], where))
                except BadInputError as error:
                    refusals.append(str(error))
    have = {hashed(found): found for trial in space.trials if (found := _value(trial, key)) is not ABSENT}
    for reading in readings:
        if hashed(reading) in have:
            return reading
    if refusals and not readings:
        raise BadInputError(joined(list(dict.fromkeys(refusals))[-1:]))
    values = sorted(map(str, have.values()))
    rest = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    raise BadInputError(
        f"{where}: no trial of {space.source} has {key} = {value}; there are {', '.join(values[:SHOWN])}{rest}"
    )
