"""From the losses of a generative model under each label to the label's probability: Bayes' rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def posterior(losses: Matrix, log_prior: npt.NDArray[np.float64]) -> Matrix:
    """ln p(y | x), [N, n], where ``losses`` [N, n] is -ln p(x | y) in nats up to a constant an example.

    Args:
        log_prior: ln p(y), [n]; -inf for a label that is never given.

    Raises:
        ValueError: the shapes do not fit, a loss is not finite, or no label has a prior.
    """
    if losses.ndim != 2 or log_prior.shape != losses.shape[1:]:
        raise ValueError(f"losses of shape {losses.shape} and a prior of {log_prior.shape}; [N, n] and [n] are due")
    if not np.isfinite(losses).all() or np.isnan(log_prior).any() or not np.isfinite(log_prior.max(initial=-np.inf)):
        raise ValueError("every loss must be finite, and at least one label must have a prior above 0")
    joint = log_prior - losses
    shifted = joint - joint.max(axis=1, keepdims=True)
    found: Matrix = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found
