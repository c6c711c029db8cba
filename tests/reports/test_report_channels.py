"""Channel matrices: rows are distributions, whatever is unusable is None."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from fixtures.report_store import channel as by_hand

from reports.channels import argmax_threshold, channel, expected_wrong_rate, may_hit_truth, replacement


@pytest.mark.parametrize("law", ["uniform_wrong", "uniform_all", "next_class"])
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("rate", [Fraction(0), Fraction(1, 11), Fraction(1, 2), Fraction(9, 10)])
def test_channel_is_the_one_written_by_hand(law: str, classes: int, rate: Fraction) -> None:
    found = channel(law, rate, classes)
    assert found is not None
    np.testing.assert_allclose(found, by_hand(law, float(rate), classes), atol=1e-15)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-15)


def test_a_map_of_classes_and_one_of_weights() -> None:
    by_class = replacement("confusion", 3, (1, 2, 0))
    by_weight = replacement("confusion", 3, ((0.0, 4.0, 0.0), (0.0, 0.0, 0.5), (1.0, 0.0, 0.0)))
    np.testing.assert_array_equal(by_class, np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    np.testing.assert_array_equal(by_weight, by_class)


@pytest.mark.parametrize(
    "mapping",
    [
        None,
        (0, 1),
        (0, 1, 3),
        (0, -1, 2),
        (True, False, True),
        ("a", "b", "c"),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, -1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        ((float("nan"), 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        ((float("inf"), 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        ((10**400, 1, 0), (0, 1, 0), (0, 0, 1)),
        ((1.0,), (0.0, 1.0), (0.0, 0.0, 1.0)),
        (0.5, 0.5, 0.5),
    ],
)
def test_a_map_that_does_not_fit_has_no_channel(mapping: tuple[object, ...] | None) -> None:
    assert replacement("confusion", 3, mapping) is None
    assert argmax_threshold("confusion", 3, mapping) is None


def test_one_class_never_ties() -> None:
    assert argmax_threshold("confusion", 1, (0,)) == 1
    assert replacement("uniform_wrong", 1) is None


def test_the_threshold_of_a_map_is_that_of_its_worst_pair() -> None:
    # Class 0 goes to 1 with 3/4 and stays with 1/4: 1 - e + e/4 = 3e/4 at e = 2/3. Class 1 always goes to 0: at 1/2.
    assert argmax_threshold("confusion", 2, ((0.25, 0.75), (0.0, 1.0))) == Fraction(2, 3)
    assert argmax_threshold("confusion", 2, ((0.25, 0.75), (1.0, 0.0))) == Fraction(1, 2)


def test_the_threshold_of_a_large_map_is_found_at_once() -> None:
    classes = 400
    mapping = tuple((k + 1) % classes for k in range(classes))
    assert argmax_threshold("confusion", classes, mapping) == Fraction(1, 2)


def test_an_unknown_law_has_none() -> None:
    assert channel("unigram", Fraction(1, 2), 3) is None


HALF = Fraction(1, 2)
FIXED = (0, 1, 3, 2)  # of four classes two stay


@pytest.mark.parametrize(
    ("law", "mapping", "hits"),
    [
        ("uniform_wrong", None, False),
        ("next_class", None, False),
        ("uniform_all", None, True),
        ("confusion", (1, 0), False),
        ("confusion", FIXED, True),
        ("confusion", ((0.5, 0.5), (1.0, 0.0)), True),
        ("unigram", None, True),
    ],
)
def test_whether_a_redraw_may_hit_the_truth(law: str, mapping: tuple[object, ...] | None, hits: bool) -> None:
    assert may_hit_truth(law, mapping) is hits


def test_the_expected_wrong_rate_follows_the_channel_and_the_labels() -> None:
    assert expected_wrong_rate("uniform_wrong", HALF, None) == 0.5
    assert expected_wrong_rate("uniform_all", HALF, 10) == pytest.approx(0.5 * 9 / 10)
    assert expected_wrong_rate("uniform_all", HALF, None) is None
    assert expected_wrong_rate("unigram", HALF, 10) is None
    assert expected_wrong_rate("confusion", HALF, 4, FIXED) == pytest.approx(0.25)
    # One of eight labels is of a class that moves.
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 3])
    assert expected_wrong_rate("confusion", HALF, 4, FIXED, labels) == pytest.approx(0.5 / 8)
    # A row that keeps 3/4 of class 0: 5 of 8 labels are of it.
    rows = ((3.0, 1.0), (1.0, 0.0))
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    assert expected_wrong_rate("confusion", HALF, 2, rows, labels) == pytest.approx(0.5 * (5 / 8 * 1 / 4 + 3 / 8))
