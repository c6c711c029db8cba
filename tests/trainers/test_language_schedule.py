"""The schedule of language models against numbers worked out by hand (protocols 2)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from trainers.language.schedule import learning_rate
from trainers.language.spec import LanguageSpec

#: 2,000 iterations of 480 sequences of 1,024 tokens.
WARMUP = 2000 * 480 * 1024


def paper(multiplier: int, reading: str, steps: int = 600_000, **changes: Any) -> LanguageSpec:
    """The paper's language model, 480 sequences a step times a multiplier."""
    fields: dict[str, Any] = {
        "family": "language",
        "model": "gpt2",
        "dataset": "openwebtext",
        "context": 1024,
        "reading": reading,
        "batch": {"size": 480, "multiplier": multiplier},
        "budget": {"samples": steps * 480 * multiplier, "rule": "fixed"},
        "schedule": {"warmup_tokens": WARMUP},
    }
    return LanguageSpec.model_validate({**fields, **changes})


@pytest.mark.parametrize("multiplier", [1, 12])
def test_the_papers_warmup_is_2000_steps_at_any_batch(multiplier: int) -> None:
    spec = paper(multiplier, "paper", steps=50_000)
    batch = spec.batch.total
    assert learning_rate(spec, 0) == pytest.approx(6e-4 / 2000)
    assert learning_rate(spec, 999 * batch) == pytest.approx(3e-4)
    assert learning_rate(spec, 1998 * batch) == pytest.approx(6e-4 * 1999 / 2000)
    assert learning_rate(spec, 1999 * batch) == learning_rate(spec, 2000 * batch) == pytest.approx(6e-4)
    assert learning_rate(spec, 2001 * batch) < 6e-4


def test_the_corrected_warmup_is_a_number_of_tokens() -> None:
    """983,040,000 tokens are 2,000 steps of 480 sequences and 166 2/3 of 5,760."""
    one, twelve = paper(1, "corrected", steps=50_000), paper(12, "corrected", steps=50_000)
    assert learning_rate(one, 999 * 480) == pytest.approx(3e-4)
    assert learning_rate(twelve, 82 * 5760) == pytest.approx(6e-4 * 83 * 12 / 2000)
    assert learning_rate(twelve, 166 * 5760) == pytest.approx(6e-4)
    assert learning_rate(twelve, 167 * 5760) < 6e-4
    for position in (999 * 5760, 480 * 1000):
        assert learning_rate(paper(1, "paper", 50_000), position) == learning_rate(one, position)


@pytest.mark.parametrize("reading", ["paper", "corrected"])
def test_the_cosine_ends_at_a_tenth_with_the_budget(reading: str) -> None:
    spec = paper(1, reading)
    middle = (2000 + 600_000) // 2
    assert learning_rate(spec, middle * 480) == pytest.approx((6e-4 + 6e-5) / 2)
    assert learning_rate(spec, 600_000 * 480) == pytest.approx(6e-5)
    quarter = 6e-5 + 5.4e-4 * 0.5 * (1 + math.cos(math.pi / 4))
    assert learning_rate(spec, (2000 + 149_500) * 480) == pytest.approx(quarter)
    rates = [learning_rate(spec, step * 480) for step in range(2000, 600_000, 1000)]
    assert rates == sorted(rates, reverse=True)


def test_the_cosine_is_over_the_trials_own_budget() -> None:
    """At r = 1 under the scaled rule twice as many sequences, and the rate still ends at a tenth."""
    spec = paper(1, "paper", steps=4000, noise={"ratio": 1}, budget={"samples": 4000 * 480, "rule": "scaled"})
    assert spec.samples == 8000 * 480
    assert learning_rate(spec, 8000 * 480) == pytest.approx(6e-5)
    assert learning_rate(spec, 5000 * 480) == pytest.approx((6e-4 + 6e-5) / 2)


@pytest.mark.parametrize(("rule", "factor"), [("constant", 1), ("sqrt", 3.4641016), ("linear", 12)])
def test_the_batch_rule_moves_the_whole_curve(rule: str, factor: float) -> None:
    spec = paper(12, "paper", steps=50_000, optimiser={"batch_rule": rule})
    assert learning_rate(spec, 1999 * 5760) == pytest.approx(6e-4 * factor)
    assert learning_rate(spec, 50_000 * 5760) == pytest.approx(6e-5 * factor)


def test_constant_stays_at_the_peak_after_the_warmup() -> None:
    spec = paper(1, "paper", steps=4000, schedule={"name": "constant", "warmup_tokens": WARMUP})
    assert learning_rate(spec, 999 * 480) == pytest.approx(3e-4)
    assert learning_rate(spec, 3999 * 480) == 6e-4


def test_without_a_warmup_it_begins_at_the_peak() -> None:
    assert learning_rate(paper(1, "paper", steps=4000, schedule={}), 0) == 6e-4


def test_fields_that_cannot_be_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValidationError, match=r"warm-up must be shorter"):
        paper(12, "paper", steps=2000)
    with pytest.raises(ValidationError, match=r"no multiple of the batch, 480 .*nearest is 960"):
        paper(1, "paper", evaluation={"every_samples": 1000})
    with pytest.raises(ValidationError, match=r"0\.72 after optimiser|at most 1 is allowed"):
        paper(12, "paper", 4000, optimiser={"learning_rate": 0.6, "batch_rule": "linear"})
