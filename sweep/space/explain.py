"""Pydantic's findings as sentences with file, line, key, value, what is allowed and the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from sweep.space.source import Path_, Source

SHOWN = 5


def short(value: Any) -> str:
    """A value as it may stand in a message: never more than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(key: str, allowed: Iterable[str]) -> str:
    """``(did you mean 'x'?) Allowed: ...`` for a key that does not exist."""
    known = sorted(allowed)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    # a field given without its section, `ratio` for `noise.ratio`, or a section without its field
    close = [name for name in known if name.rpartition(".")[2] == key][:1] or close
    close = close or [name for name in known if name.startswith(f"{key}.")][:1]
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{hint}. Allowed: {', '.join(known)}"


def clean(message: str) -> str:
    """A message of pydantic as the end of a sentence."""
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message[:1].lower() + message[1:]


def describe(error: dict[str, Any], key: str, allowed: Callable[[], Iterable[str]]) -> str:
    """One finding of pydantic as a sentence without its place."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"unknown key {short(key)}{nearest(key, allowed())}"
    if kind == "missing":
        return f"{key!r} is missing"
    given = short(error["input"]) if "input" in error else "?"
    return f"{key} = {given}: {clean(error['msg'])}"


def validation_text(
    error: ValidationError,
    source: Source,
    base: Path_,
    allowed: Callable[[Path_], Iterable[str]],
) -> str:
    """All findings of a validated mapping that stands at ``base`` in the file, a line each, at most a few."""
    lines = []
    seen: set[Path_] = set()
    for finding in error.errors(include_url=False):
        loc = _in_file(finding["loc"], source, base)
        if loc in seen:  # one value refused by each member of a union is one finding
            continue
        seen.add(loc)
        key = str(loc[-1]) if loc else "the file"
        path = (*base, *loc)
        where = source.where(path[:-1] if finding["type"] == "missing" else path)
        text = describe(dict(finding), key, lambda at=path[:-1]: allowed(at))  # type: ignore[misc]
        lines.append(f"{where}: {text}")
    return joined(lines)


def _in_file(loc: Sequence[str | int], source: Source, base: Path_) -> Path_:
    """Drop the parts of a location that pydantic adds for unions and constraints."""
    kept: list[str | int] = []
    for part in loc:
        if (*base, *kept, part) in source.lines or (part == loc[-1] and not _synthetic(part)):
            kept.append(part)
    return tuple(kept)


def _synthetic(part: str | int) -> bool:
    return isinstance(part, str) and (("[" in part) or part in {"str", "int", "float", "bool", "dict", "list", "none"})


def joined(lines: Sequence[str]) -> str:
    """A few findings, and how many more there are."""
    rest = len(lines) - SHOWN
    return "\n".join([*lines[:SHOWN], *([f"... and {rest} more"] if rest > 0 else [])])
