"""A language model's state: what it holds, and the proof that a given one is whole and of this trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from trainers.language.spec import LanguageSpec
from trainers.state import (
    adamw_slots,
    check_frame,
    check_optimiser,
    check_position,
    check_tensors,
    check_wrong,
)

#: Rises when the layout changes.
FORMAT = 1


def check(
    state: Mapping[str, Any],
    spec: LanguageSpec,
    model: Mapping[str, torch.Tensor],
    parameters: Sequence[torch.Tensor],
) -> None:
    """Args:
        model: the present model's tensors, for names, shapes and kinds.
        parameters: those that the optimiser moves, in its order.

    Raises:
        StateError: the state is of another trial, misses something, or holds what cannot be.
    """
    check_frame(state, {"format", "spec", "position", "wrong", "loss", "model", "optimiser"}, FORMAT, spec)
    position = state["position"]
    check_position(position, spec)
    check_wrong(state["wrong"], position * spec.context)
    check_tensors("", {"loss": state["loss"]}, {"loss": torch.zeros((), dtype=torch.float64)})
    check_tensors("model.", state["model"], model)
    check_optimiser(state["optimiser"], adamw_slots(parameters) if position else {})
