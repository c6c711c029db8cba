"""The toy plug-in does what the tests round it rely on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.toy import installed

from trainers import registry
from trainers.errors import StateError
from trainers.protocol import Trainer


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    with installed():
        yield


def trainer(needs: dict[str, dict[str, Path]] | None = None, **fields: Any) -> Trainer:
    family = registry.family("toy")
    fields = {"model": "noop", "dataset": "toy", "budget": {"samples": 100}, "batch": {"size": 8}, **fields}
    spec = family.spec.model_validate({"family": "toy", **fields})
    return family.build(spec, registry.dataset("toy").load(None), "cpu", needs)


def values(one: Trainer) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in one.evaluate()}


def test_how_the_budget_is_cut_changes_nothing_and_a_resumed_trial_ends_as_a_straight_one() -> None:
    straight, cut = trainer(seed=3), trainer(seed=3)
    straight.train(100)
    cut.train(1)
    assert cut.position == 8
    resumed = trainer(seed=3)
    resumed.load_state_dict(json.loads(json.dumps(cut.state_dict())))
    resumed.train(33)
    assert resumed.position == 48
    resumed.train(1000)
    assert resumed.position == straight.position == 100
    assert resumed.state_dict() == straight.state_dict()
    assert values(resumed) == values(straight) != values(trainer(seed=4))


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(StateError, match="no state of the toy"):
        trainer().load_state_dict({"position": 1})
    with pytest.raises(StateError, match="the state is of seed 1, this trial has seed 0"):
        trainer().load_state_dict(trainer(seed=1).state_dict())


def test_it_fails_on_reaching_a_position(tmp_path: Path) -> None:
    one = trainer(fail_at=50)
    one.train(48)
    with pytest.raises(RuntimeError, match="asked to fail"):
        one.train(8)
    marked: dict[str, Any] = {"fail_at": 50, "once": str(tmp_path / "marker")}
    with pytest.raises(RuntimeError, match="asked to fail"):
        trainer(**marked).train(100)
    again = trainer(**marked)
    again.train(100)
    assert again.position == 100


KILL = """
from trainers import registry
family = registry.family("toy")
fields = {"family": "toy", "model": "noop", "dataset": "toy", "budget": {"samples": 100}, "kill_at": 70}
trainer = family.build(family.spec.model_validate(fields), None, "cpu", {})
trainer.train(64)
print(trainer.position, flush=True)
trainer.train(64)
print("alive", flush=True)
"""


def test_a_process_started_from_here_finds_the_plug_in_and_it_kills_that_process() -> None:
    done = subprocess.run([sys.executable, "-c", KILL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "64\n"), done.stderr


def test_it_reads_the_note_of_its_judge(tmp_path: Path) -> None:
    judge = trainer(seed=5)
    judge.train(100)
    (note,) = judge.artifacts()
    path = tmp_path / note.filename
    path.write_bytes(note.content)
    assert values(trainer({"judge": {note.role: path}}))["judge_score"] == values(judge)["score"]


def test_it_is_gone_afterwards() -> None:
    assert "toy" in registry.names("trainer")
    done = subprocess.run(
        [sys.executable, "-c", "from trainers import registry; print(registry.names('trainer'))"],
        env={}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "toy" not in done.stdout
