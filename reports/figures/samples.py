"""Drawn images at each noise ratio, classes by column: what does a generator of noisy labels draw when asked?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from reports import captions, text
from reports.cells import Panel
from reports.figures.plate import Group, Kind, Plate, Sheet, Study, Table
from reports.figures.samples_grid import Block, draw
from reports.samples import EACH, LABELS, ROLE, Samples

TITLE = "Drawn images"
MOST_RATIOS = 6  # blocks that a page holds
HEAD = (
    "dataset", "panel", "ratio", "rate", "multiplier", "seed", "row", "index", "label", "judged", "judged_p",
    "second_judged",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """One panel's images at one batch multiplier, of one seed, by ratio; ``left`` are ratios that have no room."""

    panel: Panel
    multiplier: int
    seed: int
    by_ratio: dict[Fraction, Samples]
    left: int

    @property
    def labels(self) -> list[int]:
        """The labels that have a column."""
        return sorted({label for samples in self.by_ratio.values() for label in samples.by_label})[:LABELS]


def _plates(study: Study) -> list[Plate]:
    found = [shown for panel in study.view.panels if (shown := _shown(study, panel)) is not None]
    return [_plate(study, one, f"-{place + 1}" if len(found) > 1 else "") for place, one in enumerate(found)]


def _shown(study: Study, panel: Panel) -> Shown | None:
    """The images of the lowest seed at the lowest multiplier; of more ratios than there is room for, spread evenly."""
    for multiplier, seed in sorted({(multiplier, seed) for _, multiplier, seed in panel.trials}):
        trials = [(r, trial) for (r, m, s), trial in panel.trials.items() if (m, s) == (multiplier, seed)]
        kept = sorted((r, trial) for r, trial in trials if ROLE in trial.artifacts)
        places = {round(at * (len(kept) - 1) / max(1, MOST_RATIOS - 1)) for at in range(MOST_RATIOS)}
        chosen = kept if len(kept) <= MOST_RATIOS else [kept[place] for place in sorted(places)]
        read = {ratio: samples for ratio, trial in chosen if (samples := study.samples(trial)) is not None}
        if read:
            return Shown(panel, multiplier, seed, read, len(kept) - len(chosen))
    return None


def _plate(study: Study, shown: Shown, end: str) -> Plate:
    labels = shown.labels
    every = [sample for samples in shown.by_ratio.values() for of in samples.by_label.values() for sample in of]
    judged = any(sample.judged is not None for sample in every)
    blocks = [
        Block(
            f"r = {text.ratio(ratio)} (e = {text.rate(ratio / (1 + ratio))})",
            labels,
            [samples.by_label.get(label, ()) for label in labels],
        )
        for ratio, samples in shown.by_ratio.items()
    ]
    return Plate(
        name=f"{study.slug}-samples{end}",
        kind="samples",
        title=TITLE,
        alt=f"{TITLE}, {captions.heading(study.view)}",
        caption=text.clean(_caption(shown, judged), 900),
        small=text.breakable(
            f"One seed, no interval. {captions.setting(study.view)} {captions.data([shown.panel])}", 1200
        ),
        draw=partial(draw, blocks, framed=judged),
        points=Sheet(HEAD, _rows(shown)),
        tables=(_table(shown, judged),),
    )


def _caption(shown: Shown, judged: bool) -> str:
    total = max(samples.labels for samples in shown.by_ratio.values())
    columns = f"the first {len(shown.labels)} of {total} classes" if total > len(shown.labels) else "classes"
    words = (
        f"{shown.panel.label}, batch \u00d7 {shown.multiplier}, seed {shown.seed}. Columns: {columns}, by the label "
        f"that was asked for; rows: the first {EACH} images of each, none chosen."
    )
    words += (
        " Framed: the judge takes it for another class."
        if judged
        else " No judge has looked at them, so none is framed."
    )
    if shown.left:
        words += f" {text.count(shown.left, 'ratio')} between are left out."
    return words


def _rows(shown: Shown) -> list[list[object]]:
    return [
        [
            shown.panel.dataset, shown.panel.label, float(ratio), float(ratio / (1 + ratio)), shown.multiplier,
            shown.seed, row, sample.index, label, sample.judged, sample.judged_p, sample.second_judged,
        ]
        for ratio, samples in shown.by_ratio.items()
        for label in shown.labels
        for row, sample in enumerate(samples.by_label.get(label, ()))
    ]  # fmt: skip


def _table(shown: Shown, judged: bool) -> Table:
    """How many of the images that are shown the judge takes for another class."""
    head = ("dataset", "panel", "ratio", "rate", "multiplier", "seed", "shown", "another_class")
    rows: list[list[str]] = []
    raw: list[list[object]] = []
    for ratio, samples in shown.by_ratio.items():
        seen = [sample for of in samples.by_label.values() for sample in of]
        wrong = sum(sample.wrong for sample in seen) if judged else None
        rate = ratio / (1 + ratio)
        rows.append([text.ratio(ratio), text.rate(rate), f"{len(seen)}", text.NOTHING if wrong is None else f"{wrong}"])
        raw.append(
            [shown.panel.dataset, shown.panel.label, float(ratio), float(rate), shown.multiplier, shown.seed,
             len(seen), wrong]
        )  # fmt: skip
    group = Group(text.breakable(shown.panel.label), rows, [True] * len(rows))
    heads = ("r", "e", "images shown", "judged another class")
    return Table(f"{TITLE}: the verdicts on those that are shown.", heads, _spans(heads), [group], Sheet(head, raw))


def _spans(heads: Sequence[str]) -> list[tuple[str, int]]:
    return [("", 1) for _ in heads]


KIND = Kind("samples", TITLE, _plates)
