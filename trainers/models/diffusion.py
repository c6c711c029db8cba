"""The diffusion networks by name: what they are, how one is built, its parameters and what a sample costs.

Importing it does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from trainers.errors import SpecError
from trainers.models.catalogue import INIT, trainable
from trainers.models.diffusion_sizes import SIZES, DiTSize
from trainers.registry import unknown
from trainers.streams import torch_seed

if TYPE_CHECKING:
    from torch import nn

MODELS = {
    "unet_tiny": "U-Net of 2 levels, 16 channels, no attention; 0.06 M parameters, for 8x8 images on one core",
    "unet_small": "U-Net of 2 levels on 2x2 patches, 32 channels; 0.7 M parameters, for 16x16 to 32x32 images on a CPU",
    "ddpmpp": "DDPM++ U-Net of EDM, 96 channels; 15.7 M parameters on CIFAR-10 (the paper's)",
    "dit_tiny": "DiT of 3 blocks on 2x2 patches, 64 wide; 0.25 M parameters, for 8x8 images on one core",
    "dit_small": "DiT of 6 blocks on 2x2 patches, 128 wide; 1.9 M parameters",
}


@dataclass(frozen=True, slots=True)
class Network:
    """All that decides a network's tensors and passes: images are ``channels`` x ``side`` x ``side``."""

    name: str
    channels: int
    side: int
    classes: int
    dropout: float = 0.0


def check(name: str, shape: tuple[int, ...]) -> None:
    """Raises:
    SpecError: there is no such model, or images of ``shape`` (channels, height, width) do not fit it.
    """
    if name not in MODELS:
        raise SpecError(unknown("model", name, list(MODELS)))
    if len(shape) != 3 or shape[1] != shape[2]:
        raise SpecError(
            f"model {name!r} takes square images, channels x side x side; the data has shape {shape}. Prepare the "
            "images at one height and width"
        )
    side = shape[1]
    if not _fits(name, side):
        size = SIZES[name]
        fitting = [other for other in MODELS if _fits(other, side)]
        raise SpecError(
            f"model {name!r} takes images whose side is a multiple of {size.multiple} and at least {size.smallest}; "
            f"these are {side}x{side}. Models that fit: {', '.join(fitting) or 'none'}"
        )


def network(name: str, shape: tuple[int, ...], classes: int, dropout: float) -> Network:
    """The network of a trial on images of ``shape`` with ``classes`` labels.

    Raises:
        SpecError: no such model, or the images do not fit it.
    """
    check(name, shape)
    return Network(name, shape[0], shape[1], classes, dropout)


def build(network: Network, seed: int) -> nn.Module:
    """A network on the CPU: ``forward(x, level, labels)`` with x [n, c, s, s], level [n], labels [n, classes].

    ``labels`` are one-hot rows in float32, rows of zeros for images without a label. Each tensor's initial values
    follow from the seed, its name and its shape alone, so networks that differ in dropout start alike, and those that
    differ in classes do but for the labels' map. torch's global generator is left as found.
    """
    import torch

    from trainers.models import dit, unet

    initialise = dit.initialise if isinstance(SIZES[network.name], DiTSize) else unet.initialise
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = _empty(network)
        for name, tensor in model.named_parameters():
            initialise(name, tensor, torch.Generator().manual_seed(torch_seed(seed, f"{INIT}/{name}")))
    return model


def count_parameters(network: Network) -> int:
    """Parameters that receive a gradient, exact; no memory is taken for them."""
    import torch

    with torch.device("meta"):
        return trainable(_empty(network))


def flops_a_sample(network: Network) -> float:
    """Floating-point operations of training on one image, forward and backward: three times the forward pass's.

    Products alone are counted (convolutions, matrices, attention), on tensors without memory.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shape = (1, network.channels, network.side, network.side)
    with torch.device("meta"), torch.no_grad():
        model = _empty(network).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(shape), torch.empty(1), torch.empty(1, network.classes))
    return 3.0 * cast(int, counter.get_total_flops())


def _fits(name: str, side: int) -> bool:
    size = SIZES[name]
    return side >= size.smallest and side % size.multiple == 0


def _empty(network: Network) -> nn.Module:
    from trainers.models.dit import DiT
    from trainers.models.unet import UNet

    size = SIZES[network.name]
    rest = (network.channels, network.side, network.classes, network.dropout)
    return DiT(size, *rest) if isinstance(size, DiTSize) else UNet(size, *rest)
