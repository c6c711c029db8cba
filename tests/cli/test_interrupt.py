"""Ctrl-C in a process of its own: exit code 130, nothing half-done, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.conftest import Command
from fixtures import toy

from sweep.store.read import rows_of
from sweep.store.store import open_store
from sweep.store.summary import status

pytestmark = pytest.mark.ray

GRID = """\
name: slow
groups:
  - name: cells
    family: toy
    set: {model: noop, dataset: toy, budget.samples: 640, sleep_seconds: 3.0}
    grid: {seed: [0, 1, 2, 3]}
"""
COMMAND = [sys.executable, "-c", "from sweep.cli.main import main; main()"]


def started(grid: Path, store: Path) -> subprocess.Popen[str]:
    """A sweep in a process group of its own, as a terminal gives it, with its first trial at work."""
    process = subprocess.Popen(
        [*COMMAND, "run", str(grid), "--store", str(store), "--cpus", "1"],
        env={**os.environ, "PYTHONPATH": str(toy.PLUGIN)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 90
    while not list(store.glob("attempts/*-started.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no trial has started after 90 s"
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_in_order(sweep: Command, tmp_path: Path, number: signal.Signals) -> None:
    grid, location = tmp_path / "grid.yaml", tmp_path / "store"
    grid.write_text(GRID)
    process = started(grid, location)
    begun = time.monotonic()
    if number is signal.SIGINT:
        os.killpg(process.pid, number)  # a terminal sends it to the whole group
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert time.monotonic() - begun < 20
    assert "Traceback" not in said
    assert "goes on" in said
    store = open_store(str(location))
    assert not list((location / "leases").iterdir())
    assert not list((location / "_tmp").iterdir())
    found = status(store)
    assert (found.failed, found.running) == ((), ())
    interrupted = [one.id for one in found.interrupted]
    assert interrupted
    for trial in interrupted:
        assert rows_of(store, "attempts", trial)[-1]["outcome"] in (None, "interrupted")
    assert sweep("verify", "--store", location).code == 0


def test_the_second_signal_leaves_at_once(tmp_path: Path) -> None:
    grid, location = tmp_path / "grid.yaml", tmp_path / "store"
    grid.write_text(GRID)
    process = started(grid, location)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - begun < 3
