"""A part of a data set, as a grid asks for it: refused with its line where there is none, its noise checked on it."""

from __future__ import annotations

import pytest

from sweep.errors import BadInputError
from sweep.space.resolve import resolve
from sweep.space.source import parse

GRID = """\
name: parts
groups:
  - name: all
    family: classifier
    set: {{model: mlp, dataset: digits, budget.samples: 64, noise.ratio: 1, {set}}}
    grid: {{{grid}}}
"""


def trials(set_: str, grid: str) -> int:
    return len(resolve(parse(GRID.format(set=set_, grid=grid), "parts.yaml"), {}).trials)


def test_parts_are_trials_of_their_own() -> None:
    assert trials("seed: 0", "subset.classes: [null, 5, 10], subset.images: [null, 100]") == 6


@pytest.mark.parametrize(
    ("set_", "grid", "message"),
    [
        ("seed: 0", "subset.classes: [5, 11]", "parts.yaml:6: subset.classes is 11, and the data set has 10"),
        ("subset.images: 2000", "seed: [0]", "parts.yaml:5: subset.images is 2000, and the data set has 1437"),
        ("subset.images: 1", "seed: [0]", "parts.yaml:5: subset.images = 1: the number must be at least 2"),
        # A map that fits the part of the first cell does not fit that of the second.
        (
            "noise.law: confusion, noise.map: [1, 2, 3, 0]",
            "subset.classes: [4, 5]",
            "parts.yaml:5: .*noise.map.*5",
        ),
    ],
)
def test_a_part_that_cannot_be_is_refused_with_its_line(set_: str, grid: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        trials(set_, grid)


def test_a_map_is_one_of_the_part() -> None:
    assert trials("noise.law: confusion, noise.map: [1, 2, 3, 0]", "subset.classes: [4]") == 1
