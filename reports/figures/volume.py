"""Consistency and Frechet distance over how many clean images, and of how many classes, a generator is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports import text
from reports.along import Along, Counted, by_classes, by_images
from reports.cells import FigureSet
from reports.figures.axes import Column
from reports.figures.item import Field, cell_fields, floor_field, interval_field, mean_field, sampling_field
from reports.figures.lines import LineItem, plates
from reports.figures.plate import Kind, Plate, Study
from reports.points import Point
from reports.rows import Published


def _caption(points: Sequence[Point]) -> str:
    words = (
        "Consistency of drawn images; excess consistency, observed less floor, below zero where noise costs more than "
        "the channel explains; and Frechet distance over the judge's features. Dashed, left: what an ideal generator "
        "of the noisy labels scores; right: the clean reference's own. Frechet distances are from the "
        "training images, and so from another set at each place of the axis: the distance of real test images from it "
        "is in the table."
    )
    if any("accuracy" in point.floor_kind for point in points):
        words += " Floors marked a take the reference's consistency alone."
    return words


def _item(name: str, title: str, axis: str, label: str, head: str) -> LineItem:
    size = Field(head, lambda cell: f"{cell.first.multiplier:,}", {axis: lambda cell: cell.first.multiplier})
    return LineItem(
        name=name,
        title=title,
        axis=axis,
        axis_label=label,
        panels=(
            Column("consistency", "consistency", "judged as asked for"),
            Column("consistency_excess", "excess", "observed \u2212 floor", floor_label="", zero=True),
            Column("frechet_distance", "Frechet distance", "over the judge's features", "clean reference"),
        ),
        extra=("frechet_distance_real",),
        fields=(
            *(size if field.head == "batch" else field for field in cell_fields()),
            mean_field("consistency", "consistency"),
            interval_field("consistency", "consistency"),
            sampling_field("consistency", "consistency", head="images"),
            floor_field("consistency", "consistency"),
            mean_field("consistency_excess", "excess consistency", signed=True, absent=text.NOTHING),
            interval_field("consistency_excess", "excess consistency"),
            mean_field("frechet_distance", "Frechet distance", 2, absent=text.NOTHING),
            floor_field("frechet_distance", "Frechet distance", "clean", 2),
            mean_field("frechet_distance_real", "Frechet distance", 2, head="real", absent=text.NOTHING),
        ),
        caption=_caption,
    )


IMAGES_ITEM = _item(
    "images", "Consistency over the number of training images", "training_images", "training images", "training"
)
CLASSES_ITEM = _item("classes", "Consistency over the number of classes", "classes", "classes", "classes")


def _plates(item: LineItem, arranged: Callable[[FigureSet, Counted], list[Along]]) -> Callable[[Study], list[Plate]]:
    def made(study: Study) -> list[Plate]:
        def counted(trial: Published) -> tuple[int, int] | None:
            found = study.judged(trial)
            return None if found is None or found.training is None else (int(found.training.sum()), found.classes)

        return plates(item, study, arranged(study.view, counted))

    return made


IMAGES = Kind(IMAGES_ITEM.name, IMAGES_ITEM.title, _plates(IMAGES_ITEM, by_images))
CLASSES = Kind(CLASSES_ITEM.name, CLASSES_ITEM.title, _plates(CLASSES_ITEM, by_classes))
