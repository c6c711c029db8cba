"""Variance-exploding score matching (Song et al., arXiv 2011.13456) as column "VE" of EDM's table 1 has it.

The network predicts the noise, scaled: D(x; sigma) = x + sigma F(x; ln(sigma / 2)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from trainers.diffusion.coefficients import Coefficients


def coefficients(sigma: torch.Tensor) -> Coefficients:
    """c_skip = 1, c_out = sigma, c_in = 1, c_noise = ln(sigma / 2); each of the shape of ``sigma``."""
    one = torch.ones_like(sigma)
    return Coefficients(skip=one, out=sigma, input=one, noise=(sigma / 2).log())


def weight(sigma: torch.Tensor) -> torch.Tensor:
    """lambda(sigma) = 1 / sigma^2."""
    return sigma.square().reciprocal()


def levels(uniforms: torch.Tensor, lowest: float, highest: float) -> torch.Tensor:
    """Noise levels of training: ln sigma is uniform between two levels, from uniform numbers in (0, 1)."""
    return torch.exp(math.log(lowest) + (math.log(highest) - math.log(lowest)) * uniforms)


@dataclass(frozen=True, slots=True)
class VarianceExploding:
    """The parametrisation with its lowest and highest level of training."""

    lowest: float
    highest: float

    def coefficients(self, sigma: torch.Tensor) -> Coefficients:
        return coefficients(sigma)

    def weight(self, sigma: torch.Tensor) -> torch.Tensor:
        return weight(sigma)

    def levels(self, uniforms: torch.Tensor) -> torch.Tensor:
        return levels(uniforms, self.lowest, self.highest)
