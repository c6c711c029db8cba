"""What a finished analysis leaves: three Parquet tables, described in docs/gradients.md."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from trainers.gradients.summary import Signal, pair_cosines, signal
from trainers.gradients.tally import PARTS, Tally
from trainers.protocol import Artifact

if TYPE_CHECKING:
    import pyarrow as pa

#: A glob and the numbers in the parameters that it matches.
Analysis = tuple[str, int]


def artifacts(
    tally: Tally, analyses: Sequence[Analysis], removals: int, batch: int, samples: int
) -> tuple[Artifact, ...]:
    """``gradients``, ``snr`` and ``batches``; the last one alone where nothing was analysed.

    Args:
        removals: 2 with the mean gradient removed as well, else 1.
        batch, samples: sequences a batch, and in all.
    """
    tables = {"batches": _batches(tally, bool(analyses), removals > 1, batch, samples)}
    if analyses:
        tables = {
            "gradients": _gradients(tally, analyses, removals),
            "snr": _snr(tally, analyses, removals, batch, samples),
            **tables,
        }
    return tuple(_artifact(role, table) for role, table in tables.items())


def _gradients(tally: Tally, analyses: Sequence[Analysis], removals: int) -> pa.Table:
    import pyarrow as pa

    rows: list[dict[str, Any]] = [
        {"analysis": glob, "elements": elements, "removed": bool(removed), "pair": pair, **asdict(found)}
        for number, (glob, elements) in enumerate(analyses)
        for removed in range(removals)
        for pair, found in pair_cosines(tally, number, removed).items()
    ]
    real = {name: pa.float64() for name in ("mean", "deviation", "minimum", "maximum")}
    return _table(
        rows,
        {
            "analysis": pa.string(),
            "elements": pa.int64(),
            "removed": pa.bool_(),
            "pair": pa.string(),
            "pairs": pa.int64(),
            **real,
            "histogram": pa.list_(pa.int64()),
        },
    )


def _snr(tally: Tally, analyses: Sequence[Analysis], removals: int, batch: int, samples: int) -> pa.Table:
    import pyarrow as pa

    rows: list[dict[str, Any]] = [
        {
            "analysis": glob,
            "elements": elements,
            "removed": bool(removed),
            **asdict(signal(tally, number, removed, batch, samples)),
        }
        for number, (glob, elements) in enumerate(analyses)
        for removed in range(removals)
    ]
    whole = ("batch", "batches")
    columns = {field.name: pa.int64() if field.name in whole else pa.float64() for field in fields(Signal)}
    return _table(rows, {"analysis": pa.string(), "elements": pa.int64(), "removed": pa.bool_(), **columns})


def _batches(tally: Tally, gradients: bool, removed: bool, batch: int, samples: int) -> pa.Table:
    import pyarrow as pa

    counts, losses, norms = (tally.rows(name) for name in ("counts", "losses", "norms"))
    n = len(counts)
    sequences = [min(batch, samples - number * batch) for number in range(n)]
    columns = {
        "batch": pa.array(range(n), pa.int64()),
        "whole": pa.array([count == batch for count in sequences], pa.bool_()),
        "sequences": pa.array(sequences, pa.int64()),
    }
    for number, name in enumerate(("clean_examples", "corrupt_examples", "clean_tokens", "corrupt_tokens")):
        columns[name] = pa.array(counts[:, number], pa.int64())
    for number, name in enumerate(("loss", "clean_loss")):
        columns[name] = pa.array(losses[:, number], pa.float64())
    for removal, end in enumerate(("", "_removed")):
        for kind, part in enumerate(PARTS):
            there = gradients and (removed or not removal)
            values = pa.array(norms[:, 0, removal, kind], pa.float64()) if there else pa.nulls(n, pa.float64())
            columns[f"norm_{part}{end}"] = values
    return pa.table(columns)


def _table(rows: list[dict[str, Any]], columns: dict[str, pa.DataType]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items())))


def _artifact(role: str, table: pa.Table) -> Artifact:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return Artifact(role, f"{role}.parquet", buffer.getvalue())
