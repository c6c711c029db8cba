"""The fields of a diffusion trial: parametrisation, optimiser, averaging, sampling, evaluation. Lengths in samples."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from trainers.datasets.subset import SubsetSpec
from trainers.spec import MAX_SAMPLES, Fields, TrialSpec, check_every

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]

#: Images drawn in one go. Fixed, so that any image is the same whichever others are drawn on that worker.
DRAWN_AT_ONCE = 100


class LevelsSpec(Fields):
    """Noise levels of training: ln sigma is normal (EDM, table 1), or uniform between two levels (VE).

    ``data`` is sigma_data, the standard deviation that pixels in [-1, 1] are taken to have.
    """

    mean: Annotated[float, Field(ge=-20, le=20)] = -1.2
    deviation: Annotated[float, Field(gt=0, le=20)] = 1.2
    data: Positive = 0.5
    lowest: Positive = 0.02
    highest: Positive = 100.0

    @model_validator(mode="after")
    def _range(self) -> LevelsSpec:
        if self.lowest >= self.highest:
            raise ValueError(f"levels.lowest is {self.lowest:g}, which must be below levels.highest, {self.highest:g}")
        return self


class OptimiserSpec(Fields):
    """AdamW on every parameter (protocols 3). ``clip`` bounds the gradient's norm; 0 leaves it alone."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    weight_decay: Share = 0.01
    clip: Annotated[float, Field(ge=0, le=1e6)] = 1.0


class ScheduleSpec(Fields):
    """Linear warm-up from 0, then constant. In the ``paper`` reading the rate is raised once an epoch (protocols 3)."""

    warmup_samples: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] = 0


class AveragingSpec(Fields):
    """The exponential moving average of the weights, which samples and evaluation use.

    ``half_life_samples`` (EDM): what was learnt so many samples ago counts half. It grows from 0 as ``ramp_up`` x the
    samples seen, until it is reached; ``ramp_up`` None: at once. ``decay`` is a constant a step instead, whatever the
    batch: 0.9999 in the paper (S7).
    """

    half_life_samples: Annotated[int, Field(gt=0, le=MAX_SAMPLES)] = 500_000
    ramp_up: Annotated[float, Field(gt=0, le=1)] | None = 0.05
    decay: Annotated[float, Field(ge=0, lt=1)] | None = None


class SamplingSpec(Fields):
    """How images are drawn: ``images`` in all, labels taking turns; Heun's method over ``steps`` levels (EDM, eq. 5).

    ``churn`` above 0 makes it stochastic (EDM, algorithm 2): S_churn, between the levels ``churn_lowest`` and
    ``churn_highest``, its noise scaled by ``churn_noise``. ``guidance`` w combines two predictions, D_empty + w
    (D_label - D_empty): 1 is no guidance, 0 the unconditional model.
    """

    images: Annotated[int, Field(ge=0, le=10_000_000)] = 500
    steps: Annotated[int, Field(ge=2, le=10_000)] = 18
    lowest: Positive = 0.002
    highest: Positive = 80.0
    rho: Annotated[float, Field(ge=1, le=100)] = 7.0
    churn: Annotated[float, Field(ge=0, le=1e4)] = 0.0
    churn_lowest: Annotated[float, Field(ge=0)] = 0.0
    churn_highest: Positive = 1e6
    churn_noise: Positive = 1.0
    guidance: Annotated[float, Field(ge=0, le=100)] = 1.0

    @model_validator(mode="after")
    def _range(self) -> SamplingSpec:
        if self.lowest >= self.highest:
            raise ValueError(
                f"sampling.lowest is {self.lowest:g}, which must be below sampling.highest, {self.highest:g}"
            )
        return self


class EvaluationSpec(Fields):
    """``every_samples``: measured every so many samples and at the end; None for the end only.

    The model also serves as a classifier of ``classified`` test images, evenly spaced (None: of all; 0: of none), by
    its denoising loss under each label at ``levels`` noise levels an image. ``inception`` adds the Frechet and kernel
    distances over Inception-v3's features, whose weights the user provides.
    """

    every_samples: Annotated[int, Field(gt=0, le=MAX_SAMPLES)] | None = None
    classified: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    levels: Annotated[int, Field(ge=1, le=10_000)] = 64
    inception: bool = False


class DiffusionSpec(TrialSpec):
    """A class-conditional diffusion model. Noise is on the labels that condition it; the images stay clean.

    ``label_dropout`` is the share of training images whose label is withheld, for guidance; at 1 the model is
    unconditional. ``flip`` mirrors training images at random (the paper's only augmentation). ``judge`` is a finished
    classifier, which says what generated images show; ``second_judge`` another one, which checks the first.
    """

    parametrisation: Literal["edm", "ve"] = "edm"
    levels: LevelsSpec = LevelsSpec()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    label_dropout: Share = 0.0
    flip: bool = False
    optimiser: OptimiserSpec = OptimiserSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    averaging: AveragingSpec = AveragingSpec()
    sampling: SamplingSpec = SamplingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    subset: SubsetSpec = SubsetSpec()

    roles: ClassVar[tuple[str, ...]] = ("judge", "second_judge")

    def classes_of(self, dataset_classes: int) -> int:
        return self.subset.classes or dataset_classes

    @property
    def evaluate_every(self) -> int | None:
        return self.evaluation.every_samples

    @property
    def pace(self) -> str:
        return f"{self.sampling.images} {self.evaluation.classified}"

    @model_validator(mode="after")
    def _levels(self) -> DiffusionSpec:
        own, other, others = (
            ("edm", "ve", ("lowest", "highest"))
            if self.parametrisation == "edm"
            else ("ve", "edm", ("mean", "deviation", "data"))
        )
        for name in others:
            if getattr(self.levels, name) != LevelsSpec.model_fields[name].default:
                raise ValueError(
                    f"levels.{name} is for parametrisation {other}; leave it out with {own}, where it does nothing"
                )
        return self

    @model_validator(mode="after")
    def _fits(self) -> DiffusionSpec:
        check_every(self.evaluation.every_samples, self.batch)
        if self.schedule.warmup_samples >= self.samples:
            raise ValueError(
                f"schedule.warmup_samples is {self.schedule.warmup_samples}, and the trial has {self.samples} samples; "
                "a warm-up must be shorter than that"
            )
        if self.sampling.guidance != 1 and not self.label_dropout:
            raise ValueError(
                f"sampling.guidance is {self.sampling.guidance:g}, which needs a model that was also trained without "
                "labels; set label_dropout, 0.1 for example, or guidance to 1"
            )
        return self
