"""The fields of a gradient analysis. Its samples are sequences that are read; no weight moves."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from trainers.language.spec import NetworkFields
from trainers.spec import BudgetSpec

#: The paper's tensor: token embedding and output layer of GPT-2 at once, since the two are tied (protocols 7).
PAPER_TENSOR = "transformer.wte.weight"
REFERENCE_SAMPLES = 64
MAX_REFERENCE = 100_000
LARGEST_BATCH = 1_024  # of gradients: all of a batch's are held at once, two a sequence


class AnalysisBudget(BudgetSpec):
    """Sequences analysed. They do not grow with the noise unless asked: nothing is learnt from them."""

    rule: Literal["scaled", "fixed"] = "fixed"


class GradientsSpec(NetworkFields):
    """Batches as a language model would be trained on, and what is measured of them.

    ``analysed``: globs of parameter names, an analysis each; the metrics are those of the first. ``reference_samples``:
    sequences from which the mean clean gradient is estimated whose direction is then removed; 0 leaves that out.
    ``model``: the language trial whose weights are analysed; without it the initial weights of ``seed``.
    """

    budget: AnalysisBudget
    measure: Literal["gradients", "loss"] = "gradients"
    analysed: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)] = (PAPER_TENSOR,)
    split: Literal["train", "validation"] = "train"
    reference_samples: Annotated[int, Field(ge=0, le=MAX_REFERENCE)] = REFERENCE_SAMPLES

    roles: ClassVar[tuple[str, ...]] = ("model",)

    @property
    def pace(self) -> str:
        what = f"gradients of {' '.join(self.analysed)}" if self.measure == "gradients" else "loss"
        return f"{super().pace} {what}"

    @field_validator("analysed")
    @classmethod
    def _globs(cls, analysed: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({glob for glob in analysed if analysed.count(glob) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is given twice; give each glob once")
        if not all(analysed):
            raise ValueError("an empty glob matches no parameter; '*' matches all")
        return analysed

    @model_validator(mode="after")
    def _measured(self) -> GradientsSpec:
        if self.measure == "loss":  # two ids for one measurement otherwise
            for name, default in (("analysed", (PAPER_TENSOR,)), ("reference_samples", REFERENCE_SAMPLES)):
                if getattr(self, name) != default:
                    raise ValueError(f"measure is loss, which has no gradients; leave {name} out")
        if self.measure == "gradients" and self.batch.total > LARGEST_BATCH:
            raise ValueError(
                f"batch.size is {self.batch.total} with its multiplier, and each pair of gradients of a batch is "
                f"compared; at most {LARGEST_BATCH} sequences are allowed (any number with measure: loss)"
            )
        if self.samples < self.batch.total:
            raise ValueError(
                f"budget.samples gives {self.samples} sequences, and a batch is {self.batch.total}; norms, SNR and "
                "losses are of whole batches, so give at least one"
            )
        return self
