"""The device that a trainer runs on: is it there, has it a precision, does it give the same bits each time."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any, cast

import torch

from trainers.errors import SpecError

#: cuBLAS promises the same bits with this workspace alone; torch reads it as it makes its first product.
WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def usable(device: str) -> torch.device:
    """The device of that name.

    Raises:
        SpecError: it is neither ``cpu`` nor ``cuda``, or torch sees no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SpecError("the device is cuda and torch sees none; run on cpu, or install torch for your GPU's driver")
    if device not in ("cpu", "cuda"):
        raise SpecError(f"the device is {device!r}; cpu and cuda are allowed")
    return torch.device(device)


@contextlib.contextmanager
def repeatable(device: torch.device, *, attention: bool = False) -> Iterator[None]:
    """On a GPU, only kernels that give the same bits each time, and no choice of them by timing.

    ``attention`` is for networks that have some: its fast backward pass adds in whatever order, unless torch is told
    to use deterministic algorithms throughout. Memory that torch hands out is not filled for it: nothing reads it.
    """
    if device.type != "cuda":
        yield
        return
    if not attention:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
        return
    deterministic = cast(Any, torch.utils.deterministic)  # a module whose class is swapped as it is imported
    os.environ.setdefault(*WORKSPACE)
    before, filled = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        deterministic.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before)


def check_compiler(device: torch.device) -> None:
    """Raises:
    SpecError: there is no C++ compiler, which ``torch.compile`` needs on a CPU.
    """
    if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "cl"))):
        raise SpecError("compile is true, and this machine has no C++ compiler; install g++, or leave compile out")


def check_precision(precision: str, device: torch.device) -> None:
    """Raises:
    SpecError: the device does not compute in ``precision``.
    """
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise SpecError(
            f"precision is bfloat16, which {torch.cuda.get_device_name()} does not have; set precision to float32 "
            "(another trial), or run on a GPU of compute capability 8.0 or more"
        )


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Products in ``precision``; weights, sums and losses stay in float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
