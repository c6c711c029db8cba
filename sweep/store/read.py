"""Reading rows of single trials. Reports read whole tables through DuckDB; this is for workers and ``sweep show``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from sweep.errors import StoreError
from sweep.store import names
from sweep.store.store import Store, check_schema


def read_file(store: Store, table: str, name: str) -> list[dict[str, Any]]:
    """Rows of one file of a table, empty where it has vanished.

    Raises:
        StoreError: the file is damaged, foreign or of a newer schema.
    """
    content = store.storage.read(f"{table}/{name}{names.SUFFIX}")
    return [] if content is None else decode(content, f"store {store.root}: {table}/{name}{names.SUFFIX}", table)


def decode(content: bytes, where: str, table: str) -> list[dict[str, Any]]:
    """Rows of a Parquet file's bytes.

    Raises:
        StoreError: the bytes are no Parquet file of this table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        check_schema(file.schema_arrow.metadata, where, table)
        rows: list[dict[str, Any]] = file.read().to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{where} is damaged ({str(error).splitlines()[0]}); see `sweep verify`") from None
    return rows


def rows_of(store: Store, table: str, trial: str) -> list[dict[str, Any]]:
    """All rows of a table that belong to a trial, of every attempt."""
    found: list[dict[str, Any]] = []
    for listed in store.storage.names(table):
        name = listed.removesuffix(names.SUFFIX)
        if listed.endswith(names.SUFFIX) and name.startswith((f"{trial}-", names.COMPACTED)):
            found.extend(row for row in read_file(store, table, name) if row["id"] == trial)
    return found


def trial_row(store: Store, trial: str, revision: str | None = None) -> dict[str, Any] | None:
    """The published row of a trial in a revision; the newest where none is named."""
    rows = [row for row in rows_of(store, "trials", trial) if revision in (None, row["revision"])]
    return max(rows, key=lambda row: (row["ended"], row["attempt"]), default=None)


def artifact_paths(store: Store, trial: str, revision: str) -> dict[str, Path]:
    """Artifact role -> file, of a published trial.

    Raises:
        StoreError: the trial is not published in that revision, or a file is missing.
    """
    row = trial_row(store, trial, revision)
    if row is None:
        raise StoreError(f"store {store.root}: trial {trial} is not published in revision {revision}")
    paths: dict[str, Path] = {}
    for artifact in rows_of(store, "artifacts", trial):
        if artifact["attempt"] == row["attempt"]:
            path = store.storage.path(artifact["path"])
            if not path.is_file():
                raise StoreError(f"store {store.root}: {artifact['path']} of trial {trial} is missing")
            paths[artifact["role"]] = path
    return paths


def read_needs(row: dict[str, Any]) -> dict[str, str]:
    """Role -> id, from a row of ``trials``."""
    return dict(json.loads(row["needs"]))
