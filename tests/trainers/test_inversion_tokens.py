"""The inverted channel of a vocabulary: against the solver of few classes, its own conditions, and by hand."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.metrics import inversion, maps, tokens
from trainers.metrics.tokens import inverter
from trainers.noise.channel import Channel, Dense, Mapped, RankOne, Uniform

repeatable = settings(derandomize=True, deadline=None, max_examples=40, database=None)
Matrix = npt.NDArray[np.float64]
rates = st.sampled_from([0.05, 1 / 11, 1 / 3, 0.5, 0.6, 0.8])


def drawn(seed: int, count: int, classes: int, spread: float) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Predictions [count, classes], the wider the spread the more certain, and a truth for each."""
    generator = np.random.default_rng(seed)
    p = np.exp(spread * generator.normal(size=(count, classes)))
    return p / p.sum(axis=1, keepdims=True), generator.integers(0, classes, count)


def inverted(channel: Channel, q: Matrix, truth: npt.NDArray[np.int64]) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    found = inverter(channel)
    assert found is not None
    p, boundary = found(torch.from_numpy(q).log(), torch.from_numpy(truth))
    assert (p.dtype, boundary.dtype) == (torch.float64, torch.bool)
    return p.numpy(), boundary.numpy()


def agrees(channel: Channel, q: Matrix, truth: npt.NDArray[np.int64], tolerance: float) -> None:
    """With ``inversion.invert``, to ``tolerance`` in p(truth); no value where that has none."""
    matrix = channel.dense()
    if np.linalg.cond(matrix) > inversion.LARGEST_CONDITION:
        assert inverter(channel) is None
        return
    due = inversion.invert(q, matrix)
    p, boundary = inverted(channel, q, truth)
    n = channel.classes
    np.testing.assert_allclose(p, 0.999 * due.p[np.arange(len(q)), truth] + 0.001 / n, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(boundary, due.boundary)


@repeatable
@given(st.integers(0, 999), st.integers(2, 30), st.sampled_from([0.2, 1.0, 3.0, 8.0]), rates)
def test_uniform_is_the_closed_form(seed: int, classes: int, spread: float, e: float) -> None:
    q, truth = drawn(seed, 20, classes, spread)
    agrees(Uniform(classes, 1 - e, e / classes), q, truth, 1e-9)
    b = e / (classes - 1)
    agrees(Uniform(classes, 1 - e - b, b), q, truth, 1e-9)


@repeatable
@given(st.integers(0, 999), st.integers(2, 12), st.sampled_from([0.2, 1.0, 3.0]), rates)
def test_rank_one_is_the_solvers_minimum(seed: int, classes: int, spread: float, e: float) -> None:
    q, truth = drawn(seed, 20, classes, spread)
    u = drawn(seed + 1, 1, classes, 1.5)[0][0]
    u[seed % classes] = 0  # a token that training never has
    agrees(RankOne(e, u / u.sum()), q, truth, 1e-6)


@repeatable
@given(st.data(), st.integers(0, 999), st.sampled_from([0.2, 1.0, 3.0]), rates)
def test_maps_are_the_solvers_minimum(data: st.DataObject, seed: int, spread: float, e: float) -> None:
    """Any map: cycles of any length, tokens that map to themselves, many that map to one."""
    n = data.draw(st.integers(2, 12))
    target = data.draw(st.permutations(range(n)) | st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    q, truth = drawn(seed, 20, n, spread)
    agrees(Mapped(e, np.array(target, dtype=np.int64)), q, truth, 1e-6)


@pytest.mark.parametrize("e", [1 / 11, 1 / 3, 0.75])
@pytest.mark.parametrize("kind", ["next", "hub", "random"])
def test_a_token_needs_those_around_it_only(e: float, kind: str) -> None:
    """150 tokens, of which the cycle's are more than the radius reaches: as the whole."""
    n = 150
    generator = np.random.default_rng(5)
    target = {
        "next": (np.arange(n) + 1) % n,
        "hub": np.where(np.arange(n) < 40, (np.arange(n) + 1) % n, generator.integers(0, 4, n)),
        "random": generator.integers(0, n, n),
    }[kind]
    q, truth = drawn(7, 6, n, 2.0)
    agrees(Mapped(e, target), q, truth, 1e-6)
    if kind == "next":
        around = maps.MapInversion(Mapped(e, target)).around(3)
        assert len(around.nodes) < n
        assert around.nodes[around.itself] == 3


def test_channel_applied_and_inverted_is_the_prediction() -> None:
    p, truth = drawn(1, 50, 20, 1.0)
    for channel in (
        Uniform(20, 0.6, 0.02),
        RankOne(0.4, drawn(2, 1, 20, 1.0)[0][0]),
        Mapped(0.4, np.random.default_rng(0).integers(0, 20, 20)),
        Dense(0.6 * np.eye(20) + 0.4 * drawn(3, 20, 20, 1.0)[0]),
    ):
        found, boundary = inverted(channel, p @ channel.dense(), truth)
        np.testing.assert_allclose(found, 0.999 * p[np.arange(50), truth] + 0.001 / 20, rtol=0, atol=1e-9)
        assert not boundary.any()


def test_without_noise_only_the_mixing_is_left() -> None:
    q, truth = drawn(4, 30, 9, 2.0)
    found, boundary = inverted(Uniform(9, 1.0, 0.0), q, truth)
    np.testing.assert_allclose(found, 0.999 * q[np.arange(30), truth] + 0.001 / 9, rtol=1e-12)
    assert not boundary.any()


def test_water_by_hand() -> None:
    """e = 1/2, n = 4, T'p = p / 2 + 1/8: above q = (.6, .3, .05, .05) two tokens stand, c = .9 / (1 + 2 / 4) = .6."""
    channel = Uniform(4, 0.5, 0.125)
    q = np.tile([0.6, 0.3, 0.05, 0.05], (4, 1))
    p, boundary = inverted(channel, q, np.arange(4))
    np.testing.assert_allclose(p, 0.999 * np.array([0.75, 0.25, 0, 0]) + 0.001 / 4, atol=1e-12)
    assert boundary.all()


def test_a_tie_at_the_water_line_ends() -> None:
    """q_y = level c exactly: whether such a token counts changes c by rounding, and nothing else."""
    for n in (3, 7, 1000):
        q = np.full((50, n), 0.25 / n)
        q[:, 0] += 0.75
        found, _ = inverted(Uniform(n, 0.75, 0.25 / n), q, np.zeros(50, dtype=np.int64))
        np.testing.assert_allclose(found, 0.999 + 0.001 / n, rtol=1e-9)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    q, truth = drawn(6, 40, 30, 2.0)
    channels = (Uniform(30, 0.6, 0.4 / 30), Mapped(0.4, np.random.default_rng(0).integers(0, 30, 30)))
    whole = [inverted(channel, q, truth) for channel in channels]
    monkeypatch.setattr(tokens, "NUMBERS_IN_CACHE", 70)
    monkeypatch.setattr(maps, "NUMBERS_AT_ONCE", 70)
    for channel, (p, boundary) in zip(channels, whole, strict=True):
        found, at = inverted(channel, q, truth)
        np.testing.assert_allclose(found, p, rtol=0, atol=1e-7)
        np.testing.assert_array_equal(at, boundary)


def test_float32_predictions_will_do() -> None:
    q, truth = drawn(8, 40, 30, 2.0)
    found = inverter(RankOne(0.4, drawn(9, 1, 30, 1.0)[0][0]))
    assert found is not None
    narrow = found(torch.from_numpy(q).log().float(), torch.from_numpy(truth))[0]
    wide = found(torch.from_numpy(q).log(), torch.from_numpy(truth))[0]
    torch.testing.assert_close(narrow, wide, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "channel",
    [
        None,
        Uniform(9, 0.005, 0.995 / 9),
        RankOne(0.995, np.full(9, 1 / 9)),
        Mapped(0.5, (np.arange(10) + 1) % 10),
        Dense(np.full((3, 3), 1 / 3)),
    ],
)
def test_no_value_where_the_channel_is_ill_conditioned_or_unknown(channel: Any) -> None:
    assert inverter(channel) is None


def test_how_many_tokens_a_channel_can_be_asked_for() -> None:
    for channel, most in ((Uniform(9, 0.5, 0.5 / 9), None), (Mapped(0.2, np.arange(9)), tokens.MOST_TOKENS)):
        found = inverter(channel)
        assert found is not None
        assert found.most_tokens == most
        assert found.stride(tokens.MOST_TOKENS) == 1
        for count in (tokens.MOST_TOKENS + 1, 43_000, 4_400_000):
            stride = found.stride(count)
            asked = len(range(0, count, stride))
            assert asked == count if most is None else (stride % 2 == 1 and most / 3 < asked <= most)


def test_a_vocabulary_takes_a_moment() -> None:
    """64 predictions over 50,257 tokens, where a matrix would be 20 GB: under 10 s on any machine."""
    n = 50_257
    q, truth = drawn(2, 64, n, 2.5)
    u = 1 / np.arange(1, n + 1)
    begun = time.perf_counter()
    for channel in (
        Uniform(n, 2 / 3, 1 / 3 / n),
        RankOne(1 / 11, u / u.sum()),
        Mapped(1 / 3, np.roll(np.arange(n), -1)),
    ):
        p, _ = inverted(channel, q, truth)
        assert np.isfinite(p).all()
        assert (p > 0).all()
    assert time.perf_counter() - begun < 10


def test_a_solver_that_stops_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MOST_STEPS", 2)
    q, truth = drawn(3, 10, 12, 3.0)
    with pytest.raises(ArithmeticError, match="fault of the solver"):
        inverted(Mapped(0.4, (np.arange(12) + 1) % 12), q, truth)
