"""Commands that go well: plan, run twice, more cells, failures, resume, results, upkeep, report."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.conftest import Command

CELLS = """\
name: cells
groups:
  - name: cells
    family: toy
    set: {{model: noop, dataset: toy, budget.samples: 640{extra}}}
    grid: {{noise.ratio: [{ratios}], seed: [0, 1]}}
"""


def test_help_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from sweep.cli.main import run_app; code = run_app(['--help']); "
        "heavy = {'torch', 'ray', 'duckdb', 'matplotlib', 'typst', 'transformers'} & set(sys.modules); "
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_called_alone_it_shows_its_help(sweep: Command) -> None:
    said = sweep()
    assert said.code == 2
    assert said.err.startswith("Usage: sweep")
    assert "resume" in said.err


def test_version(sweep: Command) -> None:
    said = sweep("--version")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("noisegrid 0.")


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys; from sweep.cli.main import run_app; code = run_app(['plan', 'search_spaces/quick.yaml']); "
        "print(code, sorted({'torch', 'ray'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "87 trials" in done.stderr


def test_plan_as_json(sweep: Command, grid: Path) -> None:
    said = sweep("plan", grid, "--json")
    assert said.code == 0
    plan = json.loads(said.out)
    assert list(plan) == ["space", "counts", "trials"]
    assert plan["counts"] == {"done": 0, "todo": 7, "failed": 0, "stale": 0, "blocked": 0}
    judge, cell = plan["trials"][0], plan["trials"][-1]
    assert list(cell) == [
        "id", "group", "family", "model", "dataset", "noise", "batch", "steps", "samples", "parameters", "seed",
        "needs", "status",
    ]  # fmt: skip
    assert cell["needs"] == [judge["id"]]
    assert cell["noise"]["ratio"] == 1.0
    assert cell["noise"]["rate"] == 0.5
    assert (cell["samples"], cell["steps"], cell["batch"]) == (1280, 20, 64)
    assert cell["parameters"] == 1
    assert said.err == ""


def test_plan_for_people(sweep: Command, grid: Path) -> None:
    said = sweep("plan", grid)
    assert said.out == ""
    assert "7 trials (7 todo)" in said.err
    assert "unknown" in said.err, "a cost that was never measured is not claimed"
    listed = sweep("plan", grid, "--trials").err
    ids = [trial["id"] for trial in json.loads(sweep("plan", grid, "--json").out)["trials"]]
    assert all(trial in listed for trial in ids)


def test_where_keeps_what_is_needed(sweep: Command, grid: Path) -> None:
    plan = json.loads(sweep("plan", grid, "--where", "noise.ratio=1", "--where", "seed=2", "--json").out)
    assert [trial["group"] for trial in plan["trials"]] == ["judge", "cells"]


@pytest.mark.ray
def test_a_sweep_from_the_command_line(sweep: Command, tmp_path: Path) -> None:
    """One story, since each Ray takes seconds to start: run, again, one ratio more, look at it, look after it."""
    grid = tmp_path / "grid.yaml"
    grid.write_text(CELLS.format(ratios="0, 0.5", extra=""))
    first = sweep("run", grid, "--store", "store", "--cpus", "2")
    assert first.code == 0, first
    assert "4 done" in first.err
    assert first.out == ""

    begun = time.monotonic()
    again = sweep("run", grid, "--store", "store")
    assert time.monotonic() - begun < 5
    assert again.code == 0
    assert "nothing to do" in again.err

    names = {path.name for path in Path("store/trials").iterdir()}
    grid.write_text(CELLS.format(ratios="0, 0.5, 1", extra=""))
    more = sweep("run", grid, "--store", "store", "--cpus", "2")
    assert "2 of 6 trials to run" in more.err
    assert len(names & {path.name for path in Path("store/trials").iterdir()}) == 4
    assert len(list(Path("store/trials").iterdir())) == 6

    status = json.loads(sweep("status", "--store", "store", "--json").out)
    assert (status["published"], status["failed"]) == (6, [])
    plan = sweep("plan", grid, "--store", "store")
    assert "6 trials (6 done)" in plan.err

    trial = json.loads(sweep("plan", grid, "--json").out)["trials"][0]["id"]
    shown = sweep("show", trial[:8], "--store", "store")
    assert shown.code == 0
    for text in (trial, "score", "note.json", "done"):
        assert text in shown.err
    assert json.loads(sweep("show", trial, "--store", "store", "--json").out)["id"] == trial

    assert sweep("verify", "--store", "store").code == 0
    assert "merged 6 files of trials" in sweep("compact", "--store", "store").err
    assert "nothing to merge" in sweep("compact", "--store", "store").err
    assert sweep("run", grid, "--store", "store").code == 0, "what is done is known after compaction too"
    assert sweep("verify", "--store", "store").code == 0
    assert "6 trials" in sweep("export", "--store", "store", "--out", "export").err
    assert Path("export/trials.parquet").exists()

    (damaged,) = Path("store/metrics").glob("*.parquet")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    broken = sweep("verify", "--store", "store")
    assert broken.code == 3
    assert damaged.name in broken.err.replace("\n", "")


@pytest.mark.ray
def test_failed_trials_are_exit_code_one_until_resumed(sweep: Command, tmp_path: Path) -> None:
    grid = tmp_path / "grid.yaml"
    grid.write_text(CELLS.format(ratios="0", extra=f", fail_at: 64, once: {tmp_path / 'once'}"))
    first = sweep("run", grid, "--store", "store", "--cpus", "1")
    assert first.code == 1
    assert "1 done, 1 failed" in first.err
    assert "RuntimeError: asked to fail" in first.err
    again = sweep("run", grid, "--store", "store", "--where", "seed=0", "--set", "budget.samples=640")
    assert again.code == 1, "also when there is nothing to do"
    hint = f"`sweep resume {grid} --store store --where seed=0 --set budget.samples=640`"
    assert hint in again.err, "the command that goes on has all that was given to this one"
    status = sweep("status", "--store", "store")
    assert "asked to fail" in status.err
    failed = json.loads(sweep("status", "--store", "store", "--json").out)["failed"][0]["id"]
    shown = sweep("show", failed, "--store", "store").err
    assert "Traceback" in shown
    assert "fail_at" in shown, "the specification is there although nothing was published"
    resumed = sweep("resume", grid, "--store", "store", "--cpus", "1")
    assert resumed.code == 0, resumed
    assert sweep("run", grid, "--store", "store").code == 0
    assert json.loads(sweep("status", "--store", "store", "--json").out)["failed"] == []


def test_trainers_and_datasets(sweep: Command) -> None:
    said = json.loads(sweep("trainers", "--json").out)
    families = {family["name"]: family for family in said["trainers"]}
    assert {"toy", "classifier"} <= set(families)
    fields = {field["name"]: field["default"] for field in families["classifier"]["fields"]}
    assert fields["noise.refresh"] == "fresh"
    assert fields["model"] == "required"
    assert {law["name"] for law in said["noise_laws"]} >= {"uniform_wrong", "uniform_all", "next_class", "confusion"}
    assert fields["evaluation.every_samples"] == "null", "defaults as a grid file has them"
    assert families["language"]["roles"] == ["pretrained", "teacher"]
    assert families["language"]["options"] == ["compile", "micro_batch"]
    listed = sweep("trainers").err
    assert "classifier" in listed
    assert "needs: pretrained, teacher" in listed
    assert "resources: cpu, gpu, compile, micro_batch" in listed
    sets = {one["name"]: one for one in json.loads(sweep("datasets", "--json").out)["datasets"]}
    assert sets["digits"]["present"]
    assert sets["mnist5k"]["train"] == 4000
    assert "mnist5k" in sweep("datasets").err


def test_data_that_is_there_takes_no_text(sweep: Command) -> None:
    refused = sweep("prepare", "digits", "--source", "notes")
    assert refused.code == 2
    assert "give your data another NAME" in refused.err
    assert "needs no preparation" in sweep("prepare", "digits").err


def test_plan_shows_the_range_of_parameters(sweep: Command, tmp_path: Path) -> None:
    grid = tmp_path / "contexts.yaml"
    grid.write_text(
        "name: contexts\ngroups:\n  - name: cells\n    family: language\n"
        "    set: {model: gpt2_tiny, dataset: python-docs, batch.size: 8, budget.samples: 160}\n"
        "    grid: {context: [16, 32]}\n"
    )
    assert "232,192..233,216" in sweep("plan", str(grid)).err


def test_time_left_says_what_it_leaves_out() -> None:
    from sweep.cli.live import time_left

    assert time_left(60, 0) == "60 s left"
    assert time_left(60, 1) == "60 s and 1 trial of kinds not timed yet left"
    assert time_left(0, 9) == "time left not known yet"
