"""Noise on windows of a corpus: what a language model reads, what it is told to predict, and what is true.

Every token has a key of its own: (seed, position in the stream of tokens) where noise is ``fresh``, (seed, index of the
token in the corpus) where it is ``frozen``, so that a frozen wrong token is the same one in whatever window it is seen.
Under ``unit: example`` the decision is drawn once a sequence, by its position or by the index of its first token; what
each token becomes still has the token's own key. numpy only, but for what a sampler does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.errors import SpecError
from trainers.noise.token_spec import TokenNoiseSpec
from trainers.protocol import BoundLaw, NoiseLaw
from trainers.streams import WORDS, runs, uniforms, words

PURPOSE = "noise"
#: The decisions of ``unit: example``: one a sequence, so they need a stream beside that of the tokens.
EXAMPLE_PURPOSE = "noise/example"

Tokens = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

#: (inputs [n, c], v in [0, 1) [n, c]) -> [n, c]: after each clean input, that token of the teacher's prediction at
#: which its cumulative distribution first exceeds v.
Sampler = Callable[[Tokens, npt.NDArray[np.float64]], Tokens]


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """``inputs``, ``targets`` and ``truth``, int64 [n, context] each: ``truth`` holds the clean next tokens."""

    inputs: Tokens
    targets: Tokens
    truth: Tokens


@dataclass(frozen=True, slots=True)
class TokenCorruption:
    """The noise of one run. Built by :func:`token_corruption`; holds no random state."""

    noise: TokenNoiseSpec
    classes: int
    seed: int
    law: NoiseLaw
    context: int
    sampler: Sampler | None

    def apply(self, windows: Tokens, first_token: Tokens, position: int) -> TokenBatch:
        """The batch of ``windows`` [n, context + 1], tokens below ``classes``; they are left as they are.

        Args:
            first_token: index in the corpus of each window's first token, [n].
            position: of the first window in the stream, in sequences; the others follow it.

        Raises:
            ValueError: windows of another length, or the sampler gives what is no token.
        """
        if windows.shape != (len(first_token), self.context + 1):
            raise ValueError(
                f"windows of shape {windows.shape} for {len(first_token)} first tokens; "
                f"({len(first_token)}, {self.context + 1}) is due, one token more than the context"
            )
        inputs = np.ascontiguousarray(windows[:, :-1], dtype=np.int64)
        truth = np.ascontiguousarray(windows[:, 1:], dtype=np.int64)
        if self.noise.ratio == 0:
            return TokenBatch(inputs, truth.copy(), truth)
        if self.noise.corrupt == "targets":
            drawn = self._drawn(first_token, position, 1)
            return TokenBatch(inputs, self._targets(inputs, truth, drawn), truth)
        drawn = self._drawn(first_token, position, 0)
        targets = self._targets(inputs, truth, drawn[:, 1:])
        first = inputs[:, :1]  # of no use to a teacher: it has no context, and is no target
        if self.sampler is None:
            first = self._by_class(first, drawn[:, :1])
        return TokenBatch(np.concatenate([first, targets[:, :-1]], axis=1), targets, truth)

    def _drawn(self, first_token: Tokens, position: int, skipped: int) -> Words:
        """Words of the tokens of each window but the ``skipped`` first ones, [n, context + 1 - skipped, 4]."""
        n, length = len(first_token), self.context + 1 - skipped
        example = self.noise.unit == "example"
        if self.noise.refresh == "frozen":
            found = runs(self.seed, PURPOSE, first_token + skipped, length)
            decisions = runs(self.seed, EXAMPLE_PURPOSE, first_token, 1)[:, 0] if example else None
        else:
            found = words(self.seed, PURPOSE, position * length, n * length).reshape(n, length, WORDS)
            decisions = words(self.seed, EXAMPLE_PURPOSE, position, n) if example else None
        if decisions is not None:
            found[:, :, 0] = decisions[:, :1]
        return found

    def _targets(self, inputs: Tokens, truth: Tokens, drawn: Words) -> Tokens:
        if self.sampler is None:
            return self._by_class(truth, drawn)
        sampled = self.sampler(inputs, uniforms(drawn[:, :, 1]))
        if sampled.shape != truth.shape or (sampled.size and not 0 <= sampled.min() <= sampled.max() < self.classes):
            raise ValueError(
                f"the sampler gave tokens of shape {sampled.shape} for inputs of shape {inputs.shape}; as many tokens "
                f"from 0 to {self.classes - 1} are due"
            )
        return np.where(uniforms(drawn[:, :, 0]) < float(self.noise.rate), sampled, truth)

    def _by_class(self, tokens: Tokens, drawn: Words) -> Tokens:
        flat = self.law.corrupt(tokens.reshape(-1), drawn.reshape(-1, WORDS), self.noise, self.classes)
        return flat.reshape(tokens.shape)


def token_corruption(
    noise: TokenNoiseSpec, classes: int, seed: int, law: NoiseLaw, *, context: int, sampler: Sampler | None = None
) -> TokenCorruption:
    """The noise of one run on sequences of ``context`` tokens below ``classes``.

    Args:
        law: bound to its material, where it needs one; a law with material ``model`` as it is.
        sampler: for a law with material ``model``, and for no other.

    Raises:
        SpecError: the law does not fit the classes, is not bound, or a sampler is missing or of no use.
    """
    law.check(noise, classes)
    if noise.ratio == 0:
        return TokenCorruption(noise, classes, seed, law, context, None)
    material = law.material if isinstance(law, BoundLaw) else None
    if material == "model" and sampler is None:
        raise SpecError(
            f"noise law {law.name!r} replaces a token by another model's sample, and no model is given. "
            "Name the trial in the role 'teacher' under needs."
        )
    if material not in (None, "model"):
        raise SpecError(f"noise law {law.name!r} is not bound to its {material}; call bind({material}) first")
    if material is None and sampler is not None:
        raise SpecError(f"noise law {law.name!r} takes no model's samples; remove the sampler")
    return TokenCorruption(noise, classes, seed, law, context, sampler)
