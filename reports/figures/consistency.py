"""Consistency over r: the share of drawn images that the judge takes for the label asked for, with its floor."""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.figures.axes import Column
from reports.figures.item import Item, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.points import Point


def _caption(points: Sequence[Point]) -> str:
    words = (
        "Consistency: share of drawn images that the judge takes for the class asked for. Dashed: what an ideal "
        "generator of the noisy labels scores, one that, asked for g, draws class y as often as y is the truth of a "
        "label g, each class with the judged confusion of the clean reference. Excess: observed less floor, seed by "
        "seed; below zero is worse than the channel explains. Its error takes the images of trial and reference as "
        "drawn apart."
    )
    if any("accuracy" in point.floor_kind for point in points):
        words += (
            " Floors marked a take the reference's consistency alone and wrong verdicts as uniform, as many images of "
            "each class."
        )
    return words


def _second_caption(points: Sequence[Point]) -> str:
    words = (
        "Left: consistency of the clean classes that, mixed by the known channel, best explain what the judge saw "
        "(maximum likelihood); dashed: the clean reference's own. Right: consistency by a second judge, with its own "
        "floor. Relative: consistency over the judge's accuracy on real test images. Agree: share of drawn images "
        "that both judges take for the same class."
    )
    if any(point.quantity == "channel_inverted_consistency" and point.undefined for point in points):
        words += (
            " Inverted consistency is undefined without a channel matrix, or where its condition number exceeds 100."
        )
    return words


ITEM = Item(
    name="consistency",
    title="Consistency of drawn images over the noise ratio",
    panels=(
        Column("consistency", "consistency", "judged as asked for"),
        Column(
            "consistency_excess",
            "excess",
            "observed \u2212 floor\nbelow 0: worse",
            floor_label="",
            zero=True,
        ),
    ),
    needs=("consistency",),
    extra=(),
    fields=(
        *cell_fields(),
        mean_field("consistency", "consistency"),
        interval_field("consistency", "consistency"),
        sampling_field("consistency", "consistency", head="images"),
        floor_field("consistency", "consistency"),
        mean_field("consistency_excess", "excess consistency", signed=True, absent=text.NOTHING),
        interval_field("consistency_excess", "excess consistency"),
        sampling_field("consistency_excess", "excess consistency", head="images"),
    ),
    caption=_caption,
)

JUDGES = Item(
    name="judges",
    title="Consistency with the channel inverted, and by a second judge",
    panels=(
        Column("channel_inverted_consistency", "channel inverted", "judged as asked for", "clean reference"),
        Column("second_consistency", "second judge", "judged as asked for", optional=True),
    ),
    needs=("channel_inverted_consistency", "second_consistency"),
    extra=("consistency_relative", "judge_accuracy", "second_judge_accuracy", "judges_agree"),
    fields=(
        *cell_fields(),
        mean_field("channel_inverted_consistency", "channel inverted"),
        interval_field("channel_inverted_consistency", "channel inverted"),
        floor_field("channel_inverted_consistency", "channel inverted", head="clean"),
        mean_field("second_consistency", "second judge", absent=text.NOTHING),
        interval_field("second_consistency", "second judge"),
        floor_field("second_consistency", "second judge"),
        mean_field("consistency_relative", "", head="relative"),
        mean_field("judge_accuracy", "on real images", head="judge"),
        mean_field("second_judge_accuracy", "on real images", head="second", absent=text.NOTHING),
        mean_field("judges_agree", "", head="agree", absent=text.NOTHING),
    ),
    caption=_second_caption,
)
