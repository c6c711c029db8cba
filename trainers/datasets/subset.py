"""A part of a data set of images: its first classes, and so many training images of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from trainers.errors import SpecError
from trainers.protocol import UNKNOWN_CLASSES
from trainers.spec import MAX_SAMPLES, Fields

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from trainers.datasets.images import Images, Pixels


class SubsetSpec(Fields):
    """``classes``: the first so many, in the order of their numbers, for training and test; None for all.

    ``images``: so many training images of these classes, as many of each as of any other (one more of the first ones
    where that does not come out even), those that come first in the data set's own order; None for all. Smaller subsets
    are parts of larger ones.
    """

    classes: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] | None = None
    images: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] | None = None


def check(subset: SubsetSpec, classes: int, train_size: int | None) -> None:
    """Whether a data set of ``classes`` and ``train_size`` images (0 and None: not known) has such a part.

    Raises:
        SpecError: it has fewer classes or images, or an image a class is more than ``images`` gives.
    """
    if subset.classes is not None and classes != UNKNOWN_CLASSES and subset.classes > classes:
        raise SpecError(
            f"subset.classes is {subset.classes}, and the data set has {classes}; give from 2 to {classes}, or leave "
            "it out for all"
        )
    if subset.images is None:
        return
    if train_size is not None and subset.images > train_size:
        raise SpecError(
            f"subset.images is {subset.images}, and the data set has {train_size} training images; give at most so "
            "many, or leave it out for all"
        )
    taken = subset.classes or classes
    if subset.images < taken:
        raise SpecError(
            f"subset.images is {subset.images}, which is not one for each of {taken} classes; give {taken} or more, or "
            "fewer subset.classes"
        )


def part(images: Images, subset: SubsetSpec) -> Images:
    """That part of the data; the data itself where nothing is left out. What it takes of a map is copied.

    Raises:
        SpecError: as :func:`check`, or a class has fewer images than its share.
    """
    import numpy as np

    from trainers.datasets.images import Images

    check(subset, images.classes, len(images.train_labels))
    classes = subset.classes or images.classes
    if classes == images.classes and subset.images is None:
        return images
    train = np.flatnonzero(images.train_labels < classes)
    if subset.images is not None:
        train = train[_first(images.train_labels[train], subset.images, classes)]
    test = np.flatnonzero(images.test_labels < classes)
    if len(train) == len(images.train_labels) and len(test) == len(images.test_labels):
        return images
    return Images(
        _gathered(images.train_images, train),
        images.train_labels[train],
        _gathered(images.test_images, test),
        images.test_labels[test],
        classes,
    )


def _gathered(images: Pixels, places: npt.NDArray[np.int64]) -> Pixels:
    gathered: Pixels = images[places]
    return gathered


def _first(labels: npt.NDArray[np.int64], images: int, classes: int) -> npt.NDArray[np.int64]:
    """Where the first ``images`` of ``labels`` stand, equally many a class, in the order of ``labels``."""
    import numpy as np

    least, more = divmod(images, classes)
    places = []
    for label in range(classes):
        share = least + (label < more)
        found = np.flatnonzero(labels == label)
        if len(found) < share:
            raise SpecError(
                f"subset.images is {images}, so {share} of class {label}, which has {len(found)}; give at most "
                f"{int(np.bincount(labels, minlength=classes).min()) * classes}"
            )
        places.append(found[:share])
    return np.sort(np.concatenate(places))
