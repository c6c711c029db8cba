"""A trial as the driver sees it: its specification, its id, where it came from and what it occupies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Literal

from trainers.spec import TrialSpec

#: Family, model, data set, and what else decides the time a sample takes.
Kind = tuple[str, str, str, str]


def kind_of(spec: TrialSpec) -> Kind:
    """See :attr:`Trial.kind`."""
    return (spec.family, spec.model, spec.dataset, spec.pace)


@dataclass(frozen=True, slots=True)
class Claim:
    """CPUs and GPUs that one trial occupies, and options of how it computes; no part of its identity."""

    cpu: float = 1.0
    gpu: float | Literal["auto"] = "auto"
    options: tuple[tuple[str, int | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell of a grid, resolved. ``canonical`` is the JSON text whose hash is ``id``."""

    id: str
    group: str
    spec: TrialSpec
    canonical: str
    claim: Claim

    @property
    def needs(self) -> dict[str, str]:
        """Role -> id of the trial that fills it."""
        return self.spec.needs

    @property
    def kind(self) -> Kind:
        """Trials of one kind take the same time a sample, so that of one tells that of another."""
        return kind_of(self.spec)


@dataclass(frozen=True, slots=True)
class Space:
    """A grid file, resolved: every trial once, in the order of the file, what is needed before what needs it."""

    name: str
    about: str
    source: str
    trials: tuple[Trial, ...]


def field_value(spec: TrialSpec, dotted: str) -> Any:
    """The value of a dotted field, ``noise.rate`` included.

    Raises:
        AttributeError: no such field.
    """
    return _getter(dotted)(spec)


@cache
def _getter(dotted: str) -> attrgetter[Any]:
    return attrgetter(dotted)
