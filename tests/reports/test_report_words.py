"""What the document says of what is missing, paired, marked, mixed and expected."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from fixtures.report_store import Cell, Rows, channel, clean_probabilities, grid, labels, metrics

from reports import contents as words
from reports import tables
from reports.analysis import Analysis, analyse
from reports.files import open_store

CLEAN, HALF, ONE = Fraction(0), Fraction(1, 2), Fraction(1)
SWAP = [0, 1, 2, 5, 4, 3, 6, 7, 8, 9]


def analysed(rows: Rows, root: Path) -> Analysis:
    return analyse(open_store(rows.write(root / "store")))


def configuration(content: dict[str, Any], section: int = 0) -> dict[str, str]:
    return {row[0]: row[1] for row in content["sections"][section]["configurations"][0]["rows"]}


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def nll_floor(cell: Cell) -> float:
    """From the r = 0 cell of the same seed."""
    truth = labels(cell.dataset)
    every = clean_probabilities(replace(cell, ratio=CLEAN)) @ channel(cell.law, cell.rate)
    return float(np.mean(-np.log(every[np.arange(len(truth)), truth])))


def test_the_realised_rate_is_held_against_the_rate_that_the_channel_makes_wrong(tmp_path: Path) -> None:
    rows = Rows()
    for seed, off in ((0, -0.002), (1, 0.003)):
        cell = Cell(ONE, seed=seed, law="uniform_all")
        rows.publish(cell, realised_rate=0.5 * 9 / 10 + off)
    shown = configuration(words.contents(analysed(rows, tmp_path)))
    assert shown["expected wrong rate"] == "0.450"
    assert shown["realised less expected"] == "−0.0020 to +0.0030"


def test_a_law_without_a_channel_shows_its_realised_rate_alone(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(Cell(ONE, law="next_class"), noise_law="mine", realised_rate=0.25)
    shown = configuration(words.contents(analysed(rows, tmp_path)))
    assert shown["realised wrong rate"] == "0.250"
    assert "expected wrong rate" not in shown


def test_the_axis_says_redraw_rate_where_a_redraw_may_hit_the_truth(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(ONE, seed=seed))
        rows.publish(Cell(ONE, seed=seed, law="uniform_all"))
        rows.publish(Cell(ONE, seed=seed, law="confusion", mapping=SWAP), kept=False, measured={"top1": 0.5})
    sections = analysed(rows, tmp_path).sections
    told = {section.view.key.law: section.drawings[0].strips[0].rate_words for section in sections}
    assert told == {"uniform_wrong": "error rate e", "uniform_all": "redraw rate e", "confusion": "redraw rate e"}


def test_a_map_is_shown_and_kept_whole(tmp_path: Path) -> None:
    mapping = [[float(k != y) for y in range(10)] for k in range(10)]
    rows = Rows()
    cell = Cell(ONE, law="confusion", mapping=mapping)
    rows.publish(cell, kept=False, measured={"top1": 0.5})
    found = analysed(rows, tmp_path)
    shown = configuration(words.contents(found))["noise.map"].replace("\u200b", "")
    whole = json.dumps(mapping, separators=(",", ":"))
    assert shown == whole[:59] + "…"
    (row,) = rows_of(tables.trials_csv(found))
    assert json.loads(row["noise_map"]) == mapping
    assert json.loads(row["configuration"])["schedule.warmup"] == 0.05
    fields = {row["field"]: row["value"] for row in rows_of(tables.configurations_csv(found))}
    assert json.loads(fields["noise.map"]) == mapping


def test_failed_and_died_trials_are_named_and_their_cells_are_missing(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (CLEAN, HALF), (1,), (0, 1, 2)):
        rows.publish(cell)
    lost, begun = Cell(ONE, seed=1), Cell(HALF, seed=4)
    rows.begin(lost)
    rows.fail(lost.id, "process 7 on alpha is gone", outcome="died")
    rows.begin(begun)  # interrupted, or still running
    rows.fail("e" * 16, "an older program kept no start", outcome="failed")
    found = analysed(rows, tmp_path)
    content = words.contents(found)
    assert "3 seeds, 1 figure set. Of the 12 cells" in content["about"]
    assert "6 of these 12 cells are missing, 2 of them attempted and not published" in content["sections"][0]["axes"]
    assert {row[0]: row[1:3] for row in content["failures"]["rows"]} == {
        lost.id: ["classifier small_cnn, digits@1, uniform_wrong r = 1, batch × 1, seed 1", "died"],
        "e" * 16: ["no specification", "failed"],
    }
    (note,) = (note for note in content["notes"] if "no specification" in note)
    assert note.startswith("1 attempted trial left no specification that can be read, so that its cells are in no")
    listed = {row["id"]: row for row in rows_of(tables.failures_csv(found))}
    assert (listed[lost.id]["family"], listed[lost.id]["ratio"], listed[lost.id]["seed"]) == ("classifier", "1.0", "1")
    assert "r = 1 is missing at this batch" in content["summary"][0]


def test_the_summary_takes_each_panels_own_smallest_batch_and_says_what_is_missing(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (CLEAN, HALF), (1, 4), (0, 1, 2)):
        rows.publish(cell)
    for cell in grid(("mnist5k",), (HALF, ONE), (4,), (0, 1, 2)):
        rows.publish(cell)
    lost = Cell(HALF, law="next_class")
    rows.begin(lost)
    rows.begin(Cell(ONE))
    shift, digits, mnist = words.contents(analysed(rows, tmp_path))["summary"]
    # The clean trials of ``digits`` join the set of the law that published nothing else.
    assert shift.startswith("digits, next_class (fresh, scaled), batch × 1, r = 0: top-1 ")
    assert shift.endswith("r = 0.5 is missing at this batch.")
    assert digits.startswith("digits, uniform_wrong (fresh, scaled), batch × 1, r = 0.5: ")
    assert digits.endswith("r = 1 is missing at this batch.")
    nll = np.mean([metrics(Cell(ONE, 4, seed, "mnist5k"))["test_nll"] for seed in (0, 1, 2)])
    assert mnist.startswith("mnist5k, uniform_wrong (fresh, scaled), batch × 4, r = 1: top-1 ")
    assert f"test NLL {nll:.3f} [" in mnist
    assert "no floor" in mnist
    assert mnist.endswith("batch × 1 is missing; r = 0 is missing at this batch.")


def test_a_panel_of_which_nothing_was_published_says_so(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(Cell(HALF))
    for seed in (0, 1):
        rows.begin(Cell(HALF, seed=seed, law="next_class"))
    content = words.contents(analysed(rows, tmp_path))
    assert content["summary"][0] == "digits, next_class (fresh, scaled): nothing published, 2 trials attempted."
    assert "1 figure set without a published trial: all that was attempted is missing." in content["notes"]


def test_a_floor_over_fewer_seeds_shows_its_n_and_is_compared_over_the_same(tmp_path: Path) -> None:
    """Of three noisy trials two have a clean cell."""
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(HALF, seed=seed))
        if seed < 2:
            rows.publish(Cell(CLEAN, seed=seed))
    content = words.contents(analysed(rows, tmp_path))
    figure = content["sections"][0]["figures"][1]
    floor = np.mean([nll_floor(Cell(HALF, seed=seed)) for seed in (0, 1)])
    assert figure["table"]["groups"][0]["rows"][1][7] == f"{floor:.3f} (n = 2)"
    assert "the number of seeds that have one" in figure["marks"]
    both = np.mean([metrics(Cell(HALF, seed=seed))["test_nll"] for seed in (0, 1)])
    assert f"floor {floor:.3f} where it is {both:.3f} (n = 2)" in content["summary"][0]
    assert f"excess NLL +{both - floor:.3f} (n = 2, no interval)" in content["summary"][0]
    whole = content["sections"][0]["figures"][2]["table"]["groups"][0]["rows"][0]
    assert "(n = " not in whole[7]  # the excess has the n of its floor


def test_rows_whose_floor_is_the_clean_cells_are_marked_where_twins_serve_others(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (CLEAN, HALF, ONE), (1,), (0, 1, 2), reading="paper"):
        rows.publish(cell)
    for seed in (0, 1, 2):
        rows.publish(Cell(CLEAN, seed=seed, base=90_000, reading="paper"))
    figure = words.contents(analysed(rows, tmp_path))["sections"][0]["figures"][1]
    marked = [row[7].endswith(" †") for row in figure["table"]["groups"][0]["rows"]]
    assert marked == [False, False, True]  # twins of r = 1/2 alone
    assert "†, from an r = 0 cell, not from a twin" in figure["marks"]
    assert "a twin's learning-rate schedule is its own" in figure["small"]
    assert "1 / (1 + r) of the samples" in figure["small"]


def test_a_set_of_one_kind_of_reference_has_no_marks(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (CLEAN, HALF, Fraction(3, 4)), (1,), (0, 1, 2), rule="fixed"):
        rows.publish(cell)
    figure = words.contents(analysed(rows, tmp_path))["sections"][0]["figures"][1]
    assert "†" not in str(figure["table"])
    assert figure["marks"] == ""
    assert "1 / (1 + r)" not in figure["small"]  # a fixed budget is as long with noise as without
    assert "learning-rate schedule" not in figure["small"]


def test_panels_of_several_revisions_are_named(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(CLEAN, seed=seed), revision="0123abc")
        rows.publish(Cell(HALF, seed=seed), revision="4567def" if seed else "0123abc")
        rows.publish(Cell(HALF, seed=seed, dataset="mnist5k"), revision="89abcde")
    content = words.contents(analysed(rows, tmp_path))
    (note,) = content["notes"]
    assert "corrected reading, digits (2). Their revisions" in note
    assert "mnist5k" not in note
    assert [row[1] for row in content["provenance"] if row[0] == "revision"] == [
        "classifier on digits@1: 0123abc, 4 trials",
        "classifier on digits@1: 4567def, 2 trials",
        "classifier on mnist5k@1: 89abcde, 3 trials",
    ]


def test_throughput_is_told_by_model_and_device_where_it_is_known(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1):
        rows.publish(Cell(HALF, seed=seed, model="gpt2"), tokens_per_second=1234.4 + 2000 * seed, device="cuda")
    rows.publish(Cell(HALF, seed=2, model="gpt2"), tokens_per_second=2000.0, flops_utilisation=0.41, device="cuda")
    rows.publish(Cell(HALF, seed=0))
    found = analysed(rows, tmp_path)
    told = [row[1] for row in words.contents(found)["provenance"] if row[0] == "throughput"]
    assert told == [
        "classifier gpt2 on cuda: 1,234 to 3,234 tokens a second, model FLOPs utilisation 0.410 (3 trials)",
    ]
    rows_found = {row["model"]: row["tokens_per_second"] for row in rows_of(tables.trials_csv(found))}
    assert rows_found["small_cnn"] == ""
    assert float(rows_found["gpt2"]) > 1000


def test_seeds_that_agree_are_marked(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(HALF, seed=seed), measured={"top1": 0.1, "sampled_accuracy": 0.1 * (1 + seed)}, kept=False)
    content = words.contents(analysed(rows, tmp_path))
    (row,) = content["sections"][0]["figures"][0]["table"]["groups"][0]["rows"]
    assert (row[4], row[5]) == ("0.100", "seeds agree")
    assert row[9].startswith("[")
    assert "seeds agree, all n have this very value" in content["sections"][0]["figures"][0]["marks"]
    assert "top-1 0.100 (n = 3, seeds agree)" in content["summary"][0]
