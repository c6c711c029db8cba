"""What a kind of figure is: rows in, drawing, caption and table out. The registry lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports import text
from reports.figures.axes import Column as Panels
from reports.figures.axes import Strip, draw
from reports.measures import EXCESS
from reports.points import Point


@dataclass(frozen=True)
class Cell:
    """The points of one table row: one ratio and multiplier of a panel, by quantity.

    ``mixed`` tells that the floors of its set come from twins and from r = 0 cells, so that a row must say from which.
    """

    points: Mapping[str, Point]
    mixed: bool = False

    @property
    def first(self) -> Point:
        """The point of the first quantity, whose n stands in the column n/N."""
        return next(iter(self.points.values()))


@dataclass(frozen=True)
class Field:
    """A column of the table: its head, what people read, and the raw value for the CSV.

    ``span`` names a head above several neighbouring columns.
    """

    head: str
    shown: Callable[[Cell], str]
    raw: Mapping[str, Callable[[Cell], object]]
    span: str = ""


@dataclass(frozen=True)
class Item:
    """A kind of figure.

    ``needs`` are the quantities of which at least one must have a value for the figure to be drawn. ``caption``
    gets the points of the figure and tells how to read it; n, seeds and reading are added by the document.
    ``clean`` tells whether there are points at r = 0.
    """

    name: str
    title: str
    panels: Sequence[Panels]
    needs: Sequence[str]
    extra: Sequence[str]
    fields: Sequence[Field]
    caption: Callable[[Sequence[Point]], str]
    clean: bool = True

    @property
    def quantities(self) -> tuple[str, ...]:
        """All quantities of the figure and its table."""
        return (*(panels.quantity for panels in self.panels), *self.extra)

    def draw(self, rows: Sequence[Strip]) -> Any:
        """The figure, of matplotlib; call it within ``style.settings()``."""
        return draw(
            rows, [one for one in self.panels if not one.optional or any(_valued(row, one.quantity) for row in rows)]
        )

    def counts(self, row: Strip, cell: Cell) -> list[Point]:
        """The points of a table row that it takes for the row to be complete: those that its trials could have.

        At r = 0 a trial has no excess; what is optional counts where the panel has any value of it.
        """
        optional = {*self.extra, *(one.quantity for one in self.panels if one.optional)}
        return [
            point
            for quantity, point in cell.points.items()
            if (point.ratio or quantity not in EXCESS) and (quantity not in optional or _valued(row, quantity))
        ]

    def present(self, points: Sequence[Point]) -> bool:
        """Whether there is anything to draw."""
        return any(point.quantity in self.needs and (point.n or point.not_finite) for point in points)


def _valued(row: Strip, quantity: str) -> bool:
    return any(point.n or point.not_finite for point in row.points[quantity])


def mean_field(
    quantity: str, span: str, digits: int = 3, *, signed: bool = False, head: str = "mean", absent: str = "undefined"
) -> Field:
    """The mean, and its n where that is not the row's; words where values are undefined or not finite."""

    def shown(cell: Cell) -> str:
        point = cell.points[quantity]
        if point.not_finite:
            return f"{point.not_finite} not finite"
        if point.undefined and not point.n:
            return absent
        told = (text.signed if signed else text.number)(point.mean, digits)
        return told if point.mean is None or point.n == cell.first.n else f"{told} ({point.n})"

    raw = {quantity: lambda cell: cell.points[quantity].mean, f"{quantity}_n": lambda cell: cell.points[quantity].n}
    return Field(head, shown, raw, span)


def interval_field(quantity: str, span: str, digits: int = 3) -> Field:
    """The 95 % t-interval over seeds; words where there are too few for one, or where its width is nought."""

    def shown(cell: Cell) -> str:
        point = cell.points[quantity]
        if point.mean is not None and point.low is None:
            return "n < 3"
        return SEEDS_AGREE if point.agreed else text.interval(point.low, point.high, digits)

    raw = {
        f"{quantity}_low": lambda cell: cell.points[quantity].low,
        f"{quantity}_high": lambda cell: cell.points[quantity].high,
    }
    return Field("95 % interval", shown, raw, span)


def sampling_field(quantity: str, span: str, digits: int = 3, head: str = "test set") -> Field:
    """Half the width of the 95 % interval that the finite number of examples leaves."""

    def shown(cell: Cell) -> str:
        low, high = cell.points[quantity].test_low, cell.points[quantity].test_high
        return text.NOTHING if low is None or high is None else f"±{text.number((high - low) / 2, digits)}"

    raw = {
        f"{quantity}_test_low": lambda cell: cell.points[quantity].test_low,
        f"{quantity}_test_high": lambda cell: cell.points[quantity].test_high,
    }
    return Field(head, shown, raw, span)


#: In place of an interval: all of three seeds or more have the very same value.
SEEDS_AGREE = "seeds agree"
#: Marks beside a floor's number; explained below the table.
MARKS = {"bound": "b", "accuracy": "a", "certain": "c", "tie": "tie", "lost": "lost"}
FROM_CLEAN_CELL = "†"


def floor_field(quantity: str, span: str, head: str = "floor", digits: int = 3) -> Field:
    """The floor with its marks, and its n where that is not the row's; words where the channel leaves no argmax."""

    def shown(cell: Cell) -> str:
        point = cell.points[quantity]
        marks = [MARKS[kind] for kind in point.floor_kind.split("+") if kind in MARKS]
        if point.floor is None:
            return " ".join(marks) or text.NOTHING
        if cell.mixed and "r0" in point.reference.split("+"):
            marks.append(FROM_CLEAN_CELL)
        sizes = [] if point.floor_n == cell.first.n else [f"(n = {point.floor_n})"]
        return " ".join([text.number(point.floor, digits), *marks, *sizes])

    raw = {
        f"{quantity}_floor": lambda cell: cell.points[quantity].floor,
        f"{quantity}_floor_low": lambda cell: cell.points[quantity].floor_low,
        f"{quantity}_floor_high": lambda cell: cell.points[quantity].floor_high,
        f"{quantity}_floor_n": lambda cell: cell.points[quantity].floor_n,
        f"{quantity}_floor_kind": lambda cell: cell.points[quantity].floor_kind,
        f"{quantity}_floor_reference": lambda cell: cell.points[quantity].reference,
    }
    return Field(head, shown, raw, span)


def cell_fields() -> list[Field]:
    """What every table begins with: r, e, batch, and how many seeds of how many have the first quantity."""
    return [
        Field("r", lambda cell: text.ratio(cell.first.ratio), {"ratio": lambda cell: float(cell.first.ratio)}),
        Field(
            "e",
            lambda cell: text.number(float(cell.first.rate)) if cell.first.rate else "0",
            {"rate": lambda cell: float(cell.first.rate)},
        ),
        Field(
            "batch",
            lambda cell: f"×{cell.first.multiplier}",
            {"multiplier": lambda cell: cell.first.multiplier, "batch": lambda cell: cell.first.batch},
        ),
        Field(
            "n/N",
            lambda cell: f"{cell.first.n}/{cell.first.of}",
            {"trials": lambda cell: cell.first.trials, "seeds": lambda cell: cell.first.of},
        ),
    ]


def spans(fields: Sequence[Field]) -> list[tuple[str, int]]:
    """Heads above neighbouring columns, and how many each covers."""
    found: list[tuple[str, int]] = []
    for field in fields:
        if found and field.span and found[-1][0] == field.span:
            found[-1] = (field.span, found[-1][1] + 1)
        else:
            found.append((field.span, 1))
    return found
