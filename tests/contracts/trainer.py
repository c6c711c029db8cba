"""The suite that any trainer must pass (design 3.6).

Subclass :class:`TrainerContract` in a test module of your own, name it ``Test...`` and give the fixture ``case``: a
trial that is small (tens of batches, a second or two), noisy (ratio above 0), and whose budget is no whole number of
batches. pytest shows what differs if you register ``contracts.trainer`` for assertion rewriting.
"""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from contracts.states import damaged, differences, leaves, nested, plain, reloaded, same_tensor, tensors

from trainers.errors import DivergedError, StateError
from trainers.protocol import Family, Metric, Trainer
from trainers.spec import TrialSpec

SIGMAS = 5
#: What an artifact's first bytes must be, by the end of its name. JSON is parsed, safetensors' header is.
MAGIC = {".parquet": b"PAR1", ".png": b"\x89PNG\r\n\x1a\n", ".json": b"", ".safetensors": b""}


@dataclass(frozen=True)
class Case:
    """A trial to try a family with.

    ``fields`` are those of the specification, dotted (``batch.size``). ``diverging`` are changes under which the loss
    stops being finite within the budget; None where a family cannot diverge. ``examples(trainer, start, count)`` reads
    the order in which examples come; None where there is none to read. ``hits`` is the chance that a redrawn target
    is the truth after all (1/n for ``uniform_all``). ``learns`` is False for an analysis, whose weights never move
    and are in no state: what it has found out moves instead.
    """

    family: Family
    fields: Mapping[str, Any]
    data: Any
    device: str = "cpu"
    diverging: Mapping[str, Any] | None = None
    examples: Callable[[Any, int, int], Sequence[int]] | None = None
    hits: float = 0.0
    needs: Mapping[str, Any] = field(default_factory=dict)
    learns: bool = True

    def spec(self, changes: Mapping[str, Any] | None = None) -> TrialSpec:
        return self.family.spec.model_validate(nested({**self.fields, **(changes or {}), "family": self.family.name}))

    def build(self, changes: Mapping[str, Any] | None = None) -> Trainer:
        return self.family.build(self.spec(changes), self.data, self.device, self.needs)


class TrainerContract:
    """A trainer counts, repeats, resumes, measures without a trace, and refuses what is not its own."""

    #: Ratios at which the realised rate is held against e = r / (1 + r).
    ratios: ClassVar[tuple[Fraction, ...]] = (Fraction(1, 10), Fraction(1), Fraction(3))

    @pytest.fixture
    def case(self) -> Case:
        raise NotImplementedError("give a fixture `case` that returns a contracts.trainer.Case")

    def test_case_is_one_that_tells_faults_apart(self, case: Case) -> None:
        spec = case.spec()
        assert spec.noise.ratio > 0, "a clean trial cannot show noise that is missing"
        assert spec.steps >= 8, f"{spec.steps} steps leave too few places to cut at; 8 is the least"
        assert spec.samples % spec.batch.total, "the last batch must be a part of one, or a wrong end goes unseen"

    def test_family_is_filled_in(self, case: Case) -> None:
        family = case.family
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name), f"{family.name!r}: lower case, digits and _ are allowed"
        assert family.about.strip(), "about is the line that a person chooses the family by"
        assert all(text.strip() for text in [*family.models.values(), *family.metrics.values()])
        assert case.spec().model in family.models
        assert family.sources, "without sources a change of the code makes nothing stale"

    def test_starts_at_zero(self, case: Case) -> None:
        trainer = case.build()
        assert isinstance(trainer, Trainer), "the protocol's methods and properties are not all there"
        assert trainer.position == 0
        assert trainer.realised_rate is None

    def test_parameters_are_those_counted(self, case: Case) -> None:
        assert case.build().parameters == case.family.count_parameters(case.spec()) > 0

    def test_spends_the_budget_and_no_more(self, case: Case) -> None:
        trainer, samples = case.build(), case.spec().samples
        trainer.train(10 * samples)
        assert trainer.position == samples
        before = snapshot(trainer)
        trainer.train(samples)
        assert trainer.position == samples
        assert differences(before, snapshot(trainer)) == [], "training past the budget changes the state"

    def test_rounds_up_to_whole_batches(self, case: Case) -> None:
        trainer, batch = case.build(), case.spec().batch.total
        positions = []
        for asked in (1, batch, batch + 1, 0):
            trainer.train(asked)
            positions.append(trainer.position)
        assert positions == [batch, 2 * batch, 4 * batch, 4 * batch]

    def test_straight_equals_resumed(self, case: Case) -> None:
        """Cut after one step, in the middle, before the last step and at the end, saved and loaded as a file is."""
        spec = case.spec()
        batch, steps = spec.batch.total, spec.steps
        straight = finished(case.build())
        for cut in (0, 1, steps // 2, steps - 1, steps):
            first = case.build()
            first.train(cut * batch)
            resumed = case.build()
            resumed.load_state_dict(reloaded(first.state_dict()))
            assert resumed.position == first.position
            assert resumed.realised_rate == first.realised_rate
            assert differences(snapshot(first), snapshot(resumed)) == [], f"saved at step {cut}, loaded as another"
            assert differences(straight, finished(resumed)) == [], f"cut at step {cut}, it ends elsewhere"

    def test_how_training_is_cut_changes_nothing(self, case: Case) -> None:
        spec = case.spec()
        batch = spec.batch.total
        straight = finished(case.build())
        for pieces in ([1], [3 * batch], [batch, 2 * batch - 1, 5 * batch]):
            trainer, turn = case.build(), 0
            while trainer.position < spec.samples:
                trainer.train(pieces[turn % len(pieces)])
                turn += 1
            assert differences(straight, finished(trainer)) == [], f"trained by {pieces} samples, it ends elsewhere"

    def test_global_random_states_have_no_say(self, case: Case) -> None:
        results = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            results.append(finished(case.build()))
        assert differences(*results) == [], "the outcome depends on a random state that the trial does not fix"

    def test_evaluation_leaves_no_trace(self, case: Case) -> None:
        spec = case.spec()
        straight = finished(case.build())
        trainer = case.build()
        while trainer.position < spec.samples:
            before, drawn = snapshot(trainer), global_states()
            first, second = trainer.evaluate(), trainer.evaluate()
            assert values(first) == values(second), "measured twice, two results"
            assert drawn == global_states(), "evaluation draws from a global random state"
            assert differences(before, snapshot(trainer)) == [], "evaluation changes the state"
            trainer.train(1)
        assert differences(straight, finished(trainer)) == [], "evaluated on the way, it ends elsewhere"

    def test_weights_move(self, case: Case) -> None:
        trainer = case.build()
        before = tensors(trainer.state_dict())
        trainer.train(1)
        after = tensors(trainer.state_dict())
        moved = [path for path in before if path in after and not same_tensor(before[path], after[path])]
        due = trainer.parameters / 2 if case.learns else 1
        assert sum(before[path].numel() for path in moved) >= due, (
            f"after one step only {moved or 'nothing'} has moved of {sorted(before)}"
        )

    def test_noise_at_its_rate(self, case: Case) -> None:
        for ratio in self.ratios:
            trainer = case.build({"noise.ratio": ratio})
            trainer.train(samples := case.spec({"noise.ratio": ratio}).samples)
            wrong = float(ratio / (1 + ratio)) * (1 - case.hits)
            sigma = math.sqrt(wrong * (1 - wrong) / samples)
            realised = trainer.realised_rate
            assert realised is not None
            assert abs(realised - wrong) <= SIGMAS * sigma, f"at r = {ratio}: {realised:.4f}, {wrong:.4f} is due"

    def test_no_noise_at_ratio_0(self, case: Case) -> None:
        trainer = case.build({"noise.ratio": Fraction(0)})
        trainer.train(case.spec().samples)
        assert trainer.realised_rate == 0

    def test_noise_matters(self, case: Case) -> None:
        """The rate is not only counted: what is trained on differs, at a budget and so a schedule that do not."""
        clean, noisy = (case.build({"budget.rule": "fixed", "noise.ratio": Fraction(ratio)}) for ratio in (0, 3))
        for trainer in (clean, noisy):
            trainer.train(4 * case.spec().batch.total)
        before, after = tensors(clean.state_dict()), tensors(noisy.state_dict())
        assert any(not same_tensor(before[path], after[path]) for path in before)

    def test_same_seed_starts_alike_in_every_cell(self, case: Case) -> None:
        start = tensors(case.build().state_dict())
        cells: tuple[dict[str, Any], ...] = (
            {"noise.ratio": Fraction(0)},
            {"noise.refresh": "frozen"},
            {"batch.multiplier": 2},
            {"budget.rule": "fixed"},
        )
        for changes in cells:
            other = tensors(case.build(changes).state_dict())
            assert [path for path in start if not same_tensor(start[path], other[path])] == [], changes
        if not case.learns:
            return
        seeded = tensors(case.build({"seed": case.spec().seed + 1}).state_dict())
        assert any(not same_tensor(start[path], seeded[path]) for path in start), "the seed does not seed the weights"

    def test_same_seed_reads_the_same_order_in_every_cell(self, case: Case) -> None:
        if case.examples is None:
            pytest.skip("this family has no order of examples to read")
        count = case.spec().samples
        order = list(case.examples(case.build(), 0, count))
        for changes in ({"noise.ratio": Fraction(0)}, {"batch.multiplier": 2}, {"noise.refresh": "frozen"}):
            assert list(case.examples(case.build(changes), 0, count)) == order, changes
        assert list(case.examples(case.build({"seed": case.spec().seed + 1}), 0, count)) != order

    def test_state_is_plain_and_loads_safely(self, case: Case) -> None:
        trainer = case.build()
        trainer.train(case.spec().samples // 2)
        state = trainer.state_dict()
        odd = {path: type(value).__name__ for path, value in leaves(state) if not plain(value)}
        assert odd == {}, "tensors, numbers, strings, lists and dicts are allowed"
        assert differences(state, reloaded(state)) == []

    def test_state_is_a_snapshot(self, case: Case) -> None:
        trainer, batch = case.build(), case.spec().batch.total
        trainer.train(batch)
        held = trainer.state_dict()
        before = copy.deepcopy(held)
        trainer.train(2 * batch)
        assert differences(before, held) == [], "training on changes a state that was handed out"
        trainer.load_state_dict(held)
        trainer.train(2 * batch)
        assert differences(before, held) == [], "training on changes a state that was loaded"

    def test_foreign_state_is_refused(self, case: Case) -> None:
        trainer, batch = case.build(), case.spec().batch.total
        trainer.train(batch)
        before = snapshot(trainer)
        foreign = []
        other_seed: dict[str, Any] = {"seed": case.spec().seed + 1}
        other_noise: dict[str, Any] = {"noise.ratio": case.spec().noise.ratio * 2}
        for changes in (other_seed, other_noise):
            other = case.build(changes)
            other.train(batch)
            foreign.append(other.state_dict())
        for state in (*foreign, {}, [], {"model": {}}):
            with pytest.raises(StateError):
                trainer.load_state_dict(state)  # type: ignore[arg-type]
            assert differences(before, snapshot(trainer)) == [], "a refused state has been loaded in part"

    def test_damaged_state_is_refused(self, case: Case) -> None:
        source, batch = case.build(), case.spec().batch.total
        source.train(3 * batch)
        trainer = case.build()
        trainer.train(batch)
        before = snapshot(trainer)
        damages = list(damaged(source.state_dict()))
        assert len(damages) >= 4
        for what, state in damages:
            with pytest.raises(StateError):  # noqa: PT012 - what was damaged must be named
                trainer.load_state_dict(state)
                pytest.fail(f"loaded a state with {what}")
            assert differences(before, snapshot(trainer)) == [], f"a state with {what} has been loaded in part"
        trainer.load_state_dict(source.state_dict())
        assert trainer.position == 3 * batch

    def test_divergence_is_told(self, case: Case) -> None:
        if case.diverging is None:
            pytest.skip("this family cannot diverge")
        trainer = case.build(case.diverging)
        with pytest.raises(DivergedError, match=r"\w"):
            trainer.train(case.spec(case.diverging).samples)

    def test_metrics_are_those_declared(self, case: Case) -> None:
        trainer = case.build()
        for _ in range(2):  # before training and after it
            measured = trainer.evaluate()
            assert {one.name for one in measured} == set(case.family.metrics)
            assert len({(one.name, one.split) for one in measured}) == len(measured)
            assert all(one.value is None or math.isfinite(one.value) for one in measured), values(measured)
            trainer.train(case.spec().samples)

    def test_artifacts_hold_no_pickle(self, case: Case) -> None:
        trainer = case.build()
        trainer.train(case.spec().samples)
        artifacts = trainer.artifacts()
        assert len({one.role for one in artifacts}) == len({one.filename for one in artifacts}) == len(artifacts)
        for one in artifacts:
            assert re.fullmatch(r"[a-z0-9_]+\.[a-z]+", one.filename), f"{one.filename!r} is no plain file name"
            suffix = one.filename[one.filename.index(".") :]
            assert suffix in MAGIC, f"{one.filename}: {', '.join(MAGIC)} are allowed"
            assert one.content.startswith(MAGIC[suffix]), f"{one.filename} is no {suffix} file"
            if suffix == ".json":
                json.loads(one.content)
            if suffix == ".safetensors":
                json.loads(one.content[8 : 8 + int.from_bytes(one.content[:8], "little")])
        assert [one.content for one in artifacts] == [one.content for one in trainer.artifacts()]


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """All that a trainer shows, with a copy of its state."""
    state = copy.deepcopy(trainer.state_dict())
    return {"state": state, "position": trainer.position, "realised_rate": trainer.realised_rate}


def finished(trainer: Trainer) -> dict[str, Any]:
    """Train to the end of the budget and take all there is to see."""
    trainer.train(10**9)
    artifacts = {one.role: one.content.hex() for one in trainer.artifacts()}
    return {**snapshot(trainer), "metrics": values(trainer.evaluate()), "artifacts": artifacts}


def values(metrics: Sequence[Metric]) -> dict[str, float | None]:
    return {f"{one.split}/{one.name}": one.value for one in metrics}


def global_states() -> tuple[Any, ...]:
    """The random states that libraries share, comparable."""
    legacy = np.random.get_state(legacy=False)
    return random.getstate(), repr(legacy), torch.get_rng_state().numpy().tobytes()


def with_build(case: Case, wrap: Callable[[Trainer], Trainer]) -> Case:
    """The case with each trainer passed through ``wrap``: to see that the suite catches a fault."""

    def build(*arguments: Any) -> Trainer:
        return wrap(case.family.build(*arguments))

    return replace(case, family=replace(case.family, build=build))
