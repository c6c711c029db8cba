"""Tables: as CSV in full precision, and as rows of words for the document."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from reports import text
from reports.analysis import Analysis, Drawing
from reports.cells import parse_configuration
from reports.measures import EXCESS, FLOORED, METRICS
from reports.points import COLUMNS, csv_row
from reports.rows import Trial

TRIAL_COLUMNS = (
    "id", "revision", "family", "model", "dataset", "law", "refresh", "noise_map", "ratio", "ratio_exact", "rate",
    "rate_exact", "expected_rate", "realised_rate", "batch", "multiplier", "rule", "samples", "steps", "seed",
    "reading", "parameters", "data_sha256", "configuration",
)  # fmt: skip
LONGEST = 32_000  # characters of a text in a CSV: more than a spreadsheet's cell holds, and a map of 50 x 50 weights


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
        told = _told(trial, one.expected_rate)
        row: list[object] = [told[name] if name in told else getattr(trial, name) for name in TRIAL_COLUMNS]
        row += [one.value(quantity) for quantity in quantities]
        for quantity in FLOORED:
            floor = one.floor(quantity)
            row += [floor.value, floor.kind, floor.reference]
        rows.append(row)
    return _csv(head, rows)


def _told(trial: Trial, expected_rate: float | None) -> dict[str, object]:
    """Columns of a trial that are no fields of it: numbers as such beside their exact text, and JSON."""
    return {
        "noise_map": trial.mapping,
        "ratio": float(trial.ratio),
        "ratio_exact": str(trial.ratio),
        "rate": float(trial.rate),
        "rate_exact": str(trial.rate),
        "expected_rate": expected_rate,
        "configuration": json.dumps(
            {name: json.loads(value) for name, value in trial.configuration}, sort_keys=True, separators=(",", ":")
        ),
    }


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
        for name, value in [*_map_field(section.view.key.mapping), *parse_configuration(panel.configuration)]
    ]
    return _csv(["set", "panel", "dataset", "field", "value"], rows)


def _map_field(mapping: str) -> list[tuple[str, str]]:
    return [("noise.map", mapping)] if mapping else []


FAILURE_FIELDS = ("family", "model", "dataset", "law", "noise_map", "ratio", "multiplier", "seed")


def failures_csv(analysis: Analysis) -> bytes:
    """Every attempt that ended with an error."""
    rows = []
    for one in analysis.rows.failures:
        told = {} if one.trial is None else _told(one.trial, None)
        named = [told.get(name, getattr(one.trial, name, None)) for name in FAILURE_FIELDS]
        rows.append(
            [one.id, one.revision, one.attempt, one.outcome, one.reason, "yes" if one.published else "no", *named]
        )
    return _csv(["id", "revision", "attempt", "outcome", "reason", "published", *FAILURE_FIELDS], rows)


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
    line = text.clean(value, LONGEST)
    # A spreadsheet would run a text from a store that begins like a formula.
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line
