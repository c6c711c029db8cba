"""The trial: one frozen, fully resolved configuration, and its canonical JSON.

A family subclasses :class:`TrialSpec` with its own fields (optimiser, schedule, evaluation). Everything that
changes the science is here; resources, devices, stores and retries are not.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

ID_DIGITS = 16

#: Version of users' own data that is not on this machine; content has a hash.
ABSENT = "absent"
MAX_SEED = 2**32 - 1

#: Bounds of what can be asked. Samples x (1 + r) stays below 2**63, as the store's columns need.
MAX_SAMPLES = 10**12
MAX_RATIO = 10**6
MAX_BATCH = 10**9
MAX_DENOMINATOR = 10**18  # every decimal of up to 17 digits has one

# A longer text or exponent would be a number of gigabytes before anybody could refuse it.
_FRACTION = r"[0-9]{1,30}/[0-9]{1,30}"
_DECIMAL = r"(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,2})?"
_NUMBER = re.compile(f"[-+]?(?:{_FRACTION}|{_DECIMAL})")


def exact(value: object) -> Fraction:
    """Read a number as the decimal (or ``a/b``) that a person wrote, so that 0.1 is exactly 1/10.

    Raises:
        ValueError: ``value`` is no finite number, or needs a denominator above ``MAX_DENOMINATOR``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise ValueError("a number such as 0.5, or a fraction such as 1/3, is expected")  # noqa: TRY004
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("the number must be finite")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError("a number such as 0.5, or a fraction such as 1/3, is expected")
    try:
        number = Fraction(repr(value) if isinstance(value, float) else value)
    except ZeroDivisionError:
        raise ValueError("a number such as 0.5, or a fraction such as 1/3, is expected") from None
    if number.denominator > MAX_DENOMINATOR:
        raise ValueError("the number has too many decimals; write it with at most 17, or as a fraction such as 1/3")
    return number


def exact_ratio(value: object) -> Fraction:
    """A noise ratio r = wrong : correct.

    Raises:
        ValueError: ``value`` is no number, negative, or beyond ``MAX_RATIO``.
    """
    ratio = exact(value)
    if ratio < 0:
        raise ValueError("the noise ratio r = wrong : correct must be 0 or more")
    if ratio > MAX_RATIO:
        raise ValueError(f"the noise ratio r = wrong : correct must be at most {MAX_RATIO:,}")
    return ratio


Ratio = Annotated[Fraction, BeforeValidator(exact_ratio), PlainSerializer(str, return_type=str)]


def ratio_from_rate(rate: object) -> Fraction:
    """r = e / (1 - e) for an error rate e in [0, 1).

    Raises:
        ValueError: ``rate`` is no number, negative, 1 or more, or so near 1 that r is beyond ``MAX_RATIO``.
    """
    e = exact(rate)
    if not 0 <= e < 1:
        raise ValueError("the noise rate e = r / (1 + r) must be at least 0 and below 1")
    return exact_ratio(e / (1 - e))


class Fields(BaseModel):
    """Base of every part of a specification: frozen, closed, no silent conversions.

    ``"0.1"`` and ``true`` are no numbers, ``64.0`` is no whole number, ``1`` is no truth value; a whole number serves
    where a number is due, and a list where a tuple is. A field of another type that a file can only give as text (a
    path, say) is annotated with ``pydantic.Strict(False)``.

    A field that is added after the first release is declared with :func:`later`, so that stored trials, which do
    not have it, keep their id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _list_to_tuple(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list) and info.field_name in _tuple_fields(cls):
            return _as_tuple(value)
        return value


@cache
def _tuple_fields(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if _has_tuple(field.annotation))


def _has_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_has_tuple(part) for part in get_args(annotation))


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def later(neutral: Any, **kwargs: Any) -> Any:
    """A field added after a release: its default is neutral and is left out of the canonical JSON.

    A mapping or list that is neutral is given as ``default_factory`` would be: as an immutable value.
    """
    return Field(default=neutral, json_schema_extra={"neutral": True}, **kwargs)


PositiveInt = Annotated[int, Field(gt=0)]
BatchSize = Annotated[int, Field(gt=0, le=MAX_BATCH)]


class NoiseSpec(Fields):
    """Which targets are wrong, how often, and whether a wrong one stays.

    ``ratio`` is the paper's r = wrong : correct, exact; the rate e = r / (1 + r) follows. ``fresh`` noise is
    redrawn at every access (the paper's), ``frozen`` once an example. ``map`` is for the ``confusion`` law: a
    class for each class, or a row of weights for each class.

    At ratio 0 nothing is wrong whatever the law: law, refresh, map and what a family adds take their defaults, so that
    the clean cells of several laws are one trial with one id.
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

    @model_validator(mode="after")
    def _clean_has_no_law(self) -> NoiseSpec:
        if self.ratio == 0:
            for name, field in type(self).model_fields.items():  # frozen for everybody else
                if name != "ratio":
                    self.__dict__[name] = field.default
        return self

    @property
    def rate(self) -> Fraction:
        """e = r / (1 + r), the probability that a target is redrawn."""
        return self.ratio / (1 + self.ratio)


class BatchSpec(Fields):
    """Samples a step: ``size`` times ``multiplier``. The multiplier divides steps, never the budget."""

    size: BatchSize = 64
    multiplier: BatchSize = 1

    @property
    def total(self) -> int:
        return self.size * self.multiplier


class BudgetSpec(Fields):
    """Training length in samples. ``scaled`` trains base x (1 + r) samples, ``fixed`` the base."""

    samples: Annotated[int, Field(gt=0, le=MAX_SAMPLES)]
    rule: Literal["scaled", "fixed"] = "scaled"


def check_every(every: int | None, batch: BatchSpec, unit: str = "samples") -> None:
    """Raises:
    ValueError: evaluations every so many samples would not fall between batches.
    """
    if every is not None and every % batch.total:
        raise ValueError(
            f"evaluation.every_samples is {every}, which is no multiple of the batch, {batch.total} {unit} "
            f"({batch.size} x {batch.multiplier}); the nearest is {max(1, round(every / batch.total)) * batch.total}"
        )


class TrialSpec(Fields):
    """What all families share. ``needs`` maps a role to the id of the trial that fills it."""

    family: str
    model: str
    dataset: str
    noise: NoiseSpec = NoiseSpec()
    batch: BatchSpec = BatchSpec()
    budget: BudgetSpec
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
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

    @property
    def idle_roles(self) -> frozenset[str]:
        """Roles that this trial makes nothing of, though its group fills them: a grid leaves them out.

        As a clean trial forgets its law, so the clean cells of several teachers are one trial.
        """
        return frozenset()

    def classes_of(self, dataset_classes: int) -> int:
        """Classes that the trial has, on a data set of so many: fewer where it reads some of them only."""
        return dataset_classes

    @property
    def pace(self) -> str:
        """What decides the time a sample takes, beside family, model and data set: trials that agree share timings."""
        return ""


@cache
def _neutral(model: type[BaseModel]) -> dict[str, Any]:
    """Fields of a model that were added later, with their neutral values."""
    return {
        name: field.get_default()
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("neutral")
    }


def _canonical(value: Any, dumped: Any) -> Any:
    """``dumped``, the JSON of ``value``, without fields at their neutral value, wherever they are, and without -0.0."""
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        neutral = _neutral(type(value))
        return {
            name: _canonical(getattr(value, name), item)
            for name, item in dumped.items()
            if not (name in neutral and getattr(value, name) == neutral[name])
        }
    if isinstance(value, dict) and isinstance(dumped, dict):
        return {key: _canonical(one, item) for one, (key, item) in zip(value.values(), dumped.items(), strict=True)}
    if isinstance(value, list | tuple) and isinstance(dumped, list):
        return [_canonical(one, item) for one, item in zip(value, dumped, strict=True)]
    if isinstance(value, set | frozenset) and isinstance(dumped, list):  # whose order differs from process to process
        return sorted(dumped, key=repr)
    return dumped + 0.0 if isinstance(dumped, float) else dumped  # -0.0 + 0.0 is 0.0: equal values, one text


def canonical_json(spec: TrialSpec, dataset_version: str) -> str:
    """The text whose hash is the trial's id: sorted keys, exact ratios, named data by name and version.

    Data of users' own (``maker/NAME``) enters by its maker and content, not by the name it has on this machine.
    """
    fields = _canonical(spec, spec.model_dump(mode="json"))
    name = spec.dataset if dataset_version == ABSENT else spec.dataset.partition("/")[0]
    fields["dataset"] = f"{name}@{dataset_version}"
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_id(canonical: str) -> str:
    """First 16 hex digits of the SHA-256 of a canonical JSON."""
    return hashlib.sha256(canonical.encode()).hexdigest()[:ID_DIGITS]


def trial_id(spec: TrialSpec, dataset_version: str) -> str:
    """The id of a trial: that of its canonical JSON."""
    return canonical_id(canonical_json(spec, dataset_version))
