"""The paper's diffusion grid against the table of its runs (protocols, sections 1 and 3), to the digit."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.space import load_space
from trainers.diffusion.spec import DiffusionSpec

GRIDS = Path(__file__).parents[2] / "search_spaces"
EPOCH = 390 * 128  # images: the last part-batch of 50,000 is dropped

#: r -> epochs, optimiser steps, error rate.
RUNS = {
    "0": (1200, 468_000, "0"),
    "1/10": (1320, 514_800, "1/11"),
    "3/10": (1560, 608_400, "3/13"),
    "1/2": (1800, 702_000, "1/3"),
    "1": (2400, 936_000, "1/2"),
}


def specs(group: str) -> list[DiffusionSpec]:
    found = []
    for trial in load_space(GRIDS / "paper" / "diffusion.yaml").trials:
        if trial.group == group:
            assert isinstance(trial.spec, DiffusionSpec)
            found.append(trial.spec)
    return found


def test_epochs_and_steps_are_those_of_the_paper() -> None:
    for dataset in ("cifar10", "cifar100"):
        of = [spec for spec in specs("as_code") if spec.dataset == dataset]
        found = {str(s.noise.ratio): (s.samples / EPOCH, s.steps, str(s.noise.rate)) for s in of}
        assert found == RUNS


def test_the_code_reads_as_the_code_does() -> None:
    for spec in specs("as_code"):
        assert (spec.reading, spec.batch.total, spec.averaging.decay) == ("paper", 128, 0.9999)
        assert spec.schedule.warmup_samples == 200 * EPOCH
        assert spec.optimiser.learning_rate == pytest.approx(8 * 1e-4)
        assert (spec.dropout, spec.flip, spec.label_dropout, spec.sampling.guidance) == (0.13, True, 0, 1)
        assert (spec.levels.mean, spec.levels.deviation, spec.levels.data) == (-1.2, 1.2, 0.5)
        assert (spec.sampling.images, spec.sampling.steps) == (50_000, 18)
        assert set(spec.needs) == {"judge", "second_judge"}


def test_corrected_cells_see_every_image_and_have_twins() -> None:
    cells = specs("corrected")
    assert {spec.reading for spec in cells} == {"corrected"}
    assert {spec.averaging.decay for spec in cells} == {None}
    assert {spec.samples for spec in cells if not spec.noise.ratio} == {1200 * 50_000}
    lengths = {spec.samples for spec in cells if spec.noise.ratio}
    assert {spec.samples for spec in specs("twins")} == lengths
    assert {spec.seed for spec in cells} == {0, 1, 2}


def test_each_cell_is_judged_by_a_classifier_of_its_own_data() -> None:
    trials = {trial.id: trial for trial in load_space(GRIDS / "paper" / "diffusion.yaml").trials}
    for trial in trials.values():
        for need in trial.spec.needs.values():
            judge = trials[need].spec
            assert (judge.family, judge.model, judge.dataset) == ("classifier", "resnet18", trial.spec.dataset)
            assert not judge.noise.ratio
