"""Dropout by place in the stream: a mask follows from its sample, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from trainers.models.keyed_dropout import GROUP, KeyedDropout, dropout, keyed

LENGTH = 40


class Layers(nn.Module):
    """Two layers of dropout on maps of different shapes."""

    def __init__(self, p: float = 0.4) -> None:
        super().__init__()
        self.one, self.two = KeyedDropout(p), KeyedDropout(p)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.one(maps).flatten(1), self.two(maps[:, :, :1]).flatten(1)], dim=1)


def passed(start: int, count: int, seed: int = 3) -> torch.Tensor:
    model = Layers()
    with keyed(model, seed, start, count):
        return model(torch.ones(count, 2, 3, 3))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, LENGTH - 1), max_size=6, unique=True))
def test_masks_do_not_depend_on_how_the_stream_is_cut(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), LENGTH]
    parts = [passed(start, end - start) for start, end in pairwise(ends)]
    assert torch.equal(torch.cat(parts), passed(0, LENGTH))


def test_masks_do_not_depend_on_what_was_drawn_before() -> None:
    model, ones = Layers(), torch.ones(16, 2, 3, 3)
    with keyed(model, 3, 0, 16):
        model(ones)
    torch.manual_seed(9)
    torch.rand(5)
    before = torch.get_rng_state()
    with keyed(model, 3, 16, 16):
        second = model(ones)
    assert torch.equal(second, passed(16, 16))
    assert torch.equal(torch.get_rng_state(), before), "the global generator is left alone"


def test_masks_differ_between_samples_layers_and_seeds() -> None:
    masks = passed(0, LENGTH) > 0
    assert len({tuple(row.tolist()) for row in masks}) == LENGTH
    assert not torch.equal(masks[:, :6], masks[:, 18:]), "layers read on in the stream"
    assert not torch.equal(passed(0, LENGTH, seed=4) > 0, masks)


@pytest.mark.parametrize("p", [0.13, 0.5])
def test_a_value_is_dropped_at_the_rate_and_the_mean_is_kept(p: float) -> None:
    """200,000 values: the deviation of the share is below 0.0012."""
    model = dropout(p)
    with keyed(model, 0, 0, 200):
        values = model(torch.ones(200, 1000))
    assert (values == 0).double().mean().item() == pytest.approx(p, abs=0.005)
    kept = values[values > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))


def test_the_gradient_passes_where_the_value_did() -> None:
    model = Layers()
    maps = torch.ones(GROUP, 2, 3, 3, requires_grad=True)
    with keyed(model, 1, 0, GROUP):
        values = model.one(maps)
    values.sum().backward()  # after the pass: the mask is kept with the graph
    assert maps.grad is not None
    assert torch.equal(maps.grad, values)


def test_training_without_a_place_in_the_stream_is_refused() -> None:
    model, ones = Layers(), torch.ones(4, 2, 3, 3)
    with pytest.raises(RuntimeError, match=r"keyed\(model, seed, start, count\), or call model\.eval\(\)"):
        model(ones)
    with keyed(model, 0, 0, 4):
        model(ones)
    with pytest.raises(RuntimeError, match="needs to know which samples"):
        model(ones)
    assert torch.equal(model.eval()(ones), torch.ones(4, 24))


def test_a_failed_pass_leaves_no_key() -> None:
    model = Layers()
    with pytest.raises(ValueError, match="keyed for 3 samples of the stream, and 4 came"), keyed(model, 0, 0, 3):
        model(torch.ones(4, 2, 3, 3))
    with pytest.raises(RuntimeError, match="needs to know"):
        model(torch.ones(3, 2, 3, 3))


def test_no_dropout_is_no_layer_and_a_wrong_rate_is_told() -> None:
    assert isinstance(dropout(0.0), nn.Identity)
    with pytest.raises(ValueError, match=r"rate of dropout is 1\.0; 0 or more and below 1"):
        dropout(1.0)
    with pytest.raises(ValueError, match=r"start -1, count 4: start must be 0 or more"), keyed(Layers(), 0, -1, 4):
        raise AssertionError


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_by_place_too() -> None:
    model, ones = Layers(), torch.ones(24, 2, 3, 3, device="cuda")
    with keyed(model, 3, 0, 24):
        whole = model(ones)
    with keyed(model, 3, 10, 14):
        rest = model(ones[:14])
    assert torch.equal(whole[10:], rest)
    assert 0.2 < (whole == 0).double().mean().item() < 0.6
