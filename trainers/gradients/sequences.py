"""The gradients of single sequences: of the loss of their right targets and of that of their wrong ones.

Those of GPT-2 come from ``torch.func``: one forward pass, and a backward pass a part, over many sequences at once. An
LSTM has no batching rule, so its sequences go one by one through ordinary backward passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids ``inputs``, ``targets`` and ``truth`` [B, c]; ``shares`` [B, k, c] float32: what each target's loss
    counts in each of a sequence's k parts, 1/c or 0.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    truth: torch.Tensor
    shares: torch.Tensor

    def __getitem__(self, rows: slice) -> Batch:
        return Batch(self.inputs[rows], self.targets[rows], self.truth[rows], self.shares[rows])

    def __len__(self) -> int:
        return len(self.inputs)


@contextmanager
def numerics(device: torch.device, precision: str, *, batched: bool) -> Iterator[None]:
    """Matrix products in bfloat16 where asked; ``batched``: attention by plain products, the only kind vmap can batch.

    autocast's cache of cast weights is off, since it would hold tensors of a transform that has ended.
    """
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False),
        sdpa_kernel(SDPBackend.MATH) if batched else nullcontext(),
    ):
        yield


def token_losses(logits: torch.Tensor, targets: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """-ln p of ``targets`` and of ``truth`` [n] under ``logits`` [n, V], float32, nats; the second without gradient."""
    logits = logits.float()
    losses = functional.cross_entropy(logits, targets, reduction="none")
    of = [logits.detach().gather(-1, ids[:, None])[:, 0] for ids in (targets, truth)]
    return losses, losses.detach() + of[0] - of[1]


def gradients(model: nn.Module, names: Sequence[str], batch: Batch) -> tuple[Tensors, torch.Tensor]:
    """Gradients of each part of each sequence, name -> [B, k, *shape], and losses [B, 2]: noisy, of the truth."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    return _one_by_one(model, names, batch) if recurrent else _at_once(model, names, batch)


def _at_once(model: nn.Module, names: Sequence[str], batch: Batch) -> tuple[Tensors, torch.Tensor]:
    tensors = {name: tensor.detach() for name, tensor in model.named_parameters()}
    varied = {name: tensors[name] for name in names}

    def of_one(
        inputs: torch.Tensor, targets: torch.Tensor, truth: torch.Tensor, shares: torch.Tensor
    ) -> tuple[Tensors, torch.Tensor]:
        def losses(values: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            logits = torch.func.functional_call(model, {**tensors, **values}, (inputs[None],))[0]
            return token_losses(logits, targets, truth)

        passed: Any = torch.func.vjp(losses, varied, has_aux=True)  # annotated as if there were no third value
        noisy, back, true = passed
        found = torch.func.vmap(lambda weights: back(weights)[0])(shares)
        return found, torch.stack([noisy.detach().mean(), true.mean()])

    found: tuple[Tensors, torch.Tensor] = torch.func.vmap(of_one)(
        batch.inputs, batch.targets, batch.truth, batch.shares
    )
    return found


def _one_by_one(model: nn.Module, names: Sequence[str], batch: Batch) -> tuple[Tensors, torch.Tensor]:
    parameters = dict(model.named_parameters())
    varied = [parameters[name] for name in names]
    parts = batch.shares.shape[1]
    found = {name: parameters[name].new_empty((len(batch), parts, *parameters[name].shape)) for name in names}
    measured = batch.shares.new_empty((len(batch), 2))
    for one in range(len(batch)):
        noisy, true = token_losses(model(batch.inputs[one : one + 1])[0], batch.targets[one], batch.truth[one])
        measured[one] = torch.stack([noisy.detach().mean(), true.mean()])
        for part in range(parts):
            ones: Any = torch.autograd.grad(
                noisy, varied, batch.shares[one, part], retain_graph=part + 1 < parts, allow_unused=False
            )
            for name, gradient in zip(names, ones, strict=True):
                found[name][one, part] = gradient
    return found, measured


def losses(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Each sequence's mean noisy loss and mean loss of the truth, [B, 2], by a forward pass alone."""
    with torch.no_grad():
        logits = model(batch.inputs)
        flat = token_losses(logits.flatten(0, 1), batch.targets.flatten(), batch.truth.flatten())
        return torch.stack([one.view(batch.targets.shape).mean(dim=1) for one in flat], dim=1)


def mean_gradient(model: nn.Module, names: Sequence[str], batch: Batch, sequences: int) -> Tensors:
    """What ``batch`` gives to the gradient of the mean loss of ``sequences`` sequences; ``shares`` are not read.

    Added over the batches that make up these sequences, it is that gradient.
    """
    parameters = dict(model.named_parameters())
    logits = model(batch.inputs).float()
    total = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
    count = sequences * batch.targets.shape[1]
    found = torch.autograd.grad(total / count, [parameters[name] for name in names])
    return dict(zip(names, found, strict=True))
