"""What an ideal generator of the noisy labels scores: the floor of consistency (design 5), pure functions of counts.

Trained on labels that a channel T changed, a generator that is asked for g draws from p(x | given g), a mixture of the
true classes: sum_y M[g, y] p(x | y), M[g, y] = pi_y T[y, g] / sum_k pi_k T[k, g] by Bayes' rule, pi_y being the share
of class y among the training images. Counts are [classes, classes]: images requested as y that a judge takes for k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.channels import UNIGRAM, channel
from reports.confusions import Counts
from reports.floors import Noise

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ideal:
    """A floor and its standard error from the finite number of the clean generator's images."""

    value: float
    error: float


def mixture(training: Counts, noise: Noise) -> Matrix | None:
    """M[g, y], [classes, classes]; rows sum to 1, those of a label that is never given are NaN.

    None where the law has no channel here or there is no training image.
    """
    total = int(training.sum())
    if not total:
        return None
    shares = training / total
    e = float(noise.rate)
    if noise.law == UNIGRAM:
        matrix: Matrix | None = (1 - e) * np.eye(len(shares)) + e * shares[None, :]
    else:
        matrix = channel(noise.law, noise.rate, len(shares), noise.mapping)
    if matrix is None:
        return None
    joint = (shares[:, None] * matrix).T
    given = joint.sum(axis=1, keepdims=True)
    mixed: Matrix = np.divide(joint, given, out=np.full_like(joint, np.nan), where=given > 0)
    return mixed


def consistency_floor(clean: Counts, asked: Counts, training: Counts, noise: Noise) -> Ideal | None:
    """sum_g q_g sum_y M[g, y] C[y, g], C[y, k] the share of a clean generator's images of class y judged k.

    ``asked``, [classes], are the images requested of each class by the generator that the floor is of; q are their
    shares. The error is that of rows of C as independent multinomials of as many images as were drawn.

    None where the channel is unknown, or a class that is needed was never given or never drawn.
    """
    mixed = mixture(training, noise)
    drawn = clean.sum(axis=1)
    if mixed is None or not asked.sum() or not len(clean) == len(asked) == len(training):
        return None
    with np.errstate(invalid="ignore"):
        weights = (asked / asked.sum())[:, None] * mixed
    weights[asked == 0] = 0.0
    needed = weights.sum(axis=0) != 0  # NaN too is not nought
    if np.isnan(weights).any() or (needed & (drawn == 0)).any():
        return None
    judged = clean / np.maximum(drawn, 1)[:, None]
    gains = weights.T  # what an image of class y adds when it is judged k
    means = (gains * judged).sum(axis=1)
    spread = (gains**2 * judged).sum(axis=1) - means**2
    variance = float((np.maximum(spread, 0) / np.maximum(drawn, 1)).sum())
    return Ideal(float(means.sum()), math.sqrt(variance))


def share_right(counts: Counts) -> float | None:
    """The share of images that are judged as they were asked for; None without any."""
    total = int(counts.sum())
    return float(np.trace(counts) / total) if total else None
