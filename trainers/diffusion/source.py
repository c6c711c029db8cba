"""What a run trains on: images with their given labels, noise levels and noise, read ahead in blocks of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from trainers.datasets.images import pixels
from trainers.diffusion.parametrisation import Parametrisation
from trainers.diffusion.schedule import check_epoch
from trainers.diffusion.spec import DiffusionSpec
from trainers.noise.corruption import Corruption
from trainers.streams import normals, order, uniforms, words

if TYPE_CHECKING:
    from trainers.datasets.images import Images

#: Normal numbers drawn at once, 4 bytes each: the cost of a call of the streams is then spread over many steps.
AHEAD = 524_288
#: Purposes of the streams: three uniform numbers a position (noise level, flip, label withheld), and the noise.
CHOICES, NOISE = "diffusion", "diffusion/noise"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Samples ``first`` to ``last - 1`` of the stream, on the device.

    ``clean`` images in [-1, 1] and ``normals`` are [n, C, S, S], ``sigma`` [n], ``labels`` one-hot [n, classes] with a
    row of zeros where withheld; ``wrong`` tells which given labels are not the truth, [n].
    """

    first: int
    last: int
    clean: torch.Tensor
    sigma: torch.Tensor
    normals: torch.Tensor
    labels: torch.Tensor
    wrong: npt.NDArray[np.bool_]


class Source:
    """Reads the stream by position. Blocks begin at places that do not depend on how training is cut.

    Raises:
        SpecError: no epoch of the reading ``paper`` has a whole batch.
    """

    def __init__(
        self, spec: DiffusionSpec, data: Images, corruption: Corruption, way: Parametrisation, device: torch.device
    ) -> None:
        self._spec, self._data, self._corruption, self._way, self._device = spec, data, corruption, way, device
        self._size = len(data.train_images)
        check_epoch(spec, self._size)
        #: Samples an epoch: all, or whole batches alone as the original's loader has it; batches of multiplier 1, so
        #: that a larger one divides steps and leaves the order alone.
        self.epoch = self._size // spec.batch.size * spec.batch.size if spec.reading == "paper" else self._size
        numbers = int(np.prod(data.train_images.shape[1:]))
        batch = spec.batch.total
        self._block = max(1, AHEAD // (numbers * batch)) * batch
        self._held: Drawn | None = None

    def examples(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Training examples at stream positions ``start`` to ``start + count - 1``, [count]."""
        return order(self._spec.seed, start, count, self._size, used=self.epoch)

    def reach(self, position: int) -> int:
        """Where the block that holds ``position`` ends."""
        return min(self._spec.samples, (position // self._block + 1) * self._block)

    def block(self, position: int) -> Drawn:
        """The block that holds ``position``."""
        if self._held is None or not self._held.first <= position < self._held.last:
            first = position // self._block * self._block
            self._held = self._draw(first, min(self._spec.samples, first + self._block))
        return self._held

    def _draw(self, first: int, last: int) -> Drawn:
        spec, count = self._spec, last - first
        examples = self.examples(first, count)
        given = self._corruption.targets(examples, first)
        wrong = given != self._corruption.truth[examples]
        # A half step off the grid of 2**-53, and held below 1: the levels of 0 and of 1 would be nothing and infinite.
        chosen = np.minimum(uniforms(words(spec.seed, CHOICES, first, count)) + 2.0**-54, 1 - 2.0**-53)
        images = pixels(self._data.train_images[examples]) * np.float32(2) - np.float32(1)
        if spec.flip:
            mirrored = chosen[:, 1] < 0.5
            images[mirrored] = images[mirrored, :, :, ::-1]
        labels = np.zeros((count, self._corruption.classes), dtype=np.float32)
        labels[np.arange(count), given] = chosen[:, 2] >= spec.label_dropout
        noise = normals(spec.seed, NOISE, first, count, int(np.prod(images.shape[1:]))).reshape(images.shape)
        sigma = self._way.levels(torch.from_numpy(chosen[:, 0])).float()
        on = self._device
        return Drawn(
            first,
            last,
            torch.from_numpy(images).to(on, non_blocking=True),
            sigma.to(on, non_blocking=True),
            torch.from_numpy(np.ascontiguousarray(noise)).to(on, non_blocking=True),
            torch.from_numpy(labels).to(on, non_blocking=True),
            wrong,
        )
