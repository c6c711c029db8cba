"""Floors of consistency: what an ideal generator of the noisy labels scores, against Bayes' rule by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from fixtures.report_store import channel
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.floors import Noise
from reports.generators import consistency_floor, mixture, share_right

LAWS = ("uniform_wrong", "uniform_all", "next_class")


def noise(law: str, rate: str | Fraction) -> Noise:
    return Noise(law, Fraction(rate))


def drawn(seed: int, classes: int, each: int = 40) -> np.ndarray:
    """Counts of a clean generator, [classes, classes]."""
    random = np.random.default_rng(seed)
    shares = 4 * np.eye(classes) + random.random((classes, classes))
    return random.multinomial(each, shares / shares.sum(axis=1, keepdims=True))


@given(st.sampled_from(LAWS), st.integers(0, 9), st.integers(2, 6), st.integers(0, 10**6))
def test_the_floor_is_the_mean_over_given_labels_of_the_mixture(law: str, tenth: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    training, clean = random.integers(1, 50, n), drawn(seed, n)
    asked = random.integers(1, 30, n)
    matrix = channel(law, tenth / 10, n)
    expected = 0.0
    for g in range(n):
        total = sum(training[k] * matrix[k, g] for k in range(n))
        if not total:
            return  # a label that is never given
        right = sum(training[y] * matrix[y, g] / total * clean[y, g] / clean[y].sum() for y in range(n))
        expected += asked[g] / asked.sum() * right
    found = consistency_floor(clean, asked, training, noise(law, Fraction(tenth, 10)))
    assert found is not None
    assert found.value == pytest.approx(expected, abs=1e-12)


@given(st.integers(2, 12), st.integers(0, 10), st.integers(20, 40))
def test_balanced_classes_and_even_confusions_give_the_closed_form(n: int, tenth: int, right: int) -> None:
    """(1 - e) c + e (1 - c) / (n - 1) (design 5), where wrong verdicts fall on all other classes alike."""
    clean = np.full((n, n), 3) + (right - 3) * np.eye(n, dtype=np.int64)
    e, c = tenth / 10, right / (right + 3 * (n - 1))
    balanced = np.full(n, 50)
    found = consistency_floor(clean, balanced, balanced, noise("uniform_wrong", Fraction(tenth, 10)))
    assert found is not None
    assert found.value == pytest.approx((1 - e) * c + e * (1 - c) / (n - 1))


@given(st.sampled_from(LAWS), st.integers(2, 6), st.integers(0, 10**6))
def test_without_noise_it_is_the_clean_consistency(law: str, n: int, seed: int) -> None:
    clean = drawn(seed, n)
    found = consistency_floor(clean, clean.sum(axis=1), np.arange(1, n + 1), noise(law, "0"))
    assert found is not None
    assert found.value == pytest.approx(share_right(clean))


def test_numbers_by_hand() -> None:
    """Three classes, next_class at e = 1/4, training images 1 : 2 : 1; a judge that is right 8, 6 and 9 times in 10."""
    clean = np.array([[8, 1, 1], [2, 6, 2], [0, 1, 9]])
    # M[g, g] = .75 pi_g / (.75 pi_g + .25 pi_{g-1}): .75/1 = .75, 1.5/1.75 = 6/7, .75/1.25 = .6; the rest is g - 1.
    expected = (0.75 * 0.8 + 0.25 * 0.0 + 6 / 7 * 0.6 + 1 / 7 * 0.1 + 0.6 * 0.9 + 0.4 * 0.2) / 3
    found = consistency_floor(clean, np.full(3, 7), np.array([10, 20, 10]), noise("next_class", "1/4"))
    assert found is not None
    assert found.value == pytest.approx(expected)
    mixed = mixture(np.array([10, 20, 10]), noise("next_class", "1/4"))
    assert mixed is not None
    assert mixed == pytest.approx(np.array([[0.75, 0, 0.25], [1 / 7, 6 / 7, 0], [0, 0.4, 0.6]]))


def test_a_map_and_the_classes_own_frequencies_are_channels_too() -> None:
    training = np.array([10, 30, 60])
    swapped = mixture(training, Noise("confusion", Fraction(1), (1, 0, 2)))
    assert swapped is not None
    assert swapped == pytest.approx(np.eye(3)[[1, 0, 2]])
    unigram = mixture(training, noise("unigram", "1/2"))
    assert unigram is not None
    assert unigram == pytest.approx(0.5 * np.eye(3) + 0.5 * np.array([[0.1, 0.3, 0.6]] * 3))


def test_nothing_is_made_up() -> None:
    clean, even = drawn(1, 3), np.full(3, 10)
    assert consistency_floor(clean, even, even, noise("teacher", "1/2")) is None
    assert consistency_floor(clean, even, np.zeros(3, dtype=np.int64), noise("uniform_wrong", "1/2")) is None
    assert consistency_floor(clean, np.zeros(3, dtype=np.int64), even, noise("uniform_wrong", "1/2")) is None
    assert consistency_floor(clean, even, np.full(4, 10), noise("uniform_wrong", "1/2")) is None
    never = Noise("confusion", Fraction(1), (1, 1, 2))  # nothing is called 0
    assert consistency_floor(clean, even, even, never) is None
    assert consistency_floor(clean, np.array([0, 10, 10]), even, never) is not None
    without = clean.copy()
    without[1] = 0
    assert consistency_floor(without, even, even, noise("uniform_wrong", "1/2")) is None
    assert share_right(np.zeros((2, 2), dtype=np.int64)) is None


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(LAWS), st.integers(0, 10**6))
def test_the_error_is_that_of_counts_drawn_again(law: str, seed: int) -> None:
    n, each, times = 4, 60, 1500
    random = np.random.default_rng(seed)
    shares = drawn(seed, n, 10**6) / 10**6
    training, asked, at = random.integers(20, 50, n), np.full(n, each), noise(law, "2/5")
    again = [
        consistency_floor(np.array([random.multinomial(each, row) for row in shares]), asked, training, at)
        for _ in range(times)
    ]
    values = [one.value for one in again if one is not None]
    assert len(values) == times
    whole = consistency_floor((shares * each).round().astype(np.int64), asked, training, at)
    assert whole is not None
    # The deviation of 1,500 values is known within 1.8 %; five of these, and rounding of the counts.
    assert float(np.std(values, ddof=1)) == pytest.approx(whole.error, rel=0.12)
    assert math.isfinite(whole.error)
