"""Compaction: the same rows in fewer files, and what nobody needs swept."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from store.compacting import (
    copy,
    everything,
    files,
    fill,
    later,
    loser,
)
from store.samples import (
    REVISION,
    attempt_of,
    dead_lease,
    digest,
    id_of,
    metric,
    publish,
    said,
    trial,
)

from sweep.errors import StoreError
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.compact import compact
from sweep.store.read import artifact_paths, named_rows, read_table, rows_of, trial_row
from sweep.store.store import Store, open_store


def test_each_table_becomes_one_file_and_says_the_same(store: Store) -> None:
    fill(store, range(5))
    before, sum_before = said(store), digest(store)
    done = compact(store)
    assert done.merged == {"trials": 5, "metrics": 5, "attempts": 10, "artifacts": 5, "checks": 5}
    assert not done.swept
    assert not done.skipped
    for table, listed in files(store).items():
        assert len(listed) == 1, table
        assert listed[0].startswith(names.COMPACTED)
        assert store.storage.names(f"compacted/{table}") == [listed[0].replace(names.SUFFIX, names.LIST_SUFFIX)]
    assert said(store) == before
    assert digest(store) == sum_before
    assert said(open_store(str(store.root))) == before


def test_nothing_to_do_does_nothing(store: Store) -> None:
    assert compact(store).merged == {}
    fill(store, range(3))
    compact(store)
    paths = {path: store.storage.path(path).stat().st_mtime_ns for path in everything(store)}
    again = compact(store)
    assert (again.merged, again.swept, again.skipped) == ({}, [], {})
    assert {path: store.storage.path(path).stat().st_mtime_ns for path in everything(store)} == paths


def test_one_file_is_not_worth_a_merge(store: Store) -> None:
    fill(store, range(1))
    before = files(store)
    assert compact(store, at_least=3).merged == {}
    assert files(store) == before


def test_large_tables_are_merged_like_small_ones(store: Store) -> None:
    """More than 100 rows a file take another way through the names of rows, and have statistics."""
    for number in range(3):
        publish(store, number)
        rows = [metric(number, attempt_of(40 + number), step=step) for step in range(150)]
        store.add("metrics", names.part_name(id_of(number), attempt_of(40 + number)), rows)
        store.publish_trial(trial(number, attempt_of(40 + number), "f" * 12))
    before = said(store)
    assert compact(store).merged["metrics"] == 6
    assert said(store) == before
    assert len(named_rows(store, "metrics", names.part_name(id_of(1), attempt_of(41)))) == 150


def test_the_same_rows_make_the_same_file(store: Store, tmp_path: Path) -> None:
    other = copy(store, tmp_path / "other")
    fill(store, range(4))
    fill(other, range(3, 4))
    fill(other, range(3))
    compact(store)
    compact(other)
    assert files(store) == files(other)
    for table, (name,) in files(store).items():
        assert store.storage.read(f"{table}/{name}") == other.storage.read(f"{table}/{name}")


def test_compacted_files_are_merged_when_there_are_many(store: Store) -> None:
    counts = []
    for number in range(0, 12, 2):
        fill(store, range(number, number + 2))
        compact(store, many=4)
        counts.append(len(store.storage.names("trials")))
    assert counts == [1, 2, 3, 4, 1, 2]  # 4 compacted and 2 fresh ones become 1
    assert len(store.index().published) == 12
    assert len(read_table(store, "trials")) == 12
    for table, listed in files(store).items():
        assert len(listed) == 2
        lists = store.storage.names(f"compacted/{table}")
        assert lists == [name.replace(names.SUFFIX, names.LIST_SUFFIX) for name in listed]


def test_rows_are_found_by_name_before_and_after(store: Store) -> None:
    fill(store, range(3))
    row, part = trial_row(store, id_of(1), REVISION), names.part_name(id_of(1), attempt_of(1))
    metrics, events = named_rows(store, "metrics", part), rows_of(store, "attempts", id_of(1))
    paths = artifact_paths(store, id_of(1), REVISION)
    assert row is not None
    assert len(metrics) == 2
    compact(store)
    assert trial_row(store, id_of(1), REVISION) == row == trial_row(store, id_of(1))
    assert named_rows(store, "metrics", part) == sorted(metrics, key=lambda each: str(each["metric"]))
    assert Counter(map(repr, rows_of(store, "attempts", id_of(1)))) == Counter(map(repr, events))
    assert artifact_paths(store, id_of(1), REVISION) == paths
    assert trial_row(store, id_of(9), REVISION) is None
    assert named_rows(store, "metrics", names.part_name(id_of(9), attempt_of(9))) == []


def test_compacted_files_that_overlap_are_merged(store: Store, tmp_path: Path) -> None:
    """Two compactions at one time, one of which saw a file more."""
    fill(store, range(2))
    other = copy(store, tmp_path / "other")
    compact(other)
    fill(store, range(2, 3))
    compact(store)
    shutil.copytree(other.root, store.root, dirs_exist_ok=True)
    assert len(read_table(store, "trials")) == 5
    assert digest(open_store(str(store.root))) == digest(store)
    compact(store)
    assert [len(listed) for listed in files(store).values()] == [1] * 5
    assert [len(read_table(store, table)) for table in names.TABLES] == [3, 6, 6, 3, 3]


def test_results_of_losers_are_swept_when_old(store: Store) -> None:
    fill(store, range(2))
    before = everything(store)
    paths = loser(store)
    compact(store)
    assert paths <= everything(store)  # the writer may be about to publish
    done = compact(store, clock=later)
    assert len(done.swept) == 3
    assert not paths & everything(store)
    assert not store.storage.exists(f"files/{names.part_name(id_of(9), attempt_of(9))}")
    assert {path for path in before if path.startswith("files/")} <= everything(store)


def test_results_of_an_attempt_at_work_are_kept(store: Store) -> None:
    paths = loser(store)
    taken = leasing.take(store.storage, id_of(9), REVISION, attempt_of(9), "run", clock=later)
    assert isinstance(taken, leasing.Taken)
    compact(store, clock=later)
    assert paths <= everything(store)
    leasing.release(store.storage, taken.lease)
    compact(store, clock=later)
    assert not paths & everything(store)


def test_an_attempt_that_wrote_lately_is_kept_whole(store: Store) -> None:
    """Age is that of the newest file: a big artifact may have been written long before the metrics."""
    paths = loser(store)
    for path in paths:
        if not path.startswith("metrics/"):
            os.utime(store.storage.path(path), (1.0, 1.0))
    os.utime(store.storage.path(f"files/{names.part_name(id_of(9), attempt_of(9))}"), (1.0, 1.0))
    compact(store)
    assert paths <= everything(store)


def test_nothing_is_swept_while_trials_cannot_be_read(store: Store) -> None:
    fill(store, range(3))
    path = store.storage.path(f"trials/{names.trial_name(id_of(1), REVISION)}.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    paths = loser(store)
    done = compact(store, clock=later)
    assert [name for name in done.skipped if "trials" in name] == [path.relative_to(store.root).as_posix()]
    assert "damaged" in next(iter(done.skipped.values()))
    assert paths <= everything(store)
    assert named_rows(store, "metrics", names.part_name(id_of(1), attempt_of(1)))


def test_left_over_files_and_leases_go(store: Store) -> None:
    fill(store, range(1))
    store.storage.create("_tmp/1-dead", b"half")
    store.storage.create("compacted/trials/compacted-0000000000000000.names", b"some-name\n")
    dead, waiting = dead_lease(0, attempt_of(0)), dead_lease(7, attempt_of(7))
    for lease in (dead, waiting):
        store.storage.create(lease.name, leasing._encode(lease))
    compact(store)
    assert store.storage.exists("_tmp/1-dead")
    assert not store.storage.exists(dead.name)
    compact(store, clock=later)
    assert not store.storage.exists("_tmp/1-dead")
    assert store.storage.names("compacted/trials") == []
    assert store.storage.exists(waiting.name)  # the next worker charges the death to its trial


def test_files_that_do_not_belong_are_left_alone(store: Store) -> None:
    fill(store, range(3))
    store.storage.create("trials/notes.parquet", b"no parquet")
    store.storage.create("trials/readme.txt", b"hello")
    row = metric(0)
    store.add("metrics", names.part_name(id_of(1), attempt_of(1)) + "x", [row])
    true = store.storage.path(f"metrics/{names.part_name(id_of(2), attempt_of(2))}.parquet")
    true.write_bytes(store.storage.path(f"metrics/{names.part_name(id_of(0), attempt_of(0))}.parquet").read_bytes())
    done = compact(store)
    assert set(done.skipped) == {"trials/notes.parquet", true.relative_to(store.root).as_posix()}
    assert store.storage.exists("trials/readme.txt")
    assert true.exists()


def test_a_lost_list_is_written_anew(store: Store) -> None:
    fill(store, range(3))
    compact(store)
    (listed,) = store.storage.names("compacted/trials")
    text = store.storage.read(f"compacted/trials/{listed}")
    store.storage.remove(f"compacted/trials/{listed}")
    fresh = open_store(str(store.root))
    with pytest.raises(StoreError, match=r"lost its list of names .* `sweep compact`"):
        fresh.index()
    compact(open_store(str(store.root)))
    assert store.storage.read(f"compacted/trials/{listed}") == text
    assert len(open_store(str(store.root)).index().published) == 3


def test_a_damaged_merged_file_stops_the_removal_of_what_it_stands_for(store: Store, tmp_path: Path) -> None:
    fill(store, range(3))
    probe = copy(store, tmp_path / "probe")
    compact(probe)
    (merged,) = probe.storage.names("trials")
    store.storage.create(f"trials/{merged}", b"PAR1 no longer")
    singles = store.storage.names("trials")
    with pytest.raises(StoreError, match="damaged"):
        compact(store)
    assert store.storage.names("trials") == singles
