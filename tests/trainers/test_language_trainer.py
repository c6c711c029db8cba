"""The language trainer: what it measures and leaves, against the same computed plainly; weights that others take up."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from fixtures.corpus import make_corpus

from sweep.space.resolve import load_space
from trainers.datasets.text.corpus import Corpus
from trainers.errors import DivergedError, SpecError
from trainers.language import FAMILY, build, check, weights
from trainers.language.spec import LanguageSpec
from trainers.language.trainer import LanguageTrainer
from trainers.language.windows import crops, validation_starts
from trainers.metrics import inversion
from trainers.models import language
from trainers.models.language import Network
from trainers.streams import permutation

VOCABULARY = 90


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), vocabulary=VOCABULARY, train=3000, validation=700)


def spec_of(**changes: Any) -> LanguageSpec:
    fields: dict[str, Any] = {
        "family": "language",
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": 16,
        "noise": {"ratio": "1/2"},
        "batch": {"size": 16},
        "budget": {"samples": 320, "rule": "fixed"},
        "optimiser": {"learning_rate": 1e-2},
        "evaluation": {"text_samples": 2, "paper_batches": 3, "paper_batch": 5},
    }
    return LanguageSpec.model_validate({**fields, **changes})


def trained(corpus: Corpus, **changes: Any) -> LanguageTrainer:
    trainer = build(spec_of(**changes), corpus)
    assert isinstance(trainer, LanguageTrainer)
    trainer.train(10**6)
    return trainer


@pytest.fixture(scope="module")
def trainer(corpus: Corpus) -> LanguageTrainer:
    """More outputs than tokens, as the paper's model has."""
    return trained(corpus, vocabulary=VOCABULARY + 6, budget={"samples": 1600, "rule": "fixed"})


@pytest.fixture(scope="module")
def saved(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a clean model."""
    path = tmp_path_factory.mktemp("saved") / "weights.safetensors"
    content = {one.role: one.content for one in trained(corpus, noise={"ratio": 0}).artifacts()}
    path.write_bytes(content["weights"])
    return path


def values(trainer: LanguageTrainer) -> dict[str, Any]:
    return {metric.name: metric.value for metric in trainer.evaluate()}


def plainly(trainer: LanguageTrainer, corpus: Corpus, starts: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Log-probabilities [N, outputs], float64, and truth [N] of windows, one window at a time."""
    log_p, truth = [], []
    for start in starts:
        window = torch.from_numpy(corpus.validation[start : start + 17].astype(np.int64))
        with torch.no_grad():
            log_p.append(trainer._model(window[None, :-1])[0].double().log_softmax(-1))
        truth.append(window[1:])
    return torch.cat(log_p).numpy(), torch.cat(truth).numpy()


def test_metrics_are_those_of_the_whole_matrix(trainer: LanguageTrainer, corpus: Corpus) -> None:
    starts = validation_starts(16, len(corpus.validation))
    assert len(starts) * 16 == 688
    log_p, truth = plainly(trainer, corpus, starts)
    at = log_p[np.arange(688), truth]
    found = values(trainer)
    assert found["test_nll"] == pytest.approx(-at.mean(), rel=1e-6)
    assert found["perplexity"] == pytest.approx(np.exp(-at.mean()), rel=1e-6)
    assert found["top1"] == (log_p.argmax(1) == truth).mean()
    assert found["sampled_accuracy"] == pytest.approx(np.exp(at).mean(), rel=1e-6)
    assert found["test_nll"] < 3.5, "ln 90 is 4.5: it has learnt nothing"
    q = np.exp(log_p[:, :VOCABULARY])
    e = 1 / 3
    channel = (1 - e) * np.eye(VOCABULARY) + e / VOCABULARY
    nll, boundary = inversion.channel_inverted_nll(q / q.sum(1, keepdims=True), truth, channel)
    assert found["channel_inverted_nll"] == pytest.approx(nll, rel=1e-5)
    assert found["inversion_boundary_share"] == pytest.approx(boundary)


def test_the_papers_estimate_is_over_random_crops(trainer: LanguageTrainer, corpus: Corpus) -> None:
    starts = crops(0, "paper_estimate", 16, 700, 0, 15)
    assert len(set(starts)) > 10
    log_p, truth = plainly(trainer, corpus, starts)
    assert values(trainer)["paper_estimate"] == pytest.approx(-log_p[np.arange(240), truth].mean(), rel=1e-6)
    assert values(trained(corpus, evaluation={"paper_batches": 0}))["paper_estimate"] is None


def test_truth_probability_is_the_models(trainer: LanguageTrainer, corpus: Corpus) -> None:
    content = {one.role: one for one in trainer.artifacts()}["truth_probability"]
    table = pq.read_table(io.BytesIO(content.content))
    assert table.column_names == [
        *("example", "truth", "predicted", "p_truth", "p_previous", "p", "window", "frequency")
    ]
    assert table.schema.metadata == {b"noisegrid.classes": b"90"}
    columns = table.to_pydict()
    log_p, truth = plainly(trainer, corpus, validation_starts(16, 700))
    rows = np.arange(688)
    assert columns["example"] == rows.tolist()
    assert columns["truth"] == truth.tolist() == corpus.validation[1:689].tolist()
    assert columns["predicted"] == log_p.argmax(1).tolist()
    np.testing.assert_allclose(columns["p_truth"], np.exp(log_p[rows, truth]), rtol=1e-5)
    np.testing.assert_allclose(columns["p_previous"], np.exp(log_p[rows, (truth - 1) % 90]), rtol=1e-5)
    assert columns["window"] == (rows // 16).tolist()
    assert set(columns["p"]) == {None}
    np.testing.assert_allclose(columns["frequency"], corpus.frequencies[truth] / 3000)


def test_samples_are_text_of_the_model(trainer: LanguageTrainer, corpus: Corpus) -> None:
    content = json.loads({one.role: one.content for one in trainer.artifacts()}["samples"])
    assert content["prompt"] == "What is the answer to life, the universe, and everything?"
    assert (content["temperature"], content["top_k"]) == (0.8, 200)
    first, second = content["samples"]
    assert len(first["ids"]) == len(second["ids"]) == 100
    assert first["ids"] != second["ids"]
    assert max(first["ids"] + second["ids"]) < VOCABULARY, "an output that no token belongs to was drawn"
    assert first["text"] == corpus.tokenizer.decode(first["ids"])
    following = {(a, b) for a, b in zip(corpus.train[:-1].tolist(), corpus.train[1:].tolist(), strict=True)}
    ids = np.array(first["ids"])
    orders = (ids, ids[permutation(0, "mixed", 100)])
    held, mixed = (sum(pair in following for pair in pairwise(x)) for x in orders)
    assert held > 2 * mixed, "its words do not follow each other as those of the text do"
    none = trained(corpus, evaluation={"text_samples": 0}, budget={"samples": 16, "rule": "fixed"})
    assert {one.role for one in none.artifacts()} == {"truth_probability", "weights"}


def test_weights_begin_where_the_other_ended(corpus: Corpus, saved: Path) -> None:
    fields: dict[str, Any] = {"needs": {"pretrained": "0" * 16}, "noise": {"ratio": 0}}
    tuned = build(spec_of(**fields), corpus, needs={"pretrained": {"weights": saved}})
    alone = trained(corpus, noise={"ratio": 0})
    assert isinstance(tuned, LanguageTrainer)
    assert values(tuned)["test_nll"] == values(alone)["test_nll"]
    stored = weights.read(saved)
    assert stored.network == Network("gpt2_tiny", VOCABULARY, 16, True)
    assert stored.tokenizer_sha256 == corpus.tokenizer_sha256
    tuned.train(32)
    assert tuned.position == 32


def test_weights_that_do_not_fit_are_refused_with_what_differs(
    corpus: Corpus, saved: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {"needs": {"pretrained": "0" * 16}}
    needs = {"pretrained": {"weights": saved}}
    with pytest.raises(SpecError, match=r"needs\.pretrained has context = 16 and this trial has 32"):
        build(spec_of(**fields, context=32), corpus, needs=needs)
    with pytest.raises(SpecError, match=r"model = gpt2_tiny and this trial has lstm_tiny.*same network"):
        build(spec_of(**fields, model="lstm_tiny"), corpus, needs=needs)
    other = make_corpus(tmp_path_factory.mktemp("other"), vocabulary=80, train=500, validation=100)
    with pytest.raises(SpecError, match=r"tokens of another tokenizer.*share one"):
        build(spec_of(**fields, vocabulary=VOCABULARY), other, needs=needs)
    broken = tmp_path / "weights.safetensors"
    broken.write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(SpecError, match=r"holds no weights of a language model"):
        build(spec_of(**fields), corpus, needs={"pretrained": {"weights": broken}})
    with pytest.raises(SpecError, match=r"left samples, and weights is due"):
        build(spec_of(**fields), corpus, needs={"pretrained": {"samples": saved}})
    with pytest.raises(SpecError, match=r"needs\.pretrained is missing"):
        build(spec_of(**fields), corpus)


@pytest.mark.parametrize("law", ["teacher", "nearest"])
def test_a_law_that_follows_a_teacher_asks_for_one(corpus: Corpus, saved: Path, law: str) -> None:
    noise = {"law": law, "ratio": 1}
    with pytest.raises(SpecError, match=rf"noise\.law {law} follows a trained model.*needs\.teacher"):
        check(spec_of(noise=noise))
    with pytest.raises(SpecError, match=r"noise\.law uniform_all has no use for needs\.teacher"):
        check(spec_of(needs={"teacher": "0" * 16}))
    fields: dict[str, Any] = {"noise": noise, "needs": {"teacher": "0" * 16}}
    check(spec_of(**fields))
    with pytest.raises(SpecError, match=r"teacher has a context of 16, and this trial's is 20"):
        build(spec_of(**fields, context=20), corpus, needs={"teacher": {"weights": saved}})
    taught = build(spec_of(**fields, model="lstm_tiny", context=8), corpus, needs={"teacher": {"weights": saved}})
    taught.train(320)
    assert taught.realised_rate is not None
    due = (0.5, 0.5) if law == "nearest" else (0.2, 0.45)  # a teacher is right half the time, a neighbour never
    assert due[0] - 0.03 < taught.realised_rate < due[1] + 0.03


def test_a_teacher_samples_its_own_prediction(corpus: Corpus, saved: Path) -> None:
    """20,000 draws after one context: the counts are those of p(. | context)."""
    from trainers.language.teacher import Teacher

    teacher = Teacher(saved, corpus.tokenizer_sha256, VOCABULARY, 16, torch.device("cpu"))
    model, _ = weights.rebuilt(saved, corpus.tokenizer_sha256, "teacher")
    window = corpus.train[100:104].astype(np.int64)
    with torch.no_grad():
        p = model(torch.from_numpy(window)[None])[0, -1].double().softmax(-1).numpy()
    v = np.random.default_rng(0).random((20_000, 4))
    drawn = teacher.sample(np.tile(window, (20_000, 1)), v)[:, -1]
    counts = np.bincount(drawn, minlength=VOCABULARY)
    assert abs(counts - 20_000 * p).max() < 5 * np.sqrt(20_000 * p).max()
    assert (np.abs(counts / 20_000 - p).sum()) < 0.05
    edges = teacher.sample(window[None].repeat(2, 0), np.array([[0.0] * 4, [1 - 2**-53] * 4]))
    assert edges.min() >= 0
    assert edges.max() < VOCABULARY
    table = teacher.embedding()
    assert table.dtype == np.float32
    assert torch.equal(torch.from_numpy(table), language.embedding(model))


def test_outputs_that_are_not_finite_are_told(corpus: Corpus) -> None:
    trainer = build(spec_of(), corpus)
    assert isinstance(trainer, LanguageTrainer)
    with torch.no_grad():
        trainer._model.lm_head.weight[3] = torch.inf
    with pytest.raises(DivergedError, match=r"validation text are not finite after 0 sequences.*learning_rate"):
        trainer.evaluate()
    with pytest.raises(DivergedError, match=r"not finite within sequences 0 to 320.*learning_rate"):
        trainer.train(320)


def test_the_training_loss_is_that_since_the_last_evaluation(corpus: Corpus) -> None:
    """At an evaluation's place the mean begins anew, whether or not anybody asked."""
    evaluation = {"every_samples": 160, "text_samples": 0}
    trainer = build(spec_of(evaluation=evaluation), corpus)
    trainer.train(160)
    first = trainer.evaluate()[-1].value
    trainer.train(160)
    second = trainer.evaluate()[-1].value
    together = trained(corpus, evaluation={"text_samples": 0}).evaluate()[-1].value
    assert first is not None
    assert second is not None
    assert second < first
    assert (first + second) / 2 == pytest.approx(together, rel=1e-9)


def test_a_sequences_cost_is_its_tokens(trainer: LanguageTrainer) -> None:
    network = Network("gpt2_tiny", VOCABULARY + 6, 16, True)
    assert trainer.cost.tokens == 16
    assert trainer.cost.flops == 16 * language.flops_a_token(network)


def test_what_cannot_be_built_is_refused(corpus: Corpus) -> None:
    with pytest.raises(SpecError, match="LanguageSpec"):
        build(FAMILY.spec.__mro__[2].model_construct(), corpus)
    with pytest.raises(SpecError, match=r"context is 1024, and the validation split has 700 tokens"):
        build(spec_of(context=1024), corpus)
    with pytest.raises(SpecError, match=r"vocabulary is 89, and the data set .* has 90 tokens"):
        build(spec_of(vocabulary=89), corpus)
    with pytest.raises(SpecError, match=r"cpu and cuda are allowed"):
        build(spec_of(), corpus, "tpu")


def test_clean_cells_of_several_teachers_are_one_trial(tmp_path: Path) -> None:
    """A grid fills the role for every cell of a group; the clean one makes nothing of it, and its id says so."""
    common = "model: gpt2_tiny, dataset: python-docs, budget.samples: 64"
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        "name: taught\ngroups:\n"
        f"  - {{name: teachers, family: language, set: {{{common}, context: 128}}, grid: {{seed: [0, 1]}}}}\n"
        f"  - {{name: plain, family: language, set: {{{common}}}}}\n"
        + "".join(
            f"  - {{name: by{seed}, family: language, set: {{{common}, noise.law: teacher}}, "
            f"grid: {{noise.ratio: [0, 1]}}, needs: {{teacher: {{group: teachers, where: {{seed: {seed}}}}}}}}}\n"
            for seed in (0, 1)
        )
    )
    space = load_space(grid)
    assert [trial.group for trial in space.trials] == ["teachers", "teachers", "plain", "by0", "by1"]
    assert [len(trial.needs) for trial in space.trials] == [0, 0, 0, 1, 1]
