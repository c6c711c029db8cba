"""What trainers' states have in common: taking and putting back an optimiser's, and refusing what is not whole.

A trainer checks all of a given state before it loads anything, so a refused state leaves it as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from trainers.errors import StateError
from trainers.spec import TrialSpec

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


def adamw_slots(parameters: Sequence[torch.Tensor]) -> dict[str, Tensors]:
    """What AdamW holds of each parameter after a step: names, shapes and kinds."""
    step = torch.zeros((), dtype=torch.float32)
    return {str(i): {"step": step, "exp_avg": p, "exp_avg_sq": p} for i, p in enumerate(parameters)}


def identity(spec: TrialSpec) -> str:
    """The trial that a state belongs to, as canonical JSON of its fields."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True)


def check_frame(state: Any, due: set[str], form: int, spec: TrialSpec) -> None:
    """The outer part: keys, ``format`` and ``spec``.

    Raises:
        StateError: something is missing or too much, or the state is of another format or trial.
    """
    if not isinstance(state, Mapping) or set(state) != due:
        given = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise refused(f"it holds {given}, and {sorted(due)} are due")
    if state["format"] != form:
        raise refused(f"its format is {state['format']!r}, and this version reads {form}")
    _check_identity(state["spec"], spec)


def check_position(position: Any, spec: TrialSpec) -> None:
    """Raises:
    StateError: ``position`` is no number of samples at which a batch of the trial ends.
    """
    if not whole(position) or not 0 <= position <= spec.samples:
        raise refused(f"position is {position!r}; 0 to {spec.samples} samples are allowed")
    if position % spec.batch.total and position != spec.samples:
        raise refused(f"position is {position}, which is no end of a batch of {spec.batch.total}")


def check_wrong(wrong: Any, targets: int) -> None:
    """Raises:
    StateError: ``wrong`` is no number of wrong targets among so many.
    """
    if not whole(wrong) or not 0 <= wrong <= targets:
        raise refused(f"wrong is {wrong!r}; 0 to {targets} targets, those of its position, are allowed")


def check_tensors(prefix: str, given: Any, due: Mapping[str, torch.Tensor]) -> None:
    """Raises:
    StateError: names, shapes or kinds are not those of ``due``, or a number is not finite.
    """
    if not isinstance(given, Mapping) or set(given) != set(due):
        names = sorted(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise refused(f"{prefix or 'state.'}* holds {names}, and {sorted(due)} are due")
    for name, own in due.items():
        tensor = given[name]
        if not isinstance(tensor, torch.Tensor):
            raise refused(f"{prefix}{name} is a {type(tensor).__name__}, and a tensor is due")
        if tensor.shape != own.shape or tensor.dtype != own.dtype:
            raise refused(
                f"{prefix}{name} is {tensor.dtype} {tuple(tensor.shape)}, and {own.dtype} {tuple(own.shape)} is due"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise refused(f"{prefix}{name} holds numbers that are not finite")


def check_optimiser(given: Any, slots: Mapping[str, Tensors]) -> None:
    """Raises:
    StateError: ``given`` is not what the optimiser keeps of each parameter, ``slots``.
    """
    if not isinstance(given, Mapping) or set(given) != set(slots):
        raise refused("optimiser does not hold what this optimiser keeps of each parameter at that position")
    for number, tensors in slots.items():
        check_tensors(f"optimiser.{number}.", given[number], tensors)


def whole(value: Any) -> bool:
    """Whether it is a whole number; a truth value is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def refused(why: str) -> StateError:
    """The error of a state that cannot be loaded."""
    return StateError(f"this state cannot be loaded: {why}. Remove the checkpoint to start the trial from 0.")


def _check_identity(text: Any, spec: TrialSpec) -> None:
    own = json.loads(identity(spec))
    try:
        other = json.loads(text)
    except (TypeError, ValueError):
        raise refused(f"spec is no JSON text: {text!r:.80}") from None
    if not isinstance(other, dict):
        raise refused(f"spec is no mapping: {text!r:.80}")
    for key in sorted({*own, *other}):
        if own.get(key) != other.get(key):
            raise refused(f"it is of a trial with {key} = {other.get(key)!r}, and this one has {own.get(key)!r}")
