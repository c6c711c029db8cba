"""What the groups of a family can name: its fields, and what a condition may ask of each."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sweep.errors import BadInputError
from sweep.space.explain import nearest, sentence, short
from trainers import registry
from trainers.protocol import Family
from trainers.spec import exact, exact_ratio, ratio_from_rate

RATIO, RATE = "noise.ratio", "noise.rate"

#: Fields that a group states elsewhere than in set, grid and zip.
_GROUP_LEVEL = {"family", "needs"}


def _rate(value: object) -> Fraction:
    ratio_from_rate(value)
    return exact(value)


#: Fields held as exact fractions, so that 0.1 in a file is 1/10, and what reads them.
EXACT: dict[str, Callable[[object], Fraction]] = {RATIO: exact_ratio, RATE: _rate}


#: Fields whose values are names, and the names there are.
_NAMES: dict[str, Callable[[Family], Collection[str]]] = {
    "model": lambda family: family.models,
    "dataset": lambda family: registry.names("data set"),
    "noise.law": lambda family: registry.names("noise law"),
}


def dotted_fields(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Every leaf field of a nested model by its dotted name."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        nested = _models_in(field.annotation)
        for inner in nested:
            found |= dotted_fields(inner, f"{prefix}{name}.")
        if not nested:
            found[prefix + name] = field
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names as itself or as an alternative, but not those inside lists and mappings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated:
        return _models_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return []


class Vocabulary:
    """The fields of one family, dotted, ``noise.rate`` included."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.fields = {k: field for k, field in dotted_fields(family.spec).items() if k not in _GROUP_LEVEL}
        self._adapters: dict[str, TypeAdapter[Any]] = {}

    @cached_property
    def keys(self) -> frozenset[str]:
        return frozenset({*self.fields, RATE})

    def require(self, key: str, where: str) -> None:
        """Raises:
        BadInputError: the family has no field ``key``.
        """
        if key not in self.keys:
            raise BadInputError(f"{where}: unknown key {short(key)}{nearest(key, self.keys)}")

    def required(self, dotted: str) -> list[str]:
        """The fields without a default that a missing field or section stands for."""
        inside = [key for key, one in self.fields.items() if key.startswith(f"{dotted}.") and one.is_required()]
        return inside or [dotted]

    def comparable(self, key: str, values: Sequence[Any], where: str) -> list[Any]:
        """Values as the field holds them, so that they compare with it.

        Raises:
            BadInputError: a value that the field can never have.
        """
        return [self._comparable(key, value, where) for value in values]

    def _comparable(self, key: str, value: Any, where: str) -> Any:
        try:
            held = EXACT[key](value) if key in EXACT else self._adapter(key).validate_python(value)
        except ValidationError as error:
            raise BadInputError(f"{where}: {key} = {short(value)}: {sentence(error.errors()[0])}") from None
        except ValueError as error:
            raise BadInputError(f"{where}: {key} = {short(value)}: {error}") from None
        made = key == "dataset" and "/" in str(held)  # by a maker, of users' own data: the cell's own affair
        if key in _NAMES and not made and held not in (named := _NAMES[key](self.family)):
            raise BadInputError(f"{where}: unknown {key} {short(held)}{nearest(str(held), named)}")
        return held

    def _adapter(self, key: str) -> TypeAdapter[Any]:
        if key not in self._adapters:
            field = self.fields[key]
            kind: Any = field.annotation
            for item in field.metadata:
                kind = Annotated[kind, item]
            self._adapters[key] = TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
        return self._adapters[key]
