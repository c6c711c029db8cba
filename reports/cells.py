"""Published trials arranged for comparison: figure sets, their panels, and the clean trial of each noisy one."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, Literal, TypeVar

from reports import labels as words
from reports import text
from reports.fields import Named
from reports.rows import Published, Trial

#: The law of a set of clean trials that belong to no noisy set.
NO_NOISE = "clean"

#: What may differ between trials of equal steps: their length, and what follows from it.
LENGTH = frozenset({"budget.samples", "evaluation.every_samples"})
RATE_RULE = "optimiser.batch_rule"  # what a multiplier does to the learning rate: at multiplier 1 all rules are one
NUMBERS = re.compile(r"(\d[\d,]{0,30}(?:\.\d{1,30})?)")
PACE = LENGTH | {RATE_RULE}

Reference = Literal["twin", "r0"]
Pair = tuple[Fraction, int]  # ratio, batch multiplier
Cell = tuple[Fraction, int, int]  # the same, and seed
Configuration = Named
AnyTrial = TypeVar("AnyTrial", bound=Trial)
PanelKey = tuple[str, Configuration]  # data set with its version, the rest of the specification


@dataclass(frozen=True, order=True)
class SetKey:
    """What all trials of a figure share. ``mapping`` is the JSON of the ``confusion`` map, "" for none.

    ``variant`` is what else there is to the noise: its unit, where it stands, its teacher.
    """

    family: str
    model: str
    law: str
    mapping: str
    refresh: str
    rule: str
    reading: str
    variant: Named = ()

    @property
    def law_name(self) -> str:
        """The law, told apart by its map where it has one, and by its variant."""
        mapped = [f"map {hashlib.sha256(self.mapping.encode()).hexdigest()[:6]}"] if self.mapping else []
        told = "; ".join([*mapped, *words.variant(self.variant)])
        return f"{self.law} ({told})" if told else self.law


@dataclass(frozen=True)
class Panel:
    """Trials on one data set in one configuration, by cell; r = 0 included.

    ``attempted`` counts the cells that were begun and not published. ``pairs`` are the ratios and multipliers that its
    cells could have, by multiplier, then ratio: those of which any panel of the set has a trial of any seed, published
    or attempted, and of the panel's own multipliers only where another panel differs in length or rate rule alone, as
    at equal steps.
    """

    label: str
    dataset: str
    configuration: Configuration
    trials: Mapping[Cell, Published]
    attempted: int
    pairs: tuple[Pair, ...]

    @property
    def multipliers(self) -> tuple[int, ...]:
        """Those of its pairs."""
        return tuple(sorted({multiplier for _, multiplier in self.pairs}))


@dataclass(frozen=True)
class FigureSet:
    """Panels of one key, and the values that published and attempted trials have."""

    key: SetKey
    panels: tuple[Panel, ...]
    ratios: tuple[Fraction, ...]
    multipliers: tuple[int, ...]
    seeds: tuple[int, ...]

    @property
    def expected(self) -> int:
        """Cells there could be, pairs at every seed: a grid's values that nobody has attempted are in no store."""
        return sum(len(panel.pairs) for panel in self.panels) * len(self.seeds)

    @property
    def present(self) -> int:
        """Cells that have a published trial."""
        return sum(len(panel.trials) for panel in self.panels)

    @property
    def attempted(self) -> int:
        """Cells that were begun and have no published trial."""
        return sum(panel.attempted for panel in self.panels)


class CleanTrials(Generic[AnyTrial]):
    """All r = 0 trials of a store, to be found by what they share with a noisy one."""

    def __init__(self, trials: Iterable[AnyTrial]) -> None:
        self._by_protocol: dict[tuple[object, ...], list[AnyTrial]] = defaultdict(list)
        for trial in trials:
            if not trial.ratio:
                self._by_protocol[_protocol(trial)].append(trial)

    def twin(self, trial: Trial) -> AnyTrial | None:
        """The compute-matched clean twin: same everything, trained on as many samples of the same data."""
        return self._find(trial, trial.samples)

    def base(self, trial: Trial) -> AnyTrial | None:
        """The r = 0 cell of the same batch, seed and reading: the same base budget, not lengthened."""
        return None if trial.base_samples is None else self._find(trial, trial.base_samples)

    def reference(self, trial: Trial) -> tuple[AnyTrial, Reference] | None:
        """The twin, else the r = 0 cell."""
        twin = self.twin(trial)
        if twin is not None:
            return twin, "twin"
        base = self.base(trial)
        return None if base is None else (base, "r0")

    def _find(self, trial: Trial, samples: int) -> AnyTrial | None:
        # Without noise both budget rules train alike; the trial's own rule goes first, so that its cell is the one.
        alike = (clean for clean in self._by_protocol.get(_protocol(trial), ()) if clean.samples == samples)
        found = [clean for clean in alike if _same_data(clean, trial)]
        return min(found, key=lambda clean: (clean.rule != trial.rule, clean.id), default=None)


def figure_sets(trials: Iterable[Published], attempted: Iterable[Trial] = ()) -> list[FigureSet]:
    """Arrange trials by family, model, law, refresh, budget rule and reading; panels by data set and configuration.

    Trials that were ``attempted`` and not published are arranged alike, as cells that are missing.

    A clean trial joins every noisy panel whose r = 0 cell it is. Twins of noisy trials are references, no cells;
    other clean trials that join nothing make a set of their own.
    """
    everything: list[Trial] = [*trials, *attempted]
    clean = CleanTrials(everything)
    grouped: dict[SetKey, dict[PanelKey, dict[Cell, Trial]]] = defaultdict(lambda: defaultdict(dict))
    used: set[tuple[object, ...]] = set()  # clean panels that serve: of a twin's cells some may have no noisy trial
    for trial in everything:
        if trial.ratio:
            panel = grouped[_key(trial, trial.law)][trial.dataset, trial.configuration]
            panel.setdefault((trial.ratio, trial.multiplier, trial.seed), trial)
            used |= {_place(found) for found in (clean.twin(trial),) if found is not None}
    for trial in everything:
        if not trial.ratio:
            for key, panels in grouped.items():
                cells = panels.get((trial.dataset, trial.configuration))
                if cells is not None and _shared(trial) == (key.family, key.model, key.reading):
                    used.add(_place(trial))
                    _add_clean(cells, trial, key.rule)
    for trial in everything:
        if not trial.ratio and _place(trial) not in used:
            cells = grouped[_key(trial, NO_NOISE)][trial.dataset, trial.configuration]
            _add_clean(cells, trial, trial.rule)
    return [_figure_set(key, panels) for key, panels in sorted(grouped.items())]


def _add_clean(cells: dict[Cell, Trial], trial: Trial, rule: str) -> None:
    cell = (trial.ratio, trial.multiplier, trial.seed)
    held = cells.get(cell)
    if held is None or _rank(held, rule) > _rank(trial, rule):
        cells[cell] = trial


def _rank(trial: Trial, rule: str) -> tuple[bool, bool, str]:
    return (not isinstance(trial, Published), trial.rule != rule, trial.id)


def _figure_set(key: SetKey, panels: Mapping[PanelKey, Mapping[Cell, Trial]]) -> FigureSet:
    cells = [cell for trials in panels.values() for cell in trials]
    labels = {name: panel_label(name, list(panels)) for name in panels}
    names = sorted(panels, key=lambda name: _in_order(name, labels[name]))
    pairs = {cell[:2] for cell in cells}
    multipliers = tuple(sorted({multiplier for _, multiplier in pairs}))
    kin = Counter(reduced(*name, PACE) for name in names)

    def own(name: PanelKey) -> tuple[Pair, ...]:
        here = set(multipliers) if kin[reduced(*name, PACE)] == 1 else {cell[1] for cell in panels[name]}
        return by_multiplier(pair for pair in pairs if pair[1] in here)

    return FigureSet(
        key=key,
        panels=tuple(_panel(name, labels[name], panels[name], own(name)) for name in names),
        ratios=tuple(sorted({cell[0] for cell in cells})),
        multipliers=multipliers,
        seeds=tuple(sorted({cell[2] for cell in cells})),
    )


def by_multiplier(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Pairs once each, by multiplier, then ratio."""
    return tuple(sorted(set(pairs), key=lambda pair: (pair[1], pair[0])))


def _in_order(name: PanelKey, label: str) -> tuple[object, ...]:
    """Panels by their labels, the numbers in them by their size."""
    parts = NUMBERS.split(label)
    return name[0], [float(part.replace(",", "")) if at % 2 else part for at, part in enumerate(parts)], name[1]


def reduced(dataset: str, configuration: Configuration, hidden: Collection[str]) -> PanelKey:
    """A panel's key without some fields."""
    return dataset, tuple(field for field in configuration if field[0] not in hidden)


def _panel(name: PanelKey, label: str, cells: Mapping[Cell, Trial], pairs: tuple[Pair, ...]) -> Panel:
    published = {cell: trial for cell, trial in sorted(cells.items()) if isinstance(trial, Published)}
    return Panel(
        label,
        *name,
        trials=published,
        attempted=len(cells) - len(published),
        pairs=pairs,
    )


def panel_label(name: PanelKey, names: list[PanelKey]) -> str:
    """The data set; with its version, and the fields that differ, where another panel would read the same."""
    dataset, configuration = name
    short = dataset.partition("@")[0]
    versions = {other for other, _ in names if other.partition("@")[0] == short}
    shown = text.clean(short if len(versions) == 1 else dataset, 40)
    told = words.difference(configuration, [other for named, other in names if named == dataset])
    return f"{shown}: {told}" if told else shown


def _shared(trial: Trial) -> tuple[str, str, str]:
    return (trial.family, trial.model, trial.reading)


def _place(trial: Trial) -> tuple[object, ...]:
    return (*_shared(trial), trial.dataset, trial.configuration)


def _key(trial: Trial, law: str) -> SetKey:
    noisy = law != NO_NOISE
    return SetKey(
        family=trial.family,
        model=trial.model,
        law=law,
        mapping=trial.mapping if noisy else "",
        refresh=trial.refresh if noisy else "",
        rule=trial.rule,
        reading=trial.reading,
        variant=trial.variant if noisy else (),
    )


def _same_data(one: Trial, other: Trial) -> bool:
    """Whether both saw the same bytes; what was only attempted has not said which it saw."""
    return one.data_sha256 == other.data_sha256 or not (one.data_sha256 and other.data_sha256)


def _protocol(trial: Trial) -> tuple[object, ...]:
    # How often a trial is measured on the way changes nothing of what it learns.
    rest = tuple(field for field in trial.configuration if field[0] != "budget.samples" and not _measuring(field[0]))
    return (trial.family, trial.model, trial.dataset, trial.reading, rest, trial.multiplier, trial.seed)


def _measuring(name: str) -> bool:
    return name.startswith("evaluation.")


def parse_configuration(configuration: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Fields of a configuration for people: texts without their JSON quotes, ``none`` for null."""
    shown = []
    for name, value in configuration:
        bare = json.loads(value)
        shown.append((name, bare if isinstance(bare, str) else "none" if bare is None else value))
    return shown
