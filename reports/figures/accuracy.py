"""Accuracy over r: of the argmax (top-1) and of one sample, with the channel's floors."""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.points import Point


def _caption(points: Sequence[Point]) -> str:
    words = (
        "Top-1 accuracy and accuracy of one sample from the predicted distribution, on clean test data. Dashed: what "
        "an ideal model of the noisy data would score. For top-1 that is the clean reference's accuracy below the "
        "law's threshold, and nothing at or above it."
    )
    ties = sorted({point.ratio for point in points if "tie" in point.floor_kind})
    lost = sorted({point.ratio for point in points if "lost" in point.floor_kind})
    if ties:
        words += f" At r = {text.listing(map(text.ratio, ties))} the ideal argmax is a tie."
    if lost:
        words += f" At r = {text.listing(map(text.ratio, lost))} it is a wrong class."
    return words


ITEM = Item(
    name="accuracy",
    title="Accuracy over the noise ratio",
    panels=(
        Column("top1", "top-1", "top-1 accuracy"),
        Column("sampled_accuracy", "one sample", "sampled accuracy"),
    ),
    needs=("top1", "sampled_accuracy"),
    extra=(),
    fields=(
        *cell_fields(),
        mean_field("top1", "top-1 accuracy"),
        interval_field("top1", "top-1 accuracy"),
        sampling_field("top1", "top-1 accuracy"),
        floor_field("top1", "top-1 accuracy"),
        mean_field("sampled_accuracy", "sampled accuracy"),
        interval_field("sampled_accuracy", "sampled accuracy"),
        sampling_field("sampled_accuracy", "sampled accuracy"),
        floor_field("sampled_accuracy", "sampled accuracy"),
    ),
    caption=_caption,
)
