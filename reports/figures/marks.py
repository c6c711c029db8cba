"""What panels are drawn of, whatever their axis: lines with whiskers, floors, missing cells, the test set's error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reports.figures import style
from reports.points import Point

DODGE = 2.2  # points between neighbouring lines, so that whiskers do not cover each other
SPREAD = 8.0  # points from the first of them to the last, at most
TEST_GREY = "#9a9a9a"

At = Callable[[Point], float]  # where a point lies along the x axis, in its data


def dodged(axes: Any, index: int, of: int) -> Any:
    """The transform of the ``index``-th of ``of`` lines, a little aside from its neighbours."""
    from matplotlib.transforms import ScaledTranslation

    apart = min(DODGE, SPREAD / max(1, of - 1))
    points = apart * (index - (of - 1) / 2)
    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def line(axes: Any, points: Sequence[Point], at: At, look: Mapping[str, Any], shift: Any) -> None:
    """Means joined by a line, with their intervals; hollow where seeds are missing."""
    x, y = [at(point) for point in points], [math.nan if point.mean is None else point.mean for point in points]
    axes.plot(x, y, color=look["color"], linestyle=look["linestyle"], transform=shift, zorder=3)
    for point in points:
        if point.mean is None:
            continue
        if point.low is not None and point.high is not None:
            reach = [[point.mean - point.low], [point.high - point.mean]]
            axes.errorbar(
                [at(point)], [point.mean], reach, color=look["color"], capsize=2, elinewidth=0.8, capthick=0.8,
                linestyle="none", transform=shift, zorder=3,
            )  # fmt: skip
        face = look["color"] if point.complete else "white"
        axes.plot(
            [at(point)], [point.mean], marker=look["marker"], color=look["color"], markerfacecolor=face,
            markeredgewidth=0.9, linestyle="none", transform=shift, zorder=4,
        )  # fmt: skip


def scaled(point: Point, times: float) -> Point:
    """A point whose mean and interval are told in another unit."""
    mean, low, high = (None if value is None else value * times for value in (point.mean, point.low, point.high))
    return replace(point, mean=mean, low=low, high=high)


def floor(axes: Any, points: Sequence[Point], at: At, look: Mapping[str, Any], shift: Any) -> None:
    """Floors joined by a dashed line."""
    x, y = [at(point) for point in points], [math.nan if point.floor is None else point.floor for point in points]
    axes.plot(
        x, y, color=look["color"], linestyle=style.FLOOR_LINE, linewidth=1.0, marker="_", markersize=5,
        markeredgewidth=1.0, transform=shift, zorder=2,
    )  # fmt: skip


def test_error(axes: Any, points: Sequence[Point], at: float) -> None:
    """A grey bar at the right edge: the test set's own error at its widest, about the point that has it."""
    bars = [(point.test_low, point.test_high) for point in points]
    known = [(low, high) for low, high in bars if low is not None and high is not None]
    if not known:
        return
    low, high = max(known, key=lambda bar: bar[1] - bar[0])
    axes.plot([at, at], [low, high], color=TEST_GREY, linewidth=3.2, solid_capstyle="butt", zorder=2)


def y_axis(
    axes: Any,
    points: Sequence[Point],
    aside: Sequence[Point] = (),
    *,
    floors: bool = False,
    zero: bool = False,
    log: bool = False,
) -> None:
    """Limits round everything drawn: lines that are shifted aside do not enter matplotlib's own.

    Of ``aside`` the means alone are drawn. On a logarithmic axis what is not above nought has no place.
    """
    shown = [value for point in points for value in (point.mean, point.low, point.high) if value is not None]
    shown += [value for point in points for value in (point.test_low, point.test_high) if value is not None]
    if floors:
        shown += [point.floor for point in points if point.floor is not None]
    shown += [point.mean for point in aside if point.mean is not None]
    shown += [0.0] if zero and shown else []
    limit(axes, shown, log=log)


def limit(axes: Any, shown: Sequence[float], *, log: bool = False) -> None:
    """Limits with some room round the values that are shown; words in their place where there is none."""
    values = [math.log(value) for value in shown if value > 0] if log else list(shown)
    if not values:
        axes.text(0.5, 0.5, "no value", transform=axes.transAxes, ha="center", va="center", color=style.GREY)
        axes.set_yticks([])
        return
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    ends = (low - room, high + room)
    if log:
        axes.set_yscale("log")
        ends = (math.exp(ends[0]), math.exp(ends[1]))
        ticks = _log_ticks(*ends)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_ylim(*ends)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones: powers of ten, more of them where there are few."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        found = [float(f"{step * 10.0**ten:.3g}") for ten in tens for step in steps]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) >= 3:
            break
    return found or [float(f"{math.sqrt(low * high):.3g}")]


def missing(axes: Any, by_line: Sequence[Sequence[Point]], at: At, place: At, room: float) -> int:
    """Write n/N above the panel, a line a series, where values are missing; returns the number of lines.

    ``place`` is where a point lies on the axis as it is spaced, ``room`` what words take there.
    """
    from matplotlib.transforms import blended_transform_factory, offset_copy

    lines = 0
    across = blended_transform_factory(axes.transData, axes.transAxes)
    for index, points in enumerate(by_line):
        odd = [point for point in points if not point.complete]
        if not odd:
            continue
        look = style.look(index)
        base = offset_copy(across, fig=axes.figure, y=5 + 7.5 * lines, units="points")
        # Without room for words the marks stand alone; the table has the numbers.
        tight = any(after - before < room for before, after in itertools.pairwise(map(place, odd)))
        for point in odd:
            mark = offset_copy(base, fig=axes.figure, x=0 if tight else -5.5, units="points")
            hollow = {"marker": look["marker"], "markerfacecolor": "white", "markersize": 3.4}
            shape = hollow if point.n else {"marker": "x", "markersize": 3.4}
            axes.plot(
                [at(point)], [1], color=look["color"], markeredgewidth=0.8, linestyle="none", transform=mark,
                clip_on=False, **shape,
            )  # fmt: skip
            if not tight:
                words = offset_copy(base, fig=axes.figure, x=-2.5, units="points")
                axes.text(
                    at(point), 1, f"{point.n}/{point.of}", transform=words, fontsize=5.8, ha="left",
                    va="center_baseline", color=look["color"],
                )  # fmt: skip
        lines += 1
    return lines


def without_void(found: Sequence[Point]) -> list[Point]:
    """Points without those at r = 0 of a quantity that a clean trial does not have, such as its excess."""
    void = not any(point.n for point in found if not point.ratio)
    return [point for point in found if point.ratio or not void]


def handles(points: Sequence[Point], floor_labels: Sequence[str] = ()) -> list[Any]:
    """Legend entries of floors, of the test set's error and of missing cells, those that are drawn."""
    from matplotlib.lines import Line2D

    found = []
    floors = list(dict.fromkeys(label for label in floor_labels if label))
    if floors:
        found.append(Line2D([], [], color=style.GREY, linestyle=style.FLOOR_LINE, label=" / ".join(floors)))
    bars = list(dict.fromkeys(point.unit.bar for point in points if point.test_low is not None))
    if bars:
        found.append(Line2D([], [], color=TEST_GREY, linewidth=3.2, label=" / ".join(bars)))
    if any(0 < point.n < point.of for point in points):
        hollow: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        found.append(Line2D([], [], color=style.GREY, label="seeds missing", **hollow))
    if any(not point.n for point in points):
        found.append(Line2D([], [], color=style.GREY, marker="x", linestyle="none", label="no value"))
    return found


def legend_columns(found: Sequence[Any]) -> int:
    """As many columns as the text width holds: every one is as wide as the longest label in it, or about."""
    widths = [len(handle.get_label()) + 7 for handle in found]  # in characters, the line before it included
    return len(found) if sum(widths) <= 120 else max(1, 120 // max(widths))
