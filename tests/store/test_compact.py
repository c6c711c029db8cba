"""Compaction: nothing is lost or counted twice, wherever it dies and whoever is at work beside it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from store.samples import (
    REVISION,
    START,
    Crash,
    DyingStorage,
    add_event,
    attempt_of,
    dead_lease,
    digest,
    id_of,
    metric,
    publish,
    said,
    trial,
    write_results,
)

from sweep.errors import StoreError
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.compact import GRACE_SECONDS, compact
from sweep.store.read import artifact_paths, named_rows, read_table, rows_of, trial_row
from sweep.store.storage import LocalStorage
from sweep.store.store import Store, open_store

LATER = 2 * GRACE_SECONDS


def later() -> float:
    """A clock at which all that tests have written is old."""
    import time

    return time.time() + LATER


def add_check(store: Store, number: int) -> None:
    row = {"id": id_of(number), "attempt": attempt_of(number), "at": START, "what": "files", "verdict": "ok"}
    store.add("checks", f"verify-{number}", [{**row, "expected": None, "found": None}])


def fill(store: Store, numbers: range) -> None:
    for number in numbers:
        publish(store, number)
        add_check(store, number)


def files(store: Store) -> dict[str, list[str]]:
    return {table: store.storage.names(table) for table in names.TABLES}


def everything(store: Store) -> set[str]:
    return {path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()}


def copy(store: Store, to: Path, storage: type[LocalStorage] = LocalStorage) -> Store:
    shutil.copytree(store.root, to)
    return Store(storage(to))


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


def prepared(store: Store) -> None:
    """Single files, compacted ones enough to be merged again, a loser's results, an old lease: work for every step."""
    for number in (0, 2):
        for each in (number, number + 1):
            publish(store, each)
        compact(store)
    fill(store, range(4, 6))
    write_results(store, 5, attempt_of(77))
    add_event(store, 5, "raised", attempt_of(77))
    lease = dead_lease(5, attempt_of(5))
    store.storage.create(lease.name, leasing._encode(lease))


def _compact_all(store: Store) -> None:
    compact(store, many=2, clock=later)


def test_a_crash_after_any_step_loses_nothing(store: Store, tmp_path: Path, no_fsync: None) -> None:
    prepared(store)
    want, sum_before = said(store), digest(store)
    want["names"].pop("metrics"), want["names"].pop("artifacts")  # the loser's names may go at any time
    straight = copy(store, tmp_path / "straight")
    straight_storage = DyingStorage(straight.root)
    _compact_all(Store(straight_storage))
    steps = straight_storage.count
    assert steps > 40
    final = everything(straight)
    assert digest(straight) == sum_before
    for at in range(steps):
        root = tmp_path / f"crash{at}"
        shutil.copytree(store.root, root)
        with pytest.raises(Crash):
            _compact_all(Store(DyingStorage(root, at)))
        torn = open_store(str(root))
        seen = said(torn)
        seen["names"].pop("metrics"), seen["names"].pop("artifacts")
        assert seen == want, f"step {at}"
        assert not torn.publish_trial(trial(0, attempt_of(99))), f"step {at}"
        assert torn.published(id_of(5), REVISION), f"step {at}"
        _compact_all(torn)
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


class Meddling(LocalStorage):
    """A storage that lets something else happen right before that operation on trials and metrics."""

    def __init__(self, root: Path, at: int, meddle: Any) -> None:
        super().__init__(root)
        self.at, self.meddle, self.count = at, meddle, -1

    def _turn(self, name: str) -> None:
        if "trials" in name or "metrics" in name:  # artifacts go the way of metrics, and nothing hangs on the others
            self.count += 1
            if self.count == self.at:
                self.meddle()

    def create(self, name: str, content: bytes, *, durable: bool = True, settle: bool = True) -> bool:
        self._turn(name)
        return super().create(name, content, durable=durable, settle=settle)

    def remove(self, name: str) -> None:
        self._turn(name)
        super().remove(name)

    def read(self, name: str) -> bytes | None:
        self._turn(name)
        return super().read(name)

    def names(self, folder: str) -> list[str]:
        self._turn(folder)
        return super().names(folder)


def turns(store: Store, root: Path, work: Any) -> int:
    meddling = Meddling(copy(store, root).root, -1, None)
    work(Store(meddling))
    return meddling.count + 1


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


class Between(LocalStorage):
    """A storage that lets something else happen right before the first look at that name."""

    def __init__(self, root: Path, name: str, meddle: Any) -> None:
        super().__init__(root)
        self.name, self.meddle = name, meddle

    def _look(self, name: str) -> None:
        if name == self.name:
            self.name = ""
            self.meddle()

    def read(self, name: str) -> bytes | None:
        self._look(name)
        return super().read(name)

    def names(self, folder: str) -> list[str]:
        self._look(folder)
        return super().names(folder)


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


def loser(store: Store) -> set[str]:
    write_results(store, 9, attempt_of(9))
    part = names.part_name(id_of(9), attempt_of(9))
    return {f"metrics/{part}.parquet", f"artifacts/{part}.parquet", f"files/{part}/model.bin"}


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
