"""The family of gradient analyses: what clean and corrupt targets' gradients say to each other (paper, section 4.3).

Importing it imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainers import registry
from trainers.errors import SpecError
from trainers.gradients.measures import METRICS
from trainers.gradients.spec import PAPER_TENSOR, GradientsSpec
from trainers.language import roles
from trainers.models import language
from trainers.protocol import BoundLaw, Family, Trainer
from trainers.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.datasets.text.corpus import Corpus

__all__ = ["FAMILY", "METRICS"]


def build(
    spec: TrialSpec, data: Corpus, device: str = "cpu", needs: Mapping[str, Mapping[str, Path]] | None = None
) -> Trainer:
    """An analysis on ``cpu`` or ``cuda``.

    Args:
        needs: ``model`` -> the files of a finished language trial; its ``weights`` are analysed.

    Raises:
        SpecError: the specification is of another family, or does not fit data, device or needed weights.
    """
    from trainers.gradients.trainer import GradientsTrainer

    if not isinstance(spec, GradientsSpec):
        raise SpecError(f"a gradient analysis is built from a GradientsSpec; this is a {type(spec).__name__}")
    odd = sorted({*(needs or {})} - {*spec.needs})
    if odd:
        raise SpecError(
            f"a trial is given in the role {odd[0]!r}, and the analysis names {', '.join(spec.needs) or 'none'} under "
            f"needs; the roles are {', '.join(spec.roles)}"
        )
    law = registry.noise_law(spec.noise.law)
    if isinstance(law, BoundLaw) and spec.noise.ratio > 0:
        if law.material not in FAMILY.materials:
            raise SpecError(
                f"noise law {law.name!r} needs {law.material}, and a gradient analysis has "
                f"{', '.join(sorted(FAMILY.materials))} alone; choose another noise.law"
            )
        law = law.bind(data.frequencies)
    return GradientsTrainer(spec, data, device, law, needs or {})


def count_parameters(spec: TrialSpec) -> int:
    """Parameters of the network that receive a gradient; the data itself is not read.

    Raises:
        SpecError: no such model or data set, or they do not fit.
    """
    return language.count_parameters(_network(spec))


def check(spec: TrialSpec) -> None:
    """Raises:
    SpecError: the network does not fit the data's vocabulary, or GPT-2's tensor is asked of an LSTM.
    """
    _network(spec)
    if isinstance(spec, GradientsSpec) and spec.measure == "gradients" and spec.model.startswith("lstm"):
        odd = [glob for glob in spec.analysed if glob.startswith("transformer.")]
        if odd:
            raise SpecError(
                f"analysed has {odd[0]!r}, a name in GPT-2, and the model is {spec.model}: write 'wte.weight' for the "
                f"embedding ({PAPER_TENSOR} there), 'lstm.*' or '*'"
            )


def check_need(spec: TrialSpec, role: str, other: TrialSpec) -> None:
    """Raises:
    SpecError: ``other`` is no language model of the same network.
    """
    roles.check_need(cast(GradientsSpec, spec), role, other, "same network")


def _network(spec: TrialSpec) -> language.Network:
    if not isinstance(spec, GradientsSpec):
        raise SpecError(f"a gradient analysis is built from a GradientsSpec; this is a {type(spec).__name__}")
    return language.network(spec, registry.dataset(spec.dataset).classes)


FAMILY = Family(
    name="gradients",
    about="gradients of clean and of corrupt targets, batch by batch; no training (paper, section 4.3)",
    spec=GradientsSpec,
    models=language.MODELS,
    data_kind="text",
    build=build,
    count_parameters=count_parameters,
    sources=("trainers.gradients.trainer",),
    metrics=METRICS,
    check=check,
    check_need=check_need,
    materials=frozenset({"frequencies"}),
)
