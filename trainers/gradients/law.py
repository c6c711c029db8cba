"""The vector-sum law: what a batch's summed gradient measures if only norms, cosines and chance counts decide.

n vectors of norm g with mutual cosine rho add up to one of squared norm n g^2 + n (n - 1) rho g^2. In a batch of B, the
number that are clean, or corrupt, is binomial. This reproduces the paper's table 4 (protocols 7). Pure functions.
"""

from __future__ import annotations

import math


def expected_norm(batch: int, share: float, norm: float, cosine: float | None) -> float:
    """E ||S|| of the sum S of those vectors of a batch that are of the kind, their count binomial(batch, share).

    Args:
        norm: of each vector.
        cosine: between any two of them; None counts as 0, as in a batch of 1, where there are no two.

    Raises:
        ValueError: a share outside [0, 1] or a batch below 1.
    """
    rho = cosine or 0.0
    lengths = (math.sqrt(max(0.0, n + n * (n - 1) * rho)) for n in range(batch + 1))
    return norm * math.fsum(p * length for p, length in zip(binomial(batch, share), lengths, strict=True))


def expected_energy(batch: int, share: float, energy: float, cosine: float | None) -> float:
    """E ||S||^2 of the same sum, in closed form: E n = B s and E n (n - 1) = B (B - 1) s^2.

    Args:
        energy: mean squared norm of a vector.

    Raises:
        ValueError: a share outside [0, 1] or a batch below 1.
    """
    _check(batch, share)
    pairs = batch * (batch - 1) * share * share
    return energy * max(0.0, batch * share + pairs * (cosine or 0.0))


def binomial(batch: int, share: float) -> list[float]:
    """Probabilities of 0 to ``batch`` successes. By logarithms, since a large batch has coefficients beyond a float.

    Raises:
        ValueError: a share outside [0, 1] or a batch below 1.
    """
    _check(batch, share)
    if share in (0.0, 1.0):
        sure = round(batch * share)
        return [float(n == sure) for n in range(batch + 1)]
    log_p, log_q = math.log(share), math.log1p(-share)
    whole = math.lgamma(batch + 1)
    return [
        math.exp(whole - math.lgamma(n + 1) - math.lgamma(batch - n + 1) + n * log_p + (batch - n) * log_q)
        for n in range(batch + 1)
    ]


def _check(batch: int, share: float) -> None:
    if batch < 1 or not 0 <= share <= 1:
        raise ValueError(f"batch {batch} and share {share}: at least 1, and a number from 0 to 1, are allowed")
