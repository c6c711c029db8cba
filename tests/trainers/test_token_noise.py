"""Noise on windows: what keys it, what stays wrong, where it strikes, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.errors import SpecError
from trainers.noise.laws import UNIFORM_ALL, UNIFORM_WRONG
from trainers.noise.nearest import NEAREST
from trainers.noise.teacher import TEACHER
from trainers.noise.token_spec import TokenNoiseSpec
from trainers.noise.tokens import EXAMPLE_PURPOSE, PURPOSE, TokenBatch, TokenCorruption, token_corruption
from trainers.noise.unigram import UNIGRAM
from trainers.protocol import NoiseLaw
from trainers.registry import noise_law
from trainers.streams import runs, uniforms, words

V, CONTEXT = 50, 8
CORPUS = np.random.default_rng(0).integers(0, V, 4000)
LAWS: dict[str, NoiseLaw] = {
    **{name: noise_law(name) for name in ("uniform_wrong", "uniform_all", "next_class")},
    "unigram": UNIGRAM.bind(np.bincount(CORPUS, minlength=V)),
    "nearest": NEAREST.bind(np.random.default_rng(1).normal(size=(V, 4))),
    "teacher": TEACHER,
}
Refresh = Literal["fresh", "frozen"]
laws = pytest.mark.parametrize("law", LAWS)
refreshes = pytest.mark.parametrize("refresh", ["fresh", "frozen"])
places = pytest.mark.parametrize("place", [{}, {"unit": "example"}, {"corrupt": "stream"}], ids=["token", "ex", "str"])
repeatable = settings(derandomize=True, deadline=None, max_examples=8, database=None)


def sampler(inputs: npt.NDArray[np.int64], v: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A teacher that knows one token of context: uniform over the five after it."""
    return (inputs + 1 + (v * 5).astype(np.int64)) % V


def noise(law: str = "uniform_wrong", ratio: str = "1", refresh: Refresh = "fresh", **fields: Any) -> TokenNoiseSpec:
    return TokenNoiseSpec(law=law, ratio=Fraction(ratio), refresh=refresh, **fields)


def run(spec: TokenNoiseSpec, seed: int = 0, context: int = CONTEXT) -> TokenCorruption:
    teacher = sampler if spec.law == "teacher" else None
    return token_corruption(spec, V, seed, LAWS[spec.law], context=context, sampler=teacher)


def windows(starts: npt.NDArray[np.int64], context: int = CONTEXT) -> npt.NDArray[np.int64]:
    return CORPUS[starts[:, None] + np.arange(context + 1)]


def read(
    spec: TokenNoiseSpec, starts: npt.NDArray[np.int64], position: int = 0, seed: int = 0, context: int = CONTEXT
) -> TokenBatch:
    return run(spec, seed, context).apply(windows(starts, context), starts, position)


STARTS = np.arange(0, 3200, CONTEXT)


@places
@refreshes
@laws
def test_shapes_kinds_and_truth(law: str, refresh: Refresh, place: dict[str, Any]) -> None:
    given, batch = windows(STARTS), read(noise(law, refresh=refresh, **place), STARTS)
    np.testing.assert_array_equal(batch.truth, given[:, 1:])
    if "corrupt" not in place:
        np.testing.assert_array_equal(batch.inputs, given[:, :-1])
    for part in (batch.inputs, batch.targets, batch.truth):
        assert part.dtype == np.int64
        assert part.shape == (len(STARTS), CONTEXT)
        assert part.min() >= 0
        assert part.max() < V


@places
@refreshes
def test_ratio_0_is_the_text(refresh: Refresh, place: dict[str, Any]) -> None:
    batch = read(TokenNoiseSpec(refresh=refresh, **place), STARTS)
    np.testing.assert_array_equal(batch.targets, batch.truth)
    np.testing.assert_array_equal(batch.inputs, windows(STARTS)[:, :-1])
    batch.targets[:] = 0
    assert batch.truth.any(), "targets are no view of the truth"


@places
@refreshes
@laws
@repeatable
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(0, 10**9), st.integers(0, 2**32 - 1))
def test_a_batch_does_not_depend_on_how_the_stream_is_cut(
    law: str, refresh: Refresh, place: dict[str, Any], counts: list[int], position: int, seed: int
) -> None:
    starts = np.random.default_rng(seed).integers(0, len(CORPUS) - CONTEXT - 1, sum(counts))
    spec = noise(law, refresh=refresh, **place)
    whole = read(spec, starts, position, seed)
    at = 0
    for count in counts:
        part = read(spec, starts[at : at + count], position + at, seed)
        np.testing.assert_array_equal(part.targets, whole.targets[at : at + count])
        np.testing.assert_array_equal(part.inputs, whole.inputs[at : at + count])
        at += count


@places
@refreshes
@laws
def test_nested_over_the_ratio(law: str, refresh: Refresh, place: dict[str, Any]) -> None:
    """What a smaller ratio made wrong stays so, the same way; inputs too where they share the errors."""
    found = [read(noise(law, ratio, refresh, **place), STARTS) for ratio in ("0", "1/10", "1/2", "1", "9")]
    for few, many in pairwise(found):
        assert (many.targets != many.truth).sum() > (few.targets != few.truth).sum()
        for part in ("inputs", "targets"):
            before, after = getattr(few, part), getattr(many, part)
            wrong = before != getattr(found[0], part)
            np.testing.assert_array_equal(after[wrong], before[wrong])


@refreshes
@pytest.mark.parametrize("law", ["uniform_wrong", "next_class", "nearest"])
@pytest.mark.parametrize("place", [{}, {"corrupt": "stream"}], ids=["targets", "stream"])
def test_wrong_at_the_rate(law: str, refresh: Refresh, place: dict[str, Any]) -> None:
    batch = read(noise(law, "1/2", refresh, **place), STARTS, position=77)
    count = batch.targets.size
    spread = 5 * np.sqrt(count * 2 / 9)
    assert abs((batch.targets != batch.truth).sum() - count / 3) < spread
    if place:
        assert abs((batch.inputs != windows(STARTS)[:, :-1]).sum() - count / 3) < spread


def test_fresh_tokens_are_keyed_by_their_place_in_the_stream() -> None:
    spec = noise("uniform_all")
    batch = read(spec, STARTS[:5], position=1000, seed=3)
    flat = windows(STARTS[:5])[:, 1:].ravel()
    due = UNIFORM_ALL.corrupt(flat, words(3, PURPOSE, 1000 * CONTEXT, 5 * CONTEXT), spec, V)
    np.testing.assert_array_equal(batch.targets.ravel(), due)
    shared = read(noise("uniform_all", corrupt="stream"), STARTS[:5], position=1000, seed=3)
    flat = windows(STARTS[:5]).ravel()
    due = UNIFORM_ALL.corrupt(flat, words(3, PURPOSE, 1000 * (CONTEXT + 1), 5 * (CONTEXT + 1)), spec, V)
    np.testing.assert_array_equal(shared.inputs, due.reshape(5, -1)[:, :-1])
    np.testing.assert_array_equal(shared.targets, due.reshape(5, -1)[:, 1:])


def test_frozen_tokens_are_keyed_by_their_place_in_the_corpus() -> None:
    """One table of the corpus tells all: whatever the window, its length, its position, and whether inputs share it."""
    spec = noise("uniform_all", refresh="frozen")
    table = UNIFORM_ALL.corrupt(CORPUS, words(3, PURPOSE, 0, len(CORPUS)), spec, V)
    for context in (1, 3, CONTEXT):
        starts = np.array([0, 17, 18, 1234, 17])
        due = table[starts[:, None] + np.arange(context + 1)]
        batch = read(spec, starts, 5, 3, context)
        np.testing.assert_array_equal(batch.targets, due[:, 1:])
        shared = read(noise("uniform_all", refresh="frozen", corrupt="stream"), starts, 99, 3, context)
        np.testing.assert_array_equal(shared.targets, due[:, 1:])
        np.testing.assert_array_equal(shared.inputs, due[:, :-1])


def test_fresh_noise_is_redrawn_at_each_access() -> None:
    wrong = [(batch := read(noise(), STARTS, position)).targets != batch.truth for position in (0, len(STARTS))]
    count = wrong[0].size
    assert abs((wrong[0] & wrong[1]).sum() - count / 4) < 5 * np.sqrt(count * 3 / 16)


@refreshes
def test_an_example_is_wrong_whole_or_not_at_all(refresh: Refresh) -> None:
    batch = read(noise(refresh=refresh, unit="example"), STARTS, position=7)
    wrong = batch.targets != batch.truth
    assert set(wrong.sum(axis=1).tolist()) == {0, CONTEXT}
    whole = wrong.all(axis=1).sum()
    assert abs(whole - len(STARTS) / 2) < 5 * np.sqrt(len(STARTS) / 4)
    steps = (batch.targets - batch.truth)[wrong.all(axis=1)] % V
    assert (steps != steps[:, :1]).any(axis=1).all(), "each token of an example is drawn by itself"


def test_what_decides_on_an_example_and_what_it_becomes() -> None:
    fresh = read(noise(unit="example"), STARTS[:20], position=30, seed=2)
    u = uniforms(words(2, EXAMPLE_PURPOSE, 30, 20)[:, 0])
    np.testing.assert_array_equal((fresh.targets != fresh.truth).all(axis=1), u < 0.5)
    starts = np.array([5, 900, 5, 6, 77, 2000])
    spec = noise(refresh="frozen", unit="example")
    frozen = read(spec, starts, position=30, seed=2)
    u = uniforms(runs(2, EXAMPLE_PURPOSE, starts, 1)[:, 0, 0])
    np.testing.assert_array_equal((frozen.targets != frozen.truth).all(axis=1), u < 0.5)
    drawn = words(2, PURPOSE, 0, len(CORPUS))
    drawn[:, 0] = 0  # redrawn for sure
    table = UNIFORM_WRONG.corrupt(CORPUS, drawn, spec, V)
    due = table[starts[:, None] + 1 + np.arange(CONTEXT)]
    np.testing.assert_array_equal(frozen.targets[u < 0.5], due[u < 0.5])


@refreshes
def test_a_teacher_sees_clean_contexts_and_the_tokens_own_v(refresh: Refresh) -> None:
    seen: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []

    def spy(inputs: npt.NDArray[np.int64], v: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        seen.append((inputs, v))
        return sampler(inputs, v)

    batches = [
        token_corruption(spec, V, 4, TEACHER, context=CONTEXT, sampler=spy).apply(windows(STARTS), STARTS, 11)
        for spec in (noise("teacher", refresh=refresh), noise("teacher", refresh=refresh, corrupt="stream"))
    ]
    for (inputs, v), batch in zip(seen, batches, strict=True):
        np.testing.assert_array_equal(inputs, windows(STARTS)[:, :-1])
        changed = batch.targets != batch.truth
        np.testing.assert_array_equal(batch.targets[changed], sampler(inputs, v)[changed])
    np.testing.assert_array_equal(batches[1].inputs[:, 0], windows(STARTS)[:, 0])
    np.testing.assert_array_equal(batches[1].inputs[:, 1:], batches[1].targets[:, :-1])
    if refresh == "frozen":
        drawn = uniforms(words(4, PURPOSE, 0, len(CORPUS)))
        np.testing.assert_array_equal(seen[0][1], drawn[STARTS[:, None] + 1 + np.arange(CONTEXT), 1])
        np.testing.assert_array_equal(seen[0][1], seen[1][1])


@refreshes
def test_seeds_differ(refresh: Refresh) -> None:
    first, second = (read(noise(refresh=refresh), STARTS, seed=seed).targets for seed in (0, 1))
    assert (first != second).mean() > 0.5


@places
def test_windows_are_left_as_they_are(place: dict[str, Any]) -> None:
    given = windows(STARTS)
    given.flags.writeable = False
    batch = run(noise(**place)).apply(given, STARTS, 0)
    for part in (batch.inputs, batch.targets, batch.truth):
        assert not np.shares_memory(part, given)
        part[:] = 0  # what is handed out is the caller's
    np.testing.assert_array_equal(given, windows(STARTS))


def test_no_windows_give_an_empty_batch() -> None:
    for refresh in ("fresh", "frozen"):
        assert read(noise(refresh=refresh), STARTS[:0]).targets.shape == (0, CONTEXT)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3, CONTEXT), (3, CONTEXT + 2), (2, CONTEXT + 1)])
def test_windows_of_the_wrong_shape_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"\(3, {CONTEXT + 1}\) is due"):
        run(noise()).apply(np.zeros(shape, dtype=np.int64), np.arange(3), 0)


@pytest.mark.parametrize("sampled", [np.full((1, CONTEXT), V), np.full((1, CONTEXT), -1), np.zeros((1, 1), np.int64)])
def test_what_is_no_sample_is_refused(sampled: npt.NDArray[np.int64]) -> None:
    found = token_corruption(noise("teacher"), V, 0, TEACHER, context=CONTEXT, sampler=lambda inputs, v: sampled)
    with pytest.raises(ValueError, match="the sampler gave"):
        found.apply(windows(STARTS[:1]), STARTS[:1], 0)


def test_laws_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="at least 2 classes"):
        token_corruption(noise(), 1, 0, UNIFORM_WRONG, context=4)
    with pytest.raises(SpecError, match=r"not bound to its frequencies; call bind\(frequencies\)"):
        token_corruption(noise("unigram"), V, 0, UNIGRAM, context=4)
    with pytest.raises(SpecError, match="role 'teacher'"):
        token_corruption(noise("teacher"), V, 0, TEACHER, context=4)
    with pytest.raises(SpecError, match="takes no model's samples"):
        token_corruption(noise(), V, 0, UNIFORM_WRONG, context=4, sampler=sampler)
    clean = token_corruption(TokenNoiseSpec(), V, 0, UNIGRAM, context=CONTEXT, sampler=sampler)
    np.testing.assert_array_equal(clean.apply(windows(STARTS), STARTS, 0).targets, windows(STARTS)[:, 1:])
