"""The batches that are analysed: windows of the corpus, with their noise, as parts that are clean and corrupt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from trainers.gradients.sequences import Batch
from trainers.gradients.tally import CLEAN, CORRUPT, Counts
from trainers.noise.tokens import TokenBatch

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """A batch's parts in the order of its gradients, [B k]: their kind, their sequence, and whether there is one.

    ``tokens`` [2] are the batch's targets that are right and that are wrong.
    """

    kinds: Counts
    owners: Counts
    present: npt.NDArray[np.bool_]
    tokens: Counts


def parted(read: TokenBatch, unit: str, noisy: bool, device: torch.device) -> tuple[Batch, Parts]:
    """A batch that was read, as tensors on the device, and what its parts are.

    By ``token`` a sequence has a clean and a corrupt part, either of which may have no targets; by ``example`` it has
    one: corrupt as a whole if any of its targets is wrong, since a redrawn token may hit the truth by chance. Without
    noise there are clean parts alone.
    """
    wrong = read.targets != read.truth
    sequences, context = wrong.shape
    rows = np.arange(sequences)
    if noisy and unit == "token":
        weights = np.stack([~wrong, wrong], axis=1)
        kinds, owners = np.tile([CLEAN, CORRUPT], sequences), np.repeat(rows, 2)
        present = weights.any(axis=2).reshape(-1)
    else:
        weights = np.ones((sequences, 1, context), dtype=np.bool_)
        kinds, owners = np.where(wrong.any(axis=1), CORRUPT, CLEAN), rows
        present = np.ones(sequences, dtype=np.bool_)
    count = int(np.count_nonzero(wrong))
    tokens = np.array([wrong.size - count, count])
    shares = torch.from_numpy((weights / context).astype(np.float32)).to(device)
    inputs, targets, truth = (torch.from_numpy(ids).to(device) for ids in (read.inputs, read.targets, read.truth))
    return Batch(inputs, targets, truth, shares), Parts(kinds.astype(np.int64), owners, present, tokens)
