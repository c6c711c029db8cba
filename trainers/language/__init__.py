"""Language models: GPT-2 and LSTM under token noise. Importing it imports neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainers import registry
from trainers.errors import SpecError
from trainers.language import roles
from trainers.language.laws import MATERIALS, check_teacher
from trainers.language.spec import LanguageSpec
from trainers.models import language
from trainers.protocol import Family, Trainer
from trainers.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.datasets.text.corpus import Corpus

METRICS = {
    "test_nll": "mean of -ln p(next token) on clean validation text, nats a token",
    "perplexity": "e to the test_nll; null where that is beyond a float64",
    "top1": "share of validation tokens that were the most probable",
    "sampled_accuracy": "mean of p(next token) on clean validation text: the accuracy of one draw",
    "channel_inverted_nll": "NLL after the noise channel is inverted, nats a token; null where it is ill-conditioned",
    "inversion_boundary_share": "share of validation tokens whose inverted prediction lies on the simplex's boundary",
    "paper_estimate": "mean of -ln p(next token) over random crops of validation text, the original's estimate, nats",
    "train_loss": "mean of -ln p(noisy target) in training since the last evaluation, nats a token (split train)",
}


def build(
    spec: TrialSpec,
    data: Corpus,
    device: str = "cpu",
    needs: Mapping[str, Mapping[str, Path]] | None = None,
    *,
    micro_batch: int | None = None,
    compile: bool = False,
) -> Trainer:
    """A trainer on ``cpu`` or ``cuda``.

    Args:
        needs: role -> artifact role -> file; ``pretrained`` and ``teacher`` leave ``weights``.
        micro_batch: sequences a forward pass; as many as memory allows where None. The step's gradient is the same
            but for rounding.
        compile: run the network through ``torch.compile``.

    Raises:
        SpecError: the specification is of another family, or does not fit the data, the device or what it needs.
    """
    from trainers.language.trainer import LanguageTrainer

    if not isinstance(spec, LanguageSpec):
        raise SpecError(f"a language model is built from a LanguageSpec; this is a {type(spec).__name__}")
    check_teacher(spec)
    given = needs or {}
    return LanguageTrainer(spec, data, device, given, micro_batch, compile)


def count_parameters(spec: TrialSpec) -> int:
    """Parameters that receive a gradient, from the data set's vocabulary; the data itself is not read.

    Raises:
        SpecError: no such model or data set, or they do not fit.
    """
    return language.count_parameters(_network(spec))


def check(spec: TrialSpec) -> None:
    """Raises:
    SpecError: model and data set do not fit, or law and teacher.
    """
    _network(spec)
    check_teacher(cast(LanguageSpec, spec))


def check_need(spec: TrialSpec, role: str, other: TrialSpec) -> None:
    """Raises:
    SpecError: the weights of ``other`` do not serve in ``role``.
    """
    roles.check_need(cast(LanguageSpec, spec), role, other, "same network" if role == "pretrained" else "reads windows")


def _network(spec: TrialSpec) -> language.Network:
    return language.network(cast(LanguageSpec, spec), registry.dataset(spec.dataset).classes)


FAMILY = Family(
    name="language",
    about="text to the next token, noise on the training tokens (paper, section 3.2)",
    spec=LanguageSpec,
    models=language.MODELS,
    data_kind="text",
    build=build,
    count_parameters=count_parameters,
    sources=("trainers.language.trainer",),
    metrics=METRICS,
    check=check,
    check_need=check_need,
    options=frozenset({"micro_batch", "compile"}),
    materials=MATERIALS,
)
