"""Metrics on clean labels: by hand, against SciPy, and the inverted channel against its own conditions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from trainers.metrics import inversion, predictions
from trainers.noise.laws import CONFUSION, NEXT_CLASS, UNIFORM_ALL, UNIFORM_WRONG
from trainers.spec import NoiseSpec

Matrix = npt.NDArray[np.float64]


def drawn(seed: int, count: int, classes: int, spread: float) -> Matrix:
    """Predictions [count, classes] whose logits have a standard deviation of ``spread``."""
    logits = np.random.default_rng(seed).normal(size=(count, classes)) * spread
    return np.asarray(np.exp(log_softmax(logits, axis=1)))


def mixed_channel(seed: int, classes: int, rate: float) -> Matrix:
    """T = (1 - e) I + e W with rows of W drawn at random."""
    weights = np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), size=classes)
    return np.asarray((1 - rate) * np.eye(classes) + rate * weights)


def divergence(q: Matrix, p: Matrix, channel: Matrix) -> Matrix:
    """KL(q || T^T p) of each row, nats."""
    return np.asarray((q * (np.log(q) - np.log(p @ channel))).sum(axis=1))


# -- predictions


def test_by_hand() -> None:
    log_p = np.log(np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.25, 0.25, 0.5], [0.4, 0.4, 0.2]]))
    labels = np.array([0, 1, 2, 1])
    assert predictions.top1(log_p, labels) == 0.5  # of two equal classes the first is predicted
    assert predictions.nll(log_p, labels) == pytest.approx(-math.log(0.7 * 0.3 * 0.5 * 0.4) / 4)
    assert predictions.sampled_accuracy(log_p, labels) == pytest.approx((0.7 + 0.3 + 0.5 + 0.4) / 4)
    assert predictions.predicted(log_p).tolist() == [0, 0, 2, 0]


def test_log_probabilities_are_scipys_and_in_float64() -> None:
    logits = (np.random.default_rng(0).normal(size=(20, 7)) * 300).astype(np.float32)
    logits[0] = [3e38, 0, 0, 0, 0, 0, -3e38]  # the largest and smallest that float32 holds
    found = predictions.log_probabilities(logits)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, log_softmax(logits.astype(np.float64), axis=1), rtol=1e-13)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("metric", [predictions.top1, predictions.nll, predictions.sampled_accuracy])
@pytest.mark.parametrize(
    ("shape", "labels"), [((0, 3), []), ((2, 3), [0]), ((2, 3), [0, 3]), ((2, 3), [-1, 0]), ((3,), [0, 1, 2])]
)
def test_labels_that_do_not_fit_are_refused(metric, shape, labels) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"labels"):
        metric(np.zeros(shape), np.array(labels, dtype=np.int64))


# -- inversion


@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 12),
    spread=st.floats(0.01, 40),
    rate=st.floats(0.01, 0.8),
    law=st.sampled_from(["uniform", "next", "mixed"]),
)
def test_every_solution_meets_the_conditions_of_a_minimum(
    seed: int, classes: int, spread: float, rate: float, law: str
) -> None:
    """Karush-Kuhn-Tucker: p in the simplex, g <= 1 everywhere and p (1 - g) = 0; F is convex, so that is all."""
    eye = np.eye(classes)
    channel = {
        "uniform": (1 - rate) * eye + rate * (1 - eye) / (classes - 1),
        "next": (1 - rate) * eye + rate * np.roll(eye, 1, axis=1),
        "mixed": mixed_channel(seed, classes, rate),
    }[law]
    if np.linalg.cond(channel) > inversion.LARGEST_CONDITION:
        return
    q = drawn(seed, 30, classes, spread)
    found = inversion.invert(q, channel)
    assert (found.p >= 0).all()
    np.testing.assert_allclose(found.p.sum(axis=1), 1, rtol=1e-12)
    floored = np.maximum(q, inversion.FLOOR)
    g = (floored / floored.sum(axis=1, keepdims=True) / (found.p @ channel)) @ channel.T
    assert g.max() <= 1 + 2e-10
    assert np.abs(found.p * (1 - g)).max() <= 1e-8
    inside = np.linalg.solve(channel.T, q.T).T.min(axis=1) >= 0
    assert not found.boundary[inside].any()


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 12), spread=st.floats(0.01, 5), rate=st.floats(0.0, 0.45))
def test_what_went_through_the_channel_comes_back(seed: int, classes: int, spread: float, rate: float) -> None:
    channel = mixed_channel(seed, classes, rate)
    if np.linalg.cond(channel) > inversion.LARGEST_CONDITION:
        return
    p = drawn(seed, 30, classes, spread)
    found = inversion.invert(p @ channel, channel)
    np.testing.assert_allclose(found.p, p, atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_no_other_point_is_nearer_than_ours(seed: int) -> None:
    """SciPy's constrained minimiser finds the same point, from the divergence itself."""
    classes = 2 + seed % 4
    channel = mixed_channel(seed, classes, 0.3 + 0.05 * seed)
    q = drawn(seed, 6, classes, 2.5)
    found = inversion.invert(q, channel)
    assert found.boundary.any()
    for row in range(len(q)):

        def objective(p: Matrix, target: Matrix = q[row]) -> float:
            return float(divergence(target[None], np.maximum(p, 1e-300)[None], channel)[0])

        best = minimize(
            objective,
            np.full(classes, 1 / classes),
            method="SLSQP",
            bounds=[(0, 1)] * classes,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert objective(found.p[row]) <= best.fun + 1e-10
        np.testing.assert_allclose(found.p[row], best.x, atol=2e-5)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_closed_form_of_the_uniform_laws_is_the_solvers(classes: int, spread: float) -> None:
    noise = NoiseSpec.model_validate({"ratio": 1})
    for law in (UNIFORM_WRONG, UNIFORM_ALL):
        channel = law.channel(noise, classes)
        if np.linalg.cond(channel) > inversion.LARGEST_CONDITION:
            continue
        q = np.maximum(drawn(5, 15, classes, spread), inversion.FLOOR)
        parts = inversion._uniform_parts(channel)
        assert parts is not None
        outside = np.linalg.solve(channel.T, q.T).T.min(axis=1) < 0
        found = inversion._water_filling(q[outside], *parts)
        np.testing.assert_allclose(found, inversion._interior_point(q[outside], channel), atol=1e-6)


def test_without_noise_inversion_changes_nothing_but_the_mixing() -> None:
    q, labels = drawn(1, 50, 10, 3.0), np.arange(50) % 10
    value, share = inversion.channel_inverted_nll(q, labels, UNIFORM_WRONG.channel(NoiseSpec(), 10))
    p = q[np.arange(50), labels]
    assert value == pytest.approx(-np.log(0.999 * p + 0.0001).mean(), rel=1e-9)
    assert share == 0


def test_of_a_perfect_model_of_the_noise_the_truth_is_left() -> None:
    """q = T^T onehot(y): the inverted prediction is certain, and costs the 1e-3 that is mixed in."""
    noise = NoiseSpec.model_validate({"law": "confusion", "ratio": 0.5, "map": [1, 0, 2, 4, 3]})
    channel = CONFUSION.channel(noise, 5)
    labels = np.arange(5)
    value, _ = inversion.channel_inverted_nll(channel[labels], labels, channel)
    assert value == pytest.approx(-math.log(0.999 + 0.001 / 5), rel=1e-6)


def test_a_class_that_is_ruled_out_costs_a_finite_amount() -> None:
    channel = UNIFORM_WRONG.channel(NoiseSpec.model_validate({"ratio": 1}), 10)
    q = np.full((1, 10), 1e-9)
    q[0, 0] = 1 - 9e-9  # surer than any model of this noise could be
    value, share = inversion.channel_inverted_nll(q, np.array([3]), channel)
    assert value == pytest.approx(-math.log(1e-4), rel=1e-6)
    assert share == 1


@pytest.mark.parametrize(
    ("law", "rate", "exists"),
    [
        (UNIFORM_WRONG, "0.8", True),  # (1 - 0.8 x 10/9) = 1/9: a condition of 9
        (UNIFORM_WRONG, "0.9", False),  # the channel tells nothing
        (UNIFORM_WRONG, "0.95", True),  # beyond it, what a class is not is told
        (NEXT_CLASS, "0.4", True),
        (NEXT_CLASS, "0.495", False),  # 1 / (1 - 2 x 0.495) = 100, and a little more
        (NEXT_CLASS, "0.5", False),
        (NEXT_CLASS, "0.6", True),
    ],
)
def test_no_value_where_the_channel_is_ill_conditioned(law, rate, exists) -> None:  # type: ignore[no-untyped-def]
    channel = law.channel(NoiseSpec.model_validate({"law": law.name, "rate": rate}), 10)
    value, share = inversion.channel_inverted_nll(drawn(2, 20, 10, 2.0), np.arange(20) % 10, channel)
    assert (value is not None) == (share is not None) == exists


def test_no_value_for_a_law_without_a_channel() -> None:
    assert inversion.channel_inverted_nll(drawn(0, 4, 3, 1.0), np.zeros(4, np.int64), None) == (None, None)


def test_many_classes_and_examples_are_solved_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    channel, q = mixed_channel(3, 6, 0.5), drawn(3, 40, 6, 3.0)
    whole = inversion.invert(q, channel)
    monkeypatch.setattr(inversion, "NUMBERS_AT_ONCE", 7 * channel.size)
    np.testing.assert_allclose(inversion.invert(q, channel).p, whole.p, atol=1e-9)


def test_a_solution_that_misses_its_minimum_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "MOST_STEPS", 1)
    with pytest.raises(ArithmeticError, match="missed its minimum"):
        inversion.invert(drawn(3, 40, 6, 3.0), mixed_channel(3, 6, 0.5))
