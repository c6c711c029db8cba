"""Two steps of the paper's diffusion cells through the real network and loader (design, invariant 6).

The files are CIFAR's own in form: pickles, read by torchvision. Only budget, batch and data are overridden, and what
follows from them: warm-up, how many images are drawn and classified, Inception's weights, which nobody carries.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures import cifar

from sweep.space import load_space
from trainers import registry
from trainers.diffusion.spec import DiffusionSpec
from trainers.protocol import Drawing
from trainers.spec import TrialSpec

GRID = Path(__file__).parents[2] / "search_spaces" / "paper" / "diffusion.yaml"
PARAMETERS = {"cifar10": 15_708_291, "cifar100": 15_716_931}


def cell(group: str, dataset: str) -> TrialSpec:
    """The last trial of a group on a data set."""
    found = [one.spec for one in load_space(GRID).trials if (one.group, one.spec.dataset) == (group, dataset)]
    return found[-1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with both CIFARs in the true format."""
    folder = tmp_path_factory.mktemp("data")
    cifar.write_cifar10(folder, train=200)  # a batch of the paper's at least
    cifar.write_cifar100(folder)
    with cifar.registered(cifar.ten(train=200)), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def judges(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of the paper's ResNet-18 after two steps, by data set."""
    found = {}
    for name in ("cifar10", "cifar100"):
        fields = cell("judges", name).model_dump() | {"batch": {"size": 4}, "budget": {"samples": 8}}
        spec = registry.family("classifier").spec.model_validate(fields)
        trainer = registry.family("classifier").build(spec, registry.dataset(name).load(data), "cpu")
        trainer.train(8)
        (weights,) = (one for one in trainer.artifacts() if one.role == "weights")
        found[name] = tmp_path_factory.mktemp(name) / weights.filename
        found[name].write_bytes(weights.content)
    return found


@pytest.fixture(autouse=True)
def both_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("group", "dataset"), [("as_code", "cifar10"), ("corrected", "cifar100"), ("frozen", "cifar10")]
)
def test_two_steps_of_the_diffusion_cells(group: str, dataset: str, data: Path, judges: dict[str, Path]) -> None:
    spec = cell(group, dataset)
    assert isinstance(spec, DiffusionSpec)
    assert (spec.model, spec.noise.ratio, spec.noise.law, spec.dropout) == ("ddpmpp", 1, "uniform_wrong", 0.13)
    fields = spec.model_dump() | {"batch": {"size": 2}, "budget": {"samples": 4, "rule": "fixed"}}
    fields["schedule"] = {"warmup_samples": 2}
    fields["sampling"] |= {"images": 2, "steps": 2}
    fields["evaluation"] |= {"classified": 1, "levels": 1, "inception": False}
    short = type(spec).model_validate(fields)
    loaded = registry.dataset(dataset).load(data)
    assert loaded.train_images.dtype == np.uint8
    needs = {role: {"weights": judges[dataset]} for role in ("judge", "second_judge")}
    trainer = registry.family("diffusion").build(short, loaded, "cpu", needs)
    trainer.train(4)
    assert trainer.position == 4
    assert trainer.parameters == PARAMETERS[dataset]
    assert isinstance(trainer, Drawing)
    assert trainer.pending == 2
    trainer.draw(2)
    assert trainer.pending == 0
    found = {metric.name: metric.value for metric in trainer.evaluate()}
    assert found["train_loss"] is not None
    assert np.isfinite(found["train_loss"])
    assert found["consistency"] in (0, 0.5, 1)
    assert found["judge_accuracy"] is not None
    assert {one.role for one in trainer.artifacts()} == {"truth_probability", "weights", "images", "confusion"}
