"""Both parametrisations against EDM's table 1, denoiser, guidance and loss against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import integrate, stats
from torch import nn

from trainers import streams
from trainers.datasets import digits
from trainers.diffusion import edm, ve
from trainers.diffusion.edm import Edm
from trainers.diffusion.parametrisation import Parametrisation, denoised, guided, losses, parametrisation
from trainers.diffusion.source import Source
from trainers.diffusion.spec import DiffusionSpec
from trainers.diffusion.ve import VarianceExploding
from trainers.models import diffusion
from trainers.noise.corruption import corruption

WAYS = {"edm": Edm(-1.2, 1.2, 0.5), "ve": VarianceExploding(0.02, 100.0)}
levels = st.floats(1e-3, 1e3)
FEW = torch.tensor([0.002, 0.02, 0.5, 2.0, 80.0])


def spec(**changes: Any) -> DiffusionSpec:
    fields: dict[str, Any] = {
        "family": "diffusion",
        "model": "unet_tiny",
        "dataset": "digits",
        "budget": {"samples": 640},
    }
    return DiffusionSpec.model_validate({**fields, **changes})


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def standard(purpose: str, *shape: int) -> torch.Tensor:
    drawn = streams.normals(5, purpose, 0, shape[0], math.prod(shape[1:]))
    return torch.from_numpy(np.ascontiguousarray(drawn)).view(shape)


class Recorded(nn.Module):
    """F(x; level, labels) = (1 + label's number) x + level, a row of zeros being 0; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def forward(self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.seen.append((x, level, labels))
        factor = 1 + labels @ torch.arange(1.0, labels.shape[1] + 1, dtype=labels.dtype)
        return factor.view(-1, 1, 1, 1) * x + level.view(-1, 1, 1, 1)


class Linear(nn.Module):
    """F = a x + b, whatever level and label."""

    def __init__(self, slope: float, offset: float) -> None:
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.slope * x + self.offset


def test_edms_column_by_hand() -> None:
    """sigma = sigma_data = 1/2: half the variance is signal."""
    of = edm.coefficients(one(0.5), 0.5)
    assert [part.item() for part in (of.skip, of.out, of.input, of.noise)] == pytest.approx(
        [0.5, 0.25 / math.sqrt(0.5), 1 / math.sqrt(0.5), math.log(0.5) / 4]
    )
    assert edm.weight(one(0.5), 0.5).item() == pytest.approx(8)
    assert edm.weight(one(2), 0.5).item() == pytest.approx(4.25)


def test_ves_column_by_hand() -> None:
    of = ve.coefficients(one(4))
    assert [part.item() for part in (of.skip, of.out, of.input, of.noise)] == [1, 4, 1, math.log(2)]
    assert ve.weight(one(4)).item() == 1 / 16


@given(levels, st.floats(0.05, 5))
def test_edms_input_and_target_have_variance_1(sigma: float, data: float) -> None:
    """EDM, appendix B.6: c_in and c_out follow from that, and c_skip is where c_out is smallest."""
    of = edm.coefficients(one(sigma), data)
    assert (of.input**2).item() * (sigma**2 + data**2) == pytest.approx(1)

    def variance_of_target(skip: float) -> float:
        return (1 - skip) ** 2 * data**2 + skip**2 * sigma**2

    skip, squared = of.skip.item(), (of.out**2).item()
    assert variance_of_target(skip) == pytest.approx(squared, rel=1e-9)
    assert min(variance_of_target(skip + 0.01), variance_of_target(skip - 0.01)) > squared
    assert edm.weight(one(sigma), data).item() * squared == pytest.approx(1)


@given(st.sampled_from(sorted(WAYS)), levels)
def test_errors_of_the_raw_network_weigh_the_same_at_every_level(name: str, sigma: float) -> None:
    way = WAYS[name]
    of = way.coefficients(one(sigma))
    assert (way.weight(one(sigma)) * of.out**2).item() == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(WAYS))
def test_levels_of_training_follow_their_law(name: str) -> None:
    uniforms = streams.uniforms(streams.words(3, "levels", 0, 20_000)[:, 0]) + 2.0**-54
    logs = WAYS[name].levels(torch.from_numpy(uniforms)).log().numpy()
    law = stats.norm(-1.2, 1.2) if name == "edm" else stats.uniform(math.log(0.02), math.log(100 / 0.02))
    assert stats.kstest(logs, law.cdf).pvalue > 0.01


def test_levels_of_training_by_hand() -> None:
    """At quantiles 1/2 and Phi(1), and at the ends of the grid of uniform numbers, where all stays finite."""
    at = torch.tensor([2.0**-54, 0.5, stats.norm.cdf(1), 1 - 2.0**-53], dtype=torch.float64)
    found = edm.levels(at, -1.2, 1.2).tolist()
    assert found[1:3] == pytest.approx([math.exp(-1.2), 1])
    assert 0 < found[0] < 1e-4 < 1e3 < found[3] < 1e5
    assert ve.levels(at, 0.02, 100).tolist() == pytest.approx([0.02, math.sqrt(2), 0.02 * 5000**0.8413447, 100])


def test_a_trial_names_its_parametrisation() -> None:
    assert parametrisation(spec()) == Edm(-1.2, 1.2, 0.5)
    own = {"mean": -0.8, "deviation": 1.6, "data": 0.3}
    assert parametrisation(spec(levels=own)) == Edm(-0.8, 1.6, 0.3)
    assert parametrisation(spec(parametrisation="ve")) == VarianceExploding(0.02, 100)
    other = {"lowest": 0.1, "highest": 50}
    assert parametrisation(spec(parametrisation="ve", levels=other)) == VarianceExploding(0.1, 50)


@pytest.mark.parametrize(
    ("own", "other", "name"),
    [
        ("edm", "ve", "lowest"),
        ("edm", "ve", "highest"),
        ("ve", "edm", "mean"),
        ("ve", "edm", "deviation"),
        ("ve", "edm", "data"),
    ],
)
def test_levels_that_do_nothing_are_refused(own: str, other: str, name: str) -> None:
    with pytest.raises(
        ValidationError, match=rf"levels\.{name} is for parametrisation {other}; leave it out with {own}, where"
    ):
        spec(parametrisation=own, levels={name: 0.7})
    assert spec(parametrisation=other, levels={name: 0.7}).levels != spec().levels


def test_a_trial_read_back_is_accepted() -> None:
    """Its canonical form gives every level, defaults of the other parametrisation too."""
    for name in WAYS:
        first = spec(parametrisation=name)
        assert DiffusionSpec.model_validate(first.model_dump()) == first


@pytest.mark.parametrize("name", sorted(WAYS))
def test_a_denoiser_by_hand(name: str) -> None:
    """Labels 3 and none: F = 5 x and x, plus the level's number."""
    way, model = WAYS[name], Recorded().double()
    noisy, sigma = standard("noisy", 2, 3, 2, 2).double(), torch.tensor([0.5, 4.0], dtype=torch.float64)
    labels = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.float64)
    found = denoised(model, way, noisy, sigma, labels)
    for i, factor in enumerate((5.0, 1.0)):
        of = way.coefficients(sigma[i])
        raw = factor * of.input * noisy[i] + of.noise
        torch.testing.assert_close(found[i], of.skip * noisy[i] + of.out * raw)
    ((_, level, given_labels),) = model.seen
    torch.testing.assert_close(level, way.coefficients(sigma).noise)
    assert torch.equal(given_labels, labels)


@pytest.mark.parametrize("guidance", [0.0, 0.3, 1.0, 2.5])
def test_guidance_by_hand_in_as_few_passes_as_it_takes(guidance: float) -> None:
    way, model = WAYS["edm"], Recorded()
    noisy, sigma = standard("noisy", 3, 1, 2, 2), torch.tensor([0.1, 1.0, 10.0])
    labels = torch.eye(3)
    found = guided(model, way, noisy, sigma, labels, guidance)
    passes = [bool(seen[2].any()) for seen in model.seen]
    assert passes == {0.0: [False], 1.0: [True]}.get(guidance, [False, True])
    empty = denoised(model, way, noisy, sigma, torch.zeros(3, 3))
    label = denoised(model, way, noisy, sigma, labels)
    torch.testing.assert_close(found, empty + guidance * (label - empty))


def network() -> nn.Module:
    """A small network in which nothing is zero any more."""
    model = diffusion.build(diffusion.network("unet_tiny", (1, 8, 8), 10, 0.0), 0).eval()
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter += 0.1 * standard(f"stirred/{i}", *parameter.shape, 1).view(parameter.shape)
    return model


@pytest.mark.parametrize("name", sorted(WAYS))
def test_without_labels_the_conditional_model_is_the_unconditional(name: str) -> None:
    """Guidance 0 and rows of zeros are the network whose label map was never there."""
    way, model = WAYS[name], network()
    noisy, sigma, labels = standard("noisy", 5, 1, 8, 8), FEW, torch.eye(10)[:5]
    with torch.no_grad():
        free = denoised(model, way, noisy, sigma, torch.zeros(5, 10))
        assert torch.equal(guided(model, way, noisy, sigma, labels, 0), free)
        assert not torch.allclose(denoised(model, way, noisy, sigma, labels), free, rtol=1e-2)
        cast(nn.Linear, model.map_label).weight.zero_()
        assert torch.equal(denoised(model, way, noisy, sigma, labels), free)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_a_model_whose_labels_are_withheld_learns_nothing_of_them(dropout: float) -> None:
    of, data, model = spec(label_dropout=dropout), digits.CARRIED.load(), network()
    wrong = corruption(of.noise, data.classes, of.seed, data.train_labels)
    block = Source(of, data, wrong, WAYS["edm"], torch.device("cpu")).block(0)
    cut = slice(0, 16)
    losses(
        model, WAYS["edm"], block.clean[cut], block.sigma[cut], block.normals[cut], block.labels[cut]
    ).mean().backward()
    gradients = {key: cast(torch.Tensor, parameter.grad) for key, parameter in model.named_parameters()}
    assert bool(gradients.pop("map_label.weight").any()) is (dropout == 0)
    assert all(bool(gradient.any()) for gradient in gradients.values())


@pytest.mark.parametrize("name", sorted(WAYS))
@pytest.mark.parametrize("word", [0, 2**64 - 1])
def test_the_ends_of_the_words_make_levels_and_withhold_labels(
    name: str, word: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No seed that a test could search for draws these: a uniform number of 0 or 1 would be level 0 or infinite."""

    def ends(seed: int, purpose: str, start: int, count: int) -> np.ndarray:
        return np.full((count, streams.WORDS), word, dtype=np.uint64)

    monkeypatch.setattr("trainers.diffusion.source.words", ends)
    of, data, way = spec(parametrisation=name, label_dropout=1.0), digits.CARRIED.load(), WAYS[name]
    wrong = corruption(of.noise, data.classes, of.seed, data.train_labels)
    block = Source(of, data, wrong, way, torch.device("cpu")).block(0)
    assert not block.labels.any()
    around = way.coefficients(block.sigma)
    for part in (block.sigma, around.noise, around.input, way.weight(block.sigma)):
        assert torch.isfinite(part).all()
    assert (block.sigma > 0).all()


@pytest.mark.parametrize("name", sorted(WAYS))
def test_a_loss_by_hand(name: str) -> None:
    """A mean over pixels, weighted; a number an image, whatever its neighbours in the batch."""
    way, model = WAYS[name], Recorded()
    clean, noise, labels = standard("clean", 5, 3, 2, 2), standard("noise", 5, 3, 2, 2), torch.eye(5)
    found = losses(model, way, clean, FEW, noise, labels)
    assert found.shape == (5,)
    for i, sigma in enumerate(FEW):
        level, row = sigma.view(1), labels[i : i + 1]
        guess = denoised(model, way, clean[i : i + 1] + sigma * noise[i : i + 1], level, row)
        due = way.weight(level) * (guess - clean[i : i + 1]).pow(2).sum() / 12
        torch.testing.assert_close(found[i : i + 1], due)


def expected(way: Parametrisation, slope: float, offset: float, mean: float, deviation: float) -> Callable[..., float]:
    """E of the loss at one level, for pixels of N(mean, deviation^2) and F = slope x + offset.

    D(x + sigma n) - x = (g - 1) x + g sigma n + h, with g = c_skip + c_out slope c_in and h = c_out offset.
    """

    def at(sigma: float) -> float:
        of = way.coefficients(one(sigma))
        g, h = (of.skip + of.out * slope * of.input).item(), (of.out * offset).item()
        squared = ((g - 1) * mean + h) ** 2 + (g - 1) ** 2 * deviation**2 + (g * sigma) ** 2
        return way.weight(one(sigma)).item() * squared

    return at


@pytest.mark.parametrize(("name", "slope", "offset"), [("edm", 0.4, -0.2), ("ve", -0.05, 0.3)])
def test_the_mean_loss_is_the_closed_forms(name: str, slope: float, offset: float) -> None:
    """Over images, noise and levels as training draws them, within four standard errors."""
    way, n, mean, deviation = WAYS[name], 20_000, 0.2, 0.6
    at = expected(way, slope, offset, mean, deviation)
    due, _ = integrate.quad(lambda u: at(way.levels(one(u)).item()), 0, 1, epsrel=1e-4, limit=200)
    uniforms = streams.uniforms(streams.words(9, "levels", 0, n)[:, 0]) + 2.0**-54
    sigma = way.levels(torch.from_numpy(uniforms)).float()
    clean = mean + deviation * standard("images", n, 1, 2, 2)
    found = losses(Linear(slope, offset), way, clean, sigma, standard("noise", n, 1, 2, 2), torch.zeros(n, 3))
    error = found.std().item() / math.sqrt(n)
    assert error < 0.02 * due
    assert abs(found.mean().item() - due) < 4 * error


def test_edms_loss_is_one_at_every_level_before_anything_is_learnt() -> None:
    """Pixels of N(0, sigma_data^2): the best F is 0, its target has variance 1, and so no level outweighs another."""
    n, model = 4000, Linear(0, 0)
    clean, noise = 0.5 * standard("images", n, 1, 2, 2), standard("noise", n, 1, 2, 2)
    for sigma in FEW:
        found = losses(model, WAYS["edm"], clean, sigma.expand(n), noise, torch.zeros(n, 3))
        assert abs(found.mean().item() - 1) < 4 * math.sqrt(2 / (4 * n))
    assert expected(WAYS["edm"], 0, 0, 0, 0.5)(0.3) == pytest.approx(1)
    assert expected(WAYS["edm"], 0.1, 0, 0, 0.5)(0.3) > 1
