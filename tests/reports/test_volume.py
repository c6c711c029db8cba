"""Consistency over the number of training images and of classes: which panels make a line, and what it shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.figure_words import assert_legible
from fixtures.image_store import TRAINING, Pictures, confusion, pictures, publish_images
from fixtures.report_rows import TABLES
from fixtures.report_store import Cell, Rows

from reports.along import by_classes, by_images
from reports.analysis import analyse
from reports.cells import FigureSet, figure_sets
from reports.contents import contents
from reports.figures import style
from reports.files import open_store
from reports.rows import Published, read_rows
from sweep.store.schema import to_table

FIXED: dict[str, Any] = {"rule": "fixed"}


def unknown(trial: Published) -> tuple[int, int] | None:
    return None


def whole(trial: Published) -> tuple[int, int] | None:
    return sum(TRAINING), 10


def sets_of(cells: list[Pictures], *others: Cell) -> list[FigureSet]:
    rows = Rows()
    for cell in [*cells, *others]:
        rows.publish(cell, measured={"consistency": 0.5}, kept=False)
    return figure_sets(read_rows({name: to_table(name, rows.tables[name]) for name in TABLES}).trials)


def sized(*images: int | None, **fields: Any) -> list[Pictures]:
    return [cell for size in images for cell in pictures(("0", "1"), images=size, **FIXED, **fields)]


def test_images_make_a_line_and_all_of_them_are_counted() -> None:
    (view,) = sets_of(sized(250, 500, None))
    (row,) = by_images(view, whole)
    assert row.view.multipliers == (250, 500, sum(TRAINING))
    assert row.panel.label == "digits"
    assert len(row.panel.trials) == 2 * 3 * 3
    (row,) = by_images(view, unknown)
    assert row.view.multipliers == (250, 500)
    assert by_classes(view, whole) == []


def test_one_size_is_no_figure() -> None:
    (view,) = sets_of(sized(250))
    assert by_images(view, whole) == []


def test_classes_with_as_many_images_each_and_with_as_many_in_all_are_rows_of_their_own() -> None:
    cells = [cell for n in (2, 5) for cell in sized(50 * n, 250, classes=n)]
    (view,) = sets_of(cells)
    each, in_all = by_classes(view, unknown)
    assert each.panel.label == "digits; 50 images a class"
    assert in_all.panel.label == "digits: subset.images 250"
    assert each.view.multipliers == in_all.view.multipliers == (2, 5)
    assert {trial.id for trial in each.panel.trials.values()} == {
        cell.id for cell in cells if cell.images == 50 * (cell.classes or 0)
    }


def test_all_images_of_each_class_are_a_line_too() -> None:
    cells = [cell for n in (2, 5, None) for cell in pictures(("0", "1"), classes=n, **FIXED)]
    (view,) = sets_of(cells)
    (row,) = by_classes(view, whole)
    assert row.panel.label == "digits; all images of each class"
    assert row.view.multipliers == (2, 5, 10)


def test_a_judges_own_part_of_the_data_is_no_difference() -> None:
    """A judge of all images: the part that it lacks is told of those trials alone that have one."""
    judge = Pictures(Fraction(0), family="classifier", model="small_cnn", seed=7)
    cells = [replace(cell, needs={"judge": judge.id}) for cell in sized(250, None)]
    (view,) = (view for view in sets_of(cells, judge) if view.key.family == "diffusion")
    told = [name for panel in view.panels for name, _ in panel.configuration if name == "needs.judge.subset.images"]
    assert len(told) == 1
    (row,) = by_images(view, whole)
    assert row.view.multipliers == (250, sum(TRAINING))


def test_a_judges_fields_come_last_in_the_configuration(tmp_path: Path) -> None:
    judge = Pictures(Fraction(0), family="classifier", model="small_cnn", seed=7)
    rows = Rows()
    rows.publish(judge, measured={"top1": 0.9}, kept=False)
    for cell in pictures(("0",)):
        publish_images(rows, replace(cell, needs={"judge": judge.id}), samples=False)
    sections = contents(analyse(open_store(rows.write(tmp_path / "store", one_file=True))))["sections"]
    (shown,) = (section for section in sections if section["heading"].startswith("diffusion"))
    names = [row[0] for row in shown["configurations"][0]["rows"]]
    first = next(place for place, name in enumerate(names) if name.startswith("needs."))
    assert first > names.index("schedule.name")
    assert all(name.startswith("needs.judge.") for name in names[first:])


def test_judges_of_two_parts_of_the_data_are_two_rows() -> None:
    judges = [Pictures(Fraction(0), family="classifier", model="small_cnn", images=n) for n in (400, 800)]
    cells = [replace(cell, needs={"judge": judge.id}) for judge in judges for cell in sized(250, 500)]
    (view,) = (view for view in sets_of(cells, *judges) if view.key.family == "diffusion")
    rows = by_images(view, unknown)
    assert [row.panel.label for row in rows] == [f"digits: judge subset.images {n}" for n in (400, 800)]
    assert all(row.view.multipliers == (250, 500) and len(row.panel.trials) == 12 for row in rows)


def test_batch_multipliers_are_rows_of_their_own() -> None:
    cells = [replace(cell, multiplier=multiplier) for cell in sized(250, 500) for multiplier in (1, 4)]
    rows = by_images(sets_of(cells)[0], unknown)
    assert [row.panel.label for row in rows] == ["digits; batch × 1", "digits; batch × 4"]


def test_the_figures_show_consistency_excess_and_distance(tmp_path: Path) -> None:
    rows = Rows()
    cells = [*sized(250, None), *[cell for n in (2, 5) for cell in sized(25 * n, classes=n)]]
    for cell in cells:
        publish_images(rows, cell, samples=False)
    analysis = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    plates = {plate.kind: plate for plate in analysis.sections[0].plates if plate.kind in ("images", "classes")}
    assert set(plates) == {"images", "classes"}
    table = plates["images"].tables[0].sheet
    told = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["ratio"], row["training_images"]) for row in told] == [
        (r, n) for r in (0.0, 1.0) for n in (250, sum(TRAINING))
    ]
    means = [np.trace(confusion(cell)) / confusion(cell).sum() for cell in pictures(("1",), **FIXED)]
    assert told[-1]["consistency"] == pytest.approx(np.mean(means))
    assert told[-1]["consistency_excess"] == pytest.approx(told[-1]["consistency"] - told[-1]["consistency_floor"])
    assert told[-1]["frechet_distance_real"] == pytest.approx(1.5)
    sheet = plates["classes"].tables[0].sheet
    assert [row[sheet.columns.index("classes")] for row in sheet.rows] == [2, 5, 10, 2, 5, 10]
    for plate in plates.values():
        with style.settings():
            figure = plate.draw()
            assert_legible(figure)
        assert len(figure.axes) % 3 == 0
