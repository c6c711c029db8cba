"""The law ``unigram``: a redrawn target follows the frequencies of the training targets, whatever the truth."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from trainers.errors import SpecError
from trainers.noise.channel import Channel, RankOne
from trainers.noise.laws import ClassLaw, Labels, Map, Matrix
from trainers.noise.material import MaterialLaw

NAME = "unigram"
ABOUT = "a redrawn target follows the training targets' frequencies u and may hit the truth: true error e (1 - u.u)"


def unigram(frequencies: Any) -> ClassLaw:
    """The law of counts [classes].

    Raises:
        SpecError: these are no counts, or none is above 0.
    """
    counts = np.asarray(frequencies)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
        raise SpecError(
            f"the frequencies are {counts.dtype} of shape {counts.shape}; counts, whole numbers of shape [classes], "
            "are due"
        )
    if not len(counts) or counts.min() < 0 or not counts.any():
        raise SpecError("the frequencies are counts of the training targets; 0 or more each, and at least one above 0")
    sums = np.cumsum(counts, dtype=np.int64)
    sums.flags.writeable = False
    u = counts / float(sums[-1])
    return ClassLaw(NAME, ABOUT, partial(_replace, sums), partial(_weights, u), partial(_parts, u))


def _replace(sums: Labels, _labels: Labels, v: Matrix, _map: Map | None, classes: int) -> Labels:
    _fit(len(sums), classes)
    # The product stays below the whole number after rounding, v being at most 1 - 2**-53; a class of count 0 adds
    # nothing and is never the first whose sum exceeds it.
    drawn = (v * sums[-1]).astype(np.int64)
    targets: Labels = np.searchsorted(sums, drawn, side="right").astype(np.int64, copy=False)
    return targets


def _weights(u: Matrix, _map: Map | None, classes: int) -> Matrix:
    _fit(len(u), classes)
    return np.tile(u, (classes, 1))


def _parts(u: Matrix, e: float, _map: Map | None, classes: int) -> Channel:
    _fit(len(u), classes)
    return RankOne(e, u)


def _fit(given: int, classes: int) -> None:
    if given != classes:
        raise SpecError(f"noise law {NAME!r} is bound to the frequencies of {given} classes, and there are {classes}")


UNIGRAM = MaterialLaw(NAME, ABOUT, "frequencies", unigram)
