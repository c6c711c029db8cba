"""Tables: as CSV in full precision, and as rows of words for the document."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from reports import text
from reports.analysis import Analysis, Drawing
from reports.cells import parse_configuration
from reports.measures import EXCESS, FLOORED, METRICS
from reports.points import COLUMNS, csv_row

TRIAL_COLUMNS = (
    "id", "revision", "family", "model", "dataset", "law", "refresh", "ratio", "rate", "realised_rate", "batch",
    "multiplier", "rule", "samples", "steps", "seed", "reading", "parameters", "data_sha256",
)  # fmt: skip


def points_csv(drawing: Drawing) -> bytes:
    """The points of a figure."""
    return _csv(COLUMNS, map(csv_row, drawing.points))


def table_csv(drawings: Sequence[Drawing]) -> bytes:
    """The table behind figures of one kind: a row a cell, what the document shows in full precision."""
    fields = drawings[0].item.fields
    head = ["dataset", "panel", *(name for field in fields for name in field.raw)]
    rows = []
    for drawing in drawings:
        for panel, strip in zip(drawing.panels, drawing.strips, strict=True):
            for cell in drawing.cells(strip):
                raw = [value(cell) for field in fields for value in field.raw.values()]
                rows.append([panel.dataset, panel.label, *raw])
    return _csv(head, rows)


def trials_csv(analysis: Analysis) -> bytes:
    """A row a published trial: what it was, its final metrics, its floors and how they were had."""
    quantities = [*METRICS, *EXCESS]
    head = [*TRIAL_COLUMNS, *quantities]
    head += [f"{quantity}_{what}" for quantity in FLOORED for what in ("floor", "floor_kind", "floor_reference")]
    rows = []
    for trial in analysis.trials:
        one = analysis.measured[trial.id]
        row: list[object] = [getattr(trial, name) for name in TRIAL_COLUMNS]
        row += [one.value(quantity) for quantity in quantities]
        for quantity in FLOORED:
            floor = one.floor(quantity)
            row += [floor.value, floor.kind, floor.reference]
        rows.append(row)
    return _csv(head, rows)


def metrics_csv(analysis: Analysis) -> bytes:
    """Every final test metric of every published trial, those without a figure included."""
    rows = [[trial.id, name, trial.metrics[name]] for trial in analysis.trials for name in sorted(trial.metrics)]
    return _csv(["id", "metric", "value"], rows)


def configurations_csv(analysis: Analysis) -> bytes:
    """Resolved fields of every panel."""
    rows = [
        [section.slug, panel.label, panel.dataset, name, value]
        for section in analysis.sections
        for panel in section.view.panels
        for name, value in parse_configuration(panel.configuration)
    ]
    return _csv(["set", "panel", "dataset", "field", "value"], rows)


def failures_csv(analysis: Analysis) -> bytes:
    """Every attempt that ended with an error."""
    rows = [
        [one.id, one.revision, one.attempt, one.outcome, one.reason, "yes" if one.published else "no"]
        for one in analysis.rows.failures
    ]
    return _csv(["id", "revision", "attempt", "outcome", "reason", "published"], rows)


def shown(drawing: Drawing) -> dict[str, Any]:
    """The table behind a figure as the document's data: heads, spans, and groups of rows, a group a panel."""
    fields = drawing.item.fields
    spans: list[dict[str, Any]] = []
    for field in fields:
        if spans and field.span and spans[-1]["text"] == field.span:
            spans[-1]["span"] += 1
        else:
            spans.append({"text": field.span, "span": 1})
    groups = []
    for strip in drawing.strips:
        cells = drawing.cells(strip)
        groups.append(
            {
                "label": text.breakable(strip.title),
                "rows": [[field.shown(cell) for field in fields] for cell in cells],
                "complete": [all(point.complete for point in cell.points.values()) for cell in cells],
            }
        )
    return {"heads": [field.head for field in fields], "spans": spans, "groups": groups}


def _csv(head: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_safe(value) for value in row] for row in rows)
    return buffer.getvalue().encode()


def _safe(value: object) -> object:
    if not isinstance(value, str):
        return str(value) if value is not None and not isinstance(value, int | float) else value
    line = text.clean(value, 2000)
    # A spreadsheet would run a text from a store that begins like a formula.
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line
