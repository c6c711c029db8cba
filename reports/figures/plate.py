"""A figure worked out, of whatever kind: what it draws, says and tabulates. The document and the files take no other.

Kinds that are no grid of panels over r make plates themselves: an :class:`Kind` gets a figure set and returns them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.cells import FigureSet
from reports.confusions import Confusions
from reports.gradients import Gradients
from reports.measures import Measured
from reports.rows import Published
from reports.samples import Samples


@dataclass(frozen=True)
class Sheet:
    """A CSV file: its head and its rows, in full precision."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Group:
    """Rows of a table below one heading, as people read them; rows that are not ``complete`` are shown grey."""

    label: str
    rows: Sequence[Sequence[str]]
    complete: Sequence[bool]


@dataclass(frozen=True)
class Table:
    """A table of a plate. ``spans``: heads above ``(words, columns)``; ``sheet`` is its CSV, in ``part``'s file."""

    caption: str
    heads: Sequence[str]
    spans: Sequence[tuple[str, int]]
    groups: Sequence[Group]
    sheet: Sheet
    part: str = ""


@dataclass(frozen=True)
class Plate:
    """A figure. ``name`` is that of its files, ``draw`` makes it within ``style.settings()``, ``points`` is its CSV.

    ``caption`` tells how to read it, ``small`` n, seeds, intervals and data, ``says`` what it found, in a sentence for
    the summary ("" for nothing).
    """

    name: str
    kind: str
    title: str
    alt: str
    caption: str
    small: str
    draw: Callable[[], Any]
    points: Sheet
    tables: Sequence[Table]
    marks: str = ""
    says: str = ""


@dataclass(frozen=True)
class Study:
    """What a kind gets: a figure set, the beginning of its file names, and what its trials measured."""

    view: FigureSet
    slug: str
    measured: Mapping[str, Measured]
    gradients: Callable[[Published], Gradients | None]
    judged: Callable[[Published], Confusions | None]
    samples: Callable[[Published], Samples | None]


@dataclass(frozen=True)
class Kind:
    """A kind of figure that makes its own plates: none where a set has nothing for it."""

    name: str
    title: str
    plates: Callable[[Study], Sequence[Plate]]
