"""Needed trials are told by what they are: seeds share a panel, teachers are noises of their own."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from fixtures.language_store import Text, publish_text, texts
from fixtures.report_store import Rows

from reports import contents as words
from reports import tables
from reports.analysis import Analysis, analyse
from reports.cells import CleanTrials, FigureSet, figure_sets
from reports.files import open_store
from reports.rows import Published, read_rows
from sweep.store.schema import to_table

NAMES = ("trials", "metrics", "attempts", "artifacts")


def trials(cells: list[Text], begun: list[Text] | None = None) -> tuple[Published, ...]:
    rows = Rows()
    for cell in cells:
        rows.publish(cell, measured={"test_nll": 1.0}, kept=False)
    for cell in begun or []:
        rows.begin(cell)
    return read_rows({name: to_table(name, rows.tables[name]) for name in NAMES}).trials


def sets_of(cells: list[Text], tune: str = "python-docs") -> list[FigureSet]:
    """Figure sets of the trials on one data set."""
    return figure_sets([trial for trial in trials(cells) if trial.dataset == f"{tune}@1"])


def pretrain(ratio: str, seed: int, **fields: object) -> Text:
    return Text(Fraction(ratio), seed=seed, dataset="python-source", rule="fixed", **fields)  # type: ignore[arg-type]


def tuned(start: Text | None, ratio: str, seed: int) -> Text:
    needs = {} if start is None else {"pretrained": start.id}
    return Text(Fraction(ratio), seed=seed, rule="fixed", base=4096, needs=needs)


def test_seeds_of_one_start_are_one_panel_and_starts_are_told_in_words() -> None:
    cells: list[Text] = []
    for seed in (0, 1, 2):
        starts = [pretrain("0", seed), pretrain("1", seed)]
        cells += [*starts, *(tuned(start, ratio, seed) for start in (*starts, None) for ratio in ("0", "1"))]
    (view,) = sets_of(cells)
    assert [panel.label for panel in view.panels] == [
        "python-docs: not pre-trained",
        "python-docs: pre-trained on python-source, r = 0, 8,192 samples",
        "python-docs: pre-trained on python-source, r = 1, 8,192 samples",
    ]
    assert [len(panel.trials) for panel in view.panels] == [6, 6, 6]
    assert view.present == view.expected


def test_a_noisy_trial_is_held_against_the_clean_one_of_the_same_start() -> None:
    starts = [pretrain("0", 1), pretrain("1", 1)]
    cells = [tuned(start, ratio, 1) for start in starts for ratio in ("0", "1")]
    found = {trial.id: trial for trial in trials([*starts, *cells])}
    clean = CleanTrials(found.values())
    for start in starts:
        noisy, own = found[tuned(start, "1", 1).id], found[tuned(start, "0", 1).id]
        assert clean.reference(noisy) == (own, "twin")


def test_fields_that_vary_in_a_panel_are_kept_even_where_they_agree_by_chance() -> None:
    # The start is as long as the fine-tuning: from the twin's own budget alone nothing may come or go.
    start = pretrain("0", 0, base=4096)
    fields = dict(trials([start, tuned(start, "1", 0)])[0].configuration)
    other = dict(trials([start, tuned(start, "1", 0)])[1].configuration)
    tune = fields if "needs.pretrained.noise.ratio" in fields else other
    assert tune["needs.pretrained.budget.samples"] == "4096"
    assert tune["needs.pretrained.noise.ratio"] == '"0"'
    assert tune["needs.pretrained.dataset"] == '"python-source@1"'
    absent = {"seed", "model", "context", "budget.rule", "noise.law", "evaluation.text_samples", "batch.multiplier"}
    assert not {f"needs.pretrained.{name}" for name in absent} & tune.keys()
    assert "needs.pretrained" not in tune


def test_a_trial_that_was_only_begun_is_known_and_an_unknown_one_keeps_its_id() -> None:
    start = pretrain("1", 0)
    (known,) = trials([tuned(start, "1", 0)], begun=[start])
    assert dict(known.configuration)["needs.pretrained.noise.ratio"] == '"1"'
    (unknown,) = trials([tuned(start, "1", 0)])
    assert dict(unknown.configuration)["needs.pretrained"] == json.dumps(start.id)


def test_one_start_for_all_seeds_is_one_panel_and_a_factorial_of_seeds_tells_them() -> None:
    one = pretrain("0", 0)
    (view,) = sets_of([one, *(tuned(one, "1", seed) for seed in (0, 1, 2))])
    assert (len(view.panels), view.present) == (1, 3)
    starts = [pretrain("0", seed) for seed in (0, 1)]
    (both,) = sets_of([*starts, *(tuned(start, "1", seed) for start in starts for seed in (0, 1))])
    assert both.present == 4
    assert [panel.label for panel in both.panels] == [
        "python-docs: pre-trained seed 0", "python-docs: pre-trained seed 1",
    ]  # fmt: skip


def test_needs_of_needs_are_followed_and_a_circle_ends() -> None:
    first = pretrain("1", 0)
    second = replace(pretrain("0", 0), needs={"pretrained": first.id})
    third = tuned(second, "1", 0)
    (found,) = (trial for trial in trials([first, second, third]) if trial.id == third.id)
    assert dict(found.configuration)["needs.pretrained.needs.pretrained.noise.ratio"] == '"1"'
    rows = Rows()
    rows.publish(third, measured={"test_nll": 1.0}, kept=False)
    rows.begin(second, spec=json.dumps({**second.spec(), "needs": {"pretrained": second.id}}))
    rows.tables["attempts"][0]["id"] = second.id
    (alone,) = read_rows({name: to_table(name, rows.tables[name]) for name in NAMES}).trials
    assert max(name.count("needs.pretrained") for name, _ in alone.configuration) <= 6


def test_teachers_are_noises_of_their_own_held_against_the_same_clean_cells() -> None:
    cells: list[Text] = []
    for seed in (0, 1):
        teachers = [pretrain("0", seed, base=base) for base in (1024, 4096)]
        cells += [*teachers, Text(Fraction(0), seed=seed, rule="fixed")]
        cells += [
            Text(Fraction(1), seed=seed, rule="fixed", law="teacher", needs={"teacher": teacher.id})
            for teacher in teachers
        ]
    views = sets_of(cells)
    assert [view.key.law_name for view in views] == [
        "teacher (teacher on python-source, r = 0, 1,024 samples)",
        "teacher (teacher on python-source, r = 0, 4,096 samples)",
    ]
    for view in views:
        (panel,) = view.panels
        assert (panel.label, sorted(panel.trials)) == (
            "python-docs",
            [(Fraction(0), 1, 0), (Fraction(0), 1, 1), (Fraction(1), 1, 0), (Fraction(1), 1, 1)],
        )


def test_units_and_places_of_noise_never_share_a_cell() -> None:
    variants = [{}, {"unit": "example"}, {"corrupt": "stream"}, {"law": "unigram"}]
    cells = texts(ratios=("0",)) + [cell for fields in variants for cell in texts(ratios=("1",), **fields)]
    views = figure_sets(trials(cells))
    assert [view.key.law_name for view in views] == [
        "uniform_all", "uniform_all (inputs too)", "uniform_all (whole sequences)", "unigram",
    ]  # fmt: skip
    assert all((view.present, view.expected) == (6, 6) for view in views)


def test_fields_of_a_plug_ins_noise_are_a_variant_by_their_name() -> None:
    rows = Rows()
    for burst in (1, 2):
        cell = Text(Fraction(1), seed=0)
        spec = cell.spec()
        spec["noise"]["burst"] = burst
        rows.publish(replace(cell, lr=0.1 * burst), spec=json.dumps(spec), measured={"test_nll": 1.0}, kept=False)
    found = read_rows({name: to_table(name, rows.tables[name]) for name in NAMES}).trials
    assert {view.key.law_name for view in figure_sets(found)} == {"uniform_all (burst 1)", "uniform_all (burst 2)"}


def analysed(tmp_path: Path) -> Analysis:
    rows = Rows()
    teacher = pretrain("0", 0)
    publish_text(rows, teacher)
    for cell in (
        Text(Fraction(0), rule="fixed"),
        Text(Fraction(1), rule="fixed", corrupt="stream"),
        Text(Fraction(1), rule="fixed", law="teacher", needs={"teacher": teacher.id}),
    ):
        publish_text(rows, cell)
    return analyse(open_store(rows.write(tmp_path / "store")))


def test_variants_are_in_titles_file_names_and_tables(tmp_path: Path) -> None:
    found = analysed(tmp_path)
    sections = {section.view.key.law_name: section for section in found.sections}
    assert (
        sections["uniform_all (inputs too)"].slug == "language-gpt2_tiny-uniform_all-inputs-too-fresh-fixed-corrected"
    )
    headings = [section["heading"] for section in words.contents(found)["sections"]]
    assert any("uniform_all (inputs too) noise, fresh" in heading for heading in headings)
    rows = list(csv.DictReader(io.StringIO(tables.trials_csv(found).decode())))
    variants = {row["noise_variant"] for row in rows}
    assert '{"corrupt":"stream"}' in variants
    assert any('"teacher.dataset":"python-source@1"' in variant for variant in variants)
    fields = list(csv.DictReader(io.StringIO(tables.configurations_csv(found).decode())))
    told = {(row["field"], row["value"]) for row in fields}
    assert {("noise.corrupt", "stream"), ("needs.teacher.dataset", "python-source@1")} <= told
