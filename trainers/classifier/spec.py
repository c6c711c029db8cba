"""The fields of a classifier's trial: optimiser, schedule, augmentation, evaluation. All lengths are in samples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from trainers.datasets.subset import SubsetSpec
from trainers.spec import MAX_SAMPLES, Fields, TrialSpec, check_every, later

#: AdamW moves each parameter by about the rate itself at every step; what suits SGD throws it off.
LARGEST_ADAMW_RATE = 0.03


class OptimiserSpec(Fields):
    """``momentum`` is SGD's momentum, and AdamW's decay of the first moment (beta 1)."""

    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    second_moment: Annotated[float, Field(ge=0, lt=1)] = 0.999
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4

    @model_validator(mode="after")
    def _combinations(self) -> OptimiserSpec:
        if self.name == "sgd" and self.second_moment != 0.999:
            raise ValueError("optimiser.second_moment is for adamw; leave it out with sgd, where it does nothing")
        if self.name == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("optimiser.nesterov needs optimiser.momentum above 0")
        if self.name == "adamw" and self.nesterov:
            raise ValueError("optimiser.nesterov is for sgd; leave it out with adamw, where it does nothing")
        if self.name == "adamw" and self.learning_rate > LARGEST_ADAMW_RATE:
            raise ValueError(
                f"optimiser.learning_rate is {self.learning_rate:g}, and adamw takes at most {LARGEST_ADAMW_RATE:g}; "
                "give one for it, 1e-3 for example (the default is for sgd)"
            )
        return self


class ScheduleSpec(Fields):
    """How the rate moves with the samples seen; the warm-up is linear from 0.

    How long the cosine is follows from the trial's ``reading`` (see :mod:`trainers.classifier.schedule`).
    """

    name: Literal["constant", "cosine"] = "cosine"
    warmup_samples: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] = 0


class EvaluationSpec(Fields):
    """``every_samples``: the model is measured every so many samples and at the end; None for the end only."""

    every_samples: Annotated[int, Field(gt=0, le=MAX_SAMPLES)] | None = None


class ClassifierSpec(TrialSpec):
    """A classifier of images. The noise is on its training labels; images and test labels stay clean."""

    optimiser: OptimiserSpec = OptimiserSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    augment: Literal["none", "shift", "shift_flip"] = "none"
    evaluation: EvaluationSpec = EvaluationSpec()
    subset: SubsetSpec = later(SubsetSpec())

    def classes_of(self, dataset_classes: int) -> int:
        return self.subset.classes or dataset_classes

    @property
    def evaluate_every(self) -> int | None:
        return self.evaluation.every_samples

    @property
    def annealed_over(self) -> int:
        """Samples over which the cosine falls to 0: the base budget (``paper``) or the trial's own (``corrected``)."""
        return self.budget.samples if self.reading == "paper" else self.samples

    @model_validator(mode="after")
    def _lengths(self) -> ClassifierSpec:
        check_every(self.evaluation.every_samples, self.batch)
        warmup = self.schedule.warmup_samples
        if warmup >= self.annealed_over:
            raise ValueError(
                f"schedule.warmup_samples is {warmup}, and the schedule is {self.annealed_over} samples long; "
                "a warm-up must be shorter than that"
            )
        return self
