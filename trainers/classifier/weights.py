"""The artifact ``weights``: a classifier in a safetensors file that says what it is and how its images were scaled.

The file's metadata has one key, so that the same network is the same bytes (safetensors keeps no order of keys).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from trainers.errors import SpecError
from trainers.models import catalogue
from trainers.protocol import Artifact

ROLE = "weights"
KEY = "noisegrid.classifier"


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of its network. ``mean`` and ``deviation`` are of each channel of the images trained on."""

    model: str
    shape: tuple[int, ...]  # channels x height x width
    classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    dataset: str
    subset: Mapping[str, int | None]  # the part of it that was trained on, by field


def artifact(model: nn.Module, about: About) -> Artifact:
    """The network as a file: parameters, and the running statistics of batch normalisation."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {KEY: json.dumps(asdict(about), sort_keys=True)}
    return Artifact(ROLE, f"{ROLE}.safetensors", save(tensors, metadata=metadata))


def read(path: Path) -> tuple[nn.Module, About]:
    """The network of a file on the CPU, in evaluation mode.

    Raises:
        SpecError: there is no such file, or it was not written by :func:`artifact`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = _about(json.loads((file.metadata() or {})[KEY]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        model = _network(about, tensors)
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError, SpecError) as error:
        raise SpecError(
            f"{path} holds no weights of a classifier ({error!r:.200}); a finished trial of the family classifier "
            "leaves such a file"
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise SpecError(f"{path} holds weights that are not finite; run the trial that left it anew")
    return model.eval(), about


def _network(about: About, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    model = catalogue.build(about.model, about.shape, about.classes, 0)
    if any(tensor.dtype != tensors[name].dtype for name, tensor in model.state_dict().items()):
        raise TypeError("its tensors are of other kinds than the model's")  # torch would cast them
    model.load_state_dict(tensors)
    return model


def _about(found: object) -> About:
    if not isinstance(found, Mapping):
        raise TypeError(f"its description is {found!r:.50}, no mapping")
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    about = About(**fields)  # type: ignore[arg-type]
    if len(about.shape) != 3 or any(type(size) is not int or size < 1 for size in (*about.shape, about.classes)):
        raise ValueError(f"images of {about.shape} in {about.classes} classes are none")
    if not isinstance(about.dataset, str) or not isinstance(about.subset, Mapping):
        raise TypeError(f"{about.dataset!r:.50} and {about.subset!r:.50} name no data")
    if len(about.mean) != about.shape[0] or len(about.deviation) != about.shape[0]:
        raise ValueError("mean and deviation are not of the image's channels")
    if not all(map(math.isfinite, (*about.mean, *about.deviation))) or min(about.deviation) <= 0:
        raise ValueError(f"mean {about.mean} and deviation {about.deviation} scale no image")
    return about
