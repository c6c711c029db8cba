"""Panels of a quantity over the noise ratio: a row a data set, a column a quantity, a line a batch multiplier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reports import text
from reports.figures import marks, style
from reports.points import Point

#: Above this ratio the axis is spaced by e = r / (1 + r), which brings every r within reach.
LINEAR_UP_TO = 2.5
TICK_GAP = 0.085  # of the axis: the words of nearer ticks go a line lower
SHORT_TITLE, LONG_TITLE = 22, 100  # characters of a row's title beside that of a column, and above it
TITLE_LINE = 10.5  # points
DOTTED = (0, (1, 1.2))
TICK_LINES, TICK_LINES_OF_TWO = 5, 2  # of ticks named by e alone and by both; what has no room there has no tick


@dataclass(frozen=True)
class Column:
    """A column of panels. ``floor_label`` names the dashed line; "" draws none. ``zero`` draws the line at nought.

    ``beside`` is a quantity whose means are a dotted line, named ``beside_label``: what real data have, say. A column
    that is ``optional`` is left out where nothing in it has a value.
    """

    quantity: str
    title: str
    label: str
    floor_label: str = "floor"
    zero: bool = False
    beside: str = ""
    beside_label: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Strip:
    """A row of panels: its title, and the points of each quantity, by multiplier, then ratio.

    ``rate_words`` names e, which is no error rate where a redrawn target may be the true one.
    """

    title: str
    points: Mapping[str, Sequence[Point]]
    rate_words: str = "error rate e"


@dataclass(frozen=True)
class Scale:
    """The axis of the ratios drawn: spaced by r or by e, its ticks named by both or, where r is no short decimal, by e.

    ``place`` is linear along the axis, ``unplace`` its inverse, in ratios.
    """

    ratios: tuple[Fraction, ...]

    @property
    def by_rate_alone(self) -> bool:
        """Whether ticks are named by e alone."""
        return not all(map(text.is_short, self.ratios))

    @property
    def spaced_by_rate(self) -> bool:
        """Whether equal steps of e are equally wide."""
        return self.by_rate_alone or self.ratios[-1] > LINEAR_UP_TO

    def place(self, ratio: float) -> float:
        """Where a ratio lies, in r or in e."""
        return ratio / (1 + ratio) if self.spaced_by_rate else ratio

    def unplace(self, place: float) -> float:
        """The ratio that lies at a place."""
        if not self.spaced_by_rate:
            return place
        place = min(place, (self.last + 1) / 2)  # e = 1 lies at infinity
        return place / (1 - place)

    @property
    def first(self) -> float:
        """Place of the smallest ratio."""
        return self.place(float(self.ratios[0]))

    @property
    def last(self) -> float:
        """Place of the largest ratio."""
        return self.place(float(self.ratios[-1]))

    @property
    def span(self) -> float:
        """From the first to the last place; 1 where they are one."""
        return (self.last - self.first) or 1.0

    @property
    def edges(self) -> tuple[float, float]:
        """Places where the axis begins and ends: on the right the test set's error bar stands."""
        return self.first - 0.05 * self.span, self.last + 0.09 * self.span

    def label(self, ratio: Fraction) -> str:
        """A tick's words."""
        rate = text.rate(ratio / (1 + ratio)).removeprefix("0") or "0"
        return rate if self.by_rate_alone else f"{text.ratio(ratio)}\n{rate}"


def draw(rows: Sequence[Strip], columns: Sequence[Column]) -> Any:
    """A matplotlib Figure of ``rows`` x ``columns`` panels with one legend below. Call within ``style.settings()``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    handles = _handles(rows, columns)
    across = marks.legend_columns(handles)
    legend = 0.2 + 0.15 * math.ceil(len(handles) / across)  # inches
    height = sum(style.ROW + _room_of_ticks(row, columns) + _long(row) * TITLE_LINE / 72 for row in rows)
    figure = Figure(figsize=(style.WIDTH, height + legend), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    multipliers = _multipliers(rows, columns)
    for row, axes_of_row in zip(rows, grid, strict=True):
        for column, axes in zip(columns, axes_of_row, strict=True):
            _panel(axes, row, column, multipliers, bottom=row is rows[-1], first=column is columns[0])
    figure.legend(handles=handles, loc="outside lower center", ncols=across, frameon=False, columnspacing=1.4)
    return figure


def _panel(axes: Any, row: Strip, column: Column, multipliers: Sequence[int], *, bottom: bool, first: bool) -> None:
    """``multipliers`` are those of all panels, so that a line looks alike in each."""
    points = row.points[column.quantity]
    ratios = sorted({point.ratio for point in points})
    scale = Scale(tuple(ratios))
    _x_axis(axes, scale, row.rate_words, bottom=bottom)
    if column.zero and any(point.mean is not None for point in points):
        axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=1)
    by_line = [[point for point in points if point.multiplier == multiplier] for multiplier in multipliers]
    for index, line in enumerate(by_line):
        if not line:
            continue
        shift = marks.dodged(axes, index, len(by_line))
        marks.line(axes, line, _at, style.look(index), shift)
        if column.floor_label:
            marks.floor(axes, line, _at, style.look(index), shift)
    marks.test_error(axes, points, scale.unplace(scale.last + 0.065 * scale.span))
    aside = row.points[column.beside] if column.beside else ()
    _beside(axes, aside)
    marks.y_axis(axes, points, aside, floors=bool(column.floor_label), zero=column.zero)
    axes.set_ylabel(column.label)
    room = TICK_GAP * (scale.last - scale.first)
    by_line = [marks.without_void(line) for line in by_line] if column.zero else by_line
    lines = marks.missing(axes, by_line, _at, lambda point: scale.place(_at(point)), room)
    _title(axes, row, column, 4 + 7.5 * lines, first=first)


def _beside(axes: Any, points: Sequence[Point]) -> None:
    """A dotted line through the means of a quantity, over all multipliers, at each ratio."""
    by_ratio = {ratio: [one.mean for one in points if one.ratio == ratio and one.mean is not None]
                for ratio in sorted({point.ratio for point in points})}  # fmt: skip
    known = {float(ratio): sum(means) / len(means) for ratio, means in by_ratio.items() if means}
    look = {"marker": "_", "markersize": 5, "markeredgewidth": 1.0}
    axes.plot(list(known), list(known.values()), color=style.GREY, linestyle=DOTTED, linewidth=1.1, zorder=2, **look)


def _title(axes: Any, row: Strip, column: Column, pad: float, *, first: bool) -> None:
    """Row and column in one line, or, where the row's title is long, that above its first panel."""
    from matplotlib.transforms import offset_copy

    if not _long(row):
        axes.set_title(f"{text.plain(row.title, SHORT_TITLE)}: {column.title}", loc="left", parse_math=False, pad=pad)
        return
    above = text.plain(row.title, LONG_TITLE) if first else ""
    axes.set_title(above, loc="left", parse_math=False, pad=pad + TITLE_LINE)
    line = offset_copy(axes.transAxes, fig=axes.figure, y=pad, units="points")
    told = axes.text(0, 1, column.title, transform=line, fontsize=7.5, va="baseline", parse_math=False)
    told.set_in_layout(False)  # the title above has taken the room


def _long(row: Strip) -> bool:
    return len(text.plain(row.title, LONG_TITLE)) > SHORT_TITLE


def _x_axis(axes: Any, scale: Scale, rate_words: str, *, bottom: bool) -> None:
    if scale.spaced_by_rate:
        axes.set_xscale("function", functions=(_to_rate, _to_ratio))
    axes.set_xlim(*map(scale.unplace, scale.edges))
    lines = _lines_of_ticks(scale)
    shown = [ratio for ratio, line in zip(scale.ratios, lines, strict=True) if line is not None]
    axes.set_xticks([float(ratio) for ratio in shown], [scale.label(ratio) for ratio in shown])
    axes.minorticks_off()
    height = _height_of_ticks(scale)
    for tick, line in zip(axes.xaxis.get_major_ticks(), (line for line in lines if line is not None), strict=True):
        tick.set_pad(tick.get_pad() + line * height)
    if bottom:
        spaced = ", spaced by e" if scale.spaced_by_rate else ""
        both = f"noise ratio r{spaced} (below it: {rate_words})"
        axes.set_xlabel(f"{rate_words} = r / (1 + r)" if scale.by_rate_alone else both)


def _height_of_ticks(scale: Scale) -> float:
    """Points from the words of a tick to those of one a line lower."""
    return style.TICK_LINE * (1 if scale.by_rate_alone else 2)


def _room_of_ticks(row: Strip, columns: Sequence[Column]) -> float:
    """Inches that the lines of ticks below the first one take."""
    points = [point for column in columns for point in row.points[column.quantity]]
    scale = Scale(tuple(sorted({point.ratio for point in points})))
    return max((line or 0 for line in _lines_of_ticks(scale)), default=0) * _height_of_ticks(scale) / 72


def _lines_of_ticks(scale: Scale) -> list[int | None]:
    """The line below the axis that a tick's words stand in: the first with room; None where none has any."""
    left, right = scale.edges
    taken = [-math.inf] * (TICK_LINES if scale.by_rate_alone else TICK_LINES_OF_TWO)
    found: list[int | None] = []
    for ratio in scale.ratios:
        place = (scale.place(float(ratio)) - left) / (right - left)
        line = next((line for line, last in enumerate(taken) if place - last >= TICK_GAP), None)
        if line is not None:
            taken[line] = place
        found.append(line)
    return found


def _at(point: Point) -> float:
    return float(point.ratio)


def _to_rate(values: Any) -> Any:
    return values / (1 + values)


def _to_ratio(values: Any) -> Any:
    return values / (1 - values)


def _multipliers(rows: Sequence[Strip], columns: Sequence[Column]) -> list[int]:
    return sorted({point.multiplier for row in rows for column in columns for point in row.points[column.quantity]})


def _handles(rows: Sequence[Strip], columns: Sequence[Column]) -> list[Any]:
    from matplotlib.lines import Line2D

    points = [
        point
        for row in rows
        for column in columns
        for point in (marks.without_void if column.zero else list)(row.points[column.quantity])
    ]
    handles = [
        Line2D([], [], **style.look(index), label=f"batch × {multiplier}")
        for index, multiplier in enumerate(_multipliers(rows, columns))
    ]
    asides = dict.fromkeys(column.beside_label for column in columns if column.beside)
    handles += [Line2D([], [], color=style.GREY, linestyle=DOTTED, linewidth=1.1, label=label) for label in asides]
    return handles + marks.handles(points, [column.floor_label for column in columns])
