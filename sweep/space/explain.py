"""Pydantic's findings as sentences with file, line, key, value, what is allowed and the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

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
    if not close:  # a field given without its section, `ratio` for `noise.ratio`
        close = [name for name in known if name.rpartition(".")[2] == key][:1]
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{hint}. Allowed: {', '.join(known)}"


def dotted_fields(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Every leaf field of a nested model by its dotted name, with its annotation."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        nested = _model_in(field.annotation)
        if nested is not None:
            found |= dotted_fields(nested, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.annotation
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    options = [annotation, *get_args(annotation)]
    return next((item for item in options if isinstance(item, type) and issubclass(item, BaseModel)), None)


def _clean(message: str) -> str:
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message[:1].lower() + message[1:]


def describe(error: dict[str, Any], key: str, allowed: Callable[[], Iterable[str]]) -> str:
    """One finding of pydantic as a sentence without its place."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"unknown key {key!r}{nearest(key, allowed())}"
    if kind == "missing":
        return f"{key!r} is missing"
    given = short(error["input"]) if "input" in error else "?"
    return f"{key} = {given}: {_clean(error['msg'])}"


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
