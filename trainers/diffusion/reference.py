"""What generated images are measured against: real images as judges and feature networks see them. Computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from trainers.datasets.images import Images, Pixels
from trainers.diffusion.judge import Judge
from trainers.metrics import frechet, neighbours
from trainers.metrics.inception_features import extractor

#: Roles of the two judges.
JUDGE, SECOND_JUDGE = "judge", "second_judge"

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Real:
    """Features [N, d] of the training images by some network, with their moments (None below two images)."""

    train: frechet.Features
    moments: frechet.Moments | None


class Reference:
    """Real images, seen by the judges and by Inception where its weights are given.

    Nothing is computed before it is asked for, and then kept: a trial that is measured twenty times on its way shows
    its training images to the judge once. The largest thing kept is a float64 a feature and training image.
    """

    def __init__(self, data: Images, judges: Mapping[str, Judge], inception: Path | None, device: torch.device) -> None:
        """Args:
        data: what the model was trained on; ``data.test_images`` are the real ones beside it.
        judges: by role, ``judge`` and ``second_judge``.
        inception: the file of Inception's weights; None for no FID.
        """
        self.data, self.judges, self.device = data, judges, device
        self._inception = inception

    @cached_property
    def judged(self) -> Mapping[str, Labels]:
        """Role -> its verdict on each test image, [N]."""
        return {role: judge.verdicts(self.data.test_images).judged for role, judge in self.judges.items()}

    @cached_property
    def by_judge(self) -> Real:
        """The training images as the first judge sees them."""
        return _real(self.judges[JUDGE].verdicts(self.data.train_images).features)

    @cached_property
    def test_distance(self) -> float | None:
        """Frechet distance of the test images to the training images over the first judge's features."""
        test = frechet.moments(self.judges[JUDGE].verdicts(self.data.test_images).features)
        return frechet.distance(test, self.by_judge.moments)

    @cached_property
    def inception(self) -> Callable[[Pixels], frechet.Features] | None:
        """From images to Inception's features; None without its weights."""
        return None if self._inception is None else extractor(self._inception, self.device)

    @cached_property
    def by_inception(self) -> Real | None:
        """The training images as Inception sees them; None without its weights."""
        return None if self.inception is None else _real(self.inception(self.data.train_images))

    @cached_property
    def test_neighbours(self) -> neighbours.Vector:
        """Distance of each of the first test images to its nearest training image, [N]."""
        return neighbours.nearest(self.data.test_images[: neighbours.MOST_IMAGES], self.data.train_images, self.device)


def _real(features: frechet.Features) -> Real:
    return Real(features, frechet.moments(features))
