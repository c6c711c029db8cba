"""What a trial predicted on the test set: the artifact ``truth_probability``, checked before it is believed."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.artifacts import DamagedError, content
from reports.floors import Clean, Vector
from reports.rows import Published
from reports.shelf import Shelf

ROLE = "truth_probability"
CLASSES_KEY = b"noisegrid.classes"  # in the file's metadata, where its writer says how many classes there are
MOST_CLASSES = 1_000_000
ROUNDING = 1e-6  # a softmax in single precision may pass one by as much
#: All of p is kept for few classes only; an empty column of lists as long as a vocabulary would still take its room.
MOST_WHOLE = 1_024
#: Targets of a stretch of text that at least go together, however short the windows are that they were predicted in.
BLOCK = 1_024
#: Bytes of predictions held at once: six GPT-2 trials of 4.4 million tokens, at 36 bytes a token.
HELD = 2**30


@dataclass(frozen=True)
class Predictions:
    """Clean-test predictions of one trial, and the number of examples.

    ``right`` tells which examples have the truth as most probable class, ``blocks`` which belong together, as tokens
    of one stretch of text do; None where each stands alone.
    """

    clean: Clean
    examples: int
    right: npt.NDArray[np.bool_]
    blocks: npt.NDArray[Any] | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the columns take."""
        clean = self.clean
        columns = (clean.labels, clean.truth, clean.previous, clean.whole, clean.frequency, self.right, self.blocks)
        return sum(column.nbytes for column in columns if column is not None)


@dataclass
class Library(Shelf[Predictions]):
    """Predictions by trial."""

    held: int = HELD

    def read(self, trial: Published) -> Predictions | None:
        found = content(self.files, trial, ROLE)
        return None if found is None else decode(found)

    def size(self, thing: Predictions) -> int:
        return thing.nbytes


def mapping_of(text: str) -> tuple[object, ...] | None:
    """The map of a ``confusion`` law from its JSON; None where there is none."""
    try:
        mapping = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return tuple(tuple(row) if isinstance(row, list) else row for row in mapping) if isinstance(mapping, list) else None


def decode(found: bytes) -> Predictions:
    """Predictions from a Parquet file's bytes. The columns ``window`` and ``frequency`` may be absent.

    Raises:
        DamagedError: the bytes are no such file, or a value is no probability, class or window.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(found)) as file:
            schema = file.schema_arrow
            names = ["truth", "predicted", "p_truth", "p_previous"]
            optional = [name for name in ("window", "frequency") if name in schema.names]
            table = file.read([*names, *optional, *(["p"] if _may_be_whole(schema) else [])])
        labels, predicted = (_numbers(table, name) for name in names[:2])
        truth, previous = (_column(table, name) for name in names[2:])
        windows = _numbers(table, "window") if "window" in optional else None
        frequency = _column(table, "frequency") if "frequency" in optional else None
        whole = _whole(table) if "p" in table.column_names else None
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"the file is no table of predictions ({error})") from error
    if truth is None or previous is None:
        raise DamagedError("the file holds no example")
    for column in (labels, predicted, *([] if windows is None else [windows])):
        if not np.issubdtype(column.dtype, np.integer) or column.min() < 0:
            what = "window" if column is windows else "class"
            raise DamagedError(f"a {what} is missing, negative or no whole number")
    for probability in (truth, previous, frequency, whole):
        if probability is not None and not (probability.min() >= 0 and probability.max() <= 1 + ROUNDING):
            raise DamagedError("a probability is outside [0, 1]")
    declared = (schema.metadata or {}).get(CLASSES_KEY, b"")
    outputs = 1 + max(int(labels.max()), int(predicted.max()))
    if outputs > MOST_CLASSES:
        raise DamagedError(f"there are {outputs:,} classes; at most {MOST_CLASSES:,} are expected")
    classes = outputs
    if declared.isdigit() and len(declared) < 7:  # a network may have outputs, and predict one, beyond the classes
        classes = max(1 + int(labels.max()), int(declared))
    if whole is not None and whole.shape[1] != classes:
        raise DamagedError(f"there are {classes} classes and {whole.shape[1]} probabilities an example")
    clean = Clean(classes, labels.astype(np.int32), truth, previous, whole, frequency)
    return Predictions(clean, len(truth), labels == predicted, None if windows is None else blocks(windows))


def blocks(windows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The block of text of each target, [N], from its window, [N]: as many windows one after another as make up
    ``BLOCK`` targets. Neighbouring windows are of one document, and to cut it shorter makes its errors no more
    independent.
    """
    _, sizes = np.unique(windows, return_counts=True)
    together = -(-BLOCK // int(sizes.max()))  # whole windows have the context's length, and all but the last are whole
    return windows // together


def _may_be_whole(schema: Any) -> bool:
    """Whether the file has a column of all probabilities that is worth reading."""
    import pyarrow as pa

    if "p" not in schema.names:
        return False
    kind = schema.field("p").type
    return not pa.types.is_null(kind) and getattr(kind, "list_size", 0) <= MOST_WHOLE


def _numbers(table: Any, name: str) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = table.column(name).to_numpy()
    return found


def _column(table: Any, name: str) -> Vector | None:
    column = table.column(name)
    if len(column) == 0 or column.null_count == len(column):
        return None
    values: Vector = np.asarray(column.to_numpy(), dtype=np.float64)  # a null among numbers becomes NaN, and is refused
    return values


def _whole(table: Any) -> Vector | None:
    """All probabilities, [examples, classes]; None where they were not kept."""
    column = table.column("p").combine_chunks()
    if column.null_count:
        return None
    values: Vector = np.asarray(column.values.to_numpy(zero_copy_only=False), dtype=np.float64)
    return values.reshape(len(column), -1) if len(column) and len(values) % len(column) == 0 else None
