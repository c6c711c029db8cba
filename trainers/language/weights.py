"""The artifact ``weights``: a network in a safetensors file that says what it is and whose tokens it speaks.

The file's metadata has one key, so that the same network is the same bytes (safetensors keeps no order of keys).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from trainers.errors import SpecError
from trainers.models.language import Network, build, load, weights
from trainers.protocol import Artifact

ROLE = "weights"
KEY = "noisegrid.network"

Needs = Mapping[str, Mapping[str, Path]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file says of its network, and its tensors."""

    network: Network
    tokenizer_sha256: str
    tensors: Mapping[str, torch.Tensor]


def artifact(model: nn.Module, network: Network, tokenizer_sha256: str) -> Artifact:
    """The network as a file, float32."""
    about = json.dumps({"network": asdict(network), "tokenizer_sha256": tokenizer_sha256}, sort_keys=True)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in weights(model).items()}
    return Artifact(ROLE, f"{ROLE}.safetensors", save(tensors, metadata={KEY: about}))


def read(path: Path) -> Stored:
    """Raises:
    SpecError: there is no such file, or it was not written by :func:`artifact`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        return Stored(Network(**about["network"]), about["tokenizer_sha256"], tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"{path} holds no weights of a language model ({error!r:.200}); a finished trial of the family language "
            "leaves such a file"
        ) from error


def needed(needs: Needs, role: str) -> Path:
    """The file that the trial in ``role`` left.

    Raises:
        SpecError: the role is not filled, or by a trial that leaves no weights.
    """
    if role not in needs:
        raise SpecError(f"needs.{role} is missing; name the group whose trials are to fill it")
    if ROLE not in needs[role]:
        raise SpecError(
            f"needs.{role} is a trial that left {', '.join(needs[role]) or 'nothing'}, and {ROLE} is due: a trial of "
            "the family language leaves it"
        )
    return needs[role][ROLE]


def begin_with(model: nn.Module, network: Network, tokenizer_sha256: str, path: Path, role: str) -> None:
    """Load a file's tensors into ``model``, whose network must be the same.

    Raises:
        SpecError: the file is of another network or vocabulary, or its tensors do not fit.
    """
    stored = read(path)
    same_tokens(stored, tokenizer_sha256, role)
    theirs, ours = asdict(stored.network), asdict(network)
    differing = [f"{key} = {theirs[key]} and this trial has {ours[key]}" for key in ours if theirs[key] != ours[key]]
    if differing:
        raise SpecError(f"needs.{role} has {'; '.join(differing)}: give both trials the same network")
    _load(model, stored, role)


def rebuilt(path: Path, tokenizer_sha256: str, role: str) -> tuple[nn.Module, Network]:
    """The network of a file on the CPU, whatever it is.

    Raises:
        SpecError: the file cannot be read, or its tokens are others.
    """
    stored = read(path)
    same_tokens(stored, tokenizer_sha256, role)
    model = build(stored.network, 0)
    _load(model, stored, role)
    return model, stored.network


def same_tokens(stored: Stored, tokenizer_sha256: str, role: str) -> None:
    """Raises:
    SpecError: the network was trained on tokens of another tokenizer.
    """
    if stored.tokenizer_sha256 != tokenizer_sha256:
        raise SpecError(
            f"needs.{role} was trained on tokens of another tokenizer ({stored.tokenizer_sha256:.12}... and here "
            f"{tokenizer_sha256:.12}...), so its ids mean other text; choose data sets that share one"
        )


def _load(model: nn.Module, stored: Stored, role: str) -> None:
    own = weights(model)
    unfit = sorted(own.keys() ^ stored.tensors.keys()) or [
        name for name, tensor in own.items() if tensor.shape != stored.tensors[name].shape
    ]
    if unfit:
        raise SpecError(f"needs.{role}: its tensors do not fit this network: {', '.join(unfit[:5])}")
    load(model, stored.tensors)
