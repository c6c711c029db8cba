"""A classifier's state: what it holds, and the proof that a given one is whole and of this trial.

All is checked before anything is loaded, so a refused state leaves the trainer as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from trainers.classifier.spec import ClassifierSpec, OptimiserSpec
from trainers.errors import StateError

#: Rises when the layout changes.
FORMAT = 1

Tensors = dict[str, torch.Tensor]


def copied(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The tensors as copies of their own: training on does not change them."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensors]:
    """What the optimiser remembers of each parameter, by its number. Rates and the like follow from the spec."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {
        str(number): copied({name: value for name, value in slots.items() if value is not None})
        for number, slots in state.items()
        if any(value is not None for value in slots.values())
    }


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    """Put back what :func:`optimiser_state` took."""
    groups = optimiser.state_dict()["param_groups"]
    slots = {int(number): copied(tensors) for number, tensors in state.items()}
    optimiser.load_state_dict({"state": slots, "param_groups": groups})


def identity(spec: ClassifierSpec) -> str:
    """The trial that a state belongs to, as canonical JSON of its fields."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True)


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
    due = {"format", "spec", "position", "wrong", "loss", "model", "optimiser"}
    if not isinstance(state, Mapping) or set(state) != due:
        given = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise _refused(f"it holds {given}, and {sorted(due)} are due")
    if state["format"] != FORMAT:
        raise _refused(f"its format is {state['format']!r}, and this version reads {FORMAT}")
    _check_identity(state["spec"], spec)
    position, wrong = state["position"], state["wrong"]
    if not _whole(position) or not 0 <= position <= spec.samples:
        raise _refused(f"position is {position!r}; 0 to {spec.samples} samples are allowed")
    if position % spec.batch.total and position != spec.samples:
        raise _refused(f"position is {position}, which is no end of a batch of {spec.batch.total}")
    if not _whole(wrong) or not 0 <= wrong <= position:
        raise _refused(f"wrong is {wrong!r}; 0 to {position} targets, the position, are allowed")
    _check_tensors("", {"loss": state["loss"]}, {"loss": torch.zeros((), dtype=torch.float64)})
    _check_tensors("model.", state["model"], model)
    slots = _slots(spec.optimiser, list(parameters)) if position else {}
    given = state["optimiser"]
    if not isinstance(given, Mapping) or set(given) != set(slots):
        raise _refused("optimiser does not hold what this optimiser keeps of each parameter at that position")
    for number, tensors in slots.items():
        _check_tensors(f"optimiser.{number}.", given[number], tensors)


def _slots(optimiser: OptimiserSpec, parameters: list[torch.Tensor]) -> dict[str, Tensors]:
    """What the optimiser holds after a step: names, shapes and kinds."""
    if optimiser.name == "adamw":
        step = torch.zeros((), dtype=torch.float32)
        return {str(i): {"step": step, "exp_avg": p, "exp_avg_sq": p} for i, p in enumerate(parameters)}
    return {str(i): {"momentum_buffer": p} for i, p in enumerate(parameters)} if optimiser.momentum else {}


def _check_identity(text: Any, spec: ClassifierSpec) -> None:
    own = json.loads(identity(spec))
    try:
        other = json.loads(text)
    except (TypeError, ValueError):
        raise _refused(f"spec is no JSON text: {text!r:.80}") from None
    if not isinstance(other, dict):
        raise _refused(f"spec is no mapping: {text!r:.80}")
    for key in sorted({*own, *other}):
        if own.get(key) != other.get(key):
            raise _refused(f"it is of a trial with {key} = {other.get(key)!r}, and this one has {own.get(key)!r}")


def _check_tensors(prefix: str, given: Any, due: Mapping[str, torch.Tensor]) -> None:
    if not isinstance(given, Mapping) or set(given) != set(due):
        names = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise _refused(f"{prefix or 'state.'}* holds {names}, and {sorted(due)} are due")
    for name, own in due.items():
        tensor = given[name]
        if not isinstance(tensor, torch.Tensor):
            raise _refused(f"{prefix}{name} is a {type(tensor).__name__}, and a tensor is due")
        if tensor.shape != own.shape or tensor.dtype != own.dtype:
            raise _refused(
                f"{prefix}{name} is {tensor.dtype} {tuple(tensor.shape)}, and {own.dtype} {tuple(own.shape)} is due"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _refused(f"{prefix}{name} holds numbers that are not finite")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refused(why: str) -> StateError:
    return StateError(f"this state cannot be loaded: {why}. Remove the checkpoint to start the trial from 0.")
