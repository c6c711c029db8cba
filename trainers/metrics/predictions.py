"""Metrics of a predictive distribution against clean labels (paper/protocols M1: the same for every family)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def log_probabilities(logits: npt.NDArray[np.floating]) -> Matrix:
    """Log-softmax of ``logits`` [N, n] over the classes, in float64 and nats."""
    wide = np.asarray(logits, dtype=np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    result: Matrix = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def predicted(log_p: Matrix) -> Labels:
    """The most probable class of each example [N]; of equal ones the first."""
    best: Labels = log_p.argmax(axis=1)
    return best


def top1(log_p: Matrix, labels: Labels) -> float:
    """Share of examples whose most probable class is the label. Raises ValueError without examples."""
    return float((predicted(_fit(log_p, labels)) == labels).mean())


def nll(log_p: Matrix, labels: Labels) -> float:
    """Mean of -ln p(label), nats an example. Raises ValueError without examples."""
    return float(-_at(_fit(log_p, labels), labels).mean())


def sampled_accuracy(log_p: Matrix, labels: Labels) -> float:
    """Mean of p(label): the accuracy of one draw from the prediction. Raises ValueError without examples."""
    return float(np.exp(_at(_fit(log_p, labels), labels)).mean())


def _at(log_p: Matrix, labels: Labels) -> Matrix:
    return log_p[np.arange(len(labels)), labels]


def _fit(log_p: Matrix, labels: Labels) -> Matrix:
    """Raises:
    ValueError: no examples, or labels that do not fit the predictions.
    """
    if log_p.ndim != 2 or labels.shape != (len(log_p),) or not len(labels):
        raise ValueError(
            f"predictions of shape {log_p.shape} and labels of shape {labels.shape}; [N, n] and [N] with N > 0 are due"
        )
    if labels.min() < 0 or labels.max() >= log_p.shape[1]:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}; the classes are 0 to {log_p.shape[1] - 1}")
    return log_p
