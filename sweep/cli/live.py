"""What a person sees while a sweep runs: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sweep.cli.output import clean, console, duration, say
from sweep.driver.queue import Settled, State

if TYPE_CHECKING:
    from rich.console import Group

    from sweep.driver.run import Run

LINE_SECONDS = 10.0  # between plain lines
LEFT_SECONDS = 2.0
SHOWN_RUNNING = 12
COLUMNS = ("trial", "family", "model", "data set", "noise", "r", "batch", "seed", "trained")
LESS = {"family", "noise"}  # left out on a terminal of fewer columns than this:
WIDE = 110
SHOWN_FAILURES = 4


@dataclass
class Watch:
    """Counts what settles, and draws it. ``settled`` is called by the driver's thread."""

    total: int
    done: int = 0
    blocked: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begun = time.monotonic()
        self.plain = not console().is_terminal or console().is_dumb_terminal
        self._note = ""
        self._left = (-math.inf, "")

    def settled(self, settled: Settled) -> None:
        if settled.state is State.DONE:
            self.done += 1
        elif settled.state is State.FAILED:
            self.failures[settled.task.id] = settled.reason
            if self.plain:
                say(f"failed {settled.task.id}: {settled.reason}")
        else:
            self.blocked += 1

    def note(self, text: str) -> None:
        """Say something that stays to be seen while the run lasts."""
        self._note = text
        if self.plain:
            say(text)

    @contextmanager
    def over(self, run: Run) -> Iterator[None]:
        """Draw ``run`` for the length of a ``with``."""
        self._begun = time.monotonic()
        if self.plain:
            with self._lines(run):
                yield
            return
        from rich.live import Live

        with Live(get_renderable=lambda: self.picture(run), console=console(), refresh_per_second=4, transient=True):
            yield

    @contextmanager
    def _lines(self, run: Run) -> Iterator[None]:
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(LINE_SECONDS):
                say(self.line(run))

        thread = threading.Thread(target=work, daemon=True, name="lines")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def line(self, run: Run) -> str:
        """The state of a run in one line."""
        started = run.running or self.done or self.failures
        text = (
            f"{self.done}/{self.total} done, {f'{len(run.running)} running' if started else 'processes are starting'}"
        )
        if self.failures:
            text += f", {len(self.failures)} failed"
        if self.blocked:
            text += f", {self.blocked} blocked"
        return f"{text}, {self._rate()}, {self._remaining(run)}"

    def _remaining(self, run: Run) -> str:
        """Looked up anew every few seconds only: it goes through all trials."""
        now = time.monotonic()
        if now - self._left[0] > LEFT_SECONDS:
            self._left = (now, time_left(*remaining(run)))
        return self._left[1]

    def picture(self, run: Run) -> Group:
        """The live table: progress, what runs, what failed."""
        from rich import box
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        settled = self.done + len(self.failures) + self.blocked
        wide = console().width >= WIDE
        bar = Table.grid(padding=(0, 1))
        progress = ProgressBar(self.total, settled, width=32 if wide else 16)
        bar.add_row(Text(run.plan.space.name, style="bold"), progress, self.line(run) if wide else "")
        rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        shown = [name for name in COLUMNS if wide or name not in LESS]
        for name in shown:
            rows.add_column(name, no_wrap=True, justify="right" if name == "trained" else "left")
        running = sorted(run.running.values())
        for trial, fraction in running[:SHOWN_RUNNING]:
            spec = run.by_id[trial].trial.spec
            cells = [trial, spec.family, spec.model, spec.dataset, spec.noise.law, str(spec.noise.ratio)]
            cells += [str(spec.batch.total), str(spec.seed), f"{fraction:.0%}"]
            rows.add_row(*(clean(cell) for name, cell in zip(COLUMNS, cells, strict=True) if name in shown))
        parts: list[Any] = [bar, rows] if wide else [bar, Text(self.line(run)), rows]
        if len(running) > SHOWN_RUNNING:
            parts.append(Text(f"and {len(running) - SHOWN_RUNNING} more", style="dim"))
        for trial, reason in list(self.failures.items())[-SHOWN_FAILURES:]:
            parts.append(Text(clean(f"failed {trial}: {reason}"), style="red", no_wrap=True, overflow="ellipsis"))
        if self._note:
            parts.append(Text(self._note, style="bold"))
        return Group(*parts)

    def _rate(self) -> str:
        minutes = (time.monotonic() - self._begun) / 60
        return f"{self.done / minutes:.1f} trials/min" if minutes > 0 and self.done else "no trial has ended yet"


def time_left(seconds: float, untimed: int) -> str:
    """What is known of the time to the end, in words."""
    if not untimed:
        return f"{duration(seconds)} left"
    more = f"{untimed} trial{'s' if untimed > 1 else ''} of kinds not timed yet"
    return f"{duration(seconds)} and {more} left" if seconds else "time left not known yet"


def remaining(run: Run) -> tuple[float, int]:
    """Expected wall seconds to the end, and how many trials are not in them: no trial of their kind was ever timed."""
    total, untimed = 0.0, 0
    slots = 1
    queue = run.queue
    fractions = dict(run.running.values())
    for task in queue.tasks:
        if queue.state[task.id] in {State.DONE, State.FAILED, State.BLOCKED}:
            continue
        expected = queue.pace.seconds(task.kind, task.samples)
        if expected is None:
            untimed += 1
            continue
        total += expected * (1 - fractions.get(task.id, 0.0))
        slots = max(slots, run.cluster.slots(task.shape))
    return total / slots, untimed
