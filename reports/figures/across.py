"""Excess damage of all families over the error rate, on one pair of axes, beside what the paper's numbers come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from reports import captions, paper, text
from reports.cells import FigureSet
from reports.figures import marks, style
from reports.figures.plate import Group, Plate, Sheet, Study, Table
from reports.points import COLUMNS, Point, csv_row, points, seeds_text

NAME = "across-families-excess"
TITLE = "Excess damage across families"
#: Quantity -> its words, the line it is drawn with, and by how much it is multiplied: shares are told in points.
QUANTITIES: Mapping[str, tuple[str, Any, int]] = {
    "nll_excess": ("NLL", "-", 1),
    "sampled_excess": ("sampled accuracy", "-", 100),
    "consistency_excess": ("consistency", (0, (1, 1.2)), 100),
}
MOST_SERIES = 12  # of which a legend has room
HOLLOW = ("o", "s", "^", "D")
HEAD = ("source", "family", "set", *COLUMNS)


@dataclass(frozen=True)
class Series:
    """One panel of a set at its lowest multiplier: by quantity the points that have an excess."""

    view: FigureSet
    label: str
    dataset: str
    found: Mapping[str, Sequence[Point]]

    @property
    def family(self) -> str:
        """The family of its trials."""
        return self.view.key.family


def plates(studies: Sequence[Study]) -> list[Plate]:
    """The figure, where more than one family has an excess; none otherwise."""
    series = [one for study in studies for one in _series(study)]
    if len({one.family for one in series}) < 2:
        return []
    drawn = _chosen(series)
    words = (
        "Excess damage, observed less floor, over the error rate e: left of NLL, in nats, where above zero is worse "
        "than the channel alone explains; right of sampled accuracy (solid) and of consistency (dotted), in percentage "
        "points, where below zero is. Values are of different data, models and floors: they share the functional, not "
        f"the task. Hollow: what the numbers published in {paper.SOURCE} come to, of its own data and one run each, "
        "without an interval; their floors are the clean NLL \u2212 ln(1 \u2212 e), an upper bound, and for "
        "consistency (1 \u2212 e)c + e(1 \u2212 c)/(n \u2212 1)."
    )
    if len(drawn) < len(series):
        words += f" {text.count(len(series) - len(drawn), 'more panel')}: see the table."
    every = [point for one in series for found in one.found.values() for point in found]
    if any("bound" in point.floor_kind for point in every):
        words += " Where a set's own floor is a bound (b in its figure), the NLL's excess is a lower estimate."
    small = (
        f"{seeds_text(every)} a point; whiskers are 95 % t-intervals over seeds, none below n = 3. Floors are those of "
        "each set's own figures."
    )
    return [
        Plate(
            name=NAME,
            kind="excess",
            title=TITLE,
            alt=TITLE,
            caption=text.clean(words, 1200),
            small=small,
            draw=partial(draw, drawn),
            points=Sheet(HEAD, [*_rows(series), *_paper_rows()]),
            tables=(_table(series),),
            marks=_marks(series),
        )
    ]


def _series(study: Study) -> list[Series]:
    found = []
    for panel in study.view.panels:
        by_quantity = {
            quantity: [
                point for point in points(study.view, panel, quantity, study.measured) if point.ratio and point.n
            ]
            for quantity in QUANTITIES
        }
        lowest = min((point.multiplier for these in by_quantity.values() for point in these), default=None)
        kept = {
            quantity: [point for point in these if point.multiplier == lowest]
            for quantity, these in by_quantity.items()
        }
        if lowest is not None:
            found.append(
                Series(study.view, panel.label, panel.dataset, {q: these for q, these in kept.items() if these})
            )
    return found


def _chosen(series: Sequence[Series]) -> list[Series]:
    """As many as there is room for, of each family as many as of any other, in the order of the sets."""
    by_family: dict[str, list[Series]] = {}
    for one in series:
        by_family.setdefault(one.family, []).append(one)
    turns = [(turn, place) for place, these in enumerate(by_family.values()) for turn in range(len(these))]
    families = list(by_family.values())
    taken = [families[place][turn] for turn, place in sorted(turns)[:MOST_SERIES]]
    return [one for one in series if any(one is other for other in taken)]


def draw(series: Sequence[Series]) -> Any:
    """A matplotlib Figure of two panels with a legend below. Call within ``style.settings()``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    handles = _handles(series)
    legend = 0.15 * len(handles) + 0.25  # inches
    figure = Figure(figsize=(style.WIDTH, 2.5 + legend), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _panel(left, series, ("nll_excess",), "A  NLL", "observed \u2212 floor (nats)\nabove 0: worse")
    _panel(
        right, series, ("sampled_excess", "consistency_excess"), "B  sampled accuracy, consistency",
        "observed \u2212 floor (points)\nbelow 0: worse",
    )  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=1, frameon=False)
    return figure


def _panel(axes: Any, series: Sequence[Series], quantities: Sequence[str], title: str, label: str) -> None:
    shown: list[float] = []
    axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=1)
    for index, one in enumerate(series):
        shift = marks.dodged(axes, index, len(series))
        for quantity in quantities:
            _, line, times = QUANTITIES[quantity]
            scaled = [marks.scaled(point, times) for point in one.found.get(quantity, ())]
            marks.line(axes, scaled, _at, {**style.look(index), "linestyle": line}, shift)
            shown += [value for point in scaled for value in (point.mean, point.low, point.high) if value is not None]
    for place, value in enumerate(paper.EXCESSES):
        if value.quantity in quantities:
            excess = value.excess * QUANTITIES[value.quantity][2]
            shown.append(excess)
            axes.plot([float(value.rate)], [excess], **_hollow(place), transform=_aside(axes, place), zorder=5)
    marks.limit(axes, [*shown, 0.0])
    rates = [_at(point) for one in series for found in one.found.values() for point in found]
    axes.set_xlim(0, max([0.5, *rates]) * 1.09)
    axes.set_xlabel("error rate e = r / (1 + r)")
    axes.set_ylabel(label)
    axes.set_title(title, loc="left")


def _at(point: Point) -> float:
    return float(point.rate)


def _hollow(place: int) -> dict[str, Any]:
    return {
        "marker": HOLLOW[place % len(HOLLOW)], "color": style.GREY, "markerfacecolor": "white", "markersize": 5.5,
        "markeredgewidth": 1.1, "linestyle": "none",
    }  # fmt: skip


def _aside(axes: Any, place: int) -> Any:
    """The paper's marks stand right of the lines, apart from one another."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation((7 + 2 * (place % 2)) / 72, 0, axes.figure.dpi_scale_trans)


def _handles(series: Sequence[Series]) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], **style.look(index), label=text.plain(_told(one), 110)) for index, one in enumerate(series)
    ]
    for place, value in enumerate(paper.EXCESSES):
        unit = "nats" if value.quantity == "nll_excess" else "points of consistency"
        times = QUANTITIES[value.quantity][2]
        told = text.signed(value.excess * times, _digits(times))
        words = f"published: {value.model} on {value.dataset}, {told} {unit}"
        handles.append(Line2D([], [], **_hollow(place), label=words))
    return handles


def _told(one: Series) -> str:
    key = one.view.key
    return f"{key.family} {key.model}: {one.label}; {key.law_name}, {key.refresh}, {key.rule}, {key.reading}"


def _rows(series: Sequence[Series]) -> list[list[object]]:
    return [
        ["this store", one.family, captions.heading(one.view), *csv_row(point)]
        for one in series
        for found in one.found.values()
        for point in found
    ]


def _paper_rows() -> list[list[object]]:
    """The published values in the columns of a point; the counts of seeds say one run."""
    rows = []
    for value in paper.EXCESSES:
        ratio = value.rate / (1 - value.rate)
        told = {
            "dataset": value.dataset, "panel": value.model, "quantity": value.quantity, "ratio": float(ratio),
            "rate": float(value.rate), "n": 1, "of": 1, "trials": 1, "mean": value.excess, "floor": value.floor,
        }  # fmt: skip
        rows.append([f"{paper.SOURCE}, {value.where}", value.family, "", *(told.get(name) for name in COLUMNS)])
    return rows


def _groups(series: Sequence[Series]) -> list[Group]:
    """A group a panel, a row a ratio, a column a quantity."""
    groups = []
    for one in series:
        ratios = sorted({point.ratio for found in one.found.values() for point in found})
        rows = []
        complete = []
        for ratio in ratios:
            here = {quantity: point for quantity, found in one.found.items() for point in found if point.ratio == ratio}
            first = next(iter(here.values()))
            cells = [
                word
                for quantity, (_, _, times) in QUANTITIES.items()
                for word in _cells(here.get(quantity), times, first.n)
            ]
            rows.append([text.ratio(ratio), text.number(float(first.rate)), f"{first.n}/{first.of}", *cells])
            complete.append(all(point.complete for point in here.values()))
        groups.append(Group(text.breakable(_told(one), 200), rows, complete))
    return groups


def _marks(series: Sequence[Series]) -> str:
    """What a number in brackets beside a mean is, where there is one."""
    several = any(
        len({point.n for found in one.found.values() for point in found if point.ratio == ratio}) > 1
        for one in series
        for ratio in {point.ratio for found in one.found.values() for point in found}
    )
    return "Marks: (n) beside a mean, its n where that is not the row's." if several else ""


def _cells(point: Point | None, times: int, n: int) -> list[str]:
    if point is None or point.mean is None:
        return [text.NOTHING, text.NOTHING]
    one = marks.scaled(point, times)
    digits = _digits(times)
    mean = text.signed(one.mean, digits) + ("" if point.n == n else f" ({point.n})")
    return [mean, "n < 3" if one.low is None else text.interval(one.low, one.high, digits)]


def _paper_group(value: paper.PaperValue) -> Group:
    row = [text.ratio(value.rate / (1 - value.rate)), text.number(float(value.rate)), "1/1"]
    for quantity, (_, _, times) in QUANTITIES.items():
        mine = quantity == value.quantity
        row += [text.signed(value.excess * times, _digits(times)), "one run"] if mine else [text.NOTHING] * 2
    return Group(text.breakable(f"published, {paper.SOURCE}: {value.model} on {value.dataset}", 200), [row], [True])


def _digits(times: int) -> int:
    return 3 if times == 1 else 1


def _table(series: Sequence[Series]) -> Table:
    groups = _groups(series) + list(map(_paper_group, paper.EXCESSES))
    heads = ["r", "e", "n/N", *("mean", "95 % interval") * len(QUANTITIES)]
    spans = [("", 1)] * 3 + [
        (f"{words} ({'nats' if times == 1 else 'points'})", 2) for words, _, times in QUANTITIES.values()
    ]
    return Table(f"{TITLE}: the numbers.", heads, spans, groups, Sheet(HEAD, [*_rows(series), *_paper_rows()]))
