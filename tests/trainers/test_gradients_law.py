"""The vector-sum law, and the SNR routine on populations of gradients whose cosines are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trainers.gradients.law import binomial, expected_energy, expected_norm
from trainers.gradients.summary import Signal, signal
from trainers.gradients.tally import CLEAN, CORRUPT, Measured, Tally

#: The paper's table 4: cosines .52 and .001, one free ratio of norms (protocols 7).
COSINES = (0.52, 0.001)
NORMS = (2.35, 1.0)
BATCHES = 1600  # 200 on each of 8 GPUs

#: (batch, e) -> what the paper published, what the law gives.
PUBLISHED = {(4, 0.25): (7.31, 7.17), (8, 0.25): (8.34, 8.38), (4, 0.5): (2.96, 3.02), (8, 0.5): (3.83, 3.82)}


def predicted(batch: int, rate: float) -> float:
    clean, corrupt = (
        expected_norm(batch, share, norm, cosine)
        for share, norm, cosine in zip((1 - rate, rate), NORMS, COSINES, strict=True)
    )
    return clean / corrupt


@pytest.mark.parametrize(("batch", "rate"), PUBLISHED)
def test_the_law_reproduces_the_paper_s_table(batch: int, rate: float) -> None:
    published, law = PUBLISHED[batch, rate]
    assert predicted(batch, rate) == pytest.approx(law, abs=0.005)
    assert predicted(batch, rate) == pytest.approx(published, rel=0.022)


def test_all_four_are_met_within_2_per_cent_in_root_mean_square() -> None:
    errors = [predicted(*cell) / published - 1 for cell, (published, _) in PUBLISHED.items()]
    assert math.sqrt(np.mean(np.square(errors))) < 0.015


def population(batch: int, rate: float, batches: int, seed: int) -> Tally:
    """Batches of constructed vectors: a shared axis a kind, and an axis of its own for each vector."""
    rng, tally = np.random.default_rng(seed), Tally(1, 1)
    for _ in range(batches):
        kinds = np.where(rng.random(batch) < rate, CORRUPT, CLEAN)
        vectors = np.zeros((batch, 2 + batch))
        rho, norm = np.array(COSINES)[kinds], np.array(NORMS)[kinds]
        vectors[np.arange(batch), kinds] = norm * np.sqrt(rho)
        vectors[np.arange(batch), 2 + np.arange(batch)] = norm * np.sqrt(1 - rho)
        gram = vectors @ vectors.T
        counts = np.array([np.count_nonzero(kinds == kind) for kind in (CLEAN, CORRUPT)])
        tally.add(Measured(kinds, np.arange(batch), gram[None, None], rng.random((batch, 2)), counts))
    return tally


def standard_error(tally: Tally, found: Signal) -> float:
    """Of the ratio of means, over batches (delta method)."""
    norms = tally.rows("norms")[:, 0, 0]
    means = norms.mean(axis=0)
    influence = norms[:, 0] / means[0] - norms[:, 1] / means[1]
    assert found.snr is not None
    return float(found.snr * influence.std(ddof=1) / math.sqrt(len(norms)))


@pytest.mark.parametrize(("batch", "rate"), [*PUBLISHED, (64, 0.5)])
def test_the_routine_returns_the_law_within_its_sampling_error(batch: int, rate: float) -> None:
    tally = population(batch, rate, BATCHES, seed=batch)
    found = signal(tally, 0, 0, batch, batch * BATCHES)
    assert found.snr is not None
    assert found.snr_law is not None
    assert found.snr_corrected is not None
    assert found.batches == BATCHES
    assert (found.cosine_clean, found.cosine_corrupt) == pytest.approx(COSINES, abs=1e-9)
    assert (found.example_norm_clean, found.example_norm_corrupt) == pytest.approx(NORMS)
    assert abs(found.snr - predicted(batch, rate)) < 4 * standard_error(tally, found)
    assert found.snr_law == pytest.approx(predicted(batch, rate), rel=0.05)  # of the counts as they came
    energies = [
        expected_energy(batch, share, norm**2, rho)
        for share, norm, rho in zip((1 - rate, rate), NORMS, COSINES, strict=True)
    ]
    assert found.snr_corrected == pytest.approx(math.sqrt(energies[0] / energies[1]), rel=0.05)
    assert found.snr_law_corrected == pytest.approx(found.snr_corrected, rel=0.05)


def test_batches_without_a_corrupt_part_inflate_the_recovered_definition_only() -> None:
    """At batch 4 and e = 1/4, 31.6 % of batches hold none (protocols S2)."""
    tally = population(4, 0.25, BATCHES, seed=0)
    found = signal(tally, 0, 0, 4, 4 * BATCHES)
    norms = tally.rows("norms")[:, 0, 0]
    assert np.mean(norms[:, CORRUPT] == 0) == pytest.approx(0.316, abs=0.04)
    assert found.snr == pytest.approx(norms[:, 0].mean() / norms[:, 1].mean())
    assert found.snr_corrected == pytest.approx(
        math.sqrt(np.square(norms[:, 0]).mean() / np.square(norms[:, 1]).mean())
    )
    assert found.snr is not None
    assert found.snr_corrected is not None
    assert found.snr > 1.15 * found.snr_corrected


@given(st.integers(1, 200), st.sampled_from([0.0, 1.0]) | st.floats(1e-6, 1 - 1e-6))  # scipy overflows nearer to 0
def test_binomial_is_the_distribution_of_that_name(batch: int, share: float) -> None:
    np.testing.assert_allclose(binomial(batch, share), stats.binom.pmf(np.arange(batch + 1), batch, share), atol=1e-10)


@given(st.integers(1, 64), st.floats(0.01, 1), st.floats(0.1, 10), st.floats(0, 1))
def test_energies_are_the_squares_of_what_norms_are_of(batch: int, share: float, norm: float, cosine: float) -> None:
    by_count = sum(p * (n + n * (n - 1) * cosine) for n, p in enumerate(binomial(batch, share))) * norm**2
    energy = expected_energy(batch, share, norm**2, cosine)
    assert energy == pytest.approx(by_count)
    assert expected_norm(batch, share, norm, cosine) <= math.sqrt(energy) * (1 + 1e-9)


def test_the_law_where_it_can_be_seen_by_eye() -> None:
    assert expected_norm(1, 0.25, 3.0, None) == pytest.approx(0.75)
    assert expected_norm(9, 1.0, 2.0, 0.0) == pytest.approx(6.0)  # sqrt(9) x 2: no coherence
    assert expected_norm(9, 1.0, 2.0, 1.0) == pytest.approx(18.0)  # 9 x 2: all alike
    assert expected_norm(2, 1.0, 1.0, -1.0) == 0
    assert expected_norm(5, 0.0, 1.0, 0.5) == 0
    assert expected_energy(3, 1.0, 1.0, -1.0) == 0


def test_growth_with_the_batch_is_at_most_sqrt_2_a_doubling() -> None:
    ratios = [predicted(2 * batch, 0.5) / predicted(batch, 0.5) for batch in (4, 8, 16, 32)]
    assert all(1 < ratio < math.sqrt(2) for ratio in ratios)


@pytest.mark.parametrize(("batch", "share"), [(0, 0.5), (4, -0.1), (4, 1.1)])
def test_what_is_no_share_or_batch_is_refused(batch: int, share: float) -> None:
    with pytest.raises(ValueError, match=str(batch)):
        expected_norm(batch, share, 1.0, 0.0)
    with pytest.raises(ValueError, match="allowed"):
        expected_energy(batch, share, 1.0, 0.0)
