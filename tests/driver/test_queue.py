"""The queue's bookkeeping, alone and under any order of messages."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.driver.pace import Pace
from sweep.driver.queue import PackOrder, Queue, Settled, Shape, State, Task

CPU = Shape(1, 0)
KIND = ("toy", "noop", "toy", "")


def task(name: str, *needs: str, shape: Shape = CPU) -> Task:
    return Task(name, KIND, 10, shape, needs)


def queue_of(*tasks: Task, slots: int = 2, seen: list[Settled] | None = None) -> Queue:
    watch = seen.append if seen is not None else lambda settled: None
    return Queue(tasks, lambda shape: slots, Pace({}), watch)


def ids(queue: Queue, pack: PackOrder | None) -> list[str]:
    assert pack is not None
    return [queue.tasks[number].id for number in pack.tasks]


def test_what_is_needed_runs_first() -> None:
    queue = queue_of(task("judge"), task("a", "judge"), task("b", "judge"))
    pack = queue.next_pack()
    assert ids(queue, pack) == ["judge"]
    assert queue.next_pack() is None
    queue.done("judge", 1.0)
    assert pack is not None
    queue.ended(pack.key)
    assert ids(queue, queue.next_pack()) == ["a"]
    assert ids(queue, queue.next_pack()) == ["b"]


def test_what_needs_a_failed_trial_is_blocked_and_the_rest_goes_on() -> None:
    seen: list[Settled] = []
    queue = queue_of(task("judge"), task("a", "judge"), task("b", "a"), task("c"), slots=1, seen=seen)
    assert ids(queue, queue.next_pack()) == ["judge", "c"]
    queue.failed("judge", "RuntimeError: no")
    queue.done("c")
    assert {s.task.id: s.state for s in seen} == {
        "judge": State.FAILED,
        "a": State.BLOCKED,
        "b": State.BLOCKED,
        "c": State.DONE,
    }
    assert all("judge" in s.reason for s in seen if s.state is State.BLOCKED)


def test_one_pack_more_than_slots_is_handed_out() -> None:
    queue = queue_of(*(task(str(n)) for n in range(100)), slots=2)
    queue.pace.measured(KIND, 10, 20.0)
    packs = [queue.next_pack() for _ in range(5)]
    assert [pack is not None for pack in packs] == [True, True, True, False, False]


def test_a_trial_sent_back_alone_rides_alone() -> None:
    queue = queue_of(*(task(str(n)) for n in range(4)), slots=1)
    pack = queue.next_pack()
    assert ids(queue, pack) == ["0", "1", "2", "3"]
    queue.back("1", alone=True)
    assert ids(queue, queue.next_pack()) == ["1"]


def test_shapes_do_not_starve_one_another() -> None:
    gpu = Shape(1, 1)
    queue = queue_of(*(task(f"c{n}") for n in range(9)), *(task(f"g{n}", shape=gpu) for n in range(9)), slots=1)
    shapes = [pack.shape for pack in iter(queue.next_pack, None)]
    assert shapes.count(CPU) == shapes.count(gpu) > 0


def test_messages_said_twice_change_nothing() -> None:
    seen: list[Settled] = []
    queue = queue_of(task("a"), task("b", "a"), slots=1, seen=seen)
    queue.next_pack()
    for _ in range(2):
        queue.done("a", 1.0)
    queue.failed("a", "too late")
    queue.leased("a")
    queue.back("a")
    assert [(s.task.id, s.state) for s in seen] == [("a", State.DONE)]
    assert queue.state == {"a": State.DONE, "b": State.READY}


def test_a_pack_that_ends_in_silence_returns_its_trials() -> None:
    queue = queue_of(task("a"), task("b"), slots=1)
    pack = queue.next_pack()
    assert pack is not None
    queue.done("a")
    assert queue.ended(pack.key) == ["b"]
    assert queue.ended(pack.key) == []


def test_leased_elsewhere_keeps_the_queue_open() -> None:
    queue = queue_of(task("a"), slots=1)
    pack = queue.next_pack()
    assert pack is not None
    queue.leased("a")
    queue.ended(pack.key)
    assert queue.elsewhere == ["a"]
    assert not queue.finished
    queue.done("a")
    assert queue.finished


@pytest.mark.parametrize("seed", range(5))
def test_needs_within_a_pack_are_never_handed_out_together(seed: int) -> None:
    draw = random.Random(seed)
    tasks = [task(str(n), *{str(draw.randrange(n)) for _ in range(draw.randrange(3)) if n}) for n in range(60)]
    queue = queue_of(*tasks, slots=3)
    for pack in iter(queue.next_pack, None):
        together = {queue.tasks[number].id for number in pack.tasks}
        assert not any(set(queue.tasks[number].needs) & together for number in pack.tasks)


@given(st.data())
def test_any_order_of_messages_ends_with_every_trial_settled(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    needs = [data.draw(st.sets(st.integers(0, n - 1), max_size=2)) if n else set() for n in range(count)]
    tasks = [task(str(n), *(str(need) for need in sorted(needs[n]))) for n in range(count)]
    seen: list[Settled] = []
    queue = queue_of(*tasks, slots=data.draw(st.integers(1, 3)), seen=seen)
    out: list[PackOrder] = []
    tries = 0
    while not queue.finished:
        tries += 1
        patient = tries > 200  # whatever happened so far, from now on all goes well
        pack = queue.next_pack()
        if pack is not None:
            out.append(pack)
            continue
        if out:
            ending = out.pop(data.draw(st.integers(0, len(out) - 1)))
            for number in ending.tasks:
                name = queue.tasks[number].id
                said = "done" if patient else data.draw(st.sampled_from(["done", "failed", "back", "leased", "none"]))
                if said == "done":
                    queue.done(name, 0.1)
                elif said == "failed":
                    queue.failed(name, "reason")
                elif said == "back":
                    queue.back(name, alone=data.draw(st.booleans()))
                elif said == "leased":
                    queue.leased(name)
            for name in queue.ended(ending.key):
                queue.back(name)
        for name in queue.elsewhere:
            queue.done(name)
    assert sorted(s.task.id for s in seen) == sorted(t.id for t in tasks), "each settles once"
    for settled in seen:
        if settled.state is State.DONE:
            assert all(queue.state[need] is State.DONE for need in settled.task.needs)
