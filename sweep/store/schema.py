"""The closed schemas of the five tables. Imports pyarrow only, so that reports can read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 2  # 2: tokens_per_second and flops_utilisation in trials
VERSION_KEY = b"noisegrid.schema_version"
TABLE_KEY = b"noisegrid.table"

#: Marks a column that repeats bit for bit when a trial is rerun on the same hardware kind and versions.
SCIENCE = {b"science": b"1"}

TEXT, INT, FLOAT, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
TIME = pa.timestamp("us", tz="UTC")


def _science(name: str, kind: pa.DataType, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata=SCIENCE)


def _record(name: str, kind: pa.DataType, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable)


TRIALS = (
    _science("id", TEXT),
    _science("revision", TEXT),
    _record("attempt", TEXT, nullable=False),
    _science("family", TEXT),
    _science("model", TEXT),
    _science("dataset", TEXT),
    _science("noise_law", TEXT),
    _science("noise_refresh", TEXT),
    _science("noise_ratio", FLOAT),
    _science("noise_rate", FLOAT),
    _science("realised_rate", FLOAT, nullable=True),
    _science("batch", INT),  # samples a step, multiplier included
    _science("batch_multiplier", INT),
    _science("budget_rule", TEXT),
    _science("samples", INT),
    _science("steps", INT),
    _science("seed", INT),
    _science("parameters", INT),
    _science("reading", TEXT),
    _science("spec", TEXT),  # the canonical JSON whose hash is the id
    _science("needs", TEXT),  # JSON: role -> id
    _record("started", TIME),
    _record("ended", TIME),
    _record("train_seconds", FLOAT),
    _record("evaluate_seconds", FLOAT),
    _record("trial_seconds", FLOAT),
    _record("samples_per_second", FLOAT),  # samples over train_seconds
    _record("tokens_per_second", FLOAT),  # language models
    _record("flops_utilisation", FLOAT),  # model FLOPs over the device's bfloat16 peak; null on a CPU
    _record("peak_memory_bytes", INT),  # resident set of the process, or of the device where there is one
    _record("host", TEXT),
    _record("device", TEXT),
    _record("threads", INT),
    _record("cpu", TEXT),
    _record("git", TEXT),
    _record("versions", TEXT),  # JSON: package -> version
    _science("data_sha256", TEXT),
)

METRICS = (
    _science("id", TEXT),
    _record("attempt", TEXT, nullable=False),
    _science("step", INT),
    _science("samples", INT),
    _science("split", TEXT),
    _science("metric", TEXT),
    _science("value", FLOAT, nullable=True),
    _science("final", FLAG),
)

ATTEMPTS = (
    _record("id", TEXT, nullable=False),
    _record("revision", TEXT, nullable=False),
    _record("attempt", TEXT, nullable=False),
    _record("event", TEXT, nullable=False),  # started, resumed, ended
    _record("at", TIME, nullable=False),
    _record("step", INT),  # where a resumed attempt took up
    _record("outcome", TEXT),  # of an end: done, raised, died, failed, interrupted, lost
    _record("reason", TEXT),
    _record("traceback", TEXT),
    _record("host", TEXT),
    _record("pid", INT),
    _record("spec", TEXT),  # of a start: the canonical JSON, so that a trial that never publishes can be named
)

ARTIFACTS = (
    _science("id", TEXT),
    _record("attempt", TEXT, nullable=False),
    _science("role", TEXT),
    _record("path", TEXT, nullable=False),  # relative to the store
    _science("bytes", INT),
    _science("sha256", TEXT),
)

CHECKS = (
    _record("id", TEXT, nullable=False),
    _record("attempt", TEXT, nullable=False),
    _record("at", TIME, nullable=False),
    _record("what", TEXT, nullable=False),
    _record("verdict", TEXT, nullable=False),
    _record("expected", TEXT),  # digest that the store promised
    _record("found", TEXT),  # digest that was measured
)


def _schema(table: str, fields: tuple[pa.Field, ...]) -> pa.Schema:
    return pa.schema(fields, metadata={TABLE_KEY: table.encode(), VERSION_KEY: str(SCHEMA_VERSION).encode()})


SCHEMAS: Mapping[str, pa.Schema] = {
    "trials": _schema("trials", TRIALS),
    "metrics": _schema("metrics", METRICS),
    "attempts": _schema("attempts", ATTEMPTS),
    "artifacts": _schema("artifacts", ARTIFACTS),
    "checks": _schema("checks", CHECKS),
}


#: Columns that came after version 1, by the version that brought them; all may be null.
ADDED: Mapping[str, Mapping[str, int]] = {"trials": {"tokens_per_second": 2, "flops_utilisation": 2}}


def schema_version(metadata: Mapping[bytes, bytes] | None) -> int:
    """The version of the program that wrote a file of that metadata; the present one where it does not tell."""
    told = (metadata or {}).get(VERSION_KEY, b"")
    return int(told) if told.isdigit() else SCHEMA_VERSION


def schema_at(table: str, version: int) -> pa.Schema:
    """The schema of ``table`` as a program of that version wrote it."""
    added = ADDED.get(table, {})
    fields = [field for field in SCHEMAS[table] if added.get(field.name, 1) <= version]
    return pa.schema(fields, metadata=SCHEMAS[table].metadata)


def science_columns(table: str) -> list[str]:
    """Columns of ``table`` that enter the store digest."""
    return [field.name for field in SCHEMAS[table] if field.metadata and b"science" in field.metadata]


def to_table(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of the closed schema.

    Raises:
        KeyError: a row has a column that the schema lacks, or lacks one of its own.
        pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError: a value has the wrong type, or a null stands
            where none may.
    """
    schema = SCHEMAS[table]
    expected = set(schema.names)
    for row in rows:
        if row.keys() != expected:
            odd = sorted(row.keys() ^ expected)
            raise KeyError(f"a row of {table!r} does not match its schema: {', '.join(odd)}")
    return pa.Table.from_arrays(
        [_column(table, field, [row[field.name] for row in rows]) for field in schema], schema=schema
    )


def _column(table: str, field: pa.Field, values: list[Any]) -> pa.Array:
    # pyarrow cuts 1.5 down to 1, takes True for 1.0 and leaves nulls to the writer.
    wrong = {INT: float, FLOAT: bool}.get(field.type)
    if wrong is not None and any(isinstance(value, wrong) for value in values):
        raise pa.ArrowTypeError(f"column {field.name!r} of {table!r} takes no {wrong.__name__}")
    built = pa.array(values, field.type)
    if built.null_count and not field.nullable:
        raise pa.ArrowInvalid(f"column {field.name!r} of {table!r} may not be null")
    return built
