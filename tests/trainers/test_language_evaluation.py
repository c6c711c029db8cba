"""A validation text of any length: what is inverted of it, and the room that its predictions take."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fixtures.corpus import make_corpus

from trainers.datasets.text.corpus import Corpus
from trainers.language import build
from trainers.language.spec import LanguageSpec
from trainers.metrics import tokens

VOCABULARY = 90


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), vocabulary=VOCABULARY, train=3000, validation=1500)


def measured(corpus: Corpus) -> dict[str, float | None]:
    fields = {
        "family": "language",
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": 16,
        "noise": {"ratio": "1/2", "law": "next_class"},
        "batch": {"size": 16},
        "budget": {"samples": 640, "rule": "fixed"},
        "optimiser": {"learning_rate": 1e-2},
    }
    trainer = build(LanguageSpec.model_validate(fields), corpus)
    trainer.train(640)
    return {metric.name: metric.value for metric in trainer.evaluate()}


def test_some_inverted_tokens_stand_for_all(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    every = measured(corpus)
    monkeypatch.setattr(tokens, "MOST_TOKENS", 300)
    some = measured(corpus)
    inverted, estimate = every.pop("channel_inverted_nll"), some.pop("channel_inverted_nll")
    share, estimated = every.pop("inversion_boundary_share"), some.pop("inversion_boundary_share")
    assert every == some
    assert inverted is not None
    assert every["test_nll"] is not None
    assert abs(inverted - every["test_nll"]) > 0.05, "the inversion must do something for the estimate to be tried"
    assert estimate != inverted
    assert estimate == pytest.approx(inverted, abs=0.1)
    assert share is not None
    assert estimated == pytest.approx(share, abs=0.1)


def test_stored_predictions_take_no_room_for_what_is_not_kept(corpus: Corpus, tmp_path: Path) -> None:
    """A null list of fixed size is as large as its numbers would be: 400 kB a token with GPT-2's vocabulary."""
    spec = LanguageSpec.model_validate(
        {"family": "language", "model": "gpt2_tiny", "dataset": "python-docs", "context": 16, "budget": {"samples": 1}}
    )
    kept = {one.role: one.content for one in build(spec, corpus).artifacts()}
    table = pq.read_table(io.BytesIO(kept["truth_probability"]))
    assert table["p"].null_count == len(table) == 1024
    assert table.nbytes < 60 * len(table)
    np.testing.assert_array_equal(np.diff(table["window"].to_numpy()) >= 0, True)
