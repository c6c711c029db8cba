"""The inverted channel of a map, T = (1 - e) I + e P: as :mod:`trainers.metrics.inversion`, of a vocabulary.

With weights p >= 0 that need not sum to 1 (see there) the minimum of F falls apart over the graph k -> map[k]: tokens
that no path joins do not meet. Along a path what happens at one token reaches the next times -c, c = e / (1 - e) or its
inverse, whichever is below 1, and a token with p = 0 lets nothing through. So the probability of one token is that of a
problem of its own on the tokens within a radius R of it, c^R <= ``REACH``: 30 steps either way at e = 1/3.

Each is solved by the interior-point method of ``inversion``. Its Newton system (T W T' + D) dp = b is that of
A = W^-1 + T' D^-1 T, whose graph is that of the map: trees that end in one cycle. With the cycle cut it is eliminated
from the leaves to the root, without fill-in. numpy and scipy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.metrics.inversion import FLOOR, ROUNDING
from trainers.noise.channel import Labels, Mapped, Matrix

#: What is left of a disturbance at the end of the radius.
REACH = 1e-9
#: A solution's g_k exceeds 1 by this at most, and p_k |1 - g_k| is at most this: the divergence is as near, in nats.
TOLERANCE = 1e-9
MOST_STEPS = 200
#: Rows times tokens around the truth that are solved at once: 100 arrays or so of 8 bytes a number.
NUMBERS_AT_ONCE = 400_000


@dataclass(frozen=True, slots=True)
class _Around:
    """The tokens around one, children before parents, those of the cycle last: ``nodes`` [m] and the place of each
    one's parent ``parents`` [m], -1 where that is not among them, and its own place where a token maps to itself.
    ``itself`` is the place of the one in the middle.
    """

    nodes: Labels
    parents: Labels
    itself: int


@dataclass(frozen=True, slots=True)
class _Local:
    """n problems side by side, [m, n] each: the graph is a column's own. Row m is a token that nobody asks for.

    Rows before a column's first token are filled up with tokens that map to nowhere, of no effect on the others.
    """

    q: Matrix
    parents: Labels
    own: Matrix  # T[k, k]
    step: Matrix  # T[k, parent], 0 where the parent is not there
    away: Matrix  # T[k, parent] where the parent is not there: its q / (T'p) is taken as 1

    def push(self, p: Matrix) -> Matrix:
        """(T'p)_y, [m, n]."""
        return self.own * p + self.gathered(self.step * p)

    def pull(self, r: Matrix) -> Matrix:
        """(T r)_k among the tokens that are there, [m, n]."""
        padded = np.concatenate([r, np.zeros((1, r.shape[1]))])
        pulled: Matrix = self.own * r + self.step * np.take_along_axis(padded, self.parents, axis=0)
        return pulled

    def gathered(self, values: Matrix) -> Matrix:
        """The sum of each token's children's values, [m, n]."""
        m, n = values.shape
        at = self.parents * n + np.arange(n)
        sums = np.bincount(at.ravel(), values.ravel(), (m + 1) * n).astype(np.float64, copy=False)
        return sums.reshape(m + 1, n)[:m]

    def columns(self, chosen: npt.NDArray[Any]) -> _Local:
        q, own, step, away = (part[:, chosen] for part in (self.q, self.own, self.step, self.away))
        return _Local(q, self.parents[:, chosen], own, step, away)


@dataclass(slots=True)
class MapInversion:
    """Inverts one channel; keeps what it learnt of the map's graph."""

    channel: Mapped
    _factors: Any = None
    _children: list[Labels] | None = None
    _around: dict[int, _Around] = field(default_factory=dict)

    def __call__(self, q: Matrix, truth: Labels) -> tuple[Matrix, npt.NDArray[np.bool_]]:
        """p(truth) [n] of the inverted prediction, unmixed, and whether T^-T q lies outside of the simplex [n].

        Args:
            q: predictions [n, classes], rows sum to 1.

        Raises:
            ArithmeticError: a solution failed its check (none is known to).
        """
        q = np.maximum(q, FLOOR)
        q /= q.sum(axis=1, keepdims=True)
        p = self._solved(q)
        boundary = p.min(axis=1) < -ROUNDING
        found: Matrix = np.maximum(p[np.arange(len(q)), truth], 0.0)
        rows, order = self._outside(p, truth, np.flatnonzero(boundary))
        for first, last in _parts(order):
            part = rows[first:last]
            around = [self.around(int(token)) for token in truth[part]]
            local, mass = _side_by_side(self.channel.e, q[part], around)
            itself = [len(local.q) - len(one.nodes) + one.itself for one in around]
            found[part] = mass * _interior_point(local)[itself, np.arange(len(part))]
        return found, boundary

    def _solved(self, q: Matrix) -> Matrix:
        """T^-T q for each row."""
        from scipy.sparse import linalg

        if self._factors is None:
            self._factors = linalg.splu(self.channel.sparse())
        solved: Matrix = self._factors.solve(np.ascontiguousarray(q.T), trans="T").T
        return solved

    def _outside(self, p: Matrix, truth: Labels, rows: Labels) -> tuple[Labels, Labels]:
        """Those of ``rows`` for which T^-T q is negative near the truth, by the number of tokens there; and that."""
        kept = [row for row in rows if p[row, self.around(int(truth[row])).nodes].min() < -ROUNDING]
        sizes = np.array([len(self.around(int(truth[row])).nodes) for row in kept], dtype=np.int64)
        order = np.argsort(sizes, kind="stable")
        return np.array(kept, dtype=np.int64)[order], sizes[order]

    def around(self, token: int) -> _Around:
        """The tokens within the radius of ``token``, whichever way the map leads."""
        found = self._around.get(token)
        if found is None:
            found = self._around[token] = _ordered(self._within(token), self.channel.target, token)
        return found

    def _within(self, token: int) -> Labels:
        e, target = self.channel.e, self.channel.target
        ratio = min(e, 1 - e) / max(e, 1 - e)
        radius = math.ceil(math.log(REACH) / math.log(ratio)) if ratio < 1 else len(target)
        if self._children is None:
            by_parent = np.argsort(target, kind="stable")
            self._children = np.split(by_parent, np.cumsum(np.bincount(target, minlength=len(target)))[:-1])
        seen, edge = {token}, [token]
        for _ in range(radius):
            reached = {int(target[k]) for k in edge}
            reached.update(int(child) for k in edge for child in self._children[k])
            edge = list(reached - seen)
            if not edge:
                break
            seen.update(edge)
        return np.array(sorted(seen), dtype=np.int64)


def _parts(sizes: Labels) -> list[tuple[int, int]]:
    """Stretches of problems, given in rising order of size, that fit in memory and are of about one size."""
    parts, first = [], 0
    while first < len(sizes):
        last = first + 1
        while last < len(sizes) and (
            sizes[last] <= 1.5 * sizes[first] + 8 and sizes[last] * (last + 1 - first) <= NUMBERS_AT_ONCE
        ):
            last += 1
        parts.append((first, last))
        first = last
    return parts


def _side_by_side(e: float, q: Matrix, around: Sequence[_Around]) -> tuple[_Local, Matrix]:
    """The problems of predictions ``q`` [n, classes], a column each, scaled so that their q sums to 1; and that sum."""
    m, n = max(len(one.nodes) for one in around), len(around)
    local = _Local(
        q=np.full((m, n), 1.0 / m),
        parents=np.full((m, n), m, dtype=np.int64),
        own=np.ones((m, n)),
        step=np.zeros((m, n)),
        away=np.zeros((m, n)),
    )
    mass = np.empty(n)
    for column, one in enumerate(around):
        first = m - len(one.nodes)
        near = q[column, one.nodes]
        mass[column] = near.sum()
        local.q[first:, column] = near / mass[column]
        away, own = one.parents < 0, one.parents == np.arange(len(one.nodes))
        local.parents[first:, column] = np.where(away | own, m, one.parents + first)
        local.own[first:, column] = np.where(own, 1.0, 1 - e)
        local.step[first:, column] = np.where(away | own, 0.0, e)
        local.away[first:, column] = np.where(away, e, 0.0)
    return local, mass


def _ordered(nodes: Labels, target: Labels, token: int) -> _Around:
    """Leaves first; then the cycle in the map's own order, or the token whose parent is not among ``nodes``."""
    within = {int(node) for node in nodes}
    path: dict[int, None] = {}
    at = int(nodes[0])
    while at in within and at not in path:
        path[at] = None
        at = int(target[at])
    walked = list(path)
    end = walked[walked.index(at) :] if at in path else walked[-1:]
    depth = dict.fromkeys(end, 0)
    for node in within:
        climbed = []
        while node not in depth:
            climbed.append(node)
            node = int(target[node])
        for below, one in enumerate(reversed(climbed), start=depth[node] + 1):
            depth[one] = below
    order = sorted(within - set(end), key=lambda node: (-depth[node], node)) + end
    place = {node: position for position, node in enumerate(order)}
    parents = [place.get(int(target[node]), -1) for node in order]
    return _Around(np.array(order, dtype=np.int64), np.array(parents, dtype=np.int64), place[token])


def _interior_point(local: _Local) -> Matrix:
    """The minimum [m, n] of each column's problem; as ``inversion._interior_point``, see there.

    Raises:
        ArithmeticError: a column did not reach the tolerance.
    """
    p = np.full_like(local.q, 1.0 / len(local.q))
    z = np.ones_like(p)
    columns = np.arange(p.shape[1])
    rest = local
    for _ in range(MOST_STEPS):
        p[:, columns], z[:, columns] = _newton_step(p[:, columns], z[:, columns], rest)
        off = 1 - rest.pull(rest.q / rest.push(p[:, columns])) - rest.away
        missed = ~(np.maximum(-off, p[:, columns] * np.abs(off)).max(axis=0) <= TOLERANCE)
        if not missed.any():
            return p
        columns = columns[missed]
        rest = rest.columns(missed)
    raise ArithmeticError(
        f"the channel inversion of a map missed {TOLERANCE:g} nats in {len(columns)} predictions after {MOST_STEPS} "
        "steps; this is a fault of the solver: report the map and the predictions"
    )


def _newton_step(p: Matrix, z: Matrix, local: _Local) -> tuple[Matrix, Matrix]:
    s = local.push(p)
    gradient = 1 - local.pull(local.q / s) - local.away
    mu = 0.1 * (p * z).mean(axis=0)
    dp = _direction(local.q / (s * s), p / z, mu / p - gradient, local)
    dz = (mu - z * dp) / p - z
    step = _to_boundary(p, dp)
    before = _barrier(p, local, mu)
    slope = ((gradient - mu / p) * dp).sum(axis=0)
    for _ in range(40):
        worse = _barrier(p + step * dp, local, mu) > before + 1e-4 * step * slope + 1e-14 * np.abs(before)
        if not worse.any():
            break
        step = np.where(worse, step / 2, step)
    return p + step * dp, z + _to_boundary(z, dz) * dz


def _direction(w: Matrix, inverse: Matrix, b: Matrix, local: _Local) -> Matrix:
    """dp [m, n] with (T W T' + D) dp = b, ``w`` being W's diagonal and ``inverse`` D^-1's.

    The last row's own unknown closes the cycle. Without it the graph is a tree: that system is solved for b and for
    what a unit of that unknown adds, and the last equation tells how much of it there is.
    """
    last = len(b) - 1
    every = np.arange(b.shape[1])
    column = np.zeros((last + 2, b.shape[1]))  # of T', the last row's
    column[last] = local.own[last]
    column[local.parents[last], every] += local.step[last]
    column = column[: last + 1]
    added = local.pull(w * column)
    plain, unit = _along_the_tree(1 / w, inverse, np.stack([b, added]), local)
    least = 1 / inverse[last]
    whole = (w * column * column).sum(axis=0) + least - (added[:last] * unit).sum(axis=0)
    theta = (b[last] - (added[:last] * plain).sum(axis=0)) / np.maximum(whole, least)
    return np.concatenate([plain - theta * unit, theta[None]])


def _along_the_tree(weights: Matrix, inverse: Matrix, b: Matrix, local: _Local) -> Matrix:
    """dp [2, m - 1, n] with (T W T' + D) dp = b for both of ``b`` [2, m, n], the last row's unknown held at 0.

    dp = D^-1 (b - T x) where A x = T' D^-1 b and A = W^-1 + T' D^-1 T, ``weights`` being W^-1's diagonal. D^-1 may be
    1e15 times W^-1, so A itself is never formed: ``rest`` and ``right`` are, for each row, what others than its own
    unknown have put there, and all differences of large numbers are taken beforehand, on paper.
    """
    last = b.shape[1] - 1
    every = np.arange(b.shape[2])
    rest = np.concatenate([weights, np.ones((1, b.shape[2]))])
    right = np.zeros((2, last + 2, b.shape[2]))
    held = local.own * inverse
    for j in range(last):
        parent = local.parents[j]
        handed = local.step[j] / (rest[j] + local.own[j] * held[j])
        right[:, parent, every] += handed * (inverse[j] * rest[j] * b[:, j] - held[j] * right[:, j])
        rest[parent, every] += handed * local.step[j] * inverse[j] * rest[j]
    x = np.zeros_like(right)
    x[:, last] = right[:, last] / rest[last]
    dp = np.empty((2, last, b.shape[2]))
    for j in range(last - 1, -1, -1):
        left = b[:, j] - local.step[j] * x[:, local.parents[j], every]
        whole = rest[j] + local.own[j] * held[j]
        x[:, j] = (held[j] * left + right[:, j]) / whole
        dp[:, j] = inverse[j] * (rest[j] * left - local.own[j] * right[:, j]) / whole
    return dp


def _to_boundary(x: Matrix, dx: Matrix) -> Matrix:
    """The longest step of at most 1 that keeps a hundredth of every coordinate, [n]."""
    longest: Matrix = np.divide(-0.99 * x, dx, out=np.ones_like(x), where=dx < 0).min(axis=0)
    return np.minimum(longest, 1.0)


def _barrier(p: Matrix, local: _Local, mu: Matrix) -> Matrix:
    value: Matrix = (
        ((1 - local.away) * p).sum(axis=0) - (local.q * np.log(local.push(p))).sum(axis=0) - mu * np.log(p).sum(axis=0)
    )
    return value
