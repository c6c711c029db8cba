"""Sweeps through a real Ray: what is needed first, failures alone, dead processes, stopping, two drivers."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from driver.conftest import Sweep
from fixtures import toy

from sweep.driver.queue import Settled, State
from sweep.driver.run import Outcome, Run
from sweep.errors import ClusterError, StoreError
from sweep.store.names import attempt_id
from sweep.store.read import rows_of, trial_row
from sweep.store.store import create
from sweep.worker.job import Context

pytestmark = pytest.mark.ray

CELLS = """\
name: cells
groups:
  - name: cells
    family: toy
    set: {{model: noop, dataset: toy, budget.samples: 640, batch.size: 64{extra}}}
    grid: {{seed: [{seeds}]}}
    resources: {{cpu: {cpu}, gpu: {gpu}}}
"""


def cells(count: int, extra: str = "", cpu: float = 1, gpu: str = "0") -> str:
    seeds = ", ".join(map(str, range(count)))
    return CELLS.format(extra=f", {extra}" if extra else "", seeds=seeds, cpu=cpu, gpu=gpu)


def events(sweep: Sweep, trial: str) -> list[dict[str, Any]]:
    return sorted(rows_of(sweep.store, "attempts", trial), key=lambda row: (row["attempt"], row["at"]))


def test_a_grid_with_needs_runs_whole_and_once(sweep: Sweep) -> None:
    sweep.space.write_text(toy.GRID)
    outcome = sweep.start()
    assert (outcome.done, outcome.failed, outcome.blocked, outcome.left) == (7, 0, 0, 0)
    assert sweep.plan().counts == {"done": 7, "todo": 0, "failed": 0, "stale": 0, "blocked": 0}
    judge, *rest = sweep.plan().entries
    settled = [one.task.id for one in sweep.seen]
    assert settled[0] == judge.id
    note = rows_of(sweep.store, "artifacts", judge.id)[0]
    score = json.loads((sweep.store.root / note["path"]).read_text())["score"]
    for entry in rest:
        metrics = {row["metric"]: row["value"] for row in rows_of(sweep.store, "metrics", entry.id)}
        assert metrics["judge_score"] == score, "the judge's own artifact was handed over"
        row = trial_row(sweep.store, entry.id)
        assert row is not None
        assert json.loads(row["needs"]) == {"judge": judge.id}
    assert sweep.plan().to_run() == []
    assert not (sweep.store.root / "leases").exists() or not list((sweep.store.root / "leases").iterdir())
    assert not list((sweep.store.root / "_tmp").iterdir())


def test_a_trial_that_raises_fails_alone_and_blocks_what_needs_it(sweep: Sweep) -> None:
    sweep.space.write_text(
        toy.GRID.replace("budget.samples: 640, seed: 0}", "budget.samples: 640, seed: 0, fail_at: 64}")
        + "  - {name: free, family: toy, set: {model: noop, dataset: toy, budget.samples: 64, seed: 9}}\n"
    )
    outcome = sweep.start()
    assert (outcome.done, outcome.failed, outcome.blocked, outcome.left) == (1, 1, 6, 0)
    judge = sweep.plan().entries[0]
    started, ended = events(sweep, judge.id)
    assert (started["event"], ended["event"], ended["outcome"]) == ("started", "ended", "raised")
    assert ended["reason"] == "RuntimeError: asked to fail"
    assert "in _fail" in ended["traceback"]
    assert sweep.plan().counts == {"done": 1, "todo": 0, "failed": 1, "stale": 0, "blocked": 6}
    assert sweep.plan().to_run() == [], "a failed trial is not tried again unasked"


def test_resume_tries_failed_trials_again(sweep: Sweep, tmp_path: Path) -> None:
    once = tmp_path / "once"
    sweep.space.write_text(cells(1, f"fail_at: 64, once: {once}"))
    assert sweep.start().failed == 1
    assert sweep.start(failed=True).done == 1
    (entry,) = sweep.plan().entries
    assert [row["outcome"] for row in events(sweep, entry.id)] == [None, "raised", None, "done"]
    assert entry.status == "done"


def test_a_dead_process_is_charged_to_its_trial_only(sweep: Sweep, tmp_path: Path) -> None:
    sweep.space.write_text(
        cells(6) + f"  - {{name: killer, family: toy, set: {{model: noop, dataset: toy, budget.samples: 640, seed: 99, "
        f"kill_at: 64, once: {tmp_path / 'once'}}}}}\n"
    )
    outcome = sweep.start()
    assert (outcome.done, outcome.failed) == (7, 0)
    killer = sweep.plan().entries[-1]
    assert [row["outcome"] for row in events(sweep, killer.id)] == [None, "died", None, "done"]
    for entry in sweep.plan().entries[:-1]:
        assert all(row["outcome"] in (None, "done") for row in events(sweep, entry.id))


def test_a_trial_that_always_kills_its_process_fails_at_last_and_the_rest_is_done(sweep: Sweep) -> None:
    sweep.space.write_text(
        cells(4) + "  - {name: killer, family: toy, set: {model: noop, dataset: toy, budget.samples: 640, seed: 99, "
        "kill_at: 64}}\n"
    )
    outcome = sweep.start()
    assert (outcome.done, outcome.failed, outcome.left) == (4, 1, 0)
    killer = sweep.plan().entries[-1]
    outcomes = [row["outcome"] for row in events(sweep, killer.id) if row["outcome"]]
    assert outcomes == ["died", "died", "died", "failed"]
    assert killer.status == "failed"
    assert sweep.plan().counts["done"] == 4


def test_stopping_leaves_in_order_and_the_next_run_goes_on(sweep: Sweep) -> None:
    sweep.space.write_text(cells(12, "sleep_seconds: 0.3"))

    def stop_at_two(run: Run) -> None:
        if len(sweep.seen) == 2:
            run.stop()

    outcome = sweep.start(hook=stop_at_two)
    assert outcome.interrupted
    assert 2 <= outcome.done < 12
    assert outcome.left == 12 - outcome.done
    plan = sweep.plan()
    assert plan.counts["done"] >= outcome.done
    assert plan.counts["failed"] == 0
    assert not list((sweep.store.root / "leases").iterdir()), "leases are given back"
    sweep.start()
    assert sweep.plan().counts["done"] == 12


def test_two_drivers_share_a_grid_and_count_each_trial_once(sweep: Sweep) -> None:
    """The second driver of this test holds the leases itself, in threads of this process, and lets go late."""
    from sweep.store import lease as leasing

    sweep.space.write_text(cells(3))
    plan = sweep.plan()
    held = plan.entries[1]
    assert held.revision is not None
    taken = leasing.take(sweep.store.storage, held.id, held.revision.digest, "theirs", "other run")
    assert isinstance(taken, leasing.Taken)
    result: list[Outcome] = []
    others_done = threading.Event()

    def watch(run: Run) -> None:
        if len(sweep.seen) == 2:
            others_done.set()

    thread = threading.Thread(target=lambda: result.append(sweep.start(hook=watch)))
    thread.start()
    assert others_done.wait(60)
    assert {one.task.id for one in sweep.seen} == {plan.entries[0].id, plan.entries[2].id}
    leasing.release(sweep.store.storage, taken.lease)
    thread.join(60)
    assert result[0].done == 3
    assert [row["outcome"] for row in events(sweep, held.id)] == [None, "done"]


def test_the_same_seed_publishes_the_same_science(sweep: Sweep, tmp_path: Path) -> None:
    from sweep.store.digest import store_digest

    sweep.space.write_text(toy.GRID)
    sweep.start()
    first = {name: _table(sweep.store.root, name) for name in ("trials", "metrics", "artifacts")}
    sweep.location = str(tmp_path / "again")
    sweep.start()
    second = {name: _table(sweep.store.root, name) for name in ("trials", "metrics", "artifacts")}
    assert store_digest(first) == store_digest(second)


def _table(root: Path, name: str) -> Any:
    from reports.files import open_store

    return open_store(root).table(name)


def test_logical_gpus_are_handed_out(sweep: Sweep) -> None:
    sweep.space.write_text(cells(4, gpu="auto"))
    outcome = sweep.start()
    assert outcome.done == 4
    assert sweep.cluster.slots(sweep.cluster.shape(sweep.plan().entries[0].trial.claim)) == 2


def test_what_fits_no_node_is_refused_in_words(sweep: Sweep) -> None:
    sweep.space.write_text(cells(1, cpu=64))
    with pytest.raises(ClusterError, match=r"asks for 64 CPUs.*nodes have: 4 CPUs and 2 GPUs.*resources"):
        sweep.start()


def test_a_store_that_cannot_be_written_ends_the_run_and_fails_no_trial(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.space.write_text(cells(2, "sleep_seconds: 1.0"))
    plan = sweep.plan()
    store = create(sweep.location)
    context = Context(str(store.root / "gone"), None, attempt_id(), "")
    seen: list[Settled] = []
    with pytest.raises(StoreError, match="no store here"):
        Run(plan, plan.to_run(), store, sweep.cluster, context, {}, seen.append).execute()
    assert [one for one in seen if one.state is State.FAILED] == []


def test_two_killers_end_alone_and_cost_nobody_else(sweep: Sweep) -> None:
    killer = "{{model: noop, dataset: toy, budget.samples: 640, seed: {}, kill_at: 64}}"
    groups = [f"  - {{name: k{n}, family: toy, set: {killer.format(n)}}}\n" for n in (98, 99)]
    sweep.space.write_text(cells(6) + "".join(groups))
    outcome = sweep.start()
    assert (outcome.done, outcome.failed, outcome.left) == (6, 2, 0)
    for entry in sweep.plan().entries[-2:]:
        outcomes = [row["outcome"] for row in events(sweep, entry.id) if row["outcome"]]
        assert outcomes == ["died", "died", "died", "failed"]


def test_processes_that_cannot_begin_end_the_run_and_fail_no_trial(sweep: Sweep) -> None:
    """Two packs whose processes died without beginning a trial: the fault of the machine."""
    sweep.space.write_text(cells(6))
    plan = sweep.plan()
    context = Context(str(sweep.store.root), None, attempt_id(), "")
    run = Run(plan, plan.to_run(), sweep.store, sweep.cluster, context, {})
    searcher = searcher_of(run)
    for _ in range(2):
        config = searcher.suggest("pack")
        assert isinstance(config, dict)
        searcher.on_trial_complete("pack", error=True)
    assert "die before they begin a trial" in searcher.fatal
    assert searcher.suggest("pack") == "FINISHED"
    assert State.FAILED not in run.queue.state.values()
    assert sweep.plan().counts["failed"] == 0


def searcher_of(run: Run) -> Any:
    from sweep.driver.search import DagSearcher

    return DagSearcher(run.queue, run.store, lambda trial: "", run._has_begun, run._lost)


def test_a_store_that_fails_while_a_trial_is_given_up_is_the_stores_trouble(sweep: Sweep) -> None:
    sweep.space.write_text(cells(1))
    plan = sweep.plan()
    run = Run(plan, plan.to_run(), sweep.store, sweep.cluster, Context(sweep.location, None, "0", ""), {})

    def full(trial: str, why: str) -> str:
        raise StoreError("no space left on device")

    searcher = searcher_of(run)
    searcher.lost, searcher.begun = full, lambda trial: True
    searcher.suggest("pack")
    searcher.on_trial_complete("pack", error=True)
    assert searcher.fatal == "no space left on device"


def test_sources_that_changed_after_the_plan_end_the_run_with_nothing_published(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweep.revision import Revision

    sweep.space.write_text(cells(2))
    monkeypatch.setattr(Revision, "sources_digest", property(lambda self: "0" * 12))
    with pytest.raises(StoreError, match=r"not those that the sweep was planned with; run the same command again"):
        sweep.start()
    assert sweep.plan().counts == {"done": 0, "todo": 2, "failed": 0, "stale": 0, "blocked": 0}
