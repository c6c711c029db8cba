"""GPT-2 through transformers: configuration only, its own published weights are never read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

#: Deviation of all initial matrices, and of both embeddings (Radford et al. 2019).
DEVIATION = 0.02


@dataclass(frozen=True, slots=True)
class Size:
    """Blocks, attention heads a block, and width."""

    layers: int
    heads: int
    width: int


SIZES = {"gpt2_tiny": Size(2, 2, 64), "gpt2_mini": Size(4, 4, 128), "gpt2": Size(12, 12, 768)}


class GPT2(GPT2LMHeadModel):  # type: ignore[no-untyped-call]  # of the base's own __init_subclass__
    """Token ids [n, c] in, logits [n, c, V] out, c at most the context. No dropout, no cache.

    The pass goes over transformers' own blocks. What its ``forward`` adds (masks, caches, recorders) is left out: with
    neither padding nor a cache, scaled-dot-product attention is causal by itself. That is half a millisecond a pass,
    and lets ``torch.func`` and ``torch.compile`` through.
    """

    def hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        """The last layer's normalised states, [n, c, width]: ``lm_head`` makes logits of them."""
        trunk = self.transformer
        states = trunk.wte(inputs) + trunk.wpe.weight[: inputs.shape[-1]]
        for block in trunk.h:
            states = block(states)
        return cast(torch.Tensor, trunk.ln_f(states))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.lm_head(self.hidden(inputs)))


def gpt2(name: str, vocabulary: int, context: int, bias: bool) -> GPT2:
    """The network of that name with ``vocabulary`` outputs; initialised by the caller.

    Without ``bias`` every bias, those of the layer norms too, is held at zero: it receives no gradient (the paper's
    training configuration, protocols 1).

    GELU is GPT-2's own, by tanh, in one kernel. Embedding and output matrix are one tensor.
    """
    size = SIZES[name]
    fields: dict[str, Any] = {
        "vocab_size": vocabulary,
        "n_positions": context,
        "n_embd": size.width,
        "n_layer": size.layers,
        "n_head": size.heads,
        "activation_function": "gelu_pytorch_tanh",
        "attn_implementation": "sdpa",
        "use_cache": False,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    fields |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    model = GPT2(GPT2Config(**fields))
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith(".bias") and not bias:
            parameter.requires_grad_(False)
    return model


def initialise(name: str, tensor_name: str, tensor: nn.Parameter, generator: torch.Generator) -> None:
    """Fill one parameter in place as GPT-2 does: what ends a residual branch is 1 / sqrt(2 x blocks) as wide."""
    if tensor_name.endswith(".bias"):
        tensor.zero_()
    elif tensor.dim() == 1:  # a layer norm's gain
        tensor.fill_(1.0)
    else:
        ends = tensor_name.endswith("c_proj.weight")
        tensor.normal_(0.0, DEVIATION / (2 * SIZES[name].layers) ** 0.5 if ends else DEVIATION, generator=generator)


def attention_flops(name: str, context: int) -> float:
    """Of training, forward and backward, a token, beyond 6 a parameter: 12 x layers x width x context.

    Heads x their width is the width (PaLM, appendix B; nanoGPT's ``estimate_mfu``). The mask's half is not taken off.
    """
    size = SIZES[name]
    return 12.0 * size.layers * size.width * context
