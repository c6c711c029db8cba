"""The learning rate as a function of the sequences seen: linear warm-up, then a cosine (protocols 2)."""

from __future__ import annotations

import math

from trainers.language.spec import LanguageSpec


def learning_rate(spec: LanguageSpec, position: int) -> float:
    """The rate of the step that begins at ``position`` sequences.

    The warm-up ends at ``spec.warmup_samples``: in the ``paper`` reading after the same number of steps at any batch
    multiplier, in the ``corrected`` one after the same number of tokens. The rate is that of the end of the step, so
    the first one is not a step of 0. The cosine falls to ``final_share`` of the peak over the trial's own budget, in
    both readings (the original's lr_decay_iters is its max_iters).
    """
    peak, warmup = spec.optimiser.peak(spec.batch), spec.warmup_samples
    if position < warmup:
        return peak * min(1.0, (position + spec.batch.total) / warmup)
    if spec.schedule.name == "constant":
        return peak
    final = peak * spec.schedule.final_share
    turn = math.pi * (position - warmup) / (spec.samples - warmup)
    return peak - (peak - final) * 0.5 * (1 - math.cos(turn))
