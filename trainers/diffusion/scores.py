"""What generated images are worth: verdicts of judges, distances to real images, and whether they were memorised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.diffusion import artifact
from trainers.diffusion.judge import Verdicts
from trainers.diffusion.reference import JUDGE, SECOND_JUDGE, Real, Reference
from trainers.metrics import consistency, frechet, neighbours
from trainers.protocol import Artifact

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
    """Of generated to training images over the features of one network; None without images enough."""

    frechet: float | None = None
    kernel: float | None = None


@dataclass(frozen=True)
class Scores:
    """Everything that :func:`measure` found."""

    images: Bytes
    requested: Labels
    class_counts: Labels
    judged: Mapping[str, Judged]
    inverted: float | None
    over_judge: Distances
    real_distance: float | None
    by_class: float | None
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
            "frechet_distance_real": self.real_distance,
            "frechet_distance_by_class": self.by_class,
            "kernel_distance": self.over_judge.kernel,
            "fid": self.over_inception.frechet,
            "kid": self.over_inception.kernel,
            "neighbour_distance": self.near.distance,
            "neighbour_distance_real": self.near.distance_real,
            "memorised_share": self.near.memorised,
        }

    def artifacts(self) -> list[Artifact]:
        """``images`` where images were drawn, ``confusion`` where a judge saw any."""
        found = []
        first, second = self.judged.get(JUDGE), self.judged.get(SECOND_JUDGE)
        if len(self.images):
            rows = np.arange(len(self.images))
            found.append(
                artifact.images(
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
    reference: Reference,
    channel: npt.NDArray[np.float64] | None,
    class_counts: Labels,
) -> Scores:
    """Args:
    images: generated ones, [N, C, S, S].
    requested: the label that each was asked for, [N].
    reference: the real images, and who sees them.
    channel: the law's T, [n, n]; None where it has none.
    class_counts: training images of each class, [n].
    """
    data = reference.data
    judged = {role: _judged(role, reference, images, requested) for role in reference.judges}
    inverted, over_judge, real, by_class = None, Distances(), None, None
    if JUDGE in judged:
        inverted = consistency.channel_inverted_consistency(judged[JUDGE].generated, channel, class_counts)
        features, train = judged[JUDGE].drawn.features, reference.by_judge
        over_judge, real = _distances(features, train), reference.test_distance
        by_class = frechet.by_class(features, requested, train.train, data.train_labels, data.classes)
    over_inception = Distances()
    if reference.inception is not None and reference.by_inception is not None:
        over_inception = _distances(reference.inception(images), reference.by_inception)
    drawn = neighbours.nearest(images[: neighbours.MOST_IMAGES], data.train_images, reference.device)
    near = neighbours.compared(drawn, reference.test_neighbours)
    return Scores(images, requested, class_counts, judged, inverted, over_judge, real, by_class, over_inception, near)


def _judged(role: str, reference: Reference, images: Bytes, requested: Labels) -> Judged:
    data = reference.data
    drawn = reference.judges[role].verdicts(images)
    return Judged(
        drawn,
        consistency.confusion(requested, drawn.judged, data.classes),
        consistency.confusion(data.test_labels, reference.judged[role], data.classes),
    )


def _distances(drawn: frechet.Features, real: Real) -> Distances:
    return Distances(frechet.distance(frechet.moments(drawn), real.moments), frechet.kernel_distance(drawn, real.train))
