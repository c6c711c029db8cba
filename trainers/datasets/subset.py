"""A part of a data set of images: its first classes, and so many training images of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from trainers.spec import MAX_SAMPLES, Fields

if TYPE_CHECKING:
    from trainers.datasets.images import Images


class SubsetSpec(Fields):
    """``classes``: the first so many, in the order of their numbers, for training and test; None for all.

    ``images``: so many training images of these classes, as many of each as of any other (one more of the first ones
    where that does not come out even), those that come first in the data set's own order; None for all. Smaller subsets
    are parts of larger ones.
    """

    classes: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] | None = None
    images: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] | None = None


def check(subset: SubsetSpec, classes: int, train_size: int | None) -> None:
    """Whether a data set of ``classes`` and ``train_size`` images (None: not known) has such a part.

    Raises:
        SpecError: it has fewer classes or images, or an image a class is more than ``images`` gives.
    """
    raise NotImplementedError


def part(images: Images, subset: SubsetSpec) -> Images:
    """That part of the data; the data itself where nothing is left out.

    Raises:
        SpecError: as :func:`check`, or a class has fewer images than its share.
    """
    raise NotImplementedError
