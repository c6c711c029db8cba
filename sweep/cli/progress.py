"""How far a long command is: a bar on a terminal, a line now and then anywhere else; both on standard error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sweep.cli.output import console, say

LINE_SECONDS = 30.0  # between plain lines where there is no terminal

#: What is being done, how much of it is, of how much in all (0: not known), and that in words.
Tell: TypeAlias = Callable[[str, int, int, str], None]


@contextmanager
def shown() -> Iterator[Tell]:
    """What is told to the function that comes with it is shown until the end of the block."""
    if not console().is_terminal or console().is_dumb_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console(), transient=True) as bars:
        task = bars.add_task("reading", total=None, said="")

        def tell(doing: str, done: int, total: int, said: str) -> None:
            bars.update(task, description=doing, total=total or None, completed=done, said=said)

        yield tell


class _Lines:
    def __init__(self) -> None:
        self._last = -math.inf

    def __call__(self, doing: str, done: int, total: int, said: str) -> None:
        now = time.monotonic()
        if self._last == -math.inf:
            self._last = now  # what is done within seconds needs no line
        elif now - self._last >= LINE_SECONDS:
            self._last = now
            say(f"{doing}: {said}")
