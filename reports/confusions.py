"""Whom the judges take generated and real images for: the artifact ``confusion``, checked before it is believed."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.artifacts import DamagedError, content
from reports.rows import Published
from reports.shelf import Shelf

Counts = npt.NDArray[np.int64]

ROLE = "confusion"
IMAGES = ("generated", "real")
JUDGES = ("judge", "second_judge")
CLASS_COUNTS_KEY = b"noisegrid.class_counts"  # in the file's metadata: a JSON list, training images of each class
MOST_CLASSES = 1_000
MOST_COUNT = 2**40  # images in one cell: sums of a million cells stay whole numbers of 64 bits
LONGEST_COUNTS = 32 * MOST_CLASSES  # bytes of the JSON list


@dataclass(frozen=True)
class Confusions:
    """``counts``: (images, judge) -> images requested as, or truly of, class y that are judged k, [classes, classes].

    ``training`` is the number of training images of each class, [classes], None where it was not kept.
    """

    classes: int
    counts: Mapping[tuple[str, str], Counts]
    training: Counts | None

    def of(self, images: str, judge: str) -> Counts | None:
        """One matrix; None where there is none."""
        return self.counts.get((images, judge))

    @property
    def nbytes(self) -> int:
        """Memory that the matrices take."""
        return sum(one.nbytes for one in self.counts.values())


class Judgements(Shelf[Confusions]):
    """Confusions by trial."""

    def read(self, trial: Published) -> Confusions | None:
        found = content(self.files, trial, ROLE)
        return None if found is None else decode(found)

    def size(self, thing: Confusions) -> int:
        return thing.nbytes


def decode(found: bytes) -> Confusions:
    """Confusions from a Parquet file's bytes.

    Raises:
        DamagedError: the bytes are no such file, a value is none of its kind, or a matrix is not whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    most = len(IMAGES) * len(JUDGES) * MOST_CLASSES**2
    try:
        with pq.ParquetFile(io.BytesIO(found), read_dictionary=["images", "judge"]) as file:
            if file.metadata.num_rows > most:
                raise DamagedError(f"the file has {file.metadata.num_rows:,} rows; at most {most:,} are expected")
            table = file.read(["images", "judge", "label", "judged", "count"])
            metadata = file.schema_arrow.metadata or {}
        training = _training(metadata.get(CLASS_COUNTS_KEY))
        images, judges = _names(table, "images", IMAGES), _names(table, "judge", JUDGES)
        labels, judged, counts = (_whole(table, name) for name in ("label", "judged", "count"))
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"the file is no table of confusions ({error})") from error
    if not len(counts):
        raise DamagedError("the file holds no confusion")
    classes = len(training) if training is not None else 1 + int(max(labels.max(), judged.max()))
    if not 0 < classes <= MOST_CLASSES or max(labels.max(), judged.max()) >= classes:
        raise DamagedError(f"a class is not among {classes:,}, or there are more than {MOST_CLASSES:,}")
    matrices = {}
    for place, (of, by) in enumerate((of, by) for of in IMAGES for by in JUDGES):
        here = images * len(JUDGES) + judges == place
        if here.any():
            matrices[of, by] = _matrix(labels[here], judged[here], counts[here], classes)
    return Confusions(classes, matrices, training)


def _matrix(labels: Counts, judged: Counts, counts: Counts, classes: int) -> Counts:
    places = labels * classes + judged
    if len(places) != classes**2 or len(np.unique(places)) != classes**2:
        raise DamagedError(f"a confusion of {classes} classes has {len(places)} cells, or one of them twice")
    matrix = np.zeros(classes**2, dtype=np.int64)
    matrix[places] = counts
    return matrix.reshape(classes, classes)


def _names(table: Any, name: str, allowed: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """A column of words as places in ``allowed``, [rows]."""
    column = table.column(name).combine_chunks()
    told = column.dictionary.to_pylist()
    if column.null_count or not set(told) <= set(allowed):
        raise DamagedError(f"the column {name!r} has something else than {' and '.join(allowed)}")
    places: npt.NDArray[np.int64] = np.array([allowed.index(word) for word in told], dtype=np.int64)
    indices: Counts = column.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return places[indices]


def _whole(table: Any, name: str) -> Counts:
    values = table.column(name).to_numpy()
    whole = np.issubdtype(values.dtype, np.integer)
    if not whole or (len(values) and not 0 <= values.min() <= values.max() <= MOST_COUNT):
        raise DamagedError(f"the column {name!r} has a value that is missing, negative, no whole number or too large")
    counts: Counts = values.astype(np.int64)
    return counts


def _training(told: bytes | None) -> Counts | None:
    if told is None:
        return None
    try:
        counts = json.loads(told) if len(told) <= LONGEST_COUNTS else None
    except (ValueError, RecursionError):
        counts = None
    if not isinstance(counts, list) or not counts or not all(map(_counted, counts)):
        raise DamagedError("the training images of each class are no list of counts")
    return np.array(counts, dtype=np.int64)


def _counted(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNT
