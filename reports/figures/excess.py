"""Excess damage over r: what was observed less what the channel alone explains, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence

from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.points import Point, unit_of


def _caption(points: Sequence[Point]) -> str:
    unit = unit_of(points)
    words = (
        "Excess damage: observed less floor, seed by seed. For NLL, above zero is worse than the channel alone "
        "explains; for sampled accuracy, below zero is. At r = 0 a trial is its own floor, so no excess is shown. The "
        f"test set's error is that of the difference from the floor, {unit.one} by {unit.one}."
    )
    if any("bound" in point.floor_kind for point in points):
        words += " Where the floor is a bound (b), the NLL's excess is a lower estimate."
    return f"{words} {unit.remark}".rstrip()


ITEM = Item(
    name="excess",
    title="Excess damage over the noise ratio",
    panels=(
        Column("nll_excess", "excess NLL", "observed \u2212 floor (nats)\nabove 0: worse", floor_label="", zero=True),
        Column(
            "sampled_excess", "excess, one sample", "observed \u2212 floor\nbelow 0: worse", floor_label="", zero=True
        ),
    ),
    needs=("nll_excess", "sampled_excess"),
    extra=(),
    fields=(
        *cell_fields(),
        mean_field("nll_excess", "excess NLL (nats)", signed=True, absent="no floor"),
        interval_field("nll_excess", "excess NLL (nats)"),
        sampling_field("nll_excess", "excess NLL (nats)"),
        floor_field("nll_excess", "excess NLL (nats)"),
        mean_field("sampled_excess", "excess sampled accuracy", signed=True, absent="no floor"),
        interval_field("sampled_excess", "excess sampled accuracy"),
        sampling_field("sampled_excess", "excess sampled accuracy"),
        floor_field("sampled_excess", "excess sampled accuracy"),
    ),
    caption=_caption,
    clean=False,
)
