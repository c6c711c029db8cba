"""Reading a store: rows of single trials by file name, and whole tables."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sweep.errors import StoreError
from sweep.store import names
from sweep.store.schema import SCHEMAS, schema_at, schema_version
from sweep.store.store import TRIES, Store, VanishedError, check_schema

Rows = list[dict[str, Any]]
Result = TypeVar("Result")


def read_file(store: Store, table: str, name: str) -> Rows:
    """Rows of one file of a table, empty where it has vanished.

    Raises:
        StoreError: the file is damaged, foreign or of a newer schema.
    """
    content = store.storage.read(f"{table}/{name}{names.SUFFIX}")
    return [] if content is None else decode(content, f"store {store.root}: {table}/{name}{names.SUFFIX}", table)


def decode(content: bytes, where: str, table: str) -> Rows:
    """Rows of a Parquet file's bytes.

    Raises:
        StoreError: the bytes are no Parquet file of this table.
    """
    rows: Rows = decode_table(content, where, table).to_pylist()
    return rows


def decode_table(
    content: bytes, where: str, table: str, columns: Sequence[str] | None = None, trial: str | None = None
) -> Any:
    """An Arrow table of a Parquet file's bytes: all columns or some, all rows or those of one trial.

    Raises:
        StoreError: the bytes are no Parquet file of this table.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = list(columns or SCHEMAS[table].names)
    schema = pa.schema([SCHEMAS[table].field(name) for name in wanted], metadata=SCHEMAS[table].metadata)
    try:
        file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        check_schema(file.schema_arrow.metadata, where, table)
        there = schema_at(table, schema_version(file.schema_arrow.metadata)).names
        read = file.read([name for name in dict.fromkeys([*wanted, "id"]) if name in there], use_threads=False)
        if trial is not None:
            read = read.filter(pc.equal(read["id"], trial))
        for field in schema:
            if field.name not in there:  # an older program wrote the file
                read = read.append_column(field, pa.nulls(read.num_rows, field.type))
        built = read.select(wanted).cast(schema)
        built.validate(full=True)  # text that is no UTF-8 would only be noticed far from its file
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{where} is damaged ({reason}); see `sweep verify`") from None
    return built


def read_table(store: Store, table: str, columns: Sequence[str] | None = None) -> Any:
    """A whole table as it lies in its files, in no particular order, some rows perhaps twice.

    Raises:
        StoreError: a file is damaged, foreign or of a newer schema.
    """
    import pyarrow as pa

    wanted = list(columns or SCHEMAS[table].names)
    empty = SCHEMAS[table].empty_table().select(wanted)

    def once() -> Any:
        return pa.concat_tables([empty, *(_part(store, table, stem, wanted) for stem in store.stems(table))])

    return patiently(store, table, once)


def tables(store: Store) -> dict[str, Any]:
    """The five tables whole, as :func:`sweep.store.digest.store_digest` takes them."""
    return {table: read_table(store, table) for table in names.TABLES}


def publication_order(row: dict[str, Any]) -> tuple[bool, str, str]:
    """Sorts rows of ``trials`` by their end; the text of UTC times sorts as they do."""
    return (row["ended"] is None, str(row["ended"]), row["attempt"])


def first_published(rows: Iterable[dict[str, Any]]) -> Rows:
    """One row an id and revision: the first to be published, should a crash in a compaction have left two."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=publication_order):
        found.setdefault((row["id"], row["revision"]), row)
    return list(found.values())


def rows_of(store: Store, table: str, trial: str) -> Rows:
    """All rows of a table that belong to a trial, of every attempt; rows that lie in two files are given once."""

    def once() -> Rows:
        found: Rows = []
        for stem in store.stems(table):
            if names.is_compacted(stem):
                if any(name.startswith(f"{trial}-") for name in store.compacted(table, stem)) or table == "checks":
                    found.extend(_part(store, table, stem, None, trial).to_pylist())
            elif stem.startswith(f"{trial}-") or table == "checks":
                found.extend(_part(store, table, stem, None, trial).to_pylist())
        return found

    rows = patiently(store, table, once)
    return list({json.dumps(row, default=str, sort_keys=True): row for row in rows}.values())


def named_rows(store: Store, table: str, name: str) -> Rows:
    """Rows that were written as the file ``name`` of a table, wherever they lie now; no folder is searched for them.

    ``name`` is that of a trial, of a part or of an event (see :mod:`sweep.store.names`); empty where there is none.

    Raises:
        StoreError: a file is damaged, foreign or of a newer schema.
    """
    for _ in range(TRIES):
        # What is compacted was first: a single file beside it is its copy, or a latecomer about to withdraw.
        stems = store.compacted_stems(table, name)
        for stem in stems:
            rows = [row for row in _rows(store, table, stem, name) if names.row_name(table, row) == name]
            if rows:
                return rows
        rows = read_file(store, table, name)
        if rows or (not stems and not store.compacted_stems(table, name)):
            return rows
    return []


def trial_row(store: Store, trial: str, revision: str | None = None) -> dict[str, Any] | None:
    """The published row of a trial in a revision; the newest where none is named."""
    if revision is not None:
        return next(iter(named_rows(store, "trials", names.trial_name(trial, revision))), None)
    rows = first_published(rows_of(store, "trials", trial))
    return max(rows, key=publication_order, default=None)


class MissingError(StoreError):
    """What was asked for is not in the store; the store itself is well."""


def artifact_paths(store: Store, trial: str, revision: str) -> dict[str, Path]:
    """Artifact role -> file, of a published trial.

    Raises:
        MissingError: the trial is not published in that revision, or a file is missing.
        StoreError: the store cannot be read.
    """
    row = trial_row(store, trial, revision)
    if row is None:
        raise MissingError(f"store {store.root}: trial {trial} is not published in revision {revision}")
    paths: dict[str, Path] = {}
    for artifact in named_rows(store, "artifacts", names.part_name(trial, row["attempt"])):
        path = store.storage.path(artifact["path"])
        if not store.storage.exists(artifact["path"]):
            raise MissingError(
                f"store {store.root}: {artifact['path']} of trial {trial} is missing; "
                "restore it from a copy of the store"
            )
        paths[artifact["role"]] = path
    return paths


def read_needs(row: dict[str, Any]) -> dict[str, str]:
    """Role -> id, from a row of ``trials``."""
    return dict(json.loads(row["needs"]))


def _rows(store: Store, table: str, stem: str, name: str) -> Rows:
    try:
        rows: Rows = _part(store, table, stem, None, name.partition("-")[0]).to_pylist()
    except VanishedError:
        return []
    return rows


def _part(store: Store, table: str, stem: str, columns: Sequence[str] | None, trial: str | None = None) -> Any:
    content = store.storage.read(f"{table}/{stem}{names.SUFFIX}")
    if content is None:
        raise VanishedError(stem)
    return decode_table(content, f"store {store.root}: {table}/{stem}{names.SUFFIX}", table, columns, trial)


def patiently(store: Store, table: str, once: Callable[[], Result]) -> Result:
    """The result of ``once``, begun anew where a compaction elsewhere took a file away from under it.

    Raises:
        StoreError: that happens again and again.
    """
    for _ in range(TRIES):
        try:
            return once()
        except VanishedError:
            continue
    raise StoreError(f"store {store.root}: {table} is compacted again and again; wait for that to end")
