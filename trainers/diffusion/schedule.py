"""The learning rate as a function of the samples seen, in the two readings of the paper's warm-up (protocols 3)."""

from __future__ import annotations

from trainers.diffusion.spec import DiffusionSpec
from trainers.errors import SpecError


def learning_rate(spec: DiffusionSpec, position: int, epoch: int) -> float:
    """The rate of the step that begins at ``position`` samples; ``epoch`` is what an epoch trains on.

    ``corrected``: linear in the samples at the end of the step. ``paper``: raised once an epoch, linear in the number
    of the epoch. Constant once the warm-up is over, in both.
    """
    peak, warmup = spec.optimiser.learning_rate, spec.schedule.warmup_samples
    if position >= warmup:
        return peak
    seen = (position // epoch + 1) * epoch if spec.reading == "paper" else position + spec.batch.total
    return peak * min(1.0, seen / warmup)


def check_epoch(spec: DiffusionSpec, size: int) -> None:
    """Whether an epoch over ``size`` training images has a batch.

    Raises:
        SpecError: the reading ``paper`` leaves none.
    """
    if spec.reading == "paper" and size < spec.batch.size:
        raise SpecError(
            f"reading 'paper' drops the last part of a batch of each epoch, and of {size} training images a batch of "
            f"{spec.batch.size} leaves none: set reading to 'corrected', or a smaller batch.size"
        )
