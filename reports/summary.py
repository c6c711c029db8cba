"""The summary: sentences computed from the points, with n and interval, and nothing beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from reports import text
from reports.analysis import Analysis, Drawing, Section
from reports.cells import NO_NOISE, Panel
from reports.figures.item import SEEDS_AGREE
from reports.points import Point

PANELS_SHOWN = 8
#: What a line tells, if measured: the quantity, its words, and what its floor is called.
QUANTITIES = (
    ("top1", "top-1", "floor"),
    ("sampled_accuracy", "sampled accuracy", "floor"),
    ("test_nll", "test NLL", "floor"),
    ("consistency", "consistency", "floor"),
    ("frechet_distance", "Frechet distance over the judge's features", "clean reference"),
)
EXCESSES = (
    ("nll_excess", "excess NLL"),
    ("sampled_excess", "excess sampled accuracy"),
    ("consistency_excess", "excess consistency"),
)


def sentences(analysis: Analysis) -> list[str]:
    """A line a panel: the largest published ratio against r = 0, at the smallest published batch multiplier."""
    found = [line for section in analysis.sections for line in _lines(section)]
    left = len(found) - PANELS_SHOWN
    return found[:PANELS_SHOWN] + ([f"{text.count(left, 'more panel')}: see the tables."] if left > 0 else [])


def _lines(section: Section) -> list[str]:
    """What figures of other kinds say; a line a panel where there are grids over r, or nothing else."""
    said = [plate.says for plate in section.plates if plate.says]
    panels = section.view.panels if section.drawings or not said else ()
    return [*(_line(section, panel) for panel in panels), *said]


def _line(section: Section, panel: Panel) -> str:
    key = section.view.key
    law = "" if key.law == NO_NOISE else f", {key.law_name} ({key.refresh}, {key.rule})"
    if not panel.trials:
        begun = text.count(panel.attempted, "trial")
        return text.breakable(f"{panel.label}{law}: nothing published, {begun} attempted.", 700)
    multiplier = min(at for _, at, _ in panel.trials)
    ratios = sorted({ratio for ratio, at, _ in panel.trials if at == multiplier})
    where = f"{panel.label}{law}, batch × {multiplier}, r = {text.ratio(ratios[-1])}"
    parts = _parts(section, panel, multiplier, ratios)
    parts += _missing(section, panel, multiplier, ratios)
    return text.breakable(f"{where}: {'; '.join(parts) or 'none of the metrics that figures show'}.", 1200)


def _missing(section: Section, panel: Panel, multiplier: int, ratios: Sequence[Fraction]) -> list[str]:
    """What would be expected and was not published, in words."""
    beyond = [ratio for ratio, at in panel.pairs if at == multiplier and ratio > ratios[-1]]
    parts = []
    if beyond:
        several = len(beyond) > 3
        named = f"{len(beyond)} larger ratios are" if several else f"r = {text.listing(map(text.ratio, beyond))} is"
        parts.append(f"{named} missing at this batch")
    if panel.multipliers[0] < multiplier:
        smaller = [str(at) for at in panel.multipliers if at < multiplier]
        parts.append(f"batch × {text.listing(smaller)} is missing")
    if ratios[0] and section.view.key.law != NO_NOISE:
        parts.append("r = 0 is missing at this batch")
    return parts


def _parts(section: Section, panel: Panel, multiplier: int, ratios: Sequence[Fraction]) -> list[str]:
    parts = []
    for quantity, words, floor in QUANTITIES:
        series = _series(section.drawings, panel, multiplier, quantity)
        here = series.get(ratios[-1])
        if here is None or not any(point.n or point.not_finite for point in series.values()):
            continue
        part = f"{words} {_estimate(here)}"
        if not ratios[0] and ratios[-1]:
            part += f" against {_estimate(series[ratios[0]])} at r = 0"
        if here.ratio:
            part += f", {_floor(here, floor)}"
        parts.append(part)
    for quantity, words in EXCESSES:
        point = _series(section.drawings, panel, multiplier, quantity).get(ratios[-1])
        if point is not None and point.mean is not None:
            parts.append(f"{words} {_estimate(point, signed=True)}")
    return parts


def _series(drawings: Sequence[Drawing], panel: Panel, multiplier: int, quantity: str) -> dict[Fraction, Point]:
    """A panel's points of a quantity at a multiplier, by ratio."""
    return {
        point.ratio: point
        for drawing in drawings
        for here, strip in zip(drawing.panels, drawing.strips, strict=True)
        if here == panel
        for point in strip.points.get(quantity, ())
        if point.multiplier == multiplier
    }


def _floor(point: Point, word: str) -> str:
    """The floor over the seeds of the value before it; where some of them have none, both over those that have."""
    if not point.paired_n:
        return f"no {word}" + (" (tie)" if "tie" in point.floor_kind else "")
    told = f"{word} {text.number(point.paired_floor)}"
    if point.paired_n == point.n:
        return told
    return f"{told} where it is {text.number(point.paired_mean)} (n = {point.paired_n})"


def _estimate(point: Point, *, signed: bool = False) -> str:
    if point.mean is None:
        return f"without a value ({point.not_finite} not finite)" if point.not_finite else "without a value"
    mean = (text.signed if signed else text.number)(point.mean)
    if point.low is None:
        return f"{mean} (n = {point.n}, no interval)"
    if point.agreed:
        return f"{mean} (n = {point.n}, {SEEDS_AGREE})"
    return f"{mean} {text.interval(point.low, point.high)} (n = {point.n})"
