"""Dropout whose masks follow from a sample's position in the training stream, not from what was drawn before.

How a batch is cut into parts, and where a run was resumed, then changes no mask. Positions are taken in aligned groups
of :data:`GROUP`, each with a generator of its own that the layers read in the order in which they run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from trainers.streams import torch_seed

#: Stream positions that share a generator: one a position would take eight times the calls.
GROUP = 8
#: Purpose of the streams of masks.
DROPOUT = "dropout"
#: The masks of the passes at work, the innermost last.
_AT_WORK: list[Masks] = []


@torch.library.custom_op("noisegrid::keyed_mask", mutates_args=())
def _mask(values: torch.Tensor, keep: float) -> torch.Tensor:
    """The next mask of the pass at work. One operation to ``torch.compile``, which would else trace the generators of
    each place and compile for each anew; layers stay in order, since the values of one follow from the one before.
    """
    return _AT_WORK[-1].like(values, keep)


@_mask.register_fake
def _(values: torch.Tensor, keep: float) -> torch.Tensor:
    return values.new_empty(values.shape)


class Masks:
    """The masks of one forward pass over stream positions ``start`` to ``start + count - 1``."""

    def __init__(self, seed: int, start: int, count: int) -> None:
        if start < 0 or count < 1:
            raise ValueError(f"start {start}, count {count}: start must be 0 or more, count 1 or more")
        self.seed, self.start, self.count = seed, start, count
        self._generators: list[torch.Generator] = []

    def like(self, values: torch.Tensor, keep: float) -> torch.Tensor:
        """The next layer's mask for ``values`` [count, ...]: 1 / keep with probability ``keep``, else 0.

        Whole groups are drawn, and what lies outside the pass is left out.

        Raises:
            ValueError: the values are not of ``count`` samples.
        """
        if len(values) != self.count:
            raise ValueError(f"dropout was keyed for {self.count} samples of the stream, and {len(values)} came")
        skipped = self.start % GROUP
        groups = -(-(skipped + self.count) // GROUP)
        if not self._generators:
            self._generators = [self._generator(self.start // GROUP + i, values.device) for i in range(groups)]
        mask = torch.empty((groups * GROUP, *values.shape[1:]), dtype=values.dtype, device=values.device)
        for place, generator in enumerate(self._generators):
            mask[place * GROUP : (place + 1) * GROUP].bernoulli_(keep, generator=generator)
        return mask[skipped : skipped + self.count] / keep

    def _generator(self, group: int, device: torch.device) -> torch.Generator:
        return torch.Generator(device).manual_seed(torch_seed(self.seed, f"{DROPOUT}/{group}"))


class KeyedDropout(nn.Module):
    """Dropout at rate ``p``, in training under :func:`keyed` only; the identity in evaluation mode.

    Raises:
        ValueError: ``p`` is not in [0, 1).
        RuntimeError: a pass in training mode outside :func:`keyed`.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"the rate of dropout is {p}; 0 or more and below 1 is allowed")
        self.p = p
        self.keyed = False

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return values
        if not self.keyed:
            raise RuntimeError(
                "dropout in training mode needs to know which samples of the stream it sees: run the pass within "
                "keyed_dropout.keyed(model, seed, start, count), or call model.eval()"
            )
        mask: torch.Tensor = _mask(values.detach(), 1 - self.p)
        return values * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout(p: float) -> nn.Module:
    """Dropout at rate ``p``, or nothing at all where it is 0."""
    return KeyedDropout(p) if p else nn.Identity()


@contextlib.contextmanager
def keyed(model: nn.Module, seed: int, start: int, count: int) -> Iterator[None]:
    """One forward pass of ``model`` over ``count`` samples from position ``start`` of the stream ``seed``.

    The backward pass may come later: the masks are kept with the graph. A second pass within draws the masks that come
    next, so each pass has a ``with`` of its own. CPUs and GPUs draw different masks, as they do other random numbers.

    Raises:
        ValueError: a negative start, or a count below 1.
    """
    masks = Masks(seed, start, count)
    layers = [module for module in model.modules() if isinstance(module, KeyedDropout)]
    _AT_WORK.append(masks)
    for layer in layers:
        layer.keyed = True
    try:
        yield
    finally:
        _AT_WORK.pop()
        for layer in layers:
            layer.keyed = False
