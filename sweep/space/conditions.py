"""``when``, ``exclude``, ``where`` and ``--where``: a trial fits if every named field has one of the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.space.source import Path_, Source
from sweep.space.vocabulary import Vocabulary
from sweep.trial import field_value
from trainers.spec import TrialSpec

Wanted = Mapping[str, list[Any]]

ABSENT = object()


def reader(condition: Mapping[str, Any], path: Path_, source: Source, vocabulary: Vocabulary) -> dict[str, list[Any]]:
    """A condition of the file in the form that :func:`matches` takes.

    Raises:
        BadInputError: an unknown field, or a value that it can never have.
    """
    wanted: dict[str, list[Any]] = {}
    for key, given in condition.items():
        where = source.where((*path, key))
        vocabulary.require(key, where)
        wanted[key] = vocabulary.comparable(key, given if isinstance(given, list) else [given], where)
    return wanted


def matches(spec: TrialSpec, wanted: Wanted, written: Mapping[str, Any] | None = None) -> bool:
    """Whether every field of ``wanted`` has one of its values in ``spec``.

    ``written`` are fields by dotted name that count as the grid wrote them, not as ``spec`` holds them: the law of a
    clean cell, which its specification no longer knows.
    """
    for key, values in wanted.items():
        have = written[key] if written is not None and key in written else value_of(spec, key)
        if not any(same(have, value) for value in values):
            return False
    return True


def value_of(spec: TrialSpec, key: str) -> Any:
    """The value of a field, or a mark that equals none where ``spec`` lacks it: another family, another optimiser."""
    try:
        return field_value(spec, key)
    except AttributeError:
        return ABSENT


def same(one: Any, other: Any) -> bool:
    """Equal as values of a grid: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def hashed(value: Any) -> object:
    """Something hashable that is equal for two values exactly where :func:`same` holds."""
    try:
        hash(value)
    except TypeError:
        return ("unhashable", repr(value))
    return (isinstance(value, bool), value)
