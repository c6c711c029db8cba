"""Names of users' own data: a specification knows it by its content, people know it by the name that they gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

DIGITS = 8  # of a hash that tells two texts of one name apart


def own_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """``maker@version`` -> ``maker/NAME@version``, from pairs of a specification's data set and the name it was given.

    The version, a hash of the content, stays: what is arranged by it is arranged by content. Of several names of one
    content the first in the alphabet stands for all. Several contents of one name carry digits of their hash in it.
    """
    given: dict[str, set[str]] = defaultdict(set)
    for known, name in pairs:
        if name.startswith(f"{known.partition('@')[0]}/"):
            given[known].add(name)
    chosen = {known: min(names) for known, names in given.items()}
    contents: dict[str, set[str]] = defaultdict(set)
    for known, name in chosen.items():
        contents[name].add(known)
    found = {}
    for known, name in chosen.items():
        version = known.partition("@")[2]
        told = f"{name} {version[:DIGITS]}" if len(contents[name]) > 1 else name
        found[known] = f"{told}@{version}"
    return found
