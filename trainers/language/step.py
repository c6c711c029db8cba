"""One optimiser step: its gradient is the mean over the whole batch, however it is cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import nn

from trainers.device import autocast, check_compiler
from trainers.errors import SpecError
from trainers.language import head
from trainers.language.spec import OptimiserSpec
from trainers.models.language import LanguageModel, Network, layers_and_width

#: On a CPU a micro-batch's logits take at most so much, as float32: more leaves the caches and is no faster.
CPU_LOGIT_BYTES = 64 * 2**20
#: On a GPU a micro-batch may take this share of the card's memory (all of it, not what is free at the moment: the same
#: card then always cuts alike).
GPU_SHARE = 0.4
#: Bytes a token keeps for the backward pass on a GPU, in float32: of each output the logit, its logarithm and their
#: gradients; of a layer some 20 tensors of its width (Korthikanti et al. 2022 count 34 bytes in 16 bits).
BYTES_AN_OUTPUT = 16
BYTES_A_WIDTH_A_LAYER = 80

SummedLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def optimiser_for(spec: OptimiserSpec, model: nn.Module) -> torch.optim.AdamW:
    """AdamW over all parameters that move; decay on those of two dimensions or more alone. Fused: one kernel."""
    moving = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in moving if p.dim() >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in moving if p.dim() < 2], "weight_decay": 0.0},
    ]
    # A network without biases may have no vector that moves (an LSTM), and torch takes no empty group.
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=spec.learning_rate,
        betas=(spec.beta1, spec.beta2),
        fused=True,
    )


def summed_loss(model: nn.Module, precision: str, device: torch.device, compiled: bool) -> SummedLoss:
    """A function of inputs and targets [n, c]: the sum of -ln p(target), nats, float32.

    Raises:
        SpecError: it is to be compiled, and there is no compiler.
    """
    if compiled:
        check_compiler(device)
    network = cast(LanguageModel, model)
    hidden = torch.compile(network.hidden) if compiled else network.hidden
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32

    def loss(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with autocast(precision, device):
            states = hidden(inputs)
        return head.summed_loss(states.flatten(0, 1).float(), network.lm_head.weight, targets.flatten(), kind)

    return loss


def micro_batch(network: Network, device: torch.device, batch: int, asked: int | None) -> int:
    """Sequences of a micro-batch: ``asked``, else as many as memory allows, in parts of about one size.

    Raises:
        SpecError: ``asked`` is no number of 1 or more.
    """
    if asked is not None:
        if isinstance(asked, bool) or asked < 1:
            raise SpecError(f"micro_batch is {asked!r}; a number of sequences, 1 or more, is allowed")
        return min(asked, batch)
    if device.type == "cuda":
        room = GPU_SHARE * torch.cuda.get_device_properties(device).total_memory
        most = int(room // (network.context * _bytes_a_token(network)))
    else:
        most = CPU_LOGIT_BYTES // (network.context * network.vocabulary * 4)
    parts = -(-batch // max(1, most))
    return -(-batch // parts)


def _bytes_a_token(network: Network) -> int:
    layers, width = layers_and_width(network)
    return BYTES_AN_OUTPUT * network.vocabulary + BYTES_A_WIDTH_A_LAYER * width * layers


def clip(parameters: Sequence[nn.Parameter], largest: float) -> None:
    """Scale the gradients so that their common norm is at most ``largest``; 0 leaves them alone."""
    if largest > 0:
        nn.utils.clip_grad_norm_(parameters, largest)
