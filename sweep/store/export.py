"""A snapshot of what is published: five Parquet files in a folder of their own, one row a trial and revision."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import StoreError
from sweep.store import names
from sweep.store.compact import ordered
from sweep.store.digest import store_digest
from sweep.store.read import first_published, read_table
from sweep.store.schema import SCHEMA_VERSION, SCHEMAS
from sweep.store.storage import LocalStorage
from sweep.store.store import Store, encode_table

MARKER = "export.json"
FORMAT = "noisegrid export"


@dataclass(frozen=True)
class Exported:
    """What an export holds: rows by table, the store digest, and how many files of artifacts were copied."""

    folder: Path
    rows: dict[str, int]
    digest: str
    files: int


def export(store: Store, out: Path, *, artifacts: bool = False) -> Exported:
    """Write ``<table>.parquet`` for each table into the folder ``out``; the same rows make the same bytes.

    Only what belongs to published trials is taken: their rows, the metrics, artifacts and checks of the attempt that
    won, and the events of all attempts. An export that is there already is replaced; nothing else ever is. It is
    written beside ``out`` and put in its place whole.

    Args:
        artifacts: copy the files that ``artifacts`` lists as well, under the same names.

    Raises:
        StoreError: ``out`` is something else, cannot be written, or lies within the store; the store cannot be read,
            or an artifact is missing or has changed.
    """
    out = out.expanduser().absolute()
    _check_target(store, out)
    chosen = published_tables(store)
    rows = {table: len(content) for table, content in chosen.items()}
    aside = LocalStorage(out.parent / f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        for table, content in chosen.items():
            aside.create(f"{table}{names.SUFFIX}", encode_table(content))
        copied = _copy_files(store, aside, chosen["artifacts"].to_pylist()) if artifacts else 0
        done = Exported(out, rows, store_digest(chosen), copied)
        described = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "digest": done.digest, "rows": rows}
        aside.create(MARKER, json.dumps({**described, "files": copied}, indent=1, sort_keys=True).encode())
        shutil.rmtree(aside.root / "_tmp", ignore_errors=True)
        _put_in_place(aside.root, out)
    finally:
        shutil.rmtree(aside.root, ignore_errors=True)
    return done


def published_tables(store: Store) -> dict[str, Any]:
    """The five tables reduced to what is published, each row once, in a fixed order.

    Raises:
        StoreError: a file of the store cannot be read.
    """
    import pyarrow as pa

    trials = first_published(read_table(store, "trials").to_pylist())
    winners = {(row["id"], row["attempt"]) for row in trials}
    versions = {(row["id"], row["revision"]) for row in trials}
    found = {"trials": ordered(pa.Table.from_pylist(trials, schema=SCHEMAS["trials"]))}
    for table in names.TABLES[1:]:
        content = read_table(store, table)
        second, wanted = ("revision", versions) if table == "attempts" else ("attempt", winners)
        keys = zip(content["id"].to_pylist(), content[second].to_pylist(), strict=True)
        kept = content.filter(pa.array([key in wanted for key in keys], pa.bool_()))
        # A row that a compaction at work leaves in two files for a moment is taken once.
        found[table] = ordered(kept.group_by(kept.column_names).aggregate([]).cast(SCHEMAS[table]))
    return found


def _check_target(store: Store, out: Path) -> None:
    root, target = store.root.resolve(), out.resolve()
    if target == root or root in target.parents or target in root.parents:
        raise StoreError(f"export to {out}: the folder and the store {store.root} contain each other; give another one")
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise StoreError(f"export to {out}: is a file; give a folder")
        entries = {entry.name for entry in out.iterdir()}
    except OSError as error:
        raise StoreError(f"export to {out}: cannot be read ({error.strerror})") from None
    if entries and not _is_export(out, entries):
        raise StoreError(
            f"export to {out}: the folder is not empty and is no export (or holds more than one), so it is not "
            "replaced; give a new folder"
        )


def _is_export(out: Path, entries: set[str]) -> bool:
    if entries - {MARKER, "files", *(f"{table}{names.SUFFIX}" for table in names.TABLES)}:
        return False
    try:
        described = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("format") == FORMAT


def _copy_files(store: Store, aside: LocalStorage, rows: list[dict[str, Any]]) -> int:
    for row in rows:
        content = store.storage.read(row["path"])
        if content is None or hashlib.sha256(content).hexdigest() != row["sha256"]:
            state = "is missing" if content is None else "has other bytes than were published"
            raise StoreError(
                f"store {store.root}: {row['path']} of trial {row['id']} {state}; see `sweep verify`, "
                "or export without artifacts"
            )
        if not row["path"].startswith("files/"):
            raise StoreError(f"store {store.root}: {row['path']} of trial {row['id']} lies outside of files/")
        aside.create(row["path"], content)
    return len(rows)


def _put_in_place(new: Path, out: Path) -> None:
    old = new.with_suffix(".old")
    try:
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            with contextlib.suppress(OSError):
                old.rename(out)
            raise
    except OSError as error:
        raise StoreError(f"export to {out}: cannot be put in place ({error.strerror})") from None
    shutil.rmtree(old, ignore_errors=True)
