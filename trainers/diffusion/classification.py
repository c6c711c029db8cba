"""A diffusion model as a classifier: which label lets it denoise an image best (protocols M1).

-ln p(x | y) is at most a constant plus L_y(x) = the integral over ln sigma of sigma^-2 E ||D(x + sigma n; y) - x||^2,
squared norms summed over pixels (Kingma et al., arXiv 2107.00630, eq. 18, with SNR = 1 / sigma^2), and equal to it for
the ideal denoiser; Li et al. (arXiv 2303.16203) classify by it. The integral is estimated at a few levels an image, the
same levels and noise under every label, so that what labels have in common cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from trainers.device import repeatable
from trainers.diffusion.parametrisation import Parametrisation, denoised
from trainers.streams import normals_at, uniforms, words

#: Purposes of the streams, by the number of the test example: its levels, and its noise at each.
LEVELS, NOISE = "classify", "classify/noise"
#: The integral is taken between these levels. Below, an image is plain whatever its label, and above, nothing is seen
#: of it; networks were hardly trained there, and errors that have nothing to do with labels would drown the rest.
LOWEST, HIGHEST = 0.05, 10.0
#: ln sigma is drawn from a normal distribution between them: labels matter most where an image is half drowned.
CENTRE, SPREAD = 0.0, 1.5
#: Images times labels in a forward pass, about; fixed, since the last bits of a product may depend on the batch.
PASSES_AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class Levels:
    """Noise levels of an estimate, and the weight of each: ``sigma`` and ``weight`` are [images, levels]."""

    sigma: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]


def levels(seed: int, examples: npt.NDArray[np.int64], count: int) -> Levels:
    """Stratified levels: one in each of ``count`` parts of equal probability, shifted by the example's own draw."""
    from scipy.stats import truncnorm

    shift = uniforms(np.concatenate([words(seed, LEVELS, int(one), 1)[:, 0] for one in examples])) + 2.0**-54
    at = (np.arange(count) + shift[:, None]) / count
    ends = [(math.log(level) - CENTRE) / SPREAD for level in (LOWEST, HIGHEST)]
    density = truncnorm(*ends, CENTRE, SPREAD)
    logs = density.ppf(at)
    return Levels(np.exp(logs), 1 / (count * density.pdf(logs)))


def label_losses(
    model: nn.Module,
    way: Parametrisation,
    images: npt.NDArray[np.float32],
    examples: npt.NDArray[np.int64],
    classes: int,
    count: int,
    seed: int,
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """L_y(x) in nats, up to what all labels share, [N, classes].

    Args:
        model: in evaluation mode.
        images: [N, C, S, S] in [-1, 1].
        examples: their numbers in the test set, which key levels and noise, [N].
        count: levels an image.
    """
    found = np.zeros((len(images), classes))
    at_once = max(1, PASSES_AT_ONCE // classes)
    one_hot = torch.eye(classes, device=device)
    drawn = levels(seed, examples, count)
    with torch.inference_mode(), repeatable(device, attention=True):
        for first in range(0, len(images), at_once):
            part = slice(first, first + at_once)
            clean = torch.from_numpy(images[part]).to(device)
            labels = one_hot.repeat(len(clean), 1)
            for k in range(count):
                noise = normals_at(seed, NOISE, examples[part] * count + k, clean[0].numel())
                sigma = torch.from_numpy(drawn.sigma[part, k].astype(np.float32)).to(device)
                normals = torch.from_numpy(np.ascontiguousarray(noise)).to(device).view_as(clean)
                noisy = clean + sigma.view(-1, 1, 1, 1) * normals
                guess = denoised(
                    model, way, noisy.repeat_interleave(classes, 0), sigma.repeat_interleave(classes), labels
                )
                errors = (guess - clean.repeat_interleave(classes, 0)).double().square().flatten(1).sum(1)
                scaled = errors.view(-1, classes) / sigma.double().square()[:, None]
                found[part] += drawn.weight[part, k, None] * scaled.cpu().numpy()
    return found
