"""Whether a classifier may judge what a generator draws, as far as their fields tell: before anything is trained."""

from __future__ import annotations

from trainers import registry
from trainers.classifier.spec import ClassifierSpec
from trainers.diffusion.spec import DiffusionSpec
from trainers.errors import SpecError
from trainers.protocol import UNKNOWN_CLASSES
from trainers.spec import TrialSpec


def check_need(spec: DiffusionSpec, role: str, other: TrialSpec) -> None:
    """A judge sees images of the generator's shape and knows its classes, as many, whichever data set taught it.

    Raises:
        SpecError: ``other`` is no classifier, or of images of another shape or of other classes.
    """
    if not isinstance(other, ClassifierSpec):
        raise SpecError(
            f"needs.{role} is a trial of the family {other.family!r}, and a classifier is due: it says what the images "
            "show; name a group of the family classifier"
        )
    ours, theirs = registry.dataset(spec.dataset), registry.dataset(other.dataset)
    if UNKNOWN_CLASSES in (ours.classes, theirs.classes):  # the run will tell, once the data is there
        return
    if ours.shape != theirs.shape:
        raise SpecError(
            f"needs.{role} is trained on {other.dataset!r} of shape {theirs.shape}, and this trial draws images of "
            f"{ours.shape} ({spec.dataset!r}); give both the same data set"
        )
    mine, its = spec.classes_of(ours.classes), other.classes_of(theirs.classes)
    if mine != its:
        raise SpecError(
            f"needs.{role} tells {its} classes apart, and this trial has {mine}; give both the same subset.classes"
        )
