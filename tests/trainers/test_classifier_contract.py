"""The suite of trainers catches what it is there for: a trainer with one fault fails the test of that name."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from contracts.trainer import Case, TrainerContract, with_build

from trainers.classifier import FAMILY
from trainers.classifier.trainer import ClassifierTrainer
from trainers.datasets import digits
from trainers.errors import StateError
from trainers.protocol import Artifact, Metric, Trainer


class Faulty:
    """A classifier, passed through; each fault replaces a method."""

    def __init__(self, inner: Trainer) -> None:
        assert isinstance(inner, ClassifierTrainer)
        self.inner = inner

    @property
    def position(self) -> int:
        return self.inner.position

    @property
    def parameters(self) -> int:
        return self.inner.parameters

    @property
    def realised_rate(self) -> float | None:
        return self.inner.realised_rate

    def examples(self, start: int, count: int) -> Any:
        return self.inner.examples(start, count)

    def train(self, samples: int) -> None:
        self.inner.train(samples)

    def evaluate(self) -> Sequence[Metric]:
        return self.inner.evaluate()

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.inner.load_state_dict(state)

    def artifacts(self) -> Sequence[Artifact]:
        return self.inner.artifacts()


class RatedEarly(Faulty):
    @property
    def realised_rate(self) -> float | None:
        return self.inner.realised_rate or 0.0


class Recounted(Faulty):
    @property
    def parameters(self) -> int:
        return self.inner.parameters + 1


class Overspent(Faulty):
    @property
    def position(self) -> int:
        return -(-self.inner.position // 32) * 32


class RoundedDown(Faulty):
    def train(self, samples: int) -> None:
        self.inner.train(samples // 32 * 32)


class Momentless(Faulty):
    """Forgets what the optimiser remembers."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.inner.load_state_dict(state)
        for slots in self.inner._optimiser.state.values():
            slots["momentum_buffer"].zero_()


class CutDependent(Faulty):
    """A weight decays with each call of train."""

    def train(self, samples: int) -> None:
        self.inner.train(samples)
        with torch.no_grad():
            next(self.inner._model.parameters()).mul_(0.999)


class Global(Faulty):
    """Adds noise from the global random state."""

    def train(self, samples: int) -> None:
        self.inner.train(samples)
        with torch.no_grad():
            next(self.inner._model.parameters()).add_(torch.rand(()) * 1e-3)


class DrawingEvaluation(Faulty):
    def evaluate(self) -> Sequence[Metric]:
        random.random()
        return self.inner.evaluate()


class TracingEvaluation(Faulty):
    def evaluate(self) -> Sequence[Metric]:
        self.inner._loss.total.zero_()
        return self.inner.evaluate()


class Frozen(Faulty):
    """Counts, and moves a bias or two at most."""

    def train(self, samples: int) -> None:
        before = copy.deepcopy(self.inner._model.state_dict())
        before.pop("8.bias")
        self.inner.train(samples)
        self.inner._model.load_state_dict(before, strict=False)


class HalfNoise(Faulty):
    @property
    def realised_rate(self) -> float | None:
        rate = self.inner.realised_rate
        return None if rate is None else rate / 2


class AlwaysNoise(Faulty):
    @property
    def realised_rate(self) -> float | None:
        rate = self.inner.realised_rate
        return None if rate is None else max(rate, 0.01)


class CountedOnly(Faulty):
    """Trains on the truth, whatever it says."""

    def __init__(self, inner: Trainer) -> None:
        super().__init__(inner)
        truth = self.inner._truth
        self.inner._corruption = replace(self.inner._corruption, table=truth)


class SeededByCell(Faulty):
    """Initial weights that depend on the batch."""

    def __init__(self, inner: Trainer) -> None:
        super().__init__(inner)
        with torch.no_grad():
            next(self.inner._model.parameters()).add_(self.inner.spec.batch.total * 1e-6)


class OrderedByCell(Faulty):
    def examples(self, start: int, count: int) -> Any:
        return self.inner.examples(start + self.inner.spec.batch.multiplier, count)


class Aliased(Faulty):
    def state_dict(self) -> dict[str, Any]:
        return {**self.inner.state_dict(), "model": dict(self.inner._model.state_dict())}


class Objects(Faulty):
    def state_dict(self) -> dict[str, Any]:
        return {**self.inner.state_dict(), "spec": self.inner.spec}


class Trusting(Faulty):
    """Loads what is there, and what is of another trial."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        try:
            self.inner.load_state_dict({**self.inner.state_dict(), **state, "spec": self.inner.state_dict()["spec"]})
        except StateError:
            return


class HalfLoaded(Faulty):
    """Refuses, but only once the position is set."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.inner._position = 0
        self.inner.load_state_dict(state)


class Undaunted(Faulty):
    def train(self, samples: int) -> None:
        try:
            self.inner.train(samples)
        except Exception:  # noqa: BLE001 - the fault: what goes wrong is not told
            return


class Unlisted(Faulty):
    def evaluate(self) -> Sequence[Metric]:
        return [*self.inner.evaluate(), Metric("perplexity", 1.0)]


class NotANumber(Faulty):
    def evaluate(self) -> Sequence[Metric]:
        return [replace(metric, value=float("nan")) for metric in self.inner.evaluate()]


class Pickled(Faulty):
    def artifacts(self) -> Sequence[Artifact]:
        return [Artifact("weights", "weights.pt", b"PK\x03\x04")]


class Disguised(Faulty):
    def artifacts(self) -> Sequence[Artifact]:
        return [Artifact("weights", "weights.parquet", b"PK\x03\x04")]


@pytest.fixture
def case() -> Case:
    return Case(
        family=FAMILY,
        fields={
            "model": "small_cnn",
            "dataset": "digits",
            "noise.ratio": Fraction(1, 2),
            "batch.size": 32,
            "budget.samples": 301,
        },
        data=digits.CARRIED.load(),
        diverging={"optimiser.learning_rate": 10.0, "optimiser.weight_decay": 1.0, "budget.samples": 3000},
        examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
    )


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (RatedEarly, TrainerContract.test_starts_at_zero),
        (Recounted, TrainerContract.test_parameters_are_those_counted),
        (Overspent, TrainerContract.test_spends_the_budget_and_no_more),
        (RoundedDown, TrainerContract.test_rounds_up_to_whole_batches),
        (Momentless, TrainerContract.test_straight_equals_resumed),
        (CutDependent, TrainerContract.test_how_training_is_cut_changes_nothing),
        (Global, TrainerContract.test_global_random_states_have_no_say),
        (DrawingEvaluation, TrainerContract.test_evaluation_leaves_no_trace),
        (TracingEvaluation, TrainerContract.test_evaluation_leaves_no_trace),
        (Frozen, TrainerContract.test_weights_move),
        (HalfNoise, TrainerContract.test_noise_at_its_rate),
        (AlwaysNoise, TrainerContract.test_no_noise_at_ratio_0),
        (CountedOnly, TrainerContract.test_noise_matters),
        (SeededByCell, TrainerContract.test_same_seed_starts_alike_in_every_cell),
        (OrderedByCell, TrainerContract.test_same_seed_reads_the_same_order_in_every_cell),
        (Aliased, TrainerContract.test_state_is_a_snapshot),
        (Objects, TrainerContract.test_state_is_plain_and_loads_safely),
        (Trusting, TrainerContract.test_foreign_state_is_refused),
        (Trusting, TrainerContract.test_damaged_state_is_refused),
        (HalfLoaded, TrainerContract.test_foreign_state_is_refused),
        (HalfLoaded, TrainerContract.test_damaged_state_is_refused),
        (Undaunted, TrainerContract.test_divergence_is_told),
        (Unlisted, TrainerContract.test_metrics_are_those_declared),
        (NotANumber, TrainerContract.test_metrics_are_those_declared),
        (Pickled, TrainerContract.test_artifacts_hold_no_pickle),
        (Disguised, TrainerContract.test_artifacts_hold_no_pickle),
    ],
)
def test_a_fault_of_a_trainer_is_caught(
    case: Case, fault: type[Faulty], test: Callable[[TrainerContract, Case], None]
) -> None:
    suite = TrainerContract()
    test(suite, with_build(case, Faulty))
    with pytest.raises((AssertionError, pytest.fail.Exception)):  # "did not raise" is the latter
        test(suite, with_build(case, fault))
