"""Confusion of drawn images over r: whom the judge takes the images of each requested class for, and by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from reports import captions, text
from reports.cells import Panel
from reports.confusions import Counts
from reports.figures import style
from reports.figures.plate import Group, Kind, Plate, Sheet, Study, Table

TITLE = "Confusion of drawn images"
ACROSS = 3  # matrices side by side
MOST_RATIOS = 6
MOST_CLASSES = 20  # rows of the document's table; the CSV has all
SHARP = 240  # pixels a matrix at least, by whole multiples, so that no viewer blurs it
COLOURS = "Blues"
HEAD = ("dataset", "panel", "ratio", "rate", "multiplier", "seeds", "label", "judged", "count")
CLASS_HEAD = (
    "dataset", "panel", "ratio", "rate", "multiplier", "seeds", "label", "drawn", "judged_right", "consistency",
    "training_images", "real_images", "judge_right",
)  # fmt: skip


@dataclass(frozen=True)
class Pooled:
    """One panel at one multiplier: matrices of all seeds together by ratio, and how many seeds each has.

    ``real`` is the judge's confusion of real test images, ``training`` the number of training images of each class.
    """

    panel: Panel
    multiplier: int
    matrices: Mapping[Fraction, Counts]
    seeds: Mapping[Fraction, int]
    real: Counts | None
    training: Counts | None


def _plates(study: Study) -> list[Plate]:
    found = [pooled for panel in study.view.panels if (pooled := _pooled(study, panel)) is not None]
    return [_plate(study, one, f"-{place + 1}" if len(found) > 1 else "") for place, one in enumerate(found)]


def _pooled(study: Study, panel: Panel) -> Pooled | None:
    """At the lowest multiplier that has any; of trials with another number of classes than the first, none."""
    for multiplier in panel.multipliers:
        matrices: dict[Fraction, Counts] = {}
        seeds: dict[Fraction, int] = {}
        real = training = None
        for (ratio, _, _), trial in sorted(
            (item for item in panel.trials.items() if item[0][1] == multiplier), key=lambda item: item[0]
        ):
            read = study.judged(trial)
            drawn = None if read is None else read.of("generated", "judge")
            if (
                read is None
                or drawn is None
                or not drawn.any()
                or any(len(one) != len(drawn) for one in matrices.values())
            ):
                continue
            matrices[ratio] = drawn + matrices.get(ratio, np.zeros_like(drawn))
            seeds[ratio] = seeds.get(ratio, 0) + 1
            real = read.of("real", "judge") if real is None else real
            training = read.training if training is None else training
        if matrices:
            return Pooled(panel, multiplier, matrices, seeds, real, training)
    return None


def draw(shares: Mapping[str, Any]) -> Any:
    """A matplotlib Figure: a matrix of shares, [classes, classes], by title. Call within ``style.settings()``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    across = min(ACROSS, len(shares))
    rows = math.ceil(len(shares) / across)
    figure = Figure(figsize=(style.WIDTH, 2.1 * rows + 0.1), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, across, squeeze=False)
    norm = PowerNorm(0.5, 0, 1)
    for axes in list(grid.flat)[len(shares) :]:
        axes.set_visible(False)
    for (title, matrix), axes in zip(shares.items(), grid.flat, strict=False):
        times = math.ceil(SHARP / len(matrix))
        axes.imshow(
            np.kron(matrix, np.ones((times, times))), cmap=COLOURS, norm=norm, interpolation="none",
            extent=(-0.5, len(matrix) - 0.5, len(matrix) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_title(title, loc="left", parse_math=False)
        axes.grid(False)
        step = max(1, math.ceil(len(matrix) / 10))
        axes.set_xticks(range(0, len(matrix), step))
        axes.set_yticks(range(0, len(matrix), step))
        axes.set_xlabel("judged")
        axes.set_ylabel("asked for")
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=list(grid.flat), shrink=0.8, aspect=30)
    bar.set_label("share of the images asked for")
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1])
    return figure


def _plate(study: Study, pooled: Pooled, end: str) -> Plate:
    ratios = _spread(sorted(pooled.matrices))
    shares = {
        f"r = {text.ratio(ratio)} (e = {text.rate(ratio / (1 + ratio))})": _shares(pooled.matrices[ratio])
        for ratio in ratios
    }
    label = pooled.panel.label
    words = (
        f"{label}, batch \u00d7 {pooled.multiplier}, all seeds together. Rows: the class that was asked for; columns: "
        "the class that the judge takes the image for, as shares of the row. The colour goes by the root of the share, "
        "so that small ones show. Noise spreads a row as the channel does: over all classes, or onto the next one."
    )
    if len(ratios) < len(pooled.matrices):
        words += f" {text.count(len(pooled.matrices) - len(ratios), 'ratio')} between are left out."
    seeds = sorted(set(pooled.seeds.values()))
    images = captions.span(int(one.sum()) for one in pooled.matrices.values())
    return Plate(
        name=f"{study.slug}-confusion{end}",
        kind="confusion",
        title=TITLE,
        alt=f"{TITLE}, {captions.heading(study.view)}",
        caption=text.clean(words, 900),
        small=text.breakable(
            f"n = {captions.span(seeds)} seeds a matrix, {images} images. {captions.setting(study.view)} "
            f"{captions.data([pooled.panel])}",
            1200,
        ),
        draw=partial(draw, shares),
        points=Sheet(HEAD, _rows(pooled)),
        tables=(_table(pooled, ratios),),
    )


def _shares(matrix: Counts) -> Any:
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _spread(ratios: Sequence[Fraction]) -> list[Fraction]:
    if len(ratios) <= MOST_RATIOS:
        return list(ratios)
    return [ratios[round(at * (len(ratios) - 1) / (MOST_RATIOS - 1))] for at in range(MOST_RATIOS)]


def _rows(pooled: Pooled) -> list[list[object]]:
    """Cells with an image, of all ratios."""
    return [
        [*_place(pooled, ratio), int(label), int(judged), int(matrix[label, judged])]
        for ratio, matrix in sorted(pooled.matrices.items())
        for label, judged in zip(*np.nonzero(matrix), strict=True)
    ]


def _place(pooled: Pooled, ratio: Fraction) -> list[object]:
    rate = ratio / (1 + ratio)
    return [
        pooled.panel.dataset, pooled.panel.label, float(ratio), float(rate), pooled.multiplier, pooled.seeds[ratio],
    ]  # fmt: skip


def _table(pooled: Pooled, ratios: Sequence[Fraction]) -> Table:
    """Consistency by class."""
    classes = len(next(iter(pooled.matrices.values())))
    rows = []
    for label in range(min(classes, MOST_CLASSES)):
        shares = [text.number(_share(pooled.matrices[ratio], label)) for ratio in ratios]
        training = text.NOTHING if pooled.training is None else f"{int(pooled.training[label]):,}"
        rows.append([f"{label}", training, text.number(_share(pooled.real, label)), *shares])
    raw: list[list[object]] = []
    for ratio, matrix in sorted(pooled.matrices.items()):
        for label in range(classes):
            images = None if pooled.training is None else int(pooled.training[label])
            real = [None, None] if pooled.real is None else _counted(pooled.real, label)
            raw.append([*_place(pooled, ratio), label, *_counted(matrix, label), _share(matrix, label), images, *real])
    first = f" the first {MOST_CLASSES} of {classes} classes" if classes > MOST_CLASSES else " consistency"
    heads = ["class", "training", "judge", *(f"r = {text.ratio(ratio)}" for ratio in ratios)]
    spans = [("", 1), ("images", 1), ("on real images", 1), ("consistency", len(ratios))]
    group = Group(text.breakable(pooled.panel.label), rows, [True] * len(rows))
    return Table(f"{TITLE}:{first}, by class, all seeds together.", heads, spans, [group], Sheet(CLASS_HEAD, raw))


def _counted(matrix: Counts, label: int) -> list[int]:
    """Images of a class, and those of them that are judged right."""
    return [int(matrix[label].sum()), int(matrix[label, label])]


def _share(matrix: Counts | None, label: int) -> float | None:
    total, right = (0, 0) if matrix is None else _counted(matrix, label)
    return right / total if total else None


KIND = Kind("confusion", TITLE, _plates)
