"""A multi-layer perceptron: the model that knows nothing of images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

WIDTHS = (256, 128)


def mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Two hidden layers of 256 and 128 units, initialised as torch does. ``shape`` is that of one example."""
    from torch import nn

    first, second = WIDTHS
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )
