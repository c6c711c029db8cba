"""Cells along other axes than r: batches at equal samples and equal steps, contexts, sequences of a batch."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from fixtures.language_store import Text, analyses, texts
from fixtures.report_store import Rows

from reports.along import by_batch, by_context, by_sequences
from reports.cells import FigureSet, figure_sets
from reports.rows import read_rows
from sweep.store.schema import to_table

HALF, ONE = Fraction(1, 2), Fraction(1)


def sets_of(cells: list[Text]) -> list[FigureSet]:
    rows = Rows()
    for cell in cells:
        rows.publish(cell, measured={"test_nll": 1.0}, kept=False, batch=cell.size * cell.multiplier, steps=1)
    names = ("trials", "metrics", "attempts", "artifacts")
    return figure_sets(read_rows({name: to_table(name, rows.tables[name]) for name in names}).trials)


def factorial(multipliers: tuple[int, ...] = (1, 2, 4), **fields: object) -> list[Text]:
    given = {"rule": "fixed", "size": 8, **fields}
    return [
        replace(cell, multiplier=multiplier)
        for cell in texts(ratios=("0", "1"), **given)  # type: ignore[arg-type]
        for multiplier in multipliers
    ]


def equal_steps() -> list[Text]:
    return [replace(cell, base=8192 * cell.multiplier) for cell in factorial() if cell.multiplier > 1]


def test_equal_samples_and_equal_steps_are_rows_of_their_own() -> None:
    (view,) = sets_of([*factorial(), *equal_steps()])
    samples, steps = by_batch(view)
    assert (samples.panel.label, steps.panel.label) == ("python-docs; 8,192 samples", "python-docs; 1,024 steps")
    assert samples.view.multipliers == steps.view.multipliers == (1, 2, 4)
    assert {trial.base_samples for trial in samples.panel.trials.values()} == {8192}
    assert {trial.base_samples // trial.batch for trial in steps.panel.trials.values() if trial.base_samples} == {1024}
    assert len(samples.panel.trials) == len(steps.panel.trials) == 18
    assert len(steps.sources) == 3


def test_panels_of_equal_steps_miss_no_multiplier_that_nobody_asked_for() -> None:
    (view,) = sets_of([*factorial(), *equal_steps()])
    assert [panel.multipliers for panel in view.panels] == [(1, 2, 4), (2,), (4,)]
    assert view.present == view.expected == 30
    assert [panel.label for panel in view.panels] == [
        "python-docs: budget.samples 8192", "python-docs: budget.samples 16384", "python-docs: budget.samples 32768",
    ]  # fmt: skip


def test_two_multipliers_are_no_figure_and_a_missing_one_is_missing() -> None:
    (view,) = sets_of(factorial((1, 2)))
    assert by_batch(view) == []
    other = [cell for cell in factorial(dataset="python-source") if cell.multiplier != 2]
    (view,) = sets_of([*factorial(), *other])
    (row,) = by_batch(view)
    assert row.panel.dataset == "python-docs@1"
    lost = [cell for cell in factorial((1, 2, 4, 8)) if (cell.ratio, cell.multiplier) != (ONE, 8)]
    (row,) = by_batch(sets_of(lost)[0])
    assert row.view.multipliers == (1, 2, 4, 8)
    assert (ONE, 8, 0) not in row.panel.trials


def test_pairs_of_ratio_and_batch_miss_no_point_that_nobody_asked_for() -> None:
    cells = [cell for cell in factorial((1, 2, 4, 8)) if (cell.ratio, cell.multiplier) not in {(ONE, 2), (0, 8)}]
    (row,) = by_batch(sets_of(cells)[0])
    assert row.panel.pairs == ((0, 1), (ONE, 1), (0, 2), (0, 4), (ONE, 4), (ONE, 8))
    lost = [cell for cell in contexts() if (cell.ratio, cell.context) != (0, 32)]
    assert by_context(sets_of(lost)[0])[0].panel.pairs == ((0, 16), (ONE, 16), (0, 32), (ONE, 32), (0, 64), (ONE, 64))
    sized = [cell for cell in analyses() if (cell.ratio, cell.multiplier) != (ONE, 2)]
    (row,) = by_sequences(sets_of(sized)[0])
    assert [pair for pair in row.panel.pairs if pair[1] == 2] == [(Fraction(1, 3), 2)]


def test_clean_trials_that_join_a_law_make_no_figure_of_it() -> None:
    (shift,) = texts(ratios=("1",), seeds=(0,), rule="fixed", size=8, law="unigram")
    views = {view.key.law: view for view in sets_of([*factorial(), shift])}
    assert {law: len(by_batch(view)) for law, view in views.items()} == {"uniform_all": 1, "unigram": 0}
    (clean,) = sets_of([cell for cell in factorial() if not cell.ratio])
    assert len(by_batch(clean)) == 1
    (law,) = (
        view for view in sets_of([*contexts(), replace(shift, size=128, base=2**14)]) if view.key.law == "unigram"
    )
    assert by_context(law) == []


def test_at_multiplier_one_all_rules_for_the_rate_are_one() -> None:
    root = [cell for cell in factorial(batch_rule="sqrt") if cell.multiplier > 1]
    (view,) = sets_of([*factorial(), *root])
    constant, scaled = by_batch(view)
    assert scaled.panel.label == "python-docs: optimiser.batch_rule sqrt; 8,192 samples"
    assert scaled.view.multipliers == constant.view.multipliers == (1, 2, 4)
    for seed in (0, 1, 2):
        assert scaled.panel.trials[ONE, 1, seed] == constant.panel.trials[ONE, 1, seed]
        assert scaled.panel.trials[ONE, 2, seed] != constant.panel.trials[ONE, 2, seed]


def contexts(lengths: tuple[int, ...] = (16, 32, 64), **fields: object) -> list[Text]:
    return [
        cell
        for context in lengths
        for cell in texts(
            ratios=("0", "1"), rule="fixed", context=context, size=2048 // context, base=2**18 // context, **fields
        )
    ]


def test_contexts_of_equal_tokens_are_one_row() -> None:
    (view,) = sets_of(contexts())
    (row,) = by_context(view)
    assert row.view.multipliers == (16, 32, 64)
    assert row.panel.label == "python-docs"
    assert len(row.panel.trials) == 18
    for (_, context, _), trial in row.panel.trials.items():
        assert dict(trial.configuration)["context"] == str(context)


def test_contexts_of_two_budgets_are_two_rows_and_of_one_nothing() -> None:
    (view,) = sets_of([*contexts(), *[replace(cell, base=2 * cell.base) for cell in contexts()]])
    assert len(by_context(view)) == 2
    assert by_context(sets_of(contexts((16,)))[0]) == []


def test_contexts_that_differ_in_nothing_else_are_a_row_too() -> None:
    cells = [replace(cell, context=context) for context in (16, 32) for cell in texts(rule="fixed")]
    (row,) = by_context(sets_of(cells)[0])
    assert (row.view.multipliers, len(row.panel.trials)) == ((16, 32), 18)


def test_batches_of_gradients_join_whether_by_size_or_by_multiplier() -> None:
    sized = [replace(cell, size=16, base=6400) for cell in analyses(multipliers=(1,))]
    (view,) = sets_of([*analyses(), *sized])
    (row,) = by_sequences(view)
    assert row.view.multipliers == (1, 2, 4, 8, 16)
    assert len(row.panel.trials) == 2 * 5 * 3
    longer = [replace(cell, base=1600) for cell in analyses(multipliers=(2,))]
    (view,) = sets_of([*analyses(), *longer])
    (row,) = by_sequences(view)
    assert row.panel.trials[ONE, 2, 0].samples == 1600


def test_measures_of_gradients_are_rows_of_their_own() -> None:
    (view,) = sets_of([*analyses(), *analyses(measure="loss")])
    labels = [row.panel.label for row in by_sequences(view)]
    assert labels == ["python-docs: measure gradients", "python-docs: measure loss"]
