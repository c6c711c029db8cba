"""The language models by name: what they are, how one is built, its parameters and what a token costs.

Importing it imports neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from trainers.errors import SpecError
from trainers.models.catalogue import INIT, trainable
from trainers.registry import unknown
from trainers.streams import torch_seed

if TYPE_CHECKING:
    import torch
    from torch import nn

    from trainers.language.spec import NetworkFields

MODELS = {
    "gpt2_tiny": "GPT-2 of 2 layers, 2 heads, 64 wide; 0.24 M parameters at 2,048 tokens; minutes on one core",
    "gpt2_mini": "GPT-2 of 4 layers, 4 heads, 128 wide; 1.1 M parameters at 2,048 tokens",
    "gpt2": "GPT-2 of 12 layers, 12 heads, 768 wide; 124 M parameters at 50,257 tokens (the paper's)",
    "lstm_tiny": "LSTM of 2 layers, 72 wide, the size of gpt2_tiny",
    "lstm_mini": "LSTM of 2 layers, 200 wide, the size of gpt2_mini",
    "lstm": "LSTM of 3 layers, 1,472 wide, the size of gpt2",
}


class LanguageModel(Protocol):
    """What all of them share, beside being a ``torch.nn.Module``: logits of the next token at each place.

    The embedding of tokens and the output matrix ``lm_head.weight`` are one tensor, [vocabulary, width].
    """

    lm_head: nn.Linear

    def hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        """Token ids [n, c] to states [n, c, width]."""

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Token ids [n, c] to logits [n, c, vocabulary]."""


@dataclass(frozen=True, slots=True)
class Network:
    """All that decides a network's tensors: model, outputs, longest context, and whether biases move."""

    model: str
    vocabulary: int
    context: int
    bias: bool


def network(spec: NetworkFields, classes: int) -> Network:
    """The network of a trial on data with ``classes`` tokens.

    Raises:
        SpecError: no such model, or fewer outputs than the data has tokens.
    """
    if spec.model not in MODELS:
        raise SpecError(unknown("model", spec.model, list(MODELS)))
    outputs = classes if spec.vocabulary is None else spec.vocabulary
    if outputs < classes:
        raise SpecError(
            f"vocabulary is {outputs}, and the data set {spec.dataset!r} has {classes} tokens; give at least that "
            "many, or leave vocabulary out"
        )
    return Network(spec.model, outputs, spec.context, spec.bias)


def build(network: Network, seed: int) -> nn.Module:
    """A network on the CPU, a :class:`LanguageModel`, in evaluation mode as in training: it has no dropout.

    Each tensor's initial values follow from the seed, its name and its shape alone, so networks that differ in context
    or in ``bias`` start alike where they have the same tensors. torch's global generator is left as found.
    """
    import torch

    from trainers.models import gpt2, lstm

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = _empty(network)
        for name, tensor in model.named_parameters():  # a tied tensor is named once
            generator = torch.Generator().manual_seed(torch_seed(seed, f"{INIT}/{name}"))
            if network.model in gpt2.SIZES:
                gpt2.initialise(network.model, name, tensor, generator)
            else:
                lstm.initialise(network.model, name, tensor, network.bias, generator)
    return model


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """All tensors of a network by name, the shared one once; not copied."""
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def load(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put ``tensors``, which have the names, shapes and kinds of :func:`weights`, into the network."""
    for name, own in weights(model).items():
        own.copy_(tensors[name])


def embedding(model: nn.Module) -> torch.Tensor:
    """The vectors of the tokens [vocabulary, width], not copied."""
    return cast("LanguageModel", model).lm_head.weight.detach()


def count_parameters(network: Network) -> int:
    """Parameters that receive a gradient, exact; no memory is taken for them."""
    import torch

    with torch.device("meta"):
        return trainable(_empty(network))


def flops_a_token(network: Network) -> float:
    """Floating-point operations of training on one token, forward and backward: 6 a parameter, plus attention.

    Kaplan et al. 2020 (2.1), PaLM appendix B, as nanoGPT counts: the position table does no product and is left out;
    the tied embedding counts once, for the output layer.
    """
    import torch

    from trainers.models import gpt2

    with torch.device("meta"):
        model = _empty(network)
    if network.model not in gpt2.SIZES:
        return 6.0 * trainable(model)
    positions = network.context * gpt2.SIZES[network.model].width
    return 6.0 * (trainable(model) - positions) + gpt2.attention_flops(network.model, network.context)


def layers_and_width(network: Network) -> tuple[int, int]:
    """Layers, and numbers in the state of a token."""
    from trainers.models import gpt2, lstm

    if network.model in gpt2.SIZES:
        size = gpt2.SIZES[network.model]
        return size.layers, size.width
    other = lstm.SIZES[network.model]
    return other.layers, other.width


def _empty(network: Network) -> nn.Module:
    from trainers.models import gpt2, lstm

    if network.model in gpt2.SIZES:
        return gpt2.gpt2(network.model, network.vocabulary, network.context, network.bias)
    return lstm.lstm(network.model, network.vocabulary, network.bias)
