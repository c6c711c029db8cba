"""What a cluster can hold, addresses that are none, and joining a Ray that runs already."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures import toy

from sweep.driver.address import check_address
from sweep.driver.cluster import Cluster
from sweep.driver.queue import Shape
from sweep.errors import BadInputError, ClusterError
from sweep.trial import Claim

TWO_NODES = Cluster(((8.0, 2.0), (4.0, 0.0)))


@pytest.mark.parametrize(
    ("shape", "slots"),
    [
        (Shape(1, 0), 12),
        (Shape(4, 0), 3),
        (Shape(5, 0), 1),
        (Shape(9, 0), 0),
        (Shape(0.5, 0), 24),
        (Shape(1, 1), 2),
        (Shape(1, 0.25), 8),
        (Shape(1, 0.4), 4),  # two a GPU: fractions do not span two
        (Shape(1, 2), 1),
        (Shape(1, 3), 0),
    ],
)
def test_slots(shape: Shape, slots: int) -> None:
    assert TWO_NODES.slots(shape) == slots


def test_gpu_auto_is_one_where_there_is_one() -> None:
    assert TWO_NODES.shape(Claim()) == Shape(1, 1)
    assert Cluster(((2.0, 0.0),)).shape(Claim()) == Shape(1, 0)
    assert TWO_NODES.shape(Claim(gpu=0.5)) == Shape(1, 0.5)


def test_a_claim_that_fits_no_node_names_what_nodes_have() -> None:
    with pytest.raises(ClusterError, match=r"9 CPUs and 0 GPUs.*4 CPUs and 0 GPUs, or 8 CPUs and 2 GPUs"):
        TWO_NODES.shape(Claim(cpu=9, gpu=0))


@pytest.mark.parametrize("address", ["", "head", "head:", "head:0", "head:65536", ":6379", "ray://head:1", "a b:1"])
def test_no_address(address: str) -> None:
    with pytest.raises(BadInputError, match="host:port"):
        check_address(address)


def test_local_and_auto_ask_nobody() -> None:
    check_address("local")
    check_address("auto")


def test_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_address(f"127.0.0.1:{server.getsockname()[1]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["token", "disabled"])
def head(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray head node of its own, with and without a token, and the environment of those who join it."""
    port = free_port()
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    joining = {**clean, "HOME": str(home), "PYTHONPATH": str(toy.PLUGIN), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    options = ["--num-cpus=2", "--include-dashboard=false", "--min-worker-port=0", "--max-worker-port=0"]
    options += [f"--temp-dir=/tmp/ray-{port}"]  # short: socket paths have at most 107 characters
    environment = {**joining, "RAY_AUTH_MODE": request.param}
    path = tmp_path / "head.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [*command, *options], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(process, path)
            yield f"127.0.0.1:{port}", joining
        finally:
            process.terminate()  # the head takes its own processes along
            try:
                process.wait(30)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
                shutil.rmtree(f"/tmp/ray-{port}", ignore_errors=True)


def wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, f"no head node after 60 s: {log.read_text()}"
        time.sleep(0.1)


@pytest.mark.ray
def test_a_sweep_joins_a_cluster(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    address, environment = head
    grid = tmp_path / "grid.yaml"
    grid.write_text(toy.GRID)
    command = [sys.executable, "-c", "from sweep.cli.main import main; main()", "run", str(grid)]
    done = subprocess.run(
        [*command, "--store", str(tmp_path / "store"), "--address", address],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "7 done" in done.stderr
    assert done.stdout == ""
