"""Gradients of single sequences and their inner products: against ordinary backward passes and plain matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainers.errors import SpecError
from trainers.gradients import grams as grams_module
from trainers.gradients.grams import chosen, grams, pass_width, reference, united
from trainers.gradients.reading import parted
from trainers.gradients.sequences import Batch, gradients, losses, mean_gradient, numerics
from trainers.gradients.tally import CLEAN, CORRUPT
from trainers.models import language
from trainers.noise.tokens import TokenBatch

VOCABULARY, CONTEXT, SEQUENCES = 96, 12, 5
CPU = torch.device("cpu")


def network(name: str, bias: bool = True) -> nn.Module:
    return language.build(language.Network(name, VOCABULARY, CONTEXT, bias), 0)


@pytest.fixture(scope="module", params=["gpt2_tiny", "lstm_tiny"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    return network(request.param)


@pytest.fixture(scope="module")
def read() -> TokenBatch:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, VOCABULARY, (SEQUENCES, CONTEXT))
    targets = np.where(rng.random(truth.shape) < 0.4, (truth + 1) % VOCABULARY, truth)
    targets[0] = truth[0]  # a sequence without a wrong target
    return TokenBatch(rng.integers(0, VOCABULARY, truth.shape), targets, truth)


@pytest.fixture
def batch(read: TokenBatch) -> Batch:
    return parted(read, "token", True, CPU)[0]


@pytest.fixture(autouse=True)
def attention() -> Iterator[None]:
    with numerics(CPU, "float32", batched=True):
        yield


def by_hand(model: nn.Module, name: str, batch: Batch) -> torch.Tensor:
    """A backward pass a part: [B k, P], float64."""
    parameter, found = dict(model.named_parameters())[name], []
    for inputs, targets, shares in zip(batch.inputs, batch.targets, batch.shares, strict=True):
        for share in shares:
            logits = model(inputs[None])[0]
            total = (functional.cross_entropy(logits, targets, reduction="none") * share).sum()
            found.append(torch.autograd.grad(total, parameter)[0].flatten().double())
    return torch.stack(found)


def close(one: torch.Tensor, other: torch.Tensor, relative: float = 1e-5) -> None:
    torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=relative * float(other.abs().max()))


def test_gradients_are_those_of_ordinary_backward_passes(model: nn.Module, batch: Batch) -> None:
    names = [name for name, _ in model.named_parameters()]
    found, _ = gradients(model, names, batch)
    assert list(found) == names
    for name in names:
        assert found[name].shape[:2] == (SEQUENCES, 2)
        close(found[name].flatten(0, 1).flatten(1), by_hand(model, name, batch))


def test_clean_and_corrupt_parts_add_up_to_the_mean_loss(model: nn.Module, batch: Batch) -> None:
    names = united(model, chosen(model, ["*wte.weight"]))
    parts = gradients(model, names, batch)[0][names[0]]
    for one in range(SEQUENCES):
        whole = mean_gradient(model, names, batch[one : one + 1], 1)[names[0]]
        close(parts[one].sum(dim=0), whole)
    assert float(parts[0, CORRUPT].abs().max()) == 0  # it has no wrong target


def test_losses_are_those_of_a_forward_pass(model: nn.Module, batch: Batch) -> None:
    measured = gradients(model, united(model, chosen(model, ["*wte.weight"])), batch)[1]
    log_p = functional.log_softmax(model(batch.inputs).double(), dim=-1).detach()
    for column, ids in enumerate((batch.targets, batch.truth)):
        due = -log_p.gather(-1, ids[..., None])[..., 0].mean(dim=1)
        close(measured[:, column], due)
        close(losses(model, batch)[:, column], due)
    assert not torch.equal(measured[:, 0], measured[:, 1])


def test_the_mean_gradient_adds_over_batches(model: nn.Module, batch: Batch) -> None:
    names = united(model, chosen(model, ["*"]))
    whole = mean_gradient(model, names, batch, SEQUENCES)
    parts = [mean_gradient(model, names, batch[rows], SEQUENCES) for rows in (slice(0, 2), slice(2, SEQUENCES))]
    for name in names:
        close(parts[0][name] + parts[1][name], whole[name])


def test_inner_products_of_one_tensor_and_of_all(model: nn.Module, batch: Batch) -> None:
    analyses = chosen(model, ["*wte.weight", "*"])
    names = united(model, analyses)
    found, _ = grams(model, analyses, batch, None)
    assert found.shape == (2, 1, 2 * SEQUENCES, 2 * SEQUENCES)
    vectors = {name: by_hand(model, name, batch) for name in names}
    for number, matched in enumerate(analyses):
        flat = torch.cat([vectors[name] for name in matched], dim=1)
        close(found[number, 0], flat @ flat.T)


def test_the_mean_gradient_is_projected_out(model: nn.Module, batch: Batch) -> None:
    analyses = chosen(model, ["*wte.weight", "*"])
    names = united(model, analyses)
    mean = mean_gradient(model, names, batch, SEQUENCES)
    found, _ = grams(model, analyses, batch, reference(analyses, mean))
    assert found.shape[1] == 2
    for number, matched in enumerate(analyses):
        flat = torch.cat([by_hand(model, name, batch) for name in matched], dim=1)
        along = torch.cat([mean[name].flatten().double() for name in matched])
        along = along / along.norm()
        left = flat - torch.outer(flat @ along, along)
        close(found[number, 0], flat @ flat.T)
        close(found[number, 1], left @ left.T)


def test_groups_and_passes_change_nothing_but_the_last_bits(
    model: nn.Module, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyses = chosen(model, ["*wte.weight", "*"])
    mean = reference(analyses, mean_gradient(model, united(model, analyses), batch, SEQUENCES))
    whole, measured = grams(model, analyses, batch, mean)
    monkeypatch.setattr(grams_module, "HELD", {"cpu": 4 * 2 * SEQUENCES * 20_000})
    monkeypatch.setattr(grams_module, "PASS", {"cpu": 2**19})
    monkeypatch.setattr(grams_module, "PIECE", 1000)
    assert pass_width(model, analyses[0], CONTEXT, 2) < SEQUENCES
    assert len(grams_module._groups(model, united(model, analyses), 2 * SEQUENCES)) > 3
    parts, again = grams(model, analyses, batch, mean)
    close(parts, whole)
    close(again, measured)


def test_bfloat16_rounds_and_no_more(batch: Batch) -> None:
    model = network("gpt2_tiny")
    analyses = chosen(model, ["*wte.weight"])
    exact, _ = grams(model, analyses, batch, None)
    with numerics(CPU, "bfloat16", batched=True):
        rounded, _ = grams(model, analyses, batch, None)
    assert not torch.equal(exact, rounded)
    close(rounded, exact, relative=0.02)


def test_products_of_gradients_are_never_rounded_to_bfloat16(batch: Batch) -> None:
    """The network's are; those of what comes out of it are the measurement."""
    model = network("gpt2_tiny")
    analyses = chosen(model, ["*wte.weight"])
    with numerics(CPU, "bfloat16", batched=True):
        held, _ = gradients(model, analyses[0], batch)
        mean = mean_gradient(model, analyses[0], batch, SEQUENCES)
        found, _ = grams(model, analyses, batch, reference(analyses, mean))
    flat = held[analyses[0][0]].flatten(0, 1).flatten(1).double()
    along = mean[analyses[0][0]].flatten().double()
    left = flat - torch.outer(flat @ along, along) / along.square().sum()
    close(found[0, 0], flat @ flat.T)
    close(found[0, 1], left @ left.T)


def test_globs_match_what_receives_a_gradient() -> None:
    model = network("gpt2_tiny", bias=False)
    every, norms = chosen(model, ["*", "transformer.h.*.ln_?.weight"])
    assert "transformer.wte.weight" in every
    assert not any(name.endswith(".bias") for name in every), "biases are held at zero"
    assert len(norms) == 4
    with pytest.raises(SpecError, match=r"'\*\.bias', which matches no parameter.*transformer\.wte\.weight"):
        chosen(model, ["*", "*.bias"])


def test_parts_by_token(read: TokenBatch) -> None:
    batch, parts = parted(read, "token", True, CPU)
    wrong = read.targets != read.truth
    assert parts.tokens.tolist() == [int((~wrong).sum()), int(wrong.sum())]
    assert parts.kinds.tolist() == [CLEAN, CORRUPT] * SEQUENCES
    assert parts.owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert parts.present.tolist() == [True, False, *[True] * 8]
    torch.testing.assert_close(batch.shares.sum(dim=1), torch.full((SEQUENCES, CONTEXT), 1 / CONTEXT))
    assert torch.equal(batch.shares[:, CORRUPT] > 0, torch.from_numpy(wrong))


def test_parts_by_example(read: TokenBatch) -> None:
    batch, parts = parted(read, "example", True, CPU)
    assert parts.kinds.tolist() == [CLEAN, *[CORRUPT] * 4]
    assert parts.owners.tolist() == [0, 1, 2, 3, 4]
    assert parts.present.all()
    assert torch.equal(batch.shares, torch.full((SEQUENCES, 1, CONTEXT), 1 / CONTEXT))


def test_without_noise_there_are_clean_parts_alone(read: TokenBatch) -> None:
    batch, parts = parted(TokenBatch(read.inputs, read.truth, read.truth), "token", False, CPU)
    assert batch.shares.shape == (SEQUENCES, 1, CONTEXT)
    assert (parts.kinds == CLEAN).all()
    assert parts.tokens.tolist() == [SEQUENCES * CONTEXT, 0]
