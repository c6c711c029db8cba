"""What the document says: its title, summary, sections, failures and provenance, as plain words and rows.

Every text that comes from a store passes :mod:`reports.text`; the template shows strings as they are, never as markup.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from reports import failures, provenance, summary, tables, text
from reports.analysis import Analysis, Drawing, Section
from reports.cells import NO_NOISE, FigureSet, Panel, parse_configuration
from reports.figures.item import FROM_CLEAN_CELL, SEEDS_AGREE
from reports.measures import Measured
from reports.points import seeds_text
from reports.rows import Published

FIELDS_SHOWN = 40
MAP_SHOWN = 60  # characters; the whole of it is in tables/configurations.csv
PANELS_A_TABLE = 3
REFERENCES = {"twin": "the compute-matched clean twin", "r0": "the r = 0 cell of the same batch and seed"}
SHORTER = "an r = 0 cell trained on 1 / (1 + r) of the samples of the trial that is held against it"
OWN_SCHEDULE = "a twin's learning-rate schedule is its own, that of its longer base budget"


def contents(analysis: Analysis) -> dict[str, Any]:
    """Everything the template needs, of JSON's types; figures by the name of their file."""
    return {
        "title": _title(analysis),
        "about": _about(analysis),
        "summary": summary.sentences(analysis),
        "sections": [_section(section, analysis.measured) for section in analysis.sections],
        "failures": failures.shown(analysis.rows.failures),
        "notes": _notes(analysis),
        "provenance": provenance.rows(analysis),
    }


def heading(view: FigureSet) -> str:
    """What tells this set from others, in words."""
    key = view.key
    noise = "clean trials" if key.law == NO_NOISE else f"{key.law_name} noise, {key.refresh}"
    return text.breakable(f"{key.family} {key.model}: {noise}, {key.rule} budget, {key.reading} reading", 120)


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
        f"{text.count(len(sections), 'figure set')}. Of the {expected:,} cells that the values of published and "
        f"attempted trials span there, {cells:,} are published. "
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
        "figures": [_figure(drawing) for drawing in section.drawings],
    }


def _figure(drawing: Drawing) -> dict[str, Any]:
    table = tables.shown(drawing)
    key = drawing.view.key
    law = "no noise" if key.law == NO_NOISE else f"{key.law_name}, {key.refresh}"
    data = "; ".join(f"{panel.label} {_hashes(panel)}" for panel in drawing.panels)
    cells = f"Seeds {', '.join(map(str, drawing.view.seeds))}; {seeds_text(drawing.points)} a point"
    intervals = "whiskers are 95 % t-intervals over seeds, none below n = 3"
    examples = sorted({point.examples for point in drawing.points if point.examples is not None})
    barred = any(point.test_low is not None for point in drawing.points)
    error = f"; grey bar: the test set's own 95 % error at its widest ({_range(examples)} examples)" if barred else ""
    return {
        "path": f"figures/{drawing.name}.svg",
        "alt": f"{drawing.item.title}, {heading(drawing.view)}",
        "title": drawing.item.title,
        "caption": text.clean(drawing.item.caption(drawing.points), 900),
        "small": text.breakable(
            f"{cells}; {intervals}{error}. Law: {law}; {key.rule} budget; {key.reading} reading. "
            f"{_references(drawing)} Data: {data}.",
            1200,
        ),
        "table": table,
        "marks": _marks(drawing, table),
    }


def _references(drawing: Drawing) -> str:
    """Which clean trials the floors come from, panel by panel where the panels differ."""
    told = {}
    for strip in drawing.strips:
        found = [point for points in strip.points.values() for point in points]
        used = {part for point in found for part in point.reference.split("+") if part}
        told[strip.title] = text.listing(words for name, words in REFERENCES.items() if name in used)
    if set(told.values()) == {"none"}:
        return "There is no clean trial to take floors from."
    more = f"; {'; '.join(remarks)}" if (remarks := _remarks(drawing)) else ""
    if len(set(told.values())) == 1:
        return f"Floors come from {next(iter(told.values()))}{more}."
    return f"Floors come from: {'; '.join(f'{panel}, {words}' for panel, words in told.items())}{more}."


def _remarks(drawing: Drawing) -> list[str]:
    """What a clean reference differs in from a noisy trial, where the budget grows with r."""
    key = drawing.view.key
    used = {part for point in drawing.points for part in point.reference.split("+") if part}
    if key.rule != "scaled":
        return []
    remarks = [SHORTER] if "r0" in used else []
    return remarks + ([f"in the paper reading {OWN_SCHEDULE}"] if key.reading == "paper" and "twin" in used else [])


def _marks(drawing: Drawing, table: Mapping[str, Any]) -> str:
    """What the marks in a figure's table mean, those that it has."""
    found = drawing.points
    kinds = {kind for point in found for kind in point.floor_kind.split("+")}
    by_row: dict[object, set[int]] = defaultdict(set)
    for point in found:
        if point.n:
            by_row[point.panel, point.ratio, point.multiplier].add(point.n)
    if any(len(sizes) > 1 for sizes in by_row.values()):
        kinds.add("n")
    shown = " ".join(cell for group in table["groups"] for row in group["rows"] for cell in row)
    signs = {"r0": FROM_CLEAN_CELL, "floor n": "(n = ", "agreed": SEEDS_AGREE}
    kinds |= {kind for kind, sign in signs.items() if sign in shown}
    known = {
        "n": "(n) beside a mean, its n where that is not the row's",
        "bound": "b, upper bound, clean NLL \u2212 ln(1 \u2212 e)",
        "accuracy": "a, from the clean accuracy alone",
        "certain": "c, the clean top-1, a floor for certain predictions",
        "tie": "tie, at this e two classes of a certain prediction are level",
        "lost": "lost, at this e a certain prediction of some class turns wrong, and all of p was not kept",
        "r0": f"{FROM_CLEAN_CELL}, from an r = 0 cell, not from a twin",
        "floor n": "(n = ...) beside a floor, the number of seeds that have one",
        "agreed": f"{SEEDS_AGREE}, all n have this very value and the interval has no width",
    }
    told = "; ".join(words for kind, words in known.items() if kind in kinds)
    return f"Marks: {told}." if told else ""


def _hashes(panel: Panel) -> str:
    hashes = sorted({trial.data_sha256 for trial in panel.trials.values()})
    return " / ".join(text.clean(digest, 64)[:12] for digest in hashes[:3]) + (" …" if len(hashes) > 3 else "")


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

    def span(value: Callable[[Published], int | None]) -> str:
        return _range(sorted({found for found in map(value, trials) if found is not None}))

    resolved = {
        "data set": text.breakable(panel.dataset, 60),
        "trials": f"{len(trials):,}",
        "samples trained on": span(lambda trial: trial.samples),
        "steps": span(lambda trial: trial.steps),
        "batch": span(lambda trial: trial.batch),
        "parameters": span(lambda trial: trial.parameters),
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
    if view.key.mapping:
        resolved["noise.map"] = text.breakable(view.key.mapping, MAP_SHOWN)
    for name, value in parse_configuration(panel.configuration):
        resolved[name] = text.breakable(value, 60)
    return resolved


def _span(values: list[float], words: Callable[[float, int], str], digits: int) -> str:
    return " to ".join(dict.fromkeys((words(min(values), digits), words(max(values), digits))))


def _range(values: list[int]) -> str:
    if not values:
        return text.NOTHING
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _notes(analysis: Analysis) -> list[str]:
    notes = []
    if analysis.problems:
        reasons = Counter(analysis.problems.values())
        told = "; ".join(f"{text.breakable(reason, 120)} ({times})" for reason, times in sorted(reasons.items())[:5])
        notes.append(
            f"The stored predictions of {text.count(len(analysis.problems), 'trial')} could not be used: {told}."
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
    bare = sum(not section.drawings and section.view.present > 0 for section in analysis.sections)
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
        "Trials of several revisions of the program, the data or what they need are compared in: "
        f"{'; '.join(mixed[:5])}{more}. Their revisions are under Provenance and in tables/trials.csv."
    ]
