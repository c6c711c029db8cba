"""Images drawn from a model, each known by its number: the same on any worker, whichever others are drawn there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from trainers.device import repeatable
from trainers.diffusion.parametrisation import Parametrisation, guided
from trainers.diffusion.samplers import Churn, heun, levels_of, stochastic_heun
from trainers.diffusion.spec import DRAWN_AT_ONCE, SamplingSpec
from trainers.errors import DivergedError
from trainers.streams import normals_at

#: Purposes of the streams: the noise an image begins with, by its number, and that of later steps.
DRAW, CHURN = "draw", "draw/churn"


def labels_of(first: int, last: int, classes: int) -> npt.NDArray[np.int64]:
    """Labels of images ``first`` to ``last - 1``: the classes take turns, [last - first]."""
    return np.arange(first, last, dtype=np.int64) % classes


@dataclass(frozen=True)
class Generator:
    """A model that draws images of ``shape`` (channels, side, side); ``model`` is in evaluation mode."""

    model: nn.Module
    way: Parametrisation
    sampling: SamplingSpec
    seed: int
    shape: tuple[int, int, int]
    classes: int
    device: torch.device

    def images(self, first: int, last: int) -> torch.Tensor:
        """Images ``first`` to ``last - 1`` of the ``sampling.images``, uint8 [last - first, C, S, S] on the CPU.

        Whole blocks of ``DRAWN_AT_ONCE`` images are drawn and what was not asked for is left out, since the last bits
        of a product may depend on the size of the batch.

        Raises:
            ValueError: there are no such images.
            DivergedError: what the model draws is not finite.
        """
        if not 0 <= first <= last <= self.sampling.images:
            raise ValueError(f"images {first} to {last - 1} are asked for, and there are {self.sampling.images}")
        begin = first // DRAWN_AT_ONCE * DRAWN_AT_ONCE
        blocks = [self._block(at, self.end_of_block(at)) for at in range(begin, last, DRAWN_AT_ONCE)]
        if not blocks:
            return torch.empty((0, *self.shape), dtype=torch.uint8)
        return torch.cat(blocks)[first - begin : last - begin]

    def end_of_block(self, image: int) -> int:
        """The number after the last image of the block that holds ``image``."""
        return min(self.sampling.images, (image // DRAWN_AT_ONCE + 1) * DRAWN_AT_ONCE)

    def _block(self, first: int, last: int) -> torch.Tensor:
        sampling, sigmas = self.sampling, levels_of(self.sampling)
        numbers = np.arange(first, last, dtype=np.int64)
        given = torch.from_numpy(labels_of(first, last, self.classes)).to(self.device)
        labels = functional.one_hot(given, self.classes).float()

        def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
            levels = torch.full((len(x),), sigma, dtype=torch.float32, device=self.device)
            return guided(self.model, self.way, x.float(), levels, labels, sampling.guidance)

        with torch.inference_mode(), repeatable(self.device, attention=True):
            x = sigmas[0] * self._normals(DRAW, numbers).double()
            if sampling.churn > 0:
                churn = Churn(sampling.churn, sampling.churn_lowest, sampling.churn_highest, sampling.churn_noise)
                steps = sampling.steps
                x = stochastic_heun(denoise, x, sigmas, churn, lambda i: self._normals(CHURN, numbers * steps + i))
            else:
                x = heun(denoise, x, sigmas)
            if not bool(torch.isfinite(x).all()):
                raise DivergedError(
                    f"images {first} to {last - 1} are not finite: the weights are not, or sampling.lowest "
                    f"({sampling.lowest:g}) is too small for float32; lower optimiser.learning_rate, or raise it"
                )
            shades = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
        return shades.clone()  # inference mode's own tensors cannot be changed or trained with

    def _normals(self, purpose: str, positions: npt.NDArray[np.int64]) -> torch.Tensor:
        drawn = normals_at(self.seed, purpose, positions, int(np.prod(self.shape)))
        return torch.from_numpy(np.ascontiguousarray(drawn)).view(-1, *self.shape).to(self.device)
