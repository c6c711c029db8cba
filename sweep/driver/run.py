"""One Ray Tune run for what is missing of a grid (design 3.5)."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.driver.cluster import Cluster
from sweep.driver.pace import Pace
from sweep.driver.queue import Queue, Settled, State, Task
from sweep.errors import BadInputError, StoreError
from sweep.plan import Entry, Plan, needed_first
from sweep.revision import Revision
from sweep.store import names
from sweep.store.store import Store
from sweep.trial import Kind
from sweep.worker.job import Context, Job

if TYPE_CHECKING:
    from sweep.driver.search import DagSearcher

#: Times that Tune starts a pack's process anew after a death. The worker sends a trial off alone after its second
#: death and gives it up after its third (sweep.worker.pack); what dies more often than this dies before any trial.
MAX_PROCESS_DEATHS = 3
#: How often a pack reports. Handling one report costs the driver about 10 ms, so many slots report less often.
STEP_SECONDS = 0.5
REPORT_COST_SECONDS = 0.02


@dataclass
class Outcome:
    """What became of a run, trial by trial, and how busy the cluster was."""

    done: int = 0
    failed: int = 0
    blocked: int = 0
    left: int = 0
    interrupted: bool = False
    wall_seconds: float = 0.0
    trial_seconds: float = 0.0
    cpus: float = 0.0

    @property
    def busy(self) -> float:
        """Trial seconds over (CPUs x wall seconds since Ray was up)."""
        return self.trial_seconds / (self.cpus * self.wall_seconds) if self.cpus * self.wall_seconds else 0.0


class Run:
    """A sweep in progress, as the command line watches it from its own thread."""

    def __init__(
        self,
        plan: Plan,
        entries: Sequence[Entry],
        store: Store,
        cluster: Cluster,
        context: Context,
        rates: Mapping[Kind, float],
        watch: Callable[[Settled], None] = lambda settled: None,
    ) -> None:
        self.plan, self.store, self.cluster, self.context = plan, store, cluster, context
        self.entries = list(entries)
        self.by_id = {entry.id: entry for entry in self.entries}
        self.outcome = Outcome(cpus=cluster.cpus)
        self.scratch = ""
        self._watch = watch
        self._stop = threading.Event()
        self._searcher: DagSearcher | None = None
        self._revisions = {entry.id: _known(entry) for entry in self.entries}
        tasks = [
            Task(entry.id, entry.trial.kind, entry.trial.spec.samples, cluster.shape(entry.trial.claim), needs)
            for entry, needs in needed_first(self.entries)
        ]
        self.queue = Queue(tasks, cluster.slots, Pace(rates), self._settled)

    @property
    def running(self) -> dict[str, tuple[str, float]]:
        """Pack -> (trial it is at, share of that trial's training done)."""
        return dict(self._searcher.running) if self._searcher is not None else {}

    def stop(self) -> None:
        """Ask every pack to close in order; :meth:`execute` returns soon after."""
        self._stop.set()
        if self._searcher is not None:
            self._searcher.stopping = True

    def execute(self) -> Outcome:
        """Run to the end, or until :meth:`stop`.

        Raises:
            StoreError: a worker could not write the store; what was published stays published.
            ClusterError: Ray cannot go on; what was published stays published.
        """
        from ray import tune

        from sweep.driver.deaths import Deaths, deaths_are_deaths, troubles_in_words
        from sweep.driver.search import DagSearcher, Stop
        from sweep.worker.trainable import PackTrainable, Table

        begun = time.monotonic()
        for revision in {entry.revision.digest: entry.revision for entry in self.entries if entry.revision}.values():
            self.store.write_revision(revision.digest, revision.as_json())
        slots = sum(self.cluster.slots(shape) for shape in {task.shape for task in self.queue.tasks})
        table = Table(
            tuple(self._job(entry).to_json() for entry in self.entries),
            self.context,
            max(STEP_SECONDS, REPORT_COST_SECONDS * slots),
        )
        self._searcher = DagSearcher(
            self.queue, self.store, lambda trial: self._revisions[trial].digest, self._has_begun, self._lost
        )
        self._searcher.stopping = self._stop.is_set()
        trainable = tune.with_resources(tune.with_parameters(PackTrainable, table=table), _resources)
        with self._scratch() as folder, _tune_quiet(slots), troubles_in_words(), deaths_are_deaths():
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=self._searcher,
                    scheduler=Deaths(self._searcher.told),
                    num_samples=-1,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name=f"noisegrid-{self.context.run}",
                    storage_path=folder,
                    stop=Stop(self._searcher),
                    failure_config=tune.FailureConfig(max_failures=MAX_PROCESS_DEATHS),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                    verbose=0,
                ),
            ).fit()
        self._finish(time.monotonic() - begun)
        if self._searcher.fatal:
            raise StoreError(self._searcher.fatal)
        return self.outcome

    def _finish(self, wall: float) -> None:
        if self._stop.is_set():  # what was published in the last moment had no time to be reported
            index = self.store.index()
            for trial, revision in self._revisions.items():
                if index.done(trial, revision.digest):
                    self.queue.done(trial)
        counts = self.queue.counts()
        self.outcome.done, self.outcome.failed = counts.get(State.DONE, 0), counts.get(State.FAILED, 0)
        self.outcome.blocked = counts.get(State.BLOCKED, 0)
        self.outcome.left = len(self.queue.tasks) - self.outcome.done - self.outcome.failed - self.outcome.blocked
        self.outcome.interrupted = self._stop.is_set()
        self.outcome.wall_seconds = wall

    def _settled(self, settled: Settled) -> None:
        self.outcome.trial_seconds += settled.seconds * settled.task.shape.cpu
        self._watch(settled)

    def _job(self, entry: Entry) -> Job:
        revision = self._revisions[entry.id]
        needs = {role: (trial, revision.needs[role]) for role, trial in entry.trial.needs.items()}
        key = (entry.id, revision.digest)
        index = self.plan.index
        failures, deaths = index.failures.get(key, 0), index.deaths.get(key, 0)
        return Job.of(entry.trial, revision, needs, failures=failures, deaths=deaths)

    def _has_begun(self, trial: str) -> bool:
        """Whether an attempt at a trial began in this run: attempt ids, and the run's own, sort by time."""
        prefix = f"{trial}-{self._revisions[trial].digest}-"
        found = (name for name in self.store.table_names("attempts") if name.startswith(prefix))
        return any(name.split("-")[2] > self.context.run for name in found)

    @contextmanager
    def _scratch(self) -> Iterator[str]:
        """A folder for what Tune insists on writing; nobody reads it."""
        self.scratch = tempfile.mkdtemp(prefix="noisegrid-")
        try:
            yield self.scratch
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _lost(self, trial: str, why: str) -> str:
        """Write down that a trial's process could not be kept alive, and say so, with ``why`` where Ray knows."""
        from sweep.worker.attempt import now

        hint = f"the last time {why}" if why else "the worker's own log is in Ray's session folder"
        reason = f"its process died {MAX_PROCESS_DEATHS + 1} times; {hint}"
        revision, attempt = self._revisions[trial].digest, names.attempt_id()
        row: dict[str, Any] = {"id": trial, "revision": revision, "attempt": attempt, "event": "ended", "at": now()}
        row |= {
            "step": None,
            "outcome": "failed",
            "reason": reason,
            "traceback": None,
            "host": None,
            "pid": None,
            "spec": None,
        }
        self.store.add("attempts", names.event_name(trial, revision, attempt, "failed"), [row])
        return reason


def _known(entry: Entry) -> Revision:
    if entry.revision is None:
        raise BadInputError(f"trial {entry.id}: the data set {entry.trial.spec.dataset!r} is not on this machine")
    return entry.revision


def _resources(config: dict[str, Any]) -> Any:
    from ray import tune

    bundle = {"CPU": config["cpu"]} | ({"GPU": config["gpu"]} if config["gpu"] else {})
    return tune.PlacementGroupFactory([bundle])


@contextmanager
def _tune_quiet(slots: int) -> Iterator[None]:
    """Tune's own messages are for users of Tune. Processes start side by side instead of one after the other."""
    import os

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, slots))
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air", "ray")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
