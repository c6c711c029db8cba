"""What stands below every figure: its set, n, seeds, intervals, data, floors' references and the marks of its table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reports import text
from reports.cells import NO_NOISE, FigureSet, Panel, SetKey
from reports.figures.item import FROM_CLEAN_CELL, SEEDS_AGREE
from reports.points import Point, seeds_text

REFERENCES = {"twin": "the compute-matched clean twin", "r0": "the r = 0 cell of the same batch and seed"}
SHORTER = "an r = 0 cell trained on 1 / (1 + r) of the samples of the trial that is held against it"
OWN_SCHEDULE = "a twin's learning-rate schedule is its own, that of its longer base budget"


def heading(view: FigureSet) -> str:
    """What tells this set from others, in words."""
    key = view.key
    noise = "clean trials" if key.law == NO_NOISE else f"{key.law_name} noise, {key.refresh}"
    return text.breakable(f"{key.family} {key.model}: {noise}, {key.rule} budget, {key.reading} reading", 200)


def small(
    view: FigureSet, points: Sequence[Point], panels: Sequence[Panel], by_panel: Mapping[str, Sequence[Point]]
) -> str:
    """Seeds, intervals, the test set's error, law, budget, reading, the floors' references and the data.

    ``by_panel``: panel -> points that have floors; empty for a figure that has none.
    """
    cells = f"Seeds {', '.join(map(str, view.seeds))}; {seeds_text(points)} a point"
    intervals = "whiskers are 95 % t-intervals over seeds, none below n = 3"
    references = _references(view.key, by_panel) if by_panel else ""
    return text.breakable(
        f"{cells}; {intervals}{_test_error(points)}. {setting(view)} {f'{references} ' if references else ''}"
        f"{data(panels)}",
        1200,
    )


def setting(view: FigureSet) -> str:
    """Law, budget and reading, in a sentence."""
    key = view.key
    law = "no noise" if key.law == NO_NOISE else f"{key.law_name}, {key.refresh}"
    return f"Law: {law}; {key.rule} budget; {key.reading} reading."


def data(panels: Sequence[Panel]) -> str:
    """The panels' data, in a sentence."""
    return f"Data: {'; '.join(f'{panel.label} {hashes(panel)}' for panel in panels)}."


def hashes(panel: Panel) -> str:
    """The data that a panel's trials saw, by the beginning of its SHA-256."""
    found = sorted({trial.data_sha256 for trial in panel.trials.values()})
    return " / ".join(text.clean(digest, 64)[:12] for digest in found[:3]) + (" …" if len(found) > 3 else "")


def span(values: Iterable[int]) -> str:
    """``7``, ``7 to 9``; a dash for nothing."""
    found = sorted(values)
    if not found:
        return text.NOTHING
    return f"{found[0]:,}" if found[0] == found[-1] else f"{found[0]:,} to {found[-1]:,}"


def marks(found: Sequence[Point], cells: Iterable[str]) -> str:
    """What the marks in a figure's table mean, those that it has. ``cells`` are the table's words."""
    kinds = {kind for point in found for kind in point.floor_kind.split("+")}
    by_row: dict[object, set[int]] = defaultdict(set)
    for point in found:
        if point.n:
            by_row[point.panel, point.ratio, point.multiplier].add(point.n)
    if any(len(sizes) > 1 for sizes in by_row.values()):
        kinds.add("n")
    shown = " ".join(cells)
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


def _test_error(points: Sequence[Point]) -> str:
    if not any(point.test_low is not None for point in points):
        return ""
    known = [point for point in points if point.examples is not None]
    unit = next(point.unit for point in points if point.test_low is not None)
    size = f"{span(point.examples for point in known if point.examples is not None)} {unit.many}"
    blocks = {point.blocks for point in known if point.blocks is not None}
    clustered = f" in {span(blocks)} blocks of text, over which it is clustered" if blocks else ""
    return f"; grey bar: {unit.owner} 95 % error at its widest ({size}{clustered})"


def _references(key: SetKey, by_panel: Mapping[str, Sequence[Point]]) -> str:
    """Which clean trials the floors come from, panel by panel where the panels differ."""
    told = {}
    for panel, points in by_panel.items():
        used = {part for point in points for part in point.reference.split("+") if part}
        told[panel] = text.listing(words for name, words in REFERENCES.items() if name in used)
    if set(told.values()) == {"none"}:
        return "There is no clean trial to take floors from."
    more = f"; {'; '.join(remarks)}" if (remarks := _remarks(key, by_panel)) else ""
    if len(set(told.values())) == 1:
        return f"Floors come from {next(iter(told.values()))}{more}."
    return f"Floors come from: {'; '.join(f'{panel}, {words}' for panel, words in told.items())}{more}."


def _remarks(key: SetKey, by_panel: Mapping[str, Sequence[Point]]) -> list[str]:
    """What a clean reference differs in from a noisy trial, where the budget grows with r."""
    used = {part for points in by_panel.values() for point in points for part in point.reference.split("+") if part}
    if key.rule != "scaled":
        return []
    remarks = [SHORTER] if "r0" in used else []
    return remarks + ([f"in the paper reading {OWN_SCHEDULE}"] if key.reading == "paper" and "twin" in used else [])
