"""The diffusion transformer with adaLN-zero (Peebles and Xie, arXiv 2212.09748), on pixels."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from trainers.models.diffusion_sizes import DiTSize
from trainers.models.keyed_dropout import dropout
from trainers.models.unet_parts import sinusoids

#: Sinusoids of the level.
FEATURES = 256
#: The hidden layer of a block's perceptron is so many times as wide as the block.
HIDDEN = 4
DEVIATION = 0.02
EPSILON = 1e-6


def modulated(states: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Normalised states [n, t, w], with shift and scale [n, w] of their sample in place of a learnt gain and bias."""
    states = functional.layer_norm(states, states.shape[-1:], eps=EPSILON)
    return torch.addcmul(shift[:, None], states, 1 + scale[:, None])


class Block(nn.Module):
    """Attention and a perceptron, each modulated by the condition and gated by it; the gates start at zero."""

    def __init__(self, size: DiTSize, p: float) -> None:
        super().__init__()
        self.heads = size.heads
        self.modulation = nn.Linear(size.width, 6 * size.width)
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.proj = nn.Linear(size.width, size.width)
        self.fc0 = nn.Linear(size.width, HIDDEN * size.width)
        self.fc1 = nn.Linear(HIDDEN * size.width, size.width)
        self.dropout0, self.dropout1 = dropout(p), dropout(p)

    def forward(self, states: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        shift0, scale0, gate0, shift1, scale1, gate1 = self.modulation(condition).chunk(6, dim=1)
        mixed = self.attend(modulated(states, shift0, scale0))
        states = torch.addcmul(states, gate0[:, None], self.dropout0(mixed))
        # The paper's code approximates it by tanh, which takes a CPU more than twice as long as the real thing.
        hidden = functional.gelu(self.fc0(modulated(states, shift1, scale1)))
        return torch.addcmul(states, gate1[:, None], self.dropout1(self.fc1(hidden)))

    def attend(self, states: torch.Tensor) -> torch.Tensor:
        n, tokens, width = states.shape
        parts = self.qkv(states).view(n, tokens, 3, self.heads, width // self.heads).transpose(1, 3)
        queries, keys, values = parts.unbind(2)  # [n, heads, tokens, width / heads]
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return cast(torch.Tensor, self.proj(mixed.transpose(1, 2).reshape(n, tokens, width)))


class DiT(nn.Module):
    """Noisy images [n, c, s, s], levels [n] and labels [n, classes] in, [n, c, s, s] out.

    ``labels`` are one-hot rows, or rows of zeros for images without a label: the bias of their map is then the
    embedding of no label. Dropout at rate ``p`` ends both branches of a block; the original has none.
    """

    positions: torch.Tensor

    def __init__(self, size: DiTSize, channels: int, side: int, classes: int, p: float) -> None:
        super().__init__()
        self.patch, self.channels = size.patch, channels
        self.first = nn.Conv2d(channels, size.width, size.patch, stride=size.patch)
        self.map_level0 = nn.Linear(FEATURES, size.width)
        self.map_level1 = nn.Linear(size.width, size.width)
        self.map_label = nn.Linear(classes, size.width)
        self.blocks = nn.ModuleList(Block(size, p) for _ in range(size.depth))
        self.modulation = nn.Linear(size.width, 2 * size.width)
        self.last = nn.Linear(size.width, size.patch**2 * channels)
        self.register_buffer("positions", places(side // size.patch, size.width), persistent=False)

    def condition(self, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The vector [n, width] from which every block's modulation follows."""
        vector = self.map_level1(functional.silu(self.map_level0(sinusoids(level, FEATURES))))
        return functional.silu(vector + self.map_label(labels))

    def forward(self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        condition = self.condition(level, labels)
        states = self.first(x)
        rows, columns = states.shape[2:]
        states = states.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            states = block(states, condition)
        shift, scale = self.modulation(condition).chunk(2, dim=1)
        pixels = self.last(modulated(states, shift, scale))
        pixels = pixels.view(-1, rows, columns, self.channels, self.patch, self.patch)
        return cast(torch.Tensor, pixels.permute(0, 3, 1, 4, 2, 5).reshape(x.shape))


def places(side: int, width: int) -> torch.Tensor:
    """Fixed embedding of ``side`` x ``side`` places, [side**2, width]: sinusoids of the row, then of the column."""
    numbers = torch.arange(side, dtype=torch.float32)
    one = sinusoids(numbers, width // 2)
    rows = one[:, None].expand(side, side, width // 2)
    return torch.cat([rows, rows.transpose(0, 1)], dim=2).reshape(side**2, width)


def initialise(name: str, tensor: nn.Parameter, generator: torch.Generator) -> None:
    """Fill one parameter in place, as the paper's section 3.2 and its code have it.

    Modulations and the output start at zero, so that each block starts as the identity. What makes the condition is
    normal with deviation 0.02, all else Glorot's uniform law, biases 0.
    """
    if name.endswith("bias") or "modulation" in name or name.startswith("last"):
        tensor.zero_()
    elif name.startswith("map_"):
        tensor.normal_(0.0, DEVIATION, generator=generator)
    else:
        flat = tensor.view(len(tensor), -1)  # the patch is embedded by one matrix
        nn.init.xavier_uniform_(flat, generator=generator)
