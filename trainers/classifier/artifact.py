"""What a classifier leaves in the artifact ``truth_probability``."""

from __future__ import annotations

import numpy as np

from trainers import truth_probability as shared
from trainers.metrics.predictions import Labels, Matrix, predicted
from trainers.protocol import Artifact

#: A clean trial knows no map of the noisy ones that it will be a floor for: up to so many classes, all of p is kept.
WHOLE_CLASSES = 64


def truth_probability(log_p: Matrix, truth: Labels, examples: Labels | None = None) -> Artifact:
    """A row a test example.

    Beside the columns that all families have: ``p`` = all of p, [n] float32, for maps, where there are at most 64
    classes, null else.

    Args:
        log_p: log-probabilities [N, n].
        examples: numbers of the test examples, [N]; None for 0 to N - 1.
    """
    import pyarrow as pa

    p = np.exp(log_p)
    rows = np.arange(len(truth))
    count, classes = p.shape
    kind = pa.list_(pa.float32(), classes)
    whole = pa.FixedSizeListArray.from_arrays(pa.array(p.astype(np.float32).ravel()), classes)
    columns = shared.columns(truth, predicted(log_p), p[rows, truth], p[rows, (truth - 1) % classes], examples)
    columns["p"] = whole.cast(kind) if classes <= WHOLE_CLASSES else pa.nulls(count, kind)
    return shared.artifact(columns, classes)
