"""Images as a classifier sees them: each channel minus the training images' mean, over their standard deviation.

Images of floats are standardised once and lie on the device as one tensor. Images of bytes stay bytes, four times
smaller and often a map that all trials of a machine share: a batch is gathered, then standardised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from trainers.classifier.augment import crop, pad
from trainers.datasets.images import BRIGHTEST, Pixels, pixels

#: Bytes of images that are read at once where all of them are: what is held beside a map.
CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Standard:
    """``mean`` and ``deviation`` of each channel, float64 [C], of pixels in [0, 1]."""

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]

    def applied(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """``images`` [N, C, H, W] minus the mean, over the deviation, in float64 until it is rounded to float32."""
        mean, deviation = (values[:, None, None] for values in (self.mean, self.deviation))
        return ((images - mean) / deviation).astype(np.float32)


def moments(images: Pixels) -> Standard:
    """Mean and standard deviation of each channel of ``images`` [N, C, H, W]; 1 in place of a deviation of 0.

    Of bytes both follow from whole sums, exact whatever the order; a map is read in chunks.
    """
    if images.dtype == np.uint8:
        mean, deviation = _of_bytes(cast("npt.NDArray[np.uint8]", images))
    else:
        mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
        deviation = images.std(axis=(0, 2, 3), dtype=np.float64)
    return Standard(mean, np.where(deviation > 0, deviation, 1.0))


def _of_bytes(images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    sums, squares = (np.zeros(images.shape[1], dtype=np.int64) for _ in range(2))
    for chunk in _chunks(images):
        values = chunk.astype(np.uint32)
        sums += values.sum(axis=(0, 2, 3), dtype=np.int64)
        values *= values
        squares += values.sum(axis=(0, 2, 3), dtype=np.int64)
    count = images.size // images.shape[1]
    # The variance times count squared is a whole number, which Python holds exactly: no difference of near numbers.
    spreads = [count * square - total * total for total, square in zip(sums.tolist(), squares.tolist(), strict=True)]
    variance = np.array([spread / (count * count) for spread in spreads])
    return sums / count / BRIGHTEST, np.sqrt(variance) / BRIGHTEST


def _chunks(images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Views of ``images``, each of about ``CHUNK_BYTES``."""
    size = max(1, CHUNK_BYTES // max(1, images[0].size))
    return [images[first : first + size] for first in range(0, len(images), size)]


class StandardImages:
    """Images [N, C, H, W], of which any can be taken standardised, float32, on the device.

    With ``shifted`` they are cut out at an offset, from a border of black.
    """

    def __init__(self, images: Pixels, standard: Standard, device: torch.device, *, shifted: bool = False) -> None:
        self._standard, self._device = standard, device
        self._side: tuple[int, int] = (images.shape[2], images.shape[3])
        self._black = torch.from_numpy((-standard.mean / standard.deviation).astype(np.float32)).to(device)
        self._size = len(images)
        self._bytes = images.dtype == np.uint8
        if not self._bytes:
            ready = torch.from_numpy(standard.applied(pixels(images))).to(device)
            self._tensor = pad(ready, self._black) if shifted else ready
            return
        self._raw = cast("npt.NDArray[np.uint8]", images)
        if device.type != "cpu":
            self._tensor = _moved(self._raw, device)
            self._scale = tuple(
                torch.from_numpy(values[:, None, None].copy()).to(device)
                for values in (standard.mean, standard.deviation)
            )

    def __len__(self) -> int:
        return self._size

    def take(self, examples: torch.Tensor, drawn: torch.Tensor | None = None) -> torch.Tensor:
        """Images ``examples`` [n], int64 on the device; at the offsets ``drawn`` [n, 3] of ``augment.draws``."""
        if not self._bytes:
            if drawn is None:
                return self._tensor.index_select(0, examples)
            return crop(self._tensor, examples, drawn, self._side)
        images = self._from_bytes(examples)
        if drawn is None:
            return images
        return crop(pad(images, self._black), torch.arange(len(images), device=self._device), drawn, self._side)

    def _from_bytes(self, examples: torch.Tensor) -> torch.Tensor:
        if self._device.type == "cpu":
            return torch.from_numpy(self._standard.applied(pixels(self._raw[examples.numpy()])))
        mean, deviation = self._scale
        values = self._tensor.index_select(0, examples).to(torch.float32) / BRIGHTEST
        return ((values - mean) / deviation).to(torch.float32)  # in float64, as on the CPU


def _moved(images: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """``images`` on the device, a chunk at a time: a map is never copied whole on the way."""
    moved = torch.empty(images.shape, dtype=torch.uint8, device=device)
    first = 0
    for chunk in _chunks(images):
        moved[first : first + len(chunk)] = torch.from_numpy(chunk.copy()).to(device)
        first += len(chunk)
    return moved
