"""Inner products of a batch's gradients, summed over tensors: no [B, all parameters] matrix is ever held.

Tensors are taken in groups that fit in memory, with a pass over the batch for each group. Sums over tensors are in
float64 and in the model's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from trainers.errors import SpecError
from trainers.gradients.sequences import Batch, Tensors, gradients

#: Bytes of gradients that are held at once (a batch's rows of a group of tensors), and of what one pass works with.
#: Fixed, since what is added when may move the last bits. A single tensor may need more.
HELD = {"cpu": 2**30, "cuda": 2**33}
PASS = {"cpu": 2**25, "cuda": 2**33}
PIECE = 2**18  # elements of a product in float32, before it is added in float64


@dataclass(frozen=True, slots=True)
class Reference:
    """The mean clean gradient: ``direction`` by tensor name, flat; ``energies`` [A], its squared norm an analysis."""

    direction: Tensors
    energies: torch.Tensor


def chosen(model: nn.Module, globs: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Names of the parameters that each glob matches, of those that receive a gradient, in the model's order.

    Raises:
        SpecError: a glob matches none.
    """
    there = [name for name, tensor in model.named_parameters() if tensor.requires_grad]
    found = tuple(tuple(name for name in there if fnmatchcase(name, glob)) for glob in globs)
    for glob, names in zip(globs, found, strict=True):
        if not names:
            raise SpecError(f"analysed has {glob!r}, which matches no parameter of the model. There are: {_few(there)}")
    return found


def united(model: nn.Module, analyses: Sequence[Sequence[str]]) -> list[str]:
    """All parameters of all analyses, once each, in the model's order."""
    wanted = {name for names in analyses for name in names}
    return [name for name, _ in model.named_parameters() if name in wanted]


def reference(analyses: Sequence[Sequence[str]], mean: Mapping[str, torch.Tensor]) -> Reference:
    """From the mean clean gradient, by tensor name."""
    direction = {name: tensor.detach().flatten() for name, tensor in mean.items()}
    energy = {name: float(flat.double().square().sum()) for name, flat in direction.items()}
    energies = [sum(energy[name] for name in names) for names in analyses]
    return Reference(direction, torch.tensor(energies, dtype=torch.float64))


def grams(
    model: nn.Module, analyses: Sequence[Sequence[str]], batch: Batch, against: Reference | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inner products [A, R, B k, B k] of the batch's parts, float64 on the CPU, and its losses [B, 2].

    R is 2 with a reference: raw, and with its direction projected out, <g - m m.g, h - m m.h> = <g, h> - (m.g)(m.h) for
    the unit vector m.
    """
    sequences, parts, _ = batch.shares.shape
    rows = sequences * parts
    raw = torch.zeros((len(analyses), rows, rows), dtype=torch.float64)
    along = torch.zeros((len(analyses), rows), dtype=torch.float64)
    measured: torch.Tensor | None = None
    for group in _groups(model, united(model, analyses), rows):
        held, losses = _held(model, group, batch)
        measured = losses if measured is None else measured
        for name in group:
            flat = held.pop(name).flatten(0, 1).flatten(1)
            products, with_mean = _products(flat, None if against is None else against.direction[name])
            for number, names in enumerate(analyses):
                if name in names:
                    raw[number] += products
                    along[number] += with_mean
    if measured is None:
        raise ValueError("no parameter is analysed")
    if against is None:
        return raw[:, None], measured
    energies = against.energies.clamp(min=torch.finfo(torch.float64).tiny)  # a mean of 0 has nothing to remove
    removed = raw - along[:, :, None] * along[:, None, :] / energies[:, None, None]
    return torch.stack([raw, removed], dim=1), measured


def _held(model: nn.Module, names: Sequence[str], batch: Batch) -> tuple[Tensors, torch.Tensor]:
    """Gradients of some tensors for the whole batch, pass by pass."""
    width = pass_width(model, names, batch.shares.shape[2], batch.shares.shape[1])
    if width >= len(batch):
        return gradients(model, names, batch)
    held: Tensors = {}
    losses = []
    for start in range(0, len(batch), width):
        part, measured = gradients(model, names, batch[start : start + width])
        losses.append(measured)
        for name, values in part.items():
            if name not in held:
                held[name] = values.new_empty((len(batch), *values.shape[1:]))
            held[name][start : start + width] = values
    return held, torch.cat(losses)


def pass_width(model: nn.Module, names: Sequence[str], context: int, parts: int) -> int:
    """Sequences a pass: as many as keep logits, attention and the gradients of ``names`` within a fixed size.

    Args:
        parts: backward passes a sequence; 0 for a forward pass alone.
    """
    parameters = dict(model.named_parameters())
    outputs = next(tensor.shape[0] for name, tensor in parameters.items() if name.endswith("wte.weight"))
    elements = sum(parameters[name].numel() for name in names)
    heads = sum(getattr(module, "num_heads", 0) for module in model.modules())  # of all layers; an LSTM has none
    kept = 3 * heads * context * context if parts else 0  # scores, and their softmax, for the way back
    each = 4 * ((2 + parts) * context * outputs + kept + 2 * parts * elements)
    return max(1, PASS[next(iter(parameters.values())).device.type] // each)


def _groups(model: nn.Module, names: Sequence[str], rows: int) -> list[list[str]]:
    """The tensors in order, in groups whose gradients for ``rows`` parts are held together."""
    parameters = dict(model.named_parameters())
    found: list[list[str]] = []
    free = 0
    for name in names:
        size = 4 * rows * parameters[name].numel()
        if not found or size > free:
            found.append([])
            free = HELD[parameters[name].device.type]
        found[-1].append(name)
        free -= size
    return found


def _products(flat: torch.Tensor, mean: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """``flat`` [n, P] with itself [n, n], and with ``mean`` [P], zeros without one, [n]; float64 on the CPU.

    In float32 where the network's own products are in bfloat16: whatever a gradient is, its products are measured, and
    8 bits would leave nothing of a small one after the mean gradient's part is taken off.
    """
    n, size = flat.shape
    products = torch.zeros((n, n), dtype=torch.float64, device=flat.device)
    along = torch.zeros(n, dtype=torch.float64, device=flat.device)
    with torch.autocast(flat.device.type, enabled=False):
        for start in range(0, size, PIECE):
            piece = flat[:, start : start + PIECE]
            products += (piece @ piece.T).double()
            if mean is not None:
                along += (piece @ mean[start : start + PIECE]).double()
    return products.cpu(), along.cpu()


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
