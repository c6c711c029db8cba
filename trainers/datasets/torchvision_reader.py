"""Reading a data set of torchvision's into files of arrays, in a process of its own where torch is not loaded yet.

A planner asks for the digest of CIFAR once a machine; it must not hold torch ever after for that. As a program,
``python -m trainers.datasets.torchvision_reader CLASS ROOT INTO`` writes the files and prints the classes' names.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

from trainers.datasets.mapped import LABELS, PARTS, save

REFUSED = 4  # exit code: the files are not there or damaged, in words on standard error


def read(reference: str, root: Path, into: Path) -> list[str]:
    """Write the images and labels of the class ``module:name`` over files in ``root``; its classes' names.

    The files' checksums are verified before anything is read out of them.

    Raises:
        ValueError: a file is missing or damaged, or torchvision is.
        OSError: ``into`` cannot be written.
    """
    if "torch" in sys.modules:
        return read_here(reference, root, into)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-m", __name__, reference, str(root), str(into)]
    child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if child.returncode == REFUSED:
        raise ValueError(child.stderr.strip())
    if child.returncode:
        lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
        raise OSError(f"the process that reads it failed: {lines[-1]}")
    names: list[str] = json.loads(child.stdout)
    return names


def read_here(reference: str, root: Path, into: Path) -> list[str]:
    """:func:`read` in this process, which then holds torch."""
    module, _, name = reference.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{reference} cannot be imported: {error}") from error
    names: list[str] = []
    for part in PARTS:
        try:
            with warnings.catch_warnings():  # numpy's of 2.4: pickles of its first years say 0 for False
                warnings.simplefilter("ignore")
                held = kind(str(root), train=part == "train", download=False)
        except RuntimeError as error:  # torchvision's for all that is missing or has another checksum
            raise ValueError(str(error)) from error
        images = np.ascontiguousarray(held.data.transpose(0, 3, 1, 2))  # rows of colours to planes
        save(into / f"{part}_images.npy", images)
        save(into / f"{part}_labels.npy", np.asarray(held.targets, dtype=LABELS))
        names = list(held.classes)
    return names


def main() -> int:
    reference, root, into = sys.argv[1:]
    try:
        names = read_here(reference, Path(root), Path(into))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    sys.stdout.write(json.dumps(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
