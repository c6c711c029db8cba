"""The family of classifiers: images in, class out, noise on the training labels. Importing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainers import registry
from trainers.classifier.spec import ClassifierSpec
from trainers.datasets.subset import check as check_subset
from trainers.errors import SpecError
from trainers.models import catalogue
from trainers.protocol import UNKNOWN_CLASSES, Family, Trainer
from trainers.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.datasets.images import Images

METRICS = {
    "top1": "share of test images whose most probable class is the true one",
    "test_nll": "mean of -ln p(true class) on test images, nats",
    "sampled_accuracy": "mean of p(true class) on test images: the accuracy of one draw",
    "channel_inverted_nll": "NLL after the noise channel is inverted, nats; null where it is ill-conditioned",
    "inversion_boundary_share": "share of test images whose inverted prediction lies on the simplex's boundary",
    "train_loss": "mean of -ln p(noisy target) in training since the last evaluation, nats (split train)",
}


def build(
    spec: TrialSpec, data: Images, device: str = "cpu", needs: Mapping[str, Mapping[str, Path]] | None = None
) -> Trainer:
    """A trainer on ``cpu`` or ``cuda``; a classifier needs no other trial.

    Raises:
        SpecError: the specification is of another family, or does not fit the data or the device.
    """
    from trainers.classifier.trainer import ClassifierTrainer

    if not isinstance(spec, ClassifierSpec):
        raise SpecError(f"a classifier is built from a ClassifierSpec; this is a {type(spec).__name__}")
    if needs:
        raise SpecError(f"a classifier needs no other trial; roles {', '.join(needs)} were given. Remove 'needs'.")
    return ClassifierTrainer(spec, data, device)


def count_parameters(spec: TrialSpec) -> int:
    """Parameters that receive a gradient, from the data set's shape; the data itself is not read.

    Raises:
        SpecError: no such model or data set, or they do not fit.
    """
    data = registry.dataset(spec.dataset)
    return catalogue.count_parameters(spec.model, data.shape, spec.classes_of(data.classes))


def check(spec: TrialSpec) -> None:
    """Raises:
    SpecError: model, augmentation or subset do not fit the data set's images.
    """
    data = registry.dataset(spec.dataset)
    if data.classes == UNKNOWN_CLASSES:  # the run will tell, once the data is there
        return
    shape = data.shape
    catalogue.check(spec.model, shape)
    check_subset(cast(ClassifierSpec, spec).subset, data.classes, data.train_size)
    augment = cast(ClassifierSpec, spec).augment
    if augment != "none" and min(shape[1:]) < 8:
        raise SpecError(
            f"augment {augment!r} shifts by an eighth of the side, which is no whole pixel of "
            f"{shape[1]}x{shape[2]} images; 8x8 is the least. Set augment to 'none'."
        )


FAMILY = Family(
    name="classifier",
    about="images to classes, noise on the training labels (paper, section 3.5)",
    spec=ClassifierSpec,
    models=catalogue.MODELS,
    data_kind="images",
    build=build,
    count_parameters=count_parameters,
    sources=("trainers.classifier.trainer",),
    metrics=METRICS,
    check=check,
    materials=frozenset({"frequencies"}),
)
