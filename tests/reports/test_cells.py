"""How trials are arranged: sets, panels, cells, and which clean trial a noisy one is held against."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

from fixtures.report_rows import attempted, published
from fixtures.report_store import RATIOS, Cell, grid

from reports.cells import CleanTrials, figure_sets

CLEAN, HALF = Fraction(0), Fraction(1, 2)


def test_one_set_with_a_panel_a_data_set() -> None:
    (view,) = figure_sets(published(grid()))
    assert [panel.label for panel in view.panels] == ["digits", "mnist5k"]
    assert (view.ratios, view.multipliers, view.seeds) == (RATIOS, (1, 4), (0, 1, 2))
    assert view.present == view.expected == 60


def test_missing_cells_are_those_that_another_panel_or_seed_has() -> None:
    cells = [cell for cell in grid() if not (cell.dataset == "mnist5k" and (cell.ratio == 1 or cell.seed == 2))]
    (view,) = figure_sets(published(cells))
    assert view.expected == 60
    assert view.present == 30 + 4 * 2 * 2


#: The paper's grid pairs ratios and multipliers instead of crossing them.
PAIRED = tuple(zip(RATIOS, (1, 1, 2, 2, 12), strict=True))


def test_a_grid_of_pairs_misses_no_cell_that_nobody_asked_for() -> None:
    cells = [Cell(ratio, multiplier, seed) for ratio, multiplier in PAIRED for seed in (0, 1, 2)]
    (view,) = figure_sets(published(cells))
    (panel,) = view.panels
    assert (view.ratios, view.multipliers) == (RATIOS, (1, 2, 12))
    assert (panel.pairs, panel.multipliers) == (PAIRED, (1, 2, 12))
    assert view.present == view.expected == 15


def test_a_pair_that_one_seed_has_is_expected_of_all_seeds_and_panels() -> None:
    whole = [Cell(ratio, multiplier, seed) for ratio, multiplier in PAIRED for seed in (0, 1)]
    (view,) = figure_sets(published([*whole, Cell(HALF, 2, 2), Cell(RATIOS[1], 1, 0, "mnist5k")]))
    assert [len(panel.pairs) for panel in view.panels] == [5, 5]
    assert (view.expected, view.present) == (30, 12)
    (view,) = figure_sets(published(whole), attempted([Cell(HALF, 12, 0)]))
    assert view.panels[0].pairs == (*PAIRED[:4], (HALF, 12), PAIRED[4])
    assert (view.expected, view.present, view.attempted) == (12, 10, 1)


def test_the_order_of_trials_changes_nothing() -> None:
    trials = list(published([*grid(), *grid(law="next_class"), *grid(rule="fixed", multipliers=(1,))]))
    shuffled = random.Random(1).sample(trials, len(trials))
    assert figure_sets(shuffled) == figure_sets(trials)


def test_laws_rules_and_readings_are_sets_of_their_own() -> None:
    base = Cell(HALF)
    cells = [
        base, replace(base, law="next_class"), replace(base, rule="fixed"), replace(base, reading="paper"),
        replace(base, refresh="frozen"), replace(base, model="mlp"), replace(base, family="other"),
        replace(base, law="confusion", mapping=[1, 0]), replace(base, law="confusion", mapping=[0, 1]),
    ]  # fmt: skip
    views = figure_sets(published(cells))
    assert len(views) == len(cells)
    assert len({view.key.law_name for view in views if view.key.law == "confusion"}) == 2


def test_a_clean_trial_joins_every_law_and_rule() -> None:
    # r = 0 trials carry the neutral law and are shared, whatever the law of the noisy ones.
    noisy = [Cell(HALF, law=law, rule=rule) for law in ("uniform_wrong", "next_class") for rule in ("scaled", "fixed")]
    trials = published([Cell(CLEAN), *noisy])
    views = figure_sets(trials)
    assert len(views) == 4
    assert all(view.ratios == (CLEAN, HALF) for view in views)


def test_a_clean_trial_of_the_same_rule_goes_first() -> None:
    trials = published([Cell(CLEAN), Cell(CLEAN, rule="fixed"), Cell(HALF), Cell(HALF, rule="fixed")])
    for view in figure_sets(trials):
        assert view.panels[0].trials[CLEAN, 1, 0].rule == view.key.rule


def test_configurations_are_panels_named_by_what_differs() -> None:
    trials = published([Cell(ratio, lr=lr) for ratio in (CLEAN, HALF) for lr in (0.1, 0.2)])
    (view,) = figure_sets(trials)
    assert [panel.label for panel in view.panels] == ["digits: optimiser.lr 0.1", "digits: optimiser.lr 0.2"]
    assert view.expected == view.present == 4


def test_the_twin_is_as_long_and_otherwise_the_same() -> None:
    noisy = Cell(HALF, multiplier=4, seed=1)
    twin = Cell(CLEAN, multiplier=4, seed=1, base=90_000)
    near = [replace(twin, seed=2), replace(twin, multiplier=1), replace(twin, lr=0.5), replace(twin, reading="paper")]
    near += [replace(twin, dataset="mnist5k"), replace(twin, base=89_999), replace(twin, model="mlp")]
    trials = {trial.id: trial for trial in published([noisy, *near])}
    assert CleanTrials(trials.values()).reference(trials[noisy.id]) is None
    trials = {trial.id: trial for trial in published([noisy, *near, twin])}
    found = CleanTrials(trials.values()).reference(trials[noisy.id])
    assert found == (trials[twin.id], "twin")


def test_without_a_twin_the_clean_cell_serves() -> None:
    noisy, clean = Cell(HALF), Cell(CLEAN)
    trials = {trial.id: trial for trial in published([noisy, clean])}
    assert CleanTrials(trials.values()).reference(trials[noisy.id]) == (trials[clean.id], "r0")


def test_at_a_fixed_budget_the_clean_cell_is_the_twin() -> None:
    noisy, clean = Cell(HALF, rule="fixed"), Cell(CLEAN, rule="fixed")
    trials = {trial.id: trial for trial in published([noisy, clean])}
    assert CleanTrials(trials.values()).reference(trials[noisy.id]) == (trials[clean.id], "twin")


def test_twins_make_no_panel_not_even_those_whose_noisy_trial_is_missing() -> None:
    cells = [Cell(CLEAN), Cell(HALF), Cell(CLEAN, base=90_000), Cell(CLEAN, base=90_000, seed=1)]
    (view,) = figure_sets(published(cells))
    assert view.present == 2
    assert view.key.law == "uniform_wrong"


def test_clean_trials_alone_are_a_set_of_their_own() -> None:
    (view,) = figure_sets(published([Cell(CLEAN, seed=seed) for seed in (0, 1)]))
    assert (view.key.law, view.key.refresh, view.present) == ("clean", "", 2)


def test_versions_of_a_data_set_are_told_apart() -> None:
    trials = published([Cell(HALF), Cell(HALF, seed=1)])
    other = [replace(trials[0], dataset="digits@1"), replace(trials[1], dataset="digits@2")]
    (view,) = figure_sets(other)
    assert [panel.label for panel in view.panels] == ["digits@1", "digits@2"]


def test_attempted_trials_are_cells_that_are_missing() -> None:
    """What was published spans 2 x 1 x 2 cells; a ratio and a seed that were only attempted make it 3 x 1 x 3."""
    done = published(grid(("digits",), (CLEAN, HALF), (1,), (0, 1)))
    begun = attempted([Cell(Fraction(1)), Cell(HALF, seed=2), Cell(CLEAN, seed=2)])
    (view,) = figure_sets(done, begun)
    assert (view.ratios, view.seeds) == ((CLEAN, HALF, Fraction(1)), (0, 1, 2))
    assert (view.expected, view.present, view.attempted) == (9, 4, 3)
    assert (figure_sets(done)[0].expected, figure_sets(done)[0].attempted) == (4, 0)


def test_a_published_trial_stands_before_an_attempted_one_of_its_cell() -> None:
    # The r = 0 cell of the same base under either budget rule: whichever was published is the cell.
    (view,) = figure_sets(published([Cell(HALF), Cell(CLEAN, rule="fixed")]), attempted([Cell(CLEAN)]))
    assert view.panels[0].trials[CLEAN, 1, 0].rule == "fixed"
    assert (view.present, view.attempted) == (2, 0)


def test_a_set_of_which_nothing_was_published_is_all_missing() -> None:
    views = figure_sets(published([Cell(HALF)]), attempted([Cell(HALF, law="next_class")]))
    assert [(view.key.law, view.present, view.expected) for view in views] == [
        ("next_class", 0, 1), ("uniform_wrong", 1, 1),
    ]  # fmt: skip


def test_an_attempted_twin_is_no_cell() -> None:
    begun = attempted([Cell(CLEAN, base=90_000), Cell(CLEAN, base=90_000, seed=1)])
    (view,) = figure_sets(published([Cell(HALF), Cell(HALF, seed=1)]), begun)
    assert (view.expected, view.attempted) == (2, 0)


def test_only_trials_of_the_same_data_are_paired() -> None:
    noisy, twin, clean = published([Cell(HALF), Cell(CLEAN, base=90_000), Cell(CLEAN)])
    by_ratio = sorted((noisy, twin, clean), key=lambda trial: (trial.ratio, trial.samples))
    clean, twin, noisy = by_ratio
    assert CleanTrials([clean, twin]).reference(noisy) == (twin, "twin")
    other = replace(twin, data_sha256="0" * 64)
    assert CleanTrials([clean, other]).reference(noisy) == (clean, "r0")
    assert CleanTrials([replace(clean, data_sha256="0" * 64), other]).reference(noisy) is None
