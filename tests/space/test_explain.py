"""The key that was meant."""

from __future__ import annotations

import pytest

from sweep.space.explain import nearest

FIELDS = (
    *("batch.size", "budget.rule", "budget.samples", "evaluation.every_samples", "model", "noise.law", "noise.ratio"),
    *("optimiser.clip", "optimiser.learning_rate", "optimiser.name", "schedule.name", "schedule.warmup_tokens"),
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("optimiser.warmup", "schedule.warmup_tokens"),
        ("optimiser.warmup_tokens", "schedule.warmup_tokens"),
        ("optimizer.learning_rate", "optimiser.learning_rate"),
        ("noise.ration", "noise.ratio"),
        ("schedule.nam", "schedule.name"),
        ("optimiser.nam", "optimiser.name"),
        ("budget.sample", "budget.samples"),
        ("ratio", "noise.ratio"),
        ("modle", "model"),
    ],
)
def test_the_key_that_was_meant(given: str, meant: str) -> None:
    assert nearest(given, FIELDS).startswith(f" (did you mean {meant!r}?). Allowed: batch.size, ")


def test_what_is_like_nothing_has_no_hint() -> None:
    assert nearest("xyzzy.qqqq", FIELDS).startswith(". Allowed: ")


def test_where_nothing_is_allowed_nothing_is_listed() -> None:
    assert nearest("micro_batch", ()) == ""
