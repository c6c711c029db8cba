"""The family ``language`` against the suite of trainers, by model, law and reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts.trainer import Case, TrainerContract
from fixtures.corpus import VOCABULARY, make_corpus

from trainers.datasets.text.corpus import Corpus
from trainers.language import FAMILY, build
from trainers.language.spec import LanguageSpec

FIELDS: dict[str, Any] = {
    "model": "gpt2_tiny",
    "dataset": "python-docs",  # for its vocabulary alone: the fixture's is as large
    "context": 16,
    "noise.ratio": Fraction(1, 2),
    "batch.size": 4,
    "budget.samples": 27,  # 41 sequences at r = 1/2
    "optimiser.learning_rate": 1e-2,
    "schedule.warmup_tokens": 16 * 8,
    "evaluation.every_samples": 16,
    "evaluation.text_samples": 0,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), train=3000, validation=1100)


@pytest.fixture(scope="module")
def teacher(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a model that has learnt something, in a file."""
    fields = {
        "family": "language",
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": 32,
        "batch": {"size": 16},
        "budget": {"samples": 320},
        "optimiser": {"learning_rate": 1e-2},
        "evaluation": {"text_samples": 0},
    }
    trainer = build(LanguageSpec.model_validate(fields), corpus)
    trainer.train(320)
    path = tmp_path_factory.mktemp("teacher") / "weights.safetensors"
    path.write_bytes({one.role: one.content for one in trainer.artifacts()}["weights"])
    return path


@pytest.fixture
def case_of(corpus: Corpus) -> Callable[..., Case]:
    def make(changes: Mapping[str, Any], hits: float, needs: Mapping[str, Any] | None = None) -> Case:
        return Case(
            family=FAMILY,
            fields={**FIELDS, **changes},
            data=corpus,
            examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
            hits=hits,
            needs=needs or {},
        )

    return make


class TestTransformer(TrainerContract):
    """The paper's law, in the corrected reading."""

    @pytest.fixture
    def case(self, case_of: Callable[..., Case]) -> Case:
        return case_of({}, 1 / VOCABULARY)


class TestLSTM(TrainerContract):
    """Redrawn tokens follow their frequencies; whole sequences at once; text at the end."""

    @pytest.fixture
    def case(self, case_of: Callable[..., Case], corpus: Corpus) -> Case:
        share = corpus.frequencies / corpus.frequencies.sum()
        changes = {
            "model": "lstm_tiny",
            "noise.law": "unigram",
            "noise.unit": "example",
            "evaluation.text_samples": 1,
        }
        return case_of(changes, float(np.square(share).sum()))


class TestTaught(TrainerContract):
    """The paper's reading: random crops, no biases, more outputs than tokens, the original's estimate.

    Redrawn tokens are a teacher's samples, in a stream whose inputs share the errors.
    """

    @pytest.fixture
    def case(self, case_of: Callable[..., Case], teacher: Path) -> Case:
        changes = {
            "reading": "paper",
            "bias": False,
            "vocabulary": VOCABULARY + 64,
            "evaluation.paper_batches": 2,
            "evaluation.paper_batch": 3,
            "noise.law": "teacher",
            "noise.corrupt": "stream",
            "needs": {"teacher": "0" * 16},
        }
        return case_of(changes, 0.25, {"teacher": {"weights": teacher}})
