"""EDM's parametrisation (Karras et al., arXiv 2206.00364, table 1, last column): pure functions of the noise level."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainers.diffusion.coefficients import Coefficients


def coefficients(sigma: torch.Tensor, data: float) -> Coefficients:
    """c_skip, c_out, c_in and c_noise of eq. 7, each of the shape of ``sigma``; ``data`` is sigma_data.

    They make the network's input and its target of variance 1 at every level, and amplify its errors least (EDM,
    appendix B.6).
    """
    total = sigma.square() + data**2
    return Coefficients(
        skip=data**2 / total,
        out=sigma * data / total.sqrt(),
        input=total.rsqrt(),
        noise=sigma.log() / 4,
    )


def weight(sigma: torch.Tensor, data: float) -> torch.Tensor:
    """lambda(sigma) = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 = 1 / c_out^2 (table 1; appendix B.6)."""
    return (sigma.square() + data**2) / (sigma * data).square()


def levels(uniforms: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    """Noise levels of training: ln sigma is normal (table 1), from uniform numbers in (0, 1)."""
    return torch.exp(mean + deviation * torch.special.ndtri(uniforms))


@dataclass(frozen=True, slots=True)
class Edm:
    """The parametrisation with its constants: P_mean, P_std and sigma_data."""

    mean: float
    deviation: float
    data: float

    def coefficients(self, sigma: torch.Tensor) -> Coefficients:
        return coefficients(sigma, self.data)

    def weight(self, sigma: torch.Tensor) -> torch.Tensor:
        return weight(sigma, self.data)

    def levels(self, uniforms: torch.Tensor) -> torch.Tensor:
        return levels(uniforms, self.mean, self.deviation)
