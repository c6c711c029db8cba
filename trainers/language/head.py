"""The output layer and its cross-entropy in one: logits are made, used and forgotten in parts.

[tokens, vocabulary] is the largest thing in a step by far. Its gradient is known as soon as its value is, so a part of
the rows is taken through the layer, the loss and back at once, in memory that stays in the processor's caches; on a CPU
that makes the step of a small model about twice as fast, and on a GPU it leaves room for larger micro-batches.
"""

from __future__ import annotations

from typing import Any

import torch

#: Logits of a part: 2 MB of float32 on a CPU, 1 GB on a GPU.
NUMBERS_ON_CPU = 2**19
NUMBERS_ON_GPU = 2**28
#: A part has at least so many rows: each reads the whole matrix.
FEWEST_ROWS = 256


class _HeadLoss(torch.autograd.Function):
    """Gradients are computed with the value; the backward pass scales them."""

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor, precision: torch.dtype
    ) -> torch.Tensor:
        with torch.autocast(states.device.type, enabled=False):
            loss, by_states, by_matrix = _parts(states, matrix, targets, precision)
        ctx.save_for_backward(by_states, by_matrix)
        return loss

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        by_states, by_matrix = ctx.saved_tensors
        return by_states * given[0], by_matrix * given[0], None, None


def summed_loss(
    states: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor, precision: torch.dtype
) -> torch.Tensor:
    """Sum of -ln p(target), nats, float32, of ``p = softmax(states @ matrix.T)``.

    Args:
        states: [n, width], float32.
        matrix: [vocabulary, width], float32.
        targets: [n], int64.
        precision: of the products; the loss is computed in float32.
    """
    loss: torch.Tensor = _HeadLoss.apply(states, matrix, targets, precision)
    return loss


def _parts(
    states: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor, precision: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss, and its gradients by states and matrix, float32."""
    numbers = NUMBERS_ON_GPU if states.is_cuda else NUMBERS_ON_CPU
    rows = min(len(states), max(FEWEST_ROWS, numbers // len(matrix)))
    low_states, low_matrix = states.to(precision), matrix.to(precision)
    products = torch.empty(rows, len(matrix), dtype=precision, device=states.device)
    loss = torch.zeros((), dtype=torch.float32, device=states.device)
    by_states = torch.empty_like(states)
    by_matrix = torch.zeros_like(matrix)
    for first in range(0, len(states), rows):
        own, target = low_states[first : first + rows], targets[first : first + rows, None]
        part = torch.mm(own, low_matrix.T, out=products[: len(own)])
        p = part if precision == torch.float32 else part.float()
        p -= p.amax(1, keepdim=True)
        right = p.gather(1, target)
        total = p.exp_().sum(1, keepdim=True)
        loss += (total.log() - right).sum()
        p /= total
        p.scatter_add_(1, target, torch.full_like(right, -1.0))
        if precision == torch.float32:
            torch.mm(p, low_matrix, out=by_states[first : first + rows])
            by_matrix.addmm_(p.T, own)
        else:
            low = part.copy_(p)
            by_states[first : first + rows] = low @ low_matrix
            by_matrix += low.T @ own
    return loss, by_states, by_matrix
