"""The artifact ``truth_probability``: what the floors of later reports need of each test target (design 5)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.protocol import Artifact

ROLE = "truth_probability"
#: In the file's metadata: the number of classes.
CLASSES_KEY = b"noisegrid.classes"

Numbers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def columns(
    truth: Labels, predicted: Labels, p_truth: Numbers, p_previous: Numbers, examples: Labels | None = None
) -> dict[str, Any]:
    """What every family's file has, [N] each.

    ``example`` (its number in the test set: ``examples``, or the row's), ``truth``, ``predicted`` (int32);
    ``p_truth`` = p(y) and ``p_previous`` = p(y - 1 mod n), which suffice for (T^T p)(y) of the uniform laws and of
    ``next_class``.
    """
    import pyarrow as pa

    return {
        "example": pa.array(np.arange(len(truth)) if examples is None else examples, pa.int32()),
        "truth": pa.array(truth, pa.int32()),
        "predicted": pa.array(predicted, pa.int32()),
        "p_truth": pa.array(p_truth, pa.float64()),
        "p_previous": pa.array(p_previous, pa.float64()),
    }


def artifact(columns: Mapping[str, Any], classes: int) -> Artifact:
    """The columns as Parquet, of the same bytes at each call."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    table = pa.table(dict(columns)).replace_schema_metadata({CLASSES_KEY: str(classes).encode()})
    pq.write_table(table, buffer, compression="zstd")
    return Artifact(ROLE, f"{ROLE}.parquet", buffer.getvalue())
