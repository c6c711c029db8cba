"""The inverted channel for a vocabulary: p(truth) alone, from log-probabilities of torch, a chunk of tokens at a time.

For the laws that redraw whatever the truth (T = a I + 1 l^T, l one number or one a token) the minimum is
p_y = max(0, q_y / c - l_y / a), where c makes it sum to 1. Dropping a token that lies under water only raises c, so
the tokens above it are found by dropping until none lies below (Michelot's way): no sort, and exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trainers.metrics.inversion import FLOOR, LARGEST_CONDITION, ROUNDING, UNIFORM_SHARE, invert
from trainers.metrics.maps import MapInversion
from trainers.noise.channel import Channel, Mapped, Matrix, RankOne, Uniform

if TYPE_CHECKING:
    import torch

Vector = npt.NDArray[np.float64]
Solve = Callable[["torch.Tensor", "torch.Tensor"], tuple["torch.Tensor", "torch.Tensor"]]

#: Tokens whose prediction is inverted where the channel is a map or has no structure: one costs up to 10 ms.
MOST_TOKENS = 2_048

#: Numbers that a CPU's own cache holds several arrays of: 1 MB each.
NUMBERS_IN_CACHE = 131_072


@dataclass(frozen=True, slots=True)
class Inverter:
    """Inverts one channel; at most ``most_tokens`` of an evaluation should be given to it, None for all.

    Where that is not all of them, a mean over all is best told as that of -ln q(truth) over all plus that of the
    difference over those inverted: the two go together, so the difference has a small error.
    """

    solve: Solve
    most_tokens: int | None = None

    def stride(self, tokens: int) -> int:
        """Which of so many tokens to invert: those whose place is a multiple of this. Odd, and so in no step with the
        places of a window, whose length is mostly a power of two.
        """
        if self.most_tokens is None or tokens <= self.most_tokens:
            return 1
        return -(-tokens // self.most_tokens) | 1

    def __call__(self, log_q: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """p(truth) [n] of the inverted prediction, mixed with 1e-3 of uniform, float64; whether T^-T q lies outside of
        the simplex [n].

        Args:
            log_q: log-probabilities [n, classes] over the data's classes alone.
            truth: int64 [n].
        """
        return self.solve(log_q, truth)


def inverter(channel: Channel | None) -> Inverter | None:
    """What inverts ``channel``, on the device of what it is given; None where there is no value (see ``inversion``).

    Uniform and rank-one channels take a dozen passes over [n, classes]. Maps run on the CPU; any other channel is
    solved whole there, in a time that grows with classes^3.
    """
    if channel is None or not channel.condition() <= LARGEST_CONDITION:
        return None
    if isinstance(channel, Mapped):
        return Inverter(partial(_mapped, MapInversion(channel)), MOST_TOKENS)
    if isinstance(channel, Uniform) and channel.a > 0:
        level = np.full(channel.classes, channel.b / channel.a)
        return Inverter(partial(_filled, channel.a, level))
    if isinstance(channel, RankOne):
        return Inverter(partial(_filled, 1 - channel.e, channel.e / (1 - channel.e) * channel.u))
    return Inverter(partial(_whole, channel.dense()), MOST_TOKENS)


def _filled(a: float, level: Vector, log_q: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For T = a (I + 1 level^T); ``level`` is [classes]."""
    import torch

    water = torch.from_numpy(level).to(log_q.device)
    rows = max(1, (NUMBERS_IN_CACHE if log_q.device.type == "cpu" else log_q.numel()) // log_q.shape[1])
    parts = [
        _above_water(a, water, *part) for part in zip(torch.split(log_q, rows), torch.split(truth, rows), strict=True)
    ]
    p, boundary = (torch.cat(column) for column in zip(*parts, strict=True))
    return _mixed(p, log_q.shape[1]), boundary


def _above_water(
    a: float, water: torch.Tensor, log_q: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    q = log_q.double().exp().clamp_min_(FLOOR)
    q /= q.sum(1, keepdim=True)
    boundary = (q / a - water).amin(1) < -ROUNDING
    c = 1 / (1 + water.sum())
    count = torch.full_like(truth, q.shape[1])
    while True:
        above = (q > water * c).double()
        left = above.sum(1).long()
        if not bool((left < count).any()):  # fewer each time: rounding at the water line brings none back for ever
            break
        c = ((q * above).sum(1) / (1 + above @ water))[:, None]
        count = torch.minimum(left, count)
    p = q.gather(1, truth[:, None]) / c - water[truth][:, None]
    return p[:, 0].clamp_min(0), boundary


def _mapped(inversion: MapInversion, log_q: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    p, boundary = inversion(log_q.double().exp().cpu().numpy(), truth.cpu().numpy())
    device = log_q.device
    return _mixed(torch.from_numpy(p).to(device), log_q.shape[1]), torch.from_numpy(boundary).to(device)


def _whole(channel: Matrix, log_q: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    found = invert(log_q.double().exp().cpu().numpy(), channel)
    p = torch.from_numpy(found.p).to(log_q.device).gather(1, truth[:, None])[:, 0]
    return _mixed(p, log_q.shape[1]), torch.from_numpy(found.boundary).to(log_q.device)


def _mixed(p: torch.Tensor, classes: int) -> torch.Tensor:
    return (1 - UNIFORM_SHARE) * p + UNIFORM_SHARE / classes
