"""Figures over batch and context: their numbers computed anew, legible, missing cells shown."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fixtures.figure_words import assert_legible
from fixtures.language_store import Text, publish_text, study_of_text, text_metrics, texts
from fixtures.report_store import Rows
from scipy import stats

from reports import contents as words
from reports.analysis import Analysis, analyse
from reports.figures import style
from reports.figures.plate import Plate
from reports.files import open_store
from reports.report import Written, write_report

ONE = Fraction(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study_of_text().write(tmp_path_factory.mktemp("text") / "store", one_file=True)


@pytest.fixture(scope="module")
def analysis(store: Path) -> Analysis:
    return analyse(open_store(store))


@pytest.fixture(scope="module")
def written(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_report(store, tmp_path_factory.mktemp("report") / "out")


def plates(analysis: Analysis) -> dict[str, Plate]:
    return {plate.kind: plate for section in analysis.sections for plate in section.plates}


def rows_of(written: Written, kind: str) -> list[dict[str, str]]:
    (path,) = (path for path in written.tables if path.name.endswith(f"corrected-{kind}.csv"))
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def interval(values: list[float]) -> tuple[float, float, float]:
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return mean, mean - half, mean + half


def nll(cell: Text) -> float:
    found = text_metrics(cell)["test_nll"]
    assert found is not None
    return found


def test_every_kind_is_drawn_once_a_set(analysis: Analysis, written: Written) -> None:
    kinds = [plate.kind for section in analysis.sections for plate in section.plates]
    assert sorted(kinds) == ["batch", "context", "gradients", "gradients"]
    drawn = {path.name for path in written.figures}
    for plate in plates(analysis).values():
        assert {f"{plate.name}.svg", f"{plate.name}.csv"} <= drawn


def test_numbers_over_the_batch(written: Written) -> None:
    seen = set()
    for row in rows_of(written, "batch"):
        ratio, multiplier = Fraction(row["ratio"]).limit_denominator(100), int(row["multiplier"])
        base = 8192 * (multiplier if "steps" in row["panel"] else 1)
        cells = [Text(ratio, multiplier, seed, rule="fixed", size=8, base=base) for seed in (0, 1, 2)]
        if (ratio, multiplier, base) == (1, 8, 8192):
            cells = cells[:2]
            assert (row["test_nll_n"], row["seeds"], row["test_nll_low"]) == ("2", "3", "")
        else:
            mean, low, high = interval([nll(cell) for cell in cells])
            found = [float(row[f"test_nll{end}"]) for end in ("", "_low", "_high")]
            assert found == pytest.approx([mean, low, high], abs=1e-9)
        clean = [nll(replace(cell, ratio=Fraction(0))) for cell in cells]
        assert float(row["reference_nll"]) == pytest.approx(np.mean(clean), abs=1e-9)
        seen.add((row["panel"], ratio, multiplier))
    panels = ("python-docs; 8,192 samples", "python-docs; 1,024 steps")
    assert seen == set(itertools.product(panels, map(Fraction, ("0", "3/10", "1")), (1, 2, 4, 8)))


def test_numbers_over_the_context(written: Written) -> None:
    rows = rows_of(written, "context")
    assert {(row["ratio"], row["context"]) for row in rows} == set(
        itertools.product(("0.0", "1.0"), ("16", "32", "64", "128"))
    )
    for row in rows:
        context = int(row["context"])
        fields = {"rule": "fixed", "law": "unigram", "lr": 0.002, "context": context, "size": 2048 // context}
        pairs = [
            (nll(Text(ONE, seed=seed, base=2**18 // context, **fields)),  # type: ignore[arg-type]
             nll(Text(Fraction(0), seed=seed, base=2**18 // context, **fields)))  # type: ignore[arg-type]
            for seed in (0, 1, 2)
        ]  # fmt: skip
        if row["ratio"] == "0.0":
            assert row["nll_rise"] == row["nll_rise_share"] == row["nll_excess"] == ""
            assert float(row["test_nll"]) == pytest.approx(np.mean([clean for _, clean in pairs]), abs=1e-9)
            continue
        mean, low, high = interval([noisy - clean for noisy, clean in pairs])
        found = [float(row[f"nll_rise{end}"]) for end in ("", "_low", "_high")]
        assert found == pytest.approx([mean, low, high], abs=1e-9)
        assert float(row["nll_rise_share"]) == pytest.approx(np.mean([(a - b) / b for a, b in pairs]), abs=1e-9)


@pytest.mark.parametrize("kind", ["batch", "context", "gradients"])
def test_words_are_legible_and_the_bytes_the_same(analysis: Analysis, kind: str) -> None:
    plate = plates(analysis)[kind]
    with style.settings():
        assert_legible(plate.draw())
        assert style.svg(plate.draw()) == style.svg(plate.draw())


@pytest.mark.parametrize("kind", ["batch", "context"])
def test_axes_are_spaced_by_powers_of_two(analysis: Analysis, kind: str) -> None:
    with style.settings():
        figure = plates(analysis)[kind].draw()
    values = {"batch": [1, 2, 4, 8], "context": [16, 32, 64, 128]}[kind]
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        assert axes.xaxis.get_transform().base == 2
        assert [label.get_text() for label in axes.get_xticklabels()] == list(map(str, values))
        low, high = axes.get_xlim()
        assert low < values[0]
        assert high > values[-1]


def test_everything_measured_lies_within_its_panel_and_missing_cells_are_counted(analysis: Analysis) -> None:
    plate = plates(analysis)["batch"]
    with style.settings():
        figure = plate.draw()
    titles = {"test_nll": "test NLL", "reference_nll": "clean reference", "nll_excess": "excess NLL"}
    rows = [dict(zip(plate.points.columns, row, strict=True)) for row in plate.points.rows]
    for place, panel in enumerate(dict.fromkeys(row["panel"] for row in rows)):
        for quantity, title in titles.items():
            axes = [one for one in figure.axes if one.get_title(loc="left") == title][place]
            points = [row for row in rows if (row["panel"], row["quantity"]) == (panel, quantity)]
            low, high = axes.get_ylim()
            values = [row[name] for row in points for name in ("mean", "low", "high", "test_low", "test_high")]
            assert all(low < float(value) < high for value in values if value is not None)  # type: ignore[arg-type]
            told = [word.get_text() for word in axes.texts if "/" in word.get_text()]
            assert told == (["2/3"] if panel == "python-docs; 8,192 samples" else [])


def test_a_clean_line_without_excess_is_not_told_as_missing(analysis: Analysis) -> None:
    with style.settings():
        figure = plates(analysis)["context"].draw()
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "no value" not in labels
    assert labels[:2] == ["e = 0 (r = 0)", "e = 0.5 (r = 1)"]


def test_more_arrangements_than_a_page_holds_go_on_in_another_figure(tmp_path: Path) -> None:
    rows = Rows()
    for lr in (0.001, 0.002, 0.003, 0.004):
        for cell in texts(ratios=("1",), seeds=(0,), rule="fixed", lr=lr):
            for multiplier in (1, 2, 4):
                publish_text(rows, replace(cell, multiplier=multiplier))
    found = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    names = [plate.name.rpartition("corrected-")[2] for plate in found.sections[0].plates]
    assert names == ["batch-1", "batch-2"]
    with style.settings():
        assert_legible(found.sections[0].plates[0].draw())


def test_captions_are_of_tokens(analysis: Analysis) -> None:
    figures = [figure for section in words.contents(analysis)["sections"] for figure in section["figures"]]
    over = {figure["title"].rpartition(" over the ")[2]: figure for figure in figures}
    assert "nats a token, on clean validation text" in over["batch"]["caption"]
    assert "nats a token, on clean validation text" in over["context length"]["caption"]
    assert "tokens in 4 blocks of text" in over["batch"]["small"]
    assert "Floors come from the compute-matched clean twin." in over["context length"]["small"]
