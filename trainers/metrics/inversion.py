"""Channel-inverted predictions: what a model of noisy targets says of the clean ones (design 5).

A model of the noisy data predicts q = T^T p for a clean p. Inverting the channel finds the p of the simplex whose q is
nearest: it minimises KL(q || T^T p), which is convex in p. Where T^-T q lies in the simplex it is that point, with a
divergence of 0; elsewhere the minimum is on the boundary and is solved for.

With weights p >= 0 that need not sum to 1 the same minimum is that of F(p) = sum(p) - sum_y q_y ln (T^T p)_y, since
at a minimum sum_k p_k (1 - g_k) = 0 with g = T (q / T^T p), and sum_k p_k g_k = sum(q) = 1. So 1 - g is the gradient,
and for a p of the simplex the divergence exceeds its minimum by at most max_k g_k - 1: every solution is checked so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: Share of the uniform distribution mixed into an inverted prediction, so that a class ruled out costs a finite NLL.
UNIFORM_SHARE = 1e-3
#: Above this condition number of T (2-norm) the inversion amplifies more than it tells: no value.
LARGEST_CONDITION = 100.0
#: Coordinates of T^-T q above minus this are rounding, not a point outside of the simplex.
ROUNDING = 1e-12
#: Largest excess of KL(q || T^T p) over its minimum that a solution may have, nats.
TOLERANCE = 1e-10
#: A class less probable than this in q is taken to have this much: less tells nothing and makes it stiff.
FLOOR = 1e-12
#: The interior-point method ends where every p_k (1 - g_k) is at most this, so that p itself is good to about 1e-7.
COMPLEMENTARITY = 1e-15
#: Interior-point steps; 25 to 45 are usual.
MOST_STEPS = 200
#: Examples solved at once times n x n: four million numbers of 8 bytes are 32 MB an array.
NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Inverted:
    """``p`` is [N, n], each row in the simplex; ``boundary`` [N] tells where T^-T q lies outside of it."""

    p: Matrix
    boundary: npt.NDArray[np.bool_]


def channel_inverted_nll(q: Matrix, labels: Labels, channel: Matrix | None) -> tuple[float | None, float | None]:
    """Mean of -ln p(label) in nats, p inverted and mixed with 1e-3 of uniform, and the share at the boundary.

    Both None where the law has no channel or T's condition number exceeds 100.

    Args:
        q: predictions [N, n], rows sum to 1.
        channel: T with T[k, y] = P(target y | truth k), [n, n].
    """
    if channel is None or np.linalg.cond(channel) > LARGEST_CONDITION:
        return None, None
    inverted = invert(q, channel)
    classes = q.shape[1]
    p = inverted.p[np.arange(len(labels)), labels]
    mixed = (1 - UNIFORM_SHARE) * p + UNIFORM_SHARE / classes
    return float(-np.log(mixed).mean()), float(inverted.boundary.mean())


def invert(q: Matrix, channel: Matrix) -> Inverted:
    """The p of the simplex that minimises KL(q || T^T p), for each row of ``q`` [N, n].

    Raises:
        numpy.linalg.LinAlgError: T is singular.
        ArithmeticError: a solution failed its check (none is known to).
    """
    q = np.maximum(q, FLOOR)
    q = q / q.sum(axis=1, keepdims=True)
    p = np.linalg.solve(channel.T, q.T).T
    boundary = p.min(axis=1) < -ROUNDING
    outside = np.flatnonzero(boundary)
    p = np.maximum(p, 0.0)
    p /= p.sum(axis=1, keepdims=True)
    uniform = _uniform_parts(channel)
    chunk = max(1, NUMBERS_AT_ONCE // channel.size)
    for start in range(0, len(outside), chunk):
        rows = outside[start : start + chunk]
        p[rows] = _interior_point(q[rows], channel) if uniform is None else _water_filling(q[rows], *uniform)
        excess = float((_ratios(p[rows], q[rows], channel).max(axis=1) - 1).max())
        if not excess <= TOLERANCE:
            raise ArithmeticError(
                f"the channel inversion missed its minimum by up to {excess:.3g} nats, {TOLERANCE:g} is allowed; "
                "this is a fault of the solver: report the channel and the predictions"
            )
    return Inverted(p, boundary)


def _ratios(p: Matrix, q: Matrix, channel: Matrix) -> Matrix:
    """g [N, n] with g_k = sum_y T[k, y] q_y / (T^T p)_y: at most 1 at a minimum, and 1 where p_k > 0."""
    g: Matrix = (q / (p @ channel)) @ channel.T
    return g


def _uniform_parts(channel: Matrix) -> tuple[float, float] | None:
    """(a, b) where T = a I + b 11^T with a > 0, as both uniform laws have it below (n-1)/n; else None."""
    classes = len(channel)
    if classes < 2:
        return None
    b = float(channel[0, 1])
    a = float(channel[0, 0]) - b
    same = np.allclose(channel, a * np.eye(classes) + b, rtol=0, atol=1e-15)
    return (a, b) if same and a > 0 else None


def _water_filling(q: Matrix, a: float, b: float) -> Matrix:
    """The minimum for T = a I + b 11^T in closed form: p_y = max(0, q_y / c - b / a).

    On the support of the m largest q's, sum(p) = 1 gives c = (sum of those q) / (1 + m b / a). The support is the
    largest m whose smallest q still stands above the water, q_m / c > b / a.
    """
    level = b / a
    descending = -np.sort(-q, axis=1)
    m = np.arange(1, q.shape[1] + 1)
    c = np.cumsum(descending, axis=1) / (1 + m * level)
    support = (descending > level * c).sum(axis=1)  # true for the first ones only: c falls with the q that enter
    chosen = c[np.arange(len(q)), support - 1]
    p: Matrix = np.maximum(q / chosen[:, None] - level, 0.0)
    p /= p.sum(axis=1, keepdims=True)
    return p


def _interior_point(q: Matrix, channel: Matrix) -> Matrix:
    """Minimise F for each row of ``q`` [N, n] by a primal-dual interior-point method, all rows at once.

    The dual of p >= 0 is z = 1 - g. Newton steps on z = 1 - g(p), p z = mu, with mu a tenth of the mean of p z at each
    step, cut short of the boundary and halved until the barrier function F - mu sum(ln p) falls.
    """
    p = np.full_like(q, 1.0 / q.shape[1])
    z = np.ones_like(q)
    rows = np.arange(len(q))
    for _ in range(MOST_STEPS):
        p[rows], z[rows] = _newton_step(p[rows], z[rows], q[rows], channel)
        whole = p[rows] / p[rows].sum(axis=1, keepdims=True)
        excess = _ratios(whole, q[rows], channel).max(axis=1) - 1
        rows = rows[((p[rows] * z[rows]).max(axis=1) > COMPLEMENTARITY) | (excess > TOLERANCE / 100)]
        if not len(rows):
            break
    p /= p.sum(axis=1, keepdims=True)
    return p


def _newton_step(p: Matrix, z: Matrix, q: Matrix, channel: Matrix) -> tuple[Matrix, Matrix]:
    classes = p.shape[1]
    s = p @ channel
    gradient = 1 - _ratios(p, q, channel)
    mu = 0.1 * (p * z).mean(axis=1, keepdims=True)
    hessian = np.einsum("ky,iy,ly->ikl", channel, q / s**2, channel, optimize=True)
    hessian[:, np.arange(classes), np.arange(classes)] += z / p
    dp = np.linalg.solve(hessian, (mu / p - gradient)[:, :, None])[:, :, 0]
    dz = (mu - z * dp) / p - z
    step = _to_boundary(p, dp)
    before = _barrier(p, q, channel, mu)
    slope = ((gradient - mu / p) * dp).sum(axis=1)
    for _ in range(40):
        worse = _barrier(p + step[:, None] * dp, q, channel, mu) > before + 1e-4 * step * slope + 1e-14 * abs(before)
        if not worse.any():
            break
        step = np.where(worse, step / 2, step)
    return p + step[:, None] * dp, z + _to_boundary(z, dz)[:, None] * dz


def _to_boundary(x: Matrix, dx: Matrix) -> Matrix:
    """The longest step of at most 1 that keeps a hundredth of every coordinate, [N]."""
    longest: Matrix = np.divide(-0.99 * x, dx, out=np.ones_like(x), where=dx < 0).min(axis=1)
    return np.minimum(longest, 1.0)


def _barrier(p: Matrix, q: Matrix, channel: Matrix, mu: Matrix) -> Matrix:
    value: Matrix = p.sum(axis=1) - (q * np.log(p @ channel)).sum(axis=1) - mu[:, 0] * np.log(p).sum(axis=1)
    return value
