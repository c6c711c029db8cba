"""What the noise law of a language trial must be bound to, and whether the trial has it. Imports no torch."""

from __future__ import annotations

from trainers.errors import SpecError
from trainers.language.spec import LanguageSpec
from trainers.protocol import BoundLaw
from trainers.registry import noise_law

TEACHER = "teacher"
#: The materials that the trial in the role ``teacher`` provides.
TAUGHT = frozenset({"embedding", "model"})
#: All that a language trial can provide; the frequencies are the corpus's.
MATERIALS = TAUGHT | {"frequencies"}


def material_of(spec: LanguageSpec) -> str | None:
    """What the trial's law must be bound to; None where it needs nothing, as at ratio 0."""
    law = noise_law(spec.noise.law)
    return law.material if spec.noise.ratio > 0 and isinstance(law, BoundLaw) else None


def check_teacher(spec: LanguageSpec) -> None:
    """Raises:
    SpecError: the law follows a teacher and none is named, or one is named and the law follows none.
    """
    material = material_of(spec)
    if material in TAUGHT and TEACHER not in spec.needs:
        raise SpecError(
            f"noise.law {spec.noise.law} follows a trained model; name the group that trains it under needs.{TEACHER}"
        )
    if material not in TAUGHT and TEACHER in spec.needs and spec.noise.ratio > 0:  # a clean trial has no law at all
        raise SpecError(
            f"noise.law {spec.noise.law} has no use for needs.{TEACHER}; remove it, or give the law a group of its own"
        )
