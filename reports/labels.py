"""What tells panels and noises apart, in few words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction

from reports import text
from reports.fields import RATIO, Named
from reports.needs import PREFIX

FIELDS_SHOWN = 3  # of those that differ, own ones and those of each role
#: How a need reads, by role; others by their name.
ROLES = {
    "pretrained": "pre-trained", "model": "weights", "teacher": "teacher", "judge": "judge",
    "second_judge": "second judge",
}  # fmt: skip
WITHOUT = {
    "pretrained": "not pre-trained", "model": "random weights", "judge": "no judge", "second_judge": "no second judge",
}  # fmt: skip
VARIANTS = {
    ("unit", '"example"'): "whole sequences",
    ("corrupt", '"stream"'): "inputs too",
}


def difference(mine: Named, all_of_them: Sequence[Named]) -> str:
    """The fields of a configuration in which it differs from any other, as words; "" where all are alike."""
    rivals = [dict(other) for other in all_of_them]
    own = dict(mine)
    odd = [name for name in sorted(set().union(*rivals)) if len({rival.get(name) for rival in rivals}) > 1]
    plain = [name for name in odd if not name.startswith(PREFIX)]
    told = [f"{text.clean(name, 40)} {value(own.get(name, ABSENT))}" for name in plain[:FIELDS_SHOWN]]
    for role in dict.fromkeys(_role(name) for name in odd if name.startswith(PREFIX)):
        here = [name for name in odd if name.startswith(PREFIX) and _role(name) == role]
        if any(_role(name) == role for name in own if name.startswith(PREFIX)):
            start = f"{PREFIX}{role}"
            words = [(name.removeprefix(start).removeprefix("."), own[name]) for name in here if name in own]
            told.append(role_words(role, words))
        else:
            told.append(WITHOUT.get(role, f"without {text.clean(role, 24)}"))
    return ", ".join(told)


def role_words(role: str, fields: Iterable[tuple[str, str]]) -> str:
    """What fills a role: ``pre-trained on python-source, r = 1``; ``pre-trained by 0123abcd`` for an unknown id."""
    told = sorted((_ordered(name), *_told(name, value(found))) for name, found in fields)
    words = [phrase for _, _, phrase in told][:FIELDS_SHOWN]
    named = ROLES.get(role, text.clean(role, 24))
    return f"{named} {', '.join(words)}" if words else named


def variant(fields: Named) -> list[str]:
    """What a noise has beside law, map and refresh, as phrases."""
    told, teacher = [], []
    for name, found in fields:
        if name == "teacher" or name.startswith("teacher."):
            teacher.append((name.removeprefix("teacher").removeprefix("."), found))
        else:
            told.append(VARIANTS.get((name, found), f"{text.clean(name, 40)} {value(found)}"))
    return told + ([role_words("teacher", teacher)] if teacher else [])


ABSENT = '"absent"'


def value(found: str) -> str:
    """A field's JSON for people: a text without its quotes, ``none`` for null."""
    bare = json.loads(found)
    return text.clean(bare if isinstance(bare, str) else "none" if bare is None else found, 24)


def _role(name: str) -> str:
    return name.removeprefix(PREFIX).partition(".")[0]


#: Fields of a needed trial that say most about it, in the order in which they are told.
FIRST = ("", "dataset", "model", "noise.ratio", "budget.samples")


def _ordered(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)


def _told(name: str, shown: str) -> tuple[str, str]:
    if name == "":
        return name, f"by {shown}"
    if name == "dataset":
        return name, f"on {shown.partition('@')[0]}"
    if name == "noise.ratio" and RATIO.fullmatch(shown):
        return name, f"r = {text.ratio(Fraction(shown))}"
    if name == "budget.samples" and shown.isdigit():
        return name, f"{int(shown):,} samples"
    return name, f"{text.clean(name, 40)} {shown}"
