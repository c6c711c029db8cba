"""Whether one trial's weights serve another, as far as their fields tell: before anything is trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from trainers import registry
from trainers.errors import SpecError
from trainers.language.spec import LanguageSpec, NetworkFields
from trainers.models.language import Network, network
from trainers.protocol import UNKNOWN_CLASSES
from trainers.spec import TrialSpec

Use = Literal["same network", "reads windows"]


def check_need(spec: NetworkFields, role: str, other: TrialSpec, use: Use) -> None:
    """``same network``: the weights are taken over whole. ``reads windows``: a teacher of any network, of the same
    tokens, that sees at least the trial's context.

    Whether both data sets have one tokenizer is told by the weights themselves.

    Raises:
        SpecError: ``other`` leaves no weights, or they do not fit.
    """
    if not isinstance(other, LanguageSpec):
        raise SpecError(
            f"needs.{role} is a trial of the family {other.family!r}, which leaves no weights of a language model; "
            "name a group of the family language"
        )
    ours, theirs = _network(spec), _network(other)
    if ours is None or theirs is None:
        return
    if use == "same network":
        pairs = [(key, getattr(theirs, key), value) for key, value in asdict(ours).items()]
        odd = [
            f"{key} = {other_value} and this trial has {value}"
            for key, other_value, value in pairs
            if other_value != value
        ]
        if odd:
            raise SpecError(f"needs.{role} has {'; '.join(odd)}: give both trials the same network")
        return
    mine, its = (registry.dataset(one.dataset).classes for one in (spec, other))
    if mine != its:
        raise SpecError(
            f"needs.{role} is trained on {other.dataset!r} of {its:,} tokens, and this trial reads {spec.dataset!r} of "
            f"{mine:,}; choose data sets that share a tokenizer"
        )
    if theirs.context < ours.context:
        raise SpecError(
            f"needs.{role} has a context of {theirs.context}, and this trial's is {ours.context}; it reads whole "
            "windows: give it at least that context"
        )


def _network(spec: NetworkFields) -> Network | None:
    """None where the data is not here to tell its vocabulary."""
    classes = registry.dataset(spec.dataset).classes
    return None if classes == UNKNOWN_CLASSES else network(spec, classes)
