"""What processes do in races. A module of its own: spawned processes import it, and little else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

COUNT = 8
PATIENCE = 120  # seconds until a race is given up


def race(work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run ``work(number, *arguments)`` in 8 processes that start at one moment and live on until all have answered."""
    context = multiprocessing.get_context("spawn")
    start, end, answers = context.Barrier(COUNT), context.Barrier(COUNT + 1), context.Queue()
    workers = [
        context.Process(target=_run, args=(work, number, arguments, start, end, answers), daemon=True)
        for number in range(COUNT)
    ]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=PATIENCE) for _ in workers]
    end.wait(PATIENCE)
    for worker in workers:
        worker.join(PATIENCE)
    answers.close()
    answers.join_thread()
    return found


def _run(work: Callable[..., Any], number: int, arguments: tuple[Any, ...], start: Any, end: Any, answers: Any) -> None:
    start.wait(PATIENCE)
    answers.put(work(number, *arguments))
    end.wait(PATIENCE)


def take(number: int, root: str, trial: str, revision: str) -> tuple[str, bool, object]:
    """Try to take a lease: own attempt, whether it was won, and then if one was dead, else whose it is."""
    from sweep.store import lease
    from sweep.store.storage import LocalStorage

    attempt = f"{number + 10:021x}"
    got = lease.take(LocalStorage(Path(root)), trial, revision, attempt, "run")
    if isinstance(got, lease.Taken):
        return attempt, True, got.dead is not None
    return attempt, False, got.attempt


def publish(number: int, root: str, trials: int) -> list[tuple[int, str]]:
    """Publish all of a number of trials as fast as can be, like 7 others, and compact now and then; those won."""
    from store import samples

    from sweep.store.compact import compact
    from sweep.store.store import open_store

    store, attempt = open_store(root), samples.attempt_of(100 + number)
    won = []
    for each in range(trials):
        if samples.publish(store, each, attempt):
            won.append((each, attempt))
        if each % 4 == number % 4 and number < 2:
            compact(store, many=2)
    return won


def make(number: int, root: str) -> str:
    """Make a store where others make it too, and write in it."""
    from store import samples

    from sweep.store.store import create

    store = create(root)
    samples.add_event(store, number, "started")
    return str(store.root)
