"""What is kept of the batches analysed: sums over pairs and sequences, and a row a batch. numpy, float64.

Axes: A analyses (globs), R = 1 (raw) or 2 (raw; mean gradient removed), 3 kinds of pair, 2 kinds of part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

CLEAN, CORRUPT = 0, 1
PARTS = ("clean", "corrupt")
PAIRS = ("clean_clean", "corrupt_corrupt", "clean_corrupt")
BINS = 200  # of cosines, over [-1, 1]

SUMS = (
    *("pairs", "sums", "squares", "minima", "maxima", "histogram"),
    *("part_norms", "part_energies", "sequence_losses"),
)
ROWS = ("counts", "losses", "norms")

#: What a projection leaves of a squared norm below this is rounding, and has no direction (float32 gradients).
LEAST_SHARE = 1e-10


@dataclass(frozen=True, slots=True)
class Measured:
    """One batch, measured. Its n parts are the clean and the corrupt gradients that there are, at most two a sequence.

    ``kinds`` [n] are CLEAN or CORRUPT, ``owners`` [n] the sequence in the batch; ``grams`` [A, R, n, n] their inner
    products. ``losses`` [B, 2] are each sequence's mean noisy loss and mean loss of the true targets, nats;
    ``tokens`` [2] its targets that are right and wrong.
    """

    kinds: Counts
    owners: Counts
    grams: Floats
    losses: Floats
    tokens: Counts


class Tally:
    """Sums so far. Adding batches one by one gives the same bits however a run is cut."""

    def __init__(self, analyses: int, removals: int) -> None:
        cell = (analyses, removals)
        # Without an analysis all that is by analysis is empty, and no part of a state.
        self._sums = SUMS if analyses else ("sequence_losses",)
        self._kept = ROWS if analyses else ("counts", "losses")
        self.pairs = np.zeros((*cell, len(PAIRS)), dtype=np.int64)
        self.sums = np.zeros((*cell, len(PAIRS)))
        self.squares = np.zeros((*cell, len(PAIRS)))
        self.minima = np.ones((*cell, len(PAIRS)))
        self.maxima = -np.ones((*cell, len(PAIRS)))
        self.histogram = np.zeros((*cell, len(PAIRS), BINS), dtype=np.int64)
        self.part_norms = np.zeros((*cell, len(PARTS)))
        self.part_energies = np.zeros((*cell, len(PARTS)))
        self.sequence_losses = np.zeros(2)  # sum, and sum of squares, of the noisy loss
        self._rows: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ROWS}
        self._empty = {
            "counts": np.zeros((0, 4), dtype=np.int64),
            "losses": np.zeros((0, 2)),
            "norms": np.zeros((0, *cell, len(PARTS))),
        }

    def add(self, batch: Measured) -> None:
        """Take a batch in. Without analyses, ``grams`` are [0, R, n, n]."""
        noisy = batch.losses[:, 0]
        self.sequence_losses += noisy.sum(), np.square(noisy).sum()
        parts = [int(np.count_nonzero(batch.kinds == kind)) for kind in (CLEAN, CORRUPT)]
        norms = np.zeros(self._empty["norms"].shape[1:])
        for analysis, removed in np.ndindex(batch.grams.shape[:2]):
            gram, raw = batch.grams[analysis, removed], batch.grams[analysis, 0]
            norms[analysis, removed] = self._parts(analysis, removed, batch.kinds, gram)
            directed = np.diag(gram) > LEAST_SHARE * np.diag(raw)
            self._pairs(analysis, removed, cosines(gram, batch.kinds, batch.owners, directed))
        self._rows["counts"].append(np.array([*parts, *batch.tokens], dtype=np.int64))
        self._rows["losses"].append(batch.losses.mean(axis=0))
        self._rows["norms"].append(norms)

    def _parts(self, analysis: int, removed: int, kinds: Counts, gram: Floats) -> list[float]:
        summed = []
        for kind in (CLEAN, CORRUPT):
            own = np.flatnonzero(kinds == kind)
            energies = np.maximum(np.diag(gram)[own], 0.0)
            self.part_norms[analysis, removed, kind] += np.sqrt(energies).sum()
            self.part_energies[analysis, removed, kind] += energies.sum()
            summed.append(float(np.sqrt(max(0.0, gram[np.ix_(own, own)].sum()))))
        return summed

    def _pairs(self, analysis: int, removed: int, found: tuple[Floats, Floats, Floats]) -> None:
        for pair, values in enumerate(found):
            if len(values):
                at = (analysis, removed, pair)
                self.pairs[at] += len(values)
                self.sums[at] += values.sum()
                self.squares[at] += np.square(values).sum()
                self.minima[at] = min(self.minima[at], values.min())
                self.maxima[at] = max(self.maxima[at], values.max())
                bins = np.minimum(((values + 1) * (BINS / 2)).astype(np.int64), BINS - 1)
                self.histogram[at] += np.bincount(bins, minlength=BINS)

    def rows(self, name: str) -> npt.NDArray[Any]:
        """One of ``ROWS``, a row a batch: ``counts`` [n, 4] (clean, corrupt parts; right, wrong targets), ``losses``
        [n, 2] (means of the noisy loss and of the true targets'), ``norms`` [n, A, R, 2] of the summed parts.
        """
        return np.stack(self._rows[name]) if self._rows[name] else self._empty[name]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that is kept, by name, as copies."""
        return {name: getattr(self, name).copy() for name in self._sums} | {
            name: self.rows(name).copy() for name in self._kept
        }

    def shapes(self, batches: int) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`arrays` gives after so many batches: names, shapes and kinds, zeros in place of values."""
        sums = {name: np.zeros_like(getattr(self, name)) for name in self._sums}
        return sums | {
            name: np.zeros((batches, *self._empty[name].shape[1:]), self._empty[name].dtype) for name in self._kept
        }

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put back what :meth:`arrays` gave."""
        for name in self._sums:
            setattr(self, name, arrays[name].copy())
        for name in self._kept:
            self._rows[name] = [row.copy() for row in arrays[name]]


def cosines(
    gram: Floats, kinds: Counts, owners: Counts, directed: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Cosines of pairs of parts of different sequences, in the order of ``PAIRS``; each pair once.

    Args:
        gram: inner products [n, n].
        directed: [n], parts that have a direction; the others are in no pair.
    """
    kept = np.flatnonzero(directed)
    kinds, owners = kinds[kept], owners[kept]
    norms = np.sqrt(np.diag(gram)[kept])
    # Rounding takes the cosine of two equal vectors past 1.
    matrix = np.clip(gram[np.ix_(kept, kept)] / np.outer(norms, norms), -1.0, 1.0)
    once = np.triu(np.ones(matrix.shape, dtype=bool), k=1) & (owners[:, None] != owners[None, :])
    alike = kinds[:, None] == kinds[None, :]
    return (
        matrix[once & alike & (kinds == CLEAN)],
        matrix[once & alike & (kinds == CORRUPT)],
        matrix[once & ~alike],
    )
