"""Distance of drawn images to the nearest training image over r: does a generator repeat what it was trained on?"""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field
from reports.points import Point

REAL = "neighbour_distance_real"


def _caption(points: Sequence[Point]) -> str:
    return (
        "Left: mean over drawn images of the root-mean-square difference of pixels in [0, 1] to the nearest training "
        "image; dashed: the clean reference's own; dotted: that of real test images. Right: share of drawn images "
        "that are nearer to a training image than 1 % of real test images are: well above 0.01, images are repeated."
    )


ITEM = Item(
    name="neighbours",
    title="Distance to the nearest training image",
    panels=(
        Column(
            "neighbour_distance",
            "distance",
            "distance (pixels in [0, 1])",
            "clean reference",
            beside=REAL,
            beside_label="real test images",
        ),
        Column("memorised_share", "memorised", "share nearer than 1 % of real", "clean reference"),
    ),
    needs=("neighbour_distance", "memorised_share"),
    extra=(REAL,),
    fields=(
        *cell_fields(),
        mean_field("neighbour_distance", "distance", 4),
        interval_field("neighbour_distance", "distance", 4),
        floor_field("neighbour_distance", "distance", "clean", 4),
        mean_field(REAL, "distance", 4, head="real", absent=text.NOTHING),
        mean_field("memorised_share", "memorised share", absent=text.NOTHING),
        interval_field("memorised_share", "memorised share"),
        floor_field("memorised_share", "memorised share", "clean"),
    ),
    caption=_caption,
)
