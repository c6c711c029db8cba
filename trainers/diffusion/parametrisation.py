"""From a raw network to a denoiser, its loss and its guidance, whatever the parametrisation."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from trainers.diffusion.coefficients import Coefficients
from trainers.diffusion.edm import Edm
from trainers.diffusion.spec import DiffusionSpec
from trainers.diffusion.ve import VarianceExploding


class Parametrisation(Protocol):
    """What EDM's table 1 says of a way to train: levels, weights and what stands around the network."""

    def coefficients(self, sigma: torch.Tensor) -> Coefficients:
        """Those of eq. 7 at noise levels ``sigma``, of its shape."""

    def weight(self, sigma: torch.Tensor) -> torch.Tensor:
        """lambda(sigma) of eq. 2, of the shape of ``sigma``."""

    def levels(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise levels of training from uniform numbers in (0, 1), of their shape."""


def parametrisation(spec: DiffusionSpec) -> Parametrisation:
    """The one that a trial names, with its constants."""
    of = spec.levels
    return (
        Edm(of.mean, of.deviation, of.data)
        if spec.parametrisation == "edm"
        else VarianceExploding(of.lowest, of.highest)
    )


def denoised(
    model: nn.Module, way: Parametrisation, noisy: torch.Tensor, sigma: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """D(x; sigma, label), what the model takes the clean image to be (EDM, eq. 7), [N, C, S, S].

    Args:
        noisy: x = image + sigma n, [N, C, S, S]; pixels of an image lie in [-1, 1].
        sigma: its noise levels, [N].
        labels: one-hot rows [N, n]; a row of zeros for no label.
    """
    of = way.coefficients(sigma)
    skip, out, scale = (one.view(-1, 1, 1, 1) for one in (of.skip, of.out, of.input))
    raw: torch.Tensor = model(scale * noisy, of.noise, labels)
    return skip * noisy + out * raw


def guided(
    model: nn.Module,
    way: Parametrisation,
    noisy: torch.Tensor,
    sigma: torch.Tensor,
    labels: torch.Tensor,
    guidance: float,
) -> torch.Tensor:
    """D_empty + w (D_label - D_empty) (Ho and Salimans, arXiv 2207.12598), w = ``guidance``; as :func:`denoised`.

    w = 1 takes one pass, with labels; w = 0 one, without.
    """
    if guidance == 1:
        return denoised(model, way, noisy, sigma, labels)
    empty = denoised(model, way, noisy, sigma, torch.zeros_like(labels))
    return empty if guidance == 0 else empty.lerp(denoised(model, way, noisy, sigma, labels), guidance)


def losses(
    model: nn.Module,
    way: Parametrisation,
    clean: torch.Tensor,
    sigma: torch.Tensor,
    normals: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    """lambda(sigma) ||D(x + sigma n; sigma, label) - x||^2, a number an image, [N] (EDM, eq. 2 and 8).

    The squared norm is a mean over pixels, not a sum: the scale of the loss, which clipping sees, is then that of one
    pixel whatever the size of the images.

    Args:
        clean: images x in [-1, 1], [N, C, S, S].
        sigma: noise levels, [N].
        normals: n, standard normal, of the shape of ``clean``.
        labels: as for :func:`denoised`.
    """
    found = denoised(model, way, clean + sigma.view(-1, 1, 1, 1) * normals, sigma, labels)
    return way.weight(sigma) * (found - clean).square().flatten(1).mean(1)
