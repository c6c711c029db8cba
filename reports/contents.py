"""What the document says: its title, summary, sections, failures and provenance, as plain words and rows.

Every text that comes from a store passes :mod:`reports.text`; the template shows strings as they are, never as markup.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from reports import summary, tables, text
from reports.analysis import Analysis, Drawing, Section
from reports.cells import NO_NOISE, FigureSet, Panel, parse_configuration
from reports.points import Point, seeds_text
from reports.rows import Failure, Published

FAILURES_SHOWN = 30
FIELDS_SHOWN = 40
PANELS_A_TABLE = 3
REFERENCES = {"twin": "the compute-matched clean twin", "r0": "the r = 0 cell of the same batch and seed"}


def contents(analysis: Analysis) -> dict[str, Any]:
    """Everything the template needs, of JSON's types; figures by the name of their file."""
    return {
        "title": _title(analysis),
        "about": _about(analysis),
        "summary": summary.sentences(analysis),
        "sections": [_section(section) for section in analysis.sections],
        "failures": _failures(analysis.rows.failures),
        "notes": _notes(analysis),
        "provenance": _provenance(analysis),
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
        f"{text.count(len(trials), 'published trial')}, {text.count(len({trial.seed for trial in trials}), 'seed')}; "
        f"{cells:,} of {expected:,} cells in {text.count(len(sections), 'figure set')}. "
        f"Store digest {analysis.digest[:16]}."
    )


def _section(section: Section) -> dict[str, Any]:
    view = section.view
    missing = view.expected - view.present
    absent = f" {missing:,} of these cells {'is' if missing == 1 else 'are'} missing." if missing else ""
    axes = (
        f"r: {', '.join(map(text.ratio, view.ratios))}; batch multipliers: {', '.join(map(str, view.multipliers))}; "
        f"seeds: {', '.join(map(str, view.seeds))}; {text.count(len(view.panels), 'panel')}. "
    )
    return {
        "heading": heading(view),
        "axes": text.clean(axes, 400) + absent,
        "configurations": _configurations(view),
        "figures": [_figure(drawing) for drawing in section.drawings],
    }


def _figure(drawing: Drawing) -> dict[str, Any]:
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
        "table": tables.shown(drawing),
        "marks": _marks(drawing.points),
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
    if len(set(told.values())) == 1:
        return f"Floors come from {next(iter(told.values()))}."
    return f"Floors come from: {'; '.join(f'{panel}, {words}' for panel, words in told.items())}."


def _marks(found: list[Point]) -> str:
    kinds = {kind for point in found for kind in point.floor_kind.split("+")}
    by_row: dict[object, set[int]] = defaultdict(set)
    for point in found:
        if point.n:
            by_row[point.panel, point.ratio, point.multiplier].add(point.n)
    if any(len(sizes) > 1 for sizes in by_row.values()):
        kinds.add("n")
    known = {
        "n": "(n) beside a mean, its n where that is not the row's",
        "bound": "b, upper bound, clean NLL \u2212 ln(1 \u2212 e)",
        "accuracy": "a, from the clean accuracy alone",
        "tie": "tie, the ideal argmax is undecided at this e",
        "lost": "lost, the ideal argmax is a wrong class at this e",
    }
    told = "; ".join(words for kind, words in known.items() if kind in kinds)
    return f"Marks: {told}." if told else ""


def _hashes(panel: Panel) -> str:
    hashes = sorted({trial.data_sha256 for trial in panel.trials.values()})
    return " / ".join(text.clean(digest, 64)[:12] for digest in hashes[:3]) + (" …" if len(hashes) > 3 else "")


def _configurations(view: FigureSet) -> list[dict[str, Any]]:
    found = []
    for start in range(0, len(view.panels), PANELS_A_TABLE):
        panels = view.panels[start : start + PANELS_A_TABLE]
        columns = [_resolved(panel) for panel in panels]
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


def _resolved(panel: Panel) -> dict[str, str]:
    """A panel's trials in words: what varies as a range, then every field of the configuration."""
    trials = list(panel.trials.values())

    def span(value: Callable[[Published], int | None]) -> str:
        return _range(sorted({found for found in map(value, trials) if found is not None}))

    rates = [trial.realised_rate - float(trial.rate) for trial in trials if trial.realised_rate is not None]
    resolved = {
        "data set": text.breakable(panel.dataset, 60),
        "trials": f"{len(trials):,}",
        "samples trained on": span(lambda trial: trial.samples),
        "steps": span(lambda trial: trial.steps),
        "batch": span(lambda trial: trial.batch),
        "parameters": span(lambda trial: trial.parameters),
    }
    if rates:
        resolved["realised rate less e"] = " to ".join(
            dict.fromkeys((text.signed(min(rates), 4), text.signed(max(rates), 4)))
        )
    for name, value in parse_configuration(panel.configuration):
        resolved[name] = text.breakable(value, 60)
    return resolved


def _range(values: list[int]) -> str:
    if not values:
        return text.NOTHING
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _failures(failures: tuple[Failure, ...]) -> dict[str, Any]:
    """A row a trial and outcome, the newest attempt's reason; attempt ids sort by time."""
    attempts: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        attempts[failure.id, failure.outcome].append(failure)
    rows = []
    for (trial, outcome), found in sorted(attempts.items(), key=lambda item: (item[1][0].published, item[0])):
        newest = max(found, key=lambda one: one.attempt)
        rows.append(
            [
                text.breakable(trial, 24),
                text.clean(outcome, 16),
                str(len(found)),
                "yes" if newest.published else "no",
                text.breakable(newest.reason, 200) or text.NOTHING,
            ]
        )
    left = len(rows) - FAILURES_SHOWN
    return {
        "heads": ["trial", "outcome", "attempts", "published", "reason of the newest"],
        "rows": rows[:FAILURES_SHOWN],
        "more": f"{text.count(left, 'more row')} in tables/failures.csv" if left > 0 else "",
    }


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
    bare = sum(not section.drawings for section in analysis.sections)
    if bare:
        notes.append(
            f"{text.count(bare, 'figure set')} without a figure: the trials have none of the metrics that figures "
            "show. Their final metrics are in tables/metrics.csv."
        )
    return notes


def _provenance(analysis: Analysis) -> list[list[str]]:
    trials = analysis.trials
    rows = [["store digest", text.digest(analysis.digest)]]
    rows += _counted("git", (trial.git or "not recorded" for trial in trials))
    rows += _counted("processor", (trial.cpu or "not recorded" for trial in trials))
    rows += _counted("device", (trial.device or "not recorded" for trial in trials))
    rows += _counted("threads", ("not recorded" if one.threads is None else str(one.threads) for one in trials))
    packages: dict[str, list[str]] = defaultdict(list)
    for trial in trials:
        for name, version in _versions(trial.versions).items():
            packages[name].append(version)
    for name, versions in sorted(packages.items())[:20]:
        rows += _counted(name, versions)
    by_family = sorted({(trial.family, trial.revision) for trial in trials})
    rows += [["revision", text.breakable(f"{family} {revision}")] for family, revision in by_family[:20]]
    data = sorted({(trial.dataset, trial.data_sha256) for trial in trials})
    rows += [["data SHA-256", f"{text.breakable(dataset, 40)} {text.digest(found)}"] for dataset, found in data[:20]]
    return rows


def _counted(name: str, values: Iterable[str]) -> list[list[str]]:
    counts = Counter(values)
    told = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [text.digest(value) + (f" ({times})" if len(told) > 1 else "") for value, times in told[:6]]
    more = [f"and {len(told) - 6} more"] if len(told) > 6 else []
    return [[text.breakable(name, 40), "; ".join([*shown, *more])]]


def _versions(recorded: str) -> dict[str, str]:
    try:
        found = json.loads(recorded)
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}
