"""The family of classifiers: the contract of any trainer, and what is its own."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from contracts.states import differences, nested, reloaded
from contracts.trainer import Case, TrainerContract, finished, values

from sweep.revision import source_digests
from trainers import streams
from trainers.classifier import FAMILY
from trainers.classifier.schedule import learning_rate
from trainers.classifier.spec import ClassifierSpec
from trainers.classifier.trainer import ClassifierTrainer
from trainers.datasets import digits
from trainers.datasets.images import Images
from trainers.errors import DivergedError, SpecError
from trainers.models import catalogue
from trainers.noise.corruption import corruption
from trainers.spec import BudgetSpec, TrialSpec

FIELDS: dict[str, Any] = {
    "model": "small_cnn",
    "dataset": "digits",
    "noise.ratio": Fraction(1, 2),
    "batch.size": 32,
    "budget.samples": 500,
    "seed": 3,
}
#: Weights grow nine times a step: (1 - 10 x 1) of what they were.
DIVERGING = {
    "optimiser.name": "sgd",
    "optimiser.learning_rate": 10.0,
    "optimiser.weight_decay": 1.0,
    "schedule.name": "constant",
}


def make_case(device: str = "cpu", **changes: Any) -> Case:
    fields = FIELDS | {key.replace("__", "."): value for key, value in changes.items()}
    return Case(
        family=FAMILY,
        fields=fields,
        data=digits.CARRIED.load(),
        device=device,
        diverging=DIVERGING,
        examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
    )


def make(**changes: Any) -> ClassifierTrainer:
    trainer = make_case(**changes).build()
    assert isinstance(trainer, ClassifierTrainer)
    return trainer


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestSmallCnn(TrainerContract):
    @pytest.fixture
    def case(self) -> Case:
        return make_case()


class TestAllOptions(TrainerContract):
    """Shifts and flips, warm-up, frozen noise, the paper's reading, evaluation on the way, the other optimiser."""

    @pytest.fixture
    def case(self) -> Case:
        return make_case(
            model="mlp",
            augment="shift_flip",
            noise__refresh="frozen",
            reading="paper",
            schedule__warmup_samples=100,
            evaluation__every_samples=128,
            optimiser__name="adamw",
            optimiser__learning_rate=0.003,
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnGpu(TrainerContract):
    @pytest.fixture
    def case(self) -> Case:
        return make_case("cuda", augment="shift")


def test_uniform_all_hits_the_truth_at_times() -> None:
    case = replace(make_case(noise__law="uniform_all"), hits=1 / 10)
    TrainerContract().test_noise_at_its_rate(case)


def test_batch_statistics_are_resumed() -> None:
    """ResNet-18 keeps running means that no parameter holds."""
    rng = np.random.default_rng(0)
    images = rng.random((24, 3, 16, 16), dtype=np.float32)
    labels = rng.integers(0, 10, 24)
    data = Images(images[:16], labels[:16], images[16:], labels[16:], 10)
    case = make_case(model="resnet18", batch__size=4, budget__samples=10, optimiser__learning_rate=0.01)
    case = replace(case, data=data)
    straight = finished(case.build())
    first, resumed = case.build(), case.build()
    first.train(8)
    resumed.load_state_dict(reloaded(first.state_dict()))
    assert differences(straight, finished(resumed)) == []
    assert straight["state"]["model"]["bn1.num_batches_tracked"] == 4


def test_training_is_the_textbook_loop() -> None:
    """Against a plain loop with torch's unfused SGD: order, targets, rates, loss and the last, shorter batch."""
    trainer = make(batch__multiplier=2, evaluation__every_samples=256)
    spec, data = trainer.spec, digits.CARRIED.load()
    trainer.train(spec.samples)

    model = catalogue.build("small_cnn", (1, 8, 8), 10, spec.seed)
    chosen = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9, weight_decay=5e-4, foreach=False, fused=False)
    images = torch.from_numpy((data.train_images - data.train_images.mean()) / data.train_images.std())
    noise = corruption(spec.noise, 10, spec.seed, data.train_labels)
    losses, sizes = [], []
    for position in range(0, 750, 64):
        size = min(64, 750 - position)
        examples = streams.order(spec.seed, position, size, len(images))
        targets = torch.from_numpy(noise.targets(examples, position))
        chosen.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * position / 750)) / 2
        loss = torch.nn.functional.cross_entropy(model(images[torch.from_numpy(examples)]), targets)
        chosen.zero_grad()
        torch.autograd.backward(loss)
        chosen.step()
        losses.append(loss.item())
        sizes.append(size)
    assert sizes[-1] == 46
    trained = trainer.state_dict()["model"]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(trained[name], tensor, rtol=1e-4, atol=1e-5)
    since_512 = sum(loss * size for loss, size in zip(losses[8:], sizes[8:], strict=True)) / (750 - 512)
    assert values(trainer.evaluate())["train/train_loss"] == pytest.approx(since_512, rel=1e-4)


def test_learns_digits() -> None:
    measured = {}
    for ratio in (Fraction(0), Fraction(1)):
        trainer = make(noise__ratio=ratio, budget__samples=12000)
        trainer.train(10**9)
        measured[ratio] = values(trainer.evaluate())
    clean, noisy = measured[Fraction(0)], measured[Fraction(1)]
    assert all(value is not None for value in [*clean.values(), *noisy.values()])
    assert clean["test/top1"] > 0.95
    assert noisy["test/top1"] > 0.92  # noise at e = 1/2 leaves the argmax (design 5)
    assert 0.4 < noisy["test/sampled_accuracy"] < 0.55 < clean["test/sampled_accuracy"]
    assert noisy["test/channel_inverted_nll"] < noisy["test/test_nll"] - 0.3
    assert clean["test/channel_inverted_nll"] == pytest.approx(clean["test/test_nll"], abs=0.02)  # the 1e-3 of uniform
    assert clean["test/inversion_boundary_share"] == 0


def test_no_inversion_where_the_channel_is_singular() -> None:
    trainer = make(noise__law="next_class", noise__ratio=Fraction(1))  # e = 1/2 and ten classes: an eigenvalue of 0
    measured = values(trainer.evaluate())
    assert measured["test/channel_inverted_nll"] is None
    assert measured["test/inversion_boundary_share"] is None


def test_outputs_that_are_not_finite_are_told_at_evaluation() -> None:
    case = make_case()
    trainer = case.build({**DIVERGING, "budget.samples": 5000})
    with pytest.raises(DivergedError, match="loss is not finite within samples 0 to"):
        trainer.train(10**9)
    with pytest.raises(DivergedError, match=r"lower optimiser\.learning_rate"):
        trainer.evaluate()


def test_building_leaves_torchs_random_state() -> None:
    before = torch.get_rng_state()
    make()
    assert torch.equal(before, torch.get_rng_state())


# -- schedule


def spec(**changes: Any) -> ClassifierSpec:
    fields = FIELDS | {key.replace("__", "."): value for key, value in changes.items()}
    made = FAMILY.spec.model_validate(nested(fields | {"family": "classifier"}))
    assert isinstance(made, ClassifierSpec)
    return made


@pytest.mark.parametrize(
    ("ratio", "rate"), [("0", 6.2e-6), ("0.1", 0.0022), ("0.3", 0.0200), ("0.5", 0.0492), ("1", 0.1000)]
)
def test_papers_last_epoch_has_the_papers_rate(ratio: str, rate: float) -> None:
    """200 (1 + r) epochs of 50,000 images, T_max = 200: the rates of protocols M4."""
    made = spec(noise__ratio=Fraction(ratio), budget__samples=10_000_000, reading="paper", optimiser__learning_rate=0.1)
    for position in (made.samples - 50_000, made.samples - 1):
        assert learning_rate(made, position, 50_000) == pytest.approx(rate, rel=0.02)


def test_corrected_schedule_ends_at_0_whatever_the_ratio() -> None:
    for ratio in (0, 1):
        made = spec(noise__ratio=Fraction(ratio))
        rates = [learning_rate(made, position, 1437) for position in range(0, made.samples, 50)]
        assert rates[0] == 0.05
        assert rates == sorted(rates, reverse=True)
        assert learning_rate(made, made.samples, 1437) == pytest.approx(0, abs=1e-12)


def test_warm_up_is_linear_in_samples_whatever_the_batch() -> None:
    small, large = (spec(schedule__warmup_samples=256, batch__multiplier=m) for m in (1, 4))
    assert [learning_rate(small, p, 1437) for p in (0, 32, 224)] == pytest.approx([0.05 / 8, 0.05 / 4, 0.05])
    assert [learning_rate(large, p, 1437) for p in (0, 128)] == pytest.approx([0.025, 0.05])
    assert learning_rate(small, 256, 1437) == 0.05


def test_constant_schedule_stays() -> None:
    made = spec(schedule__name="constant")
    assert {learning_rate(made, position, 1437) for position in (0, 32, 740)} == {0.05}


# -- fields


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"optimiser.learning_rate": 0.0}, ["learning_rate", "greater than 0"]),
        ({"optimiser.learning_rate": 11.0}, ["learning_rate", "less than or equal to 10"]),
        ({"optimiser.learning_rate": math.inf}, ["learning_rate", "finite"]),
        ({"optimiser.momentum": 1.0}, ["momentum", "less than 1"]),
        ({"optimiser.weight_decay": -0.1}, ["weight_decay", "greater than or equal to 0"]),
        ({"optimiser.name": "adam"}, ["optimiser.name", "sgd", "adamw"]),
        ({"optimiser.name": "adamw"}, ["optimiser.learning_rate", "0.05", "0.03", "1e-3"]),
        ({"optimiser.name": "adamw", "optimiser.learning_rate": 1e-3, "optimiser.nesterov": True}, ["nesterov", "sgd"]),
        ({"optimiser.second_moment": 0.9}, ["second_moment", "adamw"]),
        ({"optimiser.nesterov": True, "optimiser.momentum": 0.0}, ["nesterov", "momentum above 0"]),
        ({"schedule.name": "linear"}, ["schedule.name", "cosine"]),
        ({"schedule.warmup_samples": 750}, ["warmup_samples", "750", "shorter"]),
        ({"schedule.warmup_samples": 500, "reading": "paper"}, ["warmup_samples", "500", "shorter"]),
        ({"schedule.warmup_samples": 10**400}, ["warmup_samples", "less than or equal to"]),
        ({"augment": "flip"}, ["augment", "shift_flip"]),
        ({"evaluation.every_samples": 100}, ["every_samples", "100", "32", "96"]),
        ({"evaluation.every_samples": 10}, ["every_samples", "the nearest is 32"]),
        ({"evaluation.every_samples": 0}, ["every_samples", "greater than 0"]),
        ({"evaluation.every_samples": 10**400}, ["every_samples", "less than or equal to"]),
        ({"optimizer.name": "sgd"}, ["optimizer"]),
    ],
)
def test_fields_that_do_not_fit_are_named(changes: dict[str, Any], fragments: list[str]) -> None:
    with pytest.raises(ValueError, match=r"validation error") as refusal:
        spec(**changes)
    for fragment in fragments:
        assert fragment in str(refusal.value)


def test_what_sgd_and_adamw_share_is_read_by_both() -> None:
    made = spec(optimiser__name="adamw", optimiser__learning_rate=0.001, optimiser__momentum=0.8)
    trainer = FAMILY.build(made, digits.CARRIED.load(), "cpu", {})
    assert isinstance(trainer, ClassifierTrainer)
    assert trainer._optimiser.param_groups[0]["betas"] == (0.8, 0.999)


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"model": "resnet18"}, ["resnet18", "9x9", "8x8", "small_cnn, mlp"]),
        ({"model": "vgg"}, ["vgg", "resnet18"]),
    ],
)
def test_check_refuses_what_does_not_fit(changes: dict[str, Any], fragments: list[str]) -> None:
    assert FAMILY.check is not None
    FAMILY.check(spec())
    with pytest.raises(SpecError) as refusal:
        FAMILY.check(spec(**changes))
    for fragment in fragments:
        assert fragment in str(refusal.value)


def test_build_refuses_what_does_not_fit() -> None:
    other = TrialSpec(family="classifier", model="mlp", dataset="digits", budget=BudgetSpec(samples=10))
    with pytest.raises(SpecError, match="TrialSpec"):
        FAMILY.build(other, digits.CARRIED.load(), "cpu", {})
    with pytest.raises(SpecError, match="judge"):
        FAMILY.build(spec(), digits.CARRIED.load(), "cpu", {"judge": {}})
    with pytest.raises(SpecError, match="tpu"):
        FAMILY.build(spec(), digits.CARRIED.load(), "tpu", {})


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match="cuda"):
        FAMILY.build(spec(), digits.CARRIED.load(), "cuda", {})


# -- what surrounds it


def test_importing_the_family_imports_no_torch() -> None:
    code = "import sys; from trainers.classifier import FAMILY; print({'torch', 'ray', 'pyarrow'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_revision_covers_every_module_that_decides_numbers() -> None:
    sources = source_digests("classifier", "uniform_wrong", "digits")
    deciding = {
        *(
            f"trainers.classifier.{name}"
            for name in ("trainer", "spec", "schedule", "standard", "state", "augment", "artifact")
        ),
        *(f"trainers.models.{name}" for name in ("catalogue", "small_cnn", "mlp", "resnet")),
        *(f"trainers.metrics.{name}" for name in ("predictions", "inversion")),
        *(f"trainers.noise.{name}" for name in ("corruption", "laws")),
        *(f"trainers.datasets.{name}" for name in ("digits", "images", "subset")),
        "trainers.streams",
        "trainers.spec",
    }
    assert deciding <= sources.keys()
