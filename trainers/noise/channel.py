"""Channels T, T[k, y] = P(target y | truth k), by what they are made of: no [n, n] matrix where n is a vocabulary.

A law says which it has by a method ``structured(noise, classes)``; one that has none is asked for its whole matrix.
Vectors are numpy; scipy is imported where a condition number needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from trainers.protocol import NoiseLaw
from trainers.spec import NoiseSpec
from trainers.streams import uniforms, words

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

#: Up to so many classes the singular values are computed of the whole matrix, in a few hundred milliseconds.
WHOLE_CLASSES = 512


class Channel(Protocol):
    """``condition`` is the ratio of T's largest singular value to its smallest, infinite where T is singular."""

    @property
    def classes(self) -> int: ...

    def dense(self) -> Matrix:
        """T itself, [classes, classes], rows sum to 1. For few classes."""

    def condition(self) -> float: ...


@runtime_checkable
class Structured(Protocol):
    """A law that knows what its channel is made of."""

    def structured(self, noise: NoiseSpec, classes: int) -> Channel | None:
        """None where the law has no channel."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """T = a I + b 11^T with a + n b = 1: both uniform laws, and no noise."""

    classes: int
    a: float
    b: float

    def dense(self) -> Matrix:
        return self.a * np.eye(self.classes) + self.b

    def condition(self) -> float:
        """T is symmetric with eigenvalues a + n b = 1 once and a n - 1 times."""
        a = abs(self.a)
        return max(a, 1.0) / min(a, 1.0) if a else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class RankOne:
    """T = (1 - e) I + e 1 u^T: a redrawn target follows the distribution ``u`` [n], whatever the truth."""

    e: float
    u: Matrix

    @property
    def classes(self) -> int:
        return len(self.u)

    def dense(self) -> Matrix:
        return (1 - self.e) * np.eye(self.classes) + self.e * self.u[None, :]

    def condition(self) -> float:
        """All vectors at right angles to 1 and u have singular value 1 - e; in the plane of 1 and u, on the base of
        1 / sqrt(n) and what of u is at right angles to it (of length sqrt(|u|^2 - 1 / n)), T is 2 x 2.
        """
        n = self.classes
        off = math.sqrt(max(0.0, n * float(self.u @ self.u) - 1))
        values = np.linalg.svd(np.array([[1.0, self.e * off], [0.0, 1 - self.e]]), compute_uv=False)
        return float(values[0] / values[1]) if values[1] > 0 else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """T = (1 - e) I + e P with P[k, target[k]] = 1: each class goes to one other, ``target`` [n]."""

    e: float
    target: Labels

    @property
    def classes(self) -> int:
        return len(self.target)

    def dense(self) -> Matrix:
        return (1 - self.e) * np.eye(self.classes) + self.e * np.eye(self.classes)[self.target]

    def condition(self) -> float:
        """In closed form for a permutation; else from the singular values, of a sparse matrix where it is large."""
        if len(np.unique(self.target)) == self.classes:
            return self._of_cycles()
        if self.classes <= WHOLE_CLASSES:
            return _condition(self.dense())
        return self._sparse()

    def _of_cycles(self) -> float:
        """A permutation is normal: a cycle of length m has eigenvalues 1 - e + e w, w the m-th roots of 1.

        The largest is 1, at w = 1; the smallest is that of the root nearest to -1.
        """
        smallest = 1.0
        for m in _cycle_lengths(self.target):
            nearest = 2 * math.pi * (m // 2) / m
            smallest = min(smallest, abs(1 - self.e + self.e * complex(math.cos(nearest), math.sin(nearest))))
        return 1 / smallest if smallest > 1e-15 else math.inf

    def sparse(self) -> object:
        """T as a ``scipy.sparse.csc_matrix``."""
        from scipy import sparse

        n = self.classes
        moved = sparse.csc_matrix((np.full(n, self.e), (np.arange(n), self.target)), shape=(n, n))
        return (1 - self.e) * sparse.identity(n, format="csc") + moved

    def _sparse(self) -> float:
        from scipy.sparse import linalg

        matrix = self.sparse()
        start = uniforms(words(0, "condition", 0, self.classes))[:, 0]  # any, but the same each time
        try:
            factors = linalg.splu(matrix)
        except RuntimeError:  # "Factor is exactly singular"
            return math.inf
        inverse = linalg.LinearOperator(
            (self.classes, self.classes),
            matvec=lambda x: factors.solve(x.ravel()),
            rmatvec=lambda x: factors.solve(x.ravel(), trans="T"),
            dtype=np.float64,
        )
        largest, smallest = (
            float(linalg.svds(one, k=1, v0=start, tol=1e-6, return_singular_vectors=False)[0])
            for one in (matrix, inverse)
        )
        return largest * smallest


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Any T, ``matrix`` [n, n]."""

    matrix: Matrix

    @property
    def classes(self) -> int:
        return len(self.matrix)

    def dense(self) -> Matrix:
        return self.matrix

    def condition(self) -> float:
        return _condition(self.matrix)


def structured(law: NoiseLaw, noise: NoiseSpec, classes: int) -> Channel | None:
    """The channel of ``law``; None where it has none."""
    if noise.ratio == 0:
        return Uniform(classes, 1.0, 0.0)
    if isinstance(law, Structured):
        return law.structured(noise, classes)
    matrix = law.channel(noise, classes)
    return None if matrix is None else Dense(matrix)


def _condition(matrix: Matrix) -> float:
    values = np.linalg.svd(matrix, compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0 else math.inf


def _cycle_lengths(permutation: Labels) -> set[int]:
    lengths: set[int] = set()
    seen = np.zeros(len(permutation), dtype=bool)
    for first in range(len(permutation)):
        at, length = first, 0
        while not seen[at]:
            seen[at] = True
            at, length = int(permutation[at]), length + 1
        if length:
            lengths.add(length)
    return lengths
