"""What a grid says beside the science: options of a family's build, data sets of users' own, laws that need more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures import toy
from space.bad_files import HEAD, group
from space.conftest import Load

from sweep.cost import cost, sample_rates
from sweep.errors import BadInputError
from sweep.plan import make_plan
from sweep.revision import data_digest
from sweep.space import load_space
from sweep.store import names
from sweep.store.read import artifact_paths
from sweep.store.store import create
from sweep.worker.job import Context, Job
from sweep.worker.pack import Pack
from trainers.datasets.root import VARIABLE


def test_options_change_no_id_and_reach_the_job(load: Load) -> None:
    plain = load(HEAD + group()).trials[0]
    other = load(HEAD + group("resources: {micro_batch: 8}")).trials[0]
    assert plain.id == other.id
    assert (dict(plain.claim.options), dict(other.claim.options)) == ({}, {"micro_batch": 8})
    entry = make_plan(load(HEAD + group("resources: {micro_batch: 8}")), None, None).entries[0]
    assert entry.revision is not None
    job = Job.from_json(Job.of(entry.trial, entry.revision, {}).to_json())
    assert job.options == {"micro_batch": 8}


def test_an_option_that_the_family_lacks_is_refused(load: Load) -> None:
    with pytest.raises(BadInputError, match=r"the family 'toy' has no option 'compile'.*micro_batch"):
        load(HEAD + group("resources: {compile: true}"))
    with pytest.raises(BadInputError, match=r"micro_batch.*must be above 0"):
        load(HEAD + group("resources: {micro_batch: 0}"))


def test_a_law_whose_material_the_family_lacks_is_refused(load: Load) -> None:
    with pytest.raises(BadInputError, match=r"noise law 'toy_bound' needs frequencies.*'toy'"):
        load(HEAD + group(fields="noise.law: toy_bound, noise.ratio: 1"))
    assert len(load(HEAD + group(fields="noise.law: toy_bound, noise.ratio: 0")).trials) == 1


def test_data_of_users_own_enters_by_content(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    own = HEAD + group(whole="{model: noop, dataset: toys/mine, budget.samples: 64}")
    (absent,) = make_plan(load(own), None, tmp_path).entries
    assert absent.revision is None
    assert make_plan(load(own), None, tmp_path).missing_data() == {"toys/mine": "write a file mine"}
    ids = set()
    for content in ("one", "two"):
        (tmp_path / "mine").write_text(content)
        data_digest.cache_clear()
        (entry,) = make_plan(load(own), None, tmp_path).entries
        assert entry.revision is not None
        ids.add(entry.id)
    assert len(ids | {absent.id}) == 3


def test_an_unknown_maker_is_refused_with_those_there_are(load: Load) -> None:
    with pytest.raises(BadInputError, match=r"unknown data set maker 'nobody'.*toys"):
        load(HEAD + group(whole="{model: noop, dataset: nobody/mine, budget.samples: 64}"))


def test_a_trial_runs_with_its_options_and_its_time_tells_that_of_its_kind(tmp_path: Path) -> None:
    store = create(str(tmp_path / "store"))
    path = tmp_path / "grid.yaml"
    with toy.installed():
        path.write_text(HEAD + group("resources: {micro_batch: 8}", fields="sleep_seconds: 0.05"))
        (entry,) = make_plan(load_space(path), store, None).entries
        assert entry.revision is not None
        pack = Pack(
            [Job.of(entry.trial, entry.revision, {})],
            Context(str(store.root), None, names.attempt_id(), ""),
            store,
            cpus=1,
            gpus=0,
        )
        while not pack.advance(1.0).finished:
            pass
        note = artifact_paths(store, entry.id, entry.revision.digest)["note"]
        assert json.loads(note.read_text())["micro_batch"] == 8
        path.write_text(HEAD + group(fields="seed: 5"))  # another trial of the same kind, of which the grid has none
        plan = make_plan(load_space(path), store, None)
        found = cost(plan.entries, sample_rates(plan, store))
    assert (found.known, found.unknown) == (1, 0)
    assert found.seconds > 0.04
