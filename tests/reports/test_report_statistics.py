"""Means and intervals against SciPy's own and against Wilson's published example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics import Estimate, estimate, normal_half, standard_error, wilson


@settings(max_examples=100)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=12))
def test_interval_is_students(values: list[float]) -> None:
    found = estimate(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    assert found.low is not None
    assert found.high is not None
    assert found.low == pytest.approx(np.mean(values) - reach, abs=1e-8)
    assert found.high == pytest.approx(np.mean(values) + reach, abs=1e-8)


def test_no_interval_below_three_seeds() -> None:
    assert estimate([]) == Estimate(0, None, None, None)
    assert estimate([0.5]) == Estimate(1, 0.5, None, None)
    assert estimate([0.5, 1.5]) == Estimate(2, 1.0, None, None)


def test_the_order_of_seeds_changes_no_bit() -> None:
    values = [0.1, 0.7, 1e-9, 3.3, -2.2]
    assert estimate(values) == estimate(values[::-1])


def test_wilson_agrees_with_scipy() -> None:
    for right, trials in ((0, 10), (1, 10), (352, 360), (10, 10)):
        low, high = wilson(right / trials, trials)
        expected = stats.binomtest(right, trials).proportion_ci(method="wilson")
        assert low == pytest.approx(expected.low, abs=1e-12)
        assert high == pytest.approx(expected.high, abs=1e-12)


@pytest.mark.parametrize(("share", "trials"), [(1.1, 10), (-0.1, 10), (0.5, 0), (math.nan, 5)])
def test_wilson_refuses_what_is_no_share(share: float, trials: int) -> None:
    with pytest.raises(ValueError, match="a share in"):
        wilson(share, trials)


def test_equal_seeds_have_an_interval_without_width() -> None:
    # 0.1 three times adds up to 0.30000000000000004, a third of which is not 0.1.
    assert estimate([0.1] * 3) == Estimate(3, 0.1, 0.1, 0.1)


def test_the_error_over_examples_is_scipys() -> None:
    values = np.random.default_rng(3).normal(size=50)
    assert standard_error(values) == pytest.approx(float(stats.sem(values)))
    assert standard_error(values[:1]) is None
    assert normal_half([0.1, 0.3]) == pytest.approx(1.959964 * 0.2, rel=1e-6)
    assert normal_half([]) is None
