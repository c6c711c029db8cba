"""All figures of a section as plates: grids of panels over r, and what other kinds made of the set."""

from __future__ import annotations

from functools import partial

from reports import captions, text
from reports.analysis import Drawing, Section
from reports.figures.item import spans
from reports.figures.plate import Group, Plate, Sheet, Table
from reports.points import COLUMNS, csv_row


def plates(section: Section) -> list[Plate]:
    """Every figure of the section, in the order of the registry."""
    grids = [_grid(drawing) for drawing in section.drawings]
    return [*grids, *section.plates]


def _grid(drawing: Drawing) -> Plate:
    table = _table(drawing)
    by_panel = {
        strip.title: [point for points in strip.points.values() for point in points] for strip in drawing.strips
    }
    words = [cell for group in table.groups for row in group.rows for cell in row]
    return Plate(
        name=drawing.name,
        kind=drawing.item.name,
        title=drawing.item.title,
        alt=f"{drawing.item.title}, {captions.heading(drawing.view)}",
        caption=text.clean(drawing.item.caption(drawing.points), 900),
        small=captions.small(drawing.view, drawing.points, drawing.panels, by_panel),
        draw=partial(drawing.item.draw, drawing.strips),
        points=Sheet(COLUMNS, [csv_row(point) for point in drawing.points]),
        tables=(table,),
        marks=captions.marks(drawing.points, words),
    )


def _table(drawing: Drawing) -> Table:
    """The table behind a figure: a row a cell, a group a panel."""
    fields = drawing.item.fields
    groups, raw = [], []
    for panel, strip in zip(drawing.panels, drawing.strips, strict=True):
        cells = drawing.cells(strip)
        groups.append(
            Group(
                label=text.breakable(strip.title),
                rows=[[field.shown(cell) for field in fields] for cell in cells],
                complete=[all(point.complete for point in drawing.item.counts(strip, cell)) for cell in cells],
            )
        )
        for cell in cells:
            values = [value(cell) for field in fields for value in field.raw.values()]
            raw.append([panel.dataset, panel.label, *values])
    head = ["dataset", "panel", *(name for field in fields for name in field.raw)]
    return Table(
        caption=f"{drawing.item.title}: the numbers.",
        heads=[field.head for field in fields],
        spans=spans(fields),
        groups=groups,
        sheet=Sheet(head, raw),
    )
