"""Windows of a corpus: every one once an epoch, random crops, and the same validation targets at every context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.corpus import make_corpus
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import SpecError
from trainers.language import windows
from trainers.language.laws import material_of
from trainers.language.noise import corruption
from trainers.language.source import AHEAD, Source
from trainers.language.spec import LanguageSpec


def spec_of(**changes: Any) -> LanguageSpec:
    fields: dict[str, Any] = {
        "family": "language",
        "model": "gpt2_tiny",
        "dataset": "python-docs",
        "context": 16,
        "batch": {"size": 4},
        "budget": {"samples": 40},
        "noise": {"ratio": 1},
    }
    return LanguageSpec.model_validate({**fields, **changes})


@given(size=st.integers(17, 3000), context=st.integers(1, 16), seed=st.integers(0, 2**32 - 1))
def test_an_epoch_has_every_window_once(size: int, context: int, seed: int) -> None:
    spec = spec_of(seed=seed, context=context)
    count = (size - 1) // context
    for epoch in (0, 3):
        starts = windows.training_starts(spec, context, size, epoch * count, count)
        assert sorted(starts) == list(range(0, count * context, context))
        assert starts.max() + context + 1 <= size, "the last target lies outside of the text"


@given(size=st.integers(17, 3000), context=st.integers(1, 16), start=st.integers(0, 2**40), seed=st.integers(0, 9))
def test_crops_lie_in_the_text_and_follow_from_the_position(size: int, context: int, start: int, seed: int) -> None:
    spec = spec_of(reading="paper", seed=seed)
    starts = windows.training_starts(spec, context, size, start, 20)
    assert starts.min() >= 0
    assert starts.max() + context + 1 <= size
    again = windows.training_starts(spec, context, size, start + 7, 5)
    assert list(starts[7:12]) == list(again)


def test_crops_come_from_every_place_alike() -> None:
    """20,000 crops over 10 places: 2,000 each, with a deviation of 42."""
    starts = windows.training_starts(spec_of(reading="paper"), 16, 26, 0, 20_000)
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10
    assert abs(counts - 2000).max() < 5 * 42.4


@given(size=st.integers(1026, 9000))
def test_the_same_targets_at_every_context_that_divides_1024(size: int) -> None:
    spans = set()
    for context in (16, 64, 256, 1024):
        starts = windows.validation_starts(context, size)
        targets = (starts[:, None] + np.arange(1, context + 1)).ravel()
        assert list(targets) == list(range(1, len(targets) + 1)), "each target once, in the order of the text"
        spans.add(len(targets))
    assert len(spans) == 1
    assert 0 < (count := spans.pop()) <= size - 1 < count + 1024


@pytest.mark.parametrize(
    ("context", "size", "targets"), [(48, 5000, 4992), (64, 1024, 960), (64, 1025, 1024), (5, 7, 5)]
)
def test_other_lengths_are_measured_on_whole_windows(context: int, size: int, targets: int) -> None:
    assert len(windows.validation_starts(context, size)) * context == targets


@pytest.mark.parametrize("vocabulary", [300, 70_000])
def test_windows_are_read_from_the_map(tmp_path: Path, vocabulary: int) -> None:
    tokens = make_corpus(tmp_path, vocabulary=vocabulary, train=500, validation=50).train
    assert tokens.dtype == (np.uint16 if vocabulary == 300 else np.uint32)
    starts = np.array([0, 489, 7, 7])
    found = windows.gather(tokens, starts, 10)
    assert found.dtype == np.int64
    assert found.tolist() == [tokens[start : start + 11].tolist() for start in starts]


def test_a_text_without_one_window_is_refused() -> None:
    windows.check_length(np.zeros(17, np.uint16), 16, "training")
    with pytest.raises(SpecError, match=r"context is 16.*validation split has 16 tokens; at least 17"):
        windows.check_length(np.zeros(16, np.uint16), 16, "validation")


@pytest.mark.parametrize("batch", [4, AHEAD // 16 + 5])
def test_what_is_read_ahead_changes_nothing(tmp_path: Path, batch: int) -> None:
    """Steps smaller and larger than a block: each sequence is that of its position, with its noise."""
    corpus = make_corpus(tmp_path, train=3000)
    samples = 4 * batch + 3 if batch == 4 else batch + 3
    spec = spec_of(batch={"size": batch}, budget={"samples": samples, "rule": "fixed"})
    assert material_of(spec) is None
    noise = corruption(spec, corpus, {}, torch.device("cpu"))
    source = Source(spec, corpus.train, noise, 3, torch.device("cpu"))
    position, seen = 0, []
    while position < spec.samples:
        block = source.block(position)
        assert block.first == position
        assert source.reach(position) > position
        seen.append(block)
        position = block.last
    assert position == spec.samples
    starts = source.starts(0, samples)
    whole = noise.apply(windows.gather(corpus.train, starts, 16), starts, 0)
    assert torch.equal(torch.cat([block.inputs for block in seen]), torch.from_numpy(whole.inputs))
    assert torch.equal(torch.cat([block.targets for block in seen]), torch.from_numpy(whole.targets))
    wrong = (whole.targets != whole.truth).sum(axis=1)
    assert np.concatenate([block.wrong for block in seen]).tolist() == wrong.tolist()
    assert wrong.sum() > 0
    last = source.block(samples - 1)
    assert last.first <= samples - 1 < last.last
    assert source.block(samples - 2 if samples - 2 >= last.first else samples - 1) is last
