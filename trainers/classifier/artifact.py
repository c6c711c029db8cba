"""The artifact ``truth_probability``: what the floors of later reports need of each test example (design 5)."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from trainers.metrics.predictions import Labels, Matrix, predicted
from trainers.protocol import Artifact

ROLE = "truth_probability"


def truth_probability(log_p: Matrix, truth: Labels, replacement: npt.NDArray[np.float64] | None) -> Artifact:
    """A row a test example, as Parquet of the same bytes at each call.

    Columns: ``example``, ``truth``, ``predicted`` (int32); ``p_truth`` = p(y); ``p_previous`` = p(y - 1 mod n);
    ``p_replaced`` = sum_k p(k) W[k, y] where the law has a map, null else. With T = (1 - e) I + e W these give
    (T^T p)(y) for every law.

    Args:
        log_p: log-probabilities [N, n].
        replacement: W [n, n], where a redrawn target goes; None for a law without a map.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    p = np.exp(log_p)
    rows = np.arange(len(truth))
    replaced = None if replacement is None else (p * replacement[:, truth].T).sum(axis=1)
    columns = {
        "example": pa.array(rows, pa.int32()),
        "truth": pa.array(truth, pa.int32()),
        "predicted": pa.array(predicted(log_p), pa.int32()),
        "p_truth": pa.array(p[rows, truth], pa.float64()),
        "p_previous": pa.array(p[rows, (truth - 1) % p.shape[1]], pa.float64()),
        "p_replaced": pa.nulls(len(truth), pa.float64()) if replaced is None else pa.array(replaced, pa.float64()),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return Artifact(ROLE, f"{ROLE}.parquet", buffer.getvalue())
