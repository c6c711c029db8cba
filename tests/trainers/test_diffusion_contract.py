"""The family ``diffusion`` against the suite of trainers, by network, law and reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from contracts.trainer import Case, TrainerContract

from trainers import classifier
from trainers.classifier.spec import ClassifierSpec
from trainers.datasets.digits import CARRIED
from trainers.datasets.images import Images
from trainers.datasets.subset import SubsetSpec, part
from trainers.diffusion import FAMILY

FIELDS: dict[str, Any] = {
    "model": "unet_tiny",
    "dataset": "digits",
    "noise.ratio": Fraction(1, 2),
    "batch.size": 8,
    "budget.samples": 55,  # 83 images at r = 1/2
    "optimiser.learning_rate": 2e-3,
    "averaging.half_life_samples": 16,
    "evaluation.every_samples": 32,
    "evaluation.classified": 5,
    "evaluation.levels": 2,
    "sampling.images": 12,
    "sampling.steps": 2,
    "subset.classes": 4,
    "subset.images": 60,
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a classifier of the same four digits."""
    fields = {
        "family": "classifier",
        "model": "mlp",
        "dataset": "digits",
        "budget": {"samples": 64},
        "subset": {"classes": 4},
    }
    trainer = classifier.build(ClassifierSpec.model_validate(fields), CARRIED.load())
    trainer.train(64)
    path = tmp_path_factory.mktemp("judge") / "weights.safetensors"
    path.write_bytes({one.role: one.content for one in trainer.artifacts()}["weights"])
    return path


@pytest.fixture(scope="module")
def digits() -> Images:
    """Few of the test images, since each is a neighbour's."""
    images = part(CARRIED.load(), SubsetSpec(classes=4))
    return Images(images.train_images, images.train_labels, images.test_images[:20], images.test_labels[:20], 4)


@pytest.fixture
def case_of(digits: Images) -> Callable[..., Case]:
    def make(changes: Mapping[str, Any], needs: Mapping[str, Any] | None = None) -> Case:
        return Case(
            family=FAMILY,
            fields={**FIELDS, **changes},
            data=digits,
            diverging={"parametrisation": "edm", "levels.mean": 20.0, "levels.deviation": 20.0},  # past float32
            examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
            needs=needs or {},
        )

    return make


class TestUNet(TrainerContract):
    """EDM without a judge, frozen and fresh alike."""

    @pytest.fixture
    def case(self, case_of: Callable[..., Case]) -> Case:
        return case_of({})


class TestJudged(TrainerContract):
    """The paper's reading, judged: epochs of whole batches, dropout, flips, a constant average, churn."""

    @pytest.fixture
    def case(self, case_of: Callable[..., Case], judge: Path) -> Case:
        changes = {
            "reading": "paper",
            "dropout": 0.2,
            "flip": True,
            "averaging.decay": 0.9,
            "schedule.warmup_samples": 24,
            "sampling.churn": 10.0,
            "evaluation.every_samples": None,
            "needs": {"judge": "0" * 16, "second_judge": "1" * 16},
        }
        weights = {"weights": judge}
        return case_of(changes, {"judge": weights, "second_judge": weights})


class TestTransformer(TrainerContract):
    """Variance-exploding score matching with a DiT, labels withheld now and then, and guidance."""

    @pytest.fixture
    def case(self, case_of: Callable[..., Case]) -> Case:
        changes = {
            "model": "dit_tiny",
            "parametrisation": "ve",
            "label_dropout": 0.3,
            "sampling.guidance": 1.5,
            "noise.law": "next_class",
            "evaluation.every_samples": None,
        }
        return case_of(changes)
