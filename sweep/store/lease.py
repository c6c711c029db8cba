"""Leases: who is at work on a trial, so that no two are, and a dead one frees it at once.

A lease is a file ``leases/<id>-<revision>.<generation>.json``; the highest generation counts. A free or dead lease
is taken by creating the next generation exclusively, so of many takers one wins, and no lock can be left behind.
A lease keeps work from being done twice; that results are not *counted* twice is publishing's affair, whatever
happens to clocks, so a lease may err on either side.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from sweep.store.names import trial_name
from sweep.store.storage import LocalStorage

EXPIRY_SECONDS = 60.0
RENEW_SECONDS = 15.0
FOLDER = "leases"

Clock = Callable[[], float]  # seconds since the epoch


@dataclass(frozen=True)
class Lease:
    """A lease as it stands in its file. ``machine`` tells processes apart across hosts, boots and containers."""

    trial: str
    revision: str
    attempt: str
    run: str  # the sweep run that the worker serves
    host: str
    machine: str
    pid: int
    born: str  # start of the process, since process numbers are used again
    renewed: float  # seconds since the epoch
    generation: int = 0

    @property
    def name(self) -> str:
        return f"{FOLDER}/{trial_name(self.trial, self.revision)}.{self.generation}.json"


@dataclass(frozen=True)
class Taken:
    """The lease is ours. ``dead`` is the lease of a process that went without giving it back."""

    lease: Lease
    dead: Lease | None


@cache
def machine() -> str:
    """Names this boot of this machine and this process-number space."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id",):
        with contextlib.suppress(OSError):
            parts.append(Path(source).read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)


def born(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks since boot; None where it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _without_proc(pid)
    state, *rest = text.rpartition(")")[2].split()  # the name in brackets may hold spaces
    return None if state in "ZX" else rest[18]  # proc(5): field 22, starttime


def _without_proc(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


def alive(lease: Lease, now: float) -> bool:
    """Whether the holder may still be at work: its process lives (same machine) and the lease has not expired.

    A lease from the future is the work of a clock that is set wrong; it too lasts no longer than others.
    """
    if lease.machine == machine() and born(lease.pid) != lease.born:
        return False
    return abs(now - lease.renewed) < EXPIRY_SECONDS


def take(
    storage: LocalStorage, trial: str, revision: str, attempt: str, run: str, *, clock: Clock = time.time
) -> Taken | Lease:
    """Take the lease on a trial, or return the one that somebody else holds.

    Raises:
        StoreError: the store cannot be written.
    """
    mine = Lease(
        trial, revision, attempt, run, socket.gethostname(), machine(), os.getpid(), born(os.getpid()) or "", clock()
    )
    while True:
        held = _current(storage, trial, revision)
        if held is not None and alive(held, clock()):
            return held
        lease = replace(mine, generation=held.generation + 1 if held else 1, renewed=clock())
        if not storage.create(lease.name, _encode(lease), durable=False):
            continue
        # While we looked, others may have taken the lease, given it back and taken it again: above ours, or below
        # in the place of the one that we found dead.
        others = [_read(storage, trial, revision, each) for each in _generations(storage, trial, revision)]
        judged = ("", 0) if held is None else (held.attempt, held.generation)
        if any(
            other is not None
            and (other.attempt, other.generation) not in (judged, (lease.attempt, lease.generation))
            and (other.generation > lease.generation or alive(other, clock()))
            for other in others
        ):
            storage.remove(lease.name)
            continue
        if held is not None:
            _remove_up_to(storage, trial, revision, lease.generation - 1)
        return Taken(lease, held)


def renew(storage: LocalStorage, lease: Lease, *, clock: Clock = time.time) -> bool:
    """Say that the holder still lives; False where the lease has been taken over."""
    stands = _current(storage, lease.trial, lease.revision)
    if stands is None or (stands.attempt, stands.generation) != (lease.attempt, lease.generation):
        return False
    storage.replace(lease.name, _encode(replace(lease, renewed=clock())))
    return True


def release(storage: LocalStorage, lease: Lease) -> None:
    """Give a lease back; nothing happens where it has been taken over."""
    stands = _read(storage, lease.trial, lease.revision, lease.generation)
    if stands is not None and stands.attempt == lease.attempt:
        _remove_up_to(storage, lease.trial, lease.revision, lease.generation)


def holder(storage: LocalStorage, trial: str, revision: str, *, clock: Clock = time.time) -> Lease | None:
    """The lease of somebody who may be at work on a trial, if there is one."""
    held = _current(storage, trial, revision)
    return held if held is not None and alive(held, clock()) else None


def leases(storage: LocalStorage) -> list[Lease]:
    """The lease of highest generation of every trial that has one, dead or alive."""
    tops: dict[tuple[str, str], int] = {}
    for name in storage.names(FOLDER):
        parsed = _parse(name)
        if parsed:
            trial, revision, generation = parsed
            tops[trial, revision] = max(generation, tops.get((trial, revision), 0))
    found = (_read(storage, trial, revision, top) for (trial, revision), top in tops.items())
    return [lease for lease in found if lease is not None]


def _parse(name: str) -> tuple[str, str, int] | None:
    stem, _, generation = name.removesuffix(".json").rpartition(".")
    trial, _, revision = stem.partition("-")
    return (trial, revision, int(generation)) if revision and generation.isdigit() else None


def _generations(storage: LocalStorage, trial: str, revision: str) -> list[int]:
    parsed = (_parse(name) for name in storage.names(FOLDER) if name.startswith(trial))
    return sorted(one[2] for one in parsed if one and one[:2] == (trial, revision))


def _current(storage: LocalStorage, trial: str, revision: str) -> Lease | None:
    for generation in reversed(_generations(storage, trial, revision)):
        lease = _read(storage, trial, revision, generation)
        if lease is not None:
            return lease
    return None


def _read(storage: LocalStorage, trial: str, revision: str, generation: int) -> Lease | None:
    content = storage.read(f"{FOLDER}/{trial_name(trial, revision)}.{generation}.json")
    if content is None:
        return None
    try:
        fields = json.loads(content)
        typed = {"renewed": float(fields["renewed"]), "pid": int(fields["pid"]), "generation": generation}
        return Lease(**{**fields, **typed})
    except (ValueError, TypeError, KeyError):  # torn by a power cut: whoever wrote it is gone
        return Lease(trial, revision, "", "", "", "", 0, "", 0.0, generation)


def _remove_up_to(storage: LocalStorage, trial: str, revision: str, generation: int) -> None:
    for each in _generations(storage, trial, revision):
        if each <= generation:
            storage.remove(f"{FOLDER}/{trial_name(trial, revision)}.{each}.json")


def _encode(lease: Lease) -> bytes:
    fields = asdict(lease)
    del fields["generation"]
    return json.dumps(fields).encode()
