"""The artifacts ``images`` and ``confusion``: generated images with their verdicts, and what judges took for what."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.errors import SpecError
from trainers.protocol import Artifact

IMAGES, CONFUSION = "images", "confusion"
#: In the metadata of ``confusion``: training images of each class, as JSON.
COUNTS_KEY = b"noisegrid.class_counts"

Labels = npt.NDArray[np.int64]

#: Channels that a PNG and Inception take: grey and colour.
CHANNELS = (1, 3)


def check_channels(shape: tuple[int, ...]) -> None:
    """Before anything is trained, since generated images are kept at the end.

    Raises:
        SpecError: images of ``shape`` (channels x height x width) cannot be kept as PNGs.
    """
    if shape[0] not in CHANNELS:
        raise SpecError(
            f"the data's images have {shape[0]} channels, and generated ones are kept as PNGs of 1 or 3; choose a data "
            "set of grey or colour images"
        )


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """``image`` [C, H, W], C = 1 or 3, as a PNG of the same bytes at each call.

    Raises:
        ValueError: another number of channels.
    """
    from PIL import Image

    if image.shape[0] not in CHANNELS:
        raise ValueError(f"an image of {image.shape[0]} channels cannot be a PNG; 1 or 3 are allowed")
    pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def images(
    drawn: npt.NDArray[np.uint8],
    requested: Labels,
    judged: Labels | None,
    probability: npt.NDArray[np.float64] | None,
    second: Labels | None,
) -> Artifact:
    """A row an image: ``index``, ``label``, ``png``, ``judged``, ``judged_p`` = its p(label), ``second_judged``.

    The last three are null without such a judge.
    """
    import pyarrow as pa

    count = len(drawn)

    def column(values: npt.NDArray[Any] | None, kind: Any) -> Any:
        return pa.nulls(count, kind) if values is None else pa.array(values, kind)

    table = pa.table(
        {
            "index": pa.array(np.arange(count), pa.int64()),
            "label": pa.array(requested, pa.int32()),
            "png": pa.array([png(image) for image in drawn], pa.binary()),
            "judged": column(judged, pa.int32()),
            "judged_p": column(probability, pa.float32()),
            "second_judged": column(second, pa.int32()),
        }
    )
    return _parquet(IMAGES, table)


def confusion(counts: Iterable[tuple[str, str, Labels]], class_counts: Labels) -> Artifact:
    """A row a pair of classes: ``images`` (generated or real), ``judge`` (its role), ``label``, ``judged``, ``count``.

    Args:
        counts: images, judge, and counts [n, n] by label (requested, or true) and judged class.
        class_counts: training images of each class, [n].
    """
    import pyarrow as pa

    parts = []
    for images, judge, matrix in counts:
        label, judged = np.indices(matrix.shape)
        parts.append(
            pa.table(
                {
                    "images": pa.array([images] * matrix.size, pa.string()),
                    "judge": pa.array([judge] * matrix.size, pa.string()),
                    "label": pa.array(label.ravel(), pa.int32()),
                    "judged": pa.array(judged.ravel(), pa.int32()),
                    "count": pa.array(matrix.ravel(), pa.int64()),
                }
            )
        )
    metadata = {COUNTS_KEY: json.dumps(class_counts.tolist()).encode()}
    return _parquet(CONFUSION, pa.concat_tables(parts).replace_schema_metadata(metadata))


def _parquet(role: str, table: Any) -> Artifact:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, pa.PythonFile(buffer), compression="zstd")
    return Artifact(role, f"{role}.parquet", buffer.getvalue())
