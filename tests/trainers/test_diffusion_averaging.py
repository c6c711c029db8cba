"""The average of the weights: half-lives in samples, whatever the batch; the ramp; the constant of the paper."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.diffusion.averaging import decay, update
from trainers.diffusion.spec import AveragingSpec

batches = st.integers(1, 4096)


def plain(half_life: int) -> AveragingSpec:
    return AveragingSpec(half_life_samples=half_life, ramp_up=None)


def old_share(averaging: AveragingSpec, batch: int, samples: int) -> float:
    """What is left of weights of 1 after ``samples`` samples at weights of 0."""
    average, weights = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for position in range(batch, samples + 1, batch):
        update([average], [weights], decay(averaging, batch, position))
    return average[0].item()


@pytest.mark.parametrize("batch", [1, 8, 40, 320])
def test_after_a_half_life_half_is_left_whatever_the_batch(batch: int) -> None:
    assert old_share(plain(320), batch, 320) == pytest.approx(0.5)
    assert old_share(plain(320), batch, 960) == pytest.approx(0.125)


@given(batches, st.integers(1, 20), st.integers(1, 10**9))
def test_a_large_step_keeps_what_its_small_ones_do(batch: int, parts: int, half_life: int) -> None:
    whole = decay(plain(half_life), batch * parts, batch * parts)
    assert decay(plain(half_life), batch, batch) ** parts == pytest.approx(whole, abs=1e-12)


@given(batches, st.integers(0, 10**6), st.integers(1, 10**6), st.floats(0.01, 1))
def test_the_half_life_grows_with_the_samples_until_it_is_reached(
    batch: int, before: int, half_life: int, ramp_up: float
) -> None:
    """EDM's 0.5^(batch / min(half-life, ramp x samples))."""
    position = before + batch
    found = decay(AveragingSpec(half_life_samples=half_life, ramp_up=ramp_up), batch, position)
    assert 0 <= found < 1
    if ramp_up * position >= half_life:
        assert found == decay(plain(half_life), batch, position)
    else:
        assert found == pytest.approx(2 ** (-batch / (ramp_up * position)), abs=1e-300)


@pytest.mark.parametrize("batch", [16, 64])
def test_random_weights_are_forgotten_during_the_ramp(batch: int) -> None:
    """At position p a step keeps 2^(-20 batch / p), so they fall as p^(-20 ln 2)."""
    ramped, samples = AveragingSpec(), 64 * 30
    assert old_share(ramped, batch, samples) < 1e-9
    assert old_share(plain(500_000), batch, samples) > 0.99


@given(batches, st.integers(1, 10**9), st.floats(0, 0.99999))
def test_a_constant_is_a_step_whatever_batch_and_position(batch: int, position: int, constant: float) -> None:
    assert decay(AveragingSpec(decay=constant), batch, position) == constant


def test_the_papers_constant_has_a_half_life_of_6931_steps() -> None:
    kept = decay(AveragingSpec(decay=0.9999), 128, 128)
    assert math.log(0.5) / math.log(kept) == pytest.approx(6931, abs=1)


@given(st.floats(0, 1), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**16))
def test_an_update_is_the_formula_in_place(kept: float, sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    average = [torch.randn(size, 2, generator=generator, dtype=torch.float64) for size in sizes]
    weights = [torch.randn(size, 2, generator=generator, dtype=torch.float64) for size in sizes]
    before, given_weights = [part.clone() for part in average], [part.clone() for part in weights]
    due = [kept * old + (1 - kept) * new for old, new in zip(average, weights, strict=True)]
    places = [part.data_ptr() for part in average]
    update(average, weights, kept)
    for found, right in zip(average, due, strict=True):
        torch.testing.assert_close(found, right)
    assert [part.data_ptr() for part in average] == places
    assert all(torch.equal(part, same) for part, same in zip(weights, given_weights, strict=True))
    if kept == 1:
        assert all(torch.equal(part, same) for part, same in zip(average, before, strict=True))


def test_parameters_are_averaged_without_a_gradient() -> None:
    moving = torch.nn.Linear(2, 2)
    average = torch.nn.Linear(2, 2).requires_grad_(False)
    update(list(average.parameters()), list(moving.parameters()), 0.0)
    assert torch.equal(average.weight, moving.weight)
    assert not average.weight.requires_grad
    assert average.weight.grad_fn is None


def test_a_slow_average_still_moves_in_float32() -> None:
    """The paper's 1e-4 a step, from 0 to weights of 1: 1 - 0.9999^20000 = 0.8647."""
    average, weights = torch.zeros(4), torch.ones(4)
    for _ in range(20_000):
        update([average], [weights], 0.9999)
    assert average[0].item() == pytest.approx(1 - 0.9999**20_000, rel=1e-4)
