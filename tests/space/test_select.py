"""``--where``: the trials that match, and what they need."""

from __future__ import annotations

from typing import Any

import pytest
from space.bad_files import HEAD, group
from space.conftest import Load

from sweep.errors import BadInputError
from sweep.space.select import select
from sweep.trial import Space

LARGE = "{model: large, dataset: toy, budget.samples: 640}"
GRID = "grid: {noise.ratio: [0, 0.5, 1], seed: [0, 1]}"
PICTURES = "  - {name: pictures, family: classifier, set: {model: small_cnn, dataset: digits, budget.samples: 10}}\n"


@pytest.fixture
def space(load: Load) -> Space:
    cells = group(f"{GRID}\nneeds: {{judge: {{group: judges, match: [seed]}}}}", name="cells")
    return load(HEAD + cells + group("grid: {seed: [0, 1, 2]}", name="judges", whole=LARGE))


def listed(space: Space) -> list[tuple[str, float, int]]:
    return [(trial.group, float(trial.spec.noise.ratio), trial.spec.seed) for trial in space.trials]


@pytest.mark.parametrize("value", ["1/2", "0.5", 0.5, "5e-1", "2/4"])
def test_matches_and_what_they_need_in_the_order_of_the_space(space: Space, value: Any) -> None:
    chosen = select(space, {"noise.ratio": [value]})
    assert listed(chosen) == [("judges", 0, 0), ("judges", 0, 1), ("cells", 0.5, 0), ("cells", 0.5, 1)]
    assert [t for t in space.trials if t in chosen.trials] == list(chosen.trials)


def test_values_of_one_field_are_alternatives_and_fields_add_up(space: Space) -> None:
    chosen = select(space, {"noise.rate": ["1/3", "0.5"], "seed": ["1"], "model": ["noop"]})
    assert listed(chosen) == [("judges", 0, 1), ("cells", 0.5, 1), ("cells", 1, 1)]


def test_group_id_and_family(space: Space) -> None:
    assert listed(select(space, {"group": ["judges"]})) == [("judges", 0, n) for n in range(3)]
    last = space.trials[-1]
    assert [trial.id for trial in select(space, {"id": [last.id]}).trials if trial.id == last.id] == [last.id]
    assert select(space, {"family": ["toy"]}) == space


def test_nothing_asked_is_the_whole(space: Space) -> None:
    assert select(space, {}) == space


def test_a_field_of_one_family_leaves_the_others_out(load: Load) -> None:
    space = load(HEAD + PICTURES + group(fields="sleep_seconds: 1"))
    assert [trial.group for trial in select(space, {"sleep_seconds": ["1"]}).trials] == ["g"]
    assert [trial.group for trial in select(space, {"dataset": ["digits"]}).trials] == ["pictures"]


def test_null_and_missing_fields_are_not_the_same(load: Load) -> None:
    space = load(HEAD + PICTURES + group())
    assert [trial.group for trial in select(space, {"fail_at": ["null"]}).trials] == ["g"]


@pytest.mark.parametrize(
    ("wanted", "fragments"),
    [
        ({"sed": ["1"]}, ("--where sed", "unknown field 'sed'", "did you mean 'seed'?", "group, id")),
        ({"seed": ["7"]}, ("--where seed", "no trial of", "has seed = 7", "there are 0, 1, 2")),
        ({"seed": ["x"]}, ("--where seed", "seed = 'x'", "whole number")),
        ({"noise.ratio": ["half"]}, ("--where noise.ratio", "'half'", "1/3")),
        ({"noise.ratio": ["1/4"]}, ("has noise.ratio = 1/4", "there are 0, 1, 1/2")),
        ({"noise.law": ["next_clas"]}, ("unknown noise.law 'next_clas'", "did you mean 'next_class'?")),
        ({"group": ["judge"]}, ("no trial of", "group = judge", "there are cells, judges")),
        ({"id": ["0" * 16]}, ("no trial of", "and 1 more")),
        (
            {"group": ["judges"], "noise.ratio": ["1"]},
            ("group = judges and noise.ratio = 1 together", "drop a condition"),
        ),
        ({"model": ["["]}, ("--where model", "unknown model '['")),
    ],
)
def test_what_no_trial_has_is_refused(space: Space, wanted: dict[str, list[Any]], fragments: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError) as caught:
        select(space, wanted)
    assert not [fragment for fragment in fragments if fragment not in str(caught.value)], str(caught.value)
