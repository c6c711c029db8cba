"""Gradients of clean and of corrupt targets: do they agree, and does the SNR of a batch grow beyond vector sums?"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

from reports import captions, text
from reports.coherence import Coherence, coherences
from reports.figures.coherence_panels import draw
from reports.figures.coherence_tables import cosines_table, losses_table, points_sheet, signals_table
from reports.figures.plate import Kind, Plate, Study
from reports.gradients import PAIRS
from reports.points import Point

TITLE = "Coherence of clean and corrupt gradients"
LOSS_TITLE = "Loss over batches"
PAIRED = dict(zip(PAIRS, ("clean with clean", "corrupt with corrupt", "clean with corrupt"), strict=True))


def _plates(study: Study) -> list[Plate]:
    found = coherences(study)
    return [_plate(study, one, f"-{place + 1}" if len(found) > 1 else "") for place, one in enumerate(found)]


def _plate(study: Study, found: Coherence, end: str) -> Plate:
    title = TITLE if found.glob else LOSS_TITLE
    drawn = [*found.losses["loss_deviation"], *(point for points in found.signals.values() for point in points)]
    tables = [losses_table(found)]
    if found.glob:
        tables = [cosines_table(found), signals_table(found), *tables]
    says = _coherence_says(found) if found.glob else _loss_says(found.losses["loss_deviation"])
    return Plate(
        name=f"{study.slug}-gradients{end}",
        kind="gradients",
        title=title,
        alt=f"{title}, {captions.heading(study.view)}",
        caption=text.clean(_caption(found), 1200),
        small=captions.small(study.view, drawn, [found.along.panel], {}),
        draw=partial(draw, found),
        points=points_sheet(found),
        tables=tuple(tables),
        says=text.breakable(f"{found.along.panel.label}, {says}.", 900),
    )


def _caption(found: Coherence) -> str:
    label = found.along.panel.label
    loss = "the dashed line is what independent sequences would give, the deviation of single ones over \u221abatch."
    if not found.glob:
        return (
            f"{label}. Mean noisy loss of a batch of sequences, in nats a token (A), and its deviation over batches "
            f"(B); {loss}"
        )
    ratio = found.shown_ratio
    words = f"{label}. Gradients of the parameters {text.clean(found.glob, 60)}: of a sequence's right targets (clean)"
    words += " and of its wrong ones (corrupt)."
    if ratio is not None:
        removed = " (A1), and with the direction of the mean clean gradient removed (A2)"
        words += (
            f" A: cosines of the gradients of two sequences of a batch, at r = {text.ratio(ratio)}, all batches and "
            f"seeds together{removed if True in found.removals else ''}."
        )
    return words + (
        " B: norm of the sum of a batch's clean, and of its corrupt, gradients. C: deviation of the mean noisy loss "
        f"over batches; {loss} D: SNR, the mean norm of the clean sums over that of the corrupt ones, batches without "
        "a corrupt part as 0 (D1, as in the paper's table), and the root of the ratio of mean squared "
        "norms (D2). Their lines are what vectors of the measured norms and cosines, in numbers by chance, add up to: "
        "growth along them is no property of learning."
    )


def _coherence_says(found: Coherence) -> str:
    """Mean cosines at the ratio that is drawn, and the SNR of the smallest and the largest batch beside the law's."""
    ratio = found.shown_ratio
    told = [_cosine(found, ratio, pair) for pair in PAIRS] if ratio is not None else []
    known = [one for one in told if one]
    where = f"{text.clean(found.glob, 40)}" + (f", r = {text.ratio(ratio)}" if ratio is not None else "")
    parts = [f"mean cosine {', '.join(known)}"] if known else []
    law = {point.multiplier: point.mean for point in found.signals["snr_law", False] if point.ratio == ratio}
    snr = [
        f"{text.number(point.mean, 2)} at batch {point.multiplier} (vector-sum law "
        f"{text.number(law.get(point.multiplier), 2)}, n = {point.n})"
        for point in _ends([point for point in found.signals["snr", False] if point.ratio == ratio])
    ]
    parts += [f"SNR {', '.join(snr)}"] if snr else []
    return f"{where}: {'; '.join(parts) or 'no pair of gradients'}"


def _cosine(found: Coherence, ratio: Fraction, pair: str) -> str:
    pool, removed = (found.pools.get((ratio, removed, pair)) for removed in (False, True))
    if pool is None or pool.seeds.mean is None:
        return ""
    told = f"{PAIRED[pair]} {text.number(pool.seeds.mean)}"
    told += "" if pool.seeds.low is None else f" {text.interval(pool.seeds.low, pool.seeds.high)}"
    more = "" if removed is None else f", mean removed {text.number(removed.seeds.mean)}"
    return f"{told} (n = {pool.seeds.n}{more})"


def _loss_says(points: Sequence[Point]) -> str:
    told = [
        f"{text.number(point.mean, 4)} at batch {point.multiplier}, r = {text.ratio(point.ratio)} (n = {point.n})"
        for point in _ends(points)
    ]
    return f"deviation of the batch loss {'; '.join(told) or 'without a value'}"


def _ends(points: Sequence[Point]) -> list[Point]:
    """The points with a value at the smallest and at the largest batch."""
    known = sorted((point for point in points if point.mean is not None), key=lambda point: point.multiplier)
    return known[:1] + (known[-1:] if len(known) > 1 else [])


KIND = Kind("gradients", TITLE, _plates)
