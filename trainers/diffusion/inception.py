"""Inception-v3's weights, which users provide: where they lie, and what to do where they do not."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from trainers.datasets.root import data_folder
from trainers.diffusion.spec import DiffusionSpec
from trainers.errors import DataMissingError
from trainers.spec import TrialSpec

FILE = "inception-2015-12-05.pt"
#: Where clean-fid takes it from (cleanfid.inception_torchscript).
ADDRESS = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"


def absent(spec: TrialSpec, root: Path | None) -> Mapping[str, str]:
    """File -> how to get it, where the trial asks for what is not in the data folder ``root``."""
    if not cast(DiffusionSpec, spec).evaluation.inception or (_folder(root) / FILE).is_file():
        return {}
    return {FILE: _remedy(root)}


def weights(spec: DiffusionSpec) -> Path | None:
    """The file of a trial that asks for it; None for others.

    Raises:
        DataMissingError: it is not there.
    """
    if not spec.evaluation.inception:
        return None
    path = _folder(None) / FILE
    if not path.is_file():
        raise DataMissingError(
            f"evaluation.inception is on and Inception's weights are not on this machine: {_remedy(None)}, or set "
            "evaluation.inception to false"
        )
    return path


def _folder(root: Path | None) -> Path:
    return data_folder() if root is None else root


def _remedy(root: Path | None) -> str:
    path = shlex.quote(os.fspath(_folder(root) / FILE))
    return f"`curl -Lo {path} {ADDRESS}` (91 MB; the weights that clean-fid uses)"
