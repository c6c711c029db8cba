"""What a run trains on: windows of the corpus with noise, read ahead in blocks of the stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from trainers.datasets.text.corpus import Tokens
from trainers.language.spec import LanguageSpec
from trainers.language.windows import gather, training_starts
from trainers.noise.tokens import TokenCorruption

#: Tokens drawn at once: the cost of a call of the streams is then spread over many steps. 32 bytes a token for noise.
AHEAD = 65_536


@dataclass(frozen=True, slots=True)
class Drawn:
    """Sequences ``first`` to ``last - 1`` of the stream: [n, context] on the device, and wrong targets in each, [n]."""

    first: int
    last: int
    inputs: torch.Tensor
    targets: torch.Tensor
    wrong: npt.NDArray[np.int64]


class Source:
    """Reads the stream by position. Blocks begin at places that do not depend on how training is cut."""

    def __init__(
        self, spec: LanguageSpec, tokens: Tokens, corruption: TokenCorruption, micro: int, device: torch.device
    ) -> None:
        self._spec, self._tokens, self._corruption, self._device = spec, tokens, corruption, device
        batch, ahead = spec.batch.total, max(1, AHEAD // spec.context)
        self._steps = ahead // batch * batch  # whole steps a block, or 0 where a step is more than a block
        self._part = max(micro, ahead // micro * micro)
        self._held: Drawn | None = None

    def starts(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """First token of each window at stream positions ``start`` to ``start + count - 1``, [count]."""
        return training_starts(self._spec, self._spec.context, len(self._tokens), start, count)

    def reach(self, position: int) -> int:
        """Where the steps of the block that holds ``position``, the begin of a step, end: a step at least."""
        if self._steps:
            return min(self._spec.samples, (position // self._steps + 1) * self._steps)
        return min(self._spec.samples, position + self._spec.batch.total)

    def block(self, position: int) -> Drawn:
        """The block that holds ``position``."""
        if self._held is None or not self._held.first <= position < self._held.last:
            self._held = self._draw(*self._bounds(position))
        return self._held

    def _bounds(self, position: int) -> tuple[int, int]:
        if self._steps:
            first = position // self._steps * self._steps
            return first, min(self._spec.samples, first + self._steps)
        step = position // self._spec.batch.total * self._spec.batch.total
        end = min(self._spec.samples, step + self._spec.batch.total)
        first = step + (position - step) // self._part * self._part
        return first, min(end, first + self._part)

    def _draw(self, first: int, last: int) -> Drawn:
        starts = self.starts(first, last - first)
        windows = gather(self._tokens, starts, self._spec.context)
        batch = self._corruption.apply(windows, starts, first)
        wrong = np.count_nonzero(batch.targets != batch.truth, axis=1)
        inputs, targets = (
            torch.from_numpy(np.ascontiguousarray(array)).to(self._device, non_blocking=True)
            for array in (batch.inputs, batch.targets)
        )
        return Drawn(first, last, inputs, targets, wrong)
