"""Cells of a figure set arranged along another axis than r: batch multiplier, context, sequences, training images.

Each arrangement is a figure set of one panel whose cells are (ratio, x, seed), so that points are made of it as of any
panel. Panels that differ in x, and in what must follow x, become one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TypeVar

from reports.cells import (
    LENGTH,
    NO_NOISE,
    RATE_RULE,
    Cell,
    Configuration,
    FigureSet,
    Pair,
    Panel,
    PanelKey,
    by_multiplier,
    panel_label,
    reduced,
)
from reports.rows import Published

FEWEST_MULTIPLIERS = 3  # that are worth a figure: two are in the figures over r
FEWEST_CONTEXTS = FEWEST_SIZES = 2

#: What a trial trains on of its data, and whose own part of it is no difference: a judge of all images serves any.
CLASSES, IMAGES = "subset.classes", "subset.images"
JUDGES_PARTS = frozenset(f"needs.{role}.{name}" for role in ("judge", "second_judge") for name in (CLASSES, IMAGES))

#: What may differ between trials of equal tokens, beside the context.
SHAPE = LENGTH | {"batch.size", "evaluation.paper_batch", "evaluation.paper_batches"}

Cells = dict[Cell, Published]
Key = TypeVar("Key")
Counted = Callable[[Published], tuple[int, int] | None]  # training images, and classes


@dataclass(frozen=True)
class Along:
    """A figure set of one panel whose multipliers are the values of x, and the panels it is made of."""

    view: FigureSet
    sources: tuple[Panel, ...]

    @property
    def panel(self) -> Panel:
        """Its only panel."""
        return self.view.panels[0]


def by_batch(view: FigureSet) -> list[Along]:
    """Over the batch multiplier: each panel with enough of them (equal samples), and, across panels that differ in
    their budget, those of equal steps. At multiplier 1 a panel without trials takes those of another rate rule.
    """
    found = []
    names = [_reduced(panel, LENGTH) for panel in view.panels]
    for panel in view.panels:
        cells = {**_at_multiplier_one(view, panel), **panel.trials}
        if len(_places(view, panel.trials)) > 1 and len(_places(view, cells)) >= FEWEST_MULTIPLIERS:
            length = _field(panel.configuration, "budget.samples")
            told = f"{int(length):,} samples" if length.isdigit() else ""
            name = _reduced(panel, LENGTH)
            found.append(_along(view, name, names, told, cells, (panel,), panel.pairs))
    for name, panels in _grouped(view.panels, lambda panel: _reduced(panel, LENGTH)):
        by_steps: dict[int, Cells] = defaultdict(dict)
        pairs: dict[int, set[Pair]] = defaultdict(set)
        for panel in panels:
            for cell, trial in panel.trials.items():
                if trial.base_samples and trial.base_samples % trial.batch == 0:
                    steps = trial.base_samples // trial.batch
                    by_steps[steps][cell] = trial
                    pairs[steps] |= {pair for pair in panel.pairs if pair[1] == cell[1]}
        for steps, cells in sorted(by_steps.items()):
            if len(_places(view, cells)) >= FEWEST_MULTIPLIERS:
                found.append(_along(view, name, names, f"{steps:,} steps", cells, tuple(panels), pairs[steps]))
    return found


def by_context(view: FigureSet) -> list[Along]:
    """Over the context length, at each batch multiplier: panels that differ in it alone, or in what keeps tokens and
    tokens a step the same.
    """
    found, used = [], set()
    with_context = [panel for panel in view.panels if _context(panel) is not None]
    # Equal tokens first; of what is left, panels that differ in nothing but their context.
    for hidden, shape in ((SHAPE | {"context"}, _tokens), (frozenset({"context"}), _nothing)):
        names = [_reduced(panel, hidden) for panel in with_context]
        left = [panel for panel in with_context if id(panel) not in used]
        for _, panels in _grouped(left, partial(_alike, hidden, shape)):
            if len({_context(panel) for panel in panels}) < FEWEST_CONTEXTS:
                continue
            used |= {id(panel) for panel in panels}
            found += _by_multiplier(view, panels, _context, _reduced(panels[0], hidden), names)
    return found


def by_images(view: FigureSet, counted: Counted) -> list[Along]:
    """Over the number of training images, at each batch multiplier: panels that differ in it alone."""
    return _over_part(view, partial(_images, counted), {IMAGES}, _nothing)


def by_classes(view: FigureSet, counted: Counted) -> list[Along]:
    """Over the number of classes, at each batch multiplier: panels that differ in it alone, with as many images of
    each class, or with as many images in all.
    """
    size = partial(_classes, counted)
    each = _over_part(view, size, {CLASSES, IMAGES}, partial(_images_a_class, counted))
    shown = {id(panel) for one in each for panel in one.sources}
    whole = _over_part(view, size, {CLASSES}, _nothing)
    return each + [one for one in whole if not {id(panel) for panel in one.sources} <= shown]


def _over_part(
    view: FigureSet,
    size: Callable[[Panel], int | None],
    hidden: Collection[str],
    shape: Callable[[Panel], tuple[object, ...]],
) -> list[Along]:
    """Panels that are alike but for ``hidden`` along their ``size``; ``shape`` begins with words for the label."""
    aside = {*hidden, *JUDGES_PARTS}
    inside = [panel for panel in view.panels if size(panel) is not None]
    found = []
    for (_, form), alike in _grouped(inside, partial(_alike, aside, shape)):
        # Of one size twice, the judges' own parts of the data are the difference.
        apart = len({size(panel) for panel in alike}) < len(alike)
        shown = hidden if apart else aside
        names = [_reduced(panel, shown) for panel in inside]
        for _, panels in _grouped(alike, _judges if apart else _nothing):
            if len({size(panel) for panel in panels}) >= FEWEST_SIZES:
                name = _reduced(panels[0], shown)
                found += _by_multiplier(view, panels, size, name, names, *map(str, form[:1]))
    return found


def _by_multiplier(
    view: FigureSet,
    panels: Sequence[Panel],
    x: Callable[[Panel], int | None],
    name: PanelKey,
    names: Sequence[PanelKey],
    told: str = "",
) -> list[Along]:
    """One arrangement of panels along ``x`` for each batch multiplier at which there are two values of it."""
    found = []
    for multiplier in view.multipliers:
        cells: Cells = {}
        asked: set[Pair] = set()
        for panel in panels:
            place = x(panel) or 0
            here = {(r, place, seed): one for (r, m, seed), one in panel.trials.items() if m == multiplier}
            cells = {**here, **cells}
            asked |= {(r, place) for r, m in panel.pairs if here and m == multiplier}
        if len(_places(view, cells)) >= 2:
            batch = f"batch × {multiplier}" if len(view.multipliers) > 1 else ""
            words = ", ".join(filter(None, (told, batch)))
            found.append(_along(view, name, names, words, cells, tuple(panels), asked))
    return found


def by_sequences(view: FigureSet) -> list[Along]:
    """Over the sequences of a batch: panels that differ in batch and budget. Of two budgets the longer one counts."""
    hidden = LENGTH | {"batch.size"}
    names = [_reduced(panel, hidden) for panel in view.panels]
    found = []
    for name, panels in _grouped(view.panels, lambda panel: _reduced(panel, hidden)):
        cells: Cells = {}
        for (ratio, _, seed), trial in sorted(_cells(panels), key=lambda item: (item[1].samples, item[1].id)):
            cells[ratio, trial.batch, seed] = trial
        batches = [(panel, {m: one.batch for (_, m, _), one in panel.trials.items()}) for panel in panels]
        asked = {(ratio, sizes[m]) for panel, sizes in batches for ratio, m in panel.pairs if m in sizes}
        if cells:
            found.append(_along(view, name, names, "", cells, tuple(panels), asked))
    return found


def _along(
    view: FigureSet,
    name: PanelKey,
    names: Iterable[PanelKey],
    told: str,
    cells: Mapping[Cell, Published],
    sources: tuple[Panel, ...],
    asked: Iterable[Pair],
) -> Along:
    """``asked`` are pairs of ratio and x that trials were published or attempted of; those of ``cells`` join them."""
    label = panel_label(name, list(names))
    pairs = by_multiplier([*asked, *((ratio, x) for ratio, x, _ in cells)])
    title = f"{label}; {told}" if told else label
    panel = Panel(title, *name, trials=dict(sorted(cells.items())), attempted=0, pairs=pairs)
    return Along(replace(view, panels=(panel,), multipliers=panel.multipliers), sources)


def _places(view: FigureSet, cells: Iterable[Cell]) -> set[int]:
    """Values of x that noisy trials have: clean ones, which join every law, make no figure of a law by themselves."""
    return {x for ratio, x, _ in cells if ratio or view.key.law == NO_NOISE}


def _at_multiplier_one(view: FigureSet, panel: Panel) -> Cells:
    """Trials at multiplier 1 of panels that differ in the rule for the learning rate only: what this one lacks."""
    if not any(name == RATE_RULE for name, _ in panel.configuration):
        return {}
    name = _reduced(panel, {RATE_RULE})
    alike = [other for other in view.panels if _reduced(other, {RATE_RULE}) == name]
    return {cell: trial for cell, trial in _cells(alike) if cell[1] == 1}


def _grouped(panels: Iterable[Panel], key: Callable[[Panel], Key]) -> list[tuple[Key, list[Panel]]]:
    groups: dict[Key, list[Panel]] = defaultdict(list)
    for panel in panels:
        groups[key(panel)].append(panel)
    return list(groups.items())


def _cells(panels: Iterable[Panel]) -> list[tuple[Cell, Published]]:
    return [item for panel in panels for item in panel.trials.items()]


def _reduced(panel: Panel, hidden: Collection[str]) -> PanelKey:
    return reduced(panel.dataset, panel.configuration, hidden)


def _field(configuration: Configuration, name: str) -> str:
    return dict(configuration).get(name, "")


def _context(panel: Panel) -> int | None:
    return _part(panel, "context")


def _alike(
    hidden: Collection[str], shape: Callable[[Panel], tuple[object, ...]], panel: Panel
) -> tuple[PanelKey, tuple[object, ...]]:
    return _reduced(panel, hidden), shape(panel)


def _judges(panel: Panel) -> tuple[tuple[str, str], ...]:
    return tuple(one for one in panel.configuration if one[0] in JUDGES_PARTS)


def _images(counted: Counted, panel: Panel) -> int | None:
    """Training images: as the specification says, else as a trial of the panel counted all of them."""
    return _part(panel, IMAGES) or next((one[0] for one in map(counted, panel.trials.values()) if one), None)


def _classes(counted: Counted, panel: Panel) -> int | None:
    return _part(panel, CLASSES) or next((one[1] for one in map(counted, panel.trials.values()) if one), None)


def _part(panel: Panel, name: str) -> int | None:
    found = _field(panel.configuration, name)
    return int(found) if found.isdigit() and len(found) < 10 else None


def _images_a_class(counted: Counted, panel: Panel) -> tuple[object, ...]:
    images, classes = _part(panel, IMAGES), _classes(counted, panel)
    if not images or not classes:
        return ("all images of each class",)
    each = Fraction(images, classes)
    return (f"{'' if images % classes == 0 else 'about '}{images // classes:,} images a class", each)


def _nothing(panel: Panel) -> tuple[object, ...]:
    return ()


def _tokens(panel: Panel) -> tuple[object, ...]:
    """Tokens of the base budget, and of a step at multiplier 1; fields as they are where one is no number."""
    context = _context(panel)
    lengths = [_field(panel.configuration, name) for name in ("budget.samples", "batch.size")]
    return tuple(int(one) * context if context and one.isdigit() and len(one) < 19 else one for one in lengths)
