"""Specifications as flat fields: dotted name -> canonical JSON of the value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction

Fields = Mapping[str, str]
Named = tuple[tuple[str, str], ...]  # fields in order of their names

#: As the canonical JSON writes a ratio. Longer digits, or an exponent, could take for ever to read.
RATIO = re.compile(r"\d{1,18}(/[1-9]\d{0,17})?")

#: Fields of the noise that are axes or columns of their own.
NOISE_COLUMNS = frozenset({"noise.law", "noise.ratio", "noise.refresh", "noise.map"})
#: What other fields of the noise say where they say nothing: token by token, on targets alone, no value.
NEUTRAL = {"noise.unit": '"token"', "noise.corrupt": '"targets"'}


def read(spec: str | None) -> dict[str, str]:
    """The fields of a specification's JSON; nothing where there is none that can be read."""
    try:
        return dict(_flat(json.loads(spec or "")))
    except (ValueError, RecursionError):
        return {}


def noise_variant(fields: Fields) -> Named:
    """What a noise has beside law, ratio, refresh and map, without ``noise.`` and without neutral values."""
    found = (
        (name.removeprefix("noise."), value)
        for name, value in fields.items()
        if name.startswith("noise.") and name not in NOISE_COLUMNS
        if value not in ("null", NEUTRAL.get(name))
    )
    return tuple(sorted(found))


def mapping(fields: Fields) -> str:
    """The JSON of the noise's map; "" for none."""
    found = fields.get("noise.map", "null")
    return "" if found == "null" else found


def word(fields: Fields, name: str) -> str:
    """A field's text; "" where it is absent or no text."""
    value = json.loads(fields.get(name, "null"))
    return value if isinstance(value, str) else ""


def renamed(fields: Fields, names: Mapping[str, str]) -> dict[str, str]:
    """The fields with another name for the data set, where ``names`` has one."""
    name = names.get(word(fields, "dataset"))
    return dict(fields) if name is None else {**fields, "dataset": json.dumps(name)}


def whole(fields: Fields, name: str) -> int | None:
    """A field's whole number of at most 18 digits; None where it is absent or anything else."""
    value = fields.get(name, "")
    return int(value) if value.isdigit() and len(value) < 19 else None


def ratio(fields: Fields) -> Fraction | None:
    """The noise ratio; None where there is none that can be read."""
    # A plug-in's canonical JSON may hold a whole ratio as a number: both forms read the same without quotes.
    bare = fields.get("noise.ratio", "").strip('"')
    return Fraction(bare) if RATIO.fullmatch(bare) else None


def _flat(spec: object, prefix: str = "") -> list[tuple[str, str]]:
    """Dotted field -> canonical JSON of its value; empty mappings vanish.

    Raises:
        ValueError: ``spec`` is no mapping.
    """
    if not isinstance(spec, dict):
        raise ValueError("a specification is a mapping")  # noqa: TRY004
    found: list[tuple[str, str]] = []
    for name, value in spec.items():
        if isinstance(value, dict):
            found.extend(_flat(value, f"{prefix}{name}."))
        else:
            found.append((f"{prefix}{name}", json.dumps(value, sort_keys=True, separators=(",", ":"))))
    return found
