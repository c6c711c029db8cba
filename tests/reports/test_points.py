"""Every number of the report's tables, computed anew from whole probability vectors."""

from __future__ import annotations

import csv
import json
from fractions import Fraction

import numpy as np
import pytest
from fixtures.report_store import Cell, channel, clean_probabilities, labels, metrics, probabilities
from scipy import stats

from reports.report import Written

MISSING = {("digits", Fraction(1), 4, 2), ("digits", Fraction(1), 1, 1)} | {
    ("mnist5k", Fraction(1, 2), 4, seed) for seed in (0, 1, 2)
}
RATIOS = {float(Fraction(text)): Fraction(text) for text in ("0", "1/10", "3/10", "1/2", "1")}


def table(report: Written, kind: str) -> list[dict[str, str]]:
    (path,) = (path for path in report.tables if path.name.endswith(f"-{kind}.csv"))
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cells(row: dict[str, str]) -> list[Cell]:
    """The trials that should be behind a row."""
    dataset, ratio, multiplier = row["dataset"].partition("@")[0], RATIOS[float(row["ratio"])], int(row["multiplier"])
    seeds = [seed for seed in (0, 1, 2) if (dataset, ratio, multiplier, seed) not in MISSING]
    return [Cell(ratio, multiplier, seed, dataset) for seed in seeds]


def reference(cell: Cell) -> Cell:
    """``digits`` has compute-matched twins, ``mnist5k`` has not."""
    base = int(60_000 * (1 + cell.ratio)) if cell.dataset == "digits" else 60_000
    return Cell(Fraction(0), cell.multiplier, cell.seed, cell.dataset, base=base)


def ideal(cell: Cell) -> np.ndarray:
    """What the ideal model of the noisy data gives the true class, from the whole vectors."""
    truth = labels(cell.dataset)
    every = clean_probabilities(reference(cell)) @ channel(cell.law, cell.rate)
    return every[np.arange(len(truth)), truth]


def check(row: dict[str, str], name: str, values: list[float]) -> None:
    """Mean and 95 % t-interval of ``values`` stand in the row's columns."""
    if name + "_n" in row:
        assert int(row[f"{name}_n"]) == len(values)
    if not values:
        assert row[name] == row[f"{name}_low"] == row[f"{name}_high"] == ""
        return
    assert float(row[name]) == pytest.approx(float(np.mean(values)), rel=1e-9, abs=1e-12)
    if len(values) < 3:
        assert row[f"{name}_low"] == row[f"{name}_high"] == ""
        return
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert float(row[f"{name}_low"]) == pytest.approx(low, rel=1e-6, abs=1e-9)
    assert float(row[f"{name}_high"]) == pytest.approx(high, rel=1e-6, abs=1e-9)


def test_every_cell_of_the_product_has_a_row(study_report: Written) -> None:
    for kind, ratios in (("accuracy", 5), ("nll", 5), ("excess", 4)):
        rows = table(study_report, kind)
        keys = {(row["dataset"], row["ratio"], row["multiplier"]) for row in rows}
        assert len(keys) == len(rows) == 2 * ratios * 2
        assert {row["seeds"] for row in rows} == {"3"}


def test_accuracies_and_their_floors(study_report: Written) -> None:
    for row in table(study_report, "accuracy"):
        here = cells(row)
        for name in ("top1", "sampled_accuracy"):
            check(row, name, [metrics(cell)[name] for cell in here])
        assert int(row["trials"]) == len(here)
        if not here:
            assert row["top1_floor"] == row["sampled_accuracy_floor"] == ""
            continue
        sampled = [float(ideal(cell).mean()) for cell in here]
        assert float(row["sampled_accuracy_floor"]) == pytest.approx(np.mean(sampled), rel=1e-9)
        top1 = [float(np.mean(ideal_argmax(cell) == labels(cell.dataset))) for cell in here]
        assert float(row["top1_floor"]) == pytest.approx(np.mean(top1), rel=1e-9)
        halves = [stats.sem(true_probability(cell)) * stats.norm.ppf(0.975) for cell in here]
        check_half(row, "sampled_accuracy", halves)
        low, high = wilson_by_hand(float(row["top1"]), len(labels(here[0].dataset)))
        assert float(row["top1_test_low"]) == pytest.approx(low, abs=1e-9)
        assert float(row["top1_test_high"]) == pytest.approx(high, abs=1e-9)


def true_probability(cell: Cell) -> np.ndarray:
    """What the trial itself gives the true class."""
    truth = labels(cell.dataset)
    return probabilities(cell)[np.arange(len(truth)), truth]


def check_half(row: dict[str, str], name: str, halves: list[float]) -> None:
    """The test set's error about the mean is the mean of the seeds' own."""
    low, high = float(row[f"{name}_test_low"]), float(row[f"{name}_test_high"])
    assert (high - low) / 2 == pytest.approx(np.mean(halves), rel=1e-6)
    assert (high + low) / 2 == pytest.approx(float(row[name]), abs=1e-12)


def ideal_argmax(cell: Cell) -> np.ndarray:
    return (clean_probabilities(reference(cell)) @ channel(cell.law, cell.rate)).argmax(axis=1)


def wilson_by_hand(share: float, n: int) -> tuple[float, float]:
    z = stats.norm.ppf(0.975)
    roots = np.roots([1 + z * z / n, -(2 * share + z * z / n), share * share])  # (p - share)^2 = z^2 p (1 - p) / n
    return float(min(roots)), float(max(roots))


def test_likelihoods_and_their_floors(study_report: Written) -> None:
    for row in table(study_report, "nll"):
        here = cells(row)
        check(row, "test_nll", [metrics(cell)["test_nll"] for cell in here])
        inverted = [metrics(cell)["channel_inverted_nll"] for cell in here]
        check(row, "channel_inverted_nll", [value for value in inverted if value is not None])
        if not here:
            continue
        floors = [float(np.mean(-np.log(ideal(cell)))) for cell in here]
        assert float(row["test_nll_floor"]) == pytest.approx(np.mean(floors), rel=1e-9)
        clean = [metrics(reference(cell))["channel_inverted_nll"] for cell in here]
        assert None not in clean
        check_half(row, "test_nll", [stats.sem(np.log(true_probability(one))) * stats.norm.ppf(0.975) for one in here])
        assert "channel_inverted_nll_test_low" not in row
        if float(row["ratio"]):
            assert float(row["channel_inverted_nll_floor"]) == pytest.approx(np.mean(clean), rel=1e-9)
            assert row["test_nll_floor_kind"] == "exact"
            expected = "twin" if here[0].dataset == "digits" else "r0"
            assert row["test_nll_floor_reference"] == expected
        else:
            assert row["test_nll_floor_kind"] == "own"


def test_excess_is_paired_by_seed(study_report: Written) -> None:
    for row in table(study_report, "excess"):
        here = cells(row)
        nll = [metrics(cell)["test_nll"] - float(np.mean(-np.log(ideal(cell)))) for cell in here]
        check(row, "nll_excess", nll)
        check(row, "sampled_excess", [metrics(cell)["sampled_accuracy"] - float(ideal(cell).mean()) for cell in here])
        if here:  # the error of the difference, example by example, is not that of the value
            z = stats.norm.ppf(0.975)
            pairs = [(true_probability(cell), ideal(cell)) for cell in here]
            check_half(row, "nll_excess", [z * stats.sem(np.log(least) - np.log(own)) for own, least in pairs])
            check_half(row, "sampled_excess", [z * stats.sem(own - least) for own, least in pairs])


def test_a_figure_has_its_points_beside_it(study_report: Written) -> None:
    pictures = {path.stem for path in study_report.figures if path.suffix == ".svg"}
    assert pictures == {path.stem for path in study_report.figures if path.suffix == ".csv"}
    (path,) = (path for path in study_report.figures if path.name.endswith("-nll.csv"))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * 5 * 2  # quantities, panels, ratios, multipliers
    hole = [row for row in rows if row["dataset"] == "mnist5k@1" and row["ratio"] == "0.5" and row["multiplier"] == "4"]
    assert {(row["n"], row["of"], row["mean"], row["missing_seeds"]) for row in hole} == {("0", "3", "", "0 1 2")}
    part = [row for row in rows if row["dataset"] == "digits@1" and row["ratio"] == "1.0" and row["multiplier"] == "4"]
    assert {(row["trials"], row["missing_seeds"]) for row in part} == {("2", "2")}
    undefined = {row["quantity"]: (row["n"], row["undefined"]) for row in part}
    assert undefined["channel_inverted_nll"] == ("1", "1")
    assert undefined["test_nll"] == ("2", "0")


def test_trials_have_their_own_rows(study_report: Written) -> None:
    path = study_report.folder / "tables" / "trials.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == study_report.trials == 55 + 24
    cell = Cell(Fraction(1, 2), 1, 0, "digits")
    row = rows[cell.id]
    assert (row["ratio"], row["ratio_exact"], row["rate_exact"]) == ("0.5", "1/2", "1/3")
    assert float(row["rate"]) == 1 / 3
    assert row["noise_map"] == ""
    assert json.loads(row["configuration"])["optimiser.lr"] == 0.001
    assert float(row["test_nll"]) == metrics(cell)["test_nll"]
    assert float(row["nll_excess"]) == pytest.approx(metrics(cell)["test_nll"] - np.mean(-np.log(ideal(cell))))
    assert row["top1_floor_kind"] == "exact"


def test_failures_are_listed(study_report: Written) -> None:
    text = (study_report.folder / "tables" / "failures.csv").read_text(encoding="utf-8")
    assert text.count("the loss is not finite") == 5
