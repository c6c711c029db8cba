"""Whether generated images show what was asked for, by a judge, and what is left once the label channel is inverted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainers.metrics.inversion import LARGEST_CONDITION

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: The likelihood's gap to its maximum, nats an image, at which the inverted confusion is taken.
TOLERANCE = 1e-7
MOST_STEPS = 20_000


def confusion(requested: Labels, judged: Labels, classes: int) -> Labels:
    """Counts of images by requested label and judged class, [n, n]."""
    pairs = requested * classes + judged
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def consistency(counts: Labels) -> float | None:
    """Share of images whose judged class is the label; None without images."""
    total = int(counts.sum())
    return float(np.trace(counts) / total) if total else None


def mixture(channel: Matrix, class_counts: npt.NDArray[np.int64]) -> Matrix:
    """M[g, y] = P(truth y | given label g), rows sum to 1, [n, n].

    A generator of noisy conditions draws from p(x | given g) = sum_y M[g, y] p(x | y). By Bayes' rule M[g, y] is
    pi_y T[y, g] / sum_k pi_k T[k, g], pi the classes' share among the training images.

    Args:
        channel: T with T[k, y] = P(target y | truth k), [n, n].
        class_counts: training images of each class, [n].
    """
    joint = (class_counts[:, None] * channel).T
    given = joint.sum(axis=1, keepdims=True)
    found: Matrix = np.divide(joint, given, out=np.zeros_like(joint), where=given > 0)
    return found


def channel_inverted_consistency(
    counts: Labels, channel: Matrix | None, class_counts: npt.NDArray[np.int64]
) -> float | None:
    """Mean over classes of D[y, y], D the inverted confusion (:func:`inverted`).

    None without images, without a channel, and where the condition number of M exceeds that of inversions (100).
    """
    if channel is None or not counts.sum() or (counts.sum(axis=1) == 0).any():
        return None
    mixed = mixture(channel, class_counts)
    if np.linalg.cond(mixed) > LARGEST_CONDITION:
        return None
    return float(np.diagonal(inverted(counts, mixed)).mean())


def inverted(counts: Labels, mixed: Matrix) -> Matrix:
    """D[y, k], the share of images of clean class y that the judge takes for k: rows in the simplex, [n, n].

    The most likely one: it maximises sum_gk N[g, k] ln (M D)[g, k] for counts N of given labels g. The function is
    concave, so EM's steps (Dempster et al., 1977), D[y, k] <- D[y, k] sum_g N[g, k] M[g, y] / (M D)[g, k], normalised,
    climb to its maximum. They end once the maximum is less than ``TOLERANCE`` nats an image away: with r[y, k] the
    gradient, it exceeds the present value by at most sum_y (max_k r[y, k] - sum_k D[y, k] r[y, k]).

    Args:
        mixed: M of :func:`mixture`.
    """
    exact = np.linalg.solve(mixed, counts / counts.sum(axis=1, keepdims=True))
    if exact.min() >= 0:  # then no other D fits the shares better, or as well: M is invertible
        found: Matrix = exact / exact.sum(axis=1, keepdims=True)
        return found
    n, total = len(mixed), counts.sum()
    d = np.clip(exact, 1e-3, None)
    d /= d.sum(axis=1, keepdims=True)
    for _ in range(MOST_STEPS):
        gradient = mixed.T @ (counts / (mixed @ d).clip(np.finfo(float).tiny))
        gap = (gradient.max(axis=1) - (d * gradient).sum(axis=1)).sum() / total
        if gap <= TOLERANCE:
            break
        d = d * gradient
        d /= d.sum(axis=1, keepdims=True)
    assert d.shape == (n, n)
    return d
