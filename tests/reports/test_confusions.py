"""Confusions as they are read: whole matrices or a named damage; a damaged one costs its own trial."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.image_store import (
    Pictures,
    confusion,
    confusion_artifact,
    confusions_of,
    pictures,
    publish_images,
    real_confusion,
    training,
)
from fixtures.language_store import parquet
from fixtures.report_store import Rows

from reports import contents as words
from reports.analysis import analyse
from reports.artifacts import DamagedError
from reports.confusions import Judgements, decode
from reports.files import open_store
from reports.rows import read_rows
from trainers.diffusion import artifact

CELL = Pictures(Fraction(1))
SMALL = {("generated", "judge"): np.array([[3, 1], [0, 4]])}


def test_matrices_are_read_as_they_were_written() -> None:
    found = decode(confusion_artifact(confusions_of(CELL), training(CELL)))
    assert found.classes == 10
    assert found.training is not None
    assert found.training.tolist() == training(CELL)
    for judge in ("judge", "second_judge"):
        np.testing.assert_array_equal(found.of("generated", judge), confusion(CELL, judge))
        np.testing.assert_array_equal(found.of("real", judge), real_confusion(CELL, judge))


def test_what_the_family_writes_is_read() -> None:
    written = [(images, judge, matrix) for (images, judge), matrix in confusions_of(CELL).items()]
    found = decode(artifact.confusion(written, np.array(training(CELL))).content)
    assert set(found.counts) == set(confusions_of(CELL))
    np.testing.assert_array_equal(found.of("generated", "judge"), confusion(CELL))
    assert found.training is not None
    assert found.training.tolist() == training(CELL)


def test_rows_may_come_in_any_order_and_a_judge_may_be_missing() -> None:
    table = pq.read_table(pa.BufferReader(confusion_artifact(SMALL, [5, 6])))
    found = decode(parquet(table.take(pa.array([2, 0, 3, 1]))))
    np.testing.assert_array_equal(found.of("generated", "judge"), SMALL["generated", "judge"])
    assert found.of("generated", "second_judge") is None
    assert found.of("real", "judge") is None


def test_without_the_classes_counts_the_largest_class_tells_how_many_there_are() -> None:
    found = decode(confusion_artifact(SMALL, None))
    assert (found.classes, found.training) == (2, None)


def changed(name: str, values: list[Any]) -> bytes:
    return confusion_artifact(SMALL, [5, 6], **{name: values})


def without(name: str) -> bytes:
    return parquet(pq.read_table(pa.BufferReader(confusion_artifact(SMALL, [5, 6]))).drop_columns([name]))


def told(metadata: bytes) -> bytes:
    table = pq.read_table(pa.BufferReader(confusion_artifact(SMALL, None)))
    return parquet(table.replace_schema_metadata({b"noisegrid.class_counts": metadata}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no table of confusions"),
        (without("count"), "no table of confusions"),
        (changed("images", ["odd"] * 4), "something else than generated and real"),
        (changed("judge", ["judge", None, "judge", "judge"]), "something else than judge"),
        (changed("count", [3, -1, 0, 4]), "'count'"),
        (changed("count", [3, None, 0, 4]), "'count'"),
        (changed("count", [3.5, 1.0, 0.0, 4.0]), "'count'"),
        (changed("count", [2**60, 1, 0, 4]), "'count'"),
        (changed("label", [0, 0, 1, 7]), "a class is not among 2"),
        (changed("judged", [0, 0, 0, 1]), "has 4 cells, or one of them twice"),
        (confusion_artifact({("real", "judge"): np.ones((1, 2), dtype=np.int64)}, [1, 2]), "has 2 cells"),
        (confusion_artifact({}, [1, 2]), "holds no confusion"),
        (told(b"{}"), "no list of counts"),
        (told(b"[" * 40_000), "no list of counts"),
        (told(b"[1, -2]"), "no list of counts"),
        (told(b"[true, 2]"), "no list of counts"),
        (told(b"\xff"), "no list of counts"),
    ],
)
def test_damage_is_named(content: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        decode(content)


def test_more_classes_than_are_expected_are_refused_before_a_matrix_is_made() -> None:
    table = pa.table({
        "images": ["real"], "judge": ["judge"], "label": pa.array([10**6], pa.int32()),
        "judged": pa.array([0], pa.int32()), "count": pa.array([1], pa.int64()),
    })  # fmt: skip
    with pytest.raises(DamagedError, match="more than 1,000"):
        decode(parquet(table))


def test_the_last_used_are_held_within_bounds(tmp_path: Path) -> None:
    rows = Rows()
    for cell in pictures(("0", "1"), seeds=(0, 1)):
        publish_images(rows, cell, samples=False)
    files = open_store(rows.write(tmp_path / "store", one_file=True))
    trials = read_rows({name: files.table(name) for name in ("trials", "metrics", "attempts", "artifacts")}).trials
    judgements = Judgements(files, held=2 * 4 * 100 * 8)  # two trials of four matrices
    read: list[Any] = [judgements.of(trial) for trial in trials]
    assert len({id(one) for one in read}) == len(trials) == 4
    assert judgements.of(trials[3]) is read[3]
    again = judgements.of(trials[0])
    assert again is not read[0]
    assert again is not None
    np.testing.assert_array_equal(again.of("generated", "judge"), read[0].of("generated", "judge"))


def broken(rows: Rows, path: str) -> None:
    rows.files[path] += b"x"


def missing(rows: Rows, path: str) -> None:
    del rows.files[path]


@pytest.mark.parametrize(
    ("damage", "reason"), [(broken, "the file does not match its SHA-256"), (missing, "the file is missing")]
)
def test_a_damaged_file_costs_its_own_trial_and_is_reported(
    damage: Callable[[Rows, str], None], reason: str, tmp_path: Path
) -> None:
    rows = Rows()
    cells = pictures(("0", "1"))
    for cell in cells:
        publish_images(rows, cell, samples=False)
    clean = cells[0]
    (row,) = (row for row in rows.tables["artifacts"] if (row["id"], row["role"]) == (clean.id, "confusion"))
    damage(rows, row["path"])
    analysis = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    assert analysis.problems == {clean.id: reason}
    kinds = {cell.seed: analysis.measured[cell.id].floor("consistency").kind for cell in cells if cell.ratio}
    assert kinds == {0: "accuracy", 1: "exact", 2: "exact"}
    assert any("What 1 trial left" in note for note in words.contents(analysis)["notes"])
