"""What ``sweep status`` and ``sweep show`` are told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from store.samples import (
    REVISION,
    START,
    add_event,
    attempt_of,
    dead_lease,
    id_of,
    metric,
    publish,
    trial,
    write_results,
)

from sweep.errors import BadInputError, StoreError
from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.compact import compact
from sweep.store.storage import LocalStorage
from sweep.store.store import Store
from sweep.store.summary import CANDIDATES, Count, find_trial, show, status
from sweep.store.verify import verify


def fill(store: Store) -> None:
    """Three kinds of published trials, and one of everything that is unfinished."""
    for number in range(3):
        publish(store, number)
    publish(store, 0, attempt_of(30), revision="f" * 12)
    write_results(store, 3)
    store.publish_trial(trial(3, model="mlp"))
    add_event(store, 10, "started"), add_event(store, 10, "raised", reason="ValueError: no", traceback="Traceback 10")
    add_event(store, 11, "started"), add_event(store, 11, "interrupted", reason="the sweep was stopped")
    add_event(store, 12, "started")
    add_event(store, 13, "started"), add_event(store, 13, "died", reason="process 7 on there is gone")
    add_event(store, 14, "raised", attempt_of(14)), add_event(store, 14, "interrupted", attempt_of(20), reason="later")
    add_event(store, 1, "raised", attempt_of(0), reason="an earlier attempt, made good since")
    add_event(store, 15, "failed", reason="its process died 3 times")
    lease = dead_lease(16, attempt_of(16))
    store.storage.create(lease.name, leasing._encode(lease))
    taken = leasing.take(store.storage, id_of(17), REVISION, attempt_of(17), "run")
    assert isinstance(taken, leasing.Taken)
    add_event(store, 17, "raised", attempt_of(1))


@pytest.mark.parametrize("compacted", [False, True])
def test_status_tells_counts_and_reasons(store: Store, compacted: bool) -> None:
    fill(store)
    if compacted:
        compact(store)
    found = status(store)
    assert found.counts == (
        Count("classifier", "mlp", "digits", 1),
        Count("classifier", "small_cnn", "digits", 3),
    )
    assert found.published == 4
    assert [(one.id, one.reason) for one in found.failed] == [
        (id_of(10), "ValueError: no"),
        (id_of(15), "its process died 3 times"),
    ]
    assert [(one.id, one.attempt, one.attempts) for one in found.running] == [(id_of(17), attempt_of(17), 2)]
    assert {one.id: one.reason for one in found.interrupted} == {
        id_of(11): "the sweep was stopped",
        id_of(12): "its process went without a word",
        id_of(13): "process 7 on there is gone",
        id_of(14): "later",
        id_of(16): "its process went without a word",
    }
    failed = found.failed[0]
    assert (failed.revision, failed.attempt, failed.host, failed.attempts) == (REVISION, attempt_of(10), "here", 1)
    assert failed.at is not None
    assert failed.at > START


def test_an_expired_lease_is_no_work(store: Store) -> None:
    fill(store)
    later = status(store, clock=lambda: time.time() + 1000)
    assert later.running == ()
    assert id_of(17) in {one.id for one in later.interrupted}


def test_an_empty_store_has_nothing(store: Store) -> None:
    found = status(store)
    assert (found.counts, found.failed, found.running, found.interrupted, found.published) == ((), (), (), (), 0)


def test_a_failure_of_an_older_revision_is_passed_over(store: Store) -> None:
    add_event(store, 1, "raised", attempt_of(1), revision="f" * 12)
    publish(store, 1, attempt_of(2))
    add_event(store, 2, "raised", attempt_of(3))
    publish(store, 2, attempt_of(2), revision="f" * 12)
    assert [one.id for one in status(store).failed] == [id_of(2)]  # the newest answer asked for is the one that failed


def test_reasons_are_read_from_few_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    read: list[str] = []
    true_read = LocalStorage.read

    def record(self: LocalStorage, name: str) -> bytes | None:
        read.append(name)
        return true_read(self, name)

    monkeypatch.setattr(LocalStorage, "read", record)
    found = status(store)
    told = len(found.failed) + len(found.interrupted)
    assert len([name for name in read if name.startswith("attempts/")]) == told
    assert not [name for name in read if name.startswith(("metrics/", "artifacts/", "checks/", "files/"))]


@pytest.mark.parametrize("compacted", [False, True])
def test_show_tells_everything_of_a_trial(store: Store, compacted: bool) -> None:
    fill(store)
    store.add(
        "metrics",
        names.part_name(id_of(5), attempt_of(5)),
        [metric(5, step=s, samples=s * 64, final=s == 10) for s in (10, 5)],
    )
    add_event(store, 5, "raised", attempt_of(4), reason="no", traceback="Traceback 5")
    add_event(store, 5, "started"), add_event(store, 5, "done")
    store.publish_trial(trial(5))
    verify(store)
    if compacted:
        compact(store)
        verify(store)
    found = show(store, id_of(5)[:12])
    assert found.id == id_of(5)
    assert found.spec == {"family": "classifier", "seed": 5}
    (published,) = found.published
    assert published.row["attempt"] == attempt_of(5)
    assert [row["samples"] for row in published.metrics] == [320, 640]
    assert [row["step"] for row in published.final] == [10]
    assert [row["step"] for row in published.steps] == [5]
    assert published.artifacts == ()
    first, second = found.attempts
    assert (first.outcome, first.reason, first.traceback, first.started) == ("raised", "no", "Traceback 5", None)
    assert (second.outcome, second.reason, second.revision, second.host) == ("done", None, REVISION, "here")
    assert second.started is not None
    assert second.ended is not None
    assert [row["event"] for row in second.events] == ["ended", "started"]
    assert found.lease is None
    other = show(store, id_of(0))
    assert [one.row["revision"] for one in other.published] == ["f" * 12, REVISION]
    assert [row["role"] for row in other.published[0].artifacts] == ["model"]
    assert [row["verdict"] for row in other.checks] == ["ok"] * (4 if compacted else 2)


def test_show_of_what_has_not_published(store: Store) -> None:
    fill(store)
    running = show(store, id_of(17))
    assert running.spec is None
    assert running.published == ()
    assert running.lease is not None
    assert running.lease.attempt == attempt_of(17)
    add_event(store, 17, "started", attempt_of(17))
    assert [one.outcome for one in show(store, id_of(17)).attempts] == ["raised", "running"]
    assert [one.outcome for one in show(store, id_of(12)).attempts] == ["gone"]
    gone = show(store, id_of(16))
    assert gone.attempts == ()
    assert gone.lease is not None


def test_a_prefix_must_name_one_trial(store: Store) -> None:
    for number in range(200):
        add_event(store, number, "started")
    ids = [id_of(number) for number in range(200)]
    assert all(find_trial(store, each) == each for each in ids[:5])
    first = ids[0][0]
    several = sorted(each for each in ids if each.startswith(first))
    assert len(several) > CANDIDATES
    with pytest.raises(
        StoreError, match=f"{len(several)} trials begin with {first}: {several[0]}, .*and .* more; give more digits"
    ):
        find_trial(store, first)
    with pytest.raises(StoreError, match="no trial begins with 0000000000000000; `sweep plan SPACE`"):
        find_trial(store, "0" * 16)
    for wrong in ("", "XYZ", "../..", "a" * 17):
        with pytest.raises(BadInputError, match="is no trial id; give up to 16 of the digits"):
            find_trial(store, wrong)


def test_a_damaged_specification_is_said(store: Store, tmp_path: Path) -> None:
    store.publish_trial(trial(1, spec="{"))
    with pytest.raises(StoreError, match=f"the column 'spec' of trial {id_of(1)} is damaged; see `sweep verify`"):
        show(store, id_of(1))
