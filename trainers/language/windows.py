"""Which windows of a corpus stand where in the stream, and their tokens. Pure functions of seed and position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainers.datasets.text.corpus import Tokens
from trainers.errors import SpecError
from trainers.spec import TrialSpec
from trainers.streams import order, uniforms, words

#: Purpose of the stream of random crops.
CROP = "crop"
#: Validation targets come in whole blocks of so many tokens where the context divides it: at every context length the
#: same targets are measured.
BLOCK = 1024

Starts = npt.NDArray[np.int64]


def check_length(tokens: Tokens, context: int, split: str) -> None:
    """Raises:
    SpecError: the split has no window of ``context`` tokens and their targets.
    """
    if len(tokens) <= context:
        raise SpecError(
            f"context is {context}, and the {split} split has {len(tokens)} tokens; at least {context + 1} are needed. "
            "Set a shorter context, or take a larger corpus"
        )


def training_starts(spec: TrialSpec, context: int, size: int, start: int, count: int) -> Starts:
    """First token of each training window at stream positions ``start`` to ``start + count - 1``, [count].

    ``corrected``: the windows lie side by side, each once an epoch in an order of its own; the tokens that are left
    over at the end are not seen. ``paper``: random crops with replacement, from every place alike.

    Args:
        size: tokens of the training split, more than ``context``: the last of a window's targets is one further on.
    """
    if spec.reading == "corrected":
        return order(spec.seed, start, count, (size - 1) // context) * context
    return crops(spec.seed, CROP, context, size, start, count)


def crops(seed: int, purpose: str, context: int, size: int, start: int, count: int) -> Starts:
    """First tokens of random windows at positions ``start`` to ``start + count - 1`` of the stream ``purpose``."""
    u = uniforms(words(seed, purpose, start, count)[:, 0])
    return (u * (size - context)).astype(np.int64)  # below size - context: u is at most 1 - 2**-53, size below 2**53


def validation_starts(context: int, size: int) -> Starts:
    """First tokens of the windows that are measured: side by side, over the first whole blocks of 1,024 targets.

    So contexts of 16 to 1,024 tokens are measured on the same targets. Where the context does not divide 1,024, or the
    split is shorter than a block, whole windows are all that is asked for.
    """
    block = BLOCK if BLOCK % context == 0 and size > BLOCK else context
    targets = (size - 1) // block * block
    return np.arange(0, targets, context, dtype=np.int64)


def gather(tokens: Tokens, starts: Starts, context: int) -> npt.NDArray[np.int64]:
    """The windows that begin at ``starts`` [n], with their last target, [n, context + 1], in one indexed read."""
    view = np.lib.stride_tricks.sliding_window_view(np.asarray(tokens), context + 1)
    return view[starts].astype(np.int64)
