"""One gradient analysis over batch sizes: cosines pooled by kind of pair, norms, SNR and losses over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from reports.along import Along, by_sequences
from reports.figures.plate import Study
from reports.gradients import NUMBERS, PAIRS, Cosines, Gradients, pooled
from reports.measures import Measured
from reports.points import Point, points
from reports.rows import Published
from reports.statistics import Estimate, estimate

#: Metrics of the loss of whole batches, of the split that was read.
LOSSES = (
    "loss_mean", "loss_deviation", "clean_loss_mean", "clean_loss_deviation", "sequence_loss_deviation",
)  # fmt: skip
#: What independent sequences would give ``loss_deviation``: that of single sequences over sqrt(batch).
INDEPENDENT = "loss_deviation_independent"


@dataclass(frozen=True)
class Pool:
    """Cosines of all trials of one ratio, by kind of pair; ``seeds``: the mean over seeds of their own means."""

    cosines: Cosines
    seeds: Estimate


@dataclass(frozen=True)
class Coherence:
    """What one glob of parameters shows; ``glob`` is "" where losses alone were measured.

    ``pools``: (ratio, mean removed, pair) -> cosines. ``signals``: (name, mean removed) -> points over the batch.
    ``losses``: name -> points.
    """

    along: Along
    glob: str
    pools: Mapping[tuple[Fraction, bool, str], Pool]
    signals: Mapping[tuple[str, bool], Sequence[Point]]
    losses: Mapping[str, Sequence[Point]]

    @property
    def removals(self) -> tuple[bool, ...]:
        """Whether there are raw gradients, and such without their mean."""
        return tuple(sorted({removed for _, removed in self.signals}))

    @property
    def shown_ratio(self) -> Fraction | None:
        """The largest ratio of which there are pairs of clean and corrupt gradients, whose histograms are drawn."""
        found = {ratio for (ratio, _, pair), pool in self.pools.items() if pair == PAIRS[2] and pool.cosines.pairs}
        return max(found or {ratio for ratio, _, _ in self.pools}, default=None)


def coherences(study: Study) -> list[Coherence]:
    """The analyses of a set: for each arrangement of its panels, one a glob, or the losses where there is none."""
    found = []
    for along in by_sequences(study.view):
        trials = list(along.panel.trials.values())
        read = {trial.id: study.gradients(trial) for trial in trials}
        losses = {
            name: points(along.view, along.panel, name, study.measured, partial(_loss_of, name))
            for name in (*LOSSES, INDEPENDENT)
        }
        globs = sorted({glob for one in read.values() if one is not None for glob, _ in one.signals})
        for glob in globs:
            found.append(_coherence(study, along, glob, read, losses))
        if not globs and any(point.n for point in losses["loss_deviation"]):
            found.append(Coherence(along, "", {}, {}, losses))
    return found


def _coherence(
    study: Study,
    along: Along,
    glob: str,
    read: Mapping[str, Gradients | None],
    losses: Mapping[str, Sequence[Point]],
) -> Coherence:
    removals = sorted(
        {removed for one in read.values() if one is not None for at, removed in one.signals if at == glob}
    )

    signals = {
        (name, removed): points(
            along.view, along.panel, name, study.measured, partial(_signal_of, read, (glob, removed), name)
        )
        for removed in removals
        for name in NUMBERS
    }
    return Coherence(along, glob, _pools(along, glob, read, removals), signals, losses)


def _pools(
    along: Along, glob: str, read: Mapping[str, Gradients | None], removals: Sequence[bool]
) -> dict[tuple[Fraction, bool, str], Pool]:
    by_seed: dict[tuple[Fraction, bool, str], dict[int, list[Cosines]]] = defaultdict(lambda: defaultdict(list))
    for (ratio, _, seed), trial in along.panel.trials.items():
        analysed = read.get(trial.id)
        if analysed is None:
            continue
        for removed in removals:
            for pair, cosines in analysed.cosines.get((glob, removed), {}).items():
                by_seed[ratio, removed, pair][seed].append(cosines)
    found = {}
    for key, seeds in sorted(by_seed.items()):
        means = [pooled(one).mean for one in seeds.values()]
        every = pooled([cosines for one in seeds.values() for cosines in one])
        found[key] = Pool(every, estimate([mean for mean in means if mean is not None]))
    return found


def _signal_of(
    read: Mapping[str, Gradients | None], analysis: tuple[str, bool], name: str, one: Measured
) -> float | None:
    found = read.get(one.trial.id)
    return None if found is None else found.signals.get(analysis, {}).get(name)


def _loss_of(name: str, one: Measured) -> float | None:
    return _loss(one.trial, name)


def _loss(trial: Published, name: str) -> float | None:
    if name == INDEPENDENT:
        single = _loss(trial, "sequence_loss_deviation")
        return None if single is None else single / math.sqrt(trial.batch)
    return next((value for (_, metric), value in sorted(trial.elsewhere.items()) if metric == name), None)
