"""The family of gradient analyses: the suite of trainers, and what it measures on a small corpus."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from contracts.trainer import Case, TrainerContract
from fixtures.corpus import make_corpus

from trainers.datasets.text.corpus import Corpus
from trainers.gradients import FAMILY


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


FIELDS: dict[str, Any] = {
    "model": "gpt2_tiny",
    "dataset": "python-docs",
    "context": 8,
    "noise.law": "uniform_all",
    "noise.ratio": Fraction(1, 2),
    "batch.size": 4,
    "budget.samples": 33,
    "reference_samples": 8,
}


class TestByToken(TrainerContract):
    @pytest.fixture
    def case(self, corpus: Corpus) -> Case:
        return Case(
            FAMILY,
            FIELDS,
            corpus,
            examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
            hits=1 / corpus.vocabulary,
            learns=False,
        )
