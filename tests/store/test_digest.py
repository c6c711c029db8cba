"""The store digest: blind to how rows lie in files, sharp to every value of science."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.samples import REVISION, artifact, attempt_of, digest, event, metric, publish, trial

from sweep.store.compact import compact
from sweep.store.digest import store_digest
from sweep.store.read import read_table, tables
from sweep.store.schema import SCHEMAS, science_columns, to_table
from sweep.store.store import Store, create

FIXED = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def small() -> dict[str, list[dict[str, Any]]]:
    numbers = range(3)
    return {
        "trials": [trial(number) for number in numbers],
        "metrics": [metric(number, step=step) for number in numbers for step in (5, 10)],
        "attempts": [event(number, "done") for number in numbers],
        "artifacts": [artifact(number, b"x") for number in numbers],
        "checks": [],
    }


def of(rows: dict[str, list[dict[str, Any]]]) -> str:
    return store_digest({table: to_table(table, each) for table, each in rows.items()})


@FIXED
@given(st.randoms(use_true_random=False))
def test_order_duplicates_and_losers_change_nothing(chance: random.Random) -> None:
    want, rows = of(small()), small()
    for table, each in rows.items():
        each += chance.choices(each, k=4) if each else []  # read twice
        chance.shuffle(each)
        assert table in SCHEMAS
    late = trial(1, attempt_of(50), ended=rows["trials"][0]["ended"].replace(year=2030), realised_rate=0.1)
    rows["trials"].insert(chance.randrange(len(rows["trials"])), late)  # another had published it before
    rows["metrics"] += [metric(1, attempt_of(50), value=9.0), metric(2, attempt_of(60), value=9.0)]
    rows["artifacts"].append(artifact(7, b"of nobody"))
    rows["attempts"] = []
    assert of(rows) == want


def test_absent_tables_are_empty_ones() -> None:
    assert store_digest({}) == store_digest({table: schema.empty_table() for table, schema in SCHEMAS.items()})
    assert store_digest({}) != of(small())
    with pytest.raises(KeyError):
        store_digest({"trials": to_table("trials", [trial(1)]).drop_columns(["seed"])})


OTHER: dict[pa.DataType, Callable[[Any], Any]] = {
    pa.string(): lambda value: f"{value}x",
    pa.int64(): lambda value: value + 1,
    pa.float64(): lambda value: 0.125 if value is None else None,
    pa.bool_(): lambda value: not value,
}


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in SCHEMAS for column in science_columns(table)]
)
def test_every_value_of_science_counts(table: str, column: str) -> None:
    rows = small()
    row = rows[table][0]
    kind = SCHEMAS[table].field(column)
    row[column] = OTHER[kind.type](row[column]) if kind.type != pa.float64() or kind.nullable else row[column] + 1e-9
    assert of(rows) != of(small())


def test_no_other_value_counts() -> None:
    changed = {"host": "there", "threads": 9, "train_seconds": 3.5, "git": "abc", "versions": "{}"}
    rows = small()
    rows["trials"][0] |= changed
    rows["artifacts"][0]["path"] = "files/elsewhere"
    for each in ("trials", "metrics", "artifacts"):  # a rerun has an attempt of its own
        for row in rows[each]:
            row["attempt"] = row["attempt"].replace("0", "a")
    assert of(rows) == of(small())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(0.0, -0.0, False), (0.1, 0.1 + 2**-56, False), (float("nan"), float("nan"), True), (None, float("nan"), False)],
)
def test_floats_count_by_their_bits(one: float | None, other: float | None, same: bool) -> None:
    first, second = small(), small()
    first["metrics"][0]["value"], second["metrics"][0]["value"] = one, other
    assert (of(first) == of(second)) is same


@settings(FIXED, max_examples=8)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(1, 3))
def test_compaction_changes_nothing(tmp_path_factory: pytest.TempPathFactory, steps: list[int], many: int) -> None:
    """Trials published in any batches, with compactions between them, say what they say in single files."""
    folder = tmp_path_factory.mktemp("stores")
    plain, merged = create(str(folder / "plain")), create(str(folder / "merged"))
    number = 0
    for step in steps:
        for _ in range(step):
            number += 1
            assert publish(plain, number)
            assert publish(merged, number)
        compact(merged, many=many)
        assert digest(merged) == digest(plain)
        assert merged.index() == plain.index()
    for table, rows in tables(plain).items():
        assert sorted(map(repr, rows.to_pylist())) == sorted(map(repr, read_table(merged, table).to_pylist()))


def test_two_revisions_of_equal_numbers_are_two_rows(store: Store) -> None:
    publish(store, 1)
    once = digest(store)
    publish(store, 1, attempt_of(8), revision="f" * 12)
    twice = digest(store)
    assert once != twice
    assert {row["revision"] for row in read_table(store, "trials").to_pylist()} == {REVISION, "f" * 12}
    compact(store)
    assert digest(store) == twice


def test_the_digest_of_a_known_store_stays(tmp_path: Path) -> None:
    """Numbers that are quoted with a digest must be found again by later versions."""
    store = create(str(tmp_path / "store"))
    for number in range(2):
        publish(store, number)
    assert digest(store) == "5e3ac5f5e1602625de6a7d656ec4aeea872390f9978fae9d40ae371575c89ab3"
