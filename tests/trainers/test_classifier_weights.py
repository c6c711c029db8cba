"""The file of a classifier's weights: what it holds, that it repeats, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.judges import pictures, trained, weights_in
from safetensors.torch import load, save

from trainers.classifier import weights
from trainers.errors import SpecError


@pytest.mark.parametrize("model", ["mlp", "small_cnn", "resnet18"])
def test_the_network_comes_back(model: str, tmp_path: Path) -> None:
    trainer = trained(pictures(), model, samples=40, subset={"classes": 2, "images": 40})
    network, about = weights.read(weights_in(tmp_path, trainer))
    assert (about.model, about.shape, about.classes, about.dataset) == (model, (1, 9, 9), 2, "digits")
    assert about.subset == {"classes": 2, "images": 40}
    own = trainer.state_dict()["model"]
    assert network.state_dict().keys() == own.keys()  # the running statistics of batch normalisation too
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())
    assert not network.training


def test_the_same_network_is_the_same_bytes() -> None:
    first, second = (trained(pictures()).artifacts() for _ in range(2))
    assert first == second
    assert first != trained(pictures(), seed=1).artifacts()


def altered(path: Path, **changes: Any) -> Path:
    """The file with other fields in its description."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    about = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][weights.KEY])
    path.write_bytes(save(load(content), metadata={weights.KEY: json.dumps({**about, **changes})}))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "vit"},
        {"model": 3},
        {"shape": []},
        {"shape": [1, 8, 8]},
        {"shape": "1x9x9"},
        {"shape": [1, 0, 9]},
        {"classes": 4},
        {"classes": 3.0},
        {"dataset": None},
        {"subset": "all"},
        {"mean": [0.1, 0.2]},
        {"mean": [float("nan")]},
        {"mean": None},
        {"deviation": [0.0]},
        {"colour": "blue"},
    ],
)
def test_a_description_that_does_not_fit_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = altered(weights_in(tmp_path, trained(pictures())), **changes)
    with pytest.raises(SpecError, match=r"holds no weights of a classifier .*; a finished trial of the family"):
        weights.read(path)


@pytest.mark.parametrize("metadata", [None, {"other": "{}"}, {weights.KEY: "[]"}, {weights.KEY: "{"}])
def test_other_files_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save({"a": torch.zeros(2)}, metadata=metadata))
    with pytest.raises(SpecError, match="holds no weights of a classifier"):
        weights.read(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(SpecError, match="holds no weights of a classifier"):
        weights.read(path)
    with pytest.raises(SpecError, match="holds no weights of a classifier"):
        weights.read(tmp_path / "absent")


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
def test_tensors_of_other_kinds_are_refused(kind: torch.dtype, tmp_path: Path) -> None:
    path = weights_in(tmp_path, trained(pictures()))
    network, about = weights.read(path)
    path.write_bytes(weights.artifact(network.to(kind), about).content)
    with pytest.raises(SpecError, match="of other kinds"):
        weights.read(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = weights_in(tmp_path, trained(pictures()))
    network, about = weights.read(path)
    next(iter(network.parameters())).data[0] = torch.inf
    path.write_bytes(weights.artifact(network, about).content)
    with pytest.raises(SpecError, match="not finite"):
        weights.read(path)
