"""Statuses against names in a store, and what a run, a resume and --stale would train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures import toy

from sweep.plan import Plan, Status, make_plan
from sweep.space import load_space
from sweep.store.names import Index
from sweep.trial import Space
from trainers import registry


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    """A judge and two cells that need it."""
    path = tmp_path / "grid.yaml"
    path.write_text(toy.GRID.replace("noise.ratio: [0, 1], seed: [0, 1, 2]", "seed: [1, 2]"))
    with toy.installed():
        yield load_space(path)


class Names:
    """Stands in for a store: a plan asks it for names only."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def index(self) -> Index:
        return self._index


def plan(space: Space, done: dict[int, str] | None = None, failed: set[int] | None = None) -> Plan:
    """``done`` maps a trial's number to the revision that is published, ``now`` for the present one."""
    fresh = make_plan(space, None, None)
    index = Index()
    for number, revision in (done or {}).items():
        entry = fresh.entries[number]
        assert entry.revision is not None
        index.published[entry.id].add(entry.revision.digest if revision == "now" else revision)
    for number in failed or ():
        entry = fresh.entries[number]
        assert entry.revision is not None
        index.failures[entry.id, entry.revision.digest] += 1
    return make_plan(space, Names(index), None)  # type: ignore[arg-type]


def statuses(found: Plan) -> list[Status]:
    return [entry.status for entry in found.entries]


def numbers(found: Plan, *, stale: bool = False, failed: bool = False) -> list[int]:
    ids = [entry.id for entry in found.entries]
    return [ids.index(entry.id) for entry in found.to_run(stale=stale, failed=failed)]


def test_nothing_is_there(space: Space) -> None:
    found = plan(space)
    assert statuses(found) == ["todo", "todo", "todo"]
    assert numbers(found) == [0, 1, 2]


def test_what_is_done_is_not_run(space: Space) -> None:
    found = plan(space, {0: "now", 1: "now"})
    assert statuses(found) == ["done", "done", "todo"]
    assert numbers(found) == numbers(found, stale=True, failed=True) == [2]


def test_a_failed_trial_blocks_and_is_tried_again_only_on_resume(space: Space) -> None:
    found = plan(space, failed={0})
    assert statuses(found) == ["failed", "blocked", "blocked"]
    assert numbers(found) == []
    assert numbers(found, failed=True) == [0, 1, 2]


def test_one_failed_cell_blocks_nobody(space: Space) -> None:
    found = plan(space, {0: "now"}, failed={1})
    assert statuses(found) == ["done", "failed", "todo"]
    assert numbers(found) == [2]
    assert numbers(found, failed=True) == [1, 2]


def test_older_revisions_are_stale_and_wait_for_their_option(space: Space) -> None:
    found = plan(space, {0: "older", 1: "older", 2: "older"})
    assert statuses(found) == ["stale", "stale", "stale"]
    assert numbers(found) == numbers(found, failed=True) == []
    assert numbers(found, stale=True) == [0, 1, 2]


def test_what_is_missing_brings_the_stale_trial_that_it_needs(space: Space) -> None:
    found = plan(space, {0: "older", 1: "older"})
    assert statuses(found) == ["stale", "stale", "todo"]
    assert numbers(found) == [0, 2], "its artifacts would not be those of the present revision"


def test_resume_leaves_what_is_published_in_an_older_revision_to_stale(space: Space) -> None:
    found = plan(space, {0: "older", 1: "older", 2: "older"}, failed={0})
    assert statuses(found) == ["failed", "blocked", "blocked"]
    assert numbers(found, failed=True) == []
    assert numbers(found, failed=True, stale=True) == [0, 1, 2]


def test_data_that_is_not_here_is_named_with_the_way_to_it(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(registry.dataset("toy"), present=lambda root: False, obtain="fetch it")
    monkeypatch.setattr(registry, "dataset", lambda name: absent)
    from sweep import revision

    revision.data_digest.cache_clear()
    found = make_plan(space, None, None)
    assert [entry.revision for entry in found.entries] == [None, None, None]
    assert found.missing_data() == {"toy": "fetch it"}
    revision.data_digest.cache_clear()
