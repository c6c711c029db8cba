"""Normal numbers by position: any part read alone is the same, they are Box and Muller's, and they are normal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trainers import streams

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 40)
#: The last position of which 5 blocks, those of size 40, lie within 2**63.
LAST = 2**63 // 5 - 1


@given(seeds, st.text(max_size=8), sizes, st.integers(0, LAST - 200), st.data())
def test_normals_of_a_part_are_a_part_of_the_normals(
    seed: int, purpose: str, size: int, start: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, 100))
    low = data.draw(st.integers(0, count))
    high = data.draw(st.integers(low, count))
    whole = streams.normals(seed, purpose, start, count, size)
    assert whole.shape == (count, size)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(streams.normals(seed, purpose, start + low, high - low, size), whole[low:high])


@settings(max_examples=10)
@given(seeds, st.integers(0, 60), st.integers(0, 60))
def test_large_parts_are_cut_anywhere(seed: int, low: int, high: int) -> None:
    """60 x 776 words are more than are made normal at once, and no whole number of those."""
    assert 60 * streams.blocks_of(1550) * streams.WORDS > 5 * streams._AT_ONCE
    low, high = min(low, high), max(low, high)
    whole = streams.normals(seed, "noise", 7, 60, 1550)
    np.testing.assert_array_equal(streams.normals(seed, "noise", 7 + low, high - low, 1550), whole[low:high])


@given(seeds, sizes, st.lists(st.integers(0, LAST), max_size=6))
def test_normals_at_positions_are_those_of_each(seed: int, size: int, positions: list[int]) -> None:
    found = streams.normals_at(seed, "noise", np.array(positions, dtype=np.int64), size)
    assert found.shape == (len(positions), size)
    assert found.dtype == np.float32
    for row, position in zip(found, positions, strict=True):
        np.testing.assert_array_equal(row, streams.normals(seed, "noise", position, 1, size)[0])


@given(seeds, sizes, st.integers(0, LAST))
def test_normals_are_box_and_mullers_of_a_positions_own_words(seed: int, size: int, position: int) -> None:
    blocks = streams.blocks_of(size)
    assert 8 * (blocks - 1) < size <= 8 * blocks
    due: list[float] = []
    for word in streams.words(seed, "noise", position * blocks, blocks).reshape(-1).tolist():
        low, high = word % 2**32, word >> 32
        radius, angle = math.sqrt(-2 * math.log((low + 1) / 2**32)), 2 * math.pi * high / 2**32
        due += [radius * math.cos(angle), radius * math.sin(angle)]
    # An angle is rounded to 24 bits three times, which is 6e-7 at most, and radii reach 6.7.
    np.testing.assert_allclose(streams.normals(seed, "noise", position, 1, size)[0], due[:size], rtol=0, atol=5e-6)


def test_normals_are_pinned() -> None:
    """What moves these moves every diffusion trial; sines of other processors may differ in the last bit."""
    due = [[-0.7685279, 0.5383585, 1.6294806], [0.1152739, 0.2585831, 1.1895002]]
    np.testing.assert_allclose(streams.normals(0, "noise", 0, 2, 3), due, rtol=0, atol=2e-6)


def test_extreme_words_make_finite_numbers() -> None:
    """The largest radius is sqrt(-2 ln 2^-32) = 6.66, the smallest 0; angle 0 and its neighbours point along x."""
    words = np.array([[0, 2**32 - 1, 2**64 - 2**32, 2**64 - 1]], dtype=np.uint64)
    found = streams._normal(words, 8)[0]
    largest = math.sqrt(64 * math.log(2))
    np.testing.assert_allclose(found, [largest, 0, 0, 0, largest, 0, 0, 0], rtol=0, atol=4e-6)


def test_normals_of_nothing_are_nothing() -> None:
    assert streams.normals(0, "noise", 5, 0, 3).shape == (0, 3)
    assert streams.normals_at(0, "noise", np.array([], dtype=np.int64), 3).shape == (0, 3)


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1), (3, -4), (2**63 // 4, 1), (2**63 // 4 - 1, 2)])
def test_normals_outside_the_stream_are_refused(start: int, count: int) -> None:
    """Size 32 takes 4 blocks."""
    with pytest.raises(ValueError, match="4 blocks each, lie outside the stream"):
        streams.normals(0, "noise", start, count, 32)


@pytest.mark.parametrize("position", [-1, 2**63 // 4, 2**62])
def test_positions_outside_the_stream_are_refused(position: int) -> None:
    """2**62 positions of 4 blocks would wrap to position 0."""
    with pytest.raises(ValueError, match="4 blocks each, lie outside the stream"):
        streams.normals_at(0, "noise", np.array([3, position]), 32)


def test_the_last_position_is_within() -> None:
    last = 2**63 // 4 - 1
    found = streams.normals_at(0, "noise", np.array([last]), 32)
    np.testing.assert_array_equal(found, streams.normals(0, "noise", last, 1, 32))


@pytest.mark.parametrize("size", [0, -3])
def test_sizes_below_one_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least one number"):
        streams.normals(0, "noise", 0, 1, size)


def test_streams_of_other_keys_positions_and_sizes_are_others() -> None:
    rows = [
        streams.normals(0, "noise", 3, 1, 16),
        streams.normals(1, "noise", 3, 1, 16),
        streams.normals(0, "draw", 3, 1, 16),
        streams.normals(0, "noise", 4, 1, 16),
        streams.normals(0, "noise", 3, 1, 24)[:, :16],
    ]
    assert len({row.tobytes() for row in rows}) == len(rows)


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    """2**16 positions of 64 numbers, 4.2 million, in float64."""
    return streams.normals(11, "noise", 0, 2**16, 64).astype(np.float64)


def test_moments_are_those_of_the_normal_law(many: np.ndarray) -> None:
    """E x = 0, E x^2 = 1, E x^3 = 0, E x^4 = 3; the variances of their means are 1, 2, 15 and 96 over n."""
    for power, (due, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs((many**power).mean() - due) < 4.5 * math.sqrt(variance / many.size)


def test_the_law_is_normal(many: np.ndarray) -> None:
    assert stats.kstest(many.reshape(-1)[:400_000], "norm").pvalue > 0.01


@pytest.mark.parametrize("threshold", [2, 3, 4, 4.75])
def test_tails_are_as_heavy(many: np.ndarray, threshold: float) -> None:
    """Of 4.2 million, 266 are due beyond 4 and 8.5 beyond 4.75, on both sides."""
    for side in (many > threshold, many < -threshold):
        due = stats.norm.sf(threshold) * many.size
        assert abs(np.count_nonzero(side) - due) < 4.5 * math.sqrt(due)


def test_numbers_and_their_squares_are_unrelated(many: np.ndarray) -> None:
    """Within a pair, with the next pair, the next block and the next position."""
    n = len(many)
    for of in (many, many**2):
        within = np.corrcoef(of[:, :17], rowvar=False) - np.eye(17)
        assert np.abs(within).max() < 5 / math.sqrt(n)
        following = [np.corrcoef(of[1:, i], of[:-1, i])[0, 1] for i in range(16)]
        assert np.abs(following).max() < 5 / math.sqrt(n)
