"""Class-conditional diffusion: images from labels, noise on the labels (paper, section 3.4). Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainers import registry
from trainers.datasets.subset import check as check_subset
from trainers.diffusion import inception, roles
from trainers.diffusion.artifact import check_channels
from trainers.diffusion.schedule import check_epoch
from trainers.diffusion.spec import DiffusionSpec
from trainers.errors import SpecError
from trainers.models import diffusion
from trainers.protocol import UNKNOWN_CLASSES, Family, Trainer
from trainers.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.datasets.images import Images

METRICS = {
    "consistency": "share of generated images that the judge takes for the label they were asked for",
    "consistency_relative": "consistency over the judge's own accuracy on real test images",
    "judge_accuracy": "share of real test images that the judge takes for their class",
    "second_consistency": "consistency by the second judge",
    "second_judge_accuracy": "accuracy of the second judge on real test images",
    "judges_agree": "share of generated images that both judges take for the same class",
    "channel_inverted_consistency": "consistency after the noise channel is inverted; null where it is ill-conditioned",
    "frechet_distance": "Frechet distance of generated to training images, over the judge's features",
    "frechet_distance_real": "Frechet distance of real test images to training images, over the judge's features",
    "frechet_distance_by_class": "mean over classes of the Frechet distance within a class, over the judge's features",
    "kernel_distance": "kernel distance of generated to training images, over the judge's features",
    "fid": "Frechet distance over Inception-v3's features; null without its weights",
    "kid": "kernel distance over Inception-v3's features; null without its weights",
    "neighbour_distance": "mean root-mean-square pixel difference of a generated image to the nearest training image",
    "neighbour_distance_real": "the same of real test images",
    "memorised_share": "share of generated images nearer to a training image than 1 % of real test images are",
    "top1": "share of test images under whose true label the denoising loss is smallest",
    "test_nll": "mean of -ln p(true label) by denoising loss on test images, nats",
    "sampled_accuracy": "mean of p(true label) by denoising loss on test images: the accuracy of one draw",
    "channel_inverted_nll": "NLL after the noise channel is inverted, nats; null where it is ill-conditioned",
    "inversion_boundary_share": "share of test images whose inverted prediction lies on the simplex's boundary",
    "train_loss": "mean weighted denoising loss in training since the last evaluation (split train)",
}


def build(
    spec: TrialSpec,
    data: Images,
    device: str = "cpu",
    needs: Mapping[str, Mapping[str, Path]] | None = None,
    *,
    micro_batch: int | None = None,
    compile: bool = False,
) -> Trainer:
    """A trainer on ``cpu`` or ``cuda``.

    Args:
        needs: role -> artifact role -> file; ``judge`` and ``second_judge`` leave ``weights``.
        micro_batch: images a forward pass in training; a whole batch where None. The step's gradient is the same but
            for rounding.
        compile: train through ``torch.compile``, a tenth faster on a CPU once that is done; other last bits.

    Raises:
        SpecError: the specification is of another family, or does not fit the data, the device or what it needs.
        DataMissingError: Inception's weights are asked for and are not there.
    """
    from trainers.diffusion.trainer import DiffusionTrainer

    if not isinstance(spec, DiffusionSpec):
        raise SpecError(f"a diffusion model is built from a DiffusionSpec; this is a {type(spec).__name__}")
    return DiffusionTrainer(spec, data, device, needs or {}, micro_batch, compile)


def count_parameters(spec: TrialSpec) -> int:
    """Parameters that receive a gradient, from the data set's shape; the data itself is not read.

    Raises:
        SpecError: no such model or data set, or they do not fit.
    """
    own = cast(DiffusionSpec, spec)
    data = registry.dataset(own.dataset)
    classes = own.classes_of(data.classes)
    return diffusion.count_parameters(diffusion.network(own.model, data.shape, classes, own.dropout))


def check(spec: TrialSpec) -> None:
    """Raises:
    SpecError: the network does not fit the data set's images, or subset or batch ask for more than there is.
    """
    own = cast(DiffusionSpec, spec)
    data = registry.dataset(own.dataset)
    if data.classes == UNKNOWN_CLASSES:  # the run will tell, once the data is there
        return
    check_subset(own.subset, data.classes, data.train_size)
    diffusion.check(own.model, data.shape)
    check_channels(data.shape)
    size = own.subset.images or (None if own.subset.classes else data.train_size)
    if size is not None:  # of some classes alone the run will tell
        check_epoch(own, size)


def check_need(spec: TrialSpec, role: str, other: TrialSpec) -> None:
    """Raises:
    SpecError: the classifier ``other`` cannot judge what this trial draws.
    """
    roles.check_need(cast(DiffusionSpec, spec), role, other)


FAMILY = Family(
    name="diffusion",
    about="labels to images, noise on the training labels (paper, section 3.4)",
    spec=DiffusionSpec,
    models=diffusion.MODELS,
    data_kind="images",
    build=build,
    count_parameters=count_parameters,
    sources=("trainers.diffusion.trainer",),
    metrics=METRICS,
    check=check,
    check_need=check_need,
    options=frozenset({"micro_batch", "compile"}),
    materials=frozenset({"frequencies"}),
    absent=inception.absent,
)
