"""The paper's language grid against the table of its runs (protocols, section 2), to the digit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from sweep.space import load_space
from trainers.language.spec import LanguageSpec

GRIDS = Path(__file__).parents[2] / "search_spaces"

#: (group, r) -> iterations, sequences a step, tokens, error rate.
RUNS = {
    ("scaled", "0"): (600_000, 480, 294_912_000_000, "0"),
    ("scaled", "1/10"): (660_000, 480, 324_403_200_000, "1/11"),
    ("scaled", "3/10"): (390_000, 960, 383_385_600_000, "3/13"),
    ("scaled", "1/2"): (450_000, 960, 442_368_000_000, "1/3"),
    ("scaled", "1"): (100_000, 5760, 589_824_000_000, "1/2"),
    ("fixed", "1/10"): (600_000, 480, 294_912_000_000, "1/11"),
    ("fixed", "3/10"): (300_000, 960, 294_912_000_000, "3/13"),
    ("fixed", "1/2"): (300_000, 960, 294_912_000_000, "1/3"),
    ("fixed", "1"): (50_000, 5760, 294_912_000_000, "1/2"),
    ("rate_is_ratio", "1/9"): (600_000, 480, 294_912_000_000, "1/10"),
    ("rate_is_ratio", "3/7"): (300_000, 960, 294_912_000_000, "3/10"),
    ("fixed_6x", "1/2"): (300_000, 5760, 1_769_472_000_000, "1/3"),
}


def specs() -> dict[tuple[str, str], LanguageSpec]:
    found = {}
    for trial in load_space(GRIDS / "paper" / "language.yaml").trials:
        assert isinstance(trial.spec, LanguageSpec)
        found[trial.group, str(trial.spec.noise.ratio)] = trial.spec
    return found


def test_iterations_sequences_and_tokens_are_those_of_the_paper() -> None:
    found = {key: (spec.steps, spec.batch.total, spec.tokens, str(spec.noise.rate)) for key, spec in specs().items()}
    assert found == RUNS


def test_warm_up_is_2000_steps_at_every_multiplier() -> None:
    assert {spec.warmup_samples / spec.batch.total for spec in specs().values()} == {2000}


def test_evaluations_come_every_1000_steps_and_every_100_at_12x() -> None:
    for spec in specs().values():
        assert spec.evaluate_every is not None
        assert spec.evaluate_every / spec.batch.total == (100 if spec.batch.multiplier == 12 else 1000)


@pytest.mark.parametrize(("r", "published"), [("1/10", 0.090909), ("3/10", 0.230769), ("1/2", 0.333333)])
def test_rates_are_the_exact_ones_that_the_original_rounds(r: str, published: float) -> None:
    rate = specs()["scaled", r].noise.rate
    assert rate == Fraction(r) / (1 + Fraction(r))
    assert float(rate) == pytest.approx(published, abs=1e-6)
