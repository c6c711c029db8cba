"""One step of a language model: its gradient does not depend on how it is cut, its loss is the usual one."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from fixtures.corpus import make_corpus
from torch.nn import functional

from trainers.datasets.text.corpus import Corpus
from trainers.errors import SpecError
from trainers.language import build, head, step
from trainers.language.spec import LanguageSpec, OptimiserSpec
from trainers.language.trainer import LanguageTrainer
from trainers.models import language
from trainers.models.language import Network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), vocabulary=300, train=3000, validation=200)


def trainer_of(corpus: Corpus, *, device: str = "cpu", options: dict[str, Any] | None = None, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "family": "language",
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": 16,
        "noise": {"ratio": 1},
        "batch": {"size": 12},
        "budget": {"samples": 60, "rule": "fixed"},
        "optimiser": {"learning_rate": 3e-3},
        "evaluation": {"text_samples": 0},
    }
    trainer = build(LanguageSpec.model_validate({**fields, **changes}), corpus, device, **(options or {}))
    assert isinstance(trainer, LanguageTrainer)
    return trainer


def gradients(trainer: LanguageTrainer) -> torch.Tensor:
    """Those that the last step left, clipped, as one vector."""
    found = [p.grad for p in trainer._moving]
    assert all(grad is not None for grad in found)
    return torch.cat([grad.flatten() for grad in found if grad is not None])


@pytest.mark.parametrize("micro", [1, 5, 11])
@pytest.mark.parametrize("model", ["gpt2_tiny", "lstm_tiny"])
def test_a_micro_batch_does_not_change_the_gradient(corpus: Corpus, model: str, micro: int) -> None:
    """Mean over the whole batch, parts of unequal size too: 1e-6 of its norm is float32's rounding of the sums."""
    clip_off = {"learning_rate": 3e-3, "clip": 0.0}
    whole, parts = (
        trainer_of(corpus, model=model, optimiser=clip_off, options={"micro_batch": size}) for size in (12, micro)
    )
    for trainer in (whole, parts):
        trainer.train(12)
    assert ((gradients(whole) - gradients(parts)).norm() / gradients(whole).norm()).item() < 1e-6
    assert whole.realised_rate == parts.realised_rate
    assert parts.evaluate()[-1].value == pytest.approx(whole.evaluate()[-1].value, rel=1e-6)


def test_the_gradient_is_that_of_the_mean_loss(corpus: Corpus) -> None:
    """Against the loss written the usual way, on the very tokens; the last batch of a budget is a part of one."""
    trainer = trainer_of(corpus, budget={"samples": 19, "rule": "fixed"}, optimiser={"learning_rate": 1e-9, "clip": 0})
    trainer.train(12)
    model = language.build(language.network(trainer.spec, 300), 0)
    language.load(model, language.weights(trainer._model))
    trainer.train(7)
    block = trainer._source.block(12)
    inputs, targets = (one[12 - block.first : 19 - block.first] for one in (block.inputs, block.targets))
    loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    loss.backward()  # type: ignore[no-untyped-call]
    due = {name: p.grad for name, p in model.named_parameters()}
    for name, p in trainer._model.named_parameters():
        torch.testing.assert_close(p.grad, due[name], rtol=1e-4, atol=1e-7)
    assert trainer.evaluate()[-1].name == "train_loss"


@pytest.mark.parametrize("numbers", [1, 2**19])
def test_the_heads_loss_and_gradients_are_the_usual_ones(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against float64: parts of one row or all at once, logits of up to 100 nats."""
    monkeypatch.setattr(head, "NUMBERS_ON_CPU", numbers)
    monkeypatch.setattr(head, "FEWEST_ROWS", 1)
    generator = torch.Generator().manual_seed(0)
    states = (5 * torch.randn(23, 8, generator=generator)).requires_grad_()
    matrix = (3 * torch.randn(41, 8, generator=generator)).requires_grad_()
    targets = torch.randint(0, 41, (23,), generator=generator)
    loss = head.summed_loss(states, matrix, targets, torch.float32)
    (loss / 7).backward()  # type: ignore[no-untyped-call]
    exact = [one.detach().double().requires_grad_() for one in (states, matrix)]
    due = functional.cross_entropy(exact[0] @ exact[1].T, targets, reduction="sum")
    (due / 7).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.double(), due, rtol=1e-6, atol=1e-6)
    for one, other in zip((states, matrix), exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert ((one.grad - other.grad).norm() / other.grad.norm()).item() < 1e-6


def test_a_loss_that_is_not_finite_stays_so() -> None:
    states, matrix = torch.full((3, 4), 1e30), torch.full((5, 4), 1e30)
    loss = head.summed_loss(states, matrix.requires_grad_(), torch.zeros(3, dtype=torch.int64), torch.float32)
    assert not bool(torch.isfinite(loss))


def test_biases_that_are_held_stay_at_zero(corpus: Corpus) -> None:
    trainer = trainer_of(corpus, bias=False)
    trainer.train(60)
    tensors = language.weights(trainer._model)
    assert not any(tensor.any() for name, tensor in tensors.items() if name.endswith(".bias"))
    assert trainer.parameters == language.count_parameters(Network("gpt2_tiny", 300, 16, False))


def test_decay_is_on_matrices_alone() -> None:
    model = language.build(Network("gpt2_tiny", 50, 12, True), 0)
    decayed, spared = step.optimiser_for(OptimiserSpec(weight_decay=0.25), model).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.25, 0.0)
    assert {p.dim() for p in decayed["params"]} == {2}
    assert {p.dim() for p in spared["params"]} == {1}
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))
    held = language.build(Network("lstm_tiny", 50, 12, False), 0)
    assert [len(group["params"]) for group in step.optimiser_for(OptimiserSpec(), held).param_groups] == [5]


def test_gradients_are_clipped_to_their_common_norm(corpus: Corpus) -> None:
    for largest in (1e-3, 0.0):
        trainer = trainer_of(corpus, optimiser={"clip": largest})
        trainer.train(12)
        norm = gradients(trainer).norm().item()
        assert norm == pytest.approx(largest, rel=1e-3) if largest else norm > 0.1


def test_bfloat16_is_the_same_training_but_for_rounding(corpus: Corpus) -> None:
    """bfloat16 has 8 bits: losses agree to a percent, and are not the same."""
    exact, rough = (trainer_of(corpus, precision=kind) for kind in ("float32", "bfloat16"))
    for trainer in (exact, rough):
        trainer.train(60)
    assert all(p.dtype == torch.float32 for p in rough._model.parameters())
    one, other = (trainer.evaluate()[-1].value for trainer in (exact, rough))
    assert other != one
    assert other == pytest.approx(one, rel=1e-2)


def test_bfloat16_reaches_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    model = language.build(Network("gpt2_tiny", 50, 12, True), 0)
    model.transformer.h[0].mlp.c_fc.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    monkeypatch.setattr(head, "summed_loss", lambda *given: seen.append(given[3]))
    step.summed_loss(model, "bfloat16", CPU, False)(torch.zeros(2, 12, dtype=torch.int64), torch.zeros(2, 12))
    assert seen == [torch.bfloat16, torch.bfloat16]


def test_compiled_is_the_same_training_but_for_rounding(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is traced whole, forward and backward; what is left out is the minute that C++ takes to compile."""
    traced = functools.partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", traced)
    monkeypatch.setattr(step, "check_compiler", lambda device: None)
    plain, compiled = (trainer_of(corpus, options={"compile": value}) for value in (False, True))
    for trainer in (plain, compiled):
        trainer.train(24)
    one, other = (trainer.evaluate()[0].value for trainer in (plain, compiled))
    assert other == pytest.approx(one, rel=1e-5)
    assert set(compiled.state_dict()["model"]) == set(plain.state_dict()["model"]), "names as without compile"


def test_compile_without_a_compiler_is_refused(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SpecError, match=r"compile is true.*install g\+\+"):
        trainer_of(corpus, options={"compile": True})


def test_a_micro_batch_is_as_large_as_memory_allows() -> None:
    """64 MB of logits: 128 sequences of 64 x 2,048, and 1 of 1,024 x 50,304 (206 MB). Parts are of about one size."""
    small, large = Network("gpt2_tiny", 2048, 64, True), Network("gpt2", 50304, 1024, False)
    assert step.micro_batch(small, CPU, 32, None) == 32
    assert step.micro_batch(small, CPU, 128, None) == 128
    assert step.micro_batch(small, CPU, 132, None) == 66
    assert step.micro_batch(large, CPU, 480, None) == 1
    assert step.micro_batch(small, CPU, 32, 7) == 7
    assert step.micro_batch(small, CPU, 32, 99) == 32
    for value in (0, -1, True):
        with pytest.raises(SpecError, match=r"micro_batch is .*1 or more"):
            step.micro_batch(small, CPU, 32, value)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", ["gpt2_tiny", "lstm_tiny"])
def test_a_gpu_repeats_itself_and_agrees_with_the_cpu(corpus: Corpus, model: str, precision: str) -> None:
    first, again, here = (
        trainer_of(corpus, model=model, precision=precision, device=device) for device in ("cuda", "cuda", "cpu")
    )
    for trainer in (first, again, here):
        trainer.train(60)
    one, other = (trainer.state_dict()["model"] for trainer in (first, again))
    assert all(torch.equal(one[name], other[name]) for name in one), "the same run, other bits"
    tolerance = 1e-4 if precision == "float32" else 2e-2
    assert first.evaluate()[0].value == pytest.approx(here.evaluate()[0].value, rel=tolerance)
