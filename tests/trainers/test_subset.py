"""A part of a data set of images: which images it takes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.datasets import digits
from trainers.datasets.images import Images
from trainers.datasets.subset import SubsetSpec, check, part
from trainers.errors import SpecError
from trainers.protocol import UNKNOWN_CLASSES

CLASSES, TRAIN, TEST = 5, 120, 40


def marked(seed: int) -> Images:
    """Images whose one pixel tells which one it is; every class occurs in both parts."""
    rng = np.random.default_rng(seed)

    def labels(size: int) -> Any:
        return rng.permutation(np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, size - CLASSES)]))

    train, test = (np.arange(size, dtype=np.uint8).reshape(-1, 1, 1, 1) for size in (TRAIN, TEST))
    return Images(train, labels(TRAIN), test, labels(TEST), CLASSES)


def train_of(found: Images) -> list[int]:
    return [int(mark) for mark in found.train_images.reshape(-1)]


@given(st.integers(0, 50), st.integers(2, CLASSES), st.data())
def test_any_part_is_the_first_images_of_the_first_classes(seed: int, classes: int, data: st.DataObject) -> None:
    whole = marked(seed)
    least = int(np.bincount(whole.train_labels, minlength=CLASSES)[:classes].min())
    images = data.draw(st.one_of(st.none(), st.integers(classes, max(classes, least * classes))))
    found = part(whole, SubsetSpec(classes=classes, images=images))
    taken = train_of(found)
    assert found.classes == classes
    np.testing.assert_array_equal(whole.train_labels[taken], found.train_labels)
    assert taken == sorted(taken)  # in the data set's own order
    for label in range(classes):
        of_class = [mark for mark in taken if whole.train_labels[mark] == label]
        everyone = np.flatnonzero(whole.train_labels == label).tolist()
        share = len(everyone) if images is None else images // classes + (label < images % classes)
        assert of_class == everyone[:share]
    held = np.flatnonzero(whole.test_labels < classes)
    np.testing.assert_array_equal(found.test_images.reshape(-1), held)
    np.testing.assert_array_equal(found.test_labels, whole.test_labels[held])


@given(st.integers(0, 50), st.integers(2, CLASSES))
def test_smaller_parts_lie_within_larger_ones(seed: int, classes: int) -> None:
    whole = marked(seed)
    least = int(np.bincount(whole.train_labels, minlength=CLASSES)[:classes].min())
    before: set[int] = set()
    for images in range(classes, least * classes + 1):
        taken = set(train_of(part(whole, SubsetSpec(classes=classes, images=images))))
        assert before < taken
        before = taken


@pytest.mark.parametrize("asked", [SubsetSpec(), SubsetSpec(classes=10), SubsetSpec(classes=10, images=None)])
def test_where_nothing_is_left_out_the_data_itself_comes_back(asked: SubsetSpec) -> None:
    loaded = digits.CARRIED.load()
    assert part(loaded, asked) is loaded


def test_all_images_of_even_classes_are_the_data_itself() -> None:
    labels = np.tile(np.arange(2), 4)
    pixels = np.zeros((8, 1, 2, 2), dtype=np.uint8)
    whole = Images(pixels, labels, pixels.copy(), labels.copy(), 2)
    assert part(whole, SubsetSpec(images=8)) is whole
    assert len(part(whole, SubsetSpec(images=7)).train_labels) == 7


def test_what_a_part_holds_is_read_only_and_of_the_same_kind() -> None:
    for whole in (digits.CARRIED.load(), marked(0)):
        found = part(whole, SubsetSpec(classes=3, images=6))
        assert found.train_images.dtype == whole.train_images.dtype
        for array in found.arrays():
            assert not array.flags.writeable


@pytest.mark.parametrize(
    ("asked", "fragments"),
    [
        (SubsetSpec(classes=11), ["subset.classes", "11", "has 10", "from 2 to 10"]),
        (SubsetSpec(images=1438), ["subset.images", "1438", "1437"]),
        (SubsetSpec(images=9), ["subset.images", "9", "10 classes", "10 or more"]),
        (SubsetSpec(classes=3, images=2), ["subset.images", "2", "3 classes"]),
    ],
)
def test_what_a_data_set_does_not_have_is_refused(asked: SubsetSpec, fragments: list[str]) -> None:
    for refuse in (lambda: check(asked, 10, 1437), lambda: part(digits.CARRIED.load(), asked)):
        with pytest.raises(SpecError) as refusal:
            refuse()
        for fragment in fragments:
            assert fragment in str(refusal.value)


def test_a_class_that_is_short_is_named_with_what_can_be_had() -> None:
    counts = np.bincount(digits.CARRIED.load().train_labels)
    least = int(counts.min())
    asked = SubsetSpec(images=least * 10 + 10)
    check(asked, 10, 1437)
    with pytest.raises(SpecError, match=rf"of class \d, which has {least}; give at most {least * 10}"):
        part(digits.CARRIED.load(), asked)
    assert len(part(digits.CARRIED.load(), SubsetSpec(images=least * 10)).train_labels) == least * 10


def test_of_data_that_is_not_there_nothing_is_refused() -> None:
    check(SubsetSpec(classes=1000, images=10**9), UNKNOWN_CLASSES, None)
    with pytest.raises(SpecError, match="1000 classes"):
        check(SubsetSpec(classes=1000, images=999), UNKNOWN_CLASSES, None)
