"""The cells of a group: the product of its axes, less what conditions drop, against brute force."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.space.resolve import resolve
from sweep.space.source import parse
from sweep.trial import Space, field_value
from trainers.spec import exact

SET = {"model": "noop", "dataset": "toy", "budget.samples": 640}
VALUES: dict[str, list[Any]] = {
    "seed": [0, 1, 2],
    "batch.size": [8, 16, 32],
    "learning_rate": [0.1, 0.01, 1],
    "noise.ratio": [0, "1/3", 0.5],
    "budget.rule": ["scaled", "fixed"],
    "fail_at": [None, 5],
}
FIELDS = sorted(VALUES)

AXES = st.dictionaries(st.sampled_from(FIELDS), st.integers(1, 3), max_size=4).map(
    lambda sizes: {field: VALUES[field][:size] for field, size in sizes.items()}
)
CONDITIONS = st.lists(
    st.lists(st.sampled_from(FIELDS), min_size=1, max_size=2, unique=True).flatmap(
        lambda fields: st.fixed_dictionaries(
            {f: st.lists(st.sampled_from(VALUES[f]), min_size=1, max_size=2, unique_by=repr) for f in fields}
        )
    ),
    max_size=3,
)


def space_of(**more: Any) -> Space:
    """A file of one group, written as JSON, which is YAML."""
    group = {"name": "g", "family": "toy", "set": SET, **more}
    return resolve(parse(json.dumps({"name": "n", "groups": [group]}), "grid.yaml"), {})


def held(field: str, value: Any) -> Any:
    return exact(value) if field == "noise.ratio" else value


def fits(cell: dict[str, Any], condition: dict[str, list[Any]]) -> bool:
    return all(cell[field] in [held(field, value) for value in values] for field, values in condition.items())


DEFAULTS = {
    "seed": 0,
    "batch.size": 64,
    "learning_rate": 0.001,
    "noise.ratio": Fraction(0),
    "budget.rule": "scaled",
    "fail_at": None,
}


def brute(axes: dict[str, list[Any]], when: list[Any], exclude: list[Any]) -> list[tuple[Any, ...]]:
    cells = []
    for values in itertools.product(*axes.values()):
        cell = {**DEFAULTS, **{field: held(field, value) for field, value in zip(axes, values, strict=True)}}
        if when and not any(fits(cell, one) for one in when):
            continue
        if not any(fits(cell, one) for one in exclude):
            cells.append(tuple(cell[field] for field in FIELDS))
    return cells


@settings(max_examples=200)
@given(axes=AXES, when=CONDITIONS, exclude=CONDITIONS)
def test_cells_are_the_product_less_what_conditions_drop(
    axes: dict[str, list[Any]], when: list[Any], exclude: list[Any]
) -> None:
    expected = brute(axes, when, exclude)
    if not expected:
        when = exclude = []
        expected = brute(axes, when, exclude)
    space = space_of(grid=axes, when=when, exclude=exclude)
    assert [tuple(field_value(t.spec, field) for field in FIELDS) for t in space.trials] == expected


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=6, unique=True))
def test_zipped_lists_give_their_rows(rows: list[tuple[int, int]]) -> None:
    space = space_of(zip=[{"seed": [a for a, _ in rows], "batch.size": [b for _, b in rows]}])
    assert [(t.spec.seed, t.spec.batch.size) for t in space.trials] == rows


@settings(max_examples=60)
@given(
    axes=AXES,
    order=st.randoms(use_true_random=False),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True),
)
def test_ids_do_not_depend_on_order_names_or_resources(axes: dict[str, list[Any]], order: Any, name: str) -> None:
    plain = space_of(grid=axes)
    shuffled = {
        field: order.sample(values, len(values)) for field, values in order.sample(sorted(axes.items()), len(axes))
    }
    fixed = dict(order.sample(sorted(SET.items()), len(SET)))
    other = space_of(grid=shuffled, set=fixed, name=name, resources={"cpu": 2, "gpu": 0}, about=name)
    assert {t.id: t.canonical for t in plain.trials} == {t.id: t.canonical for t in other.trials}


@settings(max_examples=60)
@given(field=st.sampled_from(FIELDS), index=st.integers(0, 2), data=st.data())
def test_set_grid_zip_and_override_are_ways_to_say_the_same(field: str, index: int, data: Any) -> None:
    value = VALUES[field][index % len(VALUES[field])]
    section, _, leaf = field.rpartition(".")
    nested = {section: {leaf: value}} if section else {leaf: value}
    group = {"name": "g", "family": "toy", "set": SET}
    override = resolve(parse(json.dumps({"name": "n", "groups": [group]}), "x"), {field: value})
    ways = [
        space_of(set={**SET, field: value}),
        space_of(set={**SET, **nested}),
        space_of(grid={field: [value]}),
        space_of(zip={field: [value]}),
        override,
    ]
    assert len({space.trials[0].id for space in ways}) == 1
