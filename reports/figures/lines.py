"""Panels over another axis than r, spaced by its logarithm: a row an arrangement, a line a noise ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from reports import captions, text
from reports.along import Along
from reports.figures import marks, style
from reports.figures.axes import Column
from reports.figures.item import Cell, Field, spans
from reports.figures.plate import Group, Plate, Sheet, Study, Table
from reports.points import COLUMNS, Point, csv_row, points

ROWS_A_FIGURE = 3
TICK_ROOM = 0.13  # of the axis: ticks nearer than that go without words

Strips = Sequence[tuple[str, Mapping[str, Sequence[Point]]]]  # title, quantity -> points


@dataclass(frozen=True)
class LineItem:
    """A kind of figure over ``axis``: its columns of panels, the further quantities and fields of its table."""

    name: str
    title: str
    axis: str  # as the CSV names it
    axis_label: str
    panels: Sequence[Column]
    extra: Sequence[str]
    fields: Sequence[Field]
    caption: Callable[[Sequence[Point]], str]

    @property
    def quantities(self) -> tuple[str, ...]:
        """All quantities of the figure and its table."""
        return (*(panel.quantity for panel in self.panels), *self.extra)


def plates(item: LineItem, study: Study, found: Sequence[Along]) -> list[Plate]:
    """The figures of those arrangements in which the first quantity has a value, some rows each."""
    rows = [(along, _points(item, study, along)) for along in found]
    rows = [row for row in rows if any(point.n for point in row[1][item.quantities[0]])]
    chunks = [rows[at : at + ROWS_A_FIGURE] for at in range(0, len(rows), ROWS_A_FIGURE)]
    return [
        _plate(item, study, chunk, f"-{place + 1}" if len(chunks) > 1 else "") for place, chunk in enumerate(chunks)
    ]


def draw(strips: Strips, columns: Sequence[Column], axis_label: str) -> Any:
    """A matplotlib Figure of rows x columns panels with one legend below. Call within ``style.settings()``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    every = [point for _, series in strips for column in columns for point in series[column.quantity]]
    told = [
        point for _, series in strips for column in columns for point in marks.without_void(series[column.quantity])
    ]
    handles = ratio_handles(every) + marks.handles(told, [column.floor_label for column in columns])
    across = marks.legend_columns(handles)
    legend = 0.2 + 0.15 * math.ceil(len(handles) / across)  # inches
    titles = 0.16 * len(strips)
    figure = Figure(figsize=(style.WIDTH, style.ROW * len(strips) + legend + titles), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
    for part, (title, series) in zip(parts, strips, strict=True):
        part.suptitle(text.plain(title, 110), x=0.01, ha="left", fontsize=7.5, parse_math=False)
        for column, axes in zip(columns, part.subplots(1, len(columns), squeeze=False)[0], strict=True):
            _panel(axes, series[column.quantity], column, axis_label)
    figure.legend(handles=handles, loc="outside lower center", ncols=across, frameon=False, columnspacing=1.4)
    return figure


def by_ratio(found: Sequence[Point]) -> dict[Fraction, list[Point]]:
    """Points a line, along the axis."""
    ratios = sorted({point.ratio for point in found})
    ordered = sorted(found, key=lambda point: point.multiplier)
    return {ratio: [point for point in ordered if point.ratio == ratio] for ratio in ratios}


def ratio_handles(found: Sequence[Point]) -> list[Any]:
    """A legend entry a noise ratio."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], **style.look(index), label=f"e = {text.rate(ratio / (1 + ratio))} (r = {text.ratio(ratio)})")
        for index, ratio in enumerate(by_ratio(found))
    ]


def log_axis(axes: Any, values: Sequence[int], label: str) -> None:
    """An axis by the logarithm to base 2, with a tick at each value and words where there is room."""
    axes.set_xscale("log", base=2)
    low, high = math.log2(min(values)), math.log2(max(values))
    width = (high - low) or 1.0
    axes.set_xlim(2 ** (low - 0.07 * width), 2 ** (high + 0.12 * width))
    words, last = [], -math.inf
    for value in values:
        place = (math.log2(value) - low) / width
        fits = place - last >= TICK_ROOM
        words.append(f"{value}" if fits else "")
        last = place if fits else last
    axes.set_xticks(list(values), words)
    axes.minorticks_off()
    axes.set_xlabel(label)


def at(point: Point) -> float:
    """Where a point lies along the axis."""
    return float(point.multiplier)


def place(point: Point) -> float:
    """The same as it is spaced."""
    return math.log2(point.multiplier)


def room(values: Sequence[int]) -> float:
    """What the words n/N take of the axis, as it is spaced."""
    return 0.2 * (math.log2(max(values)) - math.log2(min(values)))


def _panel(axes: Any, found: Sequence[Point], column: Column, axis_label: str) -> None:
    lines = list(by_ratio(found).values())
    values = sorted({point.multiplier for point in found})
    log_axis(axes, values, axis_label)
    if column.zero and any(point.mean is not None for point in found):
        axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=1)
    for index, line in enumerate(lines):
        if not any(point.mean is not None or point.floor is not None for point in line):
            continue  # a quantity that a clean trial does not have
        shift = marks.dodged(axes, index, len(lines))
        marks.line(axes, line, at, style.look(index), shift)
        if column.floor_label:
            marks.floor(axes, line, at, style.look(index), shift)
    edge = max(values) * (max(values) / min(values)) ** 0.085 if len(values) > 1 else max(values) * 2**0.085
    marks.test_error(axes, found, edge)
    marks.y_axis(axes, found, floors=bool(column.floor_label), zero=column.zero)
    axes.set_ylabel(column.label)
    shown = [marks.without_void(line) for line in lines]
    count = marks.missing(axes, shown, at, place, room(values))
    axes.set_title(column.title, loc="left", parse_math=False, pad=4 + 7.5 * count)


def _points(item: LineItem, study: Study, along: Along) -> dict[str, list[Point]]:
    return {quantity: points(along.view, along.panel, quantity, study.measured) for quantity in item.quantities}


def _plate(
    item: LineItem, study: Study, rows: Sequence[tuple[Along, Mapping[str, Sequence[Point]]]], end: str
) -> Plate:
    strips = [(along.panel.label, series) for along, series in rows]
    drawn = [point for _, series in strips for found in series.values() for point in found]
    table = _table(item, rows)
    words = [cell for group in table.groups for row in group.rows for cell in row]
    by_panel = {title: [point for found in series.values() for point in found] for title, series in strips}
    head = [item.axis if name == "multiplier" else name for name in COLUMNS]
    return Plate(
        name=f"{study.slug}-{item.name}{end}",
        kind=item.name,
        title=item.title,
        alt=f"{item.title}, {captions.heading(study.view)}",
        caption=text.clean(item.caption(drawn), 900),
        small=captions.small(study.view, drawn, [along.panel for along, _ in rows], by_panel),
        draw=partial(draw, strips, item.panels, item.axis_label),
        points=Sheet(head, [csv_row(point) for point in drawn]),
        tables=(table,),
        marks=captions.marks(drawn, words),
    )


def _table(item: LineItem, rows: Sequence[tuple[Along, Mapping[str, Sequence[Point]]]]) -> Table:
    """A row a ratio and place on the axis, a group an arrangement."""
    groups, raw = [], []
    for along, series in rows:
        together = zip(*(series[quantity] for quantity in item.quantities), strict=True)
        cells = [Cell(dict(zip(item.quantities, found, strict=True))) for found in together]
        cells.sort(key=lambda cell: (cell.first.ratio, cell.first.multiplier))
        groups.append(
            Group(
                label=text.breakable(along.panel.label),
                rows=[[field.shown(cell) for field in item.fields] for cell in cells],
                complete=[cell.first.complete for cell in cells],
            )
        )
        for cell in cells:
            values = [value(cell) for field in item.fields for value in field.raw.values()]
            raw.append([along.panel.dataset, along.panel.label, *values])
    head = ["dataset", "panel", *(name for field in item.fields for name in field.raw)]
    return Table(
        f"{item.title}: the numbers.", [field.head for field in item.fields], spans(item.fields), groups,
        Sheet(head, raw),
    )  # fmt: skip
