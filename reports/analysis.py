"""A store's rows worked out: sets, measures and the points of every figure that has any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from reports import text
from reports.cells import NO_NOISE, CleanTrials, FigureSet, Panel, SetKey, figure_sets
from reports.channels import may_hit_truth
from reports.confusions import Judgements
from reports.errors import ReportError
from reports.figures import ITEMS, across
from reports.figures.axes import Strip
from reports.figures.item import Cell, Item
from reports.figures.plate import Kind, Plate, Study
from reports.files import StoreFiles
from reports.generated import with_generated
from reports.gradients import Analyses
from reports.measures import Measured, measure
from reports.points import Point, points
from reports.predictions import Library, mapping_of
from reports.rows import Published, Rows, read_rows
from reports.samples import Album
from sweep.store.digest import store_digest

ROWS_A_FIGURE = 3  # panels above one another that a page holds beside caption and text


@dataclass(frozen=True)
class Drawing:
    """One figure to be drawn: a kind, up to three panels of a set, and the name of its files."""

    name: str
    item: Item
    view: FigureSet
    panels: tuple[Panel, ...]
    strips: tuple[Strip, ...]
    mixed: bool  # whether floors of the set come from twins and from r = 0 cells

    @property
    def points(self) -> list[Point]:
        """All points, panel by panel."""
        return [point for strip in self.strips for found in strip.points.values() for point in found]

    def cells(self, strip: Strip) -> list[Cell]:
        """The rows of a panel's table, by multiplier, then ratio."""
        series = [strip.points[quantity] for quantity in self.item.quantities]
        return [
            Cell(dict(zip(self.item.quantities, together, strict=True)), self.mixed)
            for together in zip(*series, strict=True)
        ]


@dataclass(frozen=True)
class Section:
    """One figure set with its figures: grids over r, and those of other kinds. ``slug`` begins their files' names."""

    view: FigureSet
    slug: str
    drawings: tuple[Drawing, ...]
    plates: tuple[Plate, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """All that the document tells. ``problems``: trial -> why what it left beside its metrics could not be used.

    ``across`` are figures of all sections together.
    """

    rows: Rows
    sections: tuple[Section, ...]
    measured: Mapping[str, Measured]
    problems: Mapping[str, str]
    digest: str
    across: tuple[Plate, ...] = ()

    @property
    def trials(self) -> tuple[Published, ...]:
        return self.rows.trials


def analyse(files: StoreFiles) -> Analysis:
    """Read a store and work out everything that is shown.

    Raises:
        ReportError: the store cannot be read, or has no published trial.
    """
    tables: dict[str, pa.Table] = {name: files.table(name) for name in ("trials", "metrics", "attempts", "artifacts")}
    rows = read_rows(tables)
    if not rows.trials:
        raise ReportError(_nothing(files.name, rows))
    library, shelf, judgements, album = Library(files), Analyses(files), Judgements(files), Album(files)
    measured = _measured(rows.trials, library, judgements)
    views = figure_sets(rows.trials, rows.attempted)
    slugs = _slugs([view.key for view in views])
    studies = [
        Study(view, slug, measured, shelf.of, judgements.of, album.of) for view, slug in zip(views, slugs, strict=True)
    ]
    sections = tuple(
        Section(study.view, study.slug, tuple(_drawings(study.view, study.slug, measured)), tuple(_plates(study)))
        for study in studies
    )
    problems = {**album.problems, **judgements.problems, **shelf.problems, **library.problems}
    return Analysis(rows, sections, measured, problems, store_digest(tables), tuple(across.plates(studies)))


def _measured(trials: Sequence[Published], library: Library, judgements: Judgements) -> dict[str, Measured]:
    """Every trial measured; those of one clean reference one after another, so that its predictions are read once."""
    clean = CleanTrials(trials)
    references = {trial.id: clean.reference(trial) if trial.ratio else None for trial in trials}

    def place(trial: Published) -> tuple[str, str]:
        found = references[trial.id]
        return (trial.id if found is None else found[0].id, trial.id)

    done = {}
    for trial in sorted(trials, key=place):
        found = references[trial.id]
        done[trial.id] = with_generated(measure(trial, found, library), found, judgements.of)
    return {trial.id: done[trial.id] for trial in trials}


def _nothing(name: str, rows: Rows) -> str:
    if rows.unread:
        return (
            f"none of the {len(rows.unread)} published trials of {name!r} has a specification that can be read "
            f"({text.clean(rows.unread[0], 40)} for one); look at them with 'sweep verify'."
        )
    failed = f" ({text.count(len(rows.failures), 'attempt')} failed)" if rows.failures else ""
    return (
        f"the store {name!r} has no published trial{failed}, so there is nothing to report. Run a sweep into it with "
        "'sweep run SPACE --store', or see 'sweep status --store' for what failed."
    )


def _drawings(view: FigureSet, slug: str, measured: Mapping[str, Measured]) -> list[Drawing]:
    found: list[Drawing] = []
    here = [measured[trial.id] for panel in view.panels for trial in panel.trials.values()]
    mixed = len({floor.reference for one in here for floor in one.floors.values()} - {""}) > 1
    for item in (kind for kind in ITEMS if isinstance(kind, Item)):
        chunks = [view.panels[at : at + ROWS_A_FIGURE] for at in range(0, len(view.panels), ROWS_A_FIGURE)]
        for place, chunk in enumerate(chunks):
            strips = tuple(_strip(view, panel, item, measured) for panel in chunk)
            name = f"{slug}-{item.name}" + (f"-{place + 1}" if len(chunks) > 1 else "")
            drawing = Drawing(name, item, view, chunk, strips, mixed)
            if item.present(drawing.points):
                found.append(drawing)
    return found


def _plates(study: Study) -> list[Plate]:
    return [plate for kind in ITEMS if isinstance(kind, Kind) for plate in kind.plates(study)]


def _strip(view: FigureSet, panel: Panel, item: Item, measured: Mapping[str, Measured]) -> Strip:
    found = {}
    for quantity in item.quantities:
        every = points(view, panel, quantity, measured)
        found[quantity] = [point for point in every if item.clean or point.ratio]
    mapping = mapping_of(view.key.mapping)
    redrawn = view.key.law != NO_NOISE and may_hit_truth(view.key.law, mapping)
    return Strip(panel.label, found, rate_words="redraw rate e" if redrawn else "error rate e")


def _slugs(keys: list[SetKey]) -> list[str]:
    """Names for the files of sets, told apart by a number where they would read the same."""
    found: list[str] = []
    for key in keys:
        base = text.slug((key.family, key.model, key.law_name, key.refresh, key.rule, key.reading))
        name, place = base, 2
        while name in found:
            name, place = f"{base}-{place}", place + 1
        found.append(name)
    return found
