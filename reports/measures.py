"""Per trial: each measured quantity and what the channel alone would leave of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports import floors
from reports.cells import CleanTrials, Reference
from reports.predictions import Library, Predictions, mapping_of
from reports.rows import Published

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
EXCESS = {"nll_excess": "test_nll", "sampled_excess": "sampled_accuracy"}
SHARES = frozenset({"top1", "sampled_accuracy"})

#: How a floor was had: ``exact`` from stored probabilities, ``bound`` -ln(1-e) + clean NLL, ``accuracy`` from the
#: clean accuracy, ``clean`` the clean value itself, ``own`` at r = 0 (a clean trial is its own floor); for top-1 also
#: ``tie`` and ``lost``, where the channel leaves none; ``none`` where nothing is known.
KINDS = ("exact", "bound", "accuracy", "clean", "own", "tie", "lost", "none")


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
    """One trial's quantities and floors. ``examples`` is the size of its test set, None where not known."""

    trial: Published
    values: dict[str, float | None]
    floors: dict[str, Floor]
    examples: int | None
    nll_error: float | None

    def value(self, quantity: str) -> float | None:
        """The quantity, an excess included; None where it is undefined."""
        if quantity not in EXCESS:
            return self.values.get(quantity)
        of = EXCESS[quantity]
        observed, floor = self.values.get(of), self.floors.get(of, NO_FLOOR)
        if observed is None or floor.value is None or floor.kind == "own":
            return None  # at r = 0 a trial less itself says nothing
        return observed - floor.value

    def floor(self, quantity: str) -> Floor:
        """The floor of a quantity; of an excess, that of what it is the excess of."""
        return self.floors.get(EXCESS.get(quantity, quantity), NO_FLOOR)


def measure(trial: Published, clean: CleanTrials, library: Library) -> Measured:
    """A trial's final metrics beside their floors, from its compute-matched twin, else its r = 0 cell."""
    own = library.of(trial)
    values = {quantity: trial.metrics.get(metric) for quantity, metric in METRICS.items() if metric in trial.metrics}
    if not trial.ratio:
        found = {quantity: Floor(values[quantity], "own") for quantity in FLOORED if quantity in values}
    else:
        reference = clean.reference(trial)
        found = {} if reference is None else _floors(trial, *reference, library.of(reference[0]))
    return Measured(trial, values, found, own.examples if own else None, own.nll_error if own else None)


def _floors(
    trial: Published, clean: Published, reference: Reference, predictions: Predictions | None
) -> dict[str, Floor]:
    noise = floors.Noise(trial.law, trial.rate, mapping_of(trial))
    found: dict[str, Floor] = {}
    nll = _finite(clean.metrics.get("test_nll"))
    exact = floors.nll_floor(predictions.clean, noise) if predictions else None
    if exact is not None:
        found["test_nll"] = Floor(exact, "exact", reference)
    elif nll is not None:
        found["test_nll"] = Floor(floors.nll_bound(nll, trial.rate), "bound", reference)
    if nll is not None:  # what a perfect inversion of the ideal model's predictions scores
        found["channel_inverted_nll"] = Floor(nll, "clean", reference)
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
    top1, classes = _finite(clean.metrics.get("top1")), _classes(noise, predictions)
    if top1 is None or classes is None:
        return NO_FLOOR
    state = floors.argmax_state(noise, classes)
    if state == "kept":
        return Floor(top1, "clean", reference)
    return Floor(None, state if state in KINDS else "none", reference)


def _classes(noise: floors.Noise, predictions: Predictions | None) -> int | None:
    if predictions is not None:
        return predictions.clean.classes
    return len(noise.mapping) if noise.mapping else None


def _finite(value: float | None) -> float | None:
    return value if finite(value) else None
