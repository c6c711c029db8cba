"""Images that a trial drew: the artifact ``images``, of which only as many are read as a figure shows."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.artifacts import DamagedError, content
from reports.rows import Published
from reports.shelf import Shelf

Pixels = npt.NDArray[np.uint8]

ROLE = "images"
COLUMNS = ("index", "label", "png", "judged", "judged_p", "second_judged")
LABELS = 20  # classes that a figure has columns for, the first ones
EACH = 5  # images of each
BATCH = 1_024  # rows that are read at once
MOST_BYTES = 2**30  # of the file: 50,000 images of CIFAR take 120 MB
MOST_PNG = 2**20  # bytes of one image
MOST_SIDE = 256  # pixels
MOST_LABEL = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One image, [height, width, 3], the label it was asked for, and what the judges take it for; None without one."""

    index: int
    label: int
    pixels: Pixels
    judged: int | None
    judged_p: float | None
    second_judged: int | None

    @property
    def wrong(self) -> bool:
        """Whether the judge says that it shows another class."""
        return self.judged is not None and self.judged != self.label


@dataclass(frozen=True)
class Samples:
    """The first images of each of the first labels, by index; ``labels`` is how many labels there are in all."""

    labels: int
    by_label: Mapping[int, tuple[Sample, ...]]


class Album(Shelf[Samples]):
    """The first images by trial."""

    def read(self, trial: Published) -> Samples | None:
        kept = trial.artifacts.get(ROLE)
        if kept is not None and kept.bytes > MOST_BYTES:
            raise DamagedError(f"the images take {kept.bytes:,} bytes; at most {MOST_BYTES:,} are read")
        found = content(self.files, trial, ROLE)
        return None if found is None else decode(found)


def decode(found: bytes) -> Samples | None:
    """The first ``EACH`` images of each of the first ``LABELS`` labels; None where the file holds none.

    Only labels and verdicts are read of all rows; images in batches, until there are enough.

    Raises:
        DamagedError: the bytes are no such file, a value is none of its kind, or an image is no small PNG.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(found)) as file:
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise DamagedError(f"the file is no table of images (it has no column {missing[0]!r})")
            labels = _whole(file.read(["label"]), "label")
            if not len(labels):
                return None
            chosen = _first(labels)
            rows: list[dict[str, Any]] = []
            start = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=list(COLUMNS)):
                places = chosen[(chosen >= start) & (chosen < start + len(batch))] - start
                rows += batch.take(pa.array(places)).to_pylist()
                start += len(batch)
                if start > chosen[-1]:
                    break
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"the file is no table of images ({error})") from error
    by_label: dict[int, list[Sample]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(_sample(row))
    sizes = {sample.pixels.shape for samples in by_label.values() for sample in samples}
    if len(sizes) > 1:
        raise DamagedError("images are of several sizes")
    return Samples(len(np.unique(labels)), {label: tuple(by_label[label]) for label in sorted(by_label)})


def _first(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of the first images of the first labels, in order, [at most LABELS x EACH]."""
    shown = np.unique(labels)[:LABELS]
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:EACH] for label in shown]))


def _sample(row: Mapping[str, Any]) -> Sample:
    index, probability = row["index"], row["judged_p"]
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise DamagedError("an image has no number")
    if probability is not None and not (isinstance(probability, float) and 0 <= probability <= 1 + 1e-6):
        raise DamagedError("a probability is outside [0, 1]")
    judged, second = (_class(row[name]) for name in ("judged", "second_judged"))
    return Sample(index, row["label"], _pixels(row["png"]), judged, probability, second)


def _class(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_LABEL:
        raise DamagedError("a judged class is negative or no whole number")
    return value


def _pixels(png: object) -> Pixels:
    """An image as colours, [height, width, 3]."""
    from PIL import Image

    if not isinstance(png, bytes) or len(png) > MOST_PNG:
        raise DamagedError(f"an image is missing or has more than {MOST_PNG:,} bytes")
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.mode not in ("L", "RGB") or max(image.size) > MOST_SIDE:
                raise DamagedError(f"an image is neither grey nor colour, or above {MOST_SIDE} pixels a side")
            pixels: Pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DamagedError(f"an image is no PNG ({type(error).__name__})") from error
    return pixels


def _whole(table: Any, name: str) -> npt.NDArray[np.int64]:
    values = table.column(name).to_numpy()
    whole = np.issubdtype(values.dtype, np.integer)
    if not whole or (len(values) and not 0 <= values.min() <= values.max() < MOST_LABEL):
        raise DamagedError(f"the column {name!r} has a value that is missing, negative, no whole number or too large")
    labels: npt.NDArray[np.int64] = values.astype(np.int64)
    return labels
