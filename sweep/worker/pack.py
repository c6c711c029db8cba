"""A pack: trials that ride together in one process, each leased, run and published on its own.

No Ray here: a pack is advanced in slices by whoever owns the process, and says after each what has happened.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sweep.errors import OutdatedError, StoreError
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.lease import Lease, Taken
from sweep.store.store import Store
from sweep.worker import machine
from sweep.worker.attempt import Attempt, event_row
from sweep.worker.job import Context, Job

#: After so many deaths of its process a trial rides alone; after one more it has failed (design 3.5).
DEATHS_IN_COMPANY = 2
DEATHS_TO_FAIL = 3


@dataclass(frozen=True)
class Event:
    """What became of a trial: done, failed, leased (by somebody else), alone (must ride alone), back (not begun)."""

    kind: str
    trial: str
    seconds: float = 0.0
    reason: str = ""


@dataclass
class Report:
    """What a pack has to say after a slice."""

    events: list[Event] = field(default_factory=list)
    running: str = ""
    fraction: float = 0.0
    finished: bool = False
    fatal: str = ""


class Renewer:
    """Renews the current lease in the background, so that a long step does not let it lapse."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(store, lease), daemon=True, name="lease")
        self._thread.start()

    def _work(self, store: Store, lease: Lease) -> None:
        while not self._stop.wait(leasing.RENEW_SECONDS):
            # A store that cannot be reached for a while is no reason to stop training: publishing will tell.
            with contextlib.suppress(StoreError):
                if not leasing.renew(store.storage, lease):
                    return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Pack:
    """Trials to run one after the other in this process.

    After ``limit`` seconds no further trial is begun; those left go back to the driver, which shares them out anew.
    ``death`` is why the process before this one died, where that is known: the trial that it ran is charged with it.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        context: Context,
        store: Store,
        *,
        cpus: float,
        gpus: float,
        limit: float = float("inf"),
        death: str = "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.waiting = deque(jobs)
        self.company = len(jobs) > 1
        self.context, self.store, self.cpus, self.gpus, self.clock = context, store, cpus, gpus, clock
        self._last_start = clock() + limit
        self._death = death
        self._begun = False
        # A pack whose process died is given to another whole: what failed before the death is not tried again.
        index = store.index()
        self._failures, self._deaths = index.failures, index.deaths
        self.attempt: Attempt | None = None
        self._slices: Iterator[None] = iter(())
        self._renewer: Renewer | None = None

    def advance(self, seconds: float) -> Report:
        """Work for about ``seconds`` (a slice of training is not cut) and report."""
        report = Report()
        end = self.clock() + seconds
        try:
            while self.attempt is not None or self.waiting:
                if self.attempt is None and self._begun and self.clock() > self._last_start:
                    report.events.extend(Event("back", job.id) for job in reversed(self.waiting))
                    self.waiting.clear()
                elif self.attempt is None:
                    self._begin(self.waiting.popleft(), report)
                else:
                    self._slice(report)
                if self.clock() >= end:
                    break
        except (StoreError, OutdatedError) as error:  # not the trial's fault: nothing more can be done here
            report.fatal = str(error)
            if self.attempt is not None and isinstance(error, OutdatedError):
                self.attempt.event("ended", "interrupted", str(error))
            self._let_go()
        if self.attempt is not None:
            report.running, report.fraction = self.attempt.job.id, self.attempt.fraction
        report.finished = bool(report.fatal) or (self.attempt is None and not self.waiting)
        return report

    def close(self) -> None:
        """Leave in the middle: what was running is given back and written down as interrupted."""
        if self.attempt is not None:
            with contextlib.suppress(StoreError):
                self.attempt.event("ended", "interrupted", "the sweep was stopped")
            self._let_go()
        self.waiting.clear()

    def _begin(self, job: Job, report: Report) -> None:
        if self.store.published(job.id, job.revision):
            report.events.append(Event("done", job.id))
            return
        if self._failures[(job.id, job.revision)] > job.failures:
            report.events.append(Event("failed", job.id, reason="failed earlier in this run"))
            return
        if self.company and self._deaths[(job.id, job.revision)] - job.deaths >= DEATHS_IN_COMPANY:
            report.events.append(Event("alone", job.id))  # said before perhaps, by a process that then died
            return
        taken = leasing.take(self.store.storage, job.id, job.revision, names.attempt_id(), self.context.run)
        if not isinstance(taken, Taken):
            report.events.append(Event("leased", job.id))
            return
        refusal = self._after_death(job, taken)
        if refusal is None and self.store.published(job.id, job.revision):  # while we were taking the lease
            refusal = Event("done", job.id)
        if refusal is not None:
            leasing.release(self.store.storage, taken.lease)
            report.events.append(refusal)
            return
        self.attempt = Attempt(job, self.context, self.store, taken.lease, self.cpus, self.gpus)
        self._slices = self.attempt.run()
        self._renewer = Renewer(self.store, taken.lease)  # from the start: loading data may take longer than a lease
        self._begun = True

    def _after_death(self, job: Job, taken: Taken) -> Event | None:
        """Charge the death of a process to the trial it was running, and say whether that trial may run here."""
        dead = taken.dead
        if dead is not None and dead.attempt:
            # Only a process of this very run died of its trial: one of an earlier run went with its machine or driver.
            outcome = "died" if dead.run == self.context.run else "abandoned"
            why = f": {self._death}" if self._death and outcome == "died" else ""
            gone = f"process {dead.pid} on {dead.host} is gone{why}"
            row = event_row(dead, "ended", outcome=outcome, reason=gone)
            self.store.add("attempts", names.event_name(job.id, job.revision, dead.attempt, outcome), [row])
            if outcome == "died":
                return self._judge(job, taken)
        return None

    def _judge(self, job: Job, taken: Taken) -> Event | None:
        deaths = self.store.deaths(job.id, job.revision) - job.deaths
        if deaths >= DEATHS_TO_FAIL:
            reason = f"its process died {deaths} times, the last time alone"
            reason += f": {self._death}" if self._death else ""
            row = event_row(taken.lease, "ended", outcome="failed", reason=reason)
            name = names.event_name(job.id, job.revision, taken.lease.attempt, "failed")
            self.store.add("attempts", name, [row])
            return Event("failed", job.id, reason=reason)
        if deaths >= DEATHS_IN_COMPANY and self.company:
            return Event("alone", job.id)
        return None

    def _slice(self, report: Report) -> None:
        attempt = self.attempt
        assert attempt is not None
        before = attempt.slice_began = time.perf_counter()
        try:
            next(self._slices)
        except StopIteration:
            attempt.timings.total += time.perf_counter() - before
            report.events.append(Event("done", attempt.job.id, attempt.timings.total))
        except (StoreError, OutdatedError):
            raise
        except BaseException as error:  # noqa: BLE001 - a trial that raises fails alone, whatever it raises
            if attempt.published:  # the trial stands: only what comes after was disturbed
                report.events.append(Event("done", attempt.job.id, attempt.timings.total))
                self._let_go()
                return
            reason, trace = _said(error)
            attempt.event("ended", "raised", reason, trace)
            self.store.discard_attempt(attempt.job.id, attempt.lease.attempt)
            report.events.append(Event("failed", attempt.job.id, attempt.timings.total, reason.splitlines()[0]))
        else:
            attempt.timings.total += time.perf_counter() - before
            return
        self._let_go()

    def _let_go(self) -> None:
        attempt, self.attempt, self._slices = self.attempt, None, iter(())
        if self._renewer is not None:
            self._renewer.stop()
            self._renewer = None
        if attempt is not None:
            machine.free_memory(machine.device(self.gpus))  # the next trial in this process starts clean
            with contextlib.suppress(StoreError):
                leasing.release(self.store.storage, attempt.lease)


def _said(error: BaseException) -> tuple[str, str]:
    """Reason and traceback as text that can be stored; what an exception says of itself may be broken."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001
        text = "(its message cannot be had)"
    reason = f"{name}: {text}" if text else name
    trace = "".join(traceback.format_exception(error))
    return _storable(reason), _storable(trace)


def _storable(text: str) -> str:
    """Text that UTF-8 can hold: a file name that is none may stand in a message."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_result(report: Report) -> dict[str, Any]:
    """A report as the flat dictionary that Tune carries to the driver."""
    return {
        "events": [(event.kind, event.trial, event.seconds, event.reason) for event in report.events],
        "running": report.running,
        "fraction": report.fraction,
        "fatal": report.fatal,
        "done": report.finished or bool(report.fatal),
    }
