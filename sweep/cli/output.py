"""What people read goes to standard error, what programs read to standard output."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200  # columns where there is no terminal to fit: tables are not folded in a log
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@cache
def console() -> Console:
    """The console on standard error. Names and reasons are printed as they are: no markup, no highlighting."""
    from rich.console import Console

    wide = None if sys.stderr.isatty() or "COLUMNS" in os.environ else WIDE
    return Console(stderr=True, markup=False, highlight=False, emoji=False, width=wide)


def say(text: str) -> None:
    """One message for people."""
    console().print(clean(text), soft_wrap=True)


def complain(text: str) -> None:
    """One error: what, which value, what is allowed, what to do next."""
    sys.stderr.write(f"sweep: {clean(text)}\n")


def clean(text: str) -> str:
    """Without control characters: what comes out of a store or a file may not steer a terminal."""
    return _CONTROL.sub("�", text)


def emit(value: Any) -> None:
    """JSON for programs; NaN and infinities, which JSON lacks, become null."""
    sys.stdout.write(json.dumps(_finite(value), indent=1, ensure_ascii=False, default=str) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(item) for item in value]
    return value


def table(columns: list[str], rows: list[list[str]], *, right: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """A plain table; columns in ``right`` are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(columns):  # what a person copies (an id, a name) stands first and stays whole
        grid.add_column(name, justify="right" if index in right else "left", overflow="fold", no_wrap=index == 0)
    for row in rows:
        grid.add_row(*(Text(clean(cell)) for cell in row))
    console().print(grid)


def duration(seconds: float | None) -> str:
    """Seconds as people say them; a dash where they are unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"
