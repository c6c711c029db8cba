"""Files that an older program wrote are read: what came later is null, and nothing else may be missing."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store import samples

from sweep.errors import StoreError
from sweep.store.read import decode, decode_table
from sweep.store.schema import ADDED, SCHEMAS, VERSION_KEY, schema_at, to_table


def written(schema: pa.Schema, version: int) -> bytes:
    """A row of ``trials`` in the columns of ``schema``, as a program of ``version`` would have left it."""
    table = to_table("trials", [samples.trial(1)]).select(schema.names)
    metadata = {**SCHEMAS["trials"].metadata, VERSION_KEY: str(version).encode()}
    buffer = io.BytesIO()
    pq.write_table(table.cast(schema).replace_schema_metadata(metadata), buffer, write_page_checksum=True)
    return buffer.getvalue()


def test_version_1_lacks_what_came_with_2() -> None:
    assert set(SCHEMAS["trials"].names) - set(schema_at("trials", 1).names) == set(ADDED["trials"])
    assert schema_at("trials", 2).names == SCHEMAS["trials"].names
    assert schema_at("metrics", 1).names == SCHEMAS["metrics"].names
    assert all(SCHEMAS["trials"].field(name).nullable for name in ADDED["trials"])


def test_an_older_file_reads_with_nulls_for_what_came_later() -> None:
    (row,) = decode(written(schema_at("trials", 1), 1), "x", "trials")
    assert set(row) == set(SCHEMAS["trials"].names)
    assert row["tokens_per_second"] is row["flops_utilisation"] is None
    assert row["id"] == samples.trial(1)["id"]
    one = decode_table(written(schema_at("trials", 1), 1), "x", "trials", ["flops_utilisation"])
    assert one.column_names == ["flops_utilisation"]


def test_a_file_of_today_that_lacks_a_column_is_damaged() -> None:
    with pytest.raises(StoreError, match="damaged"):
        decode(written(schema_at("trials", 1), 2), "x", "trials")
