"""Streams: any part read alone is the same, values are pinned, and an independent Philox agrees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers import streams

seeds = st.integers(0, 2**32 - 1)
purposes = st.text(max_size=12)
repeatable = settings(derandomize=True, deadline=None, max_examples=60, database=None)

MASK = 2**64 - 1


def philox(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox4x64-10 written from Salmon et al. (2011), section 3.3: the block of a counter below 2**64."""
    words, (low_key, high_key) = [counter, 0, 0, 0], key
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
        words = [(second >> 64) ^ words[1] ^ low_key, second & MASK, (first >> 64) ^ words[3] ^ high_key, first & MASK]
        low_key, high_key = (low_key + 0x9E3779B97F4A7C15) & MASK, (high_key + 0xBB67AE8584CAA73B) & MASK
    return words


@repeatable
@given(seeds, purposes, st.integers(0, 2**63), st.data())
def test_words_of_a_part_are_a_part_of_the_words(seed: int, purpose: str, start: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 200))
    low = data.draw(st.integers(0, count))
    high = data.draw(st.integers(low, count))
    whole = streams.words(seed, purpose, start, count)
    assert whole.shape == (count, 4)
    assert whole.dtype == np.uint64
    np.testing.assert_array_equal(streams.words(seed, purpose, start + low, high - low), whole[low:high])


@repeatable
@given(seeds, purposes, st.integers(0, 2**63))
def test_words_are_philox_of_the_next_counter(seed: int, purpose: str, position: int) -> None:
    block = streams.words(seed, purpose, position, 1)[0]
    assert [int(word) for word in block] == philox(position + 1, streams._key(seed, purpose))


def test_words_are_pinned() -> None:
    """A numpy that moves these moves every trial: it would need a new revision of all that is stored."""
    expected = [
        [7429349897839952506, 1960737620064909581, 9928179167835024214, 16440233889392517793],
        [3380526719372982419, 3061271278024915848, 10551302006237445438, 17597712867105168763],
    ]
    assert streams.words(0, "noise", 0, 2).tolist() == expected


def test_words_reach_the_end_of_the_stream() -> None:
    last = streams.words(0, "noise", 2**64 - 1, 1)
    np.testing.assert_array_equal(streams.words(0, "noise", 2**64 - 3, 3)[2:], last)


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1), (2**64, 1), (2**64 - 1, 2)])
def test_words_outside_the_stream_are_refused(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="outside the stream"):
        streams.words(0, "noise", start, count)


@repeatable
@given(seeds, purposes, st.lists(st.integers(0, 2**63 - 100), max_size=6), st.integers(0, 30))
def test_runs_are_words_at_each_start(seed: int, purpose: str, starts: list[int], length: int) -> None:
    found = streams.runs(seed, purpose, np.array(starts, dtype=np.int64), length)
    assert found.shape == (len(starts), length, 4)
    for run, start in zip(found, starts, strict=True):
        np.testing.assert_array_equal(run, streams.words(seed, purpose, start, length))


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (2**63 - 1, 2)])
def test_runs_outside_the_stream_are_refused(start: int, length: int) -> None:
    with pytest.raises(ValueError, match="outside the stream"):
        streams.runs(0, "noise", np.array([3, start]), length)


def test_streams_of_other_seeds_and_purposes_are_others() -> None:
    # "1" with "2:x" and "12" with "x" would meet if seed and purpose were joined without a mark.
    keys = [(0, "noise"), (1, "noise"), (0, "order/0"), (0, "order/1"), (0, ""), (1, "2:x"), (12, "x"), (1, "2x")]
    firsts = {int(streams.words(seed, purpose, 0, 1)[0, 0]) for seed, purpose in keys}
    assert len(firsts) == len(keys)


def test_uniforms_use_the_upper_53_bits() -> None:
    edges = np.array([0, 2**11 - 1, 2**11, 2**63, 2**64 - 1], dtype=np.uint64)
    assert streams.uniforms(edges).tolist() == [0.0, 0.0, 2.0**-53, 0.5, 1 - 2.0**-53]


def test_uniforms_are_uniform_and_their_words_unrelated() -> None:
    n = 100_000
    drawn = streams.uniforms(streams.words(7, "noise", 0, n))
    assert drawn.shape == (n, 4)
    counts = np.array([np.histogram(drawn[:, word], bins=20, range=(0, 1))[0] for word in range(4)])
    assert np.abs(counts - n / 20).max() < 5 * np.sqrt(n / 20 * 19 / 20)
    correlations = np.corrcoef(drawn, rowvar=False) - np.eye(4)
    assert np.abs(correlations).max() < 5 / np.sqrt(n)
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 5 / np.sqrt(n)


@repeatable
@given(seeds, st.integers(1, 40), st.integers(0, 3))
def test_each_epoch_of_the_order_is_a_permutation(seed: int, size: int, epoch: int) -> None:
    found = streams.order(seed, epoch * size, size, size)
    assert found.dtype == np.int64
    assert sorted(found.tolist()) == list(range(size))


@repeatable
@given(seeds, st.integers(1, 30), st.integers(0, 200), st.lists(st.integers(0, 50), max_size=6))
def test_order_does_not_depend_on_how_it_is_cut(seed: int, size: int, start: int, counts: list[int]) -> None:
    whole = streams.order(seed, start, sum(counts), size)
    parts, at = [np.empty(0, dtype=np.int64)], start
    for count in counts:
        parts.append(streams.order(seed, at, count, size))
        at += count
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_order_is_pinned() -> None:
    assert streams.order(0, 0, 10, 10).tolist() == [7, 4, 3, 9, 8, 5, 1, 0, 6, 2]


def test_order_changes_with_epoch_and_seed() -> None:
    epochs = [tuple(streams.order(seed, epoch * 50, 50, 50).tolist()) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(epochs)) == len(epochs)


def test_order_handed_out_can_be_written_to() -> None:
    first = streams.order(0, 0, 20, 20)
    kept = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(streams.order(0, 0, 20, 20), kept)


@pytest.mark.parametrize(("start", "count", "size"), [(-1, 1, 5), (0, -1, 5), (0, 1, 0)])
def test_order_of_nothing_sensible_is_refused(start: int, count: int, size: int) -> None:
    with pytest.raises(ValueError, match="start and count must be 0 or more"):
        streams.order(0, start, count, size)


def test_every_permutation_is_as_likely() -> None:
    n = 6000
    found = [tuple(streams.permutation(seed, "fair", 3).tolist()) for seed in range(n)]
    counts = [found.count(one) for one in sorted(set(found))]
    assert len(counts) == 6
    assert max(abs(count - n / 6) for count in counts) < 5 * np.sqrt(n * 5 / 36)


def test_torch_seeds_fit_a_generator_and_differ() -> None:
    found = [streams.torch_seed(seed, purpose) for seed in range(200) for purpose in ("init", "dropout")]
    assert all(0 <= seed < 2**63 for seed in found)
    assert len({seed % 2**32 for seed in found}) == len(found)  # torch's CPU generator keeps the low 32 bits


def test_torch_seed_is_pinned() -> None:
    assert streams.torch_seed(0, "init") == 7191348781616611983
