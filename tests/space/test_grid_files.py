"""Every grid file that comes with the project can be planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.space import load_space

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = sorted(FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(FOLDER)) for path in FILES])
def test_a_grid_file_has_trials_and_says_what_it_is_for(path: Path) -> None:
    space = load_space(path)
    assert space.trials
    assert space.about
    assert {trial.spec.seed for trial in space.trials} >= {0}


def test_the_papers_and_the_questions_grids_are_there() -> None:
    assert {path.parent.name for path in FILES} == {"search_spaces", "paper", "questions"}


def test_names_of_grids_are_their_own() -> None:
    names = [load_space(path).name for path in FILES]
    assert len(set(names)) == len(names)
