"""How near generated images lie to the training images: a model that memorised draws them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from trainers.datasets.images import Pixels, pixels
from trainers.device import repeatable

Vector = npt.NDArray[np.float64]

#: Images that are held against the training set at most, the first ones.
MOST_IMAGES = 10_000
#: Numbers of an operand or a product at once: 16 MB of float32.
NUMBERS_AT_ONCE = 4_000_000
#: Share of real test images that lie so near to a training image: what is nearer counts as memorised.
NEAREST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Mean distances, and the share of memorised images; None where there is nothing to measure."""

    distance: float | None
    distance_real: float | None
    memorised: float | None


def compared(drawn: Vector, real: Vector) -> Neighbours:
    """From the distances of generated and of real test images to their nearest training images, [N] each."""
    memorised = float((drawn < np.quantile(real, NEAREST_SHARE)).mean()) if len(drawn) and len(real) else None
    return Neighbours(_mean(drawn), _mean(real), memorised)


def nearest(images: Pixels, train: Pixels, device: torch.device) -> Vector:
    """Root-mean-square difference of pixels in [0, 1] to the nearest training image, [N]; images are [N, C, H, W].

    |a - b|^2 = |a|^2 - 2 ab + |b|^2 finds the nearest in float32 on the device, whose rounding may name another one as
    near; its distance is then taken in float64.
    """
    numbers = int(np.prod(images.shape[1:]))
    flat = pixels(images).reshape(-1, numbers)
    step = max(1, NUMBERS_AT_ONCE // numbers)
    place = _places(torch.tensor(flat), train, step, device)
    found = np.empty(len(images))
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        gap = flat[part].astype(np.float64) - pixels(train[place[part]]).reshape(-1, numbers)
        found[part] = np.sqrt(np.square(gap).mean(axis=1))
    return found


def _places(flat: torch.Tensor, train: Pixels, step: int, device: torch.device) -> npt.NDArray[np.int64]:
    """Numbers of the nearest training images of ``flat`` [N, d], ``step`` of those at once, [N]."""
    best = torch.full((len(flat),), torch.inf, device=device)
    place = torch.zeros(len(flat), dtype=torch.int64, device=device)
    rows = max(1, NUMBERS_AT_ONCE // step)
    with torch.inference_mode(), repeatable(device):
        for first in range(0, len(train), step):
            other = torch.tensor(pixels(train[first : first + step]).reshape(-1, flat.shape[1]), device=device)
            half = other.square().sum(dim=1) / 2
            for start in range(0, len(flat), rows):
                part = slice(start, start + rows)
                low, at = (half - flat[part].to(device) @ other.T).min(dim=1)  # (|a - b|^2 - |a|^2) / 2
                nearer = low < best[part]
                best[part] = torch.where(nearer, low, best[part])
                place[part] = torch.where(nearer, first + at, place[part])
    return place.cpu().numpy()


def _mean(distances: Vector) -> float | None:
    return float(distances.mean()) if len(distances) else None
