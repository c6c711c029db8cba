"""From noise to images: levels of time, and Heun's method without and with fresh noise (EDM, algorithms 1 and 2).

sigma(t) = t and s(t) = 1 throughout, so that time is the noise level and the flow is dx/dt = (x - D(x; t)) / t (EDM,
eq. 4). Nothing is random here: noise comes in through a callable, by the number of the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from trainers.diffusion.spec import SamplingSpec

#: x [N, C, S, S] in float64 and its noise level -> D(x; sigma) of that shape, in any precision.
Denoise = Callable[[torch.Tensor, float], torch.Tensor]


def levels_of(sampling: SamplingSpec) -> list[float]:
    """sigma_0 > ... > sigma_N = 0 of eq. 5, N = ``steps``: evenly spaced in sigma^(1 / rho), then 0."""
    high, low = sampling.highest ** (1 / sampling.rho), sampling.lowest ** (1 / sampling.rho)
    last = sampling.steps - 1
    return [*((high + i / last * (low - high)) ** sampling.rho for i in range(sampling.steps)), 0.0]


def heun(denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Algorithm 1: the probability flow from ``x`` at ``sigmas[0]`` to ``sigmas[-1]``, second order; float64.

    ``x`` is the image plus noise of level ``sigmas[0]``. A step to level 0 is Euler's: there the slope is undefined.
    """
    x = x.double()
    for now, then in pairwise(sigmas):
        x = _step(denoise, x, now, then)
    return x


@dataclass(frozen=True, slots=True)
class Churn:
    """S_churn, S_tmin, S_tmax and S_noise of algorithm 2."""

    amount: float
    lowest: float
    highest: float
    noise: float


def stochastic_heun(
    denoise: Denoise,
    x: torch.Tensor,
    sigmas: Sequence[float],
    churn: Churn,
    normals: Callable[[int], torch.Tensor],
) -> torch.Tensor:
    """Algorithm 2: as :func:`heun`, and before each step within ``churn``'s levels some noise is added anew.

    Args:
        normals: standard normal numbers of the shape of ``x`` for step i, asked for where noise is added.
    """
    x = x.double()
    steps = len(sigmas) - 1
    for i, (now, then) in enumerate(pairwise(sigmas)):
        gamma = min(churn.amount / steps, math.sqrt(2) - 1) if churn.lowest <= now <= churn.highest else 0.0
        raised = now + gamma * now
        if gamma > 0:
            x = x + math.sqrt(raised**2 - now**2) * churn.noise * normals(i).double()
        x = _step(denoise, x, raised, then)
    return x


def _step(denoise: Denoise, x: torch.Tensor, now: float, then: float) -> torch.Tensor:
    slope = (x - denoise(x, now).double()) / now
    moved = x + (then - now) * slope
    if then == 0:
        return moved
    after = (moved - denoise(moved, then).double()) / then
    return x + (then - now) * (slope + after) / 2
