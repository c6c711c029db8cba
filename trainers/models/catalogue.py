"""The networks by name: what they are, how one is built, how many parameters it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.errors import SpecError
from trainers.models import mlp, resnet, small_cnn
from trainers.streams import torch_seed

if TYPE_CHECKING:
    from torch import nn

#: Purpose of the stream of initial weights.
INIT = "init"

MODELS = {
    "small_cnn": "two convolutions and two linear layers, no batch statistics; seconds on one core",
    "mlp": "two hidden layers of 256 and 128 units",
    "resnet18": "ResNet-18 with a 3x3 stem and no first pool, 11.2 M parameters (the paper's classifier)",
}

_BUILDERS = {"small_cnn": small_cnn.small_cnn, "mlp": mlp.mlp, "resnet18": resnet.resnet18}
_SMALLEST_SIDES = {"small_cnn": small_cnn.SMALLEST_SIDE, "resnet18": resnet.SMALLEST_SIDE}


def check(name: str, shape: tuple[int, ...]) -> None:
    """Raises:
    SpecError: there is no such model, or images of ``shape`` (channels, height, width) are too small for it.
    """
    if name not in MODELS:
        raise SpecError(f"unknown model {name!r}. Allowed: {', '.join(MODELS)}.")
    if len(shape) != 3:
        raise SpecError(f"model {name!r} takes images of channels x height x width; the data has shape {shape}")
    smallest = _SMALLEST_SIDES.get(name, 1)
    if min(shape[1:]) < smallest:
        fitting = [other for other in MODELS if min(shape[1:]) >= _SMALLEST_SIDES.get(other, 1)]
        raise SpecError(
            f"model {name!r} needs images of at least {smallest}x{smallest} pixels; these are {shape[1]}x{shape[2]}. "
            f"Models that fit: {', '.join(fitting)}."
        )


def build(name: str, shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """A network on the CPU whose weights depend on the seed and on the network alone.

    Noise, batch and budget have no part in it, so cells of one seed start alike. Layers initialise themselves from
    torch's global CPU generator: it is seeded for the while and left as found (the GPU's is not touched).

    Raises:
        SpecError: no such model, or it does not fit ``shape``.
    """
    import torch

    check(name, shape)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(torch_seed(seed, INIT))
        return _BUILDERS[name](shape, classes)


def count_parameters(name: str, shape: tuple[int, ...], classes: int) -> int:
    """Parameters that receive a gradient, exact; no memory is taken for them.

    Raises:
        SpecError: no such model, or it does not fit ``shape``.
    """
    import torch

    check(name, shape)
    with torch.device("meta"):
        return trainable(_BUILDERS[name](shape, classes))


def trainable(model: nn.Module) -> int:
    """Elements of the parameters of ``model`` that receive a gradient."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
