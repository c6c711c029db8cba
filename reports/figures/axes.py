"""Panels of a quantity over the noise ratio: a row a data set, a column a quantity, a line a batch multiplier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reports import text
from reports.figures import style
from reports.points import Point

#: Above this ratio the axis is spaced by e = r / (1 + r), which brings every r within reach.
LINEAR_UP_TO = 2.5
TICK_GAP = 0.085  # of the axis: the words of nearer ticks go a line lower
TICK_LINES, TICK_LINES_OF_TWO = 5, 2  # of ticks named by e alone and by both; what has no room there has no tick
DODGE = 2.2  # points between the lines of neighbouring multipliers, so that whiskers do not cover each other
SPREAD = 8.0  # points from the first of them to the last, at most


@dataclass(frozen=True)
class Column:
    """A column of panels. ``floor_label`` names the dashed line; "" draws none. ``zero`` draws the line at nought."""

    quantity: str
    title: str
    label: str
    floor_label: str = "floor"
    zero: bool = False


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
    across = _legend_columns(handles)
    legend = 0.2 + 0.15 * math.ceil(len(handles) / across)  # inches
    height = sum(style.ROW + _room_of_ticks(row, columns) for row in rows)
    figure = Figure(figsize=(style.WIDTH, height + legend), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, axes_of_row in zip(rows, grid, strict=True):
        for column, axes in zip(columns, axes_of_row, strict=True):
            _panel(axes, row, column, bottom=row is rows[-1])
    figure.legend(handles=handles, loc="outside lower center", ncols=across, frameon=False, columnspacing=1.4)
    return figure


def _panel(axes: Any, row: Strip, column: Column, *, bottom: bool) -> None:
    points = row.points[column.quantity]
    ratios = sorted({point.ratio for point in points})
    multipliers = sorted({point.multiplier for point in points})
    scale = Scale(tuple(ratios))
    _x_axis(axes, scale, row.rate_words, bottom=bottom)
    if column.zero and any(point.mean is not None for point in points):
        axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=1)
    apart = min(DODGE, SPREAD / max(1, len(multipliers) - 1))
    for index, multiplier in enumerate(multipliers):
        line = [point for point in points if point.multiplier == multiplier]
        shift = _shifted(axes, apart * (index - (len(multipliers) - 1) / 2))
        _line(axes, line, style.look(index), shift)
        if column.floor_label:
            _floor(axes, line, style.look(index), shift)
    _test_error(axes, points, scale)
    _y_axis(axes, points, column)
    axes.set_ylabel(column.label)
    lines = _missing(axes, points, multipliers, scale)
    axes.set_title(f"{text.plain(row.title, 70)}: {column.title}", loc="left", parse_math=False, pad=4 + 7.5 * lines)


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


def _y_axis(axes: Any, points: Sequence[Point], column: Column) -> None:
    """Limits round everything drawn: lines that are shifted aside do not enter matplotlib's own."""
    shown = [value for point in points for value in (point.mean, point.low, point.high) if value is not None]
    shown += [value for point in points for value in (point.test_low, point.test_high) if value is not None]
    if column.floor_label:
        shown += [point.floor for point in points if point.floor is not None]
    if not shown:
        axes.text(0.5, 0.5, "no value", transform=axes.transAxes, ha="center", va="center", color=style.GREY)
        axes.set_yticks([])
        return
    low, high = min([*shown, *([0.0] if column.zero else [])]), max([*shown, *([0.0] if column.zero else [])])
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    axes.set_ylim(low - room, high + room)


def _to_rate(values: Any) -> Any:
    return values / (1 + values)


def _to_ratio(values: Any) -> Any:
    return values / (1 - values)


def _shifted(axes: Any, points: float) -> Any:
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def _line(axes: Any, line: Sequence[Point], look: Mapping[str, Any], shift: Any) -> None:
    drawn = [(float(point.ratio), math.nan if point.mean is None else point.mean) for point in line]
    axes.plot(*_apart(drawn), color=look["color"], linestyle=look["linestyle"], transform=shift, zorder=3)
    for point in line:
        if point.mean is None:
            continue
        at = float(point.ratio)
        if point.low is not None and point.high is not None:
            reach = [[point.mean - point.low], [point.high - point.mean]]
            axes.errorbar(
                [at], [point.mean], reach, color=look["color"], capsize=2, elinewidth=0.8, capthick=0.8,
                linestyle="none", transform=shift, zorder=3,
            )  # fmt: skip
        face = look["color"] if point.complete else "white"
        axes.plot(
            [at], [point.mean], marker=look["marker"], color=look["color"], markerfacecolor=face,
            markeredgewidth=0.9, linestyle="none", transform=shift, zorder=4,
        )  # fmt: skip


def _floor(axes: Any, line: Sequence[Point], look: Mapping[str, Any], shift: Any) -> None:
    drawn = [(float(point.ratio), math.nan if point.floor is None else point.floor) for point in line]
    axes.plot(
        *_apart(drawn), color=look["color"], linestyle=style.FLOOR_LINE, linewidth=1.0, marker="_", markersize=5,
        markeredgewidth=1.0, transform=shift, zorder=2,
    )  # fmt: skip


def _apart(drawn: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in drawn], [y for _, y in drawn]


def _test_error(axes: Any, points: Sequence[Point], scale: Scale) -> None:
    """A grey bar at the right edge: the test set's own error at its widest, about the point that has it."""
    bars = [(point.test_low, point.test_high) for point in points]
    known = [(low, high) for low, high in bars if low is not None and high is not None]
    if not known:
        return
    low, high = max(known, key=lambda bar: bar[1] - bar[0])
    at = scale.unplace(scale.last + 0.065 * scale.span)
    axes.plot([at, at], [low, high], color="#9a9a9a", linewidth=3.2, solid_capstyle="butt", zorder=2)


def _missing(axes: Any, points: Sequence[Point], multipliers: Sequence[int], scale: Scale) -> int:
    """Write n/N above the panel, a line a multiplier, where values are missing; returns the number of lines."""
    from matplotlib.transforms import blended_transform_factory, offset_copy

    lines = 0
    across = blended_transform_factory(axes.transData, axes.transAxes)
    room = TICK_GAP * (scale.last - scale.first)
    for index, multiplier in enumerate(multipliers):
        odd = [point for point in points if point.multiplier == multiplier and not point.complete]
        if not odd:
            continue
        look = style.look(index)
        base = offset_copy(across, fig=axes.figure, y=5 + 7.5 * lines, units="points")
        at = [scale.place(float(point.ratio)) for point in odd]
        # Without room for words the marks stand alone; the table has the numbers.
        tight = any(after - before < room for before, after in itertools.pairwise(at))
        for point in odd:
            mark = offset_copy(base, fig=axes.figure, x=0 if tight else -5.5, units="points")
            hollow = {"marker": look["marker"], "markerfacecolor": "white", "markersize": 3.4}
            shape = hollow if point.n else {"marker": "x", "markersize": 3.4}
            axes.plot(
                [float(point.ratio)], [1], color=look["color"], markeredgewidth=0.8, linestyle="none",
                transform=mark, clip_on=False, **shape,
            )  # fmt: skip
            if not tight:
                words = offset_copy(base, fig=axes.figure, x=-2.5, units="points")
                axes.text(
                    float(point.ratio), 1, f"{point.n}/{point.of}", transform=words, fontsize=5.8, ha="left",
                    va="center_baseline", color=look["color"],
                )  # fmt: skip
        lines += 1
    return lines


def _handles(rows: Sequence[Strip], columns: Sequence[Column]) -> list[Any]:
    from matplotlib.lines import Line2D

    points = [point for row in rows for column in columns for point in row.points[column.quantity]]
    multipliers = sorted({point.multiplier for point in points})
    handles = [
        Line2D([], [], **style.look(index), label=f"batch × {multiplier}")
        for index, multiplier in enumerate(multipliers)
    ]
    floors = list(dict.fromkeys(column.floor_label for column in columns if column.floor_label))
    if floors:
        handles.append(Line2D([], [], color=style.GREY, linestyle=style.FLOOR_LINE, label=" / ".join(floors)))
    if any(point.test_low is not None for point in points):
        handles.append(Line2D([], [], color="#9a9a9a", linewidth=3.2, label="test-set error"))
    if any(0 < point.n < point.of for point in points):
        handles.append(
            Line2D(
                [], [], color=style.GREY, marker="o", markerfacecolor="white", linestyle="none", label="seeds missing"
            )
        )
    if any(not point.n for point in points):
        handles.append(Line2D([], [], color=style.GREY, marker="x", linestyle="none", label="no value"))
    return handles


def _legend_columns(handles: Sequence[Any]) -> int:
    """As many columns as the text width holds: every one is as wide as the longest label in it, or about."""
    widths = [len(handle.get_label()) + 7 for handle in handles]  # in characters, the line before it included
    return len(handles) if sum(widths) <= 120 else max(1, 120 // max(widths))
