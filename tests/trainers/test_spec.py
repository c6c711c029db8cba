"""Specifications: exact ratios, budgets, what is refused, and ids that follow from the science alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from trainers.spec import (
    MAX_RATIO,
    BatchSpec,
    Fields,
    NoiseSpec,
    TrialSpec,
    canonical_json,
    exact,
    exact_ratio,
    later,
    ratio_from_rate,
    trial_id,
)

FIELDS: dict[str, Any] = {
    "family": "toy",
    "model": "noop",
    "dataset": "toy",
    "noise": {"law": "next_class", "ratio": "1/2", "refresh": "frozen"},
    "batch": {"size": 8, "multiplier": 2},
    "budget": {"samples": 100, "rule": "fixed"},
    "seed": 3,
}


def spec(**changes: Any) -> TrialSpec:
    return TrialSpec.model_validate({**FIELDS, **changes})


# Exact numbers


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, Fraction(1, 10)),
        (0.09090909, Fraction(9090909, 10**8)),
        ("1/3", Fraction(1, 3)),
        ("2/6", Fraction(1, 3)),
        ("1e-3", Fraction(1, 1000)),
        (1e-05, Fraction(1, 100_000)),
        ("+.5", Fraction(1, 2)),
        (7, Fraction(7)),
        (-0.0, Fraction(0)),
        (Fraction(3, 4), Fraction(3, 4)),
    ],
)
def test_a_number_is_the_decimal_that_was_written(value: object, number: Fraction) -> None:
    assert exact(value) == number


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        [],
        "",
        "a",
        "1/0",
        "1//2",
        " 1",
        "1_0",
        "1/-2",
        "\u0661",
        "1" * 31,
        "1e999",
        "inf",
        float("nan"),
        1e-30,
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"expected|finite|decimals"):
        exact(value)


@given(st.fractions(0, 1, max_denominator=10**6).filter(lambda e: e < 1))
def test_ratio_and_rate_are_inverse(rate: Fraction) -> None:
    ratio = ratio_from_rate(rate)
    assert ratio / (1 + ratio) == rate
    assert NoiseSpec(ratio=ratio).rate == rate == NoiseSpec.model_validate({"rate": str(rate)}).rate


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, "1", Fraction(MAX_RATIO + 1, MAX_RATIO + 2)])
def test_rates_out_of_range_are_refused(rate: object) -> None:
    with pytest.raises(ValueError, match=r"below 1|at most 1,000,000"):
        ratio_from_rate(rate)


@pytest.mark.parametrize("ratio", [-1, "-1/3", MAX_RATIO + 1, 10**4000])
def test_ratios_out_of_range_are_refused(ratio: object) -> None:
    with pytest.raises(ValueError, match=r"0 or more|at most 1,000,000"):
        exact_ratio(ratio)


def test_ratio_and_rate_together_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"either noise\.ratio or noise\.rate, not both"):
        NoiseSpec.model_validate({"ratio": 1, "rate": 0.5})


# Budgets


@pytest.mark.parametrize(
    ("ratio", "rule", "samples", "steps"),
    [
        (0, "scaled", 100, 7),
        (1, "scaled", 200, 13),
        ("1/3", "scaled", 134, 9),  # 133.3 samples: the part of one is trained, not dropped
        (0.1, "scaled", 110, 7),
        (1, "fixed", 100, 7),
    ],
)
def test_budgets_are_in_samples_and_steps_follow(ratio: object, rule: str, samples: int, steps: int) -> None:
    one = spec(noise={"ratio": ratio}, budget={"samples": 100, "rule": rule}, batch={"size": 8, "multiplier": 2})
    assert (one.samples, one.steps, one.batch.total) == (samples, steps, 16)


@given(st.integers(1, 10**12), st.fractions(0, MAX_RATIO, max_denominator=10**6), st.integers(1, 64), st.integers(1, 9))
def test_a_multiplier_divides_steps_never_samples(base: int, ratio: Fraction, size: int, multiplier: int) -> None:
    changes = {"noise": {"ratio": ratio}, "budget": {"samples": base}}
    one, many = (spec(**changes, batch={"size": size, "multiplier": m}) for m in (1, multiplier))
    assert one.samples == many.samples < 2**63
    assert (many.steps - 1) * size * multiplier < many.samples <= many.steps * size * multiplier
    assert 0 <= one.samples - base * (1 + ratio) < 1


# No silent conversions


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": "3"},
        {"seed": 3.0},
        {"seed": True},
        {"seed": -1},
        {"seed": 2**32},
        {"batch": {"size": 64.0}},
        {"batch": {"size": 0}},
        {"budget": {"samples": 10**12 + 1}},
        {"model": 5},
        {"noise": {"refresh": "Fresh"}},
        {"noise": {"map": [True, False], "ratio": 1}},
        {"noise": {"map": ["1"], "ratio": 1}},
        {"noise": {"map": "10", "ratio": 1}},
        {"needs": {"judge": 5}},
        {"unknown": 1},
    ],
)
def test_values_of_another_type_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)


def test_a_whole_number_serves_as_a_number_and_a_list_as_a_tuple() -> None:
    assert NoiseSpec.model_validate({"ratio": 1, "map": [[1, 0], [0.5, 0.5]]}).map == ((1.0, 0.0), (0.5, 0.5))
    assert NoiseSpec.model_validate({"ratio": 1, "map": [1, 0]}).map == (1, 0)


def test_a_specification_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().noise.ratio = Fraction(1)  # type: ignore[misc]


# Clean trials


@pytest.mark.parametrize("ratio", [0, 0.0, "0", "0/7", -0.0])
def test_a_clean_trial_has_no_law(ratio: object) -> None:
    written = {"law": "confusion", "refresh": "frozen", "map": [1, 0], "ratio": ratio}
    assert NoiseSpec.model_validate(written) == NoiseSpec()
    assert trial_id(spec(noise=written), "1") == trial_id(spec(noise={}), "1")
    assert NoiseSpec(law="confusion", ratio=Fraction(0), map=(1, 0)) == NoiseSpec(), "also when built by name"


def test_a_noisy_trial_keeps_its_law() -> None:
    laws: list[dict[str, Any]] = [
        {"law": "next_class"},
        {"law": "uniform_wrong"},
        {"law": "next_class", "refresh": "frozen"},
        {"map": [1, 0]},
    ]
    assert len({trial_id(spec(noise={"ratio": "1/100", **law}), "1") for law in laws}) == len(laws)


# Ids

NOISE = st.fixed_dictionaries(
    {"ratio": st.fractions(0, 10, max_denominator=50)},
    optional={
        "law": st.sampled_from(["uniform_wrong", "next_class", "confusion"]),
        "refresh": st.sampled_from(["fresh", "frozen"]),
        "map": st.one_of(
            st.none(),
            st.lists(st.integers(0, 9), min_size=1),
            st.lists(st.lists(st.floats(0, 1), min_size=1), min_size=1),
        ),
    },
)
SPECS = st.fixed_dictionaries(
    {
        "family": st.just("toy"),
        "model": st.text(min_size=1, max_size=5),
        "dataset": st.text(min_size=1, max_size=5),
        "budget": st.fixed_dictionaries({"samples": st.integers(1, 10**12)}),
        "noise": NOISE,
        "seed": st.integers(0, 2**32 - 1),
        "needs": st.dictionaries(
            st.sampled_from(["judge", "twin"]), st.text("0123456789abcdef", min_size=16, max_size=16)
        ),
    }
)


def shuffled(value: Any, flip: bool) -> Any:
    if not isinstance(value, dict):
        return value
    items = [(key, shuffled(item, flip)) for key, item in value.items()]
    return dict(reversed(items) if flip else items)


@given(SPECS)
def test_key_order_changes_no_id_and_json_gives_the_trial_back(fields: dict[str, Any]) -> None:
    one, other = (TrialSpec.model_validate(shuffled(fields, flip)) for flip in (False, True))
    assert canonical_json(one, "1") == canonical_json(other, "1")
    back = TrialSpec.model_validate_json(one.model_dump_json())
    assert back == one
    assert trial_id(back, "1") == trial_id(one, "1")
    assert json.loads(canonical_json(one, "1"))["dataset"] == f"{one.dataset}@1"


@given(SPECS, SPECS)
def test_ids_are_equal_exactly_where_specifications_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = TrialSpec.model_validate(one), TrialSpec.model_validate(other)
    assert (trial_id(first, "1") == trial_id(second, "1")) == (first == second)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 4},
        {"model": "large"},
        {"dataset": "digits"},
        {"noise": {**FIELDS["noise"], "ratio": "1/3"}},
        {"batch": {"size": 16, "multiplier": 1}},  # as many samples a step, said otherwise
        {"budget": {"samples": 100, "rule": "scaled"}},
        {"reading": "paper"},
        {"needs": {"judge": "0" * 16}},
    ],
)
def test_every_field_of_the_science_changes_the_id(changes: dict[str, Any]) -> None:
    assert trial_id(spec(**changes), "1") != trial_id(spec(), "1")


def test_the_version_of_the_data_changes_the_id() -> None:
    assert trial_id(spec(), "1") != trial_id(spec(), "2")


@pytest.mark.parametrize("values", [(0.5, "1/2", "0.5", "2/4", 5e-1, Fraction(1, 2)), (1, 1.0, "1", "3/3")])
def test_equal_ratios_are_one_id(values: tuple[object, ...]) -> None:
    assert len({trial_id(spec(noise={"ratio": value}), "1") for value in values}) == 1


class Optimiser(Fields):
    rate: Annotated[float, Field(ge=-1)] = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    decay: float = later(0.0)


class Rich(TrialSpec):
    optimiser: Optimiser = Optimiser()
    stages: tuple[Optimiser, ...] = ()
    tags: frozenset[str] = Field(default=frozenset(), strict=False)
    averaging: Optimiser = later(Optimiser())
    name_of_later: str | None = later(None)


def rich(**changes: Any) -> str:
    return canonical_json(Rich.model_validate({**FIELDS, **changes}), "1")


def test_equal_floats_are_one_text() -> None:
    assert rich(optimiser={"rate": 1e-3}) == rich(optimiser={"rate": 0.001}) == rich()
    assert rich(optimiser={"rate": 1}) == rich(optimiser={"rate": 1.0})
    assert rich(optimiser={"rate": 0.0}) == rich(optimiser={"rate": -0.0})
    assert rich(optimiser={"betas": [0.9, 0.95]}) == rich()


def test_fields_added_later_are_absent_at_their_neutral_value_wherever_they_are() -> None:
    text = rich(stages=[{"rate": 0.1, "decay": 0}, {"rate": 0.2, "decay": 0.5}])
    stages = json.loads(text)["stages"]
    assert stages == [{"betas": [0.9, 0.95], "rate": 0.1}, {"betas": [0.9, 0.95], "decay": 0.5, "rate": 0.2}]
    assert "averaging" not in text
    assert "name_of_later" not in text
    assert json.loads(rich(averaging={"rate": 0.5}))["averaging"] == {"betas": [0.9, 0.95], "rate": 0.5}
    assert json.loads(rich(name_of_later=""))["name_of_later"] == ""


def test_a_field_added_later_keeps_the_ids_of_before() -> None:
    class Before(TrialSpec):
        pass

    class After(TrialSpec):
        dropout: float = later(0.0)

    before, after = Before.model_validate(FIELDS), After.model_validate({**FIELDS, "dropout": 0})
    assert trial_id(before, "1") == trial_id(after, "1")
    assert trial_id(After.model_validate({**FIELDS, "dropout": 0.1}), "1") != trial_id(before, "1")


SETS = """
from trainers.spec import Fields, TrialSpec, canonical_json, trial_id
class Tagged(TrialSpec):
    tags: frozenset[str] = frozenset()
spec = Tagged(family="f", model="m", dataset="\\u00e9\\U0001f600", budget={"samples": 5}, seed=1,
              tags=frozenset({"a", "b", "c", "d", "e"}), needs={"twin": "1", "judge": "0"})
print(trial_id(spec, "1"), canonical_json(spec, "1"))
"""


def test_ids_do_not_depend_on_the_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SETS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "LC_ALL": "C"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().isascii()


def test_the_batch_is_bounded_so_that_its_product_fits_a_column() -> None:
    assert BatchSpec(size=10**9, multiplier=10**9).total < 2**63
    with pytest.raises(ValidationError):
        BatchSpec(size=10**9 + 1)
