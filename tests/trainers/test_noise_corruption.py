"""Noise on a run's targets: what keys it, that it is nested, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.errors import SpecError
from trainers.noise.corruption import corruption
from trainers.spec import NoiseSpec
from trainers.streams import order, words

CLASSES = 10
TRUTH = np.arange(500, dtype=np.int64) * 7 % CLASSES
Refresh = Literal["fresh", "frozen"]
refreshes = pytest.mark.parametrize("refresh", ["fresh", "frozen"])
laws = pytest.mark.parametrize("law", ["uniform_wrong", "uniform_all", "next_class", "confusion"])
repeatable = settings(derandomize=True, deadline=None, max_examples=40, database=None)


def noise(ratio: Fraction, refresh: Refresh, law: str = "uniform_wrong") -> NoiseSpec:
    mapping = tuple((target + 3) % CLASSES for target in range(CLASSES)) if law == "confusion" else None
    return NoiseSpec(law=law, ratio=ratio, refresh=refresh, map=mapping)


def epoch(spec: NoiseSpec, number: int = 0, seed: int = 0) -> npt.NDArray[np.int64]:
    """Targets of the examples 0 to N - 1, in that order, as met in one epoch of the run's own order."""
    start = number * len(TRUTH)
    examples = order(seed, start, len(TRUTH), len(TRUTH))
    targets = np.empty_like(TRUTH)
    targets[examples] = corruption(spec, CLASSES, seed, TRUTH).targets(examples, start)
    return targets


@refreshes
@laws
def test_ratio_0_is_the_truth(refresh: Refresh, law: str) -> None:
    np.testing.assert_array_equal(epoch(noise(Fraction(0), refresh, law)), TRUTH)


@refreshes
@laws
@repeatable
@given(st.integers(0, 1000), st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_targets_do_not_depend_on_how_a_stream_is_cut(
    refresh: Refresh, law: str, start: int, counts: list[int], seed: int
) -> None:
    run = corruption(noise(Fraction(1), refresh, law), CLASSES, seed, TRUTH)
    examples = order(seed, start, sum(counts), len(TRUTH))
    whole = run.targets(examples, start)
    assert whole.dtype == np.int64
    at, parts = 0, []
    for count in counts:
        parts.append(run.targets(examples[at : at + count], start + at))
        at += count
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@refreshes
@laws
def test_nested_over_the_ratio(refresh: Refresh, law: str) -> None:
    found = [epoch(noise(Fraction(ratio), refresh, law)) for ratio in ("0", "1/10", "3/10", "1/2", "1", "9")]
    for few, many in pairwise(found):
        wrong = few != TRUTH
        assert (many != TRUTH).sum() > wrong.sum()
        np.testing.assert_array_equal(many[wrong], few[wrong])


def test_frozen_noise_stays_with_its_example() -> None:
    spec = noise(Fraction(1), "frozen")
    np.testing.assert_array_equal(epoch(spec, 0), epoch(spec, 5))
    run = corruption(spec, CLASSES, 0, TRUTH)
    np.testing.assert_array_equal(run.targets(np.array([3, 3, 3]), 10**6), run.targets(np.array([3]), 0).repeat(3))


def test_fresh_noise_is_redrawn_at_each_access() -> None:
    spec = noise(Fraction(1), "fresh")
    wrong = [epoch(spec, number) != TRUTH for number in (0, 1)]
    both = (wrong[0] & wrong[1]).sum()
    # Independent halves of N = 500: both wrong in N/4 of the cases, within 5 sigma of the binomial.
    assert abs(both - 125) < 5 * np.sqrt(500 * 3 / 16)


def test_fresh_noise_is_keyed_by_position_and_frozen_by_example() -> None:
    from trainers.noise.laws import UNIFORM_WRONG

    fresh, frozen = noise(Fraction(1), "fresh"), noise(Fraction(1), "frozen")
    examples = np.array([40, 7, 7, 499])
    expected = UNIFORM_WRONG.corrupt(TRUTH[examples], words(5, "noise", 1234, 4), fresh, CLASSES)
    np.testing.assert_array_equal(corruption(fresh, CLASSES, 5, TRUTH).targets(examples, 1234), expected)
    table = UNIFORM_WRONG.corrupt(TRUTH, words(5, "noise", 0, len(TRUTH)), frozen, CLASSES)
    np.testing.assert_array_equal(corruption(frozen, CLASSES, 5, TRUTH).targets(examples, 1234), table[examples])


@refreshes
def test_seeds_differ(refresh: Refresh) -> None:
    spec = noise(Fraction(1), refresh)
    first, second = (corruption(spec, CLASSES, seed, TRUTH).targets(np.arange(500), 0) for seed in (0, 1))
    assert (first != second).mean() > 0.5


@refreshes
@laws
def test_wrong_at_the_rate(refresh: Refresh, law: str) -> None:
    truth = np.tile(np.arange(CLASSES), 4000)
    spec = noise(Fraction(1, 2), refresh, law)
    e = float(spec.rate) * ((CLASSES - 1) / CLASSES if law == "uniform_all" else 1)
    wrong = corruption(spec, CLASSES, 3, truth).targets(np.arange(len(truth)), 77) != truth
    assert abs(wrong.mean() - e) < 5 * np.sqrt(e * (1 - e) / len(truth))


@refreshes
@pytest.mark.parametrize("ratio", [Fraction(0), Fraction(1)])
def test_later_changes_of_the_callers_labels_do_not_matter(refresh: Refresh, ratio: Fraction) -> None:
    labels = TRUTH.copy()
    run = corruption(noise(ratio, refresh), CLASSES, 0, labels)
    before = run.targets(np.arange(500), 0)
    labels[:] = 0
    after = run.targets(np.arange(500), 0)
    np.testing.assert_array_equal(before, after)
    after[:] = 0  # what is handed out is the caller's
    np.testing.assert_array_equal(run.targets(np.arange(500), 0), before)


def test_a_clean_run_asks_for_no_law() -> None:
    one_class = np.zeros(4, dtype=np.int64)
    np.testing.assert_array_equal(corruption(NoiseSpec(), 1, 0, one_class).targets(np.arange(4), 0), one_class)


def test_the_law_is_checked_first() -> None:
    with pytest.raises(SpecError, match="at least 2 classes"):
        corruption(noise(Fraction(1), "fresh"), 1, 0, np.zeros(4, dtype=np.int64))
    with pytest.raises(SpecError, match=r"unknown noise law 'uniform_worng' \(did you mean 'uniform_wrong'\?\)"):
        corruption(NoiseSpec(law="uniform_worng", ratio=Fraction(1)), CLASSES, 0, TRUTH)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.array([0, 10]), "from 0 to 10; 0 to 9 is allowed"),
        (np.array([-1, 3]), "from -1 to 3; 0 to 9 is allowed"),
        (np.array([0.0, 1.0]), "float64 of shape"),
        (np.zeros((2, 2), dtype=np.int64), r"of shape \(2, 2\)"),
    ],
)
def test_labels_that_are_no_classes_are_refused(truth: npt.NDArray[np.int64], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        corruption(noise(Fraction(1), "fresh"), CLASSES, 0, truth)
