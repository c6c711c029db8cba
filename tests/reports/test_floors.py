"""Floors against the same quantities from whole probability vectors and channel matrices."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from fixtures.report_store import channel
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import floors

LAWS = ("uniform_wrong", "uniform_all", "next_class")


def predictions(seed: int, classes: int, examples: int = 40) -> tuple[np.ndarray, np.ndarray, floors.Clean]:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(classes, 0.5), size=examples)
    truth = random.integers(classes, size=examples)
    rows = np.arange(examples)
    return p, truth, floors.Clean(classes, truth, p[rows, truth], p[rows, (truth - 1) % classes])


@settings(max_examples=150)
@given(
    st.sampled_from(LAWS), st.integers(2, 12), st.fractions(0, Fraction(49, 50), max_denominator=50),
    st.integers(0, 999),
)  # fmt: skip
def test_floors_are_those_of_the_whole_channel(law: str, classes: int, rate: Fraction, seed: int) -> None:
    p, truth, clean = predictions(seed, classes)
    ideal = p @ channel(law, float(rate), classes)
    true = ideal[np.arange(len(truth)), truth]
    noise = floors.Noise(law, rate)
    assert floors.nll_floor(clean, noise) == pytest.approx(float(np.mean(-np.log(true))), rel=1e-9, abs=1e-12)
    assert floors.sampled_floor(clean, noise) == pytest.approx(float(true.mean()), rel=1e-9)


@settings(max_examples=100)
@given(
    st.sampled_from(LAWS), st.integers(2, 12), st.fractions(0, Fraction(9, 10), max_denominator=50), st.integers(0, 99)
)
def test_the_bound_is_never_below_the_floor(law: str, classes: int, rate: Fraction, seed: int) -> None:
    p, truth, clean = predictions(seed, classes)
    clean_nll = float(np.mean(-np.log(p[np.arange(len(truth)), truth])))
    floor = floors.nll_floor(clean, floors.Noise(law, rate))
    assert floor is not None
    assert floor <= floors.nll_bound(clean_nll, rate) + 1e-9


@settings(max_examples=100)
@given(
    st.sampled_from(("uniform_wrong", "uniform_all")), st.integers(2, 12),
    st.fractions(0, Fraction(9, 10), max_denominator=50), st.integers(0, 99),
)  # fmt: skip
def test_the_accuracy_alone_suffices_for_uniform_laws(law: str, classes: int, rate: Fraction, seed: int) -> None:
    _, _, clean = predictions(seed, classes)
    noise = floors.Noise(law, rate)
    from_accuracy = floors.sampled_floor_from_accuracy(float(clean.truth.mean()), noise, classes)
    assert from_accuracy == pytest.approx(floors.sampled_floor(clean, noise), rel=1e-9)


@settings(max_examples=100)
@given(
    st.sampled_from((*LAWS, "swap")), st.integers(2, 12), st.fractions(0, Fraction(49, 50), max_denominator=50),
    st.integers(0, 999),
)  # fmt: skip
def test_the_floor_of_top1_is_the_share_of_right_argmaxes(law: str, classes: int, rate: Fraction, seed: int) -> None:
    p, truth, clean = predictions(seed, classes)
    matrix = channel("uniform_all" if law == "swap" else law, float(rate), classes)
    mapping = None
    if law == "swap":  # classes 0 and 1 change places, all others stay
        mapping = (1, 0, *range(2, classes))
        matrix = np.eye(classes)
        matrix[0, 0] = matrix[1, 1] = 1 - float(rate)
        matrix[0, 1] = matrix[1, 0] = float(rate)
    noise = floors.Noise("confusion" if mapping else law, rate, mapping)
    right, level = 0, 0
    for row, label in zip(p, truth, strict=True):
        ideal = [sum(row[k] * matrix[k, y] for k in range(classes)) for y in range(classes)]
        first, second = sorted(ideal, reverse=True)[:2]
        right += int(np.argmax(ideal)) == label
        level += first - second < 1e-12
    kept = floors.Clean(classes, truth, clean.truth, clean.previous, p)
    found = floors.top1_floor(kept, noise)
    assert found is not None
    assert abs(found - right / len(truth)) <= level / len(truth) + 1e-12
    assert floors.top1_floor(clean, noise) is None


def test_a_swap_of_two_classes_loses_these_two_only() -> None:
    """Certain predictions, e = 3/5: of ten classes that come equally often, the two that change places are lost."""
    truth = np.arange(10)
    p = np.eye(10)
    clean = floors.Clean(10, truth, p[truth, truth], p[truth, truth - 1], p)
    swapped = floors.Noise("confusion", Fraction(3, 5), (0, 1, 2, 5, 4, 3, 6, 7, 8, 9))
    assert floors.argmax_state(swapped, 10) == "lost"
    assert floors.top1_floor(clean, swapped) == pytest.approx(0.8)


def test_an_uncertain_prediction_may_lose_its_argmax_below_the_threshold() -> None:
    """p = (0.5, 0.1, 0.4) of truth 0 under next_class at e = 0.4: T'p = (0.46, 0.26, 0.28), kept; (0.4, 0.35, 0.25)
    of truth 0 gives (0.34, 0.37, 0.29): the next class wins.
    """
    p = np.array([[0.5, 0.1, 0.4], [0.4, 0.35, 0.25]])
    clean = floors.Clean(3, np.array([0, 0]), p[:, 0], p[:, 2], p)
    noise = floors.Noise("next_class", Fraction(2, 5))
    assert floors.argmax_state(noise, 3) == "kept"
    assert floors.top1_floor(clean, noise) == 0.5


def test_the_accuracy_alone_does_not_suffice_for_other_laws() -> None:
    assert floors.sampled_floor_from_accuracy(0.9, floors.Noise("next_class", Fraction(1, 4)), 10) is None


def test_published_form_of_the_floor_of_one_sample() -> None:
    # Protocols, section 12: consistency <= (1 - e) c + e (1 - c) / (n - 1); at c = 0.941, e = 1/2, n = 10.
    floor = floors.sampled_floor_from_accuracy(0.941, floors.Noise("uniform_wrong", Fraction(1, 2)), 10)
    assert floor == pytest.approx(0.5 * 0.941 + 0.5 * 0.059 / 9)


def test_published_language_model_bound() -> None:
    # derived.csv of the paper's facts: 2.87 nats clean, e = 1/3 gives 3.2755.
    assert floors.nll_bound(2.87, Fraction(1, 3)) == pytest.approx(3.2755, abs=5e-5)


@pytest.mark.parametrize("law", LAWS)
def test_without_noise_the_floor_is_the_clean_value(law: str) -> None:
    _, _, clean = predictions(3, 5)
    noise = floors.Noise(law, Fraction(0))
    assert floors.nll_floor(clean, noise) == pytest.approx(float(np.mean(-np.log(clean.truth))))
    assert floors.sampled_floor(clean, noise) == pytest.approx(float(clean.truth.mean()))
    assert floors.argmax_state(noise, 5) == "kept"


@pytest.mark.parametrize("mapping", [(2, 0, 1), (1, 0, 2), ((0.0, 3.0, 1.0), (1.0, 1.0, 1.0), (0.0, 1.0, 0.0))])
def test_confusion_takes_any_map_where_all_probabilities_were_kept(mapping: tuple[object, ...]) -> None:
    p, truth, plain = predictions(5, 3)
    rows = [np.eye(3)[row] if isinstance(row, int) else np.array(row) / np.sum(row) for row in mapping]
    moved = (p @ np.array(rows))[np.arange(len(truth)), truth]
    noise = floors.Noise("confusion", Fraction(1, 4), mapping)
    kept = floors.Clean(3, truth, plain.truth, plain.previous, p)
    assert floors.nll_floor(kept, noise) == pytest.approx(float(np.mean(-np.log(0.75 * plain.truth + 0.25 * moved))))
    assert floors.sampled_floor(kept, noise) == pytest.approx(float(np.mean(0.75 * plain.truth + 0.25 * moved)))
    assert floors.nll_floor(plain, noise) is None


def test_a_map_that_spells_out_a_named_law_needs_no_mass_of_its_own() -> None:
    _, _, clean = predictions(6, 4)
    spelt = floors.Noise("confusion", Fraction(1, 3), (1, 2, 3, 0))
    assert floors.nll_floor(clean, spelt) == floors.nll_floor(clean, floors.Noise("next_class", Fraction(1, 3)))
    rows = tuple(tuple(0.0 if k == y else 2.0 for y in range(4)) for k in range(4))
    spelt = floors.Noise("confusion", Fraction(1, 3), rows)
    assert floors.nll_floor(clean, spelt) == floors.nll_floor(clean, floors.Noise("uniform_wrong", Fraction(1, 3)))


def test_a_probability_that_underflowed_leaves_no_exact_floor() -> None:
    clean = floors.Clean(3, np.array([0, 1]), np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    assert floors.nll_floor(clean, floors.Noise("next_class", Fraction(1, 2))) is None
    assert floors.nll_floor(clean, floors.Noise("uniform_all", Fraction(1, 2))) == pytest.approx(
        (-math.log(1 / 6) - math.log(1 / 2 + 1 / 6)) / 2
    )


def test_an_unknown_law_has_no_floor() -> None:
    _, _, clean = predictions(1, 3)
    noise = floors.Noise("unigram", Fraction(1, 2))
    assert floors.nll_floor(clean, noise) is None
    assert floors.sampled_floor(clean, noise) is None
    assert floors.argmax_state(noise, 3) == "unknown"


@pytest.mark.parametrize(
    ("law", "rate", "mapping", "state"),
    [
        ("uniform_wrong", "1/2", None, "kept"),
        ("uniform_wrong", "89/100", None, "kept"),
        ("uniform_wrong", "9/10", None, "tie"),
        ("uniform_wrong", "91/100", None, "lost"),
        ("uniform_all", "99/100", None, "kept"),
        ("next_class", "499/1000", None, "kept"),
        ("next_class", "1/2", None, "tie"),
        ("next_class", "501/1000", None, "lost"),
        ("confusion", "1/2", tuple((k + 3) % 10 for k in range(10)), "tie"),
        ("confusion", "99/100", tuple(range(10)), "kept"),
        ("confusion", "9/10", tuple(tuple(float(k != y) for y in range(10)) for k in range(10)), "tie"),
    ],
)
def test_argmax_at_and_about_the_threshold(law: str, rate: str, mapping: tuple[object, ...] | None, state: str) -> None:
    assert floors.argmax_state(floors.Noise(law, Fraction(rate), mapping), 10) == state


@settings(max_examples=80)
@given(st.sampled_from(LAWS), st.integers(3, 12), st.fractions(0, Fraction(98, 100), max_denominator=60))
def test_argmax_state_agrees_with_the_channel(law: str, classes: int, rate: Fraction) -> None:
    matrix = channel(law, float(rate), classes)
    gaps = [matrix[k, k] - max(matrix[k, j] for j in range(classes) if j != k) for k in range(classes)]
    expected = "tie" if min(abs(gap) for gap in gaps) < 1e-12 else "kept" if min(gaps) > 0 else "lost"
    assert floors.argmax_state(floors.Noise(law, rate), classes) == expected
