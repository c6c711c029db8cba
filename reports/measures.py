"""Per trial: each measured quantity and what the channel alone would leave of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from reports import floors, units
from reports.cells import Reference
from reports.channels import expected_wrong_rate
from reports.predictions import Library, Predictions, mapping_of
from reports.rows import Published
from reports.statistics import clustered_error, standard_error

#: Quantity -> the metric as it is stored, split "test".
METRICS = {
    "top1": "top1",
    "sampled_accuracy": "sampled_accuracy",
    "test_nll": "test_nll",
    "channel_inverted_nll": "channel_inverted_nll",
    "inversion_boundary_share": "inversion_boundary_share",
}
#: Quantities that have floors: what is left of them at r = 0 is the floor of the clean trial itself.
FLOORED = ("top1", "sampled_accuracy", "test_nll", "channel_inverted_nll")
#: Excess damage -> the quantity it is the excess of. Observed less floor: above zero an NLL is worse than the
#: channel alone explains, below zero an accuracy is.
EXCESS = {
    "nll_excess": "test_nll",
    "sampled_excess": "sampled_accuracy",
    "consistency_excess": "consistency",
}
#: The clean reference's own NLL (at r = 0 the trial's), and what noise adds to it: absolute, and as a share of it.
REFERENCE_NLL, NLL_RISE, NLL_RISE_SHARE = "reference_nll", "nll_rise", "nll_rise_share"
#: Laws that keep every argmax below their threshold, certain or not: they add the same to every class.
UNIFORM = frozenset({"uniform_wrong", "uniform_all"})

#: How a floor was had: ``exact`` from stored probabilities, ``bound`` -ln(1-e) + clean NLL, ``accuracy`` from the
#: clean accuracy, ``clean`` the clean value itself, ``certain`` the same, which holds of certain predictions,
#: ``own`` at r = 0 (a clean trial is its own floor); for top-1 also ``tie`` and ``lost``, where the channel leaves
#: certain predictions none; ``none`` where nothing is known.
KINDS = ("exact", "bound", "accuracy", "clean", "certain", "own", "tie", "lost", "none")


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor's value, how it was had, and which clean trial it comes from ("" for none)."""

    value: float | None
    kind: str
    reference: Reference | str = ""


NO_FLOOR = Floor(None, "none")

LARGEST = 1e100  # beyond it the square of a value overflows, and a run has diverged as surely as at infinity


def finite(value: float | None) -> bool:
    """Whether a value can enter a mean."""
    return value is not None and math.isfinite(value) and abs(value) < LARGEST


@dataclass(frozen=True)
class Measured:
    """One trial's quantities and floors.

    ``examples`` is the size of its test set, None where not known, ``unit`` what one of them is, ``blocks`` the number
    of groups that depend on each other, None where each stands alone. ``errors``: quantity -> standard error over
    those examples, over blocks where there are any. ``expected_rate`` is the share of targets that the channel makes
    wrong, ``classes`` their number, None where not known. ``reference`` is the clean trial that the floors come from.
    ``apart``: quantity -> how many examples, and what they are, of those that are measured on other images than the
    predictions are of, such as those that the model drew.
    """

    trial: Published
    values: dict[str, float | None]
    floors: dict[str, Floor]
    examples: int | None
    errors: Mapping[str, float]
    expected_rate: float | None
    reference: Published | None
    unit: units.Unit = units.EXAMPLE
    blocks: int | None = None
    classes: int | None = None
    apart: Mapping[str, tuple[int | None, units.Unit]] = field(default_factory=dict)

    def size(self, quantity: str) -> int | None:
        """How many examples the quantity is measured on; None where that is not known."""
        return self.apart[quantity][0] if quantity in self.apart else self.examples

    def unit_of(self, quantity: str) -> units.Unit:
        """What one of these examples is."""
        return self.apart[quantity][1] if quantity in self.apart else self.unit

    def value(self, quantity: str) -> float | None:
        """The quantity, an excess included; None where it is undefined."""
        if quantity in (REFERENCE_NLL, NLL_RISE, NLL_RISE_SHARE):
            return self._beside_reference(quantity)
        if quantity not in EXCESS:
            return self.values.get(quantity)
        of = EXCESS[quantity]
        observed, floor = self.values.get(of), self.floors.get(of, NO_FLOOR)
        if observed is None or floor.value is None or floor.kind == "own":
            return None  # at r = 0 a trial less itself says nothing
        return observed - floor.value

    def _beside_reference(self, quantity: str) -> float | None:
        observed = self.values.get("test_nll")
        if not self.trial.ratio:  # a clean trial is its own reference, and rises by nothing
            return observed if quantity == REFERENCE_NLL else None
        clean = None if self.reference is None else self.reference.metrics.get("test_nll")
        if clean is None or quantity == REFERENCE_NLL:
            return clean
        if observed is None:
            return None
        rise = observed - clean
        return rise if quantity == NLL_RISE else rise / clean if clean else None

    def floor(self, quantity: str) -> Floor:
        """The floor of a quantity; of an excess, that of what it is the excess of; of the rise, the floor's rise."""
        if quantity in (NLL_RISE, NLL_RISE_SHARE):
            least, clean = self.floors.get("test_nll", NO_FLOOR), self.value(REFERENCE_NLL)
            if not self.trial.ratio or least.value is None or not clean:
                return NO_FLOOR
            rise = least.value - clean
            return Floor(rise if quantity == NLL_RISE else rise / clean, least.kind, least.reference)
        return self.floors.get(EXCESS.get(quantity, quantity), NO_FLOOR)


def measure(trial: Published, found: tuple[Published, Reference] | None, library: Library) -> Measured:
    """A trial's final metrics beside their floors, from ``found``: its compute-matched twin, else its r = 0 cell."""
    own = library.of(trial)
    noise = floors.Noise(trial.law, trial.rate, mapping_of(trial.mapping))
    values = {quantity: trial.metrics.get(metric) for quantity, metric in METRICS.items() if metric in trial.metrics}
    theirs = None if found is None else library.of(found[0])
    if not trial.ratio:
        least = {quantity: Floor(values[quantity], "own") for quantity in FLOORED if quantity in values}
    else:
        least = {} if found is None else _floors(noise, *found, theirs)
    known = own or theirs
    expected = expected_wrong_rate(
        trial.law,
        trial.rate,
        _classes(noise, known),
        noise.mapping,
        known.clean.labels if known else None,
        known.clean.frequency if known else None,
    )
    blocks = None if own is None else own.blocks
    return Measured(
        trial=trial,
        values=values,
        floors=least,
        examples=own.examples if own else None,
        errors=_errors(own, theirs, noise),
        expected_rate=expected if trial.ratio else 0.0,
        reference=found[0] if found else None,
        unit=units.TOKEN if blocks is not None else units.of(trial.family),
        blocks=None if blocks is None else len(np.unique(blocks)),
        classes=_classes(noise, known),
    )


def _errors(own: Predictions | None, reference: Predictions | None, noise: floors.Noise) -> dict[str, float]:
    """Standard errors over the test examples, clustered by block of text where there are any.

    Those of an excess are of its difference, example by example. Top-1 has one here with blocks only: without, its
    examples are independent, and Wilson's interval serves better.
    """
    if own is None:
        return {}

    def error(values: floors.Vector) -> float | None:
        return standard_error(values) if own.blocks is None else clustered_error(values, own.blocks)

    p = own.clean.truth
    found = {"sampled_accuracy": error(p), "test_nll": error(np.log(p)) if p.min() > 0 else None}
    if own.blocks is not None:
        found["top1"] = error(own.right.astype(np.float64))
    if reference is not None and np.array_equal(own.clean.labels, reference.clean.labels):
        ideal = floors.true_probability(reference.clean, noise)
        if ideal is not None:
            found["sampled_excess"] = error(p - ideal)
            if p.min() > 0 and ideal.min() > 0:
                found["nll_excess"] = error(np.log(ideal) - np.log(p))
        clean = reference.clean.truth
        if p.min() > 0 and clean.min() > 0:
            found[NLL_RISE] = error(np.log(clean) - np.log(p))
    return {quantity: error for quantity, error in found.items() if error is not None}


def _floors(
    noise: floors.Noise, clean: Published, reference: Reference, predictions: Predictions | None
) -> dict[str, Floor]:
    found: dict[str, Floor] = {}
    nll = _finite(clean.metrics.get("test_nll"))
    exact = floors.nll_floor(predictions.clean, noise) if predictions else None
    if exact is not None:
        found["test_nll"] = Floor(exact, "exact", reference)
    elif nll is not None:
        found["test_nll"] = Floor(floors.nll_bound(nll, noise.rate), "bound", reference)
    # The same functional of clean predictions, its mixing with 1e-3 of uniform included: not the clean NLL.
    inverted = _finite(clean.metrics.get("channel_inverted_nll"))
    if inverted is not None:
        found["channel_inverted_nll"] = Floor(inverted, "clean", reference)
    found["sampled_accuracy"] = _sampled(clean, noise, reference, predictions)
    found["top1"] = _top1(clean, noise, reference, predictions)
    return found


def _sampled(clean: Published, noise: floors.Noise, reference: Reference, predictions: Predictions | None) -> Floor:
    exact = floors.sampled_floor(predictions.clean, noise) if predictions else None
    if exact is not None:
        return Floor(exact, "exact", reference)
    accuracy, classes = _finite(clean.metrics.get("sampled_accuracy")), _classes(noise, predictions)
    if accuracy is not None and classes is not None:
        value = floors.sampled_floor_from_accuracy(accuracy, noise, classes)
        if value is not None:
            return Floor(value, "accuracy", reference)
    return NO_FLOOR


def _top1(clean: Published, noise: floors.Noise, reference: Reference, predictions: Predictions | None) -> Floor:
    classes = _classes(noise, predictions)
    state = floors.argmax_state(noise, classes) if classes is not None else "unknown"
    if state == "unknown":
        return NO_FLOOR
    if state == "tie":
        return Floor(None, "tie", reference)
    exact = floors.top1_floor(predictions.clean, noise) if predictions else None
    if exact is not None:
        return Floor(exact, "exact", reference)
    top1 = _finite(clean.metrics.get("top1"))
    if state == "lost" or top1 is None:
        return Floor(None, "lost", reference) if state == "lost" else NO_FLOOR
    return Floor(top1, "clean" if noise.law in UNIFORM else "certain", reference)


def _classes(noise: floors.Noise, predictions: Predictions | None) -> int | None:
    if predictions is not None:
        return predictions.clean.classes
    return len(noise.mapping) if noise.mapping else None


def _finite(value: float | None) -> float | None:
    return value if finite(value) else None
