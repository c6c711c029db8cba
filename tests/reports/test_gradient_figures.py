"""Gradient analyses: what is read, pooled, drawn and said, from stored artifacts; damaged ones cost their own trial."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.figure_words import assert_legible
from fixtures.language_store import GLOB, Text, analyses, analysis_artifacts, parquet, publish_analysis
from fixtures.report_store import Rows
from hypothesis import given
from hypothesis import strategies as st

from reports import contents as words
from reports import tables
from reports.analysis import Analysis, analyse
from reports.artifacts import DamagedError
from reports.figures import style
from reports.figures.plate import Plate
from reports.files import open_store
from reports.gradients import BINS, Cosines, decode, pooled

ONE = Fraction(1)


def analysed(cells: list[Text], root: Path, globs: tuple[str, ...] = (GLOB,)) -> Analysis:
    rows = Rows()
    for cell in cells:
        publish_analysis(rows, cell, globs)
    return analyse(open_store(rows.write(root / "store", one_file=True)))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    cells = [
        cell for cell in analyses(ratios=("0", "1/3", "1")) if (cell.ratio, cell.multiplier, cell.seed) != (1, 8, 2)
    ]
    return analysed(cells, tmp_path_factory.mktemp("gradients"))


def plate_of(analysis: Analysis) -> Plate:
    (plate,) = (plate for section in analysis.sections for plate in section.plates)
    return plate


def sheet(plate: Plate, part: str) -> list[dict[str, object]]:
    (table,) = (table for table in plate.tables if table.part == part)
    return [dict(zip(table.sheet.columns, row, strict=True)) for row in table.sheet.rows]


def cosines_of(values: np.ndarray) -> Cosines:
    return Cosines(
        len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None, float(values.min()),
        float(values.max()), tuple(np.histogram(values, BINS, (-1, 1))[0].tolist()),
    )  # fmt: skip


@given(st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=9), min_size=1, max_size=5))
def test_pooled_cosines_are_those_of_all_pairs_at_once(groups: list[list[float]]) -> None:
    every = np.concatenate([np.array(group) for group in groups])
    one, whole = pooled([cosines_of(np.array(group)) for group in groups]), cosines_of(every)
    assert (one.pairs, one.histogram) == (whole.pairs, whole.histogram)
    assert (one.minimum, one.maximum) == (whole.minimum, whole.maximum)
    assert one.mean == pytest.approx(whole.mean, abs=1e-12)
    assert one.deviation == pytest.approx(whole.deviation, abs=1e-9)


def test_nothing_pooled_is_nothing() -> None:
    none = Cosines(0, None, None, None, None, (0,) * BINS)
    assert pooled([none, none]) == none
    assert pooled([]) == none


def test_cosines_are_pooled_over_batches_and_seeds_of_a_ratio(found: Analysis) -> None:
    cells = [cell for cell in analyses(ratios=("1",)) if (cell.multiplier, cell.seed) != (8, 2)]
    by_seed: dict[int, list[dict[str, float]]] = {0: [], 1: [], 2: []}
    for cell in cells:
        for row in pq.read_table(io.BytesIO(analysis_artifacts(cell)["gradients"])).to_pylist():
            if row["pair"] == "clean_clean" and not row["removed"] and row["pairs"]:
                by_seed[cell.seed].append(row)
    rows = [row for one in by_seed.values() for row in one]
    (told,) = (
        row for row in sheet(plate_of(found), "cosines")
        if (row["ratio"], row["pair"], row["removed"]) == (1.0, "clean_clean", False)
    )  # fmt: skip
    assert (told["pairs"], told["n"]) == (400 * len(rows), 3)
    assert told["pooled_mean"] == pytest.approx(np.mean([row["mean"] for row in rows]))
    assert told["mean"] == pytest.approx(np.mean([np.mean([row["mean"] for row in one]) for one in by_seed.values()]))
    assert (told["minimum"], told["maximum"]) == (
        min(row["minimum"] for row in rows), max(row["maximum"] for row in rows),
    )  # fmt: skip


def test_snr_and_the_law_are_means_over_seeds(found: Analysis) -> None:
    rows = {(row["ratio"], row["batch"]): row for row in sheet(plate_of(found), "snr") if not row["removed"]}
    assert set(rows) == {(ratio, batch) for ratio in (0.0, 1 / 3, 1.0) for batch in (1, 2, 4, 8)}
    for batch in (1, 2, 4, 8):
        cells = [cell for cell in analyses(ratios=("1",), multipliers=(batch,)) if (batch, cell.seed) != (8, 2)]
        stored = [pq.read_table(io.BytesIO(analysis_artifacts(cell)["snr"])).to_pylist()[0] for cell in cells]
        for name in ("snr", "snr_law", "snr_corrected", "norm_clean", "norm_corrupt"):
            assert rows[1.0, batch][name] == pytest.approx(np.mean([row[name] for row in stored])), name
        assert (rows[1.0, batch]["snr_n"], rows[1.0, batch]["seeds"]) == (len(cells), 3)
        assert rows[0.0, batch]["snr"] is None


def test_losses_come_with_what_independent_sequences_would_give(found: Analysis) -> None:
    for row in sheet(plate_of(found), "losses"):
        rate = float(row["rate"])  # type: ignore[arg-type]
        expected = (0.35 + 0.05 * rate) / math.sqrt(float(row["batch"]))  # type: ignore[arg-type]
        assert row["loss_deviation_independent"] == pytest.approx(expected)


def test_the_figure_has_its_panels_the_law_and_the_square_root(found: Analysis) -> None:
    with style.settings():
        figure = plate_of(found).draw()
        assert_legible(figure)
    titles = [axes.get_title(loc="left")[:2] for axes in figure.axes]
    assert titles == ["A1", "A2", "B ", "C ", "D1", "D2"]
    law = figure.axes[4]
    plate = plate_of(found)
    points = [dict(zip(plate.points.columns, row, strict=True)) for row in plate.points.rows]
    predicted = [p["mean"] for p in points if (p["quantity"], p["ratio"], p["removed"]) == ("snr_law", 1.0, False)]
    drawn = [list(line.get_ydata()) for line in law.lines]
    assert predicted in drawn
    (root,) = (line for line in law.lines if line.get_color() == style.GREY)
    (x, last), (low, high) = root.get_xdata(), root.get_ydata()
    assert high / low == pytest.approx(math.sqrt(last / x))
    assert any(word.get_text() == "2/3" for word in law.texts)
    counts = [p for p in points if str(p["quantity"]).startswith("cosine_")]
    assert sum(int(p["count"]) for p in counts) == 2 * 3 * 400 * 8  # type: ignore[call-overload]
    assert all(p["ratio"] == 1.0 for p in counts)


def test_what_is_said_has_n_intervals_and_the_law(found: Analysis) -> None:
    (line,) = words.contents(found)["summary"]
    assert line.startswith("python-docs, transformer.wte.weight, r = 1: mean cosine clean with clean 0.5")
    assert "vector-sum law 2.35, n = 3" in line.replace("\u200b", "")
    assert "at batch 8 (vector-sum law 3.82, n = 2)" in line
    figure = words.contents(found)["sections"][0]["figures"][0]
    assert [table["caption"].split()[0] for table in (figure["table"], *figure["more"])] == ["Cosines", "Norms", "Loss"]
    assert "sequences read" in [row[0] for row in words.contents(found)["sections"][0]["configurations"][0]["rows"]]
    assert "Floors come" not in figure["small"]


def test_losses_alone_are_a_figure_of_two_panels(tmp_path: Path) -> None:
    cells = analyses(ratios=("0", "1"), measure="loss", multipliers=(1, 4, 16))
    alone = analysed(cells, tmp_path)
    plate = plate_of(alone)
    with style.settings():
        figure = plate.draw()
        assert_legible(figure)
    assert [axes.get_title(loc="left")[:1] for axes in figure.axes] == ["A", "B"]
    assert [table.part for table in plate.tables] == ["losses"]
    assert "deviation of the batch loss" in plate.says
    metrics = list(csv.DictReader(io.StringIO(tables.metrics_csv(alone).decode())))
    assert {row["split"] for row in metrics} == {"train"}
    assert {row["metric"] for row in metrics} >= {"loss_mean", "loss_deviation"}


def test_every_glob_is_a_figure(tmp_path: Path) -> None:
    two = analysed(analyses(seeds=(0,)), tmp_path, (GLOB, "*"))
    plates = two.sections[0].plates
    assert [plate.name.rpartition("corrected-")[2] for plate in plates] == ["gradients-1", "gradients-2"]
    assert "parameters *" in plates[0].caption


def test_clean_batches_and_batches_of_one_have_no_snr_and_no_pairs(tmp_path: Path) -> None:
    plate = plate_of(analysed(analyses(ratios=("0",), multipliers=(1,)), tmp_path))
    with style.settings():
        assert_legible(plate.draw())
    assert "no pair of gradients" in plate.says


def changed(role: str, name: str, values: Callable[[list[object]], list[object]]) -> dict[str, bytes]:
    files = analysis_artifacts(Text(ONE, 4, family="gradients", size=1, unit="example"))
    table = pq.read_table(io.BytesIO(files[role]))
    field = table.schema.field(name)
    column = pa.array(values(table.column(name).to_pylist()), field.type)
    return {**files, role: parquet(table.set_column(table.schema.get_field_index(name), field, column))}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"gradients": b"", "snr": b""}, "no table"),
        (changed("gradients", "pair", lambda old: ["odd"] * len(old)), "another pair"),
        (changed("gradients", "pairs", lambda old: [-1] * len(old)), "another pair"),
        (changed("gradients", "histogram", lambda old: [[1, 2]] * len(old)), "another pair"),
        (changed("gradients", "mean", lambda old: [1.5] * len(old)), "outside"),
        (changed("gradients", "mean", lambda old: [math.nan] * len(old)), "no finite number"),
        (changed("gradients", "analysis", lambda old: [None] * len(old)), "names no analysis"),
        (changed("snr", "snr", lambda old: [math.inf] * len(old)), "no finite number"),
    ],
)
def test_damage_is_named(files: dict[str, bytes], told: str) -> None:
    with pytest.raises(DamagedError, match=told):
        decode(files["gradients"], files["snr"])


def test_a_column_that_is_missing_is_named() -> None:
    files = analysis_artifacts(Text(ONE, 4, family="gradients", size=1, unit="example"))
    for role, name in (("gradients", "histogram"), ("snr", "snr_law")):
        table = pq.read_table(io.BytesIO(files[role])).drop_columns([name])
        with pytest.raises(DamagedError, match=name):
            decode(**{**{"cosines": files["gradients"], "signals": files["snr"]},
                      "cosines" if role == "gradients" else "signals": parquet(table)})  # fmt: skip


def test_a_damaged_file_costs_its_own_trial_and_is_reported(tmp_path: Path) -> None:
    rows = Rows()
    cells = analyses(multipliers=(2, 4))
    for cell in cells:
        publish_analysis(rows, cell)
    row = next(row for row in rows.tables["artifacts"] if row["id"] == cells[0].id and row["role"] == "snr")
    rows.files[row["path"]] += b"x"
    analysis = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    assert analysis.problems == {cells[0].id: "the file does not match its SHA-256"}
    (told,) = (
        row for row in sheet(plate_of(analysis), "snr")
        if (row["ratio"], row["batch"], row["removed"]) == (1 / 3, 2, False)
    )  # fmt: skip
    assert (told["snr_n"], told["seeds"]) == (2, 3)
    assert any("What 1 trial left (predictions, gradients" in note for note in words.contents(analysis)["notes"])


def test_hostile_globs_are_words(tmp_path: Path) -> None:
    evil = "=#evil[*x*] $y$ \u202e" + "W" * 200
    analysis = analysed([replace(cell, seed=0) for cell in analyses(seeds=(0,))], tmp_path, (evil,))
    plate = plate_of(analysis)
    assert "\u202e" not in plate.caption + plate.says
    content = tables.sheets([plate.points]).decode()
    assert "\u202e" not in content
    assert ",'=#evil" in content
