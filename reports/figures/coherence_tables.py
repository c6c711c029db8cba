"""The tables of a gradient analysis: cosines by kind of pair, norms and SNR over the batch, losses; and all points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from reports import text
from reports.coherence import INDEPENDENT, Coherence, Pool
from reports.figures.coherence_panels import PAIR_WORDS
from reports.figures.item import SEEDS_AGREE
from reports.figures.plate import Group, Sheet, Table
from reports.gradients import BINS, NUMBERS, PAIRS
from reports.points import Point

WORDS = {False: "gradients as they are", True: "mean gradient removed"}
PANEL = ("dataset", "panel", "analysis")
POINTS = (
    *PANEL, "removed", "quantity", "ratio", "rate", "batch", "of", "trials", "n", "undefined", "mean", "low", "high",
    "bin_low", "bin_high", "count",
)  # fmt: skip


def cosines_table(found: Coherence) -> Table:
    """As the paper's table 4: mean, deviation and extremes by kind of pair; all batch sizes and seeds together."""
    heads = ["r", "e", "pair", "n", "pairs", "mean", "95 % interval", "SD", "min", "max"]
    groups, raw = [], []
    for removed in found.removals:
        here = {key: pool for key, pool in found.pools.items() if key[1] == removed}
        ordered = sorted(here.items(), key=lambda item: (item[0][0], PAIRS.index(item[0][2])))
        rows = [_pool_row(ratio, pair, pool) for (ratio, _, pair), pool in ordered if pool.cosines.pairs]
        groups.append(Group(WORDS[removed], rows, [True] * len(rows)))
        for (ratio, _, pair), pool in ordered:
            one, seeds = pool.cosines, pool.seeds
            raw.append(
                [*_panel(found), removed, float(ratio), float(_rate(ratio)), pair, seeds.n, one.pairs, seeds.mean,
                 seeds.low, seeds.high, one.mean, one.deviation, one.minimum, one.maximum]
            )  # fmt: skip
    columns = [
        *PANEL, "removed", "ratio", "rate", "pair", "n", "pairs", "mean", "low", "high", "pooled_mean", "deviation",
        "minimum", "maximum",
    ]  # fmt: skip
    what = text.clean(found.glob, 60)
    caption = f"Cosines of {what}: mean over seeds with its interval; deviation and extremes of all pairs."
    return Table(caption, heads, [("", 1)] * len(heads), groups, Sheet(columns, raw), part="cosines")


def signals_table(found: Coherence) -> Table:
    """Norms of the sums and both SNRs beside the law's, a row a ratio and batch."""
    heads = [
        "r",
        "e",
        "batch",
        "n/N",
        "clean",
        "corrupt",
        "mean",
        "95 % interval",
        "law",
        "mean",
        "95 % interval",
        "law",
    ]
    spans = [("", 1)] * 4 + [("norm of the sum", 2), ("SNR, recovered", 3), ("SNR, corrected", 3)]
    groups, raw = [], []
    for removed in found.removals:
        rows, complete = [], []
        for together in _cells([found.signals[name, removed] for name in NUMBERS]):
            by_name = dict(zip(NUMBERS, together, strict=True))
            row = [*_place(by_name["norm_clean"])]
            row += [text.number(by_name[name].mean) for name in ("norm_clean", "norm_corrupt")]
            for name in ("snr", "snr_corrected"):
                point, law = by_name[name], by_name[name.replace("snr", "snr_law")]
                row += [text.number(point.mean), _interval(point), text.number(law.mean)]
            rows.append(row)
            complete.append(by_name["norm_clean"].complete)
            raw.append([*_panel(found), removed, *_raw(together, NUMBERS)])
        groups.append(Group(WORDS[removed], rows, complete))
    columns = [*PANEL, "removed", *_raw_columns(NUMBERS)]
    caption = f"Norms and SNR of {text.clean(found.glob, 60)} over the batch."
    return Table(caption, heads, spans, groups, Sheet(columns, raw), part="snr")


def losses_table(found: Coherence) -> Table:
    """Mean and deviation of a batch's loss, a row a ratio and batch."""
    names = ("loss_mean", "loss_deviation", INDEPENDENT, "clean_loss_mean", "clean_loss_deviation")
    heads = ["r", "e", "batch", "n/N", "mean", "95 % interval", "SD", "95 % interval", "alone", "mean", "SD"]
    spans = [("", 1)] * 4 + [("noisy loss of a batch (nats a token)", 5), ("true targets' loss", 2)]
    rows, complete, raw = [], [], []
    for together in _cells([found.losses[name] for name in names]):
        mean, deviation, alone, clean, clean_deviation = together
        rows.append(
            [*_place(mean), text.number(mean.mean, 4), _interval(mean, 4), text.number(deviation.mean, 4),
             _interval(deviation, 4), text.number(alone.mean, 4), text.number(clean.mean, 4),
             text.number(clean_deviation.mean, 4)]
        )  # fmt: skip
        complete.append(mean.complete)
        raw.append([*_panel(found), *_raw(together, names)])
    caption = (
        "Loss of batches: mean and deviation over batches, and what it would be were sequences independent (alone)."
    )
    groups = [Group(text.breakable(found.along.panel.label), rows, complete)]
    return Table(caption, heads, spans, groups, Sheet([*PANEL, *_raw_columns(names)], raw), part="losses")


def points_sheet(found: Coherence) -> Sheet:
    """All that is drawn: points over the batch, and the counts of the histograms."""
    rows: list[list[object]] = []
    for (name, removed), points in found.signals.items():
        rows += [_point(found, removed, name, point) for point in points]
    for name, points in found.losses.items():
        rows += [_point(found, "", name, point) for point in points]
    for (ratio, removed, pair), pool in found.pools.items():
        if ratio != found.shown_ratio:
            continue
        for place, count in enumerate(pool.cosines.histogram):
            if count:
                low, high = (2 * place - BINS) / BINS, (2 * place + 2 - BINS) / BINS
                rows.append(
                    [*_panel(found), removed, f"cosine_{pair}", float(ratio), float(_rate(ratio)), *[None] * 8, low,
                     high, count]
                )  # fmt: skip
    return Sheet(POINTS, rows)


def _pool_row(ratio: Fraction, pair: str, pool: Pool) -> list[str]:
    one, seeds = pool.cosines, pool.seeds
    agreed = seeds.low is not None and seeds.low == seeds.high
    interval = "n < 3" if seeds.low is None else SEEDS_AGREE if agreed else text.interval(seeds.low, seeds.high)
    numbers = [text.number(value) for value in (one.deviation, one.minimum, one.maximum)]
    return [
        text.ratio(ratio), text.number(float(_rate(ratio))), PAIR_WORDS[pair], str(seeds.n), f"{one.pairs:,}",
        text.number(seeds.mean), interval, *numbers,
    ]  # fmt: skip


def _cells(series: Sequence[Sequence[Point]]) -> list[tuple[Point, ...]]:
    return sorted(zip(*series, strict=True), key=lambda points: (points[0].ratio, points[0].multiplier))


def _place(point: Point) -> list[str]:
    rate = text.number(float(point.rate)) if point.rate else "0"
    return [text.ratio(point.ratio), rate, f"{point.multiplier:,}", f"{point.n}/{point.of}"]


def _interval(point: Point, digits: int = 3) -> str:
    if point.mean is not None and point.low is None:
        return "n < 3"
    return SEEDS_AGREE if point.agreed else text.interval(point.low, point.high, digits)


def _raw_columns(names: Iterable[str]) -> list[str]:
    return [
        "ratio",
        "rate",
        "batch",
        "seeds",
        "trials",
        *(f"{name}{end}" for name in names for end in ("_n", "", "_low", "_high")),
    ]


def _raw(points: Sequence[Point], names: Sequence[str]) -> list[object]:
    first = points[0]
    values: list[object] = [float(first.ratio), float(first.rate), first.multiplier, first.of, first.trials]
    for point, _ in zip(points, names, strict=True):
        values += [point.n, point.mean, point.low, point.high]
    return values


def _point(found: Coherence, removed: object, name: str, point: Point) -> list[object]:
    return [
        *_panel(found), removed, name, float(point.ratio), float(point.rate), point.multiplier, point.of, point.trials,
        point.n, point.undefined, point.mean, point.low, point.high, None, None, None,
    ]  # fmt: skip


def _panel(found: Coherence) -> list[object]:
    return [found.along.panel.dataset, found.along.panel.label, found.glob]


def _rate(ratio: Fraction) -> Fraction:
    return ratio / (1 + ratio)
