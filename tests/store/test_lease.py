"""Leases: one taker wins, the dead free theirs at once, the distant at their expiry."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from store.racers import race, take
from store.samples import REVISION, attempt_of, dead_lease, id_of

from sweep.store import lease as leasing
from sweep.store.lease import EXPIRY_SECONDS, Lease, Taken
from sweep.store.storage import LocalStorage
from sweep.store.store import Store

TRIAL = id_of(1)
NOW = 1e9


class Clock:
    """A clock that tests turn."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def write(store: Store, lease: Lease) -> None:
    store.storage.create(lease.name, leasing._encode(lease))


def taken(store: Store, attempt: int, clock: Clock | None = None) -> Taken:
    found = leasing.take(store.storage, TRIAL, REVISION, attempt_of(attempt), "run", clock=clock or Clock())
    assert isinstance(found, Taken)
    return found


def distant(attempt: int = 1, renewed: float = NOW) -> Lease:
    """A lease of a process of another machine."""
    return dead_lease(1, attempt_of(attempt), machine="elsewhere", born="1", renewed=renewed)


def test_a_free_lease_is_taken_held_and_given_back(store: Store) -> None:
    clock = Clock()
    mine = taken(store, 1, clock)
    assert mine.dead is None
    other = leasing.take(store.storage, TRIAL, REVISION, attempt_of(2), "run", clock=clock)
    assert other == mine.lease == leasing.holder(store.storage, TRIAL, REVISION, clock=clock)
    assert leasing.leases(store.storage) == [mine.lease]
    leasing.release(store.storage, mine.lease)
    assert store.storage.names("leases") == []
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=clock) is None


def test_revisions_and_trials_have_leases_of_their_own(store: Store) -> None:
    for trial, revision in ((TRIAL, REVISION), (TRIAL, "f" * 12), (id_of(2), REVISION)):
        assert isinstance(leasing.take(store.storage, trial, revision, attempt_of(1), "run"), Taken)
    assert len(leasing.leases(store.storage)) == 3


def test_the_lease_of_a_dead_process_is_free_at_once(store: Store) -> None:
    """A real child takes a lease and is killed; its number may live on in another process."""
    code = (
        "import sys; from pathlib import Path; from sweep.store import lease, storage\n"
        "got = lease.take(storage.LocalStorage(Path(sys.argv[1])), sys.argv[2], sys.argv[3], sys.argv[4], 'run')\n"
        "print(type(got).__name__, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store.root), TRIAL, REVISION, attempt_of(1)]
    root = Path(leasing.__file__).parents[2]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "Taken"
    held = leasing.take(store.storage, TRIAL, REVISION, attempt_of(2), "run")
    assert isinstance(held, Lease)
    assert held.pid == child.pid
    child.kill()
    child.communicate()
    assert leasing.holder(store.storage, TRIAL, REVISION) is None
    mine = leasing.take(store.storage, TRIAL, REVISION, attempt_of(2), "run")
    assert isinstance(mine, Taken)
    assert mine.dead is not None
    assert mine.dead.attempt == attempt_of(1)
    assert mine.lease.generation == 2
    assert len(store.storage.names("leases")) == 1


def test_a_process_number_that_is_used_again_is_not_the_holder(store: Store) -> None:
    own = leasing.born(os.getpid())
    assert own is not None
    here = dead_lease(1, attempt_of(1), pid=os.getpid(), born=own, renewed=NOW)
    assert leasing.alive(here, NOW)
    assert not leasing.alive(replace(here, born=str(int(own) - 1) if own.isdigit() else "other"), NOW)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()  # to its end
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child.pid}/stat").exists()
    assert leasing.born(child.pid) is None
    child.communicate()


def test_without_a_process_folder_signals_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, signal: int) -> None:
        assert signal == 0
        if pid == 2:
            raise ProcessLookupError
        if pid == 3:
            raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert [leasing._without_proc(pid) for pid in (1, 2, 3)] == ["alive", None, "alive"]


def test_a_distant_lease_lasts_until_its_expiry(store: Store) -> None:
    clock = Clock()
    write(store, distant())
    for now in (NOW, NOW + EXPIRY_SECONDS - 1):
        clock.now = now
        assert leasing.take(store.storage, TRIAL, REVISION, attempt_of(2), "run", clock=clock) == distant()
    clock.now = NOW + EXPIRY_SECONDS
    mine = taken(store, 2, clock)
    assert mine.dead == distant()


def test_a_lease_from_the_future_does_not_block_for_ever(store: Store) -> None:
    write(store, distant(renewed=NOW + 30))
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=Clock()) is not None
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=Clock(NOW - 3600)) is None


def test_renewing_prolongs(store: Store) -> None:
    clock = Clock()
    mine = taken(store, 1, clock)
    clock.now += EXPIRY_SECONDS - 1
    assert leasing.renew(store.storage, mine.lease, clock=clock)
    clock.now += EXPIRY_SECONDS - 1
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=clock) is not None
    clock.now += 1
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=clock) is None


def test_a_lease_that_was_taken_over_is_neither_renewed_nor_given_back(store: Store) -> None:
    clock = Clock()
    mine = taken(store, 1, clock)
    clock.now += EXPIRY_SECONDS
    theirs = taken(store, 2, clock)
    assert not leasing.renew(store.storage, mine.lease, clock=clock)
    leasing.release(store.storage, mine.lease)
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=clock) == theirs.lease


def test_one_of_the_same_generation_is_not_given_back_for_another(store: Store) -> None:
    """Ours lapsed, was taken over and given back, and then taken anew under our old number."""
    clock = Clock()
    mine = taken(store, 1, clock)
    clock.now += EXPIRY_SECONDS
    leasing.release(store.storage, taken(store, 2, clock).lease)
    third = taken(store, 3, clock)
    assert third.lease.generation == mine.lease.generation
    assert not leasing.renew(store.storage, mine.lease, clock=clock)
    leasing.release(store.storage, mine.lease)
    assert leasing.holder(store.storage, TRIAL, REVISION, clock=clock) == third.lease


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"renewed": "x", "pid": 1}'])
def test_a_torn_lease_is_free(store: Store, content: bytes) -> None:
    store.storage.create(distant().name, content)
    mine = taken(store, 2)
    assert mine.dead is not None
    assert mine.dead.attempt == ""


class Slow(LocalStorage):
    """A storage on which others are quicker: they act right before our lease is created."""

    def __init__(self, root: Path, meddle: Any) -> None:
        super().__init__(root)
        self.meddle = meddle

    def create(self, name: str, content: bytes, *, durable: bool = True, settle: bool = True) -> bool:
        meddle, self.meddle = self.meddle, lambda: None
        meddle()
        return super().create(name, content, durable=durable, settle=settle)


def test_a_taker_that_looked_long_ago_does_not_oust_the_present_holder(store: Store) -> None:
    """We saw a dead lease; meanwhile another took it over, gave it back, and a third took the free one."""
    clock = Clock()
    write(store, distant(renewed=0))
    holders: list[Lease] = []

    def meddle() -> None:
        leasing.release(store.storage, taken(store, 5, clock).lease)
        holders.append(taken(store, 6, clock).lease)

    got = leasing.take(Slow(store.root, meddle), TRIAL, REVISION, attempt_of(7), "run", clock=clock)
    assert got == holders[0] == leasing.holder(store.storage, TRIAL, REVISION, clock=clock)
    assert len(store.storage.names("leases")) == 1


def test_a_taker_that_is_overtaken_gives_way(store: Store) -> None:
    clock = Clock()
    above = replace(distant(), generation=5)
    got = leasing.take(
        Slow(store.root, lambda: write(store, above)), TRIAL, REVISION, attempt_of(7), "run", clock=clock
    )
    assert got == above
    assert store.storage.names("leases") == [Path(above.name).name]


def test_a_dead_lease_above_ours_is_taken_over_in_its_turn(store: Store) -> None:
    """Below it ours would be nobody's: others look at the highest only."""
    above = replace(distant(renewed=0), generation=5)
    slow = Slow(store.root, lambda: write(store, above))
    got = leasing.take(slow, TRIAL, REVISION, attempt_of(7), "run", clock=Clock())
    assert isinstance(got, Taken)
    assert (got.lease.generation, got.dead) == (6, above)


@pytest.mark.parametrize("dead", [False, True])
def test_of_many_takers_one_wins(store: Store, dead: bool) -> None:
    if dead:
        write(store, distant(renewed=0))
    answers = race(take, str(store.root), TRIAL, REVISION)
    winners = [attempt for attempt, won, _ in answers if won]
    assert len(winners) == 1
    assert [was_dead for _, won, was_dead in answers if won] == [dead]
    assert {whose for _, won, whose in answers if not won} == set(winners)
    assert len(store.storage.names("leases")) == 1
