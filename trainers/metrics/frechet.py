"""How far apart two sets of images lie in the space of some network's features, by clean-fid's routines.

Only over Inception-v3's features are these called FID and KID.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.streams import torch_seed

Features = npt.NDArray[np.float64]

#: Added to the diagonals of covariances, as a share of their mean variance: features that never vary, or fewer images
#: than features, leave a covariance singular, and its square root then fails or not by rounding alone. It costs up to
#: 1e-5 of the distance (700 sets of rank 1 to 300 in 16 to 256 dimensions), where 1e-6 would cost 1e-3.
RIDGE = 1e-10
KERNEL_SEED = torch_seed(0, "kernel distance") % 2**32


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean [d] and covariance [d, d] of ``count`` rows of features."""

    mean: Features
    covariance: Features
    count: int


def moments(features: Features) -> Moments | None:
    """Of features [N, d]; None where there are fewer than two rows."""
    if len(features) < 2:
        return None
    return Moments(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)), len(features))


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), of normal distributions with these moments (Dowson and Landau, 1982).

    It grows as images get fewer, the same for every model: compare at equal numbers of images.
    """
    from cleanfid.fid import frechet_distance as of_moments
    from scipy.linalg import LinAlgWarning

    scale = float(np.trace(one.covariance) + np.trace(other.covariance)) / (2 * len(one.mean))
    gap = float(np.square(one.mean - other.mean).sum())
    if not scale > 0:  # two points
        return gap
    # In units of the mean variance, since clean-fid's bound on imaginary parts of the root is absolute.
    ridge = RIDGE * np.eye(len(one.mean))
    first, second = one.covariance / scale + ridge, other.covariance / scale + ridge
    nowhere = np.zeros(len(one.mean))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy's sqrtm(disp=), which clean-fid calls
        warnings.simplefilter("ignore", LinAlgWarning)  # of products near to singular: see RIDGE for what they cost
        try:
            spread = float(np.real(of_moments(nowhere, first, nowhere, second)))
        except ValueError:  # the root that SciPy finds is not real, as of few images whose features hardly overlap
            spread = float(np.trace(first) + np.trace(second)) - 2 * _trace_of_root(first, second)
    return gap + scale * max(0.0, spread)  # equal covariances give a rounding error below 0


def _trace_of_root(first: Features, second: Features) -> float:
    """tr (C1 C2)^1/2 of covariances [d, d] as that of (C1^1/2 C2 C1^1/2)^1/2, equal and of a symmetric matrix."""
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    return float(np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum())


def distance(one: Moments | None, other: Moments | None) -> float | None:
    """:func:`frechet_distance`; None where either side has no moments."""
    return None if one is None or other is None else frechet_distance(one, other)


def by_class(
    features: Features, labels: npt.NDArray[np.int64], reference: Features, truth: npt.NDArray[np.int64], classes: int
) -> float | None:
    """Mean over classes of the distance between the rows of a class on either side; None unless each has two rows.

    A class has few images, so it lies far above the distance of all: only equal numbers of images compare.
    """
    found = []
    for label in range(classes):
        apart = distance(moments(features[labels == label]), moments(reference[truth == label]))
        if apart is None:
            return None
        found.append(apart)
    return float(np.mean(found)) if found else None


def kernel_distance(features: Features, reference: Features) -> float | None:
    """Squared maximum mean discrepancy of the cubic kernel, mean over 100 subsets (Binkowski et al., arXiv 1801.01401).

    Unbiased, so that it may lie below 0. None where either side has fewer than two rows. The subsets are the same at
    every call: clean-fid draws them from numpy's global generator, which is left as found.
    """
    from cleanfid.fid import kernel_distance as of_features

    if min(len(features), len(reference)) < 2:
        return None
    before = np.random.get_state()
    try:
        np.random.seed(KERNEL_SEED)
        return float(of_features(features, reference))
    finally:
        np.random.set_state(before)
