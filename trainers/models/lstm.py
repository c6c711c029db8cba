"""LSTM language models, each within 5 % of the size of the GPT-2 of the same name: the architecture question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

#: Deviation of the embedding, which is the output matrix too. An LSTM has no layer norm that would raise small inputs:
#: 200 steps at a rate of 1e-2 on python-docs bring lstm_tiny to 6.3 nats from 0.05, to 5.7 from 0.2, to 5.4 from 0.5
#: and to 5.6 from 1.0.
EMBEDDING_DEVIATION = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """Layers, and units a layer: the embedding has as many."""

    layers: int
    width: int


#: 231,552, 1,052,800 and 126,016,448 parameters beside GPT-2's 235,264, 1,063,680 and 124,439,808.
SIZES = {"lstm_tiny": Size(2, 72), "lstm_mini": Size(2, 200), "lstm": Size(3, 1472)}


class LSTM(nn.Module):
    """Token ids [n, c] in, logits [n, c, V] out; the state starts at zero in each window. No dropout."""

    def __init__(self, name: str, vocabulary: int) -> None:
        super().__init__()
        size = SIZES[name]
        self.wte = nn.Embedding(vocabulary, size.width)
        self.lstm = nn.LSTM(size.width, size.width, size.layers, batch_first=True)
        self.lm_head = nn.Linear(size.width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight

    def hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        """The last layer's states, [n, c, width]: ``lm_head`` makes logits of them."""
        states, _ = self.lstm(self.wte(inputs))
        return cast(torch.Tensor, states)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.lm_head(self.hidden(inputs)))


def lstm(name: str, vocabulary: int, bias: bool) -> LSTM:
    """The network of that name with ``vocabulary`` outputs; initialised by the caller.

    Without ``bias`` every bias is held at zero.
    """
    model = LSTM(name, vocabulary)
    for parameter_name, parameter in model.named_parameters():
        if "bias" in parameter_name and not bias:
            parameter.requires_grad_(False)
    return model


def initialise(name: str, tensor_name: str, tensor: nn.Parameter, bias: bool, generator: torch.Generator) -> None:
    """Fill one parameter in place: matrices uniform within 1 / sqrt(width) as torch has them, biases 0.

    With ``bias`` the forget gate starts at 1, so that it lets the past through (Jozefowicz et al. 2015).
    """
    width = SIZES[name].width
    if "bias" in tensor_name:
        tensor.zero_()
        if bias and "bias_ih" in tensor_name:
            tensor[width : 2 * width] = 1.0  # gates in torch's order: input, forget, cell, output
    elif tensor_name == "wte.weight":
        tensor.normal_(0.0, EMBEDDING_DEVIATION, generator=generator)
    else:
        tensor.uniform_(-(width**-0.5), width**-0.5, generator=generator)
