"""Ray itself: started here or joined, with errors in words instead of time-outs in C++."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.driver.address import check_address
from sweep.driver.queue import Shape
from sweep.errors import BadInputError, ClusterError
from sweep.trial import Claim

#: Tune's own records are never the truth here (design 3.5): no loggers, no snapshots, no moved working directory.
#: Its handler for Ctrl-C would leave trials without the chance to write down that they were interrupted.
TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


ASK_SECONDS = 20.0


@dataclass(frozen=True)
class Cluster:
    """What a connected Ray has, by node: the most CPUs and GPUs that one trial can get, and how many fit at once."""

    nodes: tuple[tuple[float, float], ...]

    @property
    def cpus(self) -> float:
        return sum(cpu for cpu, _ in self.nodes)

    @property
    def gpus(self) -> float:
        return sum(gpu for _, gpu in self.nodes)

    def shape(self, claim: Claim) -> Shape:
        """A claim in numbers: ``gpu: auto`` is one GPU where the cluster has any.

        Raises:
            ClusterError: no node has so much.
        """
        gpu = (1.0 if self.gpus >= 1 else 0.0) if claim.gpu == "auto" else claim.gpu
        shape = Shape(claim.cpu, gpu)
        if not self.slots(shape):
            have = ", or ".join(f"{cpu:g} CPUs and {gpus:g} GPUs" for cpu, gpus in sorted(set(self.nodes)))
            raise ClusterError(
                f"a trial asks for {shape.cpu:g} CPUs and {shape.gpu:g} GPUs, and no node has them "
                f"(nodes have: {have}); lower 'resources' of its group, or join a larger cluster with --address"
            )
        return shape

    def slots(self, shape: Shape) -> int:
        """How many trials of a shape fit at once; fractions of a GPU do not span two."""
        return sum(min(_fits(cpu, shape.cpu), _fits_gpu(gpu, shape.gpu)) for cpu, gpu in self.nodes)


def _fits(have: float, want: float) -> int:
    return int(have / want + 1e-9)


def _fits_gpu(have: float, want: float) -> int:
    if want <= 0:
        return 1 << 30
    return _fits(have, want) if want >= 1 else int(have) * _fits(1, want)


@contextlib.contextmanager
def connected(address: str | None, cpus: int | None = None, gpus: int | None = None) -> Iterator[Cluster]:
    """Ray for the length of a ``with``: joined at ``address`` (or ``$RAY_ADDRESS``), else started on this machine.

    ``cpus`` and ``gpus`` are the logical ones of a Ray that is started here.

    Raises:
        BadInputError: the address is none.
        ClusterError: nobody answers there, or Ray does not start.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    check_address(address)
    if address != "local" and (cpus is not None or gpus is not None):
        raise BadInputError("--cpus and --gpus size a Ray that is started here; leave them out with --address")
    os.environ.update(TUNE_SETTINGS)
    if address != "local":
        _use_token(address)
    with _quiet():
        import ray

        arguments: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus} if address == "local" else {}
        ours = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address=address,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                ignore_reinit_error=False,
                **arguments,
            )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            if address == "local":
                raise ClusterError(f"Ray does not start on this machine: {first[:300]}") from error
            raise ClusterError(f"no Ray cluster at {address!r}: {first[:300]}") from error
        finally:
            if threading.current_thread() is threading.main_thread():  # Ray puts a silent exit in its place
                signal.signal(signal.SIGTERM, ours)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield Cluster(tuple((float(node.get("CPU", 0)), float(node.get("GPU", 0))) for node in nodes))
    finally:
        ray.shutdown()


def _use_token(address: str) -> None:
    """Show a token to a cluster that asks for one, as ``ray start`` makes it do where one is at hand (Ray 2.60).

    Ray would otherwise retry for 20 s, and workers of a cluster that asks for none do not start with one. So the
    cluster is asked first, in a process of its own, for a process cannot change its mind about tokens.

    Raises:
        ClusterError: the cluster asks for a token and there is none.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--skip-version-check"]
    try:
        asked = subprocess.run(
            [*command, "--address", address], capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"no Ray cluster at {address!r}: something listens there and does not answer as Ray does within "
            f"{ASK_SECONDS:.0f} s; give host:port of the head node (6379 is Ray's default port)"
        ) from None
    if "AuthenticationError" in asked.stderr:
        given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
        if not given and not (Path.home() / ".ray" / "auth_token").is_file():
            raise ClusterError(
                f"the Ray cluster at {address!r} asks for a token; set RAY_AUTH_TOKEN_PATH to a file with it, "
                "or put it into ~/.ray/auth_token"
            )
        os.environ["RAY_AUTH_MODE"] = "token"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray reports its start on the logger that it configures itself; people who wait for a sweep do not need it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
