"""Accuracy over r: of the argmax (top-1) and of one sample, with the channel's floors."""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.points import Point, unit_of


def _caption(points: Sequence[Point]) -> str:
    unit = unit_of(points)
    words = (
        f"Top-1 accuracy and accuracy of one sample from the predicted distribution, on {unit.data}. Dashed: what "
        "a model scores that predicts T′p where the clean reference predicts p."
    )
    top1 = [point for point in points if point.quantity == "top1"]
    if any("exact" in point.floor_kind for point in top1):
        words += (
            f" For top-1 that is the share of {unit.many} whose most probable {unit.outcome} under T′p is the true one."
        )
    if any("clean" in point.floor_kind for point in top1):
        words += " Below its threshold the law keeps every argmax: there the top-1 floor is the clean top-1."
    if any("certain" in point.floor_kind for point in top1):
        words += " Top-1 floors marked c are the clean top-1, which the channel keeps of certain predictions only."
    ties = _rates(top1, "tie")
    lost = _rates(top1, "lost")
    if ties:
        words += f" At e = {ties} two {unit.classes} of a certain prediction tie, and top-1 has no floor."
    if lost:
        words += f" At e = {lost} a certain prediction of some {unit.outcome} turns wrong; without all of p there is no"
        words += " floor."
    return f"{words} {unit.remark}".rstrip()


def _rates(points: Sequence[Point], kind: str) -> str:
    found = sorted({point.rate for point in points if kind in point.floor_kind})
    return text.listing(map(text.rate, found)) if found else ""


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
