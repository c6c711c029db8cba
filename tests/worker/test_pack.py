"""A pack in this process, without Ray: what a trial does to itself and to its company."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures import toy

from sweep.plan import Entry, make_plan
from sweep.space import load_space
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.read import rows_of, trial_row
from sweep.store.store import Store, create
from sweep.store.verify import verify
from sweep.worker.attempt import Attempt, now
from sweep.worker.job import Context, Job
from sweep.worker.pack import Event, Pack, Report

CELLS = """\
name: cells
groups:
  - name: cells
    family: toy
    set: {{model: noop, dataset: toy, budget.samples: 640{extra}}}
    grid: {{seed: [{seeds}]}}
"""


class Bench:
    """A store, a grid of toys, and packs of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = create(str(folder / "store"))
        self.context = Context(str(self.store.root), None, names.attempt_id(), "")

    def jobs(self, count: int = 1, extra: str = "") -> list[Job]:
        path = self.folder / "grid.yaml"
        seeds = ", ".join(map(str, range(count)))
        path.write_text(CELLS.format(extra=f", {extra}" if extra else "", seeds=seeds))
        return [self._job(entry) for entry in make_plan(load_space(path), self.store, None).entries]

    def _job(self, entry: Entry) -> Job:
        assert entry.revision is not None
        return Job.of(entry.trial, entry.revision, {})

    def pack(self, jobs: list[Job], **options: Any) -> Pack:
        return Pack(jobs, self.context, self.store, cpus=1, gpus=0, **options)

    def run(self, jobs: list[Job], **options: Any) -> list[Event]:
        pack = self.pack(jobs, **options)
        events: list[Event] = []
        while True:
            report = pack.advance(60)
            events.extend(report.events)
            assert not report.fatal, report.fatal
            if report.finished:
                return events

    def outcomes(self, trial: str) -> list[str | None]:
        rows = sorted(rows_of(self.store, "attempts", trial), key=lambda row: row["at"])
        return [row["outcome"] for row in rows]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with toy.installed():
        yield Bench(tmp_path)


class MuteError(Exception):
    """Has nothing that it could say."""

    def __str__(self) -> str:
        raise ValueError("not even this")


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("why"), "RuntimeError: why"),
        (MemoryError(), "MemoryError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError("no file \udcff"), "OSError: no file \\udcff"),
        (MuteError(), "MuteError: (its message cannot be had)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_a_trainer_raises_fails_its_trial_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str
) -> None:
    good, bad = bench.jobs(1)[0], bench.jobs(1, "fail_at: 64")[0]
    monkeypatch.setattr(sys.modules["noisegrid_toy"], "_fail", raising(error))
    events = bench.run([bad, good])
    assert [(event.kind, event.trial) for event in events] == [("failed", bad.id), ("done", good.id)]
    assert events[0].reason == reason
    assert bench.outcomes(bad.id) == [None, "raised"]
    (trace,) = (row["traceback"] for row in rows_of(bench.store, "attempts", bad.id) if row["outcome"] == "raised")
    assert "noisegrid_toy.py" in trace
    assert list(bench.store.storage.names("leases")) == []


def test_what_is_published_stands_whatever_happens_after(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = bench.jobs(1)
    said = Attempt.event

    def event(self: Attempt, kind: str, outcome: str | None = None, *rest: Any) -> None:
        if outcome == "done":
            raise MemoryError
        said(self, kind, outcome, *rest)

    monkeypatch.setattr(Attempt, "event", event)
    assert [one.kind for one in bench.run([job])] == ["done"]
    assert trial_row(bench.store, job.id) is not None
    assert rows_of(bench.store, "metrics", job.id)
    assert [one for one in verify(bench.store, record=False) if one.severity == "error"] == []


def test_a_pack_hands_back_what_it_has_not_begun_in_time_in_an_order_that_keeps(bench: Bench) -> None:
    time = [0.0]
    jobs = bench.jobs(4)
    pack = bench.pack(jobs, limit=5.0, clock=lambda: time[0])
    events: list[Event] = []
    for _ in range(20):
        time[0] += 3.0  # every look at the clock is three seconds later than the one before
        report = pack.advance(0.0)
        events.extend(report.events)
        if report.finished:
            break
    kinds = [event.kind for event in events]
    assert kinds[0] == "done"
    assert "back" in kinds
    back = [event.trial for event in events if event.kind == "back"]
    assert back == [job.id for job in reversed(jobs)][: len(back)], "put back one by one at the head, they keep order"
    assert len(events) == 4


def dead(bench: Bench, job: Job, times: int) -> None:
    for _ in range(times):
        row: dict[str, Any] = dict.fromkeys(("step", "reason", "traceback", "host", "pid", "spec"))
        row |= {"id": job.id, "revision": job.revision, "attempt": "a", "event": "ended", "outcome": "died"}
        name = names.event_name(job.id, job.revision, names.attempt_id(), "died")
        bench.store.add("attempts", name, [{**row, "at": now()}])


def test_after_two_deaths_a_trial_rides_alone_even_if_nobody_heard_so(bench: Bench) -> None:
    jobs = bench.jobs(2)
    dead(bench, jobs[0], 2)
    assert [(e.kind, e.trial) for e in bench.run(jobs)] == [("alone", jobs[0].id), ("done", jobs[1].id)]
    assert [e.kind for e in bench.run([jobs[0]])] == ["done"]


def test_deaths_of_earlier_runs_do_not_count(bench: Bench) -> None:
    jobs = bench.jobs(2)
    dead(bench, jobs[0], 5)
    earlier = [replace(job, deaths=5) for job in jobs]
    assert [e.kind for e in bench.run(earlier)] == ["done", "done"]


def test_a_foreign_lease_is_respected_and_given_back_ones_are_free(bench: Bench) -> None:
    (job,) = bench.jobs(1)
    taken = leasing.take(bench.store.storage, job.id, job.revision, "theirs", "other")
    assert isinstance(taken, leasing.Taken)
    assert [e.kind for e in bench.run([job])] == ["leased"]
    leasing.release(bench.store.storage, taken.lease)
    assert [e.kind for e in bench.run([job])] == ["done"]
    assert [e.kind for e in bench.run([job])] == ["done"], "published already"
    assert len(rows_of(bench.store, "trials", job.id)) == 1


@pytest.mark.parametrize(("every", "points"), [(10, 10), (64, 10), (600, 1), (630, 1), (128, 5)])
def test_each_position_is_measured_once_and_one_is_final(bench: Bench, every: int, points: int) -> None:
    (job,) = bench.jobs(1, f"every_samples: {every}, batch.size: 64")
    bench.run([job])
    rows = [row for row in rows_of(bench.store, "metrics", job.id) if row["metric"] == "score"]
    assert len(rows) == len({row["samples"] for row in rows}) == points
    assert [row["samples"] for row in rows if row["final"]] == [640]


def test_trial_seconds_hold_training_and_evaluation(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = bench.jobs(1, "sleep_seconds: 0.2")
    bench.run([job])
    row = trial_row(bench.store, job.id)
    assert row is not None
    assert row["train_seconds"] >= 0.2
    assert row["trial_seconds"] >= row["train_seconds"] + row["evaluate_seconds"]


@pytest.mark.parametrize("field", ["sources", "data_sha256"])
def test_other_sources_or_data_than_planned_end_the_run_and_publish_nothing(bench: Bench, field: str) -> None:
    (job,) = bench.jobs(1)
    report = Report()
    pack = bench.pack([replace(job, **{field: "0" * 12})])
    while not report.finished:
        report = pack.advance(60)
    assert "planned with" in report.fatal
    assert "run the same command again" in report.fatal
    assert rows_of(bench.store, "trials", job.id) == []
    assert "raised" not in bench.outcomes(job.id)
    assert list(bench.store.storage.names("leases")) == []


def test_an_artifact_that_leads_out_of_the_store_fails_its_trial(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.protocol import Artifact

    (job,) = bench.jobs(1)
    trainer = sys.modules["noisegrid_toy"].ToyTrainer
    monkeypatch.setattr(trainer, "artifacts", lambda self: [Artifact("note", "../../out.json", b"{}")])
    (event,) = bench.run([job])
    assert event.kind == "failed"
    assert "'../../out.json'" in event.reason


def test_closing_in_the_middle_says_interrupted(bench: Bench) -> None:
    (job,) = bench.jobs(1, "sleep_seconds: 0.5, batch.size: 64")
    pack = bench.pack([job])
    report = pack.advance(0.0)
    while not report.fraction:
        report = pack.advance(0.0)
    pack.close()
    assert bench.outcomes(job.id) == [None, "interrupted"]
    assert list(bench.store.storage.names("leases")) == []


def test_a_job_travels_as_text(bench: Bench) -> None:
    (job,) = bench.jobs(1)
    job = replace(job, needs={"judge": ("a" * 16, "b" * 12)})
    assert Job.from_json(job.to_json()) == job
    assert json.loads(job.to_json())["needs"] == {"judge": ["a" * 16, "b" * 12]}
