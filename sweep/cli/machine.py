"""``sweep doctor``: is this machine, or a cluster, ready."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import DataOption, JsonOption, data_root
from sweep.cli.output import emit, table
from sweep.cli.run import AddressOption
from sweep.errors import SweepError

PACKAGES = ("ray", "torch", "torchvision", "pyarrow", "duckdb", "pydantic", "numpy", "typst", "matplotlib")
FREE_BYTES = 2 * 1024**3

Finding = tuple[bool, str]


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor_command)


def doctor_command(
    store: Annotated[str | None, typer.Option("--store", help="Also look whether this store can be used.")] = None,
    address: AddressOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Look whether this machine, a store and a cluster are ready. Exit code 3 where something is not."""
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "packages": _packages,
        "data sets": lambda: _data(data),
        "store": lambda: _store(store),
        "ray": lambda: _ray(address),
    }
    found: dict[str, Finding] = {}
    for name, check in checks.items():
        try:
            found[name] = check()
        except SweepError as error:
            found[name] = (False, str(error))
    if json:
        emit(
            {
                "ready": all(ok for ok, _ in found.values()),
                "checks": {n: {"ok": o, "said": s} for n, (o, s) in found.items()},
            }
        )
    else:
        table(["", "look at", "found"], [["ok" if ok else "NO", name, said] for name, (ok, said) in found.items()])
    if not all(ok for ok, _ in found.values()):
        raise typer.Exit(3)


def _python() -> Finding:
    here = ".".join(map(str, sys.version_info[:3]))
    return sys.version_info >= (3, 11), f"{here} (3.11 or later is needed), {os.cpu_count()} CPUs"


def _packages() -> Finding:
    known: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = None
    missing = [name for name, found in known.items() if found is None]
    if missing:
        return False, f"missing: {', '.join(missing)}; install noisegrid anew with pip"
    return True, ", ".join(f"{name} {found}" for name, found in known.items())


def _data(given: Path | None) -> Finding:
    from trainers import registry

    root = data_root(given)
    here = {name: registry.dataset(name).present(root) for name in registry.names("data set")}
    absent = [name for name, present in here.items() if not present]
    said = f"{sum(here.values())} of {len(here)} present"
    return True, said + (f"; `sweep datasets` says how to get {', '.join(absent)}" if absent else "")


def _store(location: str | None) -> Finding:
    from sweep.store.store import find, locate

    folder = Path(tempfile.gettempdir()) if location is None else locate(location).absolute()
    opened = find(location) if location is not None else None
    base = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(base, os.W_OK):
        return False, f"{base} cannot be written"
    free = shutil.disk_usage(base).free
    said = f"{free / 1024**3:.0f} GiB free at {base}"
    if location is not None:
        said += "" if opened is None else f", {len(opened.index().published)} trials published"
    return free > FREE_BYTES, said if free > FREE_BYTES else f"only {said}; {FREE_BYTES / 1024**3:.0f} GiB are wanted"


def _ray(address: str | None) -> Finding:
    from sweep.driver.cluster import connected

    with connected(address) as cluster:
        where = address or os.environ.get("RAY_ADDRESS") or "this machine"
        return True, f"{where}: {len(cluster.nodes)} nodes, {cluster.cpus:g} CPUs, {cluster.gpus:g} GPUs"
