"""The trial in the role ``teacher``: the materials of the laws that follow a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from trainers.errors import SpecError
from trainers.language.laws import TEACHER
from trainers.language.weights import rebuilt
from trainers.models.language import LanguageModel, embedding

#: Numbers of float64 at once, rows x vocabulary: 64 MB.
NUMBERS_AT_ONCE = 8_000_000
#: Tokens a forward pass.
TOKENS_AT_ONCE = 8192


class Teacher:
    """A trained language model that reads clean contexts and is never trained."""

    def __init__(self, path: Path, tokenizer_sha256: str, classes: int, context: int, device: torch.device) -> None:
        """Raises:
        SpecError: the weights cannot be read, or their tokens or context do not fit.
        """
        model, network = rebuilt(path, tokenizer_sha256, TEACHER)
        if network.context < context:
            raise SpecError(
                f"needs.{TEACHER} has a context of {network.context}, and this trial's is {context}; the teacher reads "
                "whole windows: give it at least that context"
            )
        self._model: nn.Module = model.to(device).requires_grad_(False)
        self._classes, self._device = classes, device

    def embedding(self) -> npt.NDArray[np.float32]:
        """The vectors of the data's tokens, float32 [classes, width]."""
        return embedding(self._model)[: self._classes].cpu().numpy()

    @torch.inference_mode()
    def sample(self, inputs: npt.NDArray[np.int64], v: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """At each place, the token at the share ``v`` of p(. | clean context), temperature 1; all [n, c].

        In float32 whatever the trial's precision; outputs beyond the vocabulary are never drawn.
        """
        network: LanguageModel = self._model  # type: ignore[assignment]
        count, context = inputs.shape
        found = np.empty((count, context), np.int64)
        sequences = max(1, TOKENS_AT_ONCE // context)
        rows = max(1, NUMBERS_AT_ONCE // network.lm_head.out_features)
        for first in range(0, count, sequences):
            part = slice(first, first + sequences)
            states = network.hidden(torch.from_numpy(inputs[part]).to(self._device)).flatten(0, 1)
            shares = torch.from_numpy(np.ascontiguousarray(v[part])).reshape(-1, 1)
            drawn = [
                self._drawn(network.lm_head(states[row : row + rows]), shares[row : row + rows])
                for row in range(0, len(states), rows)
            ]
            found[part] = torch.cat(drawn).reshape(-1, context).numpy()
        return found

    def _drawn(self, logits: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        p = logits[:, : self._classes].double().softmax(-1)
        cumulative = p.cpu().cumsum(-1)  # on a GPU a sum along a row is not the same each time
        at = torch.searchsorted(cumulative, v * cumulative[:, -1:], right=True)
        return at.clamp_(max=self._classes - 1)[:, 0]
