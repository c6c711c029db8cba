"""Sizes of the diffusion networks by name, and the images that each takes. Importing it does not import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UNetSize:
    """A U-Net: ``channels`` x ``multipliers[l]`` feature maps on level l, each level of half the side of the last.

    A level has ``blocks`` residual blocks on the way down and one more on the way up; those at a side in ``attention``
    attend. ``middle`` blocks lie at the lowest level, of which the first attends if ``middle_attends``. The vector that
    conditions the blocks is 4 x ``channels`` wide. Above 1, ``patch`` x ``patch`` pixels become the channels of one
    place before the first level and are put back after the last (Hoogeboom et al., arXiv 2301.11093, 3.2), which makes
    every level so many times cheaper; ``attention`` then counts places.
    """

    channels: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...] = ()
    middle: int = 2
    middle_attends: bool = True
    patch: int = 1

    @property
    def multiple(self) -> int:
        """What a side must be a multiple of: it is cut into patches and halved between levels."""
        return self.patch * int(2 ** (len(self.multipliers) - 1))

    @property
    def smallest(self) -> int:
        """The smallest side: 2 x 2 places are left at the lowest level."""
        return 2 * self.multiple


@dataclass(frozen=True, slots=True)
class DiTSize:
    """A transformer on patches: ``depth`` blocks of ``heads`` heads, ``width`` numbers a patch of side ``patch``."""

    width: int
    depth: int
    heads: int
    patch: int = 2

    @property
    def multiple(self) -> int:
        """What a side must be a multiple of: it is cut into patches."""
        return self.patch

    @property
    def smallest(self) -> int:
        """The smallest side: 2 x 2 patches."""
        return 2 * self.patch


Size = UNetSize | DiTSize

SIZES: dict[str, Size] = {
    "unet_tiny": UNetSize(16, (1, 1), 1, middle=0),
    "unet_small": UNetSize(32, (1, 2), 1, attention=(7, 8), middle=1, patch=2),
    "ddpmpp": UNetSize(96, (1, 2, 2), 2, attention=(16,)),
    "dit_tiny": DiTSize(64, 3, 2),
    "dit_small": DiTSize(128, 6, 4),
}
