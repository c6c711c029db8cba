"""From a group of a grid file to its cells: fixed fields, axes that multiply, lists that move together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sweep.errors import BadInputError
from sweep.space.conditions import hashed
from sweep.space.explain import short
from sweep.space.grid import Group
from sweep.space.source import OPTION, Path_, Source
from sweep.space.vocabulary import EXACT, RATE, RATIO, Vocabulary

MAX_CELLS = 200_000


@dataclass(frozen=True)
class Value:
    """A field's value and where in the file it stands."""

    value: Any
    path: Path_


Cell = dict[str, Value]


def flatten(
    fields: Mapping[str, Any], path: Path_, leaves: Container[str], prefix: str = ""
) -> list[tuple[str, Value]]:
    """``{noise: {law: x}}`` and ``{noise.law: x}`` mean the same. A mapping under a name in ``leaves`` is a value."""
    flat: list[tuple[str, Value]] = []
    for key, value in fields.items():
        name, at = prefix + key, (*path, key)
        if isinstance(value, dict) and value and name not in leaves:
            flat.extend(flatten(value, at, leaves, f"{name}."))
        else:
            flat.append((name, Value(value, at)))
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
    """The axes of one group, checked, and their product. ``overrides`` take the place of what the file gives."""

    def __init__(
        self, group: Group, base: Path_, source: Source, vocabulary: Vocabulary, overrides: Mapping[str, Any]
    ) -> None:
        self.source = source
        self.vocabulary = vocabulary
        self.taken: dict[str, Path_] = {}
        self.dropped = set(overrides)
        if self.dropped & {RATIO, RATE}:
            self.dropped |= {RATIO, RATE}
        self.fixed: Cell = {}
        for key, item in flatten(group.set, (*base, "set"), vocabulary.keys):
            self._take(key, item.path)
            if key not in self.dropped:
                self.fixed[key] = item
        axes = [self._axis({key: values}, (*base, "grid")) for key, values in group.grid.items()]
        bundles = [group.zip] if isinstance(group.zip, dict) else group.zip
        for index, bundle in enumerate(bundles):
            at = (*base, "zip") if isinstance(group.zip, dict) else (*base, "zip", index)
            axes.append(self._axis(bundle, at))
        self.axes = [axis for axis in axes if axis is not None]
        self.taken.clear()
        for key, value in overrides.items():
            self._take(key, (OPTION, key))
            self.fixed[key] = Value(value, (OPTION, key))
        size = math.prod(len(axis.cells) for axis in self.axes)
        if size > MAX_CELLS:
            raise BadInputError(
                f"{source.where(base)}: group {group.name!r} has {size:,} cells; at most {MAX_CELLS:,} are allowed"
            )

    def _take(self, key: str, path: Path_) -> None:
        where = self.source.where(path)
        self.vocabulary.require(key, where)
        if key in self.taken:
            first = self.source.where(self.taken[key])
            raise BadInputError(f"{where}: {key!r} is given twice (first at {first}); keep one of set, grid, zip")
        for one, other in ((RATIO, RATE), (RATE, RATIO)):
            if key == one and other in self.taken:
                raise BadInputError(f"{where}: give either noise.ratio or noise.rate, not both")
        self.taken[key] = path

    def _axis(self, bundle: dict[str, list[Any]], base: Path_) -> Axis | None:
        """The axis of one or more lists; None where overrides leave nothing of it."""
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
        kept = {key: values for key, values in bundle.items() if key not in self.dropped}
        if not kept:
            return None
        rows: dict[object, Cell] = {}
        for position, row in enumerate(zip(*kept.values(), strict=True)):
            mark = tuple(_mark(key, value) for key, value in zip(kept, row, strict=True))
            if mark not in rows:
                rows[mark] = {key: Value(v, (*base, key, position)) for key, v in zip(kept, row, strict=True)}
            elif len(kept) == len(bundle):  # where an override took a list away, the rest may well repeat
                where = self.source.where((*base, next(iter(kept)), position))
                named = ", ".join(f"{key} = {short(value)}" for key, value in zip(kept, row, strict=True))
                raise BadInputError(f"{where}: the axis lists {named} twice; remove one of the two")
        return Axis(tuple(rows.values()))

    def cells(self) -> Iterator[Cell]:
        """Every combination, the last axis running fastest."""
        for combination in itertools.product(*(axis.cells for axis in self.axes)):
            cell = dict(self.fixed)
            for part in combination:
                cell |= part
            yield cell


def _mark(key: str, value: Any) -> object:
    """What two values have in common that mean the same: 0.5 and "1/2" as a ratio, 1 and 1.0 anywhere."""
    if key in EXACT:
        try:
            return EXACT[key](value)
        except ValueError:  # told with its place when the cell is read
            pass
    return hashed(value)
