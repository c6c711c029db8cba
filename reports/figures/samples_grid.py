"""Blocks of small images, a column a label; those that a judge takes for another class have a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports import text
from reports.figures import style
from reports.samples import EACH, Pixels, Sample

SIDE_BY_SIDE = 10  # columns up to which two blocks stand beside one another
CELL = 0.34  # inches a column at most
SHARP = 48  # pixels a column at least, by whole multiples, so that no viewer blurs small images
MARGIN = 0.1  # of a cell, on each side of an image
HEAD, NUMBERS, BETWEEN, LEGEND = 0.2, 0.13, 0.14, 0.28  # inches: a title, the labels below it, gaps, the legend
FRAME = style.COLOURS[1]


@dataclass(frozen=True)
class Block:
    """Images under one title: ``columns`` go with ``labels``, each from the top."""

    title: str
    labels: Sequence[int]
    columns: Sequence[Sequence[Sample]]


def draw(blocks: Sequence[Block], *, framed: bool) -> Any:
    """A matplotlib Figure. Call within ``style.settings()``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(block.labels) for block in blocks)
    across = 2 if columns <= SIDE_BY_SIDE and len(blocks) > 1 else 1
    shape = next(sample.pixels.shape for block in blocks for column in block.columns for sample in column)
    room = (style.WIDTH - BETWEEN * (across - 1)) / across
    cell = min(CELL, room / columns)
    wide, high = cell * columns, cell * shape[0] / shape[1] * EACH
    lines = math.ceil(len(blocks) / across)
    each = HEAD + NUMBERS + high + BETWEEN
    height = lines * each + (LEGEND if framed else 0.0)
    figure = Figure(figsize=(style.WIDTH, height))
    FigureCanvasAgg(figure)
    for place, block in enumerate(blocks):
        line, column = divmod(place, across)
        top = height - line * each - HEAD - NUMBERS
        left = column * (room + BETWEEN)
        box = (left / style.WIDTH, (top - high) / height, wide / style.WIDTH, high / height)
        axes = figure.add_axes(box)
        _block(axes, block, columns, shape)
        figure.text(
            left / style.WIDTH, (top + NUMBERS + 0.05) / height, text.plain(block.title), fontsize=7.5, va="bottom",
            parse_math=False,
        )  # fmt: skip
    if framed:
        _legend(figure)
    return figure


def _block(axes: Any, block: Block, columns: int, shape: tuple[int, ...]) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(mosaic(block, columns, shape), extent=(0, columns, EACH, 0), interpolation="none", aspect="auto")
    for column, samples in enumerate(block.columns):
        for row, sample in enumerate(samples):
            if sample.wrong:
                edge = MARGIN / 2
                axes.add_patch(
                    Rectangle(
                        (column + edge, row + edge), 1 - 2 * edge, 1 - 2 * edge, fill=False, edgecolor=FRAME,
                        linewidth=1.0,
                    )
                )  # fmt: skip
    axes.set_xlim(0, columns)
    axes.set_ylim(EACH, 0)
    axes.grid(False)
    axes.set_xticks([place + 0.5 for place in range(len(block.labels))], [str(label) for label in block.labels])
    axes.set_yticks([])
    axes.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False, pad=1.5, labelsize=6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def mosaic(block: Block, columns: int, shape: tuple[int, ...]) -> Pixels:
    """All images of a block as one, white between them, [rows, columns, 3]."""
    high, wide = shape[0], shape[1]
    times = max(1, math.ceil(SHARP / wide))
    high, wide = times * high, times * wide
    edge = round(MARGIN * wide)
    whole: Pixels = np.full((EACH * (high + 2 * edge), columns * (wide + 2 * edge), 3), 255, dtype=np.uint8)
    for column, samples in enumerate(block.columns):
        for row, sample in enumerate(samples):
            top, left = row * (high + 2 * edge) + edge, column * (wide + 2 * edge) + edge
            whole[top : top + high, left : left + wide] = sample.pixels.repeat(times, 0).repeat(times, 1)
    return whole


def _legend(figure: Any) -> None:
    from matplotlib.patches import Patch

    entry = Patch(facecolor="none", edgecolor=FRAME, linewidth=1.0, label="the judge takes it for another class")
    figure.legend(handles=[entry], loc="lower center", frameon=False, handlelength=1.0, handleheight=1.0)
