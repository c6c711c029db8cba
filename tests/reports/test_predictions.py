"""Stored predictions are checked before they are believed; a damaged file costs its own floor only."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.report_store import Cell, Rows, artifact, labels, metrics, probabilities

from reports.analysis import analyse
from reports.files import open_store
from reports.predictions import DamagedError, decode

CLEAN, NOISY = Cell(Fraction(0)), Cell(Fraction(1, 2), rule="fixed")


def changed(metadata: dict[bytes, bytes] | None = None, /, **columns: object) -> bytes:
    table = pq.read_table(io.BytesIO(artifact(CLEAN)))
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, values if isinstance(values, pa.Array) else pa.array(values))
    if metadata is not None:
        table = table.replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def with_value(name: str, value: object) -> bytes:
    column = pq.read_table(io.BytesIO(artifact(CLEAN))).column(name).to_pylist()
    return changed(**{name: [value, *column[1:]]})


def without(name: str) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(artifact(CLEAN))).drop_columns([name]), buffer)
    return buffer.getvalue()


def test_what_was_stored_is_read() -> None:
    found = decode(artifact(CLEAN))
    truth, p = labels("digits"), probabilities(CLEAN)
    rows = np.arange(len(truth))
    np.testing.assert_array_equal(found.clean.truth, p[rows, truth])
    np.testing.assert_array_equal(found.clean.previous, p[rows, truth - 1])
    assert found.clean.whole is not None
    np.testing.assert_array_equal(found.clean.whole, p.astype(np.float32))
    np.testing.assert_array_equal(found.clean.labels, truth)
    assert (found.examples, found.clean.classes) == (360, 10)


def test_classes_that_the_test_set_lacks_may_be_declared() -> None:
    unkept = pa.nulls(360, pa.list_(pa.float32(), 12))
    assert decode(changed({b"noisegrid.classes": b"12"}, p=unkept)).clean.classes == 12
    assert decode(artifact(CLEAN, classes=3)).clean.classes == 10


def test_an_output_beyond_the_classes_is_no_class() -> None:
    """GPT-2 may have 50,304 outputs for 50,257 tokens: floors are of the tokens."""
    unkept = pa.nulls(360, pa.list_(pa.float32()))
    beyond = pa.array([11] * 360, pa.int32())
    assert decode(changed({b"noisegrid.classes": b"10"}, p=unkept, predicted=beyond)).clean.classes == 10
    assert decode(changed({}, p=unkept, predicted=beyond)).clean.classes == 12


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no table of predictions"),
        (b"PAR1 not really", "no table of predictions"),
        (artifact(CLEAN)[:-40], "no table of predictions"),
        (without("p_truth"), "no table of predictions"),
        (with_value("p_truth", 1.5), "outside"),
        (with_value("p_truth", -0.1), "outside"),
        (with_value("p_truth", float("nan")), "outside"),
        (with_value("p_previous", None), "outside"),
        (artifact(CLEAN, classes=12), "12 classes and 10 probabilities"),
        (with_value("truth", -1), "a class is"),
        (with_value("truth", None), "a class is"),
        (with_value("predicted", 2_000_000), "at most"),
    ],
    ids=[
        "empty",
        "foreign",
        "cut",
        "column",
        "above",
        "below",
        "nan",
        "null",
        "classes",
        "negative",
        "no class",
        "too many",
    ],
)
def test_damage_is_named(content: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        decode(content)


def test_no_example_is_damage() -> None:
    table = pq.read_table(io.BytesIO(artifact(CLEAN))).slice(0, 0)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    with pytest.raises(DamagedError, match="no example"):
        decode(buffer.getvalue())


def spoil_bytes(rows: Rows) -> None:
    path = rows.tables["artifacts"][0]["path"]
    rows.files[path] = rows.files[path][:-1] + b"x"


def lose_file(rows: Rows) -> None:
    rows.files.pop(rows.tables["artifacts"][0]["path"])


def lead_outside(rows: Rows) -> None:
    rows.files.pop(rows.tables["artifacts"][0]["path"])
    rows.tables["artifacts"][0]["path"] = "../outside.parquet"


@pytest.mark.parametrize("spoil", [spoil_bytes, lose_file, lead_outside])
def test_a_damaged_file_leaves_the_bound_and_is_reported(tmp_path: Path, spoil: Callable[[Rows], None]) -> None:
    rows = Rows()
    rows.publish(CLEAN)
    rows.publish(NOISY)
    (tmp_path / "outside.parquet").write_bytes(artifact(CLEAN))
    spoil(rows)
    found = analyse(open_store(rows.write(tmp_path / "store")))
    floor = found.measured[NOISY.id].floor("test_nll")
    clean_nll = metrics(CLEAN)["test_nll"]
    assert clean_nll is not None
    assert (floor.kind, floor.reference) == ("bound", "twin")
    assert floor.value == pytest.approx(clean_nll - np.log(2 / 3))
    assert set(found.problems) == {CLEAN.id}
    assert found.measured[NOISY.id].floor("sampled_accuracy").kind == "none"
