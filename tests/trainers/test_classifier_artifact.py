"""The artifact that floors are computed from: its columns, by the design's own formulas."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainers.classifier.artifact import truth_probability
from trainers.noise.laws import CONFUSION, NEXT_CLASS, UNIFORM_ALL, UNIFORM_WRONG
from trainers.protocol import Artifact
from trainers.spec import NoiseSpec

ROWS = ((0.0, 2.0, 2.0), (1.0, 0.0, 0.0), (1.0, 1.0, 2.0))


def table(artifact: Artifact) -> pa.Table:
    return pq.read_table(io.BytesIO(artifact.content))


def predictions(count: int = 50, classes: int = 3) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(classes), size=count), rng.integers(0, classes, count)


def test_columns_and_kinds() -> None:
    p, truth = predictions()
    artifact = truth_probability(np.log(p), truth)
    assert (artifact.role, artifact.filename) == ("truth_probability", "truth_probability.parquet")
    read = table(artifact)
    assert {field.name: str(field.type) for field in read.schema} == {
        "example": "int32",
        "truth": "int32",
        "predicted": "int32",
        "p_truth": "double",
        "p_previous": "double",
        "p": "fixed_size_list<element: float>[3]",
    }
    assert read["example"].to_pylist() == list(range(50))
    assert read["truth"].to_pylist() == truth.tolist()
    assert read["predicted"].to_pylist() == p.argmax(axis=1).tolist()
    np.testing.assert_allclose(read["p_truth"], [row[y] for row, y in zip(p, truth, strict=True)])
    np.testing.assert_allclose(read["p_previous"], [row[y - 1] for row, y in zip(p, truth, strict=True)])
    np.testing.assert_array_equal(read["p"].to_pylist(), p.astype(np.float32))
    assert read.schema.metadata[b"noisegrid.classes"] == b"3"


def test_many_classes_keep_no_more_than_the_uniform_laws_take() -> None:
    p, truth = predictions(4, 65)
    read = table(truth_probability(np.log(p), truth))
    assert read["p"].null_count == 4
    assert read["p_truth"].null_count == 0


def test_compressed_and_the_same_bytes_each_time() -> None:
    p, truth = predictions()
    first, second = (truth_probability(np.log(p), truth) for _ in range(2))
    assert first.content == second.content
    metadata = pq.read_metadata(io.BytesIO(first.content))
    assert {metadata.row_group(0).column(i).compression for i in range(6)} == {"ZSTD"}


@pytest.mark.parametrize("ratio", [Fraction(1, 10), Fraction(1), Fraction(3)])
@pytest.mark.parametrize("law", [UNIFORM_WRONG, UNIFORM_ALL, NEXT_CLASS, CONFUSION], ids=lambda law: law.name)
def test_columns_give_the_noisy_prediction_under_every_law(law: Any, ratio: Fraction) -> None:
    """(T^T p)(y), from the stored columns alone, is that of the law's own channel."""
    mapping = ROWS if law is CONFUSION else None
    noise = NoiseSpec(law=law.name, ratio=ratio, map=mapping)
    p, truth = predictions()
    weights = np.array(ROWS) / np.sum(ROWS, axis=1, keepdims=True)
    read = table(truth_probability(np.log(p), truth))
    p_truth, p_previous = read["p_truth"].to_numpy(), read["p_previous"].to_numpy()
    replaced = {
        "uniform_wrong": (1 - p_truth) / 2,
        "uniform_all": np.full(50, 1 / 3),
        "next_class": p_previous,
        "confusion": (np.array(read["p"].to_pylist()) * weights[:, truth].T).sum(axis=1),
    }[law.name]
    e = float(noise.rate)
    due = (p @ law.channel(noise, 3))[np.arange(50), truth]
    np.testing.assert_allclose((1 - e) * p_truth + e * replaced, due, rtol=1e-6 if mapping else 1e-12)
