"""One Ray for all tests of the driver: starting one takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fixtures import toy

from sweep.driver.cluster import Cluster, connected
from sweep.driver.queue import Settled
from sweep.driver.run import Outcome, Run
from sweep.plan import Plan, make_plan
from sweep.space import load_space
from sweep.store.names import attempt_id
from sweep.store.store import Store, create
from sweep.worker.job import Context


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    with toy.installed(), connected("local", cpus=4, gpus=2) as found:
        yield found


@dataclass
class Sweep:
    """A grid file and a store, and a way to run the one into the other."""

    cluster: Cluster
    space: Path
    location: str
    seen: list[Settled] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return create(self.location)

    def plan(self) -> Plan:
        return make_plan(load_space(self.space), self.store, None)

    def start(self, *, failed: bool = False, hook: Callable[[Run], None] | None = None) -> Outcome:
        """Run what is missing; ``hook`` is called with the run whenever a trial settles."""
        plan = self.plan()
        self.seen = []
        context = Context(str(self.store.root.absolute()), None, attempt_id(), "")

        def watch(settled: Settled) -> None:
            self.seen.append(settled)
            if hook is not None:
                hook(started)

        started = Run(plan, plan.to_run(failed=failed), self.store, self.cluster, context, {}, watch)
        return started.execute()


@pytest.fixture
def sweep(cluster: Cluster, tmp_path: Path) -> Sweep:
    return Sweep(cluster, tmp_path / "grid.yaml", str(tmp_path / "store"))
