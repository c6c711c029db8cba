"""What is plugged in: families, data sets and noise laws, found through entry points."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from trainers.errors import SpecError
from trainers.protocol import Dataset, DatasetMaker, Family, NoiseLaw

GROUPS = {
    "trainer": "noisegrid.trainers",
    "data set": "noisegrid.datasets",
    "data set maker": "noisegrid.dataset_makers",
    "noise law": "noisegrid.noise",
}


def names(kind: str) -> list[str]:
    """Registered names of a kind (``trainer``, ``data set``, ``noise law``), sorted, nothing imported."""
    return sorted(_points(kind))


def family(name: str) -> Family:
    """Raises:
    SpecError: no such trainer, or its plug-in cannot be imported.
    """
    return cast(Family, _load("trainer", name))


def dataset(name: str) -> Dataset:
    """The data set of that name. ``maker/rest`` is what the maker of that name makes of the rest: data of users' own.

    Raises:
        SpecError: no such data set, or its plug-in cannot be imported.
    """
    maker, slash, rest = name.partition("/")
    if slash:
        return dataset_maker(maker)(rest)
    return cast(Dataset, _load("data set", name))


def dataset_maker(name: str) -> DatasetMaker:
    """Raises:
    SpecError: no such maker, or its plug-in cannot be imported.
    """
    return cast(DatasetMaker, _load("data set maker", name))


def noise_law(name: str) -> NoiseLaw:
    """Raises:
    SpecError: no such noise law, or its plug-in cannot be imported.
    """
    return cast(NoiseLaw, _load("noise law", name))


def module(kind: str, name: str) -> str:
    """The module that a registered name points to, not imported.

    Raises:
        SpecError: no such name.
    """
    if kind == "data set" and "/" in name:
        kind, name = "data set maker", name.partition("/")[0]
    points = _points(kind)
    if name not in points:
        raise SpecError(unknown(kind, name, sorted(points)))
    return points[name].module


@cache
def _points(kind: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUPS[kind]):
        other = found.setdefault(point.name, point)
        if other.value != point.value:  # which of the two would win hangs on the order of the path
            raise SpecError(
                f"the {kind} {point.name!r} is registered twice, as {other.value} and as {point.value}; "
                "uninstall one of the two packages or rename its entry point"
            )
    return found


@cache
def _load(kind: str, name: str) -> Any:
    points = _points(kind)
    if name not in points:
        own = " Data of your own is " + " or ".join(f"{maker}/NAME" for maker in names("data set maker")) + "."
        raise SpecError(unknown(kind, name, sorted(points)) + (own if kind == "data set" else ""))
    try:
        return points[name].load()
    except Exception as error:  # a plug-in is foreign code: whatever it raises is its fault, and is named
        raise SpecError(f"{kind} {name!r} ({points[name].value}) cannot be imported: {error!r}") from error


def unknown(kind: str, name: str, allowed: list[str]) -> str:
    """The sentence for a name that is not among those allowed, with the nearest one."""
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {name!r}{hint}. Allowed: {', '.join(allowed) or 'none is registered'}."
