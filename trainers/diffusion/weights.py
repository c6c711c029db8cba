"""The artifact ``weights``: the averaged network in a safetensors file that says what it is.

The file's metadata has one key, so that the same network is the same bytes (safetensors keeps no order of keys).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from trainers.errors import SpecError
from trainers.models.diffusion import Network, build
from trainers.protocol import Artifact

ROLE = "weights"
KEY = "noisegrid.diffusion"


def artifact(model: nn.Module, network: Network, parametrisation: str) -> Artifact:
    """The network as a file, float32."""
    about = json.dumps({"network": asdict(network), "parametrisation": parametrisation}, sort_keys=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.named_parameters()}
    return Artifact(ROLE, f"{ROLE}.safetensors", save(tensors, metadata={KEY: about}))


def read(path: Path) -> tuple[nn.Module, str]:
    """The network of a file on the CPU, in evaluation mode, and its parametrisation: ``edm`` or ``ve``.

    Raises:
        SpecError: there is no such file, or it was not written by :func:`artifact`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        model = build(Network(**about["network"]), 0)
        model.load_state_dict(tensors)
        return model.eval(), str(about["parametrisation"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise SpecError(
            f"{path} holds no weights of a diffusion model ({error!r:.200}); a finished trial of the family diffusion "
            "leaves such a file"
        ) from error
