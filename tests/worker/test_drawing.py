"""A worker lets a trainer draw its samples in slices, so that it stays in charge, before the trainer measures."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sweep.worker import attempt
from sweep.worker.attempt import Attempt, Timings


class Draws:
    """Seven samples are pending; each call takes as long as it is told."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds, self.pending, self.calls = clock, seconds, 70, []

    def draw(self, samples: int) -> None:
        self.calls.append(samples)
        self.clock.now += self.seconds * samples
        self.pending -= min(samples, self.pending)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(attempt.time, "perf_counter", found.perf_counter)
    return found


def drawn(trainer: Any) -> tuple[int, Attempt]:
    """Slices that drawing took, and the attempt that counted its time."""
    at_work = cast(Attempt, object.__new__(Attempt))
    at_work.timings = Timings()
    return sum(1 for _ in at_work._draw(trainer)), at_work


def test_slices_grow_while_they_are_short_and_count_as_evaluation(clock: Clock) -> None:
    trainer = Draws(clock, 0.01)
    slices, at_work = drawn(trainer)
    assert trainer.pending == 0
    assert trainer.calls == [1, 2, 4, 8, 16, 16, 16, 16][: len(trainer.calls)]
    assert slices == len(trainer.calls) > 4
    assert at_work.timings.evaluate == pytest.approx(0.01 * sum(trainer.calls))
    assert at_work.timings.train == 0


def test_slow_samples_come_one_by_one(clock: Clock) -> None:
    trainer = Draws(clock, 1.0)
    assert drawn(trainer)[0] == 70
    assert set(trainer.calls) == {1}


def test_a_trainer_that_draws_nothing_is_left_alone(clock: Clock) -> None:
    assert drawn(object())[0] == 0
