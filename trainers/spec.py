"""The trial: one frozen, fully resolved configuration, and its canonical JSON.

A family subclasses :class:`TrialSpec` with its own fields (optimiser, schedule, evaluation). Everything that
changes the science is here; resources, devices, stores and retries are not.
"""

from __future__ import annotations

import hashlib
import json
import math
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

ID_DIGITS = 16
MAX_SEED = 2**32 - 1


def exact(value: object) -> Fraction:
    """Read a number as the decimal (or ``a/b``) that a person wrote, so that 0.1 is exactly 1/10.

    Raises:
        ValueError: ``value`` is no finite number.
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number such as 0.5, or a fraction such as 1/3, is expected")  # noqa: TRY004
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the number must be finite")
    try:
        return Fraction(repr(value) if isinstance(value, float) else value)
    except (ValueError, ZeroDivisionError):
        raise ValueError("a number such as 0.5, or a fraction such as 1/3, is expected") from None


def _ratio(value: object) -> Fraction:
    ratio = exact(value)
    if ratio < 0:
        raise ValueError("the noise ratio r = wrong : correct must be 0 or more")
    return ratio


Ratio = Annotated[Fraction, BeforeValidator(_ratio), PlainSerializer(str, return_type=str)]


def ratio_from_rate(rate: object) -> Fraction:
    """r = e / (1 - e) for an error rate e in [0, 1).

    Raises:
        ValueError: ``rate`` is no number, negative, or 1 or more.
    """
    e = exact(rate)
    if not 0 <= e < 1:
        raise ValueError("the noise rate e = r / (1 + r) must be at least 0 and below 1")
    return e / (1 - e)


class Fields(BaseModel):
    """Base of every part of a specification: frozen, closed, no silent conversions.

    A field that is added after the first release is declared with :func:`later`, so that stored trials, which do
    not have it, keep their id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def later(neutral: Any, **kwargs: Any) -> Any:
    """A field added after a release: its default is neutral and is left out of the canonical JSON.

    A mapping or list that is neutral is given as ``default_factory`` would be: as an immutable value.
    """
    return Field(default=neutral, json_schema_extra={"neutral": True}, **kwargs)


PositiveInt = Annotated[int, Field(gt=0, strict=True)]


class NoiseSpec(Fields):
    """Which targets are wrong, how often, and whether a wrong one stays.

    ``ratio`` is the paper's r = wrong : correct, exact; the rate e = r / (1 + r) follows. ``fresh`` noise is
    redrawn at every access (the paper's), ``frozen`` once an example. ``map`` is for the ``confusion`` law: a
    class for each class, or a row of weights for each class.
    """

    law: str = "uniform_wrong"
    ratio: Ratio = Fraction(0)
    refresh: Literal["fresh", "frozen"] = "fresh"
    map: tuple[int, ...] | tuple[tuple[float, ...], ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _rate_to_ratio(cls, data: Any) -> Any:
        if isinstance(data, dict) and "rate" in data:
            if "ratio" in data:
                raise ValueError("give either noise.ratio or noise.rate, not both")
            rest = {key: value for key, value in data.items() if key != "rate"}
            return {**rest, "ratio": ratio_from_rate(data["rate"])}
        return data

    @property
    def rate(self) -> Fraction:
        """e = r / (1 + r), the probability that a target is redrawn."""
        return self.ratio / (1 + self.ratio)


class BatchSpec(Fields):
    """Samples a step: ``size`` times ``multiplier``. The multiplier divides steps, never the budget."""

    size: PositiveInt = 64
    multiplier: PositiveInt = 1

    @property
    def total(self) -> int:
        return self.size * self.multiplier


class BudgetSpec(Fields):
    """Training length in samples. ``scaled`` trains base x (1 + r) samples, ``fixed`` the base."""

    samples: PositiveInt
    rule: Literal["scaled", "fixed"] = "scaled"


class TrialSpec(Fields):
    """What all families share. ``needs`` maps a role to the id of the trial that fills it."""

    family: str
    model: str
    dataset: str
    noise: NoiseSpec = NoiseSpec()
    batch: BatchSpec = BatchSpec()
    budget: BudgetSpec
    seed: Annotated[int, Field(ge=0, le=MAX_SEED, strict=True)] = 0
    reading: Literal["paper", "corrected"] = "corrected"
    needs: dict[str, str] = Field(default_factory=dict)

    #: Roles that trials of this family accept in ``needs``; a subclass names its own.
    roles: ClassVar[tuple[str, ...]] = ()

    @property
    def samples(self) -> int:
        """Samples to train on; a fraction of a sample that (1 + r) leaves over is rounded up."""
        base = self.budget.samples
        return math.ceil(base * (1 + self.noise.ratio)) if self.budget.rule == "scaled" else base

    @property
    def steps(self) -> int:
        """Optimiser steps: the last one takes what is left of the budget, so no sample is dropped or added."""
        return -(-self.samples // self.batch.total)

    @property
    def evaluate_every(self) -> int | None:
        """Samples between evaluations on the way; None for one at the end only. A family may say otherwise."""
        return None


def _without_neutral(model: BaseModel) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("neutral") and value == field.get_default():
            del dumped[name]
        elif isinstance(value, BaseModel):
            dumped[name] = _without_neutral(value)
    return dumped


def canonical_json(spec: TrialSpec, dataset_version: str) -> str:
    """The text whose hash is the trial's id: sorted keys, exact ratios, named data by name and version."""
    fields = _without_neutral(spec)
    fields["dataset"] = f"{spec.dataset}@{dataset_version}"
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def trial_id(spec: TrialSpec, dataset_version: str) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(spec, dataset_version).encode()).hexdigest()[:ID_DIGITS]
