"""Noise on a run's stream of targets: fresh at every access, or frozen once an example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.errors import SpecError
from trainers.noise.material import bound
from trainers.protocol import NoiseLaw
from trainers.registry import noise_law
from trainers.spec import NoiseSpec
from trainers.streams import words

PURPOSE = "noise"

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corruption:
    """The targets that a run trains on. Built by :func:`corruption`; holds no random state.

    ``law`` is bound to its material where it has one. ``table`` is [N], the target of each example, where an example
    keeps its target (frozen or clean); None where the target is drawn at each access.
    """

    noise: NoiseSpec
    classes: int
    seed: int
    truth: Labels
    law: NoiseLaw
    table: Labels | None

    def targets(self, examples: Labels, start: int) -> Labels:
        """Targets of ``examples`` [n], which stand at stream positions ``start`` to ``start + n - 1``; [n]."""
        if self.table is not None:
            return self.table[examples]
        drawn = words(self.seed, PURPOSE, start, len(examples))
        return self.law.corrupt(self.truth[examples], drawn, self.noise, self.classes)


def corruption(noise: NoiseSpec, classes: int, seed: int, truth: Labels) -> Corruption:
    """The noise of one run over the true classes ``truth`` [N], whose frequencies a law may be bound to.

    ``fresh`` noise is keyed by (seed, position in the stream), ``frozen`` by (seed, example). Neither the batch nor
    the ratio is in the key: cells of one seed meet the same draws, and noise is nested over the ratio.

    Raises:
        SpecError: the law does not exist, does not fit or needs what classes do not have, or a class lies outside 0 to
            ``classes - 1``.
    """
    law = noise_law(noise.law)
    law.check(noise, classes)
    if truth.ndim != 1 or not np.issubdtype(truth.dtype, np.integer):
        raise SpecError(
            f"the true classes are {truth.dtype} of shape {truth.shape}; whole numbers of shape [N] are due"
        )
    if len(truth) and not (truth.min() >= 0 and truth.max() < classes):
        raise SpecError(
            f"the true classes run from {truth.min()} to {truth.max()}; 0 to {classes - 1} is allowed. "
            "Check the data set's labels and its number of classes."
        )
    clean = truth.astype(np.int64)  # a copy, so that nothing done to the caller's array reaches the run
    clean.flags.writeable = False
    law = bound(law, noise, {"frequencies": lambda: np.bincount(clean, minlength=classes)})
    table: Labels | None = None
    if noise.ratio == 0:
        table = clean
    elif noise.refresh == "frozen":
        table = law.corrupt(clean, words(seed, PURPOSE, 0, len(clean)), noise, classes)
        table.flags.writeable = False
    return Corruption(noise, classes, seed, clean, law, table)
