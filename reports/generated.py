"""Per trial: what the images that a model drew measure, beside their floors and the clean reference's own values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reports import fields, floors, units
from reports.cells import Reference
from reports.confusions import JUDGES, Confusions, Counts
from reports.generators import Ideal, consistency_floor
from reports.measures import NO_FLOOR, Floor, Measured, finite
from reports.predictions import mapping_of
from reports.rows import Published
from reports.statistics import binomial_error

#: Consistency, what an ideal generator of the noisy labels would score -> the judge that it is seen by.
CONSISTENCIES = dict(zip(("consistency", "second_consistency"), JUDGES, strict=True))
#: Quantities whose floor is the clean reference's own value: no channel stands between.
CLEAN = (
    "channel_inverted_consistency", "frechet_distance", "frechet_distance_by_class", "kernel_distance", "fid", "kid",
    "neighbour_distance", "memorised_share",
)  # fmt: skip
#: Quantities of real images, which noise does not change, and others without a floor.
REAL = ("judge_accuracy", "second_judge_accuracy", "frechet_distance_real", "neighbour_distance_real")
OTHERS = ("consistency_relative", "judges_agree")
#: All quantities, as the metrics are stored, split "test".
METRICS = (*CONSISTENCIES, *OTHERS, *CLEAN, *REAL)
FLOORED = (*CONSISTENCIES, *CLEAN)
EXCESS = "consistency_excess"

Judged = Callable[[Published], Confusions | None]


def with_generated(one: Measured, found: tuple[Published, Reference] | None, judged: Judged) -> Measured:
    """The trial's measures with those of its drawn images; as they are where it drew none.

    ``found`` is the clean reference that floors come from, ``judged`` reads a trial's confusions.
    """
    trial = one.trial
    values = {quantity: trial.metrics[quantity] for quantity in METRICS if quantity in trial.metrics}
    if not values:
        return one
    own = judged(trial)
    errors: dict[str, float] = {}
    least: dict[str, Floor] = {}
    if not trial.ratio:
        least = {quantity: Floor(values[quantity], "own") for quantity in FLOORED if quantity in values}
    elif found is not None:
        clean, reference = found
        for quantity in CLEAN:
            value = clean.metrics.get(quantity)
            least[quantity] = Floor(value, "clean", reference) if finite(value) else NO_FLOOR
        theirs = judged(clean)
        for quantity, judge in CONSISTENCIES.items():
            ideal = _ideal(one, judge, own, theirs)
            least[quantity] = Floor(ideal.value, "exact", reference) if ideal else _from_share(one, quantity, found)
            if quantity == "consistency" and ideal is not None:
                errors |= _error(values.get(quantity), _drawn(trial, own), ideal)
    drawn = _drawn(trial, own)
    apart = {quantity: (drawn, units.DRAWN) for quantity in (*METRICS, EXCESS) if quantity not in REAL}
    apart |= dict.fromkeys(REAL, (None, units.IMAGE))
    return replace(
        one,
        values={**one.values, **values},
        floors={**one.floors, **least},
        errors={**one.errors, **errors},
        apart=apart,
    )


def _ideal(one: Measured, judge: str, own: Confusions | None, clean: Confusions | None) -> Ideal | None:
    """The floor from the clean generator's confusion; the labels are asked for as often as the trial's own were."""
    theirs = None if clean is None else clean.of("generated", judge)
    if clean is None or theirs is None:
        return None
    mine = None if own is None else own.of("generated", judge)
    training = own.training if own is not None and own.training is not None else clean.training
    if training is None or (mine is not None and len(mine) != len(theirs)):
        return None
    asked: Counts = (theirs if mine is None else mine).sum(axis=1)
    trial = one.trial
    noise = floors.Noise(trial.law, trial.rate, mapping_of(trial.mapping))
    return consistency_floor(theirs, asked, training, noise)


def _from_share(one: Measured, quantity: str, found: tuple[Published, Reference]) -> Floor:
    """The same from the clean share alone, for uniform laws and as many images of each class."""
    clean, reference = found
    share = clean.metrics.get(quantity)
    classes = one.classes
    if share is None or not finite(share) or classes is None:
        return NO_FLOOR
    noise = floors.Noise(one.trial.law, one.trial.rate)
    value = floors.sampled_floor_from_accuracy(share, noise, classes)
    return NO_FLOOR if value is None else Floor(value, "accuracy", reference)


def _error(share: float | None, drawn: int | None, ideal: Ideal) -> dict[str, float]:
    """The excess's standard error: of a share of so many images, and of the floor's own, drawn apart from them."""
    if share is None or not finite(share) or not drawn:
        return {}
    return {EXCESS: float((binomial_error(share, drawn) ** 2 + ideal.error**2) ** 0.5)}


def _drawn(trial: Published, own: Confusions | None) -> int | None:
    """How many images were drawn: as judged, else as the specification asks."""
    counts = None if own is None else own.of("generated", JUDGES[0])
    return fields.whole(dict(trial.configuration), "sampling.images") if counts is None else int(counts.sum())
