"""What a model scores that predicts T^T p where a clean one predicts p (design 5): pure functions of p.

T = (1 - e) I + e W. For the true class y and clean predictions p, (T^T p)(y) = (1 - e) p(y) + e sum_k p(k) W[k, y],
so that two numbers an example suffice: p(y), and the mass that the law moves onto y. NLL in nats, accuracies and
probabilities in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from reports.channels import UNIGRAM, Labels, argmax_threshold, channel, replacement, targets

Vector = npt.NDArray[np.float64]
Argmax = Literal["kept", "tie", "lost", "unknown"]


@dataclass(frozen=True)
class Noise:
    """A law at a rate. ``mapping`` is the map of ``confusion``: a class, or a row of weights, for each class."""

    law: str
    rate: Fraction
    mapping: tuple[object, ...] | None = None


@dataclass(frozen=True)
class Clean:
    """A clean model's predictions on the test set, [examples] each.

    ``labels`` are the true classes y, ``truth`` is p(y), ``previous`` p(y - 1 mod n), ``whole`` all of p,
    [examples, classes], None where it was not kept. ``frequency`` is u(y), the share of class y among the training
    targets, None where it was not kept.
    """

    classes: int
    labels: Labels
    truth: Vector
    previous: Vector
    whole: Vector | None = None
    frequency: Vector | None = None


def moved(clean: Clean, noise: Noise) -> Vector | None:
    """sum_k p(k) W[k, y] an example, [examples]; None where the law is unknown or takes more of p than was kept."""
    n = clean.classes
    if noise.law == "uniform_wrong" and n > 1:
        return (1 - clean.truth) / (n - 1)
    if noise.law == "uniform_all":
        return np.full(len(clean.truth), 1 / n)
    if noise.law == "next_class":
        return clean.previous
    if noise.law == UNIGRAM:
        return clean.frequency  # sum_k p(k) u(y)
    if noise.law != "confusion" or noise.mapping is None:
        return None
    fixed = targets(noise.mapping, n)
    if fixed is not None and clean.whole is None:  # no matrix: there may be 50,257 classes
        return clean.previous if np.array_equal(fixed, (np.arange(n) + 1) % n) else None
    weights = replacement("confusion", n, noise.mapping)
    if weights is None or clean.whole is None:
        return _as_other_law(clean, weights)
    onto: Vector = (clean.whole * weights[:, clean.labels].T).sum(axis=1)
    return onto


def true_probability(clean: Clean, noise: Noise) -> Vector | None:
    """(T^T p)(y) an example, [examples]: what the ideal model of the noisy data gives the true class."""
    onto = moved(clean, noise)
    return None if onto is None else float(1 - noise.rate) * clean.truth + float(noise.rate) * onto


def nll_floor(clean: Clean, noise: Noise) -> float | None:
    """Mean of -ln[(T^T p)(y)]; None where the channel is unknown or a probability has underflowed to zero."""
    probability = true_probability(clean, noise)
    if probability is None or not len(probability) or probability.min() <= 0:
        return None
    return float(-np.log(probability).mean())


def nll_bound(clean_nll: float, rate: Fraction) -> float:
    """-ln(1 - e) + clean NLL: never below the floor, whatever the law, for a wrong target never helps more."""
    return clean_nll - math.log(1 - rate)


def sampled_floor(clean: Clean, noise: Noise) -> float | None:
    """Accuracy of one sample of the ideal model: the mean of (T^T p)(y)."""
    probability = true_probability(clean, noise)
    return None if probability is None or not len(probability) else float(probability.mean())


def sampled_floor_from_accuracy(clean_accuracy: float, noise: Noise, classes: int) -> float | None:
    """The same from the clean model's sampled accuracy c alone, which suffices for the uniform laws.

    (1 - e) c + e (1 - c) / (n - 1) for ``uniform_wrong``, (1 - e) c + e / n for ``uniform_all``; None for others.
    """
    e, c = float(noise.rate), clean_accuracy
    if noise.law == "uniform_wrong" and classes > 1:
        return (1 - e) * c + e * (1 - c) / (classes - 1)
    if noise.law == "uniform_all":
        return (1 - e) * c + e / classes
    return None


def top1_floor(clean: Clean, noise: Noise) -> float | None:
    """Share of examples whose argmax_k (T^T p)(k) is the truth; of equal classes the first counts.

    None where the channel is unknown or all of p was not kept. At a tie of the channel itself (see
    :func:`argmax_state`) rounding alone would decide: ask first.
    """
    if clean.whole is None or not len(clean.labels):
        return None
    if noise.law == UNIGRAM:
        u = _frequencies(clean)
        if u is None:
            return None
        ideal = float(1 - noise.rate) * clean.whole + float(noise.rate) * u
        return float((ideal.argmax(axis=1) == clean.labels).mean())
    matrix = channel(noise.law, noise.rate, clean.classes, noise.mapping)
    return None if matrix is None else float(((clean.whole @ matrix).argmax(axis=1) == clean.labels).mean())


def argmax_state(noise: Noise, classes: int) -> Argmax:
    """What becomes of the argmax of a certain prediction of any class: kept below the law's threshold, tied at it.

    Above it, ``lost``: for at least one class it is a wrong one. For the uniform laws that holds of uncertain
    predictions too, for others it does not: :func:`top1_floor` tells.
    """
    if noise.rate == 0:
        return "kept"
    threshold = argmax_threshold(noise.law, classes, noise.mapping)
    if threshold is None:
        return "unknown"
    # A map's weights are binary fractions: its threshold is exact only to their rounding.
    if math.isclose(noise.rate, threshold, rel_tol=1e-9):
        return "tie"
    return "kept" if noise.rate < threshold else "lost"


def _frequencies(clean: Clean) -> Vector | None:
    """u, [classes]; None where it was not kept or a class has no example to tell its own."""
    if clean.frequency is None or len(np.unique(clean.labels)) < clean.classes:
        return None
    found = np.zeros(clean.classes)
    found[clean.labels] = clean.frequency
    return found


def _as_other_law(clean: Clean, weights: Vector | None) -> Vector | None:
    """A map that spells out one of the named laws takes no more of p than that law."""
    for law in ("uniform_wrong", "uniform_all", "next_class"):
        named = replacement(law, clean.classes)
        if weights is not None and named is not None and np.allclose(weights, named, rtol=0, atol=1e-12):
            return moved(clean, Noise(law, Fraction(0)))
    return None
