"""The panels of a gradient analysis: cosine histograms, norms, SNR with the vector-sum law, deviation of the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.coherence import INDEPENDENT, Coherence
from reports.figures import lines, marks, style
from reports.gradients import BINS, PAIRS
from reports.points import Point

AXIS = "batch (sequences)"
DASHED = (0, (4, 1.5))
DOTTED = (0, (1, 1.2))
PAIR_WORDS = {
    "clean_clean": "clean\u2013clean",
    "corrupt_corrupt": "corrupt\u2013corrupt",
    "clean_corrupt": "clean\u2013corrupt",
}
PAIR_LOOKS: Mapping[str, Mapping[str, Any]] = {
    "clean_clean": {"color": style.COLOURS[0], "linestyle": "-"},
    "corrupt_corrupt": {"color": style.COLOURS[1], "linestyle": DASHED},
    "clean_corrupt": {"color": style.COLOURS[6], "linestyle": DOTTED},
}


def draw(found: Coherence) -> Any:
    """A matplotlib Figure. Call within ``style.settings()``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = 3 if found.glob else 1
    handles = _handles(found)
    across = marks.legend_columns(handles)
    legend = 0.2 + 0.15 * math.ceil(len(handles) / across)  # inches
    figure = Figure(figsize=(style.WIDTH, 1.95 * rows + legend), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, 2, squeeze=False)
    if found.glob:
        for axes, removed in zip(grid[0], (False, True), strict=True):
            _histograms(axes, found, removed)
        _norms(grid[1][0], found)
        _deviation(grid[1][1], found, "C")
        _snr(grid[2][0], found, "snr", "D1  SNR, recovered definition")
        _snr(grid[2][1], found, "snr_corrected", "D2  SNR, corrected")
    else:
        _mean_loss(grid[0][0], found)
        _deviation(grid[0][1], found, "B")
    figure.legend(handles=handles, loc="outside lower center", ncols=across, frameon=False, columnspacing=1.4)
    return figure


def _histograms(axes: Any, found: Coherence, removed: bool) -> None:
    axes.set_title("A2  cosines, mean gradient removed" if removed else "A1  cosines", loc="left")
    axes.set_xlabel("cosine of two sequences' gradients")
    axes.set_ylabel("share of pairs")
    pools = {pair: found.pools.get((found.shown_ratio or 0, removed, pair)) for pair in PAIRS}  # type: ignore[arg-type]
    counts = {pair: pool.cosines.histogram for pair, pool in pools.items() if pool is not None and pool.cosines.pairs}
    filled = [place for histogram in counts.values() for place, count in enumerate(histogram) if count]
    if not filled:
        marks.limit(axes, [])
        return
    edges = [(2 * place - BINS) / BINS for place in range(BINS + 1)]
    shares = []
    for pair, histogram in counts.items():
        heights = [count / sum(histogram) for count in histogram]
        shares += [height for height in heights if height]
        axes.stairs(heights, edges, baseline=None, linewidth=1.1, **PAIR_LOOKS[pair])
    first, last = max(0, min(filled) - 3), min(BINS, max(filled) + 4)
    axes.set_xlim(edges[first], edges[last])
    marks.limit(axes, shares, log=True)


def _norms(axes: Any, found: Coherence) -> None:
    clean, corrupt = (found.signals["norm_" + part, False] for part in ("clean", "corrupt"))
    drawn = [point for point in clean if point.ratio or point.n] + [point for point in corrupt if point.ratio]
    _axis(axes, clean, "B  norms of summed gradients", "norm of the sum over a batch")
    by_line = list(lines.by_ratio(clean).items())
    for index, (ratio, points) in enumerate(by_line):
        shift = marks.dodged(axes, index, len(by_line))
        marks.line(axes, points, lines.at, style.look(index), shift)
        if ratio:
            wrong = [point for point in corrupt if point.ratio == ratio]
            marks.line(axes, wrong, lines.at, {**style.look(index), "linestyle": DASHED}, shift)
    marks.y_axis(axes, drawn, log=True)
    _missing(axes, [points for _, points in by_line], "B  norms of summed gradients")


def _snr(axes: Any, found: Coherence, name: str, title: str) -> None:
    law = found.signals[name.replace("snr", "snr_law"), False]
    every = lines.by_ratio(found.signals[name, False])
    measured = [[point for point in points if ratio] for ratio, points in every.items()]
    shown = [point for points in measured for point in points]
    if not shown:  # clean batches alone
        axes.set_title(title, loc="left")
        marks.limit(axes, [])
        return
    _axis(axes, shown, title, "SNR")
    limits = list(shown)
    for index, (ratio, points) in enumerate(zip(every, measured, strict=True)):
        if not ratio:
            continue
        look, shift = style.look(index), marks.dodged(axes, index, len(every))
        marks.line(axes, points, lines.at, {**look, "linestyle": "none"}, shift)
        predicted = sorted((p for p in law if p.ratio == ratio and p.mean is not None), key=lines.at)
        axes.plot(
            [lines.at(p) for p in predicted], [p.mean for p in predicted], color=look["color"], linewidth=0.9,
            transform=shift, zorder=2,
        )  # fmt: skip
        limits += predicted
    values = [value for point in limits for value in (point.mean, point.low, point.high) if value is not None]
    root = _square_root(shown)
    if root:
        axes.plot(*zip(*root, strict=True), color=style.GREY, linestyle=DOTTED, linewidth=1.1, zorder=1)
        values += [y for _, y in root]
    marks.limit(axes, values, log=True)
    _missing(axes, measured, title)


def _square_root(shown: Sequence[Point]) -> list[tuple[float, float]]:
    """c sqrt(B) from the first value of the smallest rate to the largest batch."""
    known = sorted((p for p in shown if p.mean is not None and p.mean > 0), key=lambda p: (p.ratio, p.multiplier))
    last = max((lines.at(point) for point in shown), default=0.0)
    if not known or last <= lines.at(known[0]):
        return []
    start, value = lines.at(known[0]), known[0].mean or 0.0
    return [(start, value), (last, value * math.sqrt(last / start))]


def _deviation(axes: Any, found: Coherence, letter: str) -> None:
    title = f"{letter}  deviation of the batch loss"
    measured, independent = found.losses["loss_deviation"], found.losses[INDEPENDENT]
    _axis(axes, measured, title, "deviation (nats)")
    by_line = list(lines.by_ratio(measured).items())
    for index, (ratio, points) in enumerate(by_line):
        look, shift = style.look(index), marks.dodged(axes, index, len(by_line))
        marks.line(axes, points, lines.at, {**look, "linestyle": "none"}, shift)
        alone = sorted((p for p in independent if p.ratio == ratio and p.mean is not None), key=lines.at)
        axes.plot(
            [lines.at(p) for p in alone], [p.mean for p in alone], color=look["color"], linestyle=style.FLOOR_LINE,
            linewidth=0.9, transform=shift, zorder=2,
        )  # fmt: skip
    marks.y_axis(axes, [*measured, *independent], log=True)
    _missing(axes, [points for _, points in by_line], title)


def _mean_loss(axes: Any, found: Coherence) -> None:
    points = found.losses["loss_mean"]
    _axis(axes, points, "A  mean of the batch loss", "loss (nats a token)")
    by_line = list(lines.by_ratio(points).values())
    for index, line in enumerate(by_line):
        marks.line(axes, line, lines.at, style.look(index), marks.dodged(axes, index, len(by_line)))
    marks.y_axis(axes, points)
    _missing(axes, by_line, "A  mean of the batch loss")


def _axis(axes: Any, points: Sequence[Point], title: str, label: str) -> None:
    lines.log_axis(axes, sorted({point.multiplier for point in points}), AXIS)
    axes.set_ylabel(label)
    axes.set_title(title, loc="left")


def _missing(axes: Any, by_line: Sequence[Sequence[Point]], title: str) -> None:
    values = sorted({point.multiplier for points in by_line for point in points})
    count = marks.missing(axes, by_line, lines.at, lines.place, lines.room(values))
    axes.set_title(title, loc="left", pad=4 + 7.5 * count)


def _handles(found: Coherence) -> list[Any]:
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    every = list(found.losses["loss_deviation"])
    if found.glob:
        handles += [Line2D([], [], label=PAIR_WORDS[pair], **PAIR_LOOKS[pair]) for pair in PAIRS]
    handles += lines.ratio_handles(every)
    grey: dict[str, Any] = {"color": style.GREY}
    if found.glob:
        handles.append(Line2D([], [], linestyle=DASHED, label="B: sum of corrupt gradients", **grey))
        handles.append(Line2D([], [], linewidth=0.9, label="D: vector-sum law", **grey))
        handles.append(Line2D([], [], linestyle=DOTTED, label="D: as \u221abatch", **grey))
        every += [point for points in found.signals.values() for point in points if point.ratio]
    end = "C" if found.glob else "B"
    handles.append(Line2D([], [], linestyle=style.FLOOR_LINE, label=f"{end}: independent sequences", **grey))
    return handles + marks.handles(every)
