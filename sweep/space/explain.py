"""Pydantic's findings as sentences with file, line, key, value, what is allowed and the nearest valid key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sweep.space.source import Path_, Source

SHOWN = 5
ALIKE = 0.6  # from here on two names are taken for one, misspelt


def short(value: Any) -> str:
    """A value as it may stand in a message: never more than a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def nearest(key: str, allowed: Iterable[str]) -> str:
    """``(did you mean 'x'?) Allowed: ...`` for a key that does not exist; empty where nothing is allowed."""
    known = sorted(allowed)
    if not known:
        return ""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    tail = key.rpartition(".")[2]
    if tail != key:  # of a field under another section, `optimiser.warmup`, the name says more than the section
        alike = max(known, key=lambda name: (_alike(name.rpartition(".")[2], tail), _alike(name, key)))
        close = [alike] if _alike(alike.rpartition(".")[2], tail) >= ALIKE else close
    # a field given without its section, `ratio` for `noise.ratio`, or a section without its field
    close = [name for name in known if name.rpartition(".")[2] == key][:1] or close
    close = close or [name for name in known if name.startswith(f"{key}.")][:1]
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{hint}. Allowed: {', '.join(known)}"


def sentence(finding: Mapping[str, Any]) -> str:
    """What is allowed, for one finding of pydantic that is about a value."""
    bounds = finding.get("ctx", {})
    match finding["type"]:
        case "list_type" | "tuple_type":
            return "a list is expected, such as [0, 1]"
        case "dict_type" | "model_type":
            return "a mapping is expected, such as {key: value}"
        case "string_type":
            return "text is expected; a name that looks like a number stands in quotes"
        case "int_type" | "int_from_float":
            return "a whole number is expected, without quotes or decimal point"
        case "float_type":
            return "a number is expected, without quotes"
        case "bool_type":
            return "true or false is expected"
        case "finite_number":
            return "the number must be finite"
        case "greater_than":
            return f"the number must be above {bounds['gt']}"
        case "greater_than_equal":
            return f"the number must be at least {bounds['ge']}"
        case "less_than":
            return f"the number must be below {bounds['lt']}"
        case "less_than_equal":
            return f"the number must be at most {bounds['le']}"
        case "literal_error":
            close = difflib.get_close_matches(str(finding["input"]), re.findall("'(.*?)'", bounds["expected"]), n=1)
            return f"{bounds['expected']} is expected" + (f" (did you mean {close[0]!r}?)" if close else "")
    message = str(finding["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[:1].lower() + message[1:]


def validation_text(
    error: ValidationError,
    source: Source,
    base: Path_,
    allowed: Callable[[Path_], Iterable[str]],
) -> str:
    """All findings of a validated mapping that stands at ``base`` in the file, a line each, at most a few."""
    found: dict[str, list[str]] = {}
    for finding in error.errors(include_url=False):
        kind = finding["type"]
        path = _in_file((*base, *finding["loc"]), source, kind)
        key = _named(path)
        if kind == "extra_forbidden":
            hint = nearest(str(path[-1]), allowed(path[:-1]))
            found[f"{source.where(path)}: unknown key {short(path[-1])}{hint}"] = []
        elif kind == "missing":
            found[f"{source.where(path[:-1])}: {key!r} is missing"] = []
        else:  # a value refused by each alternative of its type is one finding
            place = f"{source.where(path)}: {key} = {short(finding['input'])}: "
            alternatives = found.setdefault(place, [])
            if (text := sentence(finding)) not in alternatives:
                alternatives.append(text)
    return joined([place + "; or ".join(alternatives) for place, alternatives in found.items()])


def _in_file(loc: Path_, source: Source, kind: str) -> Path_:
    """Drop the parts of a location that pydantic adds for unions and constraints: they are nowhere in the file."""
    kept: list[str | int] = []
    for position, part in enumerate(loc):
        if (*kept, part) in source.lines or (kind == "missing" and position == len(loc) - 1):
            kept.append(part)
    return tuple(kept)


def _named(path: Path_) -> str:
    """The last key of a path; of an entry of a list, the list's with its position."""
    if not path:
        return "the file"
    return f"{_named(path[:-1])}[{path[-1]}]" if isinstance(path[-1], int) else path[-1]


def joined(lines: Sequence[str]) -> str:
    """A few findings, and how many more there are."""
    rest = len(lines) - SHOWN
    return "\n".join([*lines[:SHOWN], *([f"... and {rest} more"] if rest > 0 else [])])
