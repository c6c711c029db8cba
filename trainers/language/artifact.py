"""What a language model leaves in the artifact ``truth_probability``."""

from __future__ import annotations

from trainers import truth_probability as shared
from trainers.datasets.text.corpus import Corpus
from trainers.language.evaluation import Measured
from trainers.protocol import Artifact


def truth_probability(measured: Measured, corpus: Corpus) -> Artifact:
    """A row a validation target, in the order of the text.

    Beside the columns that all families have: ``p`` is null, as the vocabulary is large; ``window`` (int32) is the
    window that a target was predicted in, within which errors go together; ``frequency`` (float64) is the share u(y) of
    the target among the training tokens, which (T^T p)(y) of the law ``unigram`` needs.
    """
    import pyarrow as pa

    frequencies = corpus.frequencies / corpus.frequencies.sum()
    columns = shared.columns(measured.truth, measured.predicted, measured.p_truth, measured.p_previous)
    # Nulls of a list of fixed size would take the room of the numbers that they stand for.
    columns["p"] = pa.nulls(len(measured.truth), pa.list_(pa.float32()))
    columns["window"] = pa.array(measured.window, pa.int32())
    columns["frequency"] = pa.array(frequencies[measured.truth], pa.float64())
    return shared.artifact(columns, corpus.vocabulary)
