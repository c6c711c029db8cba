"""The suite that any data set of kind ``images`` must pass.

Subclass :class:`ImagesContract` in a test module of your own, name it ``Test...`` and give the fixture ``dataset``;
give ``root`` too where the data lies in a folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from trainers.datasets.images import Images, pixels
from trainers.errors import DataMissingError
from trainers.protocol import Dataset


class ImagesContract:
    """What the record says is what is loaded; the content is fixed, whole and read-only."""

    @pytest.fixture
    def dataset(self) -> Dataset:
        raise NotImplementedError("give a fixture `dataset` that returns the Dataset to test")

    @pytest.fixture
    def root(self) -> Path | None:
        """Where the data lies; None for data that a package carries."""
        return None

    @pytest.fixture
    def images(self, dataset: Dataset, root: Path | None) -> Images:
        return cast(Images, dataset.load(root))

    def test_record_is_filled_in(self, dataset: Dataset) -> None:
        allowed = r"([a-z][a-z0-9_-]*/)?[a-z0-9][a-z0-9_-]*"
        assert re.fullmatch(allowed, dataset.name), f"{dataset.name!r}: lower case, digits, _ and - are allowed"
        assert re.fullmatch(r"[A-Za-z0-9._-]+", dataset.version), f"{dataset.version!r} stands in the trial's id"
        assert dataset.kind == "images"
        assert len(dataset.shape) == 3
        for text in (dataset.about, dataset.obtain, dataset.source):
            assert text.strip()

    def test_present_where_it_lies(self, dataset: Dataset, root: Path | None) -> None:
        assert dataset.present(root), f"{dataset.name} is not on this machine: {dataset.obtain}"

    def test_what_is_not_present_is_missing_by_name(self, dataset: Dataset, tmp_path: Path) -> None:
        """Data that a package carries ignores the folder, and is there in an empty one too."""
        if dataset.present(tmp_path):
            assert isinstance(dataset.load(tmp_path), Images)
        else:
            for read in (dataset.load, dataset.digest):
                with pytest.raises(DataMissingError, match=re.escape(dataset.name)):
                    read(tmp_path)

    def test_sizes_are_those_of_the_record(self, dataset: Dataset, images: Images) -> None:
        assert images.classes == dataset.classes
        assert images.train_images.shape == (dataset.train_size, *dataset.shape)
        assert images.test_images.shape == (dataset.test_size, *dataset.shape)
        assert images.train_labels.shape == (dataset.train_size,)
        assert images.test_labels.shape == (dataset.test_size,)

    def test_images_are_shades_from_0_to_1(self, images: Images) -> None:
        """As float32, or as bytes, of which 255 is 1."""
        for part in (images.train_images, images.test_images):
            assert part.dtype in (np.float32, np.uint8), f"{part.dtype}: float32 in [0, 1] and uint8 are allowed"
            if part.dtype == np.uint8:
                assert part.max() > 1, "the brightest byte is 1: bytes go from 0 to 255"
                part = pixels(part)
            assert np.isfinite(part).all()
            assert part.min() >= 0
            assert part.max() <= 1
            assert part.std() > 0, "every pixel is the same"

    def test_labels_are_classes_and_each_occurs(self, dataset: Dataset, images: Images) -> None:
        for labels in (images.train_labels, images.test_labels):
            assert labels.dtype == np.int64
            np.testing.assert_array_equal(np.unique(labels), np.arange(dataset.classes))

    def test_arrays_are_read_only(self, images: Images) -> None:
        for array in images.arrays():
            with pytest.raises(ValueError, match="read-only"):
                array[:1] = 0

    def test_split_does_not_follow_global_random_state(self, dataset: Dataset, root: Path | None) -> None:
        held = np.random.get_state()
        try:
            np.random.seed(3)
            once = [array.copy() for array in dataset.load(root).arrays()]
            np.random.seed(4)
            again = dataset.load(root).arrays()
        finally:
            np.random.set_state(held)
        for first, second in zip(once, again, strict=True):
            np.testing.assert_array_equal(first, second)

    def test_digest_is_a_sha256_and_stays(self, dataset: Dataset, root: Path | None) -> None:
        digest = dataset.digest(root)
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
        assert dataset.digest(root) == digest
