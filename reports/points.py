"""Points of figures: a quantity over seeds at one ratio and batch multiplier, with its n, interval and floor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from reports import text, units
from reports.cells import FigureSet, Panel
from reports.measures import Measured, finite
from reports.statistics import Estimate, estimate, normal_half, wilson

#: Quantities that are the share of examples that are right.
SHARES = frozenset({"top1", "consistency", "second_consistency"})


@dataclass(frozen=True)
class Point:
    """One point. ``of`` is the number of seeds in the set, ``trials`` of those published, ``n`` of those with a value.

    A mean is over ``n`` values; there is none where a value is not finite, since leaving that seed out would flatter.
    ``examples`` is the size of the test set in ``unit``, and ``blocks`` the number of clusters that its error is over.
    ``undefined`` trials have no value by definition (a channel that cannot be inverted). ``test_low`` and
    ``test_high`` are the test set's own 95 % sampling error about the mean, which seeds do not show. ``floor`` is a
    mean over the ``floor_n`` seeds that have one; ``paired_mean`` and ``paired_floor`` are over the ``paired_n`` seeds
    that have a value and a floor.
    """

    dataset: str
    panel: str
    quantity: str
    ratio: Fraction
    rate: Fraction
    multiplier: int
    batch: int | None
    of: int
    trials: int
    n: int
    undefined: int
    not_finite: int
    mean: float | None
    low: float | None
    high: float | None
    floor: float | None
    floor_low: float | None
    floor_high: float | None
    floor_n: int
    floor_kind: str
    paired_n: int
    paired_mean: float | None
    paired_floor: float | None
    reference: str
    examples: int | None
    blocks: int | None
    unit: units.Unit
    test_low: float | None
    test_high: float | None
    missing_seeds: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether every seed has a value."""
        return self.n == self.of

    @property
    def agreed(self) -> bool:
        """Whether three seeds or more have one value, so that the interval has no width."""
        return self.low is not None and self.low == self.high


#: Columns of a figure's CSV.
COLUMNS = tuple(field.name for field in dataclasses.fields(Point))


def points(
    view: FigureSet,
    panel: Panel,
    quantity: str,
    measured: Mapping[str, Measured],
    value: Callable[[Measured], float | None] | None = None,
) -> list[Point]:
    """A panel's points of a quantity at every pair of ratio and multiplier that its cells could have.

    ``value`` reads the quantity of a trial; the measured one of that name where it is left out.
    """
    read = value or (lambda one: one.value(quantity))
    return [_point(view, panel, quantity, ratio, multiplier, measured, read) for ratio, multiplier in panel.pairs]


def _point(
    view: FigureSet,
    panel: Panel,
    quantity: str,
    ratio: Fraction,
    multiplier: int,
    measured: Mapping[str, Measured],
    read: Callable[[Measured], float | None],
) -> Point:
    cells = {seed: panel.trials.get((ratio, multiplier, seed)) for seed in view.seeds}
    here = [measured[trial.id] for trial in cells.values() if trial is not None]
    values = [value for value in map(read, here) if value is not None]
    usable = [value for value in values if finite(value)]
    found = estimate(usable) if len(usable) == len(values) else Estimate(len(usable), None, None, None)
    floors = [one.floor(quantity) for one in here]
    known = [floor.value for floor in floors if floor.value is not None and finite(floor.value)]
    floor = estimate(known)
    pairs = [(read(one), one.floor(quantity).value) for one in here]
    both = [(value, least) for value, least in pairs if value is not None and least is not None]
    both = [pair for pair in both if finite(pair[0]) and finite(pair[1])] if len(usable) == len(values) else []
    examples = [size for size in (one.size(quantity) for one in here) if size is not None]
    size = min(examples, default=None)
    test_low, test_high = _test_error(quantity, found.mean, size, here)
    return Point(
        dataset=panel.dataset,
        panel=panel.label,
        quantity=quantity,
        ratio=ratio,
        rate=ratio / (1 + ratio),
        multiplier=multiplier,
        batch=next((one.trial.batch for one in here), None),
        of=len(view.seeds),
        trials=len(here),
        n=len(usable),
        undefined=len(here) - len(values),
        not_finite=len(values) - len(usable),
        mean=found.mean,
        low=found.low,
        high=found.high,
        floor=floor.mean,
        floor_low=floor.low,
        floor_high=floor.high,
        floor_n=floor.n,
        floor_kind="+".join(sorted({one.kind for one in floors if one.kind != "none"})) or "none",
        paired_n=len(both),
        paired_mean=estimate([value for value, _ in both]).mean,
        paired_floor=estimate([least for _, least in both]).mean,
        reference="+".join(sorted({one.reference for one in floors if one.reference})),
        examples=size,
        blocks=min((one.blocks for one in here if one.blocks is not None), default=None),
        unit=here[0].unit_of(quantity) if here else units.of(view.key.family),
        test_low=test_low,
        test_high=test_high,
        missing_seeds=tuple(seed for seed, trial in cells.items() if trial is None),
    )


def _test_error(
    quantity: str, mean: float | None, examples: int | None, here: Sequence[Measured]
) -> tuple[float | None, float | None]:
    """Wilson's interval for shares of independent examples, else 1.96 standard errors over the examples or blocks."""
    if mean is None:
        return None, None
    clustered = any(quantity in one.errors for one in here)
    if quantity in SHARES and not clustered and examples is not None and 0 <= mean <= 1:
        return wilson(mean, examples)
    half = normal_half([one.errors[quantity] for one in here if quantity in one.errors])
    return (None, None) if half is None else (mean - half, mean + half)


def csv_row(point: Point) -> list[object]:
    """A point as a row of its figure's CSV, in full precision."""
    return [_cell(getattr(point, name)) for name in COLUMNS]


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, str | units.Unit):
        return text.clean(value)
    return float(value) if isinstance(value, Fraction) else value


def unit_of(found: Sequence[Point]) -> units.Unit:
    """What the examples are that points are measured on."""
    return next((point.unit for point in found), units.EXAMPLE)


def seeds_text(found: Iterable[Point]) -> str:
    """How many seeds the points have: ``n = 3`` or ``n = 2 to 3``; cells without any do not count."""
    sizes = sorted({point.n for point in found if point.n})
    if not sizes:
        return "n = 0"
    return f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {sizes[0]} to {sizes[-1]}"
