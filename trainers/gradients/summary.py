"""From a tally to what is reported: cosines, norms, SNR by both definitions, the law's prediction, losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.gradients.law import expected_energy, expected_norm
from trainers.gradients.tally import CLEAN, CORRUPT, PAIRS, Tally


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines of one kind of pair; None where there are too few pairs."""

    pairs: int
    mean: float | None
    deviation: float | None
    minimum: float | None
    maximum: float | None
    histogram: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signal:
    """Norms of a batch's summed clean and corrupt gradients, their ratios, and the law's; None where undefined.

    ``snr`` is the mean norm of the one over the mean norm of the other, a batch without such a part counted as 0: the
    definition that reproduces the paper's table (protocols 7). ``snr_corrected`` is the root of the ratio of mean
    squared norms. ``snr_law`` and ``snr_law_corrected`` are what :mod:`trainers.gradients.law` makes of the cosines,
    the norms of single sequences' gradients and the shares of sequences that have them.
    """

    batch: int
    batches: int
    norm_clean: float | None
    norm_corrupt: float | None
    energy_clean: float | None
    energy_corrupt: float | None
    example_norm_clean: float | None
    example_norm_corrupt: float | None
    example_energy_clean: float | None
    example_energy_corrupt: float | None
    cosine_clean: float | None
    cosine_corrupt: float | None
    share_clean: float | None
    share_corrupt: float | None
    snr: float | None
    snr_corrected: float | None
    snr_law: float | None
    snr_law_corrected: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, variance (n - 1 below) and deviation of a number over batches; None where there are too few."""

    mean: float | None
    variance: float | None
    deviation: float | None


def pair_cosines(tally: Tally, analysis: int, removed: int) -> dict[str, Cosines]:
    """Cosines by kind of pair, one analysis."""
    found = {}
    for number, name in enumerate(PAIRS):
        at = (analysis, removed, number)
        n = int(tally.pairs[at])
        histogram = tuple(int(count) for count in tally.histogram[at])
        if not n:
            found[name] = Cosines(0, None, None, None, None, histogram)
            continue
        variance = _variance(n, float(tally.sums[at]), float(tally.squares[at]))
        deviation = None if variance is None else math.sqrt(variance)
        extremes = float(tally.minima[at]), float(tally.maxima[at])
        found[name] = Cosines(n, float(tally.sums[at]) / n, deviation, *extremes, histogram)
    return found


def signal(tally: Tally, analysis: int, removed: int, batch: int, samples: int) -> Signal:
    """Norms and ratios of one analysis, after ``samples`` sequences in batches of ``batch``."""
    whole = samples // batch
    norms = tally.rows("norms")[:whole, analysis, removed]  # a batch cut short is another batch size
    parts = tally.rows("counts")[:, :2].sum(axis=0)
    cosines = pair_cosines(tally, analysis, removed)
    rho = [cosines[name].mean for name in PAIRS[:2]]
    norm, energy = ([_mean(values[:, kind]) for kind in (CLEAN, CORRUPT)] for values in (norms, np.square(norms)))
    example_norm, example_energy = (
        [_share(float(sums[analysis, removed, kind]), int(parts[kind])) for kind in (CLEAN, CORRUPT)]
        for sums in (tally.part_norms, tally.part_energies)
    )
    share = [_share(float(count), samples) for count in parts]
    law = [
        None if g is None or s is None else expected_norm(batch, s, g, r)
        for g, s, r in zip(example_norm, share, rho, strict=True)
    ]
    law_energy = [
        None if g is None or s is None else expected_energy(batch, s, g, r)
        for g, s, r in zip(example_energy, share, rho, strict=True)
    ]
    return Signal(
        batch=batch,
        batches=whole,
        norm_clean=norm[CLEAN],
        norm_corrupt=norm[CORRUPT],
        energy_clean=energy[CLEAN],
        energy_corrupt=energy[CORRUPT],
        example_norm_clean=example_norm[CLEAN],
        example_norm_corrupt=example_norm[CORRUPT],
        example_energy_clean=example_energy[CLEAN],
        example_energy_corrupt=example_energy[CORRUPT],
        cosine_clean=rho[CLEAN],
        cosine_corrupt=rho[CORRUPT],
        share_clean=share[CLEAN],
        share_corrupt=share[CORRUPT],
        snr=_ratio(*norm),
        snr_corrected=_root(_ratio(*energy)),
        snr_law=_ratio(*law),
        snr_law_corrected=_root(_ratio(*law_energy)),
    )


def batch_losses(tally: Tally, whole: int) -> tuple[Spread, Spread]:
    """The mean noisy loss of a batch, and that of the true targets, over the first ``whole`` batches."""
    losses = tally.rows("losses")[:whole]
    noisy, clean = (_spread(losses[:, column]) for column in (0, 1))
    return noisy, clean


def sequence_deviation(tally: Tally, samples: int) -> float | None:
    """Deviation of the noisy loss of single sequences, nats a token."""
    variance = _variance(samples, *(float(value) for value in tally.sequence_losses))
    return None if variance is None else math.sqrt(variance)


def _spread(values: npt.NDArray[np.float64]) -> Spread:
    variance = float(values.var(ddof=1)) if len(values) > 1 else None
    return Spread(_mean(values), variance, None if variance is None else math.sqrt(variance))


def _variance(n: int, total: float, squares: float) -> float | None:
    return max(0.0, squares - total * total / n) / (n - 1) if n > 1 else None


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _share(total: float, count: int) -> float | None:
    return total / count if count else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)
