"""What is to run, what it waits for, and which trials ride together next. No Ray, no store: plain bookkeeping."""

from __future__ import annotations

import enum
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sweep.driver.pace import Pace, pack_size
from sweep.trial import Kind

#: Expected times are averaged over so many trials at the head of a queue: enough to size a pack, cheap at any length.
HEAD = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """CPUs and GPUs of one trial, as the cluster gives them; trials of one shape share processes."""

    cpu: float
    gpu: float


@dataclass(frozen=True, slots=True)
class Task:
    """A trial to run. ``needs`` are ids that run in this sweep too and must be done first."""

    id: str
    kind: Kind
    samples: int
    shape: Shape
    needs: tuple[str, ...] = ()


class State(enum.Enum):
    WAITING = "waiting"
    READY = "ready"
    OUT = "out"
    ELSEWHERE = "elsewhere"  # leased by somebody else
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


SETTLED = frozenset({State.DONE, State.FAILED, State.BLOCKED})


@dataclass(frozen=True, slots=True)
class PackOrder:
    """Trials, by position in the table of tasks, for one process to run one after the other."""

    key: str
    tasks: tuple[int, ...]
    shape: Shape
    limit: float


@dataclass
class Settled:
    """What a change of one trial's state brought about."""

    task: Task
    state: State
    reason: str = ""
    seconds: float = 0.0


@dataclass
class Queue:
    """Tasks of one run. ``slots`` tells how many trials of a shape the cluster holds at once.

    ``watch`` is called with every trial that settles, once.
    """

    tasks: Sequence[Task]
    slots: Callable[[Shape], int]
    pace: Pace
    watch: Callable[[Settled], None] = lambda settled: None
    state: dict[str, State] = field(init=False)

    def __post_init__(self) -> None:
        self._number = {task.id: index for index, task in enumerate(self.tasks)}
        self.state = {task.id: State.WAITING for task in self.tasks}
        self._open = {task.id: {need for need in task.needs if need in self._number} for task in self.tasks}
        self._dependents: dict[str, list[str]] = defaultdict(list)
        self._ready: dict[Shape, deque[int]] = defaultdict(deque)
        self._alone: dict[Shape, deque[int]] = defaultdict(deque)
        self._out: dict[str, PackOrder] = {}
        self._packs = 0
        self._elsewhere: set[str] = set()
        for task in self.tasks:
            for need in self._open[task.id]:
                self._dependents[need].append(task.id)
        for task in self.tasks:
            if not self._open[task.id]:
                self._make_ready(task.id)

    @property
    def finished(self) -> bool:
        """Nothing is ready, out, or at work elsewhere; what still waits could never start."""
        return not (self._out or any(self._ready.values()) or any(self._alone.values()) or self._elsewhere)

    @property
    def elsewhere(self) -> list[str]:
        """Trials that somebody else is at work on."""
        return sorted(self._elsewhere)

    @property
    def outstanding(self) -> int:
        return len(self._out)

    def counts(self) -> Mapping[State, int]:
        found: dict[State, int] = defaultdict(int)
        for state in self.state.values():
            found[state] += 1
        return found

    def next_pack(self) -> PackOrder | None:
        """The next trials to hand out; None while nothing is ready or every process has work in hand.

        One pack more than there are slots is handed out, so that a process that ends finds the next one waiting.
        """
        for shape in self._shapes():
            slots = max(1, self.slots(shape))
            if sum(pack.shape == shape for pack in self._out.values()) > slots:
                continue
            if self._alone[shape]:
                return self._hand_out(shape, (self._alone[shape].popleft(),), float("inf"))
            ready = self._ready[shape]
            size = pack_size((self._expected(n) for n in islice(ready, HEAD)), len(ready), slots)
            return self._hand_out(shape, tuple(ready.popleft() for _ in range(size.count)), size.limit)
        return None

    def done(self, trial: str, seconds: float = 0.0) -> None:
        """A trial is published, by us or by somebody else."""
        if self.state[trial] is State.DONE:
            return
        task = self._task(trial)
        if seconds > 0:
            self.pace.measured(task.kind, task.samples, seconds)
        self._forget(trial)
        self._settle(trial, State.DONE, seconds=seconds)
        for other in self._dependents[trial]:
            self._open[other].discard(trial)
            if not self._open[other] and self.state[other] is State.WAITING:
                self._make_ready(other)

    def failed(self, trial: str, reason: str) -> None:
        """A trial has failed; whatever needs it, directly or not, is blocked."""
        if self.state[trial] in SETTLED:
            return
        self._forget(trial)
        self._settle(trial, State.FAILED, reason)
        self._block(trial)

    def leased(self, trial: str) -> None:
        """A trial is at work under somebody else's lease."""
        if self.state[trial] not in SETTLED:
            self._forget(trial)
            self.state[trial] = State.ELSEWHERE
            self._elsewhere.add(trial)

    def back(self, trial: str, *, alone: bool = False) -> None:
        """A trial was not begun, or must be tried again: it goes to the head of its queue."""
        if self.state[trial] in SETTLED:
            return
        self._forget(trial)
        self.state[trial] = State.READY
        queue = (self._alone if alone else self._ready)[self._task(trial).shape]
        queue.appendleft(self._number[trial])

    def ended(self, key: str) -> list[str]:
        """A pack is over. Returns its trials of which nothing was heard, for the caller to judge."""
        pack = self._out.pop(key, None)
        if pack is None:
            return []
        ids = [self.tasks[index].id for index in pack.tasks]
        held = {self.tasks[index].id for other in self._out.values() for index in other.tasks}
        return [trial for trial in ids if self.state[trial] is State.OUT and trial not in held]

    def _task(self, trial: str) -> Task:
        return self.tasks[self._number[trial]]

    def _shapes(self) -> Iterator[Shape]:
        """Shapes with something ready, the one with the fewest packs out first: no shape starves another."""
        ready = [shape for shape in {**self._alone, **self._ready} if self._alone[shape] or self._ready[shape]]
        out = [pack.shape for pack in self._out.values()]
        return iter(sorted(ready, key=out.count))

    def _expected(self, number: int) -> float | None:
        task = self.tasks[number]
        return self.pace.seconds(task.kind, task.samples)

    def _hand_out(self, shape: Shape, numbers: tuple[int, ...], limit: float) -> PackOrder:
        self._packs += 1
        pack = PackOrder(f"{self._packs:05d}", numbers, shape, limit)
        self._out[pack.key] = pack
        for number in numbers:
            self.state[self.tasks[number].id] = State.OUT
        return pack

    def _make_ready(self, trial: str) -> None:
        self.state[trial] = State.READY
        self._ready[self._task(trial).shape].append(self._number[trial])

    def _forget(self, trial: str) -> None:
        """Take a trial out of where it waits: a message about it came from another side."""
        self._elsewhere.discard(trial)
        if self.state[trial] is State.READY:
            shape, number = self._task(trial).shape, self._number[trial]
            for queue in (self._ready[shape], self._alone[shape]):
                if number in queue:
                    queue.remove(number)

    def _block(self, trial: str) -> None:
        line = deque([trial])
        while line:
            for other in self._dependents[line.popleft()]:
                if self.state[other] is State.WAITING:
                    self._settle(other, State.BLOCKED, f"needs {trial}, which failed")
                    line.append(other)

    def _settle(self, trial: str, state: State, reason: str = "", seconds: float = 0.0) -> None:
        self.state[trial] = state
        self.watch(Settled(self._task(trial), state, reason, seconds))
