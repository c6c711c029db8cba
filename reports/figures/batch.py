"""NLL over the batch multiplier, a line an error rate: does a larger batch help noisy training more than clean?"""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.along import by_batch
from reports.figures.axes import Column
from reports.figures.item import cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.figures.lines import LineItem, plates
from reports.figures.plate import Kind, Plate, Study
from reports.measures import REFERENCE_NLL
from reports.points import Point, unit_of


def _caption(points: Sequence[Point]) -> str:
    unit = unit_of(points)
    words = (
        f"Final test NLL in nats {unit.article} {unit.one}, on {unit.data}, over the batch multiplier; that of the "
        "clean reference of each noisy trial, of the same multiplier; and excess damage, observed less floor. Where "
        "all three move alike, the batch does to noisy training what it does to clean. Dashed: the NLL of a model "
        "that predicts T′p where the clean reference predicts p. Equal samples: the number of steps falls with the "
        "batch; equal steps: the samples grow with it."
    )
    if any("bound" in point.floor_kind for point in points):
        words += " Floors marked b are upper bounds, clean NLL \u2212 ln(1 \u2212 e): the floor itself is lower."
    return words


ITEM = LineItem(
    name="batch",
    title="Negative log-likelihood over the batch",
    axis="multiplier",
    axis_label="batch multiplier",
    panels=(
        Column("test_nll", "test NLL", "test NLL (nats)"),
        Column(REFERENCE_NLL, "clean reference", "clean reference's NLL (nats)", floor_label=""),
        Column("nll_excess", "excess NLL", "observed \u2212 floor (nats)", floor_label="", zero=True),
    ),
    extra=(),
    fields=(
        *cell_fields(),
        mean_field("test_nll", "test NLL (nats)"),
        interval_field("test_nll", "test NLL (nats)"),
        sampling_field("test_nll", "test NLL (nats)"),
        floor_field("test_nll", "test NLL (nats)"),
        mean_field(REFERENCE_NLL, "", head="clean", absent=text.NOTHING),
        mean_field("nll_excess", "excess NLL (nats)", signed=True, absent=text.NOTHING),
        interval_field("nll_excess", "excess NLL (nats)"),
    ),
    caption=_caption,
)


def _plates(study: Study) -> list[Plate]:
    return plates(ITEM, study, by_batch(study.view))


KIND = Kind(ITEM.name, ITEM.title, _plates)
