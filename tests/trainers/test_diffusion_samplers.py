"""Samplers on denoisers known in closed form: order of convergence, exact flows, moments; EDM's algorithms by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from trainers import streams
from trainers.diffusion.samplers import Churn, Denoise, heun, levels_of, stochastic_heun
from trainers.diffusion.spec import SamplingSpec

#: Churn at any level, and its share of a step never above the bound of sqrt(2) - 1.
ALWAYS = Churn(amount=10.0, lowest=0.0, highest=1e6, noise=1.0)
#: Three Gaussians in the plane: weights, means and the standard deviation of each.
WEIGHTS, DEVIATION = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 0.3
MEANS = torch.tensor([[-1.0, 0.4], [0.8, 0.8], [0.3, -1.1]], dtype=torch.float64)


def standard(purpose: str, *shape: int) -> torch.Tensor:
    drawn = streams.normals(2, purpose, 0, shape[0], math.prod(shape[1:]))
    return torch.from_numpy(np.ascontiguousarray(drawn)).view(shape).double()


def gaussian(mean: float, deviation: float) -> Denoise:
    """D of pixels of N(mean, deviation^2): the mean of the two Gaussians' product."""

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return mean + deviation**2 / (deviation**2 + sigma**2) * (x - mean)

    return denoise


def mixture(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """D of the mixture: each component's, by how probable it is given x, [N, 2]."""
    variance = DEVIATION**2 + sigma**2
    apart = x[:, None] - MEANS
    shares = (WEIGHTS.log() - apart.square().sum(2) / (2 * variance)).softmax(1)
    return (shares[:, :, None] * (MEANS + DEVIATION**2 / variance * apart)).sum(1)


def euler(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    for now, then in pairwise(sigmas):
        x = x + (then - now) * (x - denoise(x, now)) / now
    return x


def unasked(step: int) -> torch.Tensor:
    raise AssertionError(f"noise was asked for in step {step}")


@given(st.integers(2, 200), st.floats(1e-3, 1), st.floats(1.5, 1e3), st.floats(1, 20))
def test_levels_fall_evenly_in_their_root_and_then_to_nothing(
    steps: int, lowest: float, highest: float, rho: float
) -> None:
    found = levels_of(SamplingSpec(steps=steps, lowest=lowest, highest=highest, rho=rho))
    assert len(found) == steps + 1
    assert found[-1] == 0
    assert (found[0], found[-2]) == pytest.approx((highest, lowest))
    assert all(now > then for now, then in pairwise(found))
    gaps = -np.diff(np.array(found[:-1]) ** (1 / rho))
    np.testing.assert_allclose(gaps, gaps.mean(), rtol=1e-6)


def test_levels_by_hand() -> None:
    """Roots 3, 2, 1 of three steps at rho 2; at rho 7 the roots of 80 and 0.002 are 1.87012 and 0.41156."""
    assert levels_of(SamplingSpec(steps=3, lowest=1, highest=9, rho=2)) == pytest.approx([9, 4, 1, 0])
    second = (1.87012 - (1.87012 - 0.41156) / 17) ** 7
    assert levels_of(SamplingSpec())[:2] == pytest.approx([80, second], rel=1e-4)


@pytest.mark.parametrize("steps", [2, 18])
def test_heun_asks_twice_a_step_but_once_in_the_last(steps: int) -> None:
    """35 passes of 18 steps, as in the paper (protocols 3), each at the level of its point."""
    asked: list[float] = []

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        assert x.dtype == torch.float64
        asked.append(sigma)
        return torch.zeros_like(x, dtype=torch.float32)

    sigmas = levels_of(SamplingSpec(steps=steps))
    assert heun(denoise, torch.ones(2, 1, 2, 2), sigmas).dtype == torch.float64
    assert asked == [sigmas[0], *(level for level in sigmas[1:-1] for _ in range(2))]
    assert len(asked) == 2 * steps - 1


def test_the_last_step_is_the_denoiser() -> None:
    x = standard("last", 7, 2)
    torch.testing.assert_close(heun(mixture, x, [0.4, 0.0]), mixture(x, 0.4))


def test_a_step_of_heun_by_hand() -> None:
    """D = x / 2 from 2 to 1: slope x/4, there 3x/8 after x - x/4 = 3x/4; on average 5x/16, and 11x/16 are left."""
    found = heun(lambda x, _: x / 2, torch.tensor([[16.0, -32.0]]), [2.0, 1.0])
    assert found.tolist() == [[11.0, -22.0]]


@settings(max_examples=30)
@given(st.floats(-1, 1), st.floats(0.05, 2), st.floats(20, 80), st.floats(0.002, 1))
def test_a_gaussians_flow_is_the_closed_form(mean: float, deviation: float, high: float, low: float) -> None:
    """x - mean shrinks as the root of deviation^2 + sigma^2 does."""
    x = mean + high * standard("flow", 5, 2)
    sigmas = levels_of(SamplingSpec(steps=200, lowest=low, highest=high))[:-1]
    due = mean + (x - mean) * math.sqrt((deviation**2 + low**2) / (deviation**2 + high**2))
    found = heun(gaussian(mean, deviation), x, sigmas)
    torch.testing.assert_close(found, due, rtol=2e-3, atol=2e-3 * math.hypot(deviation, low))


def orders(method: Callable[..., torch.Tensor], counts: Sequence[int]) -> float:
    """Fitted order of convergence to the mixture's probability flow from level 10 to 0.05."""
    x = 10 * standard("orders", 12, 2)

    def slope(sigma: float, flat: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(flat).view(-1, 2)
        return ((at - mixture(at, sigma)) / sigma).reshape(-1).numpy()

    exact = solve_ivp(slope, (10.0, 0.05), x.reshape(-1).numpy(), method="DOP853", rtol=1e-11, atol=1e-12)
    due = torch.from_numpy(exact.y[:, -1]).view(-1, 2)
    errors = []
    for count in counts:
        sigmas = levels_of(SamplingSpec(steps=count + 1, lowest=0.05, highest=10))[:-1]
        errors.append((method(mixture, x, sigmas) - due).square().mean().sqrt().item())
    assert errors[-1] < errors[0]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


def test_heun_converges_with_order_two() -> None:
    assert 1.8 < orders(heun, [80, 160, 320, 640]) < 2.2


def test_euler_converges_with_order_one() -> None:
    """So the fit above can tell them apart."""
    assert 0.8 < orders(euler, [80, 160, 320, 640]) < 1.2


def without_churn(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    return stochastic_heun(denoise, x, sigmas, Churn(0, 0, 1e6, 1), unasked)


def outside_churn(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    return stochastic_heun(denoise, x, sigmas, Churn(40, 100, 200, 1), unasked)


@pytest.mark.parametrize("method", [without_churn, outside_churn])
def test_without_churn_it_is_heun_to_the_bit(method: Callable[..., torch.Tensor]) -> None:
    x, sigmas = 80 * standard("bits", 9, 2), levels_of(SamplingSpec())
    assert torch.equal(method(mixture, x, sigmas), heun(mixture, x, sigmas))


@given(st.floats(0, 30), st.floats(0, 5), st.floats(0.1, 100), st.floats(0.5, 1.5), st.integers(2, 20))
def test_algorithm_2_by_hand(amount: float, lowest: float, highest: float, noise: float, steps: int) -> None:
    """For D = 0 a step from t to u is exact, x u / t: what is left is how noise comes in. The end is not at level 0."""
    sigmas = levels_of(SamplingSpec(steps=steps + 1, lowest=0.1))[:-1]
    fresh = standard("fresh", steps, 3)
    x = due = 80 * standard("begin", 1, 3)
    asked: list[int] = []
    levels: list[float] = []

    def normals(step: int) -> torch.Tensor:
        asked.append(step)
        return fresh[step : step + 1].float()

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        levels.append(sigma)
        return torch.zeros_like(x)

    found = stochastic_heun(denoise, x, sigmas, Churn(amount, lowest, highest, noise), normals)
    due_asked: list[int] = []
    for i, (now, then) in enumerate(pairwise(sigmas)):
        gamma = min(amount / steps, math.sqrt(2) - 1) if lowest <= now <= highest else 0
        raised = now + gamma * now
        if gamma:
            due_asked.append(i)
        due = (due + math.sqrt(raised**2 - now**2) * noise * fresh[i : i + 1]) * then / raised
        assert levels[2 * i : 2 * i + 2] == pytest.approx([raised, then])
    assert asked == due_asked
    torch.testing.assert_close(found, due, rtol=1e-6, atol=1e-9)


def test_levels_of_churn_belong_to_it() -> None:
    asked: list[int] = []

    def normals(step: int) -> torch.Tensor:
        asked.append(step)
        return torch.zeros(1, 2)

    stochastic_heun(mixture, standard("begin", 1, 2), [4.0, 3.0, 2.0, 1.0, 0.0], Churn(1, 2.0, 3.0, 1), normals)
    assert asked == [1, 2]


@pytest.mark.parametrize("method", ["deterministic", "stochastic"])
def test_a_gaussians_samples_have_its_moments(method: str) -> None:
    """Within four standard errors of 40,000: mean, variance and fourth moment, 3 variance^2."""
    n, mean, deviation, steps = 40_000, 0.3, 0.5, 64
    sigmas = levels_of(SamplingSpec(steps=steps))
    x = sigmas[0] * standard("moments", n, 1)

    def normals(step: int) -> torch.Tensor:
        return torch.from_numpy(streams.normals(4, "moments", step * n, n, 1))

    if method == "deterministic":
        found = heun(gaussian(mean, deviation), x, sigmas)
    else:
        found = stochastic_heun(gaussian(mean, deviation), x, sigmas, ALWAYS, normals)
        assert abs(np.corrcoef(found[:, 0], x[:, 0])[0, 1]) < 0.9  # the noise at the beginning is largely forgotten
    apart = (found - mean) / deviation
    assert abs(apart.mean().item()) < 4 / math.sqrt(n)
    assert abs(apart.square().mean().item() - 1) < 4 * math.sqrt(2 / n)
    assert abs(apart.pow(4).mean().item() - 3) < 4 * math.sqrt(96 / n)


@pytest.mark.parametrize("churn", [Churn(0, 0, 1e6, 1), ALWAYS])
def test_a_mixtures_samples_are_of_its_components(churn: Churn) -> None:
    """Shares within four standard errors, spread within a twentieth.

    At the default of 18 steps the components come out wider, by 4 % without churn and 11 % with it; at 64 by 1 and 2 %.
    """
    n, sigmas = 3000, levels_of(SamplingSpec(steps=64))
    x = sigmas[0] * standard("mixture", n, 2)
    found = stochastic_heun(mixture, x, sigmas, churn, lambda i: standard(f"mixture/{i}", n, 2))
    component = torch.cdist(found, MEANS).argmin(1)
    for i, weight in enumerate(WEIGHTS.tolist()):
        members = found[component == i]
        assert abs(len(members) / n - weight) < 4 * math.sqrt(weight * (1 - weight) / n)
        spread = (members - MEANS[i]).square().mean().sqrt().item()
        assert abs(spread / DEVIATION - 1) < 0.05
