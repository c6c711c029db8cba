"""The exponential moving average of the weights, with a half-life in samples (EDM's training, as its code has it)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from trainers.diffusion.spec import AveragingSpec


def decay(averaging: AveragingSpec, batch: int, position: int) -> float:
    """What the average keeps of itself in the step of ``batch`` samples that ends at ``position``, in [0, 1).

    0.5^(batch / half-life); the half-life grows as ``ramp_up`` x position until it is reached, so that the first
    weights, which are random, are forgotten in good time. EDM's code takes the position before the step, a batch less,
    where its first half-life is 0 and the random weights go at once; here 2^-20 of them stay at a ``ramp_up`` of 0.05.
    """
    if averaging.decay is not None:
        return averaging.decay
    half_life = float(averaging.half_life_samples)
    if averaging.ramp_up is not None:
        half_life = min(half_life, averaging.ramp_up * position)
    return math.pow(0.5, batch / half_life)


@torch.no_grad()
def update(average: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], kept: float) -> None:
    """average = kept x average + (1 - kept) x weights, in place, all tensors in one call."""
    torch._foreach_lerp_(list(average), list(weights), 1 - kept)
