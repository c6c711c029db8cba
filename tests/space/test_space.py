"""What a good grid file means: order, sharing, needs, conditions, overrides, YAML as people write it."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from space.bad_files import HEAD, group, one
from space.conftest import Load

from sweep.errors import BadInputError
from sweep.revision import revisions
from sweep.space.resolve import needed_first
from sweep.trial import Space, field_value


def column(space: Space, *fields: str) -> list[tuple[object, ...]]:
    return [tuple(field_value(trial.spec, field) for field in fields) for trial in space.trials]


# Order and sharing


def test_axes_multiply_and_the_last_runs_fastest(load: Load) -> None:
    space = load(one("grid: {noise.ratio: [1, 0.5], seed: [0, 1]}"))
    assert column(space, "noise.ratio", "seed") == [(1, 0), (1, 1), (Fraction(1, 2), 0), (Fraction(1, 2), 1)]
    assert (space.name, len({trial.id for trial in space.trials})) == ("bad", 4)


def test_zipped_lists_move_together_and_bundles_multiply(load: Load) -> None:
    space = load(one("zip: [{batch.size: [8, 16], learning_rate: [0.1, 0.2]}, {seed: [0, 1]}]"))
    expected = [(8, 0.1, 0), (8, 0.1, 1), (16, 0.2, 0), (16, 0.2, 1)]
    assert column(space, "batch.size", "learning_rate", "seed") == expected


def test_what_is_needed_stands_before_what_needs_it_though_later_in_the_file(load: Load) -> None:
    cells = group("grid: {seed: [0, 1]}\nneeds: {judge: {group: judges, match: [seed]}}", name="cells")
    judges = group("grid: {seed: [0, 1, 2]}", fields="model: large", name="judges", whole=LARGE)
    space = load(HEAD + cells + judges)
    order = [(trial.group, trial.spec.seed) for trial in space.trials]
    assert order == [("judges", 0), ("cells", 0), ("judges", 1), ("cells", 1), ("judges", 2)]
    assert None not in revisions(space.trials, None).values()


LARGE = "{model: large, dataset: toy, budget.samples: 640}"


def test_without_needs_the_order_is_that_of_the_file(load: Load) -> None:
    space = load(HEAD + group(name="b", fields="seed: 2") + group(name="a", fields="seed: 1"))
    assert [(trial.group, trial.spec.seed) for trial in space.trials] == [("b", 2), ("a", 1)]


def test_a_shared_trial_is_listed_once_under_the_first_group_of_the_file_with_its_claim(load: Load) -> None:
    first = group("grid: {seed: [0, 1]}\nresources: {cpu: 2}\nneeds: {}", name="first")
    second = group("grid: {seed: [1, 2]}\nresources: {cpu: 4}", name="second")
    user = group("needs: {judge: {group: second, where: {seed: 1}}}", name="user", whole=LARGE)
    for text in (first + second + user, user + first + second):
        space = load(HEAD + text)
        listed = [(t.group, t.spec.seed, t.claim.cpu) for t in space.trials if t.spec.model == "noop"]
        assert sorted(listed) == [("first", 0, 2.0), ("first", 1, 2.0), ("second", 2, 4.0)]
        assert len(space.trials) == 4


def test_a_chain_of_needs_as_long_as_a_file_allows(load: Load) -> None:
    text = "".join(
        group(f"needs: {{judge: {{group: g{n + 1}}}}}" if n < 1099 else "", name=f"g{n}") for n in range(1100)
    )
    space = load(HEAD + text)
    position = {trial.id: index for index, trial in enumerate(space.trials)}
    assert space.trials[0].group == "g1099"
    assert all(position[other] < position[trial.id] for trial in space.trials for other in trial.needs.values())
    assert [trial.id for trial in space.trials] == [t.id for t in needed_first({t.id: t for t in space.trials})]


# Needs


def test_needs_match_dotted_fields_and_where(load: Load) -> None:
    judges = group("grid: {noise.ratio: [0, 1/2], batch.size: [8, 16]}", name="judges")
    cells = group(
        "grid: {noise.rate: [0, 1/3]}\nneeds: {judge: {group: judges, match: [noise.ratio], where: {batch.size: 16}}}",
        name="cells",
        whole=LARGE,
    )
    space = load(HEAD + judges + cells)
    by_id = {trial.id: trial for trial in space.trials}
    found = [(by_id[t.needs["judge"]].spec, t.spec) for t in space.trials if t.group == "cells"]
    assert [(j.noise.ratio, j.batch.size) for j, _ in found] == [(0, 16), (Fraction(1, 2), 16)]
    assert all(judge.noise == cell.noise for judge, cell in found)


def test_needs_match_on_a_rate(load: Load) -> None:
    judges = group("grid: {noise.ratio: [0.5, 1]}", name="judges")
    cells = group(
        "grid: {noise.rate: [1/3, 0.5]}\nneeds: {judge: {group: judges, match: [noise.rate]}}",
        name="cells",
        fields="seed: 5",
    )
    space = load(HEAD + judges + cells)
    assert [t.group for t in space.trials] == ["judges", "judges", "cells", "cells"]


def test_a_key_that_the_other_family_lacks_is_refused(load: Load) -> None:
    pictures = (
        "  - name: pictures\n    family: classifier\n    set: {model: small_cnn, dataset: digits, budget.samples: 10}\n"
    )
    with pytest.raises(BadInputError, match=r":9: needs.judge.match: group 'pictures': unknown key 'sleep_seconds'"):
        load(HEAD + pictures + group("needs: {judge: {group: pictures, match: [sleep_seconds]}}"))


# Conditions


@pytest.mark.parametrize("value", ["0.5", "1/2", '"1/2"', "5e-1", '"0.5"', "[0.5]", "[3, 0.50]"])
def test_exclude_compares_ratios_as_numbers(load: Load, value: str) -> None:
    space = load(one(f"grid: {{noise.ratio: [0, 0.5, 1]}}\nexclude: [{{noise.ratio: {value}}}]"))
    assert column(space, "noise.ratio") == [(0,), (1,)]


def test_conditions_on_the_rate_take_fractions(load: Load) -> None:
    space = load(one("grid: {noise.ratio: [0, 0.5, 1]}\nwhen: [{noise.rate: 1/3}, {noise.rate: 0}]"))
    assert column(space, "noise.ratio") == [(0,), (Fraction(1, 2),)]


def test_when_and_exclude_together(load: Load) -> None:
    axes = "grid: {batch.size: [8, 16], seed: [0, 1, 2]}"
    space = load(one(f"{axes}\nwhen: [{{batch.size: 8}}, {{seed: 0}}]\nexclude: [{{batch.size: 8, seed: [1, 2]}}]"))
    assert column(space, "batch.size", "seed") == [(8, 0), (16, 0)]


def test_conditions_reach_defaults_that_no_axis_names(load: Load) -> None:
    space = load(one("grid: {seed: [0, 1]}\nwhen: [{budget.rule: scaled, fail_at: null}]"))
    assert len(space.trials) == 2


# Clean cells


LAWS = "grid: {noise.law: [uniform_wrong, next_class], noise.refresh: [fresh, frozen], noise.ratio: [0, 1]}"


def test_clean_cells_of_several_laws_are_one_trial(load: Load) -> None:
    space = load(one(LAWS))
    assert column(space, "noise.ratio", "noise.law", "noise.refresh") == [
        (0, "uniform_wrong", "fresh"),
        (1, "uniform_wrong", "fresh"),
        (1, "uniform_wrong", "frozen"),
        (1, "next_class", "fresh"),
        (1, "next_class", "frozen"),
    ]


@pytest.mark.parametrize(
    ("condition", "laws"),
    [
        ("exclude: [{noise.law: uniform_wrong}]", [(0, "uniform_wrong"), (1, "next_class")]),
        ("exclude: [{noise.law: next_class}]", [(0, "uniform_wrong"), (1, "uniform_wrong")]),
        ("when: [{noise.law: next_class}]", [(0, "uniform_wrong"), (1, "next_class")]),
        ("exclude: [{noise.law: next_class, noise.ratio: 1}]", [(0, "uniform_wrong"), (1, "uniform_wrong")]),
        ("exclude: [{noise.ratio: 0}]", [(1, "uniform_wrong"), (1, "next_class")]),
    ],
)
def test_conditions_see_the_law_of_a_clean_cell_as_the_grid_wrote_it(
    load: Load, condition: str, laws: list[tuple[object, ...]]
) -> None:
    space = load(one(f"grid: {{noise.law: [uniform_wrong, next_class], noise.ratio: [0, 1]}}\n{condition}"))
    assert column(space, "noise.ratio", "noise.law") == laws


def test_a_clean_cell_needs_no_map(load: Load) -> None:
    shift = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    space = load(one(f"grid: {{noise.ratio: [0, 1]}}\nzip: {{noise.law: [confusion], noise.map: [{shift}]}}"))
    assert column(space, "noise.law", "noise.map") == [("uniform_wrong", None), ("confusion", tuple(shift))]


# Overrides


def test_set_replaces_fixed_fields_axes_and_lists_of_a_bundle(load: Load) -> None:
    text = one("grid: {seed: [0, 1]}\nzip: [{batch.size: [8, 8], learning_rate: [0.1, 0.2]}, {sleep_seconds: [1, 2]}]")
    space = load(text, {"seed": 7, "learning_rate": 0.5, "sleep_seconds": 0, "budget.samples": 10})
    fields = ("seed", "learning_rate", "sleep_seconds", "budget.samples", "batch.size")
    assert column(space, *fields) == [(7, 0.5, 0.0, 10, 8)]


@pytest.mark.parametrize("override", [{"noise.rate": "1/3"}, {"noise.ratio": 0.5}])
def test_set_of_a_ratio_replaces_a_rate_and_the_other_way_round(load: Load, override: dict[str, object]) -> None:
    for given in ("noise.ratio: [0, 1]", "noise.rate: [0, 0.5]"):
        assert column(load(one(f"grid: {{{given}}}"), override), "noise.ratio") == [(Fraction(1, 2),)]


def test_set_reaches_nested_fields_and_every_group(load: Load) -> None:
    text = HEAD + group(fields="noise: {ratio: 1, law: next_class}", name="a") + group(name="b", fields="seed: 1")
    space = load(text, {"noise.ratio": 2})
    assert column(space, "noise.ratio", "noise.law") == [(2, "next_class"), (2, "uniform_wrong")]


def test_set_is_the_same_trial_as_the_file_that_says_so(load: Load) -> None:
    assert load(one("grid: {seed: [0, 1]}"), {"seed": 3}).trials[0].id == load(one(fields="seed: 3")).trials[0].id


# YAML as people write it


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: (text + "# \u00fc \u4f60 \U0001f600\n").encode(),
        lambda text: ("---\n" + text + "...\n").encode(),
    ],
    ids=["bom", "crlf", "cr", "no_end", "unicode", "markers"],
)
def test_the_bytes_of_a_file_do_not_matter(load: Load, change: object) -> None:
    text = one("grid: {seed: [0, 1]}")
    assert callable(change)
    assert [t.id for t in load(change(text)).trials] == [t.id for t in load(text).trials]


def test_aliases_and_merges(load: Load) -> None:
    plain = load(HEAD + group("grid: {seed: [0, 1]}", fields="batch.size: 8") + group(name="b", fields="seed: 5"))
    merged = load(
        HEAD
        + group("grid: {<<: {seed: [7]}, seed: &seeds [0, 1]}", whole="&a {<<: &base " + SET + ", batch.size: 8}")
        + group("", name="b", whole="{<<: [{seed: 5}, *a], batch.size: 64}")
    )
    assert [t.id for t in merged.trials] == [t.id for t in plain.trials]


SET = "{model: noop, dataset: toy, budget.samples: 640}"


def test_a_mapping_with_a_merge_may_be_used_twice(load: Load) -> None:
    whole = "{<<: {model: noop, seed: 1}, dataset: toy, budget.samples: 9, seed: 3}"
    text = HEAD + group(whole=f"&s {whole}") + group(name="b", whole="*s", more="grid: {batch.size: [8]}")
    assert column(load(text), "seed") == [(3,), (3,)]


@pytest.mark.parametrize("value", ["6e-4", "0.0006", ".0006", "6.0e-04", "+6E-4"])
def test_numbers_are_those_of_yaml_1_2(load: Load, value: str) -> None:
    assert column(load(one(fields=f"learning_rate: {value}")), "learning_rate") == [(0.0006,)]


def test_text_that_yaml_1_1_would_change_stays_text(load: Load) -> None:
    for text in ("no", "1:30", "0x10", "1_000", "2026-01-01"):
        assert column(load(one(fields=f"once: {text}, fail_at: 1")), "once") == [(text,)]


def test_about_and_source(load: Load) -> None:
    space = load("about: why \u2013 because\n" + one())
    assert space.about == "why \u2013 because"
    assert space.source.endswith("grid.yaml")


# Size


def test_four_thousand_cells_are_resolved_in_a_second(load: Load) -> None:
    seeds = list(range(200))
    axes = f"grid: {{noise.ratio: [0, 0.1, 0.3, 0.5, 1], batch.multiplier: [1, 2, 4, 8], seed: {seeds}}}"
    judges = group(f"grid: {{seed: {seeds}}}", name="judges", whole=LARGE)
    text = HEAD + group(axes + "\nneeds: {judge: {group: judges, match: [seed]}}", name="cells") + judges
    before = time.process_time()
    space = load(text)
    found = revisions(space.trials, None)
    took = time.process_time() - before
    assert len(space.trials) == len(found) == 4200
    assert took < 4, f"{took:.2f} s of processor time; 0.5 s was measured, and a plan is to take less than 2 s"
