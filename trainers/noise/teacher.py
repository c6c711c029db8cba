"""The law ``teacher``: a redrawn token is a sample of a trained model's prediction, given the clean context.

What it becomes follows from the whole context, so there is no channel matrix, and no way to corrupt classes alone:
:func:`trainers.noise.tokens.token_corruption` takes the model's sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.errors import SpecError
from trainers.noise.laws import Labels, Matrix, check_no_map
from trainers.protocol import NoiseLaw
from trainers.spec import NoiseSpec


@dataclass(frozen=True, slots=True)
class TeacherLaw:
    """A :class:`trainers.protocol.BoundLaw` that stays as it is when bound: the sampler goes where contexts are."""

    name: str = "teacher"
    about: str = "a redrawn target is a trained model's sample given the clean context, and may hit the truth"
    material: str = "model"

    def check(self, noise: NoiseSpec, classes: int) -> None:
        """Raises:
        SpecError: fewer than two classes, or a map.
        """
        if noise.ratio > 0:
            check_no_map(self.name, noise, classes)

    def corrupt(self, labels: Labels, words: npt.NDArray[np.uint64], noise: NoiseSpec, classes: int) -> Labels:
        """Raises:
        SpecError: always, but at ratio 0.
        """
        if noise.ratio == 0:
            return labels.astype(np.int64)
        raise SpecError(
            f"noise law {self.name!r} samples a model given the context, and classes alone have none; "
            "choose another noise.law, or a family of trials on sequences"
        )

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix | None:
        """None: what a token becomes does not follow from the token alone."""
        return np.eye(classes) if noise.ratio == 0 else None

    def bind(self, material: Any) -> NoiseLaw:
        """Itself."""
        return self


TEACHER = TeacherLaw()
