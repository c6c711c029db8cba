"""The fields of a language model's trial. Samples are sequences of ``context`` tokens; warm-up is in tokens."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from trainers.noise.token_spec import TokenNoiseSpec
from trainers.spec import MAX_SAMPLES, BatchSpec, Fields, PositiveInt, TrialSpec, check_every

MAX_CONTEXT = 65_536
MAX_VOCABULARY = 1_000_000


class OptimiserSpec(Fields):
    """AdamW; weight decay on tensors of two dimensions or more, as in the original (protocols 2).

    ``batch_rule`` is what a batch multiplier m does to the rate: nothing (the paper's), times sqrt(m), times m.
    ``clip`` bounds the gradient's norm; 0 leaves it alone.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 6e-4
    batch_rule: Literal["constant", "sqrt", "linear"] = "constant"
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.1
    clip: Annotated[float, Field(ge=0)] = 1.0

    def peak(self, batch: BatchSpec) -> float:
        """The highest rate of a run with that batch."""
        factor = {"constant": 1.0, "sqrt": math.sqrt(batch.multiplier), "linear": float(batch.multiplier)}[
            self.batch_rule
        ]
        return self.learning_rate * factor


class ScheduleSpec(Fields):
    """Linear warm-up, then a cosine to ``final_share`` of the peak at the end of the trial's own budget.

    ``warmup_tokens`` is the warm-up at batch multiplier 1. In the ``paper`` reading it is a number of steps, whatever
    the multiplier, as in the original (2,000 iterations); in the ``corrected`` one a number of tokens.
    """

    name: Literal["constant", "cosine"] = "cosine"
    warmup_tokens: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] = 0
    final_share: Annotated[float, Field(ge=0, le=1)] = 0.1


class EvaluationSpec(Fields):
    """``every_samples``: measured every so many sequences and at the end; None for the end only.

    ``paper_batches`` random batches of ``paper_batch`` validation sequences make the metric ``paper_estimate``: the
    original's estimate (200 batches of one micro-batch: 12, 24 or 72 sequences); 0 leaves it out. ``text_samples``
    are generated at the end.
    """

    every_samples: Annotated[int, Field(gt=0, le=MAX_SAMPLES)] | None = None
    paper_batches: Annotated[int, Field(ge=0, le=100_000)] = 0
    paper_batch: Annotated[int, Field(gt=0, le=10_000)] = 12
    text_samples: Annotated[int, Field(ge=0, le=1_000)] = 5


class NetworkFields(TrialSpec):
    """What decides a language model's network and its data, for every family that has one.

    ``vocabulary`` is the number of outputs, at least that of the data set (50,304 for GPT-2's 50,257 in the paper:
    a multiple of 64); None for that of the data set. ``bias: false`` holds every bias at zero.
    """

    noise: TokenNoiseSpec = TokenNoiseSpec()
    context: Annotated[PositiveInt, Field(le=MAX_CONTEXT)] = 64
    vocabulary: Annotated[PositiveInt, Field(le=MAX_VOCABULARY)] | None = None
    bias: bool = True
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def tokens(self) -> int:
        """Targets in the whole budget."""
        return self.samples * self.context

    @property
    def pace(self) -> str:
        return f"{self.context} {self.precision}"


class LanguageSpec(NetworkFields):
    """A language model. Inputs and targets are windows of the corpus; validation text stays clean.

    ``pretrained``: weights to begin with. ``teacher``: the model whose samples, or whose embedding, the noise follows.
    """

    optimiser: OptimiserSpec = OptimiserSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    evaluation: EvaluationSpec = EvaluationSpec()

    roles: ClassVar[tuple[str, ...]] = ("pretrained", "teacher")

    @property
    def evaluate_every(self) -> int | None:
        return self.evaluation.every_samples

    @property
    def idle_roles(self) -> frozenset[str]:
        return frozenset({"teacher"}) if self.noise.ratio == 0 else frozenset()

    @property
    def warmup_samples(self) -> int:
        """Sequences of warm-up: that many steps at any multiplier (``paper``), or that many tokens (``corrected``)."""
        sequences = -(-self.schedule.warmup_tokens // self.context)
        return sequences * self.batch.multiplier if self.reading == "paper" else sequences

    @model_validator(mode="after")
    def _lengths(self) -> LanguageSpec:
        check_every(self.evaluation.every_samples, self.batch, "sequences")
        if self.warmup_samples >= self.samples:
            raise ValueError(
                f"schedule.warmup_tokens is {self.schedule.warmup_tokens}, that is {self.warmup_samples} sequences at "
                f"this batch, and the trial has {self.samples}; a warm-up must be shorter than that"
            )
        peak = self.optimiser.peak(self.batch)
        if peak > 1:
            raise ValueError(
                f"optimiser.learning_rate is {peak:g} after optimiser.batch_rule {self.optimiser.batch_rule}; "
                "at most 1 is allowed"
            )
        return self
