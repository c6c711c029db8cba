"""From a group of a grid file to its cells: fixed fields, axes that multiply, lists that move together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sweep.errors import BadInputError
from sweep.space.explain import nearest, short
from sweep.space.grid import Group
from sweep.space.source import Path_, Source

MAX_CELLS = 200_000


@dataclass(frozen=True)
class Value:
    """A field's value and where in the file it stands."""

    value: Any
    path: Path_


Cell = dict[str, Value]


def flatten(fields: dict[str, Any], path: Path_, prefix: str = "") -> Cell:
    """``{noise: {law: x}}`` and ``{noise.law: x}`` mean the same."""
    flat: Cell = {}
    for key, value in fields.items():
        at = (*path, key)
        if isinstance(value, dict):
            flat |= flatten(value, at, f"{prefix}{key}.")
        else:
            flat[prefix + key] = Value(value, at)
    return flat


def nest(cell: Cell) -> dict[str, Any]:
    """Dotted names as nested mappings, as the family's model reads them."""
    nested: dict[str, Any] = {}
    for dotted, item in cell.items():
        *sections, leaf = dotted.split(".")
        inside = nested
        for section in sections:
            inside = inside.setdefault(section, {})
        inside[leaf] = item.value
    return nested


@dataclass(frozen=True)
class Axis:
    """Fields that move together over as many cells as ``cells`` has entries; a plain axis has one field."""

    cells: tuple[Cell, ...]


class Expansion:
    """The axes of one group, checked, and their product."""

    def __init__(self, group: Group, base: Path_, source: Source, allowed: frozenset[str]) -> None:
        self.source = source
        self.allowed = allowed
        self.taken: dict[str, Path_] = {}
        self.fixed = flatten(group.set, (*base, "set"))
        for key, item in self.fixed.items():
            self._take(key, item.path)
        self.axes = [self._axis({key: values}, (*base, "grid")) for key, values in group.grid.items()]
        bundles = [group.zip] if isinstance(group.zip, dict) else group.zip
        for index, bundle in enumerate(bundles):
            at = (*base, "zip") if isinstance(group.zip, dict) else (*base, "zip", index)
            if bundle:
                self.axes.append(self._axis(bundle, at))
        size = math.prod(len(axis.cells) for axis in self.axes)
        if size > MAX_CELLS:
            raise BadInputError(
                f"{source.where(base)}: group {group.name!r} has {size:,} cells; at most {MAX_CELLS:,} are allowed"
            )

    def _take(self, key: str, path: Path_) -> None:
        where = self.source.where(path)
        if key not in self.allowed:
            raise BadInputError(f"{where}: unknown key {key!r}{nearest(key, self.allowed)}")
        if key in self.taken:
            first = self.source.where(self.taken[key])
            raise BadInputError(f"{where}: {key!r} is given twice (first at {first}); keep one of set, grid, zip")
        for one, other in (("noise.ratio", "noise.rate"), ("noise.rate", "noise.ratio")):
            if key == one and other in self.taken:
                raise BadInputError(f"{where}: give either noise.ratio or noise.rate, not both")
        self.taken[key] = path

    def _axis(self, bundle: dict[str, list[Any]], base: Path_) -> Axis:
        lengths = {key: len(values) for key, values in bundle.items()}
        for key, values in bundle.items():
            at = (*base, key)
            self._take(key, at)
            where = self.source.where(at)
            if not values:
                raise BadInputError(f"{where}: the axis {key!r} is empty; give at least one value or remove it")
            if lengths[key] != next(iter(lengths.values())):
                sizes = ", ".join(f"{name} has {size}" for name, size in lengths.items())
                raise BadInputError(f"{where}: lists that are zipped must be of equal length; {sizes}")
            if len(bundle) == 1:
                repeated = next((v for i, v in enumerate(values) if _in(v, values[:i])), None)
                if repeated is not None:
                    raise BadInputError(f"{where}: the axis {key!r} lists {short(repeated)} twice")
        count = next(iter(lengths.values()))
        return Axis(
            tuple({key: Value(values[i], (*base, key, i)) for key, values in bundle.items()} for i in range(count))
        )

    def cells(self) -> Iterator[Cell]:
        """Every combination, the last axis running fastest."""
        for combination in itertools.product(*(axis.cells for axis in self.axes)):
            cell = dict(self.fixed)
            for part in combination:
                cell |= part
            yield cell


def _in(value: Any, values: list[Any]) -> bool:
    return any(type(value) is type(other) and value == other for other in values)
