"""Nearest training images against every pair, for bytes and floats, however the work is cut."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.datasets.images import Pixels, pixels
from trainers.metrics import neighbours

CPU = torch.device("cpu")


def by_pairs(images: Pixels, train: Pixels) -> npt.NDArray[np.float64]:
    one, other = (pixels(part).reshape(len(part), -1).astype(np.float64) for part in (images, train))
    gaps = np.square(one[:, None] - other[None]).mean(axis=2)
    return np.asarray(np.sqrt(gaps.min(axis=1)))


def shades(rng: np.random.Generator, count: int, kind: str) -> Pixels:
    drawn = rng.integers(0, 256, (count, 2, 3, 3), dtype=np.uint8)
    return drawn if kind == "uint8" else (drawn / 255).astype(np.float32)


@given(
    st.integers(1, 12),
    st.integers(1, 30),
    st.sampled_from(["uint8", "float32"]),
    st.sampled_from(["uint8", "float32"]),
    st.sampled_from([18, 90, 4_000_000]),
    st.integers(0, 2**32 - 1),
)
def test_every_pair_agrees(count: int, size: int, kind: str, other: str, at_once: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, train = shades(rng, count, kind), shades(rng, size, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "NUMBERS_AT_ONCE", at_once)
        found = neighbours.nearest(images, train, CPU)
    np.testing.assert_allclose(found, by_pairs(images, train), rtol=1e-6, atol=1e-9)


def test_copies_lie_at_no_distance() -> None:
    rng = np.random.default_rng(0)
    train = rng.random((500, 3, 16, 16), dtype=np.float32)
    train.flags.writeable = False  # as a data set's arrays are
    assert neighbours.nearest(train[[7, 499]], train, CPU).tolist() == [0.0, 0.0]


def test_distances_are_of_pixels_from_0_to_1() -> None:
    black, white = (np.full((1, 1, 2, 2), shade, dtype=np.uint8) for shade in (0, 255))
    assert neighbours.nearest(black, white, CPU).tolist() == [1.0]


def test_memorised_are_those_nearer_than_one_in_a_hundred_test_images() -> None:
    real = np.linspace(0.1, 0.2, 101)  # its first percentile is the second value, 0.101
    drawn = np.array([0.0, 0.1005, 0.1015, 0.3])
    found = neighbours.compared(drawn, real)
    assert found.memorised == 0.5
    assert found.distance == pytest.approx(0.1255)
    assert found.distance_real == pytest.approx(0.15)


def test_nothing_to_compare() -> None:
    none = neighbours.nearest(np.empty((0, 1, 2, 2), dtype=np.uint8), np.zeros((3, 1, 2, 2), dtype=np.uint8), CPU)
    assert none.shape == (0,)
    assert neighbours.compared(none, np.ones(3)) == neighbours.Neighbours(None, 1.0, None)
    assert neighbours.compared(np.ones(3), none) == neighbours.Neighbours(1.0, None, None)
