"""Processes that Ray's memory monitor kills: charged to the trial that ran, in words, and never the end of a run."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from driver.conftest import Sweep
from driver.test_run import cells, events, searcher_of

from sweep.driver import deaths
from sweep.driver.run import Run
from sweep.errors import ClusterError
from sweep.store.names import attempt_id
from sweep.worker.job import Context

pytestmark = pytest.mark.ray

#: As Ray 2.60 says it, and as it was said before.
SAID = """\
1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 7b93e4dd) was \
5.14GB used / 23.54GB limit (0.218183)
OOM kill reason: Memory usage 5514895360B exceeded threshold of 5459724800B (21.6% of 25276502016B limit)
Refer to the documentation on how to address the out of memory issue."""
SAID_BEFORE = (
    "Task was killed due to the node running low on memory.\nMemory on the node (IP: 192.0.2.2) was 5.14GB / 23.54GB"
)
WHY = "Ray's memory monitor killed it, since the node ran out of memory (5.14GB of 23.54GB in use)"
KILLER = "  - {{name: killer, family: toy, set: {{model: noop, dataset: toy, budget.samples: 640, seed: 99, {}}}}}\n"


@pytest.fixture
def killed_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every death of a process is told as the memory monitor's, in the place where Ray raises it."""
    import ray
    from ray.air.execution._internal import event_manager
    from ray.exceptions import ActorDiedError, OutOfMemoryError

    def get(future: Any) -> Any:
        try:
            return ray.get(future)
        except ActorDiedError:
            raise OutOfMemoryError(SAID) from None

    monkeypatch.setattr(event_manager, "ray", SimpleNamespace(get=get, wait=ray.wait, ObjectRef=ray.ObjectRef))


@pytest.mark.usefixtures("killed_for_memory")
def test_a_trial_that_takes_too_much_memory_fails_at_last_and_the_rest_is_done(sweep: Sweep) -> None:
    sweep.space.write_text(cells(4) + KILLER.format("kill_at: 64"))
    outcome = sweep.start()
    assert (outcome.done, outcome.failed, outcome.left) == (4, 1, 0)
    killer = sweep.plan().entries[-1]
    assert killer.status == "failed"
    *died, failed = [row for row in events(sweep, killer.id) if row["outcome"]]
    assert [row["outcome"] for row in died] == ["died"] * 3
    assert all(row["reason"].endswith(f"is gone: {WHY}") for row in died)
    assert failed["reason"] == f"its process died 3 times, the last time alone: {WHY}"
    (settled,) = (one for one in sweep.seen if one.task.id == killer.id)
    assert settled.reason == failed["reason"]


def test_a_death_without_a_cause_is_told_without_one(sweep: Sweep, tmp_path: Path) -> None:
    sweep.space.write_text(cells(1, f"kill_at: 64, once: {tmp_path / 'once'}"))
    assert sweep.start().done == 1
    (died,) = (row for row in events(sweep, sweep.plan().entries[0].id) if row["outcome"] == "died")
    assert died["reason"].endswith(" is gone")


@pytest.mark.usefixtures("killed_for_memory")
def test_what_tune_cannot_take_ends_in_a_sentence_and_the_same_command_goes_on(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a release of Ray whose manager has no such method: its RuntimeError comes out of the run."""
    sweep.space.write_text(cells(2) + KILLER.format(f"kill_at: 64, once: {tmp_path / 'once'}"))
    with monkeypatch.context() as patch:
        patch.setattr(deaths, "deaths_are_deaths", nullcontext)
        with pytest.raises(ClusterError) as caught:
            sweep.start()
    assert str(caught.value) == f"Ray gave the sweep up: {WHY}; run the same command again"
    assert caught.value.exit_code == 3
    sweep.start()
    assert sweep.plan().counts == {"done": 3, "todo": 0, "failed": 0, "stale": 0, "blocked": 0}


def test_causes_are_read_from_what_ray_says() -> None:
    assert deaths.cause(SAID) == deaths.cause(SAID_BEFORE) == WHY
    assert deaths.cause("Task was killed due to the node running low on memory.") == WHY.partition(" (")[0]
    assert deaths.cause("The actor died unexpectedly before finishing this task.") == ""


def test_of_several_deaths_the_last_is_told(tmp_path: Path) -> None:
    file = tmp_path / "error.txt"
    file.write_text(f"Failure # 1 (occurred at now)\n{SAID}\nFailure # 2 (occurred at now)\nThe actor died.\n")
    told: list[tuple[str, str]] = []
    scheduler = deaths.Deaths(lambda trial, why: told.append((trial, why)))
    trial = SimpleNamespace(trial_id="one", error_file=str(file), config={})
    scheduler.on_trial_error(None, trial)
    file.write_text(file.read_text() + f"Failure # 3 (occurred at now)\n{SAID}\n")
    scheduler.on_trial_error(None, trial)
    assert told == [("one", ""), ("one", WHY)]
    assert trial.config == {"death": WHY}


def test_memory_that_suffices_for_no_trial_is_named(sweep: Sweep) -> None:
    sweep.space.write_text(cells(1))
    plan = sweep.plan()
    context = Context(str(sweep.store.root), None, attempt_id(), "")
    run = Run(plan, plan.to_run(), sweep.store, sweep.cluster, context, {})
    searcher = searcher_of(run)
    for _ in range(2):
        assert isinstance(searcher.suggest("pack"), dict)
        searcher.told("pack", WHY)
        searcher.on_trial_complete("pack", error=True)
    assert "die before they begin a trial" in searcher.fatal
    assert f"the last time {WHY}; run the same command again" in searcher.fatal
    lost = run._lost(plan.entries[0].id, WHY)
    assert lost == f"its process died 4 times; the last time {WHY}"


def test_only_what_ray_raises_is_rays_trouble() -> None:
    scope: dict[str, Any] = {"__name__": "ray.air.manager"}
    exec("def fail(): raise RuntimeError('a lease was lost\\nat 0x0')", scope)
    with (
        pytest.raises(ClusterError, match=r"^Ray gave the sweep up: a lease was lost; run"),
        deaths.troubles_in_words(),
    ):
        scope["fail"]()
    with pytest.raises(RuntimeError, match="our own"), deaths.troubles_in_words():
        raise RuntimeError("our own")
