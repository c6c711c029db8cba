"""Means and intervals. Every number of the report passes through here, so that it carries its n."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.95

#: Two seeds give a t-interval 12.7 standard errors wide each way: design 5 quotes none below three.
INTERVAL_SEEDS = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over ``n`` seeds with its interval; None where there are too few."""

    n: int
    mean: float | None
    low: float | None
    high: float | None


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % Student t-interval over seeds; no mean without a value, no interval below three values."""
    n = len(values)
    if not n:
        return Estimate(0, None, None, None)
    # Equal values have a width of nought, whatever their sum rounds to.
    mean = values[0] if min(values) == max(values) else math.fsum(values) / n
    if n < INTERVAL_SEEDS:
        return Estimate(n, mean, None, None)
    from scipy.special import stdtrit

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * deviation / math.sqrt(n)
    return Estimate(n, mean, mean - half, mean + half)


def standard_error(values: npt.NDArray[np.float64]) -> float | None:
    """SD / sqrt(N) of a value an example, [N]: the error of a finite test set. None below two examples."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def clustered_error(values: npt.NDArray[np.float64], clusters: npt.NDArray[np.integer[Any]]) -> float | None:
    """Standard error of the mean of ``values``, [N], that depend on each other within their cluster, [N].

    sqrt(G / (G - 1) sum_g S_g^2) / N, S_g being the sum of deviations from the mean in cluster g of G: the
    cluster-robust error of a mean. With clusters of one value it is SD / sqrt(N). None below two clusters.
    """
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.bincount(place, weights=values - values.mean())
    count = len(sums)
    return math.sqrt(count / (count - 1) * float(sums @ sums)) / len(values) if count > 1 else None


def binomial_error(share: float, trials: int) -> float:
    """Standard error of a share in [0, 1] seen over ``trials`` independent examples: sqrt(p (1 - p) / N)."""
    return math.sqrt(max(0.0, share * (1 - share)) / trials)


def normal_half(errors: Sequence[float]) -> float | None:
    """Half a 95 % normal interval, 1.96 standard errors, of the mean of ``errors``; None without any.

    Seeds share one test set, so their errors do not average out: the mean of them is the error of a mean over seeds
    at most.
    """
    if not errors:
        return None
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2)) * math.fsum(errors) / len(errors)


def wilson(share: float, trials: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share in [0, 1] seen over ``trials`` independent examples.

    It is the error of a finite test set, which seeds do not show: all of them are measured on the same examples.

    Raises:
        ValueError: ``trials`` is not positive or ``share`` is outside [0, 1].
    """
    if trials <= 0 or not 0 <= share <= 1:
        raise ValueError(f"a share in [0, 1] over at least one example is expected, not {share} over {trials}")
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)
