"""Channel matrices by the law's name (design 5): T[k, y] = P(target y | truth k)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer[Any]]

#: Laws whose channel follows from (e, classes, map) alone. ``unigram`` takes the frequencies of the training targets as
#: well; others (nearest, teacher, plug-ins) have no channel here.
KNOWN = ("uniform_wrong", "uniform_all", "next_class", "confusion")
UNIGRAM = "unigram"


def replacement(law: str, classes: int, mapping: Sequence[object] | None = None) -> Matrix | None:
    """W with T = (1 - e) I + e W: where a redrawn target goes, [classes, classes], rows sum to 1.

    None where the law is unknown or ``mapping`` does not fit it. ``mapping`` is for ``confusion``: a class for each
    class, or a row of weights for each class (normalised here).
    """
    if law == "uniform_wrong" and classes > 1:
        return (np.ones((classes, classes)) - np.eye(classes)) / (classes - 1)
    if law == "uniform_all":
        return np.full((classes, classes), 1 / classes)
    if law == "next_class":
        return np.roll(np.eye(classes), 1, axis=1)
    if law == "confusion" and mapping is not None and len(mapping) == classes:
        return _mapped(mapping, classes)
    return None


def channel(law: str, rate: Fraction, classes: int, mapping: Sequence[object] | None = None) -> Matrix | None:
    """T of a law at error rate e, [classes, classes]; None where :func:`replacement` has none."""
    weights = replacement(law, classes, mapping)
    return None if weights is None else float(1 - rate) * np.eye(classes) + float(rate) * weights


def may_hit_truth(law: str, mapping: Sequence[object] | None = None) -> bool:
    """Whether a redrawn target can be the true one, so that e is the rate of redraws and fewer targets are wrong.

    True also for laws that are not known here: nothing is promised of them.
    """
    if law in ("uniform_wrong", "next_class", "nearest"):  # nearest: another token, whatever the embedding
        return False
    kept = hits(law, len(mapping), mapping) if mapping is not None else None
    return kept is None or bool(kept.any())


def hits(law: str, classes: int, mapping: Sequence[object] | None = None) -> npt.NDArray[np.float64] | None:
    """W[k, k] for each class: how often a redraw finds the truth. None where the law is unknown or the map does not
    fit. No matrix is built where the law is uniform or the map one of whole numbers: there may be 50,257 classes.
    """
    if law == "uniform_all":
        return np.full(classes, 1 / classes)
    fixed = targets(mapping, classes) if law == "confusion" else None
    if fixed is not None:
        return np.asarray(fixed == np.arange(classes), dtype=np.float64)
    if (law == "uniform_wrong" and classes > 1) or law == "next_class":
        return np.full(classes, float(classes == 1))
    weights = replacement(law, classes, mapping)
    return None if weights is None else np.diag(weights)


def targets(mapping: Sequence[object] | None, classes: int) -> npt.NDArray[np.int64] | None:
    """The class that each class goes to, [classes]; None where the map is none of whole numbers in range."""
    if mapping is None or len(mapping) != classes:
        return None
    if all(isinstance(target, int) and not isinstance(target, bool) and 0 <= target < classes for target in mapping):
        return np.array(mapping, dtype=np.int64)
    return None


def expected_wrong_rate(
    law: str,
    rate: Fraction,
    classes: int | None,
    mapping: Sequence[object] | None = None,
    labels: Labels | None = None,
    frequency: Matrix | None = None,
) -> float | None:
    """Share of targets that the channel makes wrong: sum_k share_k (1 - T[k, k]), with e for the rate of redraws.

    The share of class k is that among ``labels``, or 1 / classes where they are not known. It is e itself where a
    redraw never hits the truth. ``frequency`` is that of each label among the training targets, which ``unigram``
    takes. None where the law, or the classes that it takes, are not known.
    """
    if law == UNIGRAM:
        return None if frequency is None else float(rate) * (1 - float(frequency.mean()))
    if not may_hit_truth(law, mapping):
        return float(rate)
    kept = hits(law, classes, mapping) if classes else None
    if kept is None or classes is None:
        return None
    shares = np.full(classes, 1 / classes)
    if labels is not None and len(labels) and labels.max() < classes:
        shares = np.bincount(labels, minlength=classes) / len(labels)
    return float(rate) * float(shares @ (1 - kept))


def argmax_threshold(law: str, classes: int, mapping: Sequence[object] | None = None) -> Fraction | None:
    """The rate e at which a certain prediction's argmax ties with a wrong class; kept below it. None: unknown.

    1 - e + e W[k, k] = e W[k, j] for the worst k and j: (n-1)/n for ``uniform_wrong``, 1/2 for ``next_class`` and for
    any map that moves a class whole, 1 (never reached) for ``uniform_all``.
    """
    if law == "uniform_wrong" and classes > 1:
        return Fraction(classes - 1, classes)
    if law == "next_class":
        return Fraction(1, 2)
    if law == "uniform_all":
        return Fraction(1)
    fixed = targets(mapping, classes) if law == "confusion" else None
    if fixed is not None:
        return Fraction(1) if (fixed == np.arange(classes)).all() else Fraction(1, 2)
    weights = replacement(law, classes, mapping)
    if weights is None:
        return None
    gaps = weights - np.diag(weights)[:, None]  # zero on the diagonal: one class, or none gained, leaves no tie
    worst = Fraction(float(gaps.max()))
    return 1 / (1 + worst)


def _mapped(mapping: Sequence[object], classes: int) -> Matrix | None:
    fixed = targets(mapping, classes)
    if fixed is not None:
        return np.eye(classes)[fixed]
    try:
        weights = np.array(mapping, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if not np.isfinite(weights).all():
        return None
    if weights.shape != (classes, classes) or (weights < 0).any() or (weights.sum(axis=1) <= 0).any():
        return None
    normalised: Matrix = weights / weights.sum(axis=1, keepdims=True)
    return normalised
