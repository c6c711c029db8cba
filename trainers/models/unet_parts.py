"""What the U-Net is made of: residual blocks with attention, changes of resolution, features of the noise level."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from trainers.models.keyed_dropout import dropout

#: A sum of two branches of unit variance is brought back to unit variance (Song et al., arXiv 2011.13456, appendix H).
HALF = math.sqrt(0.5)
EPSILON = 1e-6
#: Sinusoids of the level have frequencies from 1 down to 1 / this.
LONGEST = 10_000

Resample = Callable[[torch.Tensor], torch.Tensor]


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation over 32 groups, fewer where a group would have less than 4 maps or the maps do not divide."""
    groups = next(number for number in range(min(32, channels // 4), 0, -1) if channels % number == 0)
    return nn.GroupNorm(groups, channels, eps=EPSILON)


def conv(inputs: int, outputs: int, side: int = 3) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


def sinusoids(level: torch.Tensor, size: int) -> torch.Tensor:
    """Sines, then cosines, of ``level`` [n] at ``size`` / 2 frequencies from 1 to 1e-4, [n, size] (DDPM, Vaswani)."""
    half = size // 2
    steps = torch.arange(half, dtype=torch.float32, device=level.device) / max(1, half - 1)
    angles = level.float()[:, None] * LONGEST**-steps
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def halve(maps: torch.Tensor) -> torch.Tensor:
    """Each 2 x 2 places to their mean: the filter [1, 1]."""
    return functional.avg_pool2d(maps, 2)


def double(maps: torch.Tensor) -> torch.Tensor:
    """Each place to 2 x 2 equal ones: the filter [1, 1] the other way."""
    return functional.interpolate(maps, scale_factor=2, mode="nearest")


class Attention(nn.Module):
    """Self-attention over the places of a map with one head, added to what came in (DDPM, appendix B)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = conv(channels, 3 * channels, 1)
        self.proj = conv(channels, channels, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        queries, keys, values = self.qkv(self.norm(maps)).flatten(2).transpose(1, 2)[:, None].chunk(3, dim=3)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed[:, 0].transpose(1, 2).reshape(maps.shape)
        return cast(torch.Tensor, (self.proj(mixed) + maps) * HALF)


class Block(nn.Module):
    """A residual block as BigGAN's: :func:`halve` or :func:`double` may act within it (arXiv 2011.13456, appendix H).

    ``condition`` [n, embedding] is added to every place between the convolutions.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        p: float,
        resample: Resample | None = None,
        attends: bool = False,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.norm0 = norm(inputs)
        self.conv0 = conv(inputs, outputs)
        self.affine = nn.Linear(embedding, outputs)
        self.norm1 = norm(outputs)
        self.dropout = dropout(p)
        self.conv1 = conv(outputs, outputs)
        self.resample = resample
        self.skip = conv(inputs, outputs, 1) if inputs != outputs or resample is not None else None
        self.attention = Attention(outputs) if attends else None

    def forward(self, maps: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        inner = functional.silu(self.norm0(maps))
        if self.resample is not None:
            inner, maps = self.resample(inner), self.resample(maps)
        inner = self.conv0(inner) + self.affine(condition)[:, :, None, None]
        inner = self.conv1(self.dropout(functional.silu(self.norm1(inner))))
        if self.skip is not None:
            maps = self.skip(maps)
        maps = (inner + maps) * HALF
        return maps if self.attention is None else cast(torch.Tensor, self.attention(maps))
