"""ResNet-18 with the stem for small images, the paper's classifier (protocols 1 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

#: The side is halved three times, rounded up: from 9 on the last stage sees 2 x 2 pixels. With a single pixel, batch
#: normalisation of a last batch of one example would have nothing to average.
SMALLEST_SIDE = 9


def resnet18(shape: tuple[int, ...], classes: int) -> nn.Module:
    """torchvision's ResNet-18 with a 3 x 3 stem of stride 1 and no pool after it.

    11,173,962 parameters for 3 channels and 10 classes. Every layer is initialised as torch does by itself, as in
    the code that the paper used; torchvision's own initialisation (normal, by fan-out) is another.
    """
    from torch import nn
    from torchvision.models import resnet18 as with_large_stem

    model: nn.Module = with_large_stem(weights=None, num_classes=classes)
    model.conv1 = nn.Conv2d(shape[0], 64, 3, stride=1, padding=1, bias=False)
    model.maxpool = nn.Identity()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            module.reset_parameters()
    return model
