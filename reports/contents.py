"""What the document says: its title, summary, sections, failures and provenance, as plain words and rows.

Every text that comes from a store passes :mod:`reports.text`; the template shows strings as they are, never as markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from reports import failures, provenance, summary, tables, text, units
from reports.analysis import Analysis, Section
from reports.captions import heading, span
from reports.cells import FigureSet, Panel, parse_configuration
from reports.figures.plate import Plate, Table
from reports.measures import Measured
from reports.needs import PREFIX
from reports.plates import plates
from reports.rows import Published

FIELDS_SHOWN = 40
MAP_SHOWN = 60  # characters; the whole of it is in tables/configurations.csv
PANELS_A_TABLE = 3


def contents(analysis: Analysis) -> dict[str, Any]:
    """Everything the template needs, of JSON's types; figures by the name of their file."""
    return {
        "title": _title(analysis),
        "about": _about(analysis),
        "summary": summary.sentences(analysis),
        "sections": [_section(section, analysis.measured) for section in analysis.sections],
        "across": [_figure(plate) for plate in analysis.across],
        "failures": failures.shown(analysis.rows.failures),
        "notes": _notes(analysis),
        "provenance": provenance.rows(analysis),
    }


def _title(analysis: Analysis) -> str:
    families = text.listing(sorted({text.clean(trial.family, 24) for trial in analysis.trials})[:4])
    datasets = sorted({text.clean(trial.dataset.partition("@")[0], 24) for trial in analysis.trials})
    more = f" and {len(datasets) - 4} more" if len(datasets) > 4 else ""
    return text.breakable(f"Noisy training data: {families} on {text.listing(datasets[:4])}{more}", 200)


def _about(analysis: Analysis) -> str:
    trials, sections = analysis.trials, analysis.sections
    cells, expected = sum(one.view.present for one in sections), sum(one.view.expected for one in sections)
    return (
        f"{text.count(len(trials), 'published trial')}, {text.count(len({trial.seed for trial in trials}), 'seed')}, "
        f"{text.count(len(sections), 'figure set')}. Of the {expected:,} cells that published and "
        f"attempted trials make up there, with every ratio and batch of theirs at every seed, {cells:,} are published. "
        f"Store digest {analysis.digest[:16]}."
    )


def _section(section: Section, measured: Mapping[str, Measured]) -> dict[str, Any]:
    view = section.view
    missing = view.expected - view.present
    begun = f", {view.attempted:,} of them attempted and not published" if view.attempted else ""
    verb = "is" if missing == 1 else "are"
    absent = f" {missing:,} of these {text.count(view.expected, 'cell')} {verb} missing{begun}." if missing else ""
    axes = (
        f"r: {', '.join(map(text.ratio, view.ratios))}; batch multipliers: {', '.join(map(str, view.multipliers))}; "
        f"seeds: {', '.join(map(str, view.seeds))}; {text.count(len(view.panels), 'panel')}. "
    )
    return {
        "heading": heading(view),
        "axes": text.clean(axes, 400) + absent,
        "configurations": _configurations(view, measured),
        "figures": [_figure(plate) for plate in plates(section)],
    }


def _figure(plate: Plate) -> dict[str, Any]:
    first, *more = map(_table, plate.tables)
    return {
        "path": f"figures/{plate.name}.svg",
        "alt": plate.alt,
        "title": plate.title,
        "caption": plate.caption,
        "small": plate.small,
        "table": first,
        "more": more,
        "marks": plate.marks,
    }


def _table(table: Table) -> dict[str, Any]:
    groups = [
        {"label": group.label, "rows": [list(row) for row in group.rows], "complete": list(group.complete)}
        for group in table.groups
    ]
    heads = [{"text": words, "span": width} for words, width in table.spans]
    return {"caption": table.caption, "heads": list(table.heads), "spans": heads, "groups": groups}


def _configurations(view: FigureSet, measured: Mapping[str, Measured]) -> list[dict[str, Any]]:
    found = []
    for start in range(0, len(view.panels), PANELS_A_TABLE):
        panels = view.panels[start : start + PANELS_A_TABLE]
        columns = [_resolved(view, panel, measured) for panel in panels]
        names = list(dict.fromkeys(name for column in columns for name in column))
        rows = [[text.breakable(name, 60), *(column.get(name, text.NOTHING) for column in columns)] for name in names]
        left = len(rows) - FIELDS_SHOWN
        found.append(
            {
                "heads": ["", *(text.breakable(panel.label, 80) for panel in panels)],
                "rows": rows[:FIELDS_SHOWN],
                "more": f"{text.count(left, 'more field')} in tables/configurations.csv" if left > 0 else "",
            }
        )
    return found


def _resolved(view: FigureSet, panel: Panel, measured: Mapping[str, Measured]) -> dict[str, str]:
    """A panel's trials in words: what varies as a range, then every field of the configuration."""
    trials = list(panel.trials.values())

    def over(value: Callable[[Published], int | None]) -> str:
        return span(found for found in map(value, trials) if found is not None)

    resolved = {
        "data set": text.breakable(panel.dataset, 60),
        "trials": f"{len(trials):,}",
        units.of(view.key.family).samples: over(lambda trial: trial.samples),
        "steps": over(lambda trial: trial.steps),
        "batch": over(lambda trial: trial.batch),
        "parameters": over(lambda trial: trial.parameters),
    }
    expected = {trial.id: measured[trial.id].expected_rate for trial in trials}
    known = [rate for rate in expected.values() if rate is not None]
    if known:
        resolved["expected wrong rate"] = _span(known, text.number, 3)
    pairs = [(trial.realised_rate, expected[trial.id]) for trial in trials]
    off = [realised - rate for realised, rate in pairs if realised is not None and rate is not None]
    if off:
        resolved["realised less expected"] = _span(off, text.signed, 4)
    blind = [realised for realised, rate in pairs if realised is not None and rate is None]
    if blind:
        resolved["realised wrong rate"] = _span(blind, text.number, 3)
    for name, value in tables.noise_fields(view.key):
        resolved[name] = text.breakable(value, MAP_SHOWN)
    # Fields of judges and other needed trials come last: they are many, and the table has room for some.
    for name, value in sorted(parse_configuration(panel.configuration), key=lambda field: field[0].startswith(PREFIX)):
        resolved[name] = text.breakable(value, 60)
    return resolved


def _span(values: list[float], words: Callable[[float, int], str], digits: int) -> str:
    return " to ".join(dict.fromkeys((words(min(values), digits), words(max(values), digits))))


def _notes(analysis: Analysis) -> list[str]:
    notes = []
    if analysis.problems:
        reasons = Counter(analysis.problems.values())
        told = "; ".join(f"{text.breakable(reason, 120)} ({times})" for reason, times in sorted(reasons.items())[:5])
        notes.append(
            f"What {text.count(len(analysis.problems), 'trial')} left (predictions, gradients, images, confusions) "
            f"could not all be used: {told}."
        )
    if analysis.rows.unread:
        notes.append(
            f"{text.count(len(analysis.rows.unread), 'published trial')} left out: the specification could not be "
            f"read ({text.breakable(analysis.rows.unread[0], 40)} for one)."
        )
    if analysis.rows.unnamed:
        notes.append(
            f"{text.count(len(analysis.rows.unnamed), 'attempted trial')} left no specification that can be read, so "
            f"that {'its' if len(analysis.rows.unnamed) == 1 else 'their'} cells are in no figure set "
            f"({text.breakable(analysis.rows.unnamed[0], 40)} for one)."
        )
    notes += _mixed_revisions(analysis)
    empty = sum(not section.view.present for section in analysis.sections)
    if empty:
        notes.append(f"{text.count(empty, 'figure set')} without a published trial: all that was attempted is missing.")
    bare = sum(not plates(section) and section.view.present > 0 for section in analysis.sections)
    if bare:
        notes.append(
            f"{text.count(bare, 'figure set')} without a figure: the trials have none of the metrics that figures "
            "show. Their final metrics are in tables/metrics.csv."
        )
    return notes


def _mixed_revisions(analysis: Analysis) -> list[str]:
    """A note on panels whose trials, or the clean ones held against them, are of several revisions."""
    mixed = []
    for section in analysis.sections:
        for panel in section.view.panels:
            found = {trial.revision for trial in panel.trials.values()}
            references = (analysis.measured[trial.id].reference for trial in panel.trials.values())
            found |= {trial.revision for trial in references if trial is not None}
            if len(found) > 1:
                mixed.append(f"{heading(section.view)}, {panel.label} ({len(found)})")
    if not mixed:
        return []
    more = f"; and {len(mixed) - 5} more" if len(mixed) > 5 else ""
    return [
        "Trials of several revisions of the program (its law's module included), the data or what they need are "
        "compared in: "
        f"{'; '.join(mixed[:5])}{more}. Their revisions are under Provenance and in tables/trials.csv."
    ]
