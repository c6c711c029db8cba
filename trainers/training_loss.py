"""The training loss of a run, as its metric and as the sign that it has diverged, and where blocks of training end."""

from __future__ import annotations

import torch

from trainers.spec import TrialSpec


def end_of_call(spec: TrialSpec, position: int, samples: int) -> int:
    """Where a call of ``train`` for so many samples ends: after whole batches, never past the budget."""
    batch = spec.batch.total
    return min(position + -(-max(samples, 0) // batch) * batch, spec.samples)


class TrainingLoss:
    """The summed loss of the samples since the last evaluation point, whether or not the evaluation took place."""

    def __init__(self, every: int | None, device: torch.device) -> None:
        """``every``: samples between evaluation points; None for one at the end alone."""
        self._every = every
        #: A float64 number on the device; what is not finite makes it so for good.
        self.total = torch.zeros((), dtype=torch.float64, device=device)

    def begin(self, start: int, end: int) -> int:
        """Begin a block at ``start`` samples; where it ends: at ``end``, or at the next evaluation point before it."""
        if not self._every:
            return end
        if start % self._every == 0:
            self.total.zero_()
        return min(end, (start // self._every + 1) * self._every)

    def finite(self) -> bool:
        """Whether it is: asked once a block, since reading it makes a GPU wait."""
        return bool(torch.isfinite(self.total))

    def mean(self, position: int) -> float | None:
        """Loss a sample since the last evaluation point before ``position``; None before the first sample."""
        since = (position - 1) // self._every * self._every if self._every else 0
        return self.total.item() / (position - since) if position else None
