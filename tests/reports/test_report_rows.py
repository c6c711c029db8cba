"""Which rows count: published ones, the newest of an id, of the winning attempt, final, and once."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from fixtures.report_store import Cell, Rows, artifact, metrics

from reports.errors import ReportError
from reports.files import open_store
from reports.rows import read_rows
from sweep.store.schema import SCHEMAS, schema_at, to_table

CELL = Cell(Fraction(1, 3), seed=2)
TABLES = ("trials", "metrics", "attempts", "artifacts")


def tables(rows: Rows) -> dict[str, pa.Table]:
    return {name: to_table(name, rows.tables[name]) for name in TABLES}


def test_a_trial_as_it_was_published() -> None:
    rows = Rows()
    rows.publish(CELL)
    (trial,) = read_rows(tables(rows)).trials
    assert (trial.id, trial.dataset, trial.ratio, trial.rate) == (CELL.id, "digits@1", Fraction(1, 3), Fraction(1, 4))
    assert (trial.base_samples, trial.samples, trial.multiplier, trial.seed) == (60_000, 80_000, 1, 2)
    assert trial.metrics == metrics(CELL)
    assert set(trial.artifacts) == {"truth_probability"}
    fields = dict(trial.configuration)
    assert fields["optimiser.lr"] == "0.001"
    assert fields["batch.size"] == "64"
    assert not {"noise.law", "noise.ratio", "seed", "batch.multiplier", "budget.rule", "dataset"} & fields.keys()


def test_of_several_revisions_the_newest_counts_whole() -> None:
    rows = Rows()
    rows.publish(CELL, revision="r2", ended=100, measured={"top1": 0.25})
    rows.publish(CELL, revision="r1", ended=0, measured={"top1": 0.5, "test_nll": 1.0})
    (trial,) = read_rows(tables(rows)).trials
    assert trial.revision == "r2"
    assert trial.metrics == {"top1": 0.25}


def test_of_two_attempts_at_one_revision_the_first_to_publish_counts() -> None:
    rows = Rows()
    rows.publish(CELL, revision="r1", ended=0, measured={"top1": 0.5})
    rows.publish(CELL, revision="r1", ended=100, measured={"top1": 0.25})
    (trial,) = read_rows(tables(rows)).trials
    assert trial.metrics == {"top1": 0.5}


def test_rows_that_were_read_twice_count_once() -> None:
    rows = Rows()
    rows.publish(CELL)
    rows.fail("gone", "broke")
    once = tables(rows)
    twice = {name: pa.concat_tables([table, table]) for name, table in once.items()}
    assert read_rows(twice) == read_rows(once)


def test_metrics_of_other_attempts_splits_and_steps_do_not_count() -> None:
    rows = Rows()
    attempt = rows.publish(CELL, measured={"top1": 0.5})
    row = rows.tables["metrics"][-1]
    rows.tables["metrics"] += [
        {**row, "attempt": "lost", "value": 0.9},
        {**row, "split": "train", "value": 0.8},
        {**row, "metric": "other", "final": False, "value": 0.7},
        {**row, "id": "0" * 16, "value": 0.6},
    ]
    rows.keep(CELL, "lost", artifact(CELL), path="files/lost.parquet")
    (trial,) = read_rows(tables(rows)).trials
    assert trial.metrics == {"top1": 0.5}
    assert attempt in trial.artifacts["truth_probability"].path


@pytest.mark.parametrize(
    "spec",
    [
        "no JSON",
        "[]",
        "null",
        "{}",
        '{"noise":{"ratio":"1e999999999"}}',
        '{"noise":{"ratio":"1/0"}}',
        '{"noise":{"ratio":"-1/2"}}',
        '{"noise":{"ratio":null}}',
        '{"noise":' + '{"a":' * 20_000 + "1" + "}" * 20_001,
    ],
)
def test_a_specification_that_cannot_be_read_is_left_out_and_named(spec: str) -> None:
    rows = Rows()
    rows.publish(CELL)
    rows.publish(replace(CELL, seed=7), spec=spec)
    found = read_rows(tables(rows))
    assert [trial.id for trial in found.trials] == [CELL.id]
    assert found.unread == (replace(CELL, seed=7).id,)


def test_a_ratio_may_be_a_whole_number() -> None:
    spec = CELL.spec()
    spec["noise"]["ratio"] = 2
    rows = Rows()
    rows.publish(CELL, spec=json.dumps(spec))
    assert read_rows(tables(rows)).trials[0].ratio == 2


def test_failures_are_errors_only_and_say_whether_the_trial_was_published_since() -> None:
    rows = Rows()
    rows.publish(CELL)
    rows.fail(CELL.id, "first try", attempt="a1")
    rows.fail("b" * 16, "the loss is not finite", outcome="failed", attempt="a2")
    for outcome in ("done", "lost", "died", "interrupted"):
        rows.fail("c" * 16, "no error", outcome=outcome, attempt=outcome)
    found = read_rows(tables(rows)).failures
    assert sorted((one.id, one.outcome, one.published) for one in found) == sorted(
        [(CELL.id, "raised", True), ("b" * 16, "failed", False), ("c" * 16, "died", False)]
    )


def test_a_death_counts_where_its_trial_was_never_published() -> None:
    rows = Rows()
    rows.publish(CELL)
    rows.fail(CELL.id, "process 1 is gone", outcome="died")
    assert read_rows(tables(rows)).failures == ()


def test_what_was_begun_and_not_published_is_known_by_its_start() -> None:
    lost, silent = replace(CELL, seed=7), replace(CELL, seed=8)
    rows = Rows()
    rows.publish(CELL)
    rows.begin(CELL)
    for attempt in ("a1", "a2"):
        rows.begin(lost, attempt)
        rows.fail(lost.id, "process 1 is gone", outcome="died", attempt=attempt)
    rows.fail(silent.id, "no start was kept")
    rows.begin(replace(CELL, seed=9), spec='{"noise":{"ratio":"1"}}')
    found = read_rows(tables(rows))
    (trial,) = found.attempted
    assert (trial.id, trial.family, trial.model, trial.dataset) == (lost.id, "classifier", "small_cnn", "digits@1")
    assert (trial.law, trial.ratio, trial.multiplier, trial.seed) == ("uniform_wrong", Fraction(1, 3), 1, 7)
    assert (trial.samples, trial.rule, trial.refresh, trial.reading) == (80_000, "scaled", "fresh", "corrected")
    assert trial.configuration == found.trials[0].configuration
    assert set(found.unnamed) == {silent.id, replace(CELL, seed=9).id}
    assert {one.id: one.trial for one in found.failures} == {lost.id: trial, silent.id: None}


def test_a_nullable_column_that_older_files_lack_is_null(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(CELL)
    rows.fail("b" * 16, "broke")
    root = rows.write(tmp_path / "store")
    (path,) = (root / "attempts").iterdir()
    table = pa.parquet.read_table(path)
    pa.parquet.write_table(table.drop_columns(["spec"]), path)
    assert open_store(root).table("attempts")["spec"].to_pylist() == [None]
    pa.parquet.write_table(table.drop_columns(["event"]), path)
    with pytest.raises(ReportError, match="cannot be read"):
        open_store(root).table("attempts")


def test_a_store_of_the_first_schema_is_reported_without_throughput(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(CELL)
    rows.publish(replace(CELL, seed=3), tokens_per_second=1200.0, flops_utilisation=0.4)
    root = rows.write(tmp_path / "store", one_file=True)
    (path,) = (root / "trials").iterdir()
    table = pa.parquet.read_table(path)
    first = schema_at("trials", 1)
    assert set(table.schema.names) - set(first.names) == {"tokens_per_second", "flops_utilisation"}
    older = table.slice(0, 1).select(first.names)
    metadata = {**table.schema.metadata, b"noisegrid.schema_version": b"1"}
    pa.parquet.write_table(older.replace_schema_metadata(metadata), root / "trials" / "older.parquet")
    pa.parquet.write_table(table.slice(1, 1), path)
    store = open_store(root)
    trials = read_rows({name: store.table(name) for name in TABLES}).trials
    found = {trial.seed: (trial.tokens_per_second, trial.flops_utilisation) for trial in trials}
    assert found == {2: (None, None), 3: (1200.0, 0.4)}


def test_metrics_of_other_splits_are_kept_apart() -> None:
    rows = Rows()
    rows.publish(CELL, measured={"top1": 0.5})
    rows.tables["metrics"].append(
        {**rows.tables["metrics"][-1], "split": "train", "metric": "train_loss", "value": 2.0}
    )
    (trial,) = read_rows(tables(rows)).trials
    assert (trial.metrics, trial.elsewhere) == ({"top1": 0.5}, {("train", "train_loss"): 2.0})


def test_text_that_is_no_utf8_is_refused_with_the_file(tmp_path: Path) -> None:
    rows = Rows()
    rows.publish(CELL)
    root = rows.write(tmp_path / "store")
    table = to_table("trials", rows.tables["trials"])
    broken = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    place = table.schema.get_field_index("git")
    damaged = table.set_column(place, table.schema.field("git"), broken)
    pa.parquet.write_table(damaged, root / "trials" / "damaged.parquet")
    with pytest.raises(ReportError, match=r"trials/damaged\.parquet cannot be read"):
        open_store(root).table("trials")


def test_no_rows_at_all() -> None:
    empty = {name: SCHEMAS[name].empty_table() for name in TABLES}
    found = read_rows(empty)
    assert (found.trials, found.attempted, found.failures, found.unread, found.unnamed) == ((), (), (), (), ())
