"""``when``, ``exclude``, ``where`` and ``--where``: a trial fits if every named field has one of the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sweep.errors import BadInputError
from sweep.space.explain import nearest, short
from sweep.space.source import Path_, Source
from sweep.trial import field_value
from trainers.spec import TrialSpec, exact

#: Fields held as exact fractions: 0.1 in a file is 1/10 here.
EXACT = {"noise.ratio", "noise.rate"}

Wanted = Mapping[str, list[Any]]


def reader(condition: Mapping[str, Any], path: Path_, source: Source, allowed: Iterable[str]) -> dict[str, list[Any]]:
    """A condition of the file in the form that :func:`matches` takes.

    Raises:
        BadInputError: an unknown field, or a value that cannot be compared with it.
    """
    wanted: dict[str, list[Any]] = {}
    known = frozenset(allowed)
    for key, given in condition.items():
        where = source.where((*path, key))
        if key not in known:
            raise BadInputError(f"{where}: unknown key {key!r}{nearest(key, known)}")
        wanted[key] = comparable(key, given if isinstance(given, list) else [given], where)
    return wanted


def comparable(key: str, values: list[Any], where: str) -> list[Any]:
    """Values as the field holds them.

    Raises:
        BadInputError: a ratio or rate that is no number.
    """
    if key not in EXACT:
        return values
    try:
        return [exact(value) for value in values]
    except ValueError as error:
        raise BadInputError(f"{where}: {key} = {short(values)}: {error}") from None


def matches(spec: TrialSpec, wanted: Wanted) -> bool:
    """Whether every field of ``wanted`` has one of its values in ``spec``."""
    return all(any(_same(field_value(spec, key), value) for value in values) for key, values in wanted.items())


def _same(have: Any, want: Any) -> bool:
    if isinstance(have, bool) or isinstance(want, bool):
        return have is want
    return bool(have == want)
