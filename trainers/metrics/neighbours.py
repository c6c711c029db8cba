"""How near generated images lie to the training images: a model that memorised draws them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.datasets.images import Pixels, pixels

Vector = npt.NDArray[np.float64]

#: Generated images that are held against the training set, the first ones; and how many numbers a product may have.
MOST_IMAGES = 10_000
NUMBERS_AT_ONCE = 4_000_000
#: Share of real test images that lie so near to a training image: what is nearer counts as memorised.
NEAREST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Mean distances, and the share of memorised images; None where there is nothing to measure."""

    distance: float | None
    distance_real: float | None
    memorised: float | None


def neighbours(drawn: Pixels, test: Pixels, train: Pixels) -> Neighbours:
    """Of generated and of real test images to their nearest training images, each [N, C, H, W]."""
    drawn, test = drawn[:MOST_IMAGES], test[:MOST_IMAGES]
    real = nearest(test, train)
    if not len(drawn):
        return Neighbours(None, float(real.mean()), None)
    found = nearest(drawn, train)
    return Neighbours(float(found.mean()), float(real.mean()), float((found < np.quantile(real, NEAREST_SHARE)).mean()))


def nearest(images: Pixels, train: Pixels) -> Vector:
    """Root-mean-square difference of pixels in [0, 1] to the nearest training image, [N].

    |a - b|^2 = |a|^2 - 2 ab + |b|^2 finds the nearest in float32, whose rounding may name another one as near; its
    distance is then taken in float64.
    """
    numbers = int(np.prod(images.shape[1:]))
    best = np.full(len(images), np.inf, dtype=np.float32)
    place = np.zeros(len(images), dtype=np.int64)
    flat = pixels(images).reshape(-1, numbers)
    step = max(1, NUMBERS_AT_ONCE // numbers)
    for first in range(0, len(train), step):
        other = pixels(train[first : first + step]).reshape(-1, numbers)
        half = np.einsum("ij,ij->i", other, other) / 2
        rows = max(1, NUMBERS_AT_ONCE // len(other))
        for start in range(0, len(flat), rows):
            part = slice(start, start + rows)
            scores = half - flat[part] @ other.T  # (|a - b|^2 - |a|^2) / 2
            at = scores.argmin(axis=1)
            low = scores[np.arange(len(at)), at]
            nearer = low < best[part]
            best[part] = np.where(nearer, low, best[part])
            place[part] = np.where(nearer, first + at, place[part])
    found = np.empty(len(images))
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        gap = flat[part].astype(np.float64) - pixels(train[place[part]]).reshape(-1, numbers)
        found[part] = np.sqrt((gap * gap).mean(axis=1))
    return found
