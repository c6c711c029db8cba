"""Parameters in a plan: each network counted once, in one child process, and kept for the next plan."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures import toy

from sweep import parameters
from sweep.space import load_space
from sweep.trial import Trial

GRIDS = Path(__file__).parents[2] / "search_spaces" / "paper"

SIZES = """\
name: sizes
groups:
  - name: cells
    family: toy
    set: {dataset: toy, budget.samples: 640}
    grid:
      model: [noop, large]
      learning_rate: [0.001, 0.002]
      noise.law: [uniform_wrong, next_class]
      noise.ratio: [0, 1]
      batch.multiplier: [1, 2]
      reading: [paper, corrected]
      seed: [0, 1]
"""


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What was asked of each child, with a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: list[dict[str, Any]] = []
    run = subprocess.run

    def noted(*arguments: Any, **options: Any) -> Any:
        asked.append(json.loads(options["input"]))
        return run(*arguments, **options)

    monkeypatch.setattr(parameters.subprocess, "run", noted)
    return asked


@pytest.fixture
def trials(tmp_path: Path) -> Iterator[tuple[Trial, ...]]:
    path = tmp_path / "grid.yaml"
    path.write_text(SIZES)
    with toy.installed():
        yield load_space(path).trials


def test_each_network_is_counted_once_and_kept(children: list[dict[str, Any]], trials: tuple[Trial, ...]) -> None:
    found = parameters.counted(trials)
    assert {trial.id: {"noop": 1, "large": 1000}[trial.spec.model] for trial in trials} == found
    assert [len(asked) for asked in children] == [4], "two models, two of the plug-in's own field"
    assert parameters.counted(trials) == found
    assert len(children) == 1, "the second plan starts no process"


def test_what_cannot_be_counted_is_asked_again(
    children: list[dict[str, Any]], trials: tuple[Trial, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", "")  # the child does not find the plug-in
        assert set(parameters.counted(trials).values()) == {None}
    assert set(parameters.counted(trials).values()) == {1, 1000}
    assert len(children) == 2


@pytest.mark.parametrize("grid", ["language_cpu", "gradients_cpu", "language"])
def test_networks_of_the_text_grids_are_told_by_what_shapes_them(grid: str) -> None:
    """Noise, budget, reading and what is analysed are no network: one key for each shape, data set and set of roles."""
    by_key: dict[str, set[tuple[Any, ...]]] = {}
    for trial in load_space(GRIDS / f"{grid}.yaml").trials:
        spec: Any = trial.spec
        shape = (spec.family, spec.model, spec.dataset, spec.context, spec.vocabulary, spec.bias, *sorted(trial.needs))
        by_key.setdefault(parameters._key(trial), set()).add(shape)
    assert all(len(shapes) == 1 for shapes in by_key.values())
    shapes = set.union(*by_key.values())
    assert len(by_key) == len(shapes)


def test_a_module_that_many_trials_share_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep import revision

    parsed: list[str] = []
    bare = revision.bare
    monkeypatch.setattr(revision, "bare", lambda text: parsed.append(text) or bare(text))
    for cached in (revision.source_digests, revision._digested):
        cached.cache_clear()
    for trial in load_space(GRIDS / "gradients_cpu.yaml").trials:
        revision.source_digests(trial.spec.family, trial.spec.noise.law, trial.spec.dataset)
        parameters._key(trial)
    assert parsed
    assert len(parsed) == len(set(parsed))
