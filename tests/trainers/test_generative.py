"""From losses under each label to the label's probability, at the ends of what float64 holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.metrics import generative, predictions


def test_bayes_rule_by_hand() -> None:
    """p(x | y) in 3 : 1 and p(y) in 1 : 4 make p(y | x) 3 : 4."""
    losses = np.array([[-math.log(3), 0.0]])
    found = generative.posterior(losses, np.log([0.2, 0.8]))
    np.testing.assert_allclose(np.exp(found), [[3 / 7, 4 / 7]], rtol=1e-14)


@given(st.integers(1, 6), st.integers(2, 9), st.floats(-1e6, 1e6), st.integers(0, 2**32 - 1))
def test_rows_sum_to_one_and_a_constant_says_nothing(count: int, classes: int, constant: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses, prior = rng.normal(size=(count, classes)) * 30, np.log(rng.dirichlet(np.ones(classes) * 5))
    found = generative.posterior(losses, prior)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(generative.posterior(losses + constant, prior), found, atol=1e-8)


def test_it_is_safe_at_the_ends() -> None:
    losses = np.array([[1e300, 0.0, 5.0], [0.0, 1e5, 2e5]])
    found = generative.posterior(losses, np.array([math.log(0.5), math.log(0.5), -math.inf]))
    assert found[:, 2].tolist() == [-math.inf] * 2  # a label that is never given
    assert found[0, 1] == 0.0
    assert found[1].tolist()[:2] == [0.0, -1e5]
    assert predictions.top1(found, np.array([1, 0])) == 1.0


@pytest.mark.parametrize(
    ("losses", "prior"),
    [
        (np.zeros(3), np.zeros(3)),
        (np.zeros((2, 3)), np.zeros(2)),
        (np.array([[math.nan, 0.0]]), np.zeros(2)),
        (np.array([[math.inf, 0.0]]), np.zeros(2)),
        (np.zeros((1, 2)), np.full(2, -math.inf)),
        (np.zeros((1, 2)), np.array([math.nan, 0.0])),
    ],
)
def test_what_is_no_distribution_is_refused(losses: np.ndarray, prior: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"losses of shape|every loss"):
        generative.posterior(losses, prior)
