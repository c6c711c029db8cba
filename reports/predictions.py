"""What a trial predicted on the test set: the artifact ``truth_probability``, checked before it is believed."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field

import numpy as np

from reports.files import StoreFiles
from reports.floors import Clean, Vector
from reports.rows import Published

ROLE = "truth_probability"
CLASSES_KEY = b"noisegrid.classes"  # in the file's metadata, where its writer says how many classes there are
MOST_CLASSES = 1_000_000
ROUNDING = 1e-6  # a softmax in single precision may pass one by as much


@dataclass(frozen=True)
class Predictions:
    """Clean-test predictions of one trial, and the number of examples."""

    clean: Clean
    examples: int


class DamagedError(Exception):
    """An artifact is missing or is not what its row promises."""


@dataclass
class Library:
    """Predictions by trial, each file read once. ``problems`` tells which could not be used, and why."""

    files: StoreFiles
    problems: dict[str, str] = field(default_factory=dict)
    _read: dict[str, Predictions | None] = field(default_factory=dict)

    def of(self, trial: Published) -> Predictions | None:
        """The trial's predictions; None where it kept none or they cannot be used."""
        if trial.id not in self._read:
            try:
                self._read[trial.id] = _predictions(self.files, trial)
            except DamagedError as error:
                self.problems[trial.id] = str(error)
                self._read[trial.id] = None
        return self._read[trial.id]


def mapping_of(text: str) -> tuple[object, ...] | None:
    """The map of a ``confusion`` law from its JSON; None where there is none."""
    try:
        mapping = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return tuple(tuple(row) if isinstance(row, list) else row for row in mapping) if isinstance(mapping, list) else None


def _predictions(files: StoreFiles, trial: Published) -> Predictions | None:
    kept = trial.artifacts.get(ROLE)
    if kept is None:
        return None
    content = files.content(kept.path)
    if content is None:
        raise DamagedError("the file is missing")
    if hashlib.sha256(content).hexdigest() != kept.sha256:
        raise DamagedError("the file does not match its SHA-256")
    return decode(content)


def decode(content: bytes) -> Predictions:
    """Predictions from a Parquet file's bytes.

    Raises:
        DamagedError: the bytes are no such file, or a value is no probability or class.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        labels = [table.column(name).to_numpy() for name in ("truth", "predicted")]
        truth, previous = (_column(table, name) for name in ("p_truth", "p_previous"))
        whole = _whole(table)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"the file is no table of predictions ({error})") from error
    if truth is None or previous is None:
        raise DamagedError("the file holds no example")
    if any(not np.issubdtype(column.dtype, np.integer) or column.min() < 0 for column in labels):
        raise DamagedError("a class is missing, negative or no whole number")
    for column in (truth, previous, whole):
        if column is not None and not ((column >= 0) & (column <= 1 + ROUNDING)).all():
            raise DamagedError("a probability is outside [0, 1]")
    declared = (table.schema.metadata or {}).get(CLASSES_KEY, b"")
    classes = 1 + max(int(column.max()) for column in labels)
    if declared.isdigit() and len(declared) < 8:
        classes = max(classes, int(declared))
    if classes > MOST_CLASSES:
        raise DamagedError(f"there are {classes:,} classes; at most {MOST_CLASSES:,} are expected")
    if whole is not None and whole.shape[1] != classes:
        raise DamagedError(f"there are {classes} classes and {whole.shape[1]} probabilities an example")
    found = Clean(classes, np.asarray(labels[0], dtype=np.int64), truth, previous, whole)
    return Predictions(found, len(truth))


def _column(table: object, name: str) -> Vector | None:
    column = table.column(name)  # type: ignore[attr-defined]
    if len(column) == 0 or column.null_count == len(column):
        return None
    values: Vector = np.asarray(column.to_numpy(), dtype=np.float64)  # a null among numbers becomes NaN, and is refused
    return values


def _whole(table: object) -> Vector | None:
    """All probabilities, [examples, classes]; None where they were not kept."""
    column = table.column("p").combine_chunks()  # type: ignore[attr-defined]
    if column.null_count:
        return None
    values: Vector = np.asarray(column.values.to_numpy(zero_copy_only=False), dtype=np.float64)
    return values.reshape(len(column), -1) if len(column) and len(values) % len(column) == 0 else None
