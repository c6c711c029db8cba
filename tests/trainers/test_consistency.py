"""Confusions of generated images, and what is left once the label channel is inverted: by hand and by simulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.metrics import consistency
from trainers.noise.laws import NEXT_CLASS, UNIFORM_ALL, UNIFORM_WRONG
from trainers.spec import NoiseSpec

Matrix = npt.NDArray[np.float64]


def uniform_wrong(rate: float, classes: int) -> Matrix:
    return np.asarray((1 - rate) * np.eye(classes) + rate * (1 - np.eye(classes)) / (classes - 1))


def test_confusion_by_hand() -> None:
    requested, judged = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2])
    counts = consistency.confusion(requested, judged, 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert consistency.consistency(counts) == 4 / 6


def test_no_images_have_no_consistency() -> None:
    none = np.empty(0, dtype=np.int64)
    counts = consistency.confusion(none, none, 3)
    assert counts.tolist() == [[0] * 3] * 3
    assert consistency.consistency(counts) is None
    assert consistency.channel_inverted_consistency(counts, np.eye(3), np.ones(3, dtype=np.int64)) is None


def test_mixture_is_bayes_rule_by_counting() -> None:
    """Of 60 images of class 0 and 20 of class 1, a third flips: label 0 has 40 + 20/3, label 1 the rest."""
    channel = np.array([[2 / 3, 1 / 3], [1 / 3, 2 / 3]])
    mixed = consistency.mixture(channel, np.array([60, 20]))
    zero, one = 40 + 20 / 3, 20 + 40 / 3
    np.testing.assert_allclose(mixed, [[40 / zero, 20 / 3 / zero], [20 / one, 40 / 3 / one]], rtol=1e-14)


@given(st.integers(2, 8), st.floats(0, 0.4), st.integers(0, 2**32 - 1))
def test_exact_shares_give_the_diagonal_back(classes: int, rate: float, seed: int) -> None:
    """Counts of R = M D times a large number of images: D's diagonal comes back but for their rounding."""
    rng = np.random.default_rng(seed)
    counts_of = rng.integers(50, 200, classes)
    clean = rng.dirichlet(np.full(classes, 0.5), size=classes)
    channel = uniform_wrong(rate, classes)
    mixed = consistency.mixture(channel, counts_of)
    condition = np.linalg.cond(mixed)
    counts = np.rint(mixed @ clean * 1e12).astype(np.int64)
    found = consistency.channel_inverted_consistency(counts, channel, counts_of)
    if condition > 100:
        assert found is None
    else:
        assert found == pytest.approx(np.diagonal(clean).mean(), abs=1e-9)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_without_noise_it_is_the_consistency(classes: int, seed: int) -> None:
    counts = np.random.default_rng(seed).multinomial(40, np.full(classes, 1 / classes), size=classes)
    found = consistency.channel_inverted_consistency(counts, np.eye(classes), np.arange(1, classes + 1))
    assert found == pytest.approx(consistency.consistency(counts), abs=1e-14)


@pytest.mark.parametrize("law", [UNIFORM_WRONG, UNIFORM_ALL, NEXT_CLASS])
def test_mean_is_right_at_few_images(law: object) -> None:
    """200 draws of 500 images, a judge that is right on 95 %: the mean is 0.95 within three standard errors.

    The most likely confusion with rows in the simplex says 0.80 here (e = 0.5, uniform_wrong).
    """
    ratio = Fraction(1, 2) if law is NEXT_CLASS else Fraction(1)
    channel = law.channel(NoiseSpec(law=law.name, ratio=ratio), 10)  # type: ignore[attr-defined]
    assert channel is not None
    clean = np.full((10, 10), 0.05 / 9)
    np.fill_diagonal(clean, 0.95)
    equal = np.full(10, 100)
    shares = consistency.mixture(channel, equal) @ clean
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        counts = np.array([rng.multinomial(50, row) for row in shares])
        value = consistency.channel_inverted_consistency(counts, channel, equal)
        assert value is not None
        found.append(value)
    assert abs(np.mean(found) - 0.95) < 3 * np.std(found) / np.sqrt(200)
    assert np.std(found) < 0.06


def test_no_value_where_the_channel_tells_too_little() -> None:
    counts, equal = np.full((10, 10), 7), np.full(10, 100)
    assert consistency.channel_inverted_consistency(counts, None, equal) is None
    assert consistency.channel_inverted_consistency(counts, uniform_wrong(0.9, 10), equal) is None  # singular
    # The condition number is 1 / (1 - 10 e / 9): 90 at the first, 110 at the second.
    near, far = ((1 - 1 / condition) * 0.9 for condition in (90, 110))
    assert consistency.channel_inverted_consistency(counts, uniform_wrong(near, 10), equal) is not None
    assert consistency.channel_inverted_consistency(counts, uniform_wrong(far, 10), equal) is None


def test_no_value_where_a_class_is_missing() -> None:
    counts = np.eye(3, dtype=np.int64) * 5
    assert consistency.channel_inverted_consistency(counts, np.eye(3), np.array([4, 0, 4])) is None
    counts[1] = 0  # a label that no image was drawn for
    assert consistency.channel_inverted_consistency(counts, np.eye(3), np.array([4, 4, 4])) is None
