"""The noise laws on classes (design 5): where a redrawn target goes, and the channel matrix that says so.

Every law shares one rule: with u and v from an entry's first two random words, the target is redrawn iff u < e, and v
alone chooses the replacement. A larger noise ratio therefore keeps every target that a smaller one made wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from trainers.errors import SpecError
from trainers.noise.channel import Channel, Dense, Mapped, Uniform
from trainers.spec import NoiseSpec
from trainers.streams import WORDS, uniforms

Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]
Map = tuple[int, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassLaw:
    """A law on classes: ``replace(labels, v, map, classes)`` draws, ``weights(map, classes)`` is its W.

    W[k, y] is the probability that a redrawn target of truth k becomes y, [classes, classes], rows sum to 1.
    ``parts(e, map, classes)`` is T without a matrix of that size; it may be None, for a W that has no structure.
    """

    name: str
    about: str
    replace: Callable[[Labels, Matrix, Map | None, int], Labels]
    weights: Callable[[Map | None, int], Matrix]
    parts: Callable[[float, Map | None, int], Channel | None] = lambda e, mapping, classes: None
    takes_map: bool = False

    def check(self, noise: NoiseSpec, classes: int) -> None:
        """At ratio 0 any law fits: it is never asked.

        Raises:
            SpecError: fewer than two classes, a map that is missing, unasked for, or does not fit the classes.
        """
        if noise.ratio == 0:
            return
        if not self.takes_map:
            check_no_map(self.name, noise, classes)
            return
        check_classes(self.name, classes)
        if noise.map is None:
            raise SpecError(
                f"noise law {self.name!r} needs noise.map: for each of the {classes} classes either a class "
                "(a list of whole numbers) or a row of weights (a list of lists)."
            )
        _check_map(noise.map, classes)

    def corrupt(self, labels: Labels, words: npt.NDArray[np.uint64], noise: NoiseSpec, classes: int) -> Labels:
        """Labels after noise, [n]; ``words`` is [n, 4]. The labels given are left as they are.

        Raises:
            ValueError: ``words`` is not one block of four an entry.
        """
        if words.shape != (len(labels), WORDS):
            raise ValueError(f"words of shape {words.shape} for {len(labels)} labels; ({len(labels)}, {WORDS}) is due")
        targets = labels.astype(np.int64)
        if noise.ratio == 0:
            return targets
        drawn = uniforms(words[:, :2])
        redrawn = drawn[:, 0] < float(noise.rate)
        targets[redrawn] = self.replace(targets[redrawn], drawn[redrawn, 1], noise.map, classes)
        return targets

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix:
        """T = (1 - e) I + e W with T[k, y] = P(target y | truth k), [classes, classes], rows sum to 1."""
        e = noise.rate
        if e == 0:
            return np.eye(classes)
        channel: Matrix = float(1 - e) * np.eye(classes) + float(e) * self.weights(noise.map, classes)
        return channel

    def structured(self, noise: NoiseSpec, classes: int) -> Channel:
        """The same T by its parts; see :mod:`trainers.noise.channel`."""
        if noise.ratio == 0:
            return Uniform(classes, 1.0, 0.0)
        found = self.parts(float(noise.rate), noise.map, classes)
        return Dense(self.channel(noise, classes)) if found is None else found


def check_classes(name: str, classes: int) -> None:
    """Raises:
    SpecError: fewer than two classes.
    """
    if classes < 2:
        raise SpecError(
            f"noise law {name!r} needs at least 2 classes and the data set has {classes}: "
            "there is no wrong class to go to. Choose a data set with more classes."
        )


def check_no_map(name: str, noise: NoiseSpec, classes: int) -> None:
    """Raises:
    SpecError: fewer than two classes, or a map where the law ``name`` takes none.
    """
    check_classes(name, classes)
    if noise.map is not None:
        raise SpecError(
            f"noise.map is given and noise law {name!r} takes none. Remove noise.map, or set noise.law to 'confusion'."
        )


def _any_wrong(labels: Labels, v: Matrix, _map: Map | None, classes: int) -> Labels:
    # A step of 1 to n - 1 round the circle of classes. v <= 1 - 2**-53, and its product with a whole number m stays
    # below m after rounding, so the step never reaches n.
    return (labels + 1 + (v * (classes - 1)).astype(np.int64)) % classes


def _any_class(_labels: Labels, v: Matrix, _map: Map | None, classes: int) -> Labels:
    return (v * classes).astype(np.int64)


def _next(labels: Labels, _v: Matrix, _map: Map | None, classes: int) -> Labels:
    return (labels + 1) % classes


def _mapped(labels: Labels, v: Matrix, mapping: Map | None, classes: int) -> Labels:
    whole = _whole(mapping)
    if whole is not None:
        return whole[labels]
    cumulative = _cumulative(mapping, classes)
    targets = np.empty_like(labels)
    for truth in np.unique(labels):
        chosen = labels == truth
        # The first class whose cumulative weight exceeds v: one of weight 0 adds nothing and is never it.
        targets[chosen] = np.searchsorted(cumulative[truth], v[chosen], side="right")
    return targets


def _wrong_weights(_map: Map | None, classes: int) -> Matrix:
    return (np.ones((classes, classes)) - np.eye(classes)) / (classes - 1)


def _all_weights(_map: Map | None, classes: int) -> Matrix:
    return np.full((classes, classes), 1 / classes)


def _next_weights(_map: Map | None, classes: int) -> Matrix:
    return np.roll(np.eye(classes), 1, axis=1)


def _map_weights(mapping: Map | None, classes: int) -> Matrix:
    whole = _whole(mapping)
    if whole is not None:
        return np.eye(classes)[whole]
    rows = np.array(mapping, dtype=np.float64)
    # By the row's largest first: weights near the top of the range would overflow in their sum.
    rows = rows / rows.max(axis=1, keepdims=True)
    weights: Matrix = rows / rows.sum(axis=1, keepdims=True)
    return weights


@lru_cache(maxsize=8)
def _whole(mapping: Map | None) -> Labels | None:
    """A map of whole numbers as an array [classes], read-only; None for one of rows."""
    if mapping is None:
        raise ValueError("the law needs a map; call check() first")
    if isinstance(mapping[0], tuple):
        return None
    found = np.array(mapping, dtype=np.int64)
    found.flags.writeable = False
    return found


def _wrong_parts(e: float, _map: Map | None, classes: int) -> Channel:
    b = e / (classes - 1)
    return Uniform(classes, 1 - e - b, b)


def _all_parts(e: float, _map: Map | None, classes: int) -> Channel:
    return Uniform(classes, 1 - e, e / classes)


def _next_parts(e: float, _map: Map | None, classes: int) -> Channel:
    return Mapped(e, _next(np.arange(classes), np.empty(0), None, classes))


def _map_parts(e: float, mapping: Map | None, _classes: int) -> Channel | None:
    whole = _whole(mapping)
    return None if whole is None else Mapped(e, whole)


@lru_cache(maxsize=8)
def _cumulative(mapping: Map | None, classes: int) -> Matrix:
    sums = np.cumsum(_map_weights(mapping, classes), axis=1)
    found: Matrix = sums / sums[:, -1:]  # exactly 1 from the last class with any weight on
    found.flags.writeable = False
    return found


def _check_map(mapping: Map, classes: int) -> None:
    """Raises:
    SpecError: wrong length, a class out of range, a row that is no distribution, or a map that changes nothing.
    """
    if len(mapping) != classes:
        raise SpecError(
            f"noise.map has {len(mapping)} entries and the data set {classes} classes; give one entry a class, "
            "in the order of the classes."
        )
    clean = True
    for truth in range(classes):
        entry = mapping[truth]
        if isinstance(entry, tuple):
            _check_row(truth, entry, classes)
            clean = clean and not any(weight for target, weight in enumerate(entry) if target != truth)
        elif not 0 <= entry < classes:
            raise SpecError(f"noise.map sends class {truth} to {entry}; a class from 0 to {classes - 1} is allowed.")
        else:
            clean = clean and entry == truth
    if clean:
        raise SpecError(
            "noise.map sends every class to itself, so no target would become wrong. "
            "Send at least one class elsewhere, or set noise.ratio to 0 with another law."
        )


def _check_row(truth: int, row: tuple[float, ...], classes: int) -> None:
    if len(row) != classes:
        raise SpecError(f"noise.map gives class {truth} a row of {len(row)} weights; {classes} are due, one a class.")
    for target, weight in enumerate(row):
        if not math.isfinite(weight) or weight < 0:
            raise SpecError(
                f"noise.map gives class {truth} the weight {weight} for class {target}; "
                "a finite number of 0 or more is allowed."
            )
    if not any(row):
        raise SpecError(
            f"noise.map gives class {truth} weights that are all 0; give at least one class a weight above 0 "
            f"(all of it to class {truth} itself to leave that class clean)."
        )


UNIFORM_WRONG = ClassLaw(
    "uniform_wrong",
    "a redrawn target is uniform over the n-1 wrong classes: true error e",
    _any_wrong,
    _wrong_weights,
    _wrong_parts,
)
UNIFORM_ALL = ClassLaw(
    "uniform_all",
    "a redrawn target is uniform over all n classes and may hit the truth: true error e (n-1)/n",
    _any_class,
    _all_weights,
    _all_parts,
)
NEXT_CLASS = ClassLaw(
    "next_class",
    "a redrawn target is the class after the true one, the last wraps to the first: true error e",
    _next,
    _next_weights,
    _next_parts,
)
CONFUSION = ClassLaw(
    "confusion",
    "a redrawn target follows noise.map: a class for each class, or a row of weights for each class",
    _mapped,
    _map_weights,
    _map_parts,
    takes_map=True,
)
