"""Excess of all families on one pair of axes: grouped by set, beside what the paper's numbers come to."""

from __future__ import annotations

import csv
import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.figure_words import assert_legible
from fixtures.image_store import pictures, publish_images
from fixtures.language_store import publish_text, texts
from fixtures.report_store import Cell, Rows

from reports import contents as words
from reports import paper
from reports.analysis import Analysis, analyse
from reports.figures import style
from reports.figures.across import MOST_SERIES
from reports.figures.plate import Plate
from reports.files import open_store
from reports.report import build


def classifiers(rows: Rows, ratios: tuple[str, ...] = ("0", "1/2", "1"), **fields: Any) -> None:
    for cell in (Cell(Fraction(ratio), seed=seed, **fields) for ratio in ratios for seed in (0, 1, 2)):
        rows.publish(cell)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    rows = Rows()
    classifiers(rows)
    for cell in pictures(("0", "1")):
        publish_images(rows, cell, samples=False)
    for cell in texts(("0", "1"), rule="fixed"):
        publish_text(rows, cell)
    return analyse(open_store(rows.write(tmp_path_factory.mktemp("across") / "store", one_file=True)))


def plate_of(analysis: Analysis) -> Plate:
    (plate,) = analysis.across
    return plate


def rows_of(plate: Plate) -> list[dict[str, Any]]:
    return [dict(zip(plate.points.columns, row, strict=True)) for row in plate.points.rows]


def test_the_published_excesses_are_those_of_the_facts() -> None:
    """Figures.md D2: +0.027 and +0.044 nats, \u22126.7 and \u221215.8 points."""
    assert [round(value.excess, 3) for value in paper.EXCESSES[:2]] == [0.027, 0.044]
    assert [round(100 * value.excess, 1) for value in paper.EXCESSES[2:]] == [-6.7, -15.8]
    assert paper.EXCESSES[0].floor == pytest.approx(2.87 + math.log(2))
    assert paper.EXCESSES[3].floor == pytest.approx(0.5 * 0.65236 + 0.5 * (1 - 0.65236) / 99)


def test_one_family_has_no_such_section(tmp_path: Path) -> None:
    rows = Rows()
    classifiers(rows)
    classifiers(rows, law="next_class", model="mlp")
    for cell in pictures(("0",)):
        publish_images(rows, cell, samples=False)  # another family without an excess
    analysis = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    assert analysis.across == ()
    assert words.contents(analysis)["across"] == []


def test_every_set_keeps_its_own_points(found: Analysis) -> None:
    rows = rows_of(plate_of(found))
    ours = [row for row in rows if row["source"] == "this store"]
    told = {(row["family"], row["quantity"], row["ratio"]) for row in ours}
    assert told == {
        *(("classifier", q, r) for q in ("nll_excess", "sampled_excess") for r in (0.5, 1.0)),
        *(("diffusion", q, 1.0) for q in ("nll_excess", "sampled_excess", "consistency_excess")),
        *(("language", q, 1.0) for q in ("nll_excess", "sampled_excess")),
    }
    cells = pictures(("1",))
    expected = np.mean([found.measured[cell.id].value("consistency_excess") for cell in cells])  # type: ignore[arg-type]
    (row,) = (row for row in ours if row["quantity"] == "consistency_excess")
    assert (row["mean"], row["n"], row["of"]) == (pytest.approx(expected), 3, 3)
    assert len({row["set"] for row in ours}) == 3


def test_published_values_are_apart_with_their_source(found: Analysis) -> None:
    plate = plate_of(found)
    theirs = [row for row in rows_of(plate) if row["source"].startswith("arXiv 2512.11912, ")]
    assert [(row["family"], row["dataset"]) for row in theirs] == [
        ("language", "OpenWebText"), ("classifier", "CIFAR-10"), ("diffusion", "CIFAR-10"), ("diffusion", "CIFAR-100"),
    ]  # fmt: skip
    assert all(row["low"] is None and row["n"] == 1 for row in theirs)
    assert "Hollow: what the numbers published in arXiv 2512.11912 come to, of its own data and one run each" in (
        plate.caption
    )


def test_nats_are_on_one_panel_and_points_on_the_other(found: Analysis) -> None:
    with style.settings():
        figure = plate_of(found).draw()
        assert_legible(figure)
    left, right = figure.axes
    assert "(nats)" in left.get_ylabel()
    assert "(points)" in right.get_ylabel()
    hollow = [
        [line for line in axes.lines if line.get_color() == style.GREY and line.get_markersize() == 5.5]
        for axes in (left, right)
    ]
    assert [round(float(line.get_ydata()[0]), 3) for line in hollow[0]] == [0.027, 0.044]
    assert [round(float(line.get_ydata()[0]), 1) for line in hollow[1]] == [-6.7, -15.8]
    (row,) = (row for row in rows_of(plate_of(found)) if row["quantity"] == "consistency_excess" and row["set"])
    assert any(100 * row["mean"] in list(line.get_ydata()) for line in right.lines)


def test_the_section_comes_last_with_its_files(found: Analysis) -> None:
    files = build(found)
    assert {name for name in files if "across" in name} == {
        f"figures/across-families-excess.{end}" for end in ("svg", "csv")
    } | {"tables/across-families-excess.csv"}
    (figure,) = words.contents(found)["across"]
    assert figure["path"] == "figures/across-families-excess.svg"
    labels = [group["label"].replace("\u200b", "") for group in figure["table"]["groups"]]
    assert labels[0].startswith("classifier small_cnn: digits; uniform_wrong, fresh")
    assert labels[-1] == "published, arXiv 2512.11912: EDM on CIFAR-100"
    table = list(csv.DictReader(io.StringIO(files["tables/across-families-excess.csv"].decode())))
    assert len(table) == 9 + 4


def test_more_sets_than_a_legend_holds_are_in_the_table(tmp_path: Path) -> None:
    rows = Rows()
    for place in range(MOST_SERIES + 3):
        classifiers(rows, ("0", "1"), lr=0.001 * (place + 1))
    for cell in pictures(("0", "1")):
        publish_images(rows, cell, samples=False)
    plate = plate_of(analyse(open_store(rows.write(tmp_path / "store", one_file=True))))
    assert "4 more panels: see the table" in plate.caption
    assert len(plate.tables[0].groups) == MOST_SERIES + 4 + len(paper.EXCESSES)
    with style.settings():
        figure = plate.draw()
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(shown) == MOST_SERIES + len(paper.EXCESSES)
    assert any(label.startswith("diffusion") for label in shown)
