"""Shifts and flips: against slices of a padded image, and keyed by position alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.classifier.augment import crop, draws, pad, padding


def test_shifts_by_an_eighth_of_the_side() -> None:
    assert [padding(side) for side in (7, 8, 28, 32)] == [0, 1, 3, 4]


@pytest.mark.parametrize("flip", [False, True])
def test_draws_are_even_over_all_offsets(flip: bool) -> None:
    drawn = draws(0, 0, 9000, (32, 8), flip)
    assert drawn.shape == (9000, 3)
    for column, choices in enumerate((9, 3, 2 if flip else 1)):
        counts = np.bincount(drawn[:, column], minlength=choices)
        assert len(counts) == choices
        expected = 9000 / choices
        sigma = (expected * (1 - 1 / choices)) ** 0.5
        assert np.abs(counts - expected).max() <= 5 * sigma


def test_draws_are_keyed_by_position() -> None:
    whole = draws(3, 0, 100, (8, 8), True)
    assert np.array_equal(whole[37:50], draws(3, 37, 13, (8, 8), True))
    assert not np.array_equal(whole, draws(4, 0, 100, (8, 8), True))


def test_crops_are_slices_of_the_padded_image() -> None:
    """Every offset and flip, on images that are not square, with another black for each channel."""
    rng = np.random.default_rng(0)
    images = rng.random((4, 2, 16, 24), dtype=np.float32)
    black = torch.tensor([-1.0, -2.0])
    padded = pad(torch.from_numpy(images), black)
    assert padded.shape == (4, 2, 20, 30)
    by_hand = np.empty((4, 2, 20, 30), dtype=np.float32)
    by_hand[:, 0], by_hand[:, 1] = -1, -2
    by_hand[:, :, 2:18, 3:27] = images
    np.testing.assert_array_equal(padded.numpy(), by_hand)

    drawn = np.array([(row, column, flip) for row in range(5) for column in range(7) for flip in (0, 1)])
    examples = np.arange(len(drawn)) % 4
    found = crop(padded, torch.from_numpy(examples), torch.from_numpy(drawn), (16, 24)).numpy()
    for image, example, (row, column, flip) in zip(found, examples, drawn, strict=True):
        due = by_hand[example, :, row : row + 16, column : column + 24]
        np.testing.assert_array_equal(image, due[:, :, ::-1] if flip else due)
