"""The store digest: one hash of what a store says, whatever its files look like."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import pyarrow as pa

from sweep.store.schema import SCHEMAS, science_columns


def store_digest(tables: Mapping[str, pa.Table]) -> str:
    """SHA-256 over the sorted logical rows of the science columns (design 3.3).

    ``tables`` are whole tables of :data:`sweep.store.schema.SCHEMAS` as read. Row order, file split, compaction and
    rows that were read twice change nothing; nor do rows of attempts that published no trial, or published it after
    another had (a crash may leave such a row until the next compaction), since readers do not see them. A table
    that is absent counts as empty. Floats enter by their exact bits.

    Raises:
        KeyError: a table lacks one of the columns of its schema.
    """
    trials = tables.get("trials")
    published = set() if trials is None else _published(trials)
    total = hashlib.sha256()
    for name in SCHEMAS:
        columns = science_columns(name)
        if not columns:
            continue
        # The attempt tells a row that was read twice from two equal rows of two revisions; it is then left out.
        rows = set(_rows(tables[name], ["id", "attempt", *columns])) if name in tables else set()
        lines = sorted(_line(row[2:]) for row in rows if row[:2] in published)
        total.update(json.dumps([name, columns, len(lines)]).encode())
        for line in lines:
            total.update(line)
    return total.hexdigest()


def _published(trials: pa.Table) -> set[tuple[object, ...]]:
    rows = _rows(trials, ["ended", "attempt", "id", "revision"])
    first: dict[tuple[object, ...], tuple[object, ...]] = {}
    for _, attempt, trial, revision in sorted(rows, key=lambda row: (row[0] is None, str(row[0]), row[1])):
        first.setdefault((trial, revision), (trial, attempt))
    return set(first.values())


def _rows(table: pa.Table, columns: list[str]) -> Iterator[tuple[object, ...]]:
    return zip(*(map(_exact, table.column(column).to_pylist()) for column in columns), strict=True)


def _exact(value: object) -> object:
    # hex() is exact, tells 0.0 from -0.0 and writes every NaN alike, so that a NaN equals itself.
    return ("float", value.hex()) if isinstance(value, float) else value


def _line(row: tuple[object, ...]) -> bytes:
    return json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
