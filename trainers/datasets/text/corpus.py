"""A tokenised corpus as it is trained on: two memory maps of token ids that all trials of a node share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


class Tokenizer(Protocol):
    """Text to token ids and back."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True)
class Corpus:
    """``train`` and ``validation`` are [N] token ids below ``vocabulary``, read-only memory maps.

    ``tokenizer_sha256`` tells two corpora of one tokenizer; ``frequencies`` counts the tokens of ``train``,
    int64 [vocabulary].
    """

    name: str
    train: Tokens
    validation: Tokens
    vocabulary: int
    tokenizer: Tokenizer
    tokenizer_sha256: str
    frequencies: npt.NDArray[np.int64]
