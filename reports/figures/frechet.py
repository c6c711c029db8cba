"""Frechet and kernel distances over r: over the judge's features, and over Inception's where they were measured."""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field
from reports.points import Point

REAL = "frechet_distance_real"


def _caption(points: Sequence[Point]) -> str:
    return (
        "Frechet distance of drawn images from the training images, over the features of the judge, which is no FID: "
        "FID is over Inception-v3's. It tells how far all drawn images together are from real ones, whatever label "
        "was asked for. Dashed: the clean reference's own, the compute-matched control; dotted: what real test images "
        "score. Right: kernel distance over the same features. By class: mean over classes of the Frechet distance of "
        "the images asked for as a class from those of that class, which wrong classes raise; it is biased upwards "
        "where images of a class are few, alike at each r."
    )


def _fid_caption(points: Sequence[Point]) -> str:
    return (
        "FID and KID of drawn images from the training images, over the features of Inception-v3. Dashed: the clean "
        "reference's own, the compute-matched control."
    )


ITEM = Item(
    name="frechet",
    title="Frechet distance over the judge's features",
    panels=(
        Column(
            "frechet_distance",
            "Frechet distance",
            "Frechet distance\nover the judge's features",
            "clean reference",
            beside=REAL,
            beside_label="real test images",
        ),
        Column("kernel_distance", "kernel distance", "kernel distance\nover the judge's features", "clean reference"),
    ),
    needs=("frechet_distance", "kernel_distance"),
    extra=(REAL, "frechet_distance_by_class"),
    fields=(
        *cell_fields(),
        mean_field("frechet_distance", "Frechet distance", 2),
        interval_field("frechet_distance", "Frechet distance", 2),
        floor_field("frechet_distance", "Frechet distance", "clean", 2),
        mean_field(REAL, "Frechet distance", 2, head="real", absent=text.NOTHING),
        mean_field("frechet_distance_by_class", "by class", 2, absent=text.NOTHING),
        floor_field("frechet_distance_by_class", "by class", "clean", 2),
        mean_field("kernel_distance", "kernel distance", 4, absent=text.NOTHING),
        interval_field("kernel_distance", "kernel distance", 4),
        floor_field("kernel_distance", "kernel distance", "clean", 4),
    ),
    caption=_caption,
)

FID = Item(
    name="fid",
    title="FID and KID over the noise ratio",
    panels=(
        Column("fid", "FID", "FID", "clean reference"),
        Column("kid", "KID", "KID", "clean reference"),
    ),
    needs=("fid", "kid"),
    extra=(),
    fields=(
        *cell_fields(),
        mean_field("fid", "FID", 2),
        interval_field("fid", "FID", 2),
        floor_field("fid", "FID", "clean", 2),
        mean_field("kid", "KID", 4),
        interval_field("kid", "KID", 4),
        floor_field("kid", "KID", "clean", 4),
    ),
    caption=_fid_caption,
)
