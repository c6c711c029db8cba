"""NLL, and what noise adds to it, over the context length: does a richer condition make wrong targets less harmful?"""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.along import by_context
from reports.figures.axes import Column
from reports.figures.item import Field, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.figures.lines import LineItem, plates
from reports.figures.plate import Kind, Plate, Study
from reports.measures import NLL_RISE, NLL_RISE_SHARE, REFERENCE_NLL
from reports.points import Point


def _caption(points: Sequence[Point]) -> str:
    words = (
        "Final test NLL in nats a token, on clean validation text, over the context length; and what noise adds to the "
        "clean reference's NLL, in nats and as a share of it, seed by seed. Dashed: the NLL of a model that predicts "
        "T′p where the clean reference predicts p, and what it adds. Values compare where the targets are the "
        "same at each length."
    )
    if any("bound" in point.floor_kind for point in points):
        words += " Floors marked b are upper bounds, clean NLL \u2212 ln(1 \u2212 e): the floor itself is lower."
    return words


def _context_fields() -> list[Field]:
    """As every table begins, with the context length in the place of the batch multiplier."""
    length = Field(
        "context", lambda cell: f"{cell.first.multiplier:,}", {"context": lambda cell: cell.first.multiplier}
    )
    return [length if field.head == "batch" else field for field in cell_fields()]


ITEM = LineItem(
    name="context",
    title="Negative log-likelihood over the context length",
    axis="context",
    axis_label="context length (tokens)",
    panels=(
        Column("test_nll", "test NLL", "test NLL (nats)"),
        Column(NLL_RISE, "rise over clean", "observed \u2212 clean (nats)", zero=True),
        Column(NLL_RISE_SHARE, "relative rise", "(observed \u2212 clean) / clean", zero=True),
    ),
    extra=(REFERENCE_NLL, "nll_excess"),
    fields=(
        *_context_fields(),
        mean_field("test_nll", "test NLL (nats)"),
        interval_field("test_nll", "test NLL (nats)"),
        sampling_field("test_nll", "test NLL (nats)"),
        floor_field("test_nll", "test NLL (nats)"),
        mean_field(REFERENCE_NLL, "", head="clean", absent=text.NOTHING),
        mean_field(NLL_RISE, "rise over clean (nats)", signed=True, absent=text.NOTHING),
        interval_field(NLL_RISE, "rise over clean (nats)"),
        mean_field(NLL_RISE_SHARE, "", head="relative", signed=True, absent=text.NOTHING),
        mean_field("nll_excess", "", head="excess", signed=True, absent=text.NOTHING),
    ),
    caption=_caption,
)


def _plates(study: Study) -> list[Plate]:
    return plates(ITEM, study, by_context(study.view))


KIND = Kind(ITEM.name, ITEM.title, _plates)
