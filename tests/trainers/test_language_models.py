"""Language models: the paper's sizes to the digit, matched pairs, weights by seed and tensor, costs by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from transformers import GPT2LMHeadModel

from trainers.errors import SpecError
from trainers.language.spec import LanguageSpec
from trainers.models import language
from trainers.models.language import Network

SMALL = ("gpt2_tiny", "gpt2_mini", "lstm_tiny", "lstm_mini")


def test_the_papers_two_configurations_have_its_parameters() -> None:
    """Protocols 1: the gradient analysis's, and the training's, whose biases are held."""
    assert language.count_parameters(Network("gpt2", 50257, 1024, True)) == 124_439_808
    assert language.count_parameters(Network("gpt2", 50304, 1024, False)) == 124_373_760


@pytest.mark.parametrize(
    ("size", "vocabulary", "context", "bias"),
    [("_tiny", 2048, 64, True), ("_mini", 2048, 64, True), ("", 50257, 1024, True), ("", 50304, 1024, False)],
)
def test_lstms_are_as_large_as_the_transformers(size: str, vocabulary: int, context: int, bias: bool) -> None:
    one, other = (
        language.count_parameters(Network(f"{kind}{size}", vocabulary, context, bias)) for kind in ("gpt2", "lstm")
    )
    assert abs(other / one - 1) < 0.05


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("bias", [True, False])
def test_built_is_what_was_counted(name: str, bias: bool) -> None:
    network = Network(name, 50, 12, bias)
    model = language.build(network, 0)
    counted = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counted == language.count_parameters(network)
    assert model(torch.zeros(3, 7, dtype=torch.int64)).shape == (3, 7, 50)
    held = [(key, p) for key, p in model.named_parameters() if not p.requires_grad]
    assert bool(held) is not bias
    assert all("bias" in key and not p.any() for key, p in held)


def test_the_pass_is_transformers_own() -> None:
    """Ours leaves out masks and caches; with the published activation, bit for bit but for rounding."""
    model = language.build(Network("gpt2_mini", 60, 16, True), 3)
    ids = torch.arange(48).reshape(3, 16)
    with torch.no_grad():
        theirs = GPT2LMHeadModel.forward(model, input_ids=ids).logits
        torch.testing.assert_close(model(ids), theirs, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model.lm_head(model.hidden(ids)), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_no_place_sees_what_comes_after_it(name: str) -> None:
    model = language.build(Network(name, 40, 8, True), 0)
    ids = torch.arange(8)[None]
    changed = ids.clone()
    changed[0, 5:] = 33
    with torch.no_grad():
        before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("name", ["gpt2_tiny", "lstm_tiny"])
def test_weights_follow_from_seed_and_tensor_alone(name: str) -> None:
    torch.manual_seed(1)
    first = language.weights(language.build(Network(name, 50, 12, True), 5))
    torch.manual_seed(2)
    again = language.weights(language.build(Network(name, 50, 12, True), 5))
    other = language.weights(language.build(Network(name, 50, 12, True), 6))
    longer = language.weights(language.build(Network(name, 50, 24, False), 5))
    assert all(torch.equal(first[key], again[key]) for key in first)
    random = [key for key, tensor in first.items() if tensor.dim() == 2]
    assert not any(torch.equal(first[key], other[key]) for key in random)
    same = [key for key in random if first[key].shape == longer[key].shape]
    assert len(same) >= 5
    assert all(torch.equal(first[key], longer[key]) for key in same)


def test_building_and_counting_leave_the_random_state() -> None:
    before = torch.get_rng_state()
    for name in ("gpt2_tiny", "lstm_tiny"):
        language.build(Network(name, 50, 12, True), 5)
        language.count_parameters(Network(name, 50, 12, True))
    assert torch.equal(before, torch.get_rng_state())


def test_initial_weights_are_as_wide_as_gpt2s() -> None:
    """0.02, and 0.02 / sqrt(2 x 4 blocks) where a residual branch ends."""
    tensors = language.weights(language.build(Network("gpt2_mini", 2048, 64, True), 0))
    assert tensors["transformer.wte.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    assert tensors["transformer.h.3.mlp.c_fc.weight"].std().item() == pytest.approx(0.02, rel=0.02)
    for branch in ("attn", "mlp"):
        assert tensors[f"transformer.h.0.{branch}.c_proj.weight"].std().item() == pytest.approx(0.02 / 8**0.5, rel=0.02)
    assert bool((tensors["transformer.ln_f.weight"] == 1).all())
    assert "lm_head.weight" not in tensors, "the shared tensor is named once"


def test_an_lstm_begins_near_the_uniform_prediction_and_remembers() -> None:
    model = language.build(Network("lstm_tiny", 2048, 64, True), 0)
    ids = torch.arange(256).reshape(4, 64)
    with torch.no_grad():
        nll = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.roll(1).flatten())
    assert nll.item() == pytest.approx(torch.tensor(2048.0).log().item(), abs=0.2)
    bias = language.weights(model)["lstm.bias_ih_l1"]
    assert bool((bias[72:144] == 1).all())
    assert not bias[:72].any()
    assert not bias[144:].any()


def test_operations_by_hand() -> None:
    """6 a parameter without the table of positions, and 12 x layers x width x context for attention."""
    assert language.flops_a_token(Network("gpt2_tiny", 2048, 64, True)) == 6 * (235_264 - 64 * 64) + 12 * 2 * 64 * 64
    paper = 6 * (124_373_760 - 1024 * 768) + 12 * 12 * 768 * 1024
    assert language.flops_a_token(Network("gpt2", 50304, 1024, False)) == paper
    assert language.flops_a_token(Network("lstm_tiny", 2048, 64, True)) == 6 * 231_552


def test_networks_that_do_not_exist_are_refused() -> None:
    fields = {"family": "language", "model": "gpt2_tiny", "dataset": "python-docs", "budget": {"samples": 1}}
    assert language.network(LanguageSpec.model_validate(fields), 99) == Network("gpt2_tiny", 99, 64, True)
    with pytest.raises(SpecError, match=r"unknown model 'gpt2_tin'.*did you mean 'gpt2_tiny'"):
        language.network(LanguageSpec.model_validate({**fields, "model": "gpt2_tin"}), 99)
    with pytest.raises(SpecError, match=r"vocabulary is 98.*has 99 tokens"):
        language.network(LanguageSpec.model_validate({**fields, "vocabulary": 98}), 99)


def test_a_plan_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from trainers import registry; f = registry.family('language');"
        "s = f.spec.model_validate({'family': 'language', 'model': 'gpt2', 'dataset': 'python-docs',"
        " 'budget': {'samples': 9}}); f.check(s);"
        "print(sorted({'torch', 'transformers', 'datasets', 'tokenizers', 'ray'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
