"""The artifact ``truth_probability``: what the floors of later reports need of each test example (design 5)."""

from __future__ import annotations

import io

import numpy as np

from trainers.metrics.predictions import Labels, Matrix, predicted
from trainers.protocol import Artifact

ROLE = "truth_probability"


#: A clean trial knows no map of the noisy ones that it will be a floor for: up to so many classes, all of p is kept.
WHOLE_CLASSES = 64
CLASSES_KEY = b"noisegrid.classes"  # in the file's metadata


def truth_probability(log_p: Matrix, truth: Labels) -> Artifact:
    """A row a test example, as Parquet of the same bytes at each call.

    Columns: ``example``, ``truth``, ``predicted`` (int32); ``p_truth`` = p(y) and ``p_previous`` = p(y - 1 mod n),
    which suffice for (T^T p)(y) of the uniform laws and of ``next_class``; ``p`` = all of p, [n] float32, for maps,
    where there are at most 64 classes, null else. The metadata has the number of classes.

    Args:
        log_p: log-probabilities [N, n].
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    p = np.exp(log_p)
    rows = np.arange(len(truth))
    count, classes = p.shape
    kind = pa.list_(pa.float32(), classes)
    whole = pa.FixedSizeListArray.from_arrays(pa.array(p.astype(np.float32).ravel()), classes)
    columns = {
        "example": pa.array(rows, pa.int32()),
        "truth": pa.array(truth, pa.int32()),
        "predicted": pa.array(predicted(log_p), pa.int32()),
        "p_truth": pa.array(p[rows, truth], pa.float64()),
        "p_previous": pa.array(p[rows, (truth - 1) % classes], pa.float64()),
        "p": whole.cast(kind) if classes <= WHOLE_CLASSES else pa.nulls(count, kind),
    }
    buffer = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata({CLASSES_KEY: str(classes).encode()})
    pq.write_table(table, buffer, compression="zstd")
    return Artifact(ROLE, f"{ROLE}.parquet", buffer.getvalue())
