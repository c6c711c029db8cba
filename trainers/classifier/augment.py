"""Small random shifts and flips of training images, keyed by the position in the stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from trainers.streams import uniforms, words

PURPOSE = "augment"


def padding(side: int) -> int:
    """Largest shift in pixels: an eighth of the side, so 4 of 32 as is usual for CIFAR, 3 of 28, 1 of 8."""
    return side // 8


def pad(images: torch.Tensor, black: torch.Tensor) -> torch.Tensor:
    """``images`` [N, C, H, W] with a border as wide as the largest shift, filled with ``black`` [C]."""
    _, _, height, width = images.shape
    rows, columns = padding(height), padding(width)
    shape = (*images.shape[:2], height + 2 * rows, width + 2 * columns)
    padded = black.view(1, -1, 1, 1).expand(shape).contiguous()
    padded[:, :, rows : rows + height, columns : columns + width] = images
    return padded


def draws(seed: int, start: int, count: int, side: tuple[int, int], flip: bool) -> npt.NDArray[np.int64]:
    """For each of ``count`` stream positions: row offset, column offset, flipped (0 or 1); [count, 3]."""
    u = uniforms(words(seed, PURPOSE, start, count)[:, :3])
    choices = np.array([2 * padding(side[0]) + 1, 2 * padding(side[1]) + 1, 2 if flip else 1])
    # The product of u <= 1 - 2**-53 and a whole number m stays below m after rounding.
    drawn: npt.NDArray[np.int64] = (u * choices).astype(np.int64)
    return drawn


def crop(padded: torch.Tensor, examples: torch.Tensor, drawn: torch.Tensor, side: tuple[int, int]) -> torch.Tensor:
    """Images ``examples`` [n], cut out of ``padded`` at the offsets ``drawn`` [n, 3], mirrored where asked."""
    height, width = side
    rows = drawn[:, 0, None] + torch.arange(height, device=padded.device)
    across = torch.arange(width, device=padded.device)
    mirrored = drawn[:, 2, None] * (width - 1 - 2 * across) + across
    columns = drawn[:, 1, None] + mirrored
    channels = torch.arange(padded.shape[1], device=padded.device)
    return padded[
        examples[:, None, None, None], channels[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]
    ]
