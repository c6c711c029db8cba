"""Channels by their parts: the same T and condition number as the whole matrix, and no such matrix for a vocabulary."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.noise import channel as channels
from trainers.noise.channel import Channel, Dense, Mapped, RankOne, Uniform, structured
from trainers.noise.laws import CONFUSION, NEXT_CLASS, UNIFORM_ALL, UNIFORM_WRONG
from trainers.noise.nearest import NEAREST
from trainers.noise.teacher import TEACHER
from trainers.noise.unigram import UNIGRAM
from trainers.protocol import NoiseLaw
from trainers.spec import NoiseSpec
from trainers.streams import words

repeatable = settings(derandomize=True, deadline=None, max_examples=60, database=None)
ROWS = ((0.0, 3.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (2.0, 2.0, 2.0, 2.0), (0.0, 0.0, 5.0, 0.0))
UNIGRAM_OF_SEVEN = UNIGRAM.bind(np.array([5, 0, 1, 9, 2, 2, 1]))
NEAREST_OF_SEVEN = NEAREST.bind(np.random.default_rng(3).normal(size=(7, 2)))
cases = pytest.mark.parametrize(
    ("law", "classes", "mapping", "kind"),
    [
        (UNIFORM_WRONG, 7, None, Uniform),
        (UNIFORM_ALL, 7, None, Uniform),
        (NEXT_CLASS, 7, None, Mapped),
        (CONFUSION, 7, (0, 0, 1, 3, 5, 6, 4), Mapped),
        (CONFUSION, 4, ROWS, Dense),
        (UNIGRAM_OF_SEVEN, 7, None, RankOne),
        (NEAREST_OF_SEVEN, 7, None, Mapped),
    ],
    ids=["wrong", "all", "next", "map", "rows", "unigram", "nearest"],
)
rates = st.sampled_from([Fraction(1, 11), Fraction(1, 3), Fraction(1, 2), Fraction(7, 10), Fraction(9, 10)])


def noise(law: NoiseLaw, rate: Fraction, mapping: Any = None) -> NoiseSpec:
    return NoiseSpec(law=law.name, ratio=rate / (1 - rate), map=mapping)


def same_condition(channel: Channel) -> None:
    """Within 1e-5, since a sparse channel's comes from an iteration; both large where T is singular."""
    due = np.linalg.cond(channel.dense())
    if due > 1e9:
        assert channel.condition() > 1e9
    else:
        assert channel.condition() == pytest.approx(due, rel=1e-5)


@cases
@repeatable
@given(rate=rates)
def test_parts_are_the_whole(law: NoiseLaw, classes: int, mapping: Any, kind: type[Channel], rate: Fraction) -> None:
    spec = noise(law, rate, mapping)
    found = structured(law, spec, classes)
    assert isinstance(found, kind)
    assert found.classes == classes
    np.testing.assert_allclose(found.dense(), law.channel(spec, classes), rtol=0, atol=1e-15)
    same_condition(found)


@repeatable
@given(st.data(), rates)
def test_condition_of_any_map(data: st.DataObject, rate: Fraction) -> None:
    n = data.draw(st.integers(2, 12))
    target = data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n) | st.permutations(range(n)))
    same_condition(Mapped(float(rate), np.array(target, dtype=np.int64)))


def test_condition_of_a_large_map_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    target = np.random.default_rng(1).integers(0, 60, 60)
    whole = [Mapped(e, target).condition() for e in (0.1, 1 / 3, 0.8)]
    monkeypatch.setattr(channels, "WHOLE_CLASSES", 10)
    assert [Mapped(e, target).condition() for e in (0.1, 1 / 3, 0.8)] == pytest.approx(whole, rel=1e-5)
    pairs = np.arange(60) ^ 1
    pairs[0] = 5  # no permutation any more; the other pairs are singular at 1/2
    assert Mapped(0.5, pairs).condition() > 1e9


@pytest.mark.parametrize("n", [2, 3, 50, 51])
def test_condition_of_a_cycle_at_its_tie(n: int) -> None:
    """At e = 1/2 an even cycle is singular and an odd one nearly: |1 + w| / 2 = sin(pi / 2 n) for w nearest to -1."""
    found = NEXT_CLASS.structured(noise(NEXT_CLASS, Fraction(1, 2)), n).condition()
    assert found == (math.inf if n % 2 == 0 else pytest.approx(1 / math.sin(math.pi / (2 * n))))


def test_condition_by_hand() -> None:
    assert Uniform(4, 0.5, 0.125).condition() == 2
    assert Uniform(4, 0.0, 0.25).condition() == math.inf
    assert Uniform(2, -0.5, 0.75).condition() == 2
    assert RankOne(0.5, np.full(4, 0.25)).condition() == pytest.approx(2)
    assert Dense(np.ones((2, 2)) / 2).condition() > 1e15


def test_no_noise_is_the_identity_and_a_teacher_has_no_channel() -> None:
    for law in (UNIFORM_WRONG, UNIGRAM, TEACHER):
        found = structured(law, NoiseSpec(law=law.name), 5)
        assert found == Uniform(5, 1.0, 0.0)
        np.testing.assert_array_equal(found.dense(), np.eye(5))
    assert structured(TEACHER, noise(TEACHER, Fraction(1, 2)), 5) is None


class Plain:
    """A law of somebody's own, without ``structured``."""

    name = "plain"
    about = "two classes that change places"

    def check(self, noise: NoiseSpec, classes: int) -> None:
        return

    def corrupt(
        self, labels: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], noise: NoiseSpec, classes: int
    ) -> npt.NDArray[np.int64]:
        return labels.copy()

    def channel(self, noise: NoiseSpec, classes: int) -> npt.NDArray[np.float64] | None:
        return None if classes > 2 else np.array([[0.75, 0.25], [0.25, 0.75]])


def test_a_law_without_parts_is_asked_for_the_whole() -> None:
    found = structured(Plain(), noise(Plain(), Fraction(1, 4)), 2)
    assert isinstance(found, Dense)
    assert found.condition() == pytest.approx(2)
    assert structured(Plain(), noise(Plain(), Fraction(1, 4)), 3) is None


VOCABULARY = 50_257


@pytest.mark.parametrize(
    ("law", "mapping"),
    [
        (UNIFORM_WRONG, None),
        (UNIFORM_ALL, None),
        (NEXT_CLASS, None),
        (CONFUSION, tuple((token * 7 + 1) % VOCABULARY for token in range(VOCABULARY))),
        (UNIGRAM.bind(np.arange(VOCABULARY)), None),
    ],
    ids=["wrong", "all", "next", "map", "unigram"],
)
def test_a_vocabulary_needs_no_square_matrix(law: NoiseLaw, mapping: Any) -> None:
    """50,257^2 numbers are 20 GB; what is allowed here is a hundred vectors."""
    spec = noise(law, Fraction(1, 3), mapping)
    labels = np.arange(0, VOCABULARY, 50)
    drawn = words(0, "noise", 0, len(labels))
    tracemalloc.start()
    try:
        law.check(spec, VOCABULARY)
        targets = law.corrupt(labels, drawn, spec, VOCABULARY)
        found = structured(law, spec, VOCABULARY)
        assert found is not None
        condition = found.condition()
        assert tracemalloc.get_traced_memory()[1] < 100 * 8 * VOCABULARY
    finally:
        tracemalloc.stop()
    assert ((targets >= 0) & (targets < VOCABULARY)).all()
    assert 0.2 < (targets != labels).mean() < 0.5
    assert 1 < condition < 10
