"""The report end to end: same rows, same bytes; nothing in a store can break it; clear errors otherwise."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fixtures.language_store import analyses, publish_analysis, publish_text, texts
from fixtures.report_store import (
    Cell,
    Rows,
    artifact,
    channel,
    clean_probabilities,
    grid,
    labels,
    metrics,
    study,
)

from reports import contents as words
from reports.analysis import analyse
from reports.document import render
from reports.errors import ReportError
from reports.files import open_store
from reports.report import Written, build, write_report
from sweep.store.store import create, encode_table

HALF = Fraction(1, 2)
EVIL = "#evil[*x*] $y$ _z_ <a> \\ \u202e\x00\x1b[31m 中文 @{} =1+1" + "W" * 300


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def everything(content: Any) -> str:
    """All words of a document's data."""
    if isinstance(content, dict):
        return " ".join(map(everything, content.values()))
    return " ".join(map(everything, content)) if isinstance(content, list) else str(content)


def told(rows: Rows, root: Path) -> dict[str, Any]:
    return words.contents(analyse(open_store(rows.write(root))))


def test_what_is_written(study_report: Written) -> None:
    assert study_report.pdf.read_bytes().startswith(b"%PDF-")
    stem = "classifier-small_cnn-uniform_wrong-fresh-scaled-corrected"
    assert {path.name for path in study_report.figures} == {
        f"{stem}-{kind}.{suffix}" for kind in ("accuracy", "nll", "excess") for suffix in ("svg", "csv")
    }
    own = {"trials.csv", "metrics.csv", "configurations.csv", "failures.csv"}
    assert {path.name for path in study_report.tables} == own | {
        f"{stem}-{kind}.csv" for kind in ("accuracy", "nll", "excess")
    }
    assert set(files(study_report.folder)) == {"report.pdf"} | {
        path.relative_to(study_report.folder).as_posix() for path in (*study_report.figures, *study_report.tables)
    }


def test_same_rows_same_bytes_whatever_the_files(study_report: Written, tmp_path: Path) -> None:
    rows = study()
    for name in ("trials", "metrics", "artifacts"):
        rows.tables[name] += rows.tables[name][:20]  # as a reader that raced a compaction sees them
    store = rows.write(tmp_path / "elsewhere", one_file=True, order=5)
    again = write_report(store, tmp_path / "deeper" / "out")
    assert files(again.folder) == files(study_report.folder)


def test_text_and_gradients_too_are_the_same_bytes(tmp_path: Path) -> None:
    cells = [replace(cell, multiplier=multiplier) for cell in texts(("0", "1"), (0, 1)) for multiplier in (1, 2, 4)]
    once: list[dict[str, bytes]] = []
    for order in (None, 7):
        rows = Rows()
        for cell in cells:
            publish_text(rows, cell)
        for one in analyses(seeds=(0,)):
            publish_analysis(rows, one)
        store = rows.write(tmp_path / f"store-{order}", one_file=order is None, order=order)
        once.append(files(write_report(store, tmp_path / f"out-{order}").folder))
    assert once[0] == once[1]
    assert len([name for name in once[0] if name.startswith("figures/") and "-batch" in name]) == 2


def small() -> Rows:
    rows = Rows()
    for cell in grid(("digits",), (Fraction(0), HALF), (1,), (0, 1, 2)):
        rows.publish(cell)
    return rows


def test_one_changed_value_changes_the_document_and_takes_its_place(tmp_path: Path) -> None:
    first = write_report(small().write(tmp_path / "one"), tmp_path / "out")
    before = files(first.folder)
    rows = small()
    rows.tables["metrics"][-9]["value"] += 0.01
    second = write_report(rows.write(tmp_path / "two"), tmp_path / "out")
    after = files(second.folder)
    assert after.keys() == before.keys()
    assert after["report.pdf"] != before["report.pdf"]
    assert after["tables/metrics.csv"] != before["tables/metrics.csv"]


def test_the_summary_says_what_the_points_say(study_store: Path) -> None:
    found = analyse(open_store(study_store))
    content = words.contents(found)
    assert content["title"] == "Noisy training data: classifier on digits and mnist5k"
    assert content["about"].startswith(
        "79 published trials, 3 seeds, 1 figure set. "
        "Of the 60 cells that published and attempted trials make up there, with every ratio and batch of theirs at "
        "every seed, 55 are published."
    )
    first = content["summary"][0]
    here = [metrics(Cell(Fraction(1), 1, seed))["top1"] for seed in (0, 2)]
    assert f"top-1 {sum(here) / 2:.3f} (n = 2, no interval)" in first
    assert "(n = 3)" in content["summary"][1]
    text = everything(content)
    assert "digits, the compute-matched clean twin; mnist5k, the r = 0 cell of the same batch and seed" in text
    assert "5 of these 60 cells are missing, 5 of them attempted and not published" in text
    assert "an r = 0 cell trained on 1 / (1 + r) of the samples" in text
    assert text.count("DivergedError: the loss is not finite") == 5


def test_a_store_without_published_trials_says_what_to_do(tmp_path: Path) -> None:
    create(str(tmp_path / "store"))
    with pytest.raises(ReportError, match=r"no published trial, so there is nothing to report\. Run a sweep"):
        write_report(tmp_path / "store", tmp_path / "out")
    rows = Rows()
    rows.fail("a" * 16, "broke")
    with pytest.raises(ReportError, match=r"no published trial \(1 attempt failed\)"):
        write_report(rows.write(tmp_path / "store"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_store_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for name, message in (("absent", "there is no store"), ("empty", "is no store"), ("file", "is a file")):
        if name == "empty":
            (tmp_path / name).mkdir()
        if name == "file":
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(ReportError, match=message):
            write_report(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_output_is_looked_at_before_the_store_is_read(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    with pytest.raises(ReportError, match="is a file; give a folder"):
        write_report(tmp_path / "absent", tmp_path / "out")


def test_the_store_itself_is_no_place_for_a_report(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(Cell(HALF))
    store = rows.write(tmp_path / "store")
    before = files(store)
    with pytest.raises(ReportError, match="is not part of a report"):
        write_report(store, store)
    assert files(store) == before


def test_damaged_foreign_and_newer_files_are_named(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(Cell(HALF))
    store = rows.write(tmp_path / "store")
    table = pq.read_table(next((store / "metrics").iterdir()))
    newer = table.replace_schema_metadata({**table.schema.metadata, b"noisegrid.schema_version": b"99"})
    cases = {
        b"no parquet": "cannot be read",
        encode_table(table.replace_schema_metadata(None)): "was not written by this program",
        encode_table(newer): "schema version 99",
        next((store / "trials").iterdir()).read_bytes(): "belongs to the table 'trials'",
    }
    for content, message in cases.items():
        (store / "metrics" / "odd.parquet").write_bytes(content)
        with pytest.raises(ReportError, match=message) as raised:
            write_report(store, tmp_path / "out")
        assert "metrics/odd.parquet" in str(raised.value)


def test_a_file_that_vanishes_while_it_is_read_is_read_anew(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(HALF, seed=seed))
    store = open_store(rows.write(tmp_path / "store"))
    folder = tmp_path / "store" / "metrics"
    pauses: list[float] = []
    listed = store._paths

    def racing(table: str) -> list[str]:
        found = listed(table)
        if not pauses:
            return [*found, (folder / "compacted-away.parquet").as_posix()]
        return found

    object.__setattr__(store, "_paths", racing)
    assert store.table("metrics", pauses.append).num_rows == len(rows.tables["metrics"])
    assert len(pauses) == 1


def test_a_listing_torn_by_a_compaction_is_read_anew(tmp_path: Path) -> None:
    """The first listing misses two files that were merged meanwhile and the file that they were merged into."""
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(HALF, seed=seed))
    store = open_store(rows.write(tmp_path / "store"))
    folder = tmp_path / "store" / "metrics"
    files = sorted(folder.iterdir())
    files[-1].rename(folder / "compacted-new.parquet")
    whole = sorted(path.as_posix() for path in folder.iterdir())
    listings = [[path for path in whole if "compacted" not in path], whole, whole, whole]
    object.__setattr__(store, "_paths", lambda table: listings.pop(0))
    assert store.table("metrics", lambda seconds: None).num_rows == len(rows.tables["metrics"])


def hostile() -> Rows:
    rows = Rows()
    for cell in grid(("digits",), (Fraction(0), HALF), (1,), (0, 1, 2), family=EVIL, model=EVIL):
        rows.publish(
            cell, revision=EVIL, cpu=EVIL, git=EVIL, versions=EVIL, device=EVIL, data_sha256=EVIL, host=EVIL,
            budget_rule=EVIL, reading=EVIL, noise_refresh=EVIL,
        )  # fmt: skip
    rows.fail(EVIL, EVIL)
    rows.fail("=cmd|' /C calc'!A0", "@SUM(1)")
    return rows


def test_whatever_a_store_says_is_shown_as_words(tmp_path: Path) -> None:
    written = write_report(hostile().write(tmp_path / "store"), tmp_path / "out")
    assert len(written.figures) == 6
    for path in (*written.figures, *written.tables):
        assert path.parent.parent == written.folder
        assert set(path.stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    for path in written.tables:
        text = path.read_text(encoding="utf-8")
        assert not {"\x00", "\x1b", "\u202e"} & set(text)
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell[:1] in "=+@" and cell]
    content = words.contents(analyse(open_store(tmp_path / "store")))
    shown = everything(content)
    assert not {"\x00", "\x1b", "\u202e"} & set(shown)
    assert "#evil[*x*]" in shown


def test_markup_in_the_data_is_not_read_as_markup() -> None:
    plain = {
        "title": "T", "about": "", "summary": [], "sections": [], "across": [], "notes": [], "provenance": [["a", "b"]],
        "failures": {"heads": [], "rows": [], "more": ""},
    }  # fmt: skip
    for attack in ('#read("data.json")', "#panic()", "$ x", "]]]", '"', "\\", '#import "@preview/a:1.0.0": *'):
        assert render({**plain, "title": attack, "notes": [attack], "provenance": [[attack, attack]]}, {})


def infinite(rows: Rows) -> None:
    for row in rows.tables["metrics"]:
        if row["metric"] == "test_nll" and row["final"]:
            row["value"] = float("inf")


def not_a_number(rows: Rows) -> None:
    for row in rows.tables["metrics"]:
        row["value"] = float("nan")


def nothing(rows: Rows) -> None:
    for row in rows.tables["metrics"]:
        row["value"] = None


def huge(rows: Rows) -> None:
    for row in rows.tables["metrics"]:
        row["value"] = 1.7e308


def no_metrics(rows: Rows) -> None:
    rows.tables["metrics"].clear()


@pytest.mark.parametrize("spoil", [infinite, not_a_number, nothing, huge, no_metrics])
def test_odd_values_are_shown_as_what_they_are(tmp_path: Path, spoil: Callable[[Rows], None]) -> None:
    rows = small()
    spoil(rows)
    found = analyse(open_store(rows.write(tmp_path / "store")))
    assert build(found)["report.pdf"].startswith(b"%PDF")
    text = everything(words.contents(found))
    assert ("without a figure" if spoil in (nothing, no_metrics) else "3 not finite") in text


def test_one_seed_that_diverged_leaves_no_flattering_mean(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1, 2):
        cell = Cell(HALF, seed=seed)
        measured = metrics(cell)
        rows.publish(cell, measured={**measured, "test_nll": float("inf")} if seed == 1 else measured)
    content = told(rows, tmp_path / "store")
    table = content["sections"][0]["figures"][1]["table"]
    (row,) = table["groups"][0]["rows"]
    assert row[3:6] == ["2/3", "1 not finite", "–"]


def test_without_clean_trials_there_is_no_floor_and_it_is_said(tmp_path: Path) -> None:
    rows = Rows()
    for seed in (0, 1, 2):
        rows.publish(Cell(HALF, seed=seed))
    content = told(rows, tmp_path / "store")
    assert "There is no clean trial to take floors from." in everything(content)
    assert [figure["title"] for figure in content["sections"][0]["figures"]] == [
        "Accuracy over the noise ratio", "Negative log-likelihood over the noise ratio",
    ]  # fmt: skip


def test_bounds_are_marked(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (Fraction(0), HALF), (1,), (0, 1, 2)):
        rows.publish(cell, kept=False)
    content = told(rows, tmp_path / "store")
    figures = {figure["title"].split()[0]: figure for figure in content["sections"][0]["figures"]}
    assert "b, upper bound" in figures["Negative"]["marks"]
    assert figures["Negative"]["table"]["groups"][0]["rows"][1][7].endswith(" b")
    assert "lower estimate" in figures["Excess"]["caption"]


def test_a_tie_has_no_floor_and_is_named(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (Fraction(0), HALF, Fraction(1), Fraction(2)), (1,), (0, 1, 2), law="next_class"):
        rows.publish(cell)
    figure = told(rows, tmp_path / "store")["sections"][0]["figures"][0]
    cells = [Cell(Fraction(0), seed=seed, law="next_class") for seed in (0, 1, 2)]
    at = [clean_probabilities(cell) @ channel("next_class", 2 / 3) for cell in cells]
    right = np.mean([p.argmax(axis=1) == labels("digits") for p in at])
    assert [row[7] for row in figure["table"]["groups"][0]["rows"]][2:] == ["tie", f"{right:.3f}"]
    assert "At e = 0.5 two classes of a certain prediction tie, and top-1 has no floor." in figure["caption"]


def test_without_all_probabilities_top1_floors_are_marked_as_for_certain_predictions(tmp_path: Path) -> None:
    rows = Rows()
    for cell in grid(("digits",), (Fraction(0), HALF, Fraction(2)), (1,), (0, 1, 2), law="next_class"):
        rows.keep(cell, rows.publish(cell, kept=False), artifact(cell, whole=False))
    for cell in grid(("digits",), (Fraction(0), HALF), (1,), (0, 1, 2), model="mlp"):
        rows.keep(cell, rows.publish(cell, kept=False), artifact(cell, whole=False))
    uniform, shifted = told(rows, tmp_path / "store")["sections"]
    clean = np.mean([metrics(Cell(Fraction(0), seed=seed))["top1"] for seed in (0, 1, 2)])
    assert [row[7] for row in shifted["figures"][0]["table"]["groups"][0]["rows"]] == [
        f"{clean:.3f}", f"{clean:.3f} c", "lost",
    ]  # fmt: skip
    assert "floors marked c are the clean top-1" in shifted["figures"][0]["caption"]
    assert "all of p was not kept" in shifted["figures"][0]["marks"]
    # A uniform law keeps every argmax below its threshold: nothing to mark.
    assert [row[7] for row in uniform["figures"][0]["table"]["groups"][0]["rows"]] == [f"{clean:.3f}"] * 2
    assert uniform["figures"][0]["marks"] == ""


def test_a_family_of_other_metrics_is_listed_without_figures(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(Cell(HALF, family="toy"), measured={"score": 0.5}, kept=False)
    written = write_report(rows.write(tmp_path / "store"), tmp_path / "out")
    assert written.figures == ()
    assert f"{Cell(HALF, family='toy').id},score,0.5" in (written.folder / "tables" / "metrics.csv").read_text()


def test_unread_specifications_alone_are_an_error(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(replace(Cell(HALF)), spec="no JSON")
    with pytest.raises(ReportError, match="none of the 1 published trials"):
        write_report(rows.write(tmp_path / "store"), tmp_path / "out")


def test_reports_load_neither_ray_nor_torch(tmp_path: Path) -> None:
    store = small().write(tmp_path / "store")
    program = (
        "import sys; from pathlib import Path; from reports.report import write_report; "
        "assert 'matplotlib' not in sys.modules and 'duckdb' not in sys.modules; "
        "write_report(sys.argv[1], Path(sys.argv[2])); "
        "print(sorted({'ray', 'torch', 'matplotlib.pyplot', 'trainers'} & sys.modules.keys()))"
    )
    arguments = [sys.executable, "-W", "error", "-c", program, str(store), str(tmp_path / "out")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[]\n")
