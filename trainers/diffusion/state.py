"""A diffusion model's state: what it holds, and the proof that a given one is whole and of this trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from trainers.diffusion.spec import DRAWN_AT_ONCE, DiffusionSpec
from trainers.state import (
    adamw_slots,
    check_frame,
    check_optimiser,
    check_position,
    check_tensors,
    check_wrong,
    refused,
)

#: Rises when the layout changes.
FORMAT = 1
KEYS = {"format", "spec", "position", "wrong", "loss", "model", "average", "optimiser", "drawn"}


def check(
    state: Mapping[str, Any],
    spec: DiffusionSpec,
    model: Mapping[str, torch.Tensor],
    parameters: Iterable[torch.Tensor],
    shape: tuple[int, ...],
) -> None:
    """Args:
        model: the present parameters, for names, shapes and kinds; those of the average are the same.
        parameters: those that the optimiser moves, in its order.
        shape: channels, height and width of an image.

    Raises:
        StateError: the state is of another trial, misses something, or holds what cannot be.
    """
    check_frame(state, KEYS, FORMAT, spec)
    position = state["position"]
    check_position(position, spec)
    check_wrong(state["wrong"], position)
    check_tensors("", {"loss": state["loss"]}, {"loss": torch.zeros((), dtype=torch.float64)})
    check_tensors("model.", state["model"], model)
    check_tensors("average.", state["average"], model)
    check_optimiser(state["optimiser"], adamw_slots(list(parameters)) if position else {})
    _check_drawn(state["drawn"], spec, shape)


def _check_drawn(drawn: Any, spec: DiffusionSpec, shape: tuple[int, ...]) -> None:
    """Whole blocks of images, as many as asked for at most."""
    if not isinstance(drawn, torch.Tensor) or drawn.dtype != torch.uint8 or tuple(drawn.shape[1:]) != shape:
        raise refused(f"drawn is no tensor of bytes [images, {', '.join(map(str, shape))}]")
    count, most = len(drawn), spec.sampling.images
    if count > most or (count % DRAWN_AT_ONCE and count != most):
        raise refused(f"drawn holds {count} images; whole blocks of {DRAWN_AT_ONCE}, up to {most}, are allowed")
