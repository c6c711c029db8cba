"""The family of gradient analyses passes the suite of trainers, however it is asked."""

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


def case_of(corpus: Corpus, **changes: Any) -> Case:
    fields: dict[str, Any] = {
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": 8,
        "noise.law": "uniform_all",
        "noise.ratio": Fraction(1, 2),
        "batch.size": 4,
        "budget.samples": 33,
    }
    return Case(
        FAMILY,
        fields | {name.replace("__", "."): value for name, value in changes.items()},
        corpus,
        examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
        hits=1 / corpus.vocabulary,
        learns=False,
    )


class TestByToken(TrainerContract):
    """As in training, two analyses, the mean gradient removed."""

    @pytest.fixture
    def case(self, corpus: Corpus) -> Case:
        return case_of(corpus, analysed=["transformer.wte.weight", "*.ln_?.weight"], reference_samples=3)


class TestByExample(TrainerContract):
    """As in the paper's analysis, nothing removed."""

    @pytest.fixture
    def case(self, corpus: Corpus) -> Case:
        return case_of(corpus, noise__unit="example", reading="paper", reference_samples=0)


class TestLoss(TrainerContract):
    """Forward passes alone."""

    @pytest.fixture
    def case(self, corpus: Corpus) -> Case:
        return case_of(corpus, measure="loss", split="validation")


class TestRecurrent(TrainerContract):
    """An LSTM, whose sequences go one by one; errors that inputs and targets share."""

    @pytest.fixture
    def case(self, corpus: Corpus) -> Case:
        return case_of(corpus, model="lstm_tiny", analysed=["wte.weight"], noise__corrupt="stream", reference_samples=3)
