"""Laws on classes that follow from a material: what they are before they are bound, and how they are bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.errors import SpecError
from trainers.noise.laws import ClassLaw, Labels, Matrix, check_no_map
from trainers.protocol import BoundLaw, NoiseLaw
from trainers.spec import NoiseSpec


@dataclass(frozen=True, slots=True)
class MaterialLaw:
    """A :class:`trainers.protocol.BoundLaw` whose ``bind`` gives a law on classes. Unbound, it only checks."""

    name: str
    about: str
    material: str
    make: Callable[[Any], ClassLaw]

    def check(self, noise: NoiseSpec, classes: int) -> None:
        """Raises:
        SpecError: fewer than two classes, or a map.
        """
        if noise.ratio > 0:
            check_no_map(self.name, noise, classes)

    def corrupt(self, labels: Labels, words: npt.NDArray[np.uint64], noise: NoiseSpec, classes: int) -> Labels:
        """Raises:
        SpecError: always, but at ratio 0: the law is not bound.
        """
        if noise.ratio == 0:
            return labels.astype(np.int64)
        raise self._unbound()

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix:
        """Raises:
        SpecError: always, but at ratio 0: the law is not bound.
        """
        if noise.ratio == 0:
            return np.eye(classes)
        raise self._unbound()

    def bind(self, material: Any) -> NoiseLaw:
        """Raises:
        SpecError: that is no such material.
        """
        return self.make(material)

    def _unbound(self) -> SpecError:
        return SpecError(
            f"noise law {self.name!r} follows from {self.material} and is not bound to any; "
            f"call bind({self.material}) and use the law that it returns"
        )


def bound(law: NoiseLaw, noise: NoiseSpec, materials: Mapping[str, Callable[[], Any]]) -> NoiseLaw:
    """The law bound to what it needs of ``materials``, which are made when asked for; itself if it needs nothing.

    Raises:
        SpecError: a material that is not among them.
    """
    if noise.ratio == 0 or not isinstance(law, BoundLaw):
        return law
    if law.material not in materials:
        raise SpecError(
            f"noise law {law.name!r} needs {law.material}, and there is {', '.join(sorted(materials)) or 'none'} here; "
            "choose another noise.law"
        )
    return law.bind(materials[law.material]())
