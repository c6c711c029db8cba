"""Negative log-likelihood over r: as predicted and with the channel inverted, with the floor of each."""

from __future__ import annotations

from collections.abc import Sequence

from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.points import Point, unit_of


def _caption(points: Sequence[Point]) -> str:
    unit = unit_of(points)
    words = (
        f"Test NLL in nats {unit.article} {unit.one}, on {unit.data}, and the same of channel-inverted predictions. "
        "Dashed, left: the NLL of a model that predicts T′p where the clean reference predicts p; right: the clean "
        "reference's own channel-inverted NLL, mixed with 1e\u22123 of uniform like all others."
    )
    words += " Boundary: share of inverted predictions on the edge of the simplex."
    if any("bound" in point.floor_kind for point in points):
        words += " Floors marked b are upper bounds, clean NLL \u2212 ln(1 \u2212 e): the floor itself is lower."
    if any(point.quantity == "channel_inverted_nll" and point.undefined for point in points):
        words += " Inverted predictions are undefined where the channel's condition number exceeds 100."
    return f"{words} {unit.remark}".rstrip()


ITEM = Item(
    name="nll",
    title="Negative log-likelihood over the noise ratio",
    panels=(
        Column("test_nll", "test NLL", "test NLL (nats)"),
        Column("channel_inverted_nll", "channel-inverted NLL", "inverted NLL (nats)", floor_label="clean reference"),
    ),
    needs=("test_nll", "channel_inverted_nll"),
    extra=("inversion_boundary_share",),
    fields=(
        *cell_fields(),
        mean_field("test_nll", "test NLL (nats)"),
        interval_field("test_nll", "test NLL (nats)"),
        sampling_field("test_nll", "test NLL (nats)"),
        floor_field("test_nll", "test NLL (nats)"),
        mean_field("channel_inverted_nll", "channel-inverted NLL (nats)"),
        interval_field("channel_inverted_nll", "channel-inverted NLL (nats)"),
        floor_field("channel_inverted_nll", "channel-inverted NLL (nats)", head="clean"),
        mean_field("inversion_boundary_share", "", digits=2, head="boundary"),
    ),
    caption=_caption,
)
