"""The summary: sentences computed from the points, with n and interval, and nothing beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from reports import text
from reports.analysis import Analysis, Drawing, Section
from reports.cells import NO_NOISE
from reports.points import Point

PANELS_SHOWN = 8


def sentences(analysis: Analysis) -> list[str]:
    """A line a panel: the largest ratio that has values against r = 0, at the smallest batch multiplier."""
    found = [line for section in analysis.sections for line in _lines(section)]
    left = len(found) - PANELS_SHOWN
    return found[:PANELS_SHOWN] + ([f"{text.count(left, 'more panel')}: see the tables."] if left > 0 else [])


def _lines(section: Section) -> list[str]:
    lines = []
    for panel in section.view.panels:
        told = {quantity: _series(section.drawings, panel.label, quantity) for quantity in _QUANTITIES}
        ratios = sorted({point.ratio for series in told.values() for point in series if point.mean is not None})
        if not ratios:
            continue
        parts = _parts(told, ratios[-1], ratios[0])
        multiplier = section.view.multipliers[0]
        key = section.view.key
        law = "" if key.law == NO_NOISE else f", {key.law_name} ({key.refresh}, {key.rule})"
        where = f"{panel.label}{law}, batch × {multiplier}, r = {text.ratio(ratios[-1])}"
        if parts:
            lines.append(text.breakable(f"{where}: {'; '.join(parts)}.", 700))
    return lines


_QUANTITIES = ("top1", "sampled_accuracy", "test_nll", "nll_excess", "sampled_excess")


def _series(drawings: Sequence[Drawing], panel: str, quantity: str) -> list[Point]:
    """A panel's points of a quantity at the smallest multiplier."""
    found = [
        point
        for drawing in drawings
        for strip in drawing.strips
        if strip.title == panel
        for point in strip.points.get(quantity, ())
    ]
    least = min((point.multiplier for point in found), default=0)
    return [point for point in found if point.multiplier == least]


def _parts(told: dict[str, list[Point]], high: object, low: object) -> list[str]:
    parts = []
    for quantity, words in (("top1", "top-1"), ("sampled_accuracy", "sampled accuracy"), ("test_nll", "test NLL")):
        here, clean = _at(told[quantity], high), _at(told[quantity], low)
        if here is None:
            continue
        part = f"{words} {_estimate(here)}"
        if clean is not None and clean is not here:
            part += f" against {_estimate(clean)} at r = {text.ratio(clean.ratio)}"
        if here.floor is not None and here.ratio:
            part += f", floor {text.number(here.floor)}"
        parts.append(part)
    for quantity, words in (("nll_excess", "excess NLL"), ("sampled_excess", "excess sampled accuracy")):
        here = _at(told[quantity], high)
        if here is not None:
            parts.append(f"{words} {_estimate(here, signed=True)}")
    return parts


def _at(series: Sequence[Point], ratio: object) -> Point | None:
    return next((point for point in series if point.ratio == ratio and point.mean is not None), None)


def _estimate(point: Point, *, signed: bool = False) -> str:
    mean = (text.signed if signed else text.number)(point.mean)
    if point.low is None:
        return f"{mean} (n = {point.n}, no interval)"
    return f"{mean} {text.interval(point.low, point.high)} (n = {point.n})"
