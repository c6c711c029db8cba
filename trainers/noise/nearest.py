"""The law ``nearest``: each token becomes its nearest other one in a trained model's embedding, a fixed map."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from trainers.errors import SpecError
from trainers.noise.channel import Channel, Mapped
from trainers.noise.laws import ClassLaw, Labels, Map, Matrix
from trainers.noise.material import MaterialLaw

NAME = "nearest"
ABOUT = "a redrawn target is the true one's nearest other, by cosine, in a trained model's embedding: true error e"

#: Cosines at once: two million numbers of 8 bytes are 16 MB.
NUMBERS_AT_ONCE = 2_000_000
#: Cosines this near to the largest are equal to it: their last bits depend on how the product was computed.
ROUNDING = 1e-12


def nearest(embedding: Any) -> ClassLaw:
    """The law of an embedding [classes, d].

    Raises:
        SpecError: these are no vectors of finite numbers, or fewer than two.
    """
    target = neighbours(embedding)
    target.flags.writeable = False
    return ClassLaw(NAME, ABOUT, partial(_replace, target), partial(_weights, target), partial(_parts, target))


def neighbours(embedding: Any) -> Labels:
    """For each row of ``embedding`` [n, d] the other row of the largest cosine to it, the first of equal ones, [n].

    A row of zeros has cosine 0 to every other.

    Raises:
        SpecError: these are no vectors of finite numbers, or fewer than two.
    """
    vectors = np.asarray(embedding, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) < 2 or not np.isfinite(vectors).all():
        raise SpecError(
            f"the embedding has shape {vectors.shape}; finite vectors of shape [classes, d], two or more, are due"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    found = np.empty(len(units), dtype=np.int64)
    chunk = max(1, NUMBERS_AT_ONCE // len(units))
    for start in range(0, len(units), chunk):
        part = units[start : start + chunk]
        cosines = part @ units.T
        rows = np.arange(len(part))
        cosines[rows, start + rows] = -np.inf
        found[start : start + chunk] = (cosines >= cosines.max(axis=1, keepdims=True) - ROUNDING).argmax(axis=1)
    return found


def _replace(target: Labels, labels: Labels, _v: Matrix, _map: Map | None, classes: int) -> Labels:
    _fit(target, classes)
    return target[labels]


def _weights(target: Labels, _map: Map | None, classes: int) -> Matrix:
    _fit(target, classes)
    return np.eye(classes)[target]


def _parts(target: Labels, e: float, _map: Map | None, classes: int) -> Channel:
    _fit(target, classes)
    return Mapped(e, target)


def _fit(target: Labels, classes: int) -> None:
    if len(target) != classes:
        raise SpecError(
            f"noise law {NAME!r} is bound to an embedding of {len(target)} classes, and there are {classes}"
        )


NEAREST = MaterialLaw(NAME, ABOUT, "embedding", nearest)
