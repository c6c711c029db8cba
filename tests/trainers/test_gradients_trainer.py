"""What an analysis finds on a small corpus: against one backward pass over the batch; whose weights; refusals."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from contracts.states import nested
from fixtures.corpus import make_corpus
from pydantic import ValidationError
from torch.nn import functional

from trainers import registry
from trainers.datasets.text.corpus import Corpus
from trainers.errors import DivergedError, SpecError
from trainers.gradients import FAMILY, METRICS
from trainers.gradients import grams as grams_module
from trainers.gradients import trainer as trainer_module
from trainers.gradients.spec import GradientsSpec
from trainers.gradients.trainer import GradientsTrainer
from trainers.language import FAMILY as LANGUAGE
from trainers.language import weights, windows
from trainers.models import language
from trainers.noise.tokens import token_corruption
from trainers.spec import trial_id

BATCH, CONTEXT = 4, 8
TENSOR = "transformer.wte.weight"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def spec(**changes: Any) -> GradientsSpec:
    fields: dict[str, Any] = {
        "family": "gradients",
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": CONTEXT,
        "noise.ratio": Fraction(1),
        "batch.size": BATCH,
        "budget.samples": 3 * BATCH,
        "reference_samples": 5,
    }
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return GradientsSpec.model_validate(nested(fields | given))


def built(corpus: Corpus, needs: Any = None, **changes: Any) -> GradientsTrainer:
    changes |= {"needs": dict.fromkeys(needs, "0" * 16)} if needs else {}
    trainer = FAMILY.build(spec(**changes), corpus, "cpu", needs)
    assert isinstance(trainer, GradientsTrainer)
    return trainer


def finished(corpus: Corpus, needs: Any = None, **changes: Any) -> GradientsTrainer:
    trainer = built(corpus, needs, **changes)
    trainer.train(trainer.spec.samples)
    return trainer


def metrics(trainer: GradientsTrainer) -> dict[str, Any]:
    return {one.name: one.value for one in trainer.evaluate()}


def batches(trainer: GradientsTrainer) -> list[dict[str, Any]]:
    (found,) = [one for one in trainer.artifacts() if one.role == "batches"]
    return list(pq.read_table(io.BytesIO(found.content)).to_pylist())


@pytest.mark.parametrize("unit", ["token", "example"])
def test_summed_gradients_are_those_of_one_backward_pass(corpus: Corpus, unit: str) -> None:
    trainer = finished(corpus, noise__unit=unit)
    model = language.build(language.Network("gpt2_tiny", corpus.vocabulary, CONTEXT, True), 0)
    tensor = dict(model.named_parameters())[TENSOR]
    noise = trainer.spec.noise
    corruption = token_corruption(noise, corpus.vocabulary, 0, registry.noise_law(noise.law), context=CONTEXT)
    for row in batches(trainer):
        start = row["batch"] * BATCH
        first = windows.training_starts(trainer.spec, CONTEXT, len(corpus.train), start, BATCH)
        read = corruption.apply(windows.gather(corpus.train, first, CONTEXT), first, start)
        wrong = read.targets != read.truth
        assert row["corrupt_tokens"] == wrong.sum()
        assert row["clean_tokens"] == (~wrong).sum()
        if unit == "example":
            wrong = np.broadcast_to(wrong.any(axis=1, keepdims=True), wrong.shape)
        assert row["corrupt_examples"] == wrong.any(axis=1).sum()
        assert row["clean_examples"] == (~wrong).any(axis=1).sum()
        logits = model(torch.from_numpy(read.inputs)).flatten(0, 1)
        losses = functional.cross_entropy(logits, torch.from_numpy(read.targets).flatten(), reduction="none")
        for name, mask in (("clean", ~wrong), ("corrupt", wrong)):
            total = (losses * torch.from_numpy(mask.copy()).flatten()).sum() / CONTEXT
            summed = torch.autograd.grad(total, tensor, retain_graph=True)[0].norm()
            assert row[f"norm_{name}"] == pytest.approx(float(summed), rel=1e-4)
        assert row["loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
        true = functional.cross_entropy(logits, torch.from_numpy(read.truth).flatten())
        assert row["clean_loss"] == pytest.approx(true.item(), rel=1e-5)


def test_snr_is_that_of_the_batches(corpus: Corpus) -> None:
    trainer = finished(corpus)
    rows, found = batches(trainer), metrics(trainer)
    for end in ("", "_removed"):
        norms = [np.array([row[f"norm_{part}{end}"] for row in rows]) for part in ("clean", "corrupt")]
        assert found[f"snr{end}"] == pytest.approx(norms[0].mean() / norms[1].mean())
        energies = [np.square(one).mean() for one in norms]
        assert found[f"snr_corrected{end}"] == pytest.approx(math.sqrt(energies[0] / energies[1]))
    assert found["loss_variance"] == pytest.approx(np.var([row["loss"] for row in rows], ddof=1))


def test_clean_gradients_share_a_direction_that_the_reference_removes(corpus: Corpus) -> None:
    found = metrics(finished(corpus, budget__samples=40, noise__unit="example", reference_samples=64))
    assert found["cosine_clean_clean"] > 0.08
    assert abs(found["cosine_clean_clean_removed"]) < found["cosine_clean_clean"] / 2
    assert abs(found["cosine_corrupt_corrupt"]) < 0.05
    assert found["cosine_clean_clean_min"] < found["cosine_clean_clean"] < found["cosine_clean_clean_max"]
    assert found["example_norm_clean_removed"] < found["example_norm_clean"]


def test_what_does_not_exist_is_null(corpus: Corpus) -> None:
    clean = metrics(finished(corpus, noise__ratio=Fraction(0)))
    assert clean["cosine_clean_clean"] is not None
    assert clean["norm_corrupt"] == 0
    assert [clean[name] for name in ("cosine_corrupt_corrupt", "snr", "snr_law", "example_norm_corrupt")] == [None] * 4
    single = metrics(finished(corpus, batch__size=1))
    assert single["cosine_clean_clean"] is None
    assert single["snr"] > 0
    assert single["snr_law"] > 0
    loss = metrics(finished(corpus, measure="loss", reference_samples=64))
    assert {name for name, value in loss.items() if value is not None} == {name for name in METRICS if "loss_" in name}
    assert metrics(finished(corpus, reference_samples=0))["snr_removed"] is None


def test_losses_are_the_same_with_and_without_gradients(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gradients = batches(finished(corpus))
    monkeypatch.setattr(grams_module, "PASS", {"cpu": 3 * 8 * CONTEXT * corpus.vocabulary})  # three sequences a piece
    assert grams_module.pass_width(built(corpus)._model, (), CONTEXT, 0) == 3
    alone = batches(finished(corpus, measure="loss", reference_samples=64))
    for one, other in zip(with_gradients, alone, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
        assert one["clean_loss"] == pytest.approx(other["clean_loss"], rel=1e-6)
        counts = ("corrupt_tokens", "clean_examples", "corrupt_examples")
        assert [one[name] for name in counts] == [other[name] for name in counts]


def test_initial_weights_are_those_of_a_language_trial(corpus: Corpus) -> None:
    fields = {"family": "language", "model": "gpt2_tiny", "dataset": "python-docs", "context": CONTEXT, "seed": 3}
    other = LANGUAGE.build(LANGUAGE.spec.model_validate(fields | {"budget": {"samples": 8}}), corpus, "cpu", None)
    theirs = other.state_dict()["model"]
    ours = language.weights(built(corpus, seed=3)._model)
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    assert TENSOR in ours


def stored(corpus: Corpus, folder: Path, seed: int = 0, scale: float = 1.0, **changes: Any) -> dict[str, Any]:
    """What a finished language trial leaves, in the role ``model``."""
    fields = {"model": "gpt2_tiny", "vocabulary": corpus.vocabulary, "context": CONTEXT, "bias": True} | changes
    network = language.Network(**fields)
    model = language.build(network, seed)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.mul_(scale)
    path = folder / "weights.safetensors"
    path.write_bytes(weights.artifact(model, network, corpus.tokenizer_sha256).content)
    return {"model": {"weights": path}}


def test_needed_weights_are_what_is_analysed(corpus: Corpus, tmp_path: Path) -> None:
    plain = metrics(finished(corpus))
    assert metrics(finished(corpus, stored(corpus, tmp_path))) == plain
    assert metrics(finished(corpus, stored(corpus, tmp_path, seed=1))) != plain


def test_weights_that_do_not_fit_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="context = 16 and this trial has 8"):
        built(corpus, stored(corpus, tmp_path, context=16))
    with pytest.raises(SpecError, match=r"needs\.model is a trial that left judge"):
        built(corpus, {"model": {"judge": tmp_path}})


def test_whose_weights_are_analysed_is_what_the_specification_says(corpus: Corpus, tmp_path: Path) -> None:
    """So that no id stands over an analysis of other weights."""
    with pytest.raises(SpecError, match="in the role 'model', and the analysis names none under needs"):
        FAMILY.build(spec(), corpus, "cpu", stored(corpus, tmp_path))
    with pytest.raises(SpecError, match=r"needs\.model is missing"):
        FAMILY.build(spec(needs={"model": "0" * 16}), corpus, "cpu", None)


def test_weights_that_are_not_finite_are_told(corpus: Corpus, tmp_path: Path) -> None:
    for measure in ("gradients", "loss"):
        fields = spec(measure=measure, reference_samples=64, needs={"model": "0" * 16})
        trainer = FAMILY.build(fields, corpus, "cpu", stored(corpus, tmp_path, scale=math.inf))
        with pytest.raises(DivergedError, match=r"sequences 0 to 4 of 12.*needs\.model"):
            trainer.train(BATCH)


def test_a_law_of_frequencies_is_bound(corpus: Corpus) -> None:
    trainer = finished(corpus, noise__law="unigram", budget__samples=40)
    assert 0.3 < (trainer.realised_rate or 0) < 0.5  # some redrawn tokens hit the truth: the corpus has few


def test_a_law_of_a_teacher_is_refused(corpus: Corpus) -> None:
    with pytest.raises(SpecError, match="'nearest' needs embedding, and a gradient analysis has frequencies alone"):
        built(corpus, noise__law="nearest")


def test_globs_that_match_nothing_are_refused(corpus: Corpus) -> None:
    with pytest.raises(SpecError, match=r"'transformer\.wt\.weight', which matches no parameter"):
        built(corpus, analysed=["transformer.wt.weight"])


def test_check_refuses_what_a_plan_can_see() -> None:
    assert FAMILY.check is not None
    FAMILY.check(spec())
    with pytest.raises(SpecError, match=r"write 'wte\.weight'"):
        FAMILY.check(spec(model="lstm_tiny"))
    FAMILY.check(spec(model="lstm_tiny", measure="loss", reference_samples=64))
    with pytest.raises(SpecError, match="vocabulary is 100"):
        FAMILY.check(spec(vocabulary=100))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"analysed": ["*", "*"]}, "given twice"),
        ({"analysed": [""]}, "empty glob"),
        ({"analysed": []}, "at least 1"),
        ({"measure": "loss", "reference_samples": 64, "analysed": ["*"]}, "leave analysed out"),
        ({"measure": "loss"}, "leave reference_samples out"),
        ({"batch.multiplier": 512}, "at most 1024 sequences"),
        ({"split": "test"}, "train"),
    ],
)
def test_fields_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(**changes)


def test_the_budget_does_not_grow_with_the_noise() -> None:
    assert spec(noise__ratio=Fraction(3)).samples == 3 * BATCH
    assert spec(noise__ratio=Fraction(3), budget__rule="scaled").samples == 12 * BATCH


def test_fields_enter_the_id() -> None:
    changes: list[dict[str, Any]] = [{}, {"analysed": ["*"]}, {"split": "validation"}, {"reference_samples": 6}]
    changes += [{"noise.unit": "example"}, {"measure": "loss", "reference_samples": 64}]
    assert len({trial_id(spec(**one), "1") for one in changes}) == len(changes)


def test_a_plan_imports_no_torch() -> None:
    code = "import sys, trainers.gradients; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'ray')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cost_counts_forward_and_backward_passes(corpus: Corpus) -> None:
    training = language.flops_a_token(language.Network("gpt2_tiny", corpus.vocabulary, CONTEXT, True)) * CONTEXT
    shares = [
        built(corpus, **changes).cost.flops / training
        for changes in (
            {"measure": "loss", "reference_samples": 64},
            {"noise__unit": "example"},
            {"noise__ratio": Fraction(0)},
            {},
        )
    ]
    assert shares == pytest.approx([1 / 3, 1, 1, 5 / 3])


@pytest.mark.gpu
def test_a_gpu_finds_what_a_cpu_finds(corpus: Corpus) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    other = FAMILY.build(spec(), corpus, "cuda", None)
    other.train(other.position + spec().samples)
    for name, value in metrics(finished(corpus)).items():
        found = {one.name: one.value for one in other.evaluate()}[name]
        assert found == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_a_precision_that_the_device_has_not_is_refused(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "usable", lambda device: torch.device(device))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "this card")
    with pytest.raises(SpecError, match="bfloat16, which this card does not have"):
        FAMILY.build(spec(precision="bfloat16"), corpus, "cuda")
