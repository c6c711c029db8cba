"""Tables: as CSV in full precision, and as rows of words for the document."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from reports import generated, text
from reports.analysis import Analysis
from reports.cells import SetKey, parse_configuration
from reports.fields import Named
from reports.figures.plate import Sheet
from reports.measures import EXCESS, FLOORED, METRICS
from reports.rows import TEST, Trial

TRIAL_COLUMNS = (
    "id", "revision", "family", "model", "dataset", "law", "refresh", "noise_map", "noise_variant", "ratio",
    "ratio_exact", "rate", "rate_exact", "expected_rate", "realised_rate", "batch", "multiplier", "rule", "samples",
    "steps", "seed", "reading", "parameters", "tokens_per_second", "flops_utilisation", "data_sha256", "configuration",
)  # fmt: skip
LONGEST = 32_000  # characters of a text in a CSV: more than a spreadsheet's cell holds, and a map of 50 x 50 weights


def sheets(parts: Sequence[Sheet]) -> bytes:
    """Sheets of one head, one below the other, as CSV."""
    return _csv(parts[0].columns, [row for part in parts for row in part.rows])


def trials_csv(analysis: Analysis) -> bytes:
    """A row a published trial: what it was, its final metrics, its floors and how they were had."""
    drew = any(one.apart for one in analysis.measured.values())  # else two dozen columns would be empty
    quantities = [*METRICS, *(generated.METRICS if drew else ()), *EXCESS]
    quantities = [quantity for quantity in quantities if drew or quantity != generated.EXCESS]
    floored = [*FLOORED, *(generated.FLOORED if drew else ())]
    head = [*TRIAL_COLUMNS, *quantities]
    head += [f"{quantity}_{what}" for quantity in floored for what in ("floor", "floor_kind", "floor_reference")]
    rows = []
    for trial in analysis.trials:
        one = analysis.measured[trial.id]
        told = _told(trial, one.expected_rate)
        row: list[object] = [told[name] if name in told else getattr(trial, name) for name in TRIAL_COLUMNS]
        row += [one.value(quantity) for quantity in quantities]
        for quantity in floored:
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
        "noise_variant": _object(trial.variant) if trial.variant else "",
        "configuration": _object(trial.configuration),
    }


def _object(fields: Named) -> str:
    return json.dumps({name: json.loads(value) for name, value in fields}, sort_keys=True, separators=(",", ":"))


def metrics_csv(analysis: Analysis) -> bytes:
    """Every final metric of every published trial, those without a figure and of other splits included."""
    rows = []
    for trial in analysis.trials:
        rows += [[trial.id, name, trial.metrics[name], TEST] for name in sorted(trial.metrics)]
        rows += [[trial.id, name, trial.elsewhere[split, name], split] for split, name in sorted(trial.elsewhere)]
    return _csv(["id", "metric", "value", "split"], rows)


def configurations_csv(analysis: Analysis) -> bytes:
    """Resolved fields of every panel."""
    rows = [
        [section.slug, panel.label, panel.dataset, name, value]
        for section in analysis.sections
        for panel in section.view.panels
        for name, value in [*noise_fields(section.view.key), *parse_configuration(panel.configuration)]
    ]
    return _csv(["set", "panel", "dataset", "field", "value"], rows)


def noise_fields(key: SetKey) -> list[tuple[str, str]]:
    """What a set's noise has beside law and refresh, as fields of the specification."""
    own = [(f"noise.{name}", value) for name, value in key.variant if name.partition(".")[0] != "teacher"]
    taught = [(f"needs.{name}", value) for name, value in key.variant if name.partition(".")[0] == "teacher"]
    return [*([("noise.map", key.mapping)] if key.mapping else []), *parse_configuration([*own, *taught])]


FAILURE_FIELDS = ("family", "model", "dataset", "law", "noise_map", "noise_variant", "ratio", "multiplier", "seed")


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
