"""Networks: exact sizes, weights by seed alone, and the images they take."""

from __future__ import annotations

import pytest
import torch

from trainers import registry
from trainers.classifier import FAMILY, count_parameters
from trainers.errors import SpecError
from trainers.models import catalogue

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]


@pytest.mark.parametrize(("classes", "parameters"), [(10, 11_173_962), (100, 11_220_132)])
def test_resnet18_has_the_papers_parameters(classes: int, parameters: int) -> None:
    """Protocols 1; with torchvision's large stem it would be 11,181,642 at 10 classes."""
    assert catalogue.count_parameters("resnet18", (3, 32, 32), classes) == parameters


def test_resnet18_sees_small_images_whole() -> None:
    """No stride before the second stage: the last one still has 4 x 4 of 32 x 32."""
    model = catalogue.build("resnet18", (3, 32, 32), 10, 0)
    seen = {}
    model.layer1.register_forward_hook(lambda *given: seen.update(first=given[2].shape))
    model.layer4.register_forward_hook(lambda *given: seen.update(last=given[2].shape))
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert seen == {"first": (2, 64, 32, 32), "last": (2, 512, 4, 4)}


@pytest.mark.parametrize("name", sorted(set(catalogue.MODELS) - {"resnet18"}))
@pytest.mark.parametrize("shape", SHAPES)
def test_built_is_what_was_counted(name: str, shape: tuple[int, ...]) -> None:
    model = catalogue.build(name, shape, 7, 0)
    assert catalogue.trainable(model) == catalogue.count_parameters(name, shape, 7)
    assert model(torch.zeros(3, *shape)).shape == (3, 7)


def test_counts_by_hand() -> None:
    """small_cnn on 28 x 28: 8 x 25 + 8, 16 x 72 + 16, 64 x 784 + 64, 10 x 64 + 10."""
    assert catalogue.count_parameters("small_cnn", (1, 28, 28), 10) == 208 + 1168 + 50240 + 650
    assert catalogue.count_parameters("mlp", (1, 8, 8), 10) == 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10


def test_counting_goes_by_the_data_sets_record() -> None:
    fields = {"family": "classifier", "model": "small_cnn", "dataset": "mnist5k", "budget": {"samples": 1}}
    assert count_parameters(FAMILY.spec.model_validate(fields)) == 52266
    assert registry.dataset("mnist5k").shape == (1, 28, 28)


@pytest.mark.parametrize("name", sorted(catalogue.MODELS))
def test_weights_follow_from_the_seed_alone(name: str) -> None:
    torch.manual_seed(1)
    first = catalogue.build(name, (1, 12, 12), 10, 5).state_dict()
    torch.manual_seed(2)
    torch.rand(3)
    again = catalogue.build(name, (1, 12, 12), 10, 5).state_dict()
    other = catalogue.build(name, (1, 12, 12), 10, 6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_building_and_counting_leave_the_random_state() -> None:
    before = torch.get_rng_state()
    catalogue.build("resnet18", (3, 9, 9), 10, 5)
    catalogue.count_parameters("resnet18", (3, 9, 9), 10)
    assert torch.equal(before, torch.get_rng_state())


def test_every_layer_starts_as_torch_has_it() -> None:
    """A convolution's weights are uniform within 1 / sqrt(fan-in), not torchvision's normal by fan-out."""
    model = catalogue.build("resnet18", (3, 32, 32), 10, 0)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            bound = (module.in_channels * module.kernel_size[0] * module.kernel_size[1]) ** -0.5
            assert 0.95 * bound < module.weight.abs().max().item() <= bound * (1 + 1e-6)  # float32 rounds


@pytest.mark.parametrize(("name", "side"), [("small_cnn", 2), ("mlp", 1), ("resnet18", 9)])
def test_the_smallest_images_that_fit_can_be_trained_on_one_at_a_time(name: str, side: int) -> None:
    model = catalogue.build(name, (1, side, side), 3, 0).train()
    assert model(torch.ones(1, 1, side, side)).shape == (1, 3)
    if side > 1:
        with pytest.raises(SpecError, match=f"at least {side}x{side}"):
            catalogue.check(name, (1, side - 1, 40))


def test_unknown_names_and_shapes_are_refused() -> None:
    with pytest.raises(SpecError, match="small_cnn"):
        catalogue.build("large_cnn", (1, 8, 8), 10, 0)
    with pytest.raises(SpecError, match="channels x height x width"):
        catalogue.count_parameters("mlp", (64,), 10)
