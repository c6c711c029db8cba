"""The DDPM++ U-Net of score models (DDPM, arXiv 2006.11239; Song et al., 2011.13456, 4.1; EDM, 2206.00364, table 7)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from trainers.models.diffusion_sizes import UNetSize
from trainers.models.unet_parts import Block, Resample, conv, double, halve, norm, sinusoids

#: The vector that conditions the blocks is so many times as wide as the first level's maps.
EMBEDDING = 4
#: What ends a residual branch, and the output, begins so much below its usual width: nearly zero, but not stuck.
NEARLY_ZERO = 1e-5
#: EDM draws queries, keys and values narrower.
ATTENTION_GAIN = math.sqrt(0.2)
#: Width of the augmentation labels of the original's CIFAR-10 configuration.
AUGMENTATION = 9


class UNet(nn.Module):
    """Noisy images [n, c, s, s], levels [n] and labels [n, classes] in, [n, c, s, s] out.

    ``labels`` are one-hot rows, or rows of zeros for images without a label. ``augmentation`` gives the map of
    augmentation labels that the original declares in the paper's setting and never feeds: 864 parameters more.
    """

    def __init__(
        self, size: UNetSize, channels: int, side: int, classes: int, p: float, *, augmentation: bool = False
    ) -> None:
        super().__init__()
        self.width, self.classes, self.patch = size.channels, classes, size.patch
        embedding = EMBEDDING * size.channels
        self.map_label = nn.Linear(classes, size.channels)
        self.map_augment = nn.Linear(AUGMENTATION, size.channels, bias=False) if augmentation else None
        self.map0 = nn.Linear(size.channels, embedding)
        self.map1 = nn.Linear(embedding, embedding)

        def block(inputs: int, outputs: int, resample: Resample | None = None, attends: bool = False) -> Block:
            return Block(inputs, outputs, embedding, p=p, resample=resample, attends=attends)

        widths = [size.channels * multiplier for multiplier in size.multipliers]
        attends = [side // size.patch >> level in size.attention for level in range(len(widths))]
        self.first = conv(channels * size.patch**2, size.channels)
        now, kept = size.channels, [size.channels]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            stage = [block(now, now, halve)] if level else []
            for _ in range(size.blocks):
                stage.append(block(now, width, attends=attends[level]))
                now = width
            kept += [part.outputs for part in stage]
            self.down.extend(stage)
        self.middle = nn.ModuleList(
            block(now, now, attends=size.middle_attends and not number) for number in range(size.middle)
        )
        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for number in range(size.blocks + 1):
                self.up.append(block(now + kept.pop(), width, attends=attends[level] and number == size.blocks))
                now = width
            if level:
                self.up.append(block(now, now, double))
        self.norm = norm(now)
        self.last = conv(now, channels * size.patch**2)

    def condition(self, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The vector [n, 4 x channels] that every block is given."""
        vector = sinusoids(level, self.width) + self.map_label(labels * math.sqrt(self.classes))
        return functional.silu(self.map1(functional.silu(self.map0(vector))))

    def forward(self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        condition = self.condition(level, labels)
        x = self.first(functional.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        kept = [x]
        for block in self.down:
            x = block(x, condition)
            kept.append(x)
        for block in self.middle:
            x = block(x, condition)
        for block in self.up:
            joins = block.resample is None  # what doubles the side has no counterpart on the way down
            x = block(torch.cat([x, kept.pop()], dim=1) if joins else x, condition)
        x = self.last(functional.silu(self.norm(x)))
        return functional.pixel_shuffle(x, self.patch) if self.patch > 1 else x


def initialise(name: str, tensor: nn.Parameter, generator: torch.Generator) -> None:
    """Fill one parameter in place: Glorot's uniform law with EDM's gains, norms 1, biases 0."""
    if name.endswith("bias"):
        tensor.zero_()
    elif tensor.dim() == 1:
        tensor.fill_(1.0)
    else:
        nn.init.xavier_uniform_(tensor, gain=_gain(name), generator=generator)


def _gain(name: str) -> float:
    if name == "last.weight" or name.endswith(("conv1.weight", "proj.weight")):
        return NEARLY_ZERO
    return ATTENTION_GAIN if name.endswith("qkv.weight") else 1.0
