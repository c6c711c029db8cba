"""Compaction that dies at any step, or has others at work beside it: nothing is lost or counted twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from store.compacting import (
    Between,
    Meddling,
    compact_all,
    copy,
    everything,
    fill,
    later,
    loser,
    prepared,
    turns,
)
from store.samples import (
    REVISION,
    START,
    Crash,
    DyingStorage,
    attempt_of,
    digest,
    id_of,
    publish,
    said,
    trial,
    write_results,
)

from sweep.store import names
from sweep.store.compact import compact
from sweep.store.read import artifact_paths, named_rows, read_table, trial_row
from sweep.store.storage import LocalStorage
from sweep.store.store import Store, open_store


def test_a_crash_after_any_step_loses_nothing(store: Store, tmp_path: Path, no_fsync: None) -> None:
    prepared(store)
    want, sum_before = said(store), digest(store)
    want["names"].pop("metrics"), want["names"].pop("artifacts")  # the loser's names may go at any time
    straight = copy(store, tmp_path / "straight")
    straight_storage = DyingStorage(straight.root)
    compact_all(Store(straight_storage))
    steps = straight_storage.count
    assert steps > 40
    final = everything(straight)
    assert digest(straight) == sum_before
    for at in range(steps):
        root = tmp_path / f"crash{at}"
        shutil.copytree(store.root, root)
        with pytest.raises(Crash):
            compact_all(Store(DyingStorage(root, at)))
        torn = open_store(str(root))
        seen = said(torn)
        seen["names"].pop("metrics"), seen["names"].pop("artifacts")
        assert seen == want, f"step {at}"
        assert not torn.publish_trial(trial(0, attempt_of(99))), f"step {at}"
        assert torn.published(id_of(5), REVISION), f"step {at}"
        compact_all(torn)
        assert everything(torn) == final, f"step {at}"
        shutil.rmtree(root)


def test_no_row_is_read_twice_once_a_compaction_has_been_repeated(store: Store, tmp_path: Path, no_fsync: None) -> None:
    fill(store, range(2))
    probe = copy(store, tmp_path / "probe")
    dying = DyingStorage(probe.root)
    compact(Store(dying))
    for at in range(dying.count):
        root = tmp_path / f"crash{at}"
        shutil.copytree(store.root, root)
        with pytest.raises(Crash):
            compact(Store(DyingStorage(root, at)))
        compact(open_store(str(root)))
        for table, count in (("trials", 2), ("metrics", 4), ("attempts", 4), ("artifacts", 2), ("checks", 2)):
            assert len(read_table(open_store(str(root)), table)) == count, (at, table)


def test_a_second_compaction_at_any_moment_does_no_harm(store: Store, tmp_path: Path, no_fsync: None) -> None:
    for number in range(4):
        publish(store, number, with_artifact=False)
        if number == 1:
            compact(store)
    want = said(store)
    for at in range(turns(store, tmp_path / "count", lambda one: compact(one, many=2))):
        root = tmp_path / f"at{at}"
        other = copy(store, root)

        def meddle(other: Store = other) -> None:
            publish(other, 50)
            compact(other, many=2)

        compact(Store(Meddling(root, at, meddle)), many=2)
        seen = open_store(str(root))
        compact(seen, many=2)
        assert set(said(seen)["trials"]) > set(want["trials"]), at
        assert set(said(seen)["metrics"]) > set(want["metrics"]), at
        assert len(read_table(seen, "trials")) == 5, at
        assert len(read_table(seen, "metrics")) == 10, at
        assert artifact_paths(seen, id_of(50), REVISION), at
        shutil.rmtree(root)


def test_a_latecomer_in_the_place_of_a_merged_trial_is_not_merged(store: Store) -> None:
    """Listed as the winner's file, merged elsewhere, and read as that of a worker about to withdraw."""
    fill(store, range(3))
    last = max(range(3), key=id_of)  # the others have been read by then, so that nothing is found to have vanished
    row, name = trial_row(store, id_of(last), REVISION), names.trial_name(id_of(last), REVISION)

    def meddle() -> None:
        compact(store)
        store.add("trials", name, [trial(last, attempt_of(50))])

    compact(Store(Between(store.root, f"trials/{name}.parquet", meddle)))
    store.storage.remove(f"trials/{name}.parquet")  # as its worker does
    rows = [each for each in read_table(store, "trials").to_pylist() if each["id"] == id_of(last)]
    assert {each["attempt"] for each in rows} == {attempt_of(last)}
    assert trial_row(store, id_of(last), REVISION) == row


def test_what_is_published_while_losers_are_looked_for_is_kept(store: Store) -> None:
    """A worker that slept for an hour between its metrics and its trial, and awakes just now."""
    paths = loser(store)
    awakes = Between(store.root, "leases", lambda: store.publish_trial(trial(9)))
    compact(Store(awakes), clock=later)
    assert awakes.name == ""
    assert paths <= everything(store)
    compact(store, clock=later)
    assert paths <= everything(store)


def test_publishing_at_any_moment_of_a_compaction_keeps_one_winner(
    store: Store, tmp_path: Path, no_fsync: None
) -> None:
    """Two attempts at one trial, one published before, one that tries at each step; and a new trial besides."""
    for number in range(3):
        publish(store, number, with_artifact=False)
    want = said(store)
    for at in range(turns(store, tmp_path / "count", compact)):
        root = tmp_path / f"at{at}"
        other = copy(store, root)
        won: list[bool] = []

        def meddle(other: Store = other, won: list[bool] = won) -> None:
            won.extend((publish(other, 1, attempt_of(70)), publish(other, 8, attempt_of(80))))

        compact(Store(Meddling(root, at, meddle)))
        assert won == [False, True], at
        seen = open_store(str(root))
        row = trial_row(seen, id_of(8), REVISION)
        assert row is not None
        assert len(named_rows(seen, "metrics", names.part_name(id_of(8), attempt_of(80)))) == 2
        assert artifact_paths(seen, id_of(8), REVISION)
        assert set(said(seen)["trials"]) > set(want["trials"]), at
        assert len(read_table(seen, "trials")) == 4
        shutil.rmtree(root)


def test_a_compaction_at_any_moment_of_publishing_keeps_one_winner(
    store: Store, tmp_path: Path, no_fsync: None
) -> None:
    """The worker's own row may be merged before its second look: it has won all the same."""
    fill(store, range(2))
    for late in (False, True):
        steps = turns(store, tmp_path / f"count{late}", lambda one: publish(one, 5, attempt_of(90)))
        for at in range(steps):
            root = tmp_path / f"{late}{at}"
            other = copy(store, root)
            if late:
                publish(other, 5, attempt_of(60))
            won = publish(Store(Meddling(root, at, lambda other=other: compact(other))), 5, attempt_of(90))
            assert won is not late, at
            seen = open_store(str(root))
            assert len(read_table(seen, "trials")) == 3, at
            compact(seen, clock=later)
            row = trial_row(seen, id_of(5), REVISION)
            assert row is not None
            assert row["attempt"] == attempt_of(60 if late else 90)
            assert len(named_rows(seen, "metrics", names.part_name(id_of(5), row["attempt"]))) == 2
            assert artifact_paths(seen, id_of(5), REVISION)
            assert len(read_table(seen, "trials")) == 3
            shutil.rmtree(root)


def test_reading_at_any_moment_of_a_compaction_sees_everything(store: Store, tmp_path: Path, no_fsync: None) -> None:
    fill(store, range(3))
    want = said(store)

    def look(one: Store) -> tuple[Any, ...]:
        paths = artifact_paths(one, id_of(1), REVISION)
        return said(one), trial_row(one, id_of(2)), trial_row(one, id_of(2), REVISION), set(paths)

    expected = look(store)
    for at in range(turns(store, tmp_path / "count", look)):
        root = tmp_path / f"at{at}"
        other = copy(store, root)
        seen = look(Store(Meddling(root, at, lambda other=other: compact(other))))
        assert seen == expected, at
        assert seen[0] == want
        shutil.rmtree(root)


def test_a_torn_listing_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that began before the merged file came, and ended after the small ones went, misses all of them."""
    fill(store, range(3))
    compact(store)
    true_names, calls = LocalStorage.names, []

    def torn(self: LocalStorage, folder: str) -> list[str]:
        if folder == "trials":
            calls.append(folder)
            if len(calls) == 1:
                return []
        return true_names(self, folder)

    monkeypatch.setattr(LocalStorage, "names", torn)
    assert len(store.table_names("trials")) == 3


def test_a_latecomer_that_died_is_withdrawn(store: Store) -> None:
    """A worker that died between linking and its second look leaves a second row of a trial: the first counts."""
    fill(store, range(2))
    compact(store)
    sum_before, row = digest(store), trial_row(store, id_of(0), REVISION)
    store.add(
        "trials", names.trial_name(id_of(0), REVISION), [trial(0, attempt_of(50), ended=START.replace(year=2027))]
    )
    write_results(store, 0, attempt_of(50))
    assert trial_row(store, id_of(0), REVISION) == row == trial_row(store, id_of(0))
    assert digest(store) == sum_before
    done = compact(store, clock=later)
    assert f"trials/{names.trial_name(id_of(0), REVISION)}{names.SUFFIX}" in done.swept
    assert len(read_table(store, "trials")) == 2
    assert {row["attempt"] for row in read_table(store, "metrics").to_pylist()} == {attempt_of(0), attempt_of(1)}
