"""Cosines, norms and losses of batches: against loops over vectors, and where things are missing."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from trainers.gradients.artifact import artifacts
from trainers.gradients.summary import batch_losses, pair_cosines, sequence_deviation, signal
from trainers.gradients.tally import BINS, CLEAN, CORRUPT, PAIRS, Measured, Tally

Vectors = npt.NDArray[np.float64]


def drawn(rng: np.random.Generator, sequences: int, both: bool) -> tuple[Measured, Vectors]:
    """A batch of random parts: two a sequence, or one of a random kind."""
    owners = np.repeat(np.arange(sequences), 2 if both else 1)
    kinds = np.tile([CLEAN, CORRUPT], sequences) if both else rng.integers(0, 2, sequences)
    vectors = rng.normal(0.3, 1, (len(owners), 7))
    mean = rng.normal(size=7)
    mean /= np.linalg.norm(mean)
    removed = vectors - np.outer(vectors @ mean, mean)
    stacked = np.stack([vectors, removed])
    grams = np.einsum("rip,rjp->rij", stacked, stacked)[None]
    losses = rng.random((sequences, 2))
    return Measured(kinds, owners, grams, losses, np.array([3 * sequences, 2 * sequences])), stacked


@pytest.mark.parametrize("both", [True, False])
def test_cosines_and_norms_are_those_of_a_loop(both: bool) -> None:
    rng, tally = np.random.default_rng(0), Tally(1, 2)
    found: dict[tuple[int, str], list[float]] = {(r, pair): [] for r in (0, 1) for pair in PAIRS}
    norms: list[list[list[float]]] = []
    parts: dict[tuple[int, int], list[float]] = {(r, kind): [] for r in (0, 1) for kind in (0, 1)}
    for _ in range(12):
        batch, stacked = drawn(rng, 4, both)
        tally.add(batch)
        norms.append([])
        for r, vectors in enumerate(stacked):
            summed = [vectors[batch.kinds == kind].sum(axis=0) for kind in (CLEAN, CORRUPT)]
            norms[-1].append([float(np.linalg.norm(one)) for one in summed])
            for kind, vector in zip(batch.kinds, vectors, strict=True):
                parts[r, int(kind)].append(float(np.linalg.norm(vector)))
            for i, j in itertools.combinations(range(len(vectors)), 2):
                if batch.owners[i] != batch.owners[j]:
                    cosine = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
                    alike = batch.kinds[i] == batch.kinds[j]
                    pair = PAIRS[int(batch.kinds[i])] if alike else PAIRS[2]
                    found[r, pair].append(float(cosine))
    np.testing.assert_allclose(tally.rows("norms")[:, 0], norms)
    for r in (0, 1):
        told = signal(tally, 0, r, 4, 48)
        assert told.example_norm_clean == pytest.approx(np.mean(parts[r, CLEAN]))
        assert told.example_energy_corrupt == pytest.approx(np.mean(np.square(parts[r, CORRUPT])))
        assert told.share_clean == len(parts[r, CLEAN]) / 48
        for pair, cosines in pair_cosines(tally, 0, r).items():
            due = found[r, pair]
            assert cosines.pairs == len(due) >= 10
            assert cosines.mean == pytest.approx(np.mean(due))
            assert cosines.deviation == pytest.approx(np.std(due, ddof=1))
            assert (cosines.minimum, cosines.maximum) == pytest.approx((min(due), max(due)))
            assert list(cosines.histogram) == np.histogram(due, bins=BINS, range=(-1, 1))[0].tolist()


def test_two_parts_of_one_sequence_are_no_pair() -> None:
    gram = np.eye(2)[None, None]
    tally = Tally(1, 1)
    tally.add(Measured(np.array([CLEAN, CORRUPT]), np.array([0, 0]), gram, np.ones((1, 2)), np.array([1, 1])))
    assert all(one.pairs == 0 and one.mean is None for one in pair_cosines(tally, 0, 0).values())
    told = signal(tally, 0, 0, 1, 1)
    assert told.snr == told.snr_law == 1  # one vector of norm 1 of each kind


def test_equal_and_opposite_vectors_fall_into_the_outer_bins() -> None:
    vectors = np.array([[1e-3, 3e-3], [1e3, 3e3], [-1.0, -3.0]])
    kinds = np.zeros(3, dtype=np.int64)
    tally = Tally(1, 1)
    tally.add(Measured(kinds, np.arange(3), (vectors @ vectors.T)[None, None], np.ones((3, 2)), np.array([3, 0])))
    cosines = pair_cosines(tally, 0, 0)["clean_clean"]
    assert (cosines.minimum, cosines.maximum) == pytest.approx((-1, 1))
    assert -1 <= cosines.minimum <= cosines.maximum <= 1  # type: ignore[operator]
    assert (cosines.histogram[0], cosines.histogram[-1]) == (2, 1)


def test_what_a_projection_leaves_of_nothing_has_no_direction() -> None:
    """Vectors along the mean gradient are gone once it is removed; rounding is not taken for a direction."""
    raw = np.array([[4.0, 6.0], [6.0, 9.0]])
    removed = np.array([[1e-16, -1e-16], [-1e-16, 2e-16]])
    tally = Tally(1, 2)
    kinds = np.zeros(2, dtype=np.int64)
    tally.add(Measured(kinds, np.arange(2), np.stack([raw, removed])[None], np.ones((2, 2)), np.array([2, 0])))
    assert pair_cosines(tally, 0, 0)["clean_clean"].mean == pytest.approx(1)
    assert pair_cosines(tally, 0, 1)["clean_clean"].pairs == 0


def test_a_batch_cut_short_counts_for_pairs_only() -> None:
    rng, tally = np.random.default_rng(1), Tally(1, 2)
    batches = [drawn(rng, sequences, True)[0] for sequences in (4, 4, 2)]
    for batch in batches:
        tally.add(batch)
    told = signal(tally, 0, 0, 4, 10)
    assert told.batches == 2
    assert told.norm_clean == pytest.approx(tally.rows("norms")[:2, 0, 0, 0].mean())
    assert pair_cosines(tally, 0, 0)["clean_clean"].pairs == 6 + 6 + 1
    noisy, clean = batch_losses(tally, 2)
    means = [batch.losses.mean(axis=0) for batch in batches[:2]]
    assert noisy.mean == pytest.approx(np.mean([one[0] for one in means]))
    assert noisy.deviation == pytest.approx(abs(means[0][0] - means[1][0]) / math.sqrt(2))
    assert noisy.variance == pytest.approx(noisy.deviation**2)  # type: ignore[operator]
    assert clean.mean == pytest.approx(np.mean([one[1] for one in means]))
    singles = np.concatenate([batch.losses[:, 0] for batch in batches])
    assert sequence_deviation(tally, 10) == pytest.approx(singles.std(ddof=1))


def test_nothing_yet_is_nothing() -> None:
    tally = Tally(1, 1)
    told = signal(tally, 0, 0, 4, 0)
    assert [told.snr, told.snr_law, told.norm_clean, told.share_clean] == [None] * 4
    assert batch_losses(tally, 0)[0].mean is None
    assert sequence_deviation(tally, 0) is None


def test_without_corrupt_parts_there_is_no_snr() -> None:
    tally = Tally(1, 1)
    batch = Measured(
        np.zeros(3, dtype=np.int64), np.arange(3), np.eye(3)[None, None], np.ones((3, 2)), np.array([9, 0])
    )
    tally.add(batch)
    told = signal(tally, 0, 0, 3, 3)
    assert (told.norm_clean, told.norm_corrupt, told.snr) == (pytest.approx(math.sqrt(3)), 0, None)
    assert (told.share_corrupt, told.example_norm_corrupt, told.snr_law) == (0, None, None)


def table(content: bytes) -> list[dict[str, Any]]:
    return list(pq.read_table(io.BytesIO(content)).to_pylist())


def test_artifacts_hold_what_is_documented() -> None:
    rng, tally = np.random.default_rng(2), Tally(1, 2)
    for sequences in (4, 4, 1):
        tally.add(drawn(rng, sequences, True)[0])
    files = {one.role: table(one.content) for one in artifacts(tally, [("*", 7)], 2, 4, 9)}
    assert sorted(files) == ["batches", "gradients", "snr"]
    assert [(row["removed"], row["pair"]) for row in files["gradients"]] == list(
        itertools.product([False, True], PAIRS)
    )
    for row in files["gradients"]:
        assert (row["analysis"], row["elements"], len(row["histogram"])) == ("*", 7, BINS)
        assert row["pairs"] == sum(row["histogram"]) == (24 if row["pair"] == "clean_corrupt" else 12)
    assert [(row["removed"], row["batch"], row["batches"]) for row in files["snr"]] == [(False, 4, 2), (True, 4, 2)]
    assert files["snr"][0]["snr"] == signal(tally, 0, 0, 4, 9).snr
    assert [(row["batch"], row["whole"], row["sequences"]) for row in files["batches"]] == [
        (0, True, 4),
        (1, True, 4),
        (2, False, 1),
    ]
    assert files["batches"][2]["corrupt_tokens"] == 2
    assert files["batches"][1]["norm_corrupt_removed"] == tally.rows("norms")[1, 0, 1, CORRUPT]


def test_without_gradients_there_are_batches_alone() -> None:
    tally = Tally(0, 1)
    none = np.zeros(0, dtype=np.int64)
    tally.add(Measured(none, none, np.zeros((0, 1, 0, 0)), np.array([[2.0, 1.0]]), np.array([4, 0])))
    (one,) = artifacts(tally, [], 1, 1, 1)
    (row,) = table(one.content)
    assert (one.role, row["loss"], row["clean_loss"], row["norm_clean"]) == ("batches", 2.0, 1.0, None)


def test_a_tally_is_put_back_whole() -> None:
    rng, tally, other = np.random.default_rng(3), Tally(1, 2), Tally(1, 2)
    batches = [drawn(rng, 4, True)[0] for _ in range(3)]
    tally.add(batches[0])
    kept = tally.arrays()
    tally.add(batches[1])
    other.load(kept)
    other.add(batches[1])
    for name, array in tally.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])
    assert len(kept["counts"]) == 1, "what was handed out is a copy"
