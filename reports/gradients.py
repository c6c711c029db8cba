"""What a gradient analysis left: the artifacts ``gradients`` and ``snr`` (docs/gradients.md), checked when read."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.artifacts import DamagedError, content
from reports.rows import Published
from reports.shelf import Shelf

PAIRS = ("clean_clean", "corrupt_corrupt", "clean_corrupt")
BINS = 200  # of cosines from -1 to 1
#: Numbers of a signal that figures and tables show.
NUMBERS = ("norm_clean", "norm_corrupt", "snr", "snr_corrected", "snr_law", "snr_law_corrected")
MOST_ROWS = 10_000  # analyses x pairs: far above any family's


@dataclass(frozen=True, slots=True)
class Cosines:
    """Cosines of one kind of pair; None where there are too few. ``histogram``: counts in bins of 0.01 from -1 to 1."""

    pairs: int
    mean: float | None
    deviation: float | None
    minimum: float | None
    maximum: float | None
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class Gradients:
    """One trial's analyses by (glob, mean gradient removed): cosines by pair, and norms and ratios by name."""

    cosines: dict[tuple[str, bool], dict[str, Cosines]]
    signals: dict[tuple[str, bool], dict[str, float | None]]


class Analyses(Shelf[Gradients]):
    """Analyses by trial."""

    def read(self, trial: Published) -> Gradients | None:
        cosines, signals = (content(self.files, trial, role) for role in ("gradients", "snr"))
        return None if cosines is None or signals is None else decode(cosines, signals)


def pooled(found: Sequence[Cosines]) -> Cosines:
    """All pairs of several trials as one: mean and deviation about it (n - 1 below), extremes, summed histograms."""
    known = [one for one in found if one.mean is not None and one.pairs]
    pairs = sum(one.pairs for one in known)
    histogram = tuple(map(sum, zip(*(one.histogram for one in found), strict=True))) if found else (0,) * BINS
    if not pairs:
        return Cosines(0, None, None, None, None, histogram)
    mean = math.fsum(one.pairs * (one.mean or 0.0) for one in known) / pairs
    within = [(one.pairs - 1) * one.deviation**2 for one in known if one.deviation is not None]
    between = [one.pairs * ((one.mean or 0.0) - mean) ** 2 for one in known]
    deviation = math.sqrt(math.fsum([*within, *between]) / (pairs - 1)) if pairs > 1 else None
    lows = [one.minimum for one in known if one.minimum is not None]
    highs = [one.maximum for one in known if one.maximum is not None]
    return Cosines(pairs, mean, deviation, min(lows, default=None), max(highs, default=None), histogram)


def decode(cosines: bytes, signals: bytes) -> Gradients:
    """Analyses from the bytes of the two Parquet files.

    Raises:
        DamagedError: the bytes are no such files, or a value is none of its kind.
    """
    by_pair: dict[tuple[str, bool], dict[str, Cosines]] = {}
    for row in _rows(cosines):
        try:
            pair, pairs = row["pair"], row["pairs"]
            mean, deviation, low, high = (_number(row[name]) for name in ("mean", "deviation", "minimum", "maximum"))
            histogram = tuple(row["histogram"])
        except (KeyError, TypeError) as error:
            raise DamagedError(f"the file is no table of cosines ({error})") from error
        if not _counts((pairs, *histogram)) or len(histogram) != BINS or pair not in PAIRS:
            raise DamagedError(f"a row of cosines has another pair than {', '.join(PAIRS)}, or no {BINS} counts")
        if any(number is not None and abs(number) > 1 + 1e-6 for number in (mean, low, high)):
            raise DamagedError("a cosine is outside [-1, 1]")
        by_pair.setdefault(_analysis(row), {})[pair] = Cosines(pairs, mean, deviation, low, high, histogram)
    by_signal = {}
    for row in _rows(signals):
        try:
            by_signal[_analysis(row)] = {name: _number(row[name]) for name in NUMBERS}
        except KeyError as error:
            raise DamagedError(f"the file is no table of signals ({error})") from error
    return Gradients(by_pair, by_signal)


def _rows(found: bytes) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(found)) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise DamagedError(f"the file has {file.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are expected")
            rows: list[dict[str, Any]] = file.read().to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"the file is no table of gradients ({error})") from error
    return rows


def _analysis(row: dict[str, Any]) -> tuple[str, bool]:
    glob, removed = row.get("analysis"), row.get("removed")
    if not isinstance(glob, str) or not isinstance(removed, bool):
        raise DamagedError("a row names no analysis")
    return glob, removed


def _number(value: object) -> float | None:
    """A number of a figure; what is not finite is a damage, for nothing that was measured is."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DamagedError("a value is no finite number")
    return float(value)


def _counts(values: Sequence[object]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)
