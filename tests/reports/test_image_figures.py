"""Figures of generators: consistency and its floor, distances, images and confusions, from the store alone."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.figure_words import assert_legible
from fixtures.image_store import (
    EACH,
    Pictures,
    confusion,
    confusion_artifact,
    confusions_of,
    given,
    image_metrics,
    pictures,
    publish_images,
    training,
    twins,
)
from fixtures.report_store import CLASSES, Rows

from reports import contents as words
from reports import tables
from reports.analysis import Analysis, analyse
from reports.figures import style
from reports.figures.plate import Plate
from reports.files import open_store
from reports.plates import plates
from reports.report import build
from reports.statistics import wilson

HALF, ONE = Fraction(1, 2), Fraction(1)


def analysed(rows: Rows, root: Path) -> Analysis:
    return analyse(open_store(rows.write(root / "store", one_file=True)))


def one_set(cells: list[Pictures], root: Path, **fields: Any) -> Analysis:
    rows = Rows()
    for cell in cells:
        publish_images(rows, cell, **fields)
    return analysed(rows, root)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    cells = [cell for cell in pictures(("0", "1/10", "1/2", "1")) if (cell.ratio, cell.seed) != (1, 2)]
    rows = Rows()
    for cell in [*cells, *twins(cells)]:
        publish_images(rows, cell, samples=cell.seed == 0)
    return analysed(rows, tmp_path_factory.mktemp("images"))


def plate_of(analysis: Analysis, kind: str) -> Plate:
    (plate,) = (plate for section in analysis.sections for plate in plates(section) if plate.kind == kind)
    return plate


def points(plate: Plate) -> dict[tuple[str, float], dict[str, Any]]:
    rows = [dict(zip(plate.points.columns, row, strict=True)) for row in plate.points.rows]
    return {(row["quantity"], row["ratio"]): row for row in rows}


def floor(cell: Pictures, clean: Pictures, judge: str = "judge") -> float:
    """The mean over given labels of the mixture of the clean twin's shares, as many of each label."""
    shares = confusion(clean, judge) / EACH
    return float((given(cell) * shares.T).sum() / len(shares))


def test_the_figures_of_a_set_in_their_order(found: Analysis) -> None:
    assert [plate.kind for plate in plates(found.sections[0])] == [
        "accuracy", "nll", "excess", "consistency", "judges", "frechet", "neighbours", "samples", "confusion",
    ]  # fmt: skip
    assert found.across == ()


def test_consistency_its_floor_from_the_twin_and_its_excess(found: Analysis) -> None:
    told = points(plate_of(found, "consistency"))
    for ratio in ("1/10", "1/2", "1"):
        cells = [cell for cell in pictures((ratio,)) if (cell.ratio, cell.seed) != (1, 2)]
        floors = [floor(cell, replace(cell, ratio=Fraction(0), base=cell.samples)) for cell in cells]
        seen = [image_metrics(cell)["consistency"] for cell in cells]
        row, excess = told["consistency", float(Fraction(ratio))], told["consistency_excess", float(Fraction(ratio))]
        assert row["floor"] == pytest.approx(np.mean(floors))
        assert row["mean"] == pytest.approx(np.mean(seen))  # type: ignore[arg-type]
        assert (row["floor_kind"], row["reference"], row["n"]) == ("exact", "twin", len(cells))
        assert excess["mean"] == pytest.approx(np.mean(np.subtract(seen, floors)))  # type: ignore[arg-type]
        assert (row["examples"], row["unit"]) == (EACH * CLASSES, "image")
        assert (row["test_low"], row["test_high"]) == pytest.approx(wilson(row["mean"], EACH * CLASSES))
    clean = told["consistency", 0.0]
    assert (clean["floor_kind"], clean["floor"]) == ("own", clean["mean"])
    assert told["consistency_excess", 0.0]["mean"] is None


def test_the_error_of_an_excess_is_of_both_trials_images(found: Analysis) -> None:
    row = points(plate_of(found, "consistency"))["consistency_excess", 1.0]
    halves = []
    for cell in pictures(("1",), (0, 1)):
        shares = confusion(replace(cell, ratio=Fraction(0), base=cell.samples)) / EACH
        gains = given(cell).T / CLASSES  # of an image of class y that is judged k
        spread = (gains**2 * shares).sum(axis=1) - ((gains * shares).sum(axis=1)) ** 2
        seen = image_metrics(cell)["consistency"] or 0.0
        halves.append(1.959964 * np.sqrt(spread.sum() / EACH + seen * (1 - seen) / (EACH * CLASSES)))
    assert (row["test_high"] - row["test_low"]) / 2 == pytest.approx(np.mean(halves), rel=1e-5)


def test_a_second_judge_has_its_own_floor_and_the_inverted_that_of_the_reference(found: Analysis) -> None:
    told = points(plate_of(found, "judges"))
    cells = pictures(("1/2",))
    floors = [floor(cell, replace(cell, ratio=Fraction(0), base=cell.samples), "second_judge") for cell in cells]
    assert told["second_consistency", 0.5]["floor"] == pytest.approx(np.mean(floors))
    inverted = told["channel_inverted_consistency", 0.5]
    assert (inverted["floor"], inverted["floor_kind"]) == (pytest.approx(0.9), "clean")
    assert told["judges_agree", 0.5]["mean"] == pytest.approx(0.95)


def test_distances_are_beside_the_twins_and_those_of_real_images(found: Analysis) -> None:
    plate = plate_of(found, "frechet")
    told = points(plate)
    expected = [
        image_metrics(replace(cell, ratio=Fraction(0), base=cell.samples))["frechet_distance"]
        for cell in pictures(("1/2",))
    ]
    assert told["frechet_distance", 0.5]["floor"] == pytest.approx(np.mean(expected))  # type: ignore[arg-type]
    assert told["frechet_distance_real", 0.5]["mean"] == pytest.approx(1.5)
    with style.settings():
        figure = plate.draw()
        assert_legible(figure)
    left, _ = figure.axes
    assert left.get_ylabel() == "Frechet distance\nover the judge's features"
    low, high = left.get_ylim()
    assert low < 1.5 < high
    (dotted,) = (line for line in left.lines if list(line.get_ydata()) == [1.5] * 4)
    assert dotted.get_color() == style.GREY
    assert "no FID" in plate.caption


def test_every_figure_is_legible_and_the_same_twice(found: Analysis) -> None:
    for plate in plates(found.sections[0]):
        with style.settings():
            assert_legible(plate.draw())
            assert style.svg(plate.draw()) == style.svg(plate.draw()), plate.kind


def test_wrong_images_are_framed_and_listed(found: Analysis) -> None:
    plate = plate_of(found, "samples")
    rows = [dict(zip(plate.points.columns, row, strict=True)) for row in plate.points.rows]
    assert {row["ratio"] for row in rows} == {0.0, 0.1, 0.5, 1.0}
    assert {row["seed"] for row in rows} == {0}
    assert len(rows) == 4 * 5 * CLASSES
    assert [row["index"] for row in rows[:5]] == [0, 10, 20, 30, 40]
    wrong = sum(row["judged"] != row["label"] for row in rows)
    with style.settings():
        figure = plate.draw()
    assert sum(len(axes.patches) for axes in figure.axes) == wrong > 0
    by_ratio = {row[2]: row[7] for row in plate.tables[0].sheet.rows}
    assert sum(by_ratio.values()) == wrong  # type: ignore[arg-type]
    assert b"data:image/png;base64" in style.svg(figure)


def test_many_classes_show_the_first_twenty_and_say_so(tmp_path: Path) -> None:
    analysis = one_set([Pictures(Fraction(r), classes=30) for r in ("0", "1")], tmp_path)
    plate = plate_of(analysis, "samples")
    assert "the first 20 of 30 classes" in plate.caption
    assert {row[8] for row in plate.points.rows} == set(range(20))
    with style.settings():
        assert_legible(plate.draw())
        assert_legible(plate_of(analysis, "confusion").draw())
    assert "the first 20 of 30 classes" in plate_of(analysis, "confusion").tables[0].caption


def test_confusions_are_pooled_over_seeds(found: Analysis) -> None:
    plate = plate_of(found, "confusion")
    cells = {(float(r), label, judged): n for _, _, r, _, _, _, label, judged, n in plate.points.rows}  # type: ignore[arg-type]
    expected = sum(confusion(cell) for cell in pictures(("1/2",)))
    assert {key[1:]: n for key, n in cells.items() if key[0] == 0.5} == {
        (y, k): expected[y, k] for y in range(CLASSES) for k in range(CLASSES) if expected[y, k]
    }
    rows = [dict(zip(plate.tables[0].sheet.columns, row, strict=True)) for row in plate.tables[0].sheet.rows]
    first = next(row for row in rows if (row["ratio"], row["label"]) == (0.5, 3))
    assert first["consistency"] == pytest.approx(expected[3, 3] / expected[3].sum())
    assert (first["training_images"], first["judge_right"], first["real_images"]) == (140, 35, 36)


def test_without_confusions_the_clean_share_serves_the_uniform_laws(tmp_path: Path) -> None:
    rows = Rows()
    for law in ("uniform_wrong", "next_class"):
        for cell in pictures(("0", "1"), law=law, lr=0.001 if law == "uniform_wrong" else 0.002):
            publish_images(rows, cell, confusions=False, samples=False)
    analysis = analysed(rows, tmp_path)
    sections = {section.view.key.law: plates(section) for section in analysis.sections}
    (uniform,) = (plate for plate in sections["uniform_wrong"] if plate.kind == "consistency")
    told = points(uniform)
    clean = [image_metrics(cell)["consistency"] or 0.0 for cell in pictures(("0",))]
    expected = [0.5 * c + 0.5 * (1 - c) / (CLASSES - 1) for c in clean]
    assert told["consistency", 1.0]["floor"] == pytest.approx(np.mean(expected))
    assert (told["consistency", 1.0]["floor_kind"], told["consistency", 1.0]["reference"]) == ("accuracy", "r0")
    assert told["consistency", 1.0]["test_low"] is not None  # the specification says how many were drawn
    assert "a, from the clean accuracy alone" in uniform.marks
    (shifted,) = (plate for plate in sections["next_class"] if plate.kind == "consistency")
    assert points(shifted)["consistency", 1.0]["floor"] is None
    assert not any(plate.kind in ("samples", "confusion") for made in sections.values() for plate in made)


def test_what_nobody_judged_has_distances_alone(tmp_path: Path) -> None:
    rows = Rows()
    names = ("top1", "test_nll", "neighbour_distance", "neighbour_distance_real", "memorised_share")
    for cell in pictures(("0", "1")):
        measured = {name: value if name in names else None for name, value in image_metrics(cell).items()}
        rows.publish(cell, measured=measured)
    analysis = analysed(rows, tmp_path)
    assert [plate.kind for plate in plates(analysis.sections[0])] == ["accuracy", "nll", "excess", "neighbours"]


def test_one_judge_has_one_panel_and_no_incomplete_rows(tmp_path: Path) -> None:
    rows = Rows()
    for cell in pictures(("0", "1")):
        second = {"second_consistency", "second_judge_accuracy", "judges_agree"}
        measured = {name: None if name in second else value for name, value in image_metrics(cell).items()}
        attempt = rows.publish(cell, measured=measured)
        first = {key: value for key, value in confusions_of(cell).items() if key[1] == "judge"}
        rows.keep(cell, attempt, confusion_artifact(first, training(cell)), role="confusion")
    analysis = analysed(rows, tmp_path)
    for kind in ("consistency", "judges"):
        plate = plate_of(analysis, kind)
        assert all(all(group.complete) for group in plate.tables[0].groups), kind
    with style.settings():
        assert len(plate_of(analysis, "judges").draw().axes) == 1


def test_fid_is_named_so_where_inception_measured_it(tmp_path: Path) -> None:
    rows = Rows()
    for cell in pictures(("0", "1")):
        rows.publish(cell, measured={**image_metrics(cell), "fid": 3.5 + cell.rate, "kid": 0.001})
    plate = plate_of(analysed(rows, tmp_path), "fid")
    assert points(plate)["fid", 1.0]["mean"] == pytest.approx(4.0)
    assert "Inception-v3" in plate.caption


def test_what_the_document_says_of_a_generator(found: Analysis) -> None:
    content = words.contents(found)
    (line,) = content["summary"]
    assert "; consistency 0." in line
    assert "Frechet distance over the judge's features" in line
    assert ", clean reference 1" in line
    assert "; excess consistency" in line
    figures = {figure["title"]: figure for figure in content["sections"][0]["figures"]}
    for title in ("Accuracy over the noise ratio", "Negative log-likelihood over the noise ratio"):
        assert "serves as a classifier, by its denoising loss under each label" in figures[title]["caption"]
    assert "images trained on" in [row[0] for row in content["sections"][0]["configurations"][0]["rows"]]
    small = figures["Consistency of drawn images over the noise ratio"]["small"]
    assert "the drawn images' own 95 % error at its widest (500 drawn images)" in small.replace("\u200b", "")
    assert "Floors come from the compute-matched clean twin" in small
    trials = list(csv.DictReader(io.StringIO(tables.trials_csv(found).decode())))
    noisy = [row for row in trials if row["consistency_floor_kind"] == "exact"]
    assert len(noisy) == 8
    for row in noisy:
        assert float(row["consistency_excess"]) == pytest.approx(
            float(row["consistency"]) - float(row["consistency_floor"])
        )


def test_the_report_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    once = []
    for order in (None, 3):
        rows = Rows()
        for cell in pictures(("0", "1"), (0,)):
            publish_images(rows, cell)
        store = rows.write(tmp_path / f"store-{order}", one_file=order is None, order=order)
        once.append(build(analyse(open_store(store))))
    assert once[0] == once[1]
    assert any(name.endswith("-samples.svg") for name in once[0])
