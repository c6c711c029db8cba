"""What generated images are worth: verdicts of judges, distances to real images, and whether they were memorised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from trainers.datasets.images import Images
from trainers.diffusion import artifact
from trainers.diffusion.judge import Judge, Verdicts
from trainers.metrics import consistency, frechet, neighbours
from trainers.metrics.inception_features import extractor
from trainers.protocol import Artifact

#: Roles of the two judges.
JUDGE, SECOND_JUDGE = "judge", "second_judge"

Labels = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Judged:
    """What one judge says of the generated and of the real test images; counts are [n, n] by label and verdict."""

    drawn: Verdicts
    generated: Labels
    real: Labels

    @property
    def consistency(self) -> float | None:
        return consistency.consistency(self.generated)

    @property
    def accuracy(self) -> float | None:
        return consistency.consistency(self.real)


@dataclass(frozen=True)
class Distances:
    """Distances over the features of one network; None without images enough."""

    frechet: float | None
    frechet_real: float | None
    by_class: float | None
    kernel: float | None


NO_DISTANCES = Distances(None, None, None, None)


@dataclass(frozen=True)
class Scores:
    """Everything that :func:`measure` found."""

    images: Bytes
    requested: Labels
    class_counts: Labels
    judged: Mapping[str, Judged]
    inverted: float | None
    over_judge: Distances
    over_inception: Distances
    near: neighbours.Neighbours

    def metrics(self) -> dict[str, float | None]:
        """By name, as ``trainers.diffusion.METRICS`` explains them."""
        first, second = self.judged.get(JUDGE), self.judged.get(SECOND_JUDGE)
        found = first.consistency if first else None
        accuracy = first.accuracy if first else None
        return {
            "consistency": found,
            "consistency_relative": found / accuracy if found is not None and accuracy else None,
            "judge_accuracy": accuracy,
            "second_consistency": second.consistency if second else None,
            "second_judge_accuracy": second.accuracy if second else None,
            "judges_agree": self._agree(),
            "channel_inverted_consistency": self.inverted,
            "frechet_distance": self.over_judge.frechet,
            "frechet_distance_real": self.over_judge.frechet_real,
            "frechet_distance_by_class": self.over_judge.by_class,
            "kernel_distance": self.over_judge.kernel,
            "fid": self.over_inception.frechet,
            "kid": self.over_inception.kernel,
            "neighbour_distance": self.near.distance,
            "neighbour_distance_real": self.near.distance_real,
            "memorised_share": self.near.memorised,
        }

    def artifacts(self) -> list[Artifact]:
        """``samples`` where images were drawn, ``confusion`` where a judge saw any."""
        found = []
        first, second = self.judged.get(JUDGE), self.judged.get(SECOND_JUDGE)
        if len(self.images):
            rows = np.arange(len(self.images))
            found.append(
                artifact.samples(
                    self.images,
                    self.requested,
                    first.drawn.judged if first else None,
                    np.exp(first.drawn.log_p[rows, self.requested]) if first else None,
                    second.drawn.judged if second else None,
                )
            )
        if self.judged:
            counts = [
                (images, role, matrix)
                for role, one in sorted(self.judged.items())
                for images, matrix in (("generated", one.generated), ("real", one.real))
            ]
            found.append(artifact.confusion(counts, self.class_counts))
        return found

    def _agree(self) -> float | None:
        if len(self.judged) < 2 or not len(self.images):
            return None
        one, other = (judged.drawn.judged for judged in self.judged.values())
        return float((one == other).mean())


def measure(
    images: Bytes,
    requested: Labels,
    data: Images,
    judges: Mapping[str, Judge],
    channel: npt.NDArray[np.float64] | None,
    class_counts: Labels,
    inception: Path | None,
    device: torch.device,
) -> Scores:
    """Args:
    images: generated ones, [N, C, S, S].
    requested: the label that each was asked for, [N].
    data: what the model was trained on; ``data.test_images`` are the real ones beside it.
    judges: by role, ``judge`` and ``second_judge``.
    channel: the law's T, [n, n]; None where it has none.
    class_counts: training images of each class, [n].
    inception: the file of Inception's weights; None for no FID.
    """
    judged = {role: _judged(judge, images, requested, data) for role, judge in judges.items()}
    inverted, over_judge = None, NO_DISTANCES
    if JUDGE in judges:
        inverted = consistency.channel_inverted_consistency(judged[JUDGE].generated, channel, class_counts)
        train, test = (judges[JUDGE].verdicts(part).features for part in (data.train_images, data.test_images))
        over_judge = _distances(judged[JUDGE].drawn.features, requested, train, test, data)
    over_inception = NO_DISTANCES
    if inception is not None:
        features_of = extractor(inception, device)
        drawn, train, test = map(features_of, (images, data.train_images, data.test_images))
        over_inception = _distances(drawn, requested, train, test, data)
    near = neighbours.neighbours(images, data.test_images, data.train_images)
    return Scores(images, requested, class_counts, judged, inverted, over_judge, over_inception, near)


def _judged(judge: Judge, images: Bytes, requested: Labels, data: Images) -> Judged:
    drawn = judge.verdicts(images)
    real = judge.verdicts(data.test_images).judged
    return Judged(
        drawn,
        consistency.confusion(requested, drawn.judged, data.classes),
        consistency.confusion(data.test_labels, real, data.classes),
    )


def _distances(
    drawn: frechet.Features, requested: Labels, train: frechet.Features, test: frechet.Features, data: Images
) -> Distances:
    generated, trained, real = map(frechet.moments, (drawn, train, test))
    return Distances(
        frechet.frechet_distance(generated, trained) if generated and trained else None,
        frechet.frechet_distance(real, trained) if real and trained else None,
        frechet.by_class(drawn, requested, train, data.train_labels, data.classes),
        frechet.kernel_distance(drawn, train),
    )
