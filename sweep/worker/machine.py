"""The machine as a trial sees it: threads, device, peak memory, and what of it is written down."""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainers.protocol import Cost

PACKAGES = ("noisegrid", "torch", "torchvision", "transformers", "tokenizers", "ray", "numpy", "pyarrow")


def use_threads(count: int) -> None:
    """Give torch as many threads as the trial has CPUs. Ray sets one; torch is not imported for it."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != count:
        torch.set_num_threads(count)


def device(gpus: float) -> str:
    """``cuda`` where the trial has been given a GPU and torch sees one, else ``cpu``."""
    if gpus <= 0:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def reset_peak_memory(on: str) -> None:
    """Begin to count peak memory anew; a process may run many trials."""
    if on == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return
    with suppress(OSError):  # not permitted in some containers: the peak is then that of the process
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(on: str) -> int | None:
    """Peak bytes since :func:`reset_peak_memory`: allocated on the GPU, or resident in this process."""
    if on == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024  # the kernel's "kB" are 1,024 bytes
    return None


def free_memory(on: str) -> None:
    """Hand cached device memory back, so that the next trial in this process starts clean."""
    if on == "cuda":
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()


#: Dense bfloat16 operations a second without sparsity, from the makers' data sheets; a name's first match counts.
PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "V100": 125e12,  # float16: it has no bfloat16
}


def throughput(samples: int, seconds: float, cost: Cost | None, on: str) -> dict[str, float | None]:
    """Columns of ``trials``: samples and tokens a second, and the share of the device's peak that the model used.

    The share counts the model's operations over the peak in bfloat16 (model FLOPs utilisation); None on a CPU, on a
    GPU whose peak is not known here, and where the trainer does not tell what a sample costs.
    """
    rate = samples / seconds if seconds > 0 else None
    peak = next((flops for name, flops in PEAK_FLOPS.items() if name in device_name(on)), None)
    known = rate is not None and cost is not None
    return {
        "samples_per_second": rate,
        "tokens_per_second": rate * cost.tokens if rate and cost and cost.tokens is not None else None,
        "flops_utilisation": rate * cost.flops / peak if known and peak and rate and cost else None,
    }


@cache
def cpu_model() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def device_name(on: str) -> str:
    """``cpu``, or the GPU's name."""
    if on != "cuda":
        return on
    import torch

    return str(torch.cuda.get_device_name())


@cache
def versions() -> str:
    """Versions of Python and of the packages that numbers may depend on, as JSON."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return json.dumps(found, sort_keys=True)
