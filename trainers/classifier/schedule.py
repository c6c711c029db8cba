"""The learning rate as a function of the samples seen, in the two readings of the paper's schedule (M4)."""

from __future__ import annotations

import math

from trainers.classifier.spec import ClassifierSpec


def learning_rate(spec: ClassifierSpec, position: int, epoch: int) -> float:
    """The rate of the step that begins at ``position`` samples; ``epoch`` is the size of the training set.

    ``corrected``: the cosine falls to 0 over the trial's own samples, step by step.
    ``paper``: it falls over the base budget and is moved once an epoch, as the original does with T_max = 200 epochs
    whatever the length. Past the base budget it rises again: at r = 1 a run ends at its peak rate.
    """
    peak, warmup = spec.optimiser.learning_rate, spec.schedule.warmup_samples
    if position < warmup:  # by the end of the step, so that the first one is not a step of 0
        return peak * min(1.0, (position + spec.batch.total) / warmup)
    if spec.schedule.name == "constant":
        return peak
    if spec.reading == "paper":
        position = max(warmup, position - position % epoch)
    return peak * 0.5 * (1 + math.cos(math.pi * (position - warmup) / (spec.annealed_over - warmup)))
