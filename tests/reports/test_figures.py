"""Figures: the same bytes each time, no words over one another, missing cells shown."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from fractions import Fraction

import matplotlib.colors
import numpy as np
import pytest
from fixtures.figure_words import assert_legible
from fixtures.report_store import Rows, grid, study

from reports import text
from reports.analysis import Analysis, Drawing, analyse
from reports.figures import ITEMS, style
from reports.figures.item import Item
from reports.files import open_store
from reports.points import Point


def dense() -> Rows:
    """Many ratios up to 9, eight multipliers, single seeds, a name with signs of other languages."""
    rows = Rows()
    ratios = [
        Fraction(text) for text in ("0", "1/20", "1/10", "1/5", "3/10", "1/2", "7/10", "1", "3/2", "7/3", "4", "9")
    ]
    for cell in grid(("digits",), ratios, (1, 2, 4, 8, 16, 32, 64, 128), (0,), law="next_class", model="$x_1$ #中"):
        if cell.multiplier not in (2, 4) or cell.ratio != Fraction(1, 2):
            rows.publish(cell, kept=cell.multiplier == 1)
    return rows


def near() -> Rows:
    """Rates that crowd about a threshold; one alone is no short ratio."""
    rows = Rows()
    rates = [Fraction(text) for text in ("0", "3/10", "9/20", "49/100", "497/1000", "1/2", "503/1000", "11/20")]
    for cell in grid(("digits",), [rate / (1 - rate) for rate in rates], (1,), (0,), law="next_class"):
        rows.publish(cell, kept=False)
    return rows


@pytest.fixture(scope="module", params=["study", "dense", "near"])
def analysis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    rows = {"study": study, "dense": dense, "near": near}[request.param]()
    return analyse(open_store(rows.write(tmp_path_factory.mktemp("figures") / "store", one_file=True)))


def drawings(analysis: Analysis) -> list[Drawing]:
    return [drawing for section in analysis.sections for drawing in section.drawings]


def test_every_kind_is_drawn(analysis: Analysis) -> None:
    grids = [item.name for item in ITEMS if isinstance(item, Item)]
    classifier = ["accuracy", "nll", "excess"]
    assert [drawing.item.name for drawing in drawings(analysis)] == classifier == grids[:3]
    many = len(analysis.sections[0].view.multipliers) >= 3
    assert [plate.kind for plate in analysis.sections[0].plates] == (["batch"] if many else [])


def test_the_same_points_give_the_same_bytes_whatever_the_users_settings(analysis: Analysis) -> None:
    for drawing in drawings(analysis)[:1]:
        with style.settings():
            once = style.svg(drawing.item.draw(drawing.strips))
        with matplotlib.rc_context({"font.size": 22, "svg.fonttype": "none", "lines.linewidth": 9}), style.settings():
            again = style.svg(drawing.item.draw(drawing.strips))
        assert once == again
        root = ET.fromstring(once)
        assert root.tag.endswith("svg")
        assert b"<text" not in once  # words are outlines: a reader needs no font


def test_no_word_lies_on_another_or_off_the_page(analysis: Analysis) -> None:
    for drawing in drawings(analysis):
        with style.settings():
            figure = drawing.item.draw(drawing.strips)
            assert_legible(figure)


def test_everything_measured_lies_within_its_panel(analysis: Analysis) -> None:
    for drawing in drawings(analysis):
        with style.settings():
            figure = drawing.item.draw(drawing.strips)
        axes = iter(figure.axes)
        for strip in drawing.strips:
            for panels in drawing.item.panels:
                low, high = next(axes).get_ylim()
                for point in strip.points[panels.quantity]:
                    for value in (point.mean, point.low, point.high, point.test_low, point.test_high):
                        assert value is None or low < value < high


def test_every_ratio_has_a_tick_with_words(analysis: Analysis) -> None:
    for drawing in drawings(analysis):
        with style.settings():
            figure = drawing.item.draw(drawing.strips)
        ratios = sorted({point.ratio for point in drawing.points})
        short = all("/" not in text.ratio(ratio) for ratio in ratios)
        for axis in figure.axes:
            told = [label.get_text() for label in axis.get_xticklabels()]
            rates = [f"{float(ratio / (1 + ratio)):.3f}".rstrip("0").rstrip(".") for ratio in ratios]
            assert [label.split("\n")[-1] for label in told] == [rate.removeprefix("0") or "0" for rate in rates]
            assert [label.split("\n")[0] for label in told if short] == [text.ratio(ratio) for ratio in ratios if short]
            assert axis.get_xlabel() in ("", "error rate e = r / (1 + r)") or short


def beside(one: Point, other: Point) -> bool:
    """Points of one multiplier without room for words between them: in none of these stores at r above 1/10 but about
    the threshold."""
    near = {Fraction(1, 20), Fraction(1, 10)}, {Fraction(1), Fraction(503, 497)}
    return one.multiplier == other.multiplier and {one.ratio, other.ratio} in near


def test_missing_cells_are_counted_above_their_panel(analysis: Analysis) -> None:
    for drawing in drawings(analysis):
        with style.settings():
            figure = drawing.item.draw(drawing.strips)
        axes = iter(figure.axes)
        for strip in drawing.strips:
            for panels in drawing.item.panels:
                axis = next(axes)
                told = sorted(word.get_text() for word in axis.texts if "/" in word.get_text())
                odd = [point for point in strip.points[panels.quantity] if not point.complete]
                crowded = {one.multiplier for one, other in itertools.pairwise(odd) if beside(one, other)}
                assert told == sorted(f"{one.n}/{one.of}" for one in odd if one.multiplier not in crowded)
                marks = [line for line in axis.lines if not line.get_clip_on()]
                assert sorted(float(line.get_xdata()[0]) for line in marks) == sorted(float(one.ratio) for one in odd)


def test_colours_differ_in_grey_or_by_marker() -> None:
    looks = [style.look(index) for index in range(56)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 56
    for one, other in itertools.combinations(looks[:7], 2):
        grey = [
            float(np.dot(matplotlib.colors.to_rgb(look["color"]), (0.2126, 0.7152, 0.0722))) for look in (one, other)
        ]
        assert one["marker"] != other["marker"] or abs(grey[0] - grey[1]) > 0.15
