"""pandas, Polars and DuckDB read each table with one line, before and after compaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from store.samples import add_event, attempt_of, id_of, publish, trial

from sweep.store import names
from sweep.store.compact import compact
from sweep.store.read import read_table
from sweep.store.schema import SCHEMAS
from sweep.store.store import Store

Read = Callable[[Path], tuple[list[str], int]]


def with_pandas(folder: Path) -> tuple[list[str], int]:
    import pandas as pd

    frame = pd.read_parquet(folder)
    return list(frame.columns), len(frame)


def with_polars(folder: Path) -> tuple[list[str], int]:
    import polars as pl

    frame = pl.read_parquet(folder / "*.parquet")
    return frame.columns, len(frame)


def with_duckdb(folder: Path) -> tuple[list[str], int]:
    import duckdb

    rows = duckdb.connect().sql(f"from '{folder}/*.parquet'")
    return rows.columns, len(rows.fetchall())


READERS = [with_pandas, with_polars, with_duckdb]


def fill(store: Store) -> None:
    """Three trials; in the first file of each table whole columns are null that are not in another."""
    for number in range(3):
        publish(store, number)
    add_event(store, 5, "raised", attempt_of(1), reason="no", traceback="line 1\nline 2", step=3, host=None, pid=None)
    row = trial(7, realised_rate=0.25, train_seconds=1.5, host="there", threads=2, git="abc", peak_memory_bytes=5)
    store.publish_trial(row)
    for number in range(2):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        check = {"id": id_of(number), "attempt": attempt_of(number), "at": at, "what": "artifacts", "verdict": "ok"}
        store.add("checks", f"verify-{number}", [{**check, "expected": "a" if number else None, "found": None}])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("compactions", [0, 1, 2])
def test_each_table_is_read_with_one_line(store: Store, read: Read, compactions: int) -> None:
    fill(store)
    for number in range(compactions):
        compact(store)
        publish(store, 20 + number)
    for table in names.TABLES:
        columns, count = read(store.root / table)
        assert columns == SCHEMAS[table].names
        assert count == len(read_table(store, table)) > 0


@pytest.mark.parametrize("read", READERS)
def test_a_crashed_writer_disturbs_nobody(store: Store, read: Read) -> None:
    fill(store)
    store.storage.path("_tmp/1-dead").write_bytes(b"half a file")
    store.storage.create("compacted/trials/compacted-00.names", b"a-b c\n")
    assert read(store.root / "trials")[1] == 4


def test_values_are_what_was_written(store: Store) -> None:
    import duckdb
    import pandas as pd
    import polars as pl

    fill(store)
    compact(store)
    folder = store.root / "trials"
    want = sorted((row["id"], row["seed"], row["realised_rate"]) for row in read_table(store, "trials").to_pylist())
    query = f"select id, seed, realised_rate from '{folder}/*.parquet' order by id"
    assert duckdb.connect().sql(query).fetchall() == want
    assert pl.read_parquet(folder / "*.parquet").sort("id").select("id", "seed", "realised_rate").rows() == want
    frame = pd.read_parquet(folder).sort_values("id")
    assert list(zip(frame["id"], frame["seed"], strict=True)) == [row[:2] for row in want]
    assert frame["ended"].dt.tz is not None
