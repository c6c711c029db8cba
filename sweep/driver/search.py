"""The queue as Ray Tune's searcher: a pack where something is ready, ``None`` where nothing is, at the end FINISHED."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from sweep.driver.queue import PackOrder, Queue
from sweep.errors import StoreError
from sweep.store import lease as leasing
from sweep.store.store import Store

LOOK_SECONDS = 2.0
#: So many packs in a row whose processes never began a trial are the machine's fault, not the trials'.
STILLBORN_PACKS = 2


class DagSearcher(Searcher):  # type: ignore[misc]  # ray has no types
    """Hands packs to Tune and takes in what they report.

    ``revision`` tells the revision of a trial, by which the store is asked about those at work elsewhere.
    ``begun`` tells whether a trial was begun in this run, ``lost`` is told of one whose process could not be kept
    alive, and what Ray knows of the last death, and says why it failed.
    """

    def __init__(
        self,
        queue: Queue,
        store: Store,
        revision: Callable[[str], str],
        begun: Callable[[str], bool],
        lost: Callable[[str, str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.queue, self.store, self.revision = queue, store, revision
        self.begun, self.lost, self.clock = begun, lost, clock
        self._stillborn = 0
        self.stopping = False
        self.fatal = ""
        self.running: dict[str, tuple[str, float]] = {}
        self._packs: dict[str, PackOrder] = {}
        self._causes: dict[str, str] = {}  # of the last death of a pack's process, where Ray knows one
        self._looked = clock()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.stopping or self.fatal:
            return str(Searcher.FINISHED)
        self._look_elsewhere()
        pack = self.queue.next_pack()
        if pack is not None:
            self._packs[trial_id] = pack
            tasks = ",".join(map(str, pack.tasks))
            shape = pack.shape
            return {"pack": pack.key, "tasks": tasks, "cpu": shape.cpu, "gpu": shape.gpu, "limit": pack.limit}
        return str(Searcher.FINISHED) if self.queue.finished else None

    def told(self, trial_id: str, why: str) -> None:
        """A pack's process died; ``why`` is empty where Ray does not know."""
        self._causes[trial_id] = why

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take in what a pack said; hearing it twice changes nothing."""
        if trial_id not in self._packs:
            return
        for kind, trial, seconds, reason in result.get("events", ()):
            if kind == "done":
                self.queue.done(trial, seconds)
            elif kind == "failed":
                self.queue.failed(trial, reason)
            elif kind == "leased":
                self.queue.leased(trial)
            else:
                self.queue.back(trial, alone=kind == "alone")
        key = self._packs[trial_id].key
        self.running.pop(key, None)
        if result.get("running"):
            self.running[key] = (result["running"], result["fraction"])
        self.fatal = self.fatal or result.get("fatal", "")

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A pack is over. What it left unsaid goes back, or has failed if it was alone and its process kept dying."""
        if result:
            self.on_trial_result(trial_id, result)
        pack, why = self._packs.pop(trial_id, None), self._causes.pop(trial_id, "")
        if pack is None:
            return
        self.running.pop(pack.key, None)
        silent = self.queue.ended(pack.key)
        if self.stopping or self.fatal:
            return
        try:
            self._judge(pack, silent, error, why)
        except StoreError as fault:  # raised here, Tune would make it an error of its own
            self.fatal = str(fault)

    def _judge(self, pack: PackOrder, silent: list[str], error: bool, why: str) -> None:
        began = not error or any(self.begun(self.queue.tasks[number].id) for number in pack.tasks)
        self._stillborn = 0 if began else self._stillborn + 1
        if self._stillborn >= STILLBORN_PACKS:
            hint = (
                "is this program installed on every node, with all that it imports? Ray's session folder has the logs"
            )
            self.fatal = (
                f"worker processes die before they begin a trial ({STILLBORN_PACKS} packs, several times each); "
                + (f"the last time {why}; run the same command again when there is more" if why else hint)
            )
            return
        for trial in silent:
            if error and began and len(pack.tasks) == 1:
                self.queue.failed(trial, self.lost(trial, why))
            else:
                self.queue.back(trial)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the store is the truth (design 3.5)."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a run is never restored."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles all it is given, to restore a run that we never restore

    def _look_elsewhere(self) -> None:
        """See what has become of trials that other drivers' workers hold."""
        if not self.queue.elsewhere or self.clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self.clock()
        index = self.store.index()
        for trial in self.queue.elsewhere:
            revision = self.revision(trial)
            if index.done(trial, revision):
                self.queue.done(trial)
            elif leasing.holder(self.store.storage, trial, revision) is None:
                self.queue.back(trial)


class Stop(Stopper):  # type: ignore[misc]  # ray has no types
    """Ends the run, with every pack closed in order, once asked to or once the store cannot be written."""

    def __init__(self, searcher: DagSearcher) -> None:
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as above

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._searcher.stopping or bool(self._searcher.fatal)
