"""A classifier's state: what it holds, and the proof that a given one is whole and of this trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from trainers.classifier.spec import ClassifierSpec, OptimiserSpec
from trainers.state import (
    Tensors,
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
    spec: ClassifierSpec,
    model: Mapping[str, torch.Tensor],
    parameters: Iterable[torch.Tensor],
) -> None:
    """Args:
        model: the present model's state, for names, shapes and kinds.
        parameters: those that the optimiser moves, in its order.

    Raises:
        StateError: the state is of another trial, misses something, or holds what cannot be.
    """
    check_frame(state, {"format", "spec", "position", "wrong", "loss", "model", "optimiser"}, FORMAT, spec)
    position = state["position"]
    check_position(position, spec)
    check_wrong(state["wrong"], position)
    check_tensors("", {"loss": state["loss"]}, {"loss": torch.zeros((), dtype=torch.float64)})
    check_tensors("model.", state["model"], model)
    check_optimiser(state["optimiser"], _slots(spec.optimiser, list(parameters)) if position else {})


def _slots(optimiser: OptimiserSpec, parameters: list[torch.Tensor]) -> dict[str, Tensors]:
    """What the optimiser holds after a step: names, shapes and kinds."""
    if optimiser.name == "adamw":
        return adamw_slots(parameters)
    return {str(i): {"momentum_buffer": p} for i, p in enumerate(parameters)} if optimiser.momentum else {}
