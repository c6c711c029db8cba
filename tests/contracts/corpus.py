"""The suite that any data set of kind ``text`` must pass.

Subclass :class:`TextContract` in a test module of your own, name it ``Test...`` and give the fixture ``dataset``;
give ``root`` too where the data lies in a folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from trainers.datasets.text.corpus import Corpus
from trainers.errors import DataMissingError
from trainers.protocol import Dataset

MAX_UINT16 = 65_536


class TextContract:
    """What the record says is what is loaded; tokens are ids of the vocabulary, mapped from files, and read back."""

    @pytest.fixture
    def dataset(self) -> Dataset:
        raise NotImplementedError("give a fixture `dataset` that returns the Dataset to test")

    @pytest.fixture
    def root(self) -> Path | None:
        """Where the data lies; None for data that a package carries."""
        return None

    @pytest.fixture
    def corpus(self, dataset: Dataset, root: Path | None) -> Corpus:
        return cast(Corpus, dataset.load(root))

    def test_record_is_filled_in(self, dataset: Dataset) -> None:
        allowed = r"([a-z][a-z0-9_-]*/)?[a-z0-9][a-z0-9_-]*"
        assert re.fullmatch(allowed, dataset.name), f"{dataset.name!r}: lower case, digits, _ and - are allowed"
        assert re.fullmatch(r"[A-Za-z0-9._-]+", dataset.version), f"{dataset.version!r} stands in the trial's id"
        assert dataset.kind == "text"
        assert dataset.shape == ()
        for text in (dataset.about, dataset.obtain, dataset.source):
            assert text.strip()

    def test_present_where_it_lies(self, dataset: Dataset, root: Path | None) -> None:
        assert dataset.present(root), f"{dataset.name} is not on this machine: {dataset.obtain}"

    def test_what_is_not_present_is_missing_by_name(self, dataset: Dataset, tmp_path: Path) -> None:
        """Data that a package carries ignores the folder, and is there in an empty one too."""
        if dataset.present(tmp_path / "empty"):
            assert isinstance(dataset.load(tmp_path / "empty"), Corpus)
        else:
            for read in (dataset.load, dataset.digest):
                with pytest.raises(DataMissingError, match=re.escape(dataset.name)):
                    read(tmp_path / "empty")

    def test_sizes_are_those_of_the_record(self, dataset: Dataset, corpus: Corpus) -> None:
        assert corpus.name == dataset.name
        assert corpus.vocabulary == dataset.classes
        assert dataset.train_size in (None, len(corpus.train))
        assert dataset.test_size in (None, len(corpus.validation))

    def test_tokens_are_ids_of_the_vocabulary_in_the_smallest_type(self, corpus: Corpus) -> None:
        due = np.uint16 if corpus.vocabulary <= MAX_UINT16 else np.uint32
        for part in (corpus.train, corpus.validation):
            assert part.dtype == due
            assert part.ndim == 1
            assert len(part) > 0
            assert int(part.max()) < corpus.vocabulary

    def test_tokens_are_mapped_from_a_file_and_read_only(self, corpus: Corpus) -> None:
        for part in (corpus.train, corpus.validation):
            assert isinstance(part, np.memmap), "an array in memory is not shared by the trials of a machine"
            with pytest.raises(ValueError, match="read-only"):
                part[:1] = 0

    def test_frequencies_count_the_training_tokens(self, corpus: Corpus) -> None:
        assert corpus.frequencies.dtype == np.int64
        np.testing.assert_array_equal(corpus.frequencies, np.bincount(corpus.train, minlength=corpus.vocabulary))

    def test_tokenizer_gives_a_text_back(self, corpus: Corpus) -> None:
        text = corpus.tokenizer.decode(corpus.validation[:200].tolist())
        assert text.strip(), "validation decodes to nothing"
        again = corpus.tokenizer.encode(text)
        assert max(again) < corpus.vocabulary
        assert corpus.tokenizer.decode(again) == text

    def test_tokenizer_is_named_by_a_sha256(self, corpus: Corpus) -> None:
        assert re.fullmatch(r"[0-9a-f]{64}", corpus.tokenizer_sha256)

    def test_loaded_again_it_is_the_same(self, dataset: Dataset, root: Path | None, corpus: Corpus) -> None:
        again = cast(Corpus, dataset.load(root))
        np.testing.assert_array_equal(again.train, corpus.train)
        np.testing.assert_array_equal(again.validation, corpus.validation)

    def test_digest_is_a_sha256_and_stays(self, dataset: Dataset, root: Path | None) -> None:
        digest = dataset.digest(root)
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
        assert dataset.digest(root) == digest
