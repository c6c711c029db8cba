"""Words and numbers for people. Whatever comes out of a store is cleaned here before it is shown."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from fractions import Fraction

NOTHING = "–"
LONGEST = 160  # characters of a value from a store that are shown
UNBROKEN = 24  # characters without a space, after which a line may break
MINUS = "\u2212"
HASH = re.compile(r"[0-9a-f]{7,64}(-dirty)?")


def clean(value: object, longest: int = LONGEST) -> str:
    """One line of printable text: controls and invisible characters out, spaces single, cut at ``longest``."""
    text = str(value)[: 4 * longest]
    kept = (char if unicodedata.category(char)[0] not in "CZ" else " " for char in text)
    line = " ".join("".join(kept).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def breakable(value: object, longest: int = LONGEST) -> str:
    """As :func:`clean`, with invisible places to break in long words, so that no word leaves its column."""
    words = clean(value, longest).split(" ")
    return " ".join(word if len(word) <= UNBROKEN else "\u200b".join(_chunks(word)) for word in words)


def digest(value: object) -> str:
    """A hash in one piece, so that it can be copied; anything else as :func:`breakable`."""
    return str(value) if HASH.fullmatch(str(value)) else breakable(value, 64)


def plain(value: object, longest: int = 60) -> str:
    """As :func:`clean`, in the characters that the figures' font has."""
    return clean(value, longest).replace("…", "...").encode("latin-1", "replace").decode("latin-1")


def slug(parts: Iterable[object], longest: int = 100) -> str:
    """Parts as a file name: lower-case letters, digits, ``_`` and ``-`` only."""
    words = (re.sub(r"[^a-z0-9_]+", "-", str(part).lower()[: 2 * longest]).strip("-") for part in parts)
    return "-".join(word for word in words if word)[:longest].strip("-") or "unnamed"


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` decimals, fewer where it is large; a dash for none."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    text = f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.4g}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """As :func:`number`, with a plus sign where the number is above zero."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and any(char in "123456789∞" for char in text) else text


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval in brackets; a dash where there is none."""
    return NOTHING if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def ratio(value: Fraction) -> str:
    """An exact ratio as people write it: a short decimal where it has one, else ``a/b``."""
    short = f"{float(value):.4f}".rstrip("0").rstrip(".")
    return short if Fraction(short) == value else f"{value.numerator}/{value.denominator}"


def is_short(value: Fraction) -> bool:
    """Whether :func:`ratio` writes it as a short decimal."""
    return "/" not in ratio(value)


def rate(value: Fraction) -> str:
    """An error rate with at most three decimals: ``0.333``, ``0.5``."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """``1 trial``, ``2 trials``, ``1,200 trials``."""
    return f"{number_of:,} {noun if number_of == 1 else plural or noun + 's'}"


def listing(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def _chunks(word: str) -> Iterable[str]:
    return (word[start : start + UNBROKEN // 2] for start in range(0, len(word), UNBROKEN // 2))
