"""The README of the grid files: its examples load and make what they say, its tables are those of the models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from space.conftest import Load

from sweep.space.grid import Group, Resources, SpaceFile
from sweep.space.vocabulary import RATE, dotted_fields
from trainers.spec import TrialSpec

FOLDER = Path(__file__).parents[2] / "search_spaces"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def table(header: str) -> dict[str, list[str]]:
    """First cell (without its quotes) -> the other cells, of the table whose header line begins so."""
    lines = TEXT[TEXT.index(f"\n{header}") + 1 :].splitlines()
    rows = [line.strip("|").split(" | ") for line in lines[2 : next(i for i, line in enumerate(lines) if not line)]]
    return {row[0].strip(" `"): [cell.strip(" |") for cell in row[1:]] for row in rows}


@pytest.mark.parametrize("example", EXAMPLES, ids=[re.findall(r"name: (\S+)", text)[0] for text in EXAMPLES])
def test_an_example_makes_as_many_trials_as_it_says(load: Load, example: str) -> None:
    said = re.match(r"# (\d+) trials", example)
    assert said is not None
    assert len(load(example).trials) == int(said.group(1))


def test_there_are_examples_of_every_key_of_a_group() -> None:
    said = {key for key in Group.model_fields if any(re.search(rf"^ +(- )?{key}:", text, re.M) for text in EXAMPLES)}
    assert said == set(Group.model_fields) - {"about", "resources"}


def test_the_tables_of_keys_are_the_models() -> None:
    assert set(table("| key | what |\n")) == set(SpaceFile.model_fields)
    keys = table("| key | what | if left out |")
    assert set(keys) == set(Group.model_fields)
    required = {key for key, cells in keys.items() if cells[-1] == "required"}
    assert required == {key for key, field in Group.model_fields.items() if field.is_required()}
    for key in Resources.model_fields:
        assert f"`{key}`" in keys["resources"][0]
    assert keys["resources"][1] == "`{cpu: 1, gpu: auto}`"
    assert (Resources().cpu, Resources().gpu) == (1, "auto")


def test_the_table_of_fields_is_the_model_with_its_defaults() -> None:
    fields = {name: field for name, field in dotted_fields(TrialSpec).items() if name not in ("family", "needs")}
    rows = table("| field | what | default |")
    assert set(rows) == {*fields, RATE}
    for name, field in fields.items():
        default = rows[name][-1].strip("`")
        assert (default == "required") == field.is_required(), name
        if not field.is_required():
            assert default == ("null" if field.default is None else str(field.default)), name


def test_every_choice_of_a_field_is_named() -> None:
    rows = table("| field | what | default |")
    for name, field in dotted_fields(TrialSpec).items():
        for choice in getattr(field.annotation, "__args__", ()) if "Literal" in str(field.annotation) else ():
            assert f"`{choice}`" in rows[name][0], f"{name} may be {choice}"


def test_sections_of_a_specification_hold_their_defaults() -> None:
    """The table takes defaults from the sections; a specification that set others would make it wrong."""
    for field in TrialSpec.model_fields.values():
        if isinstance(field.default, BaseModel):
            assert field.default == type(field.default)()


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.stem)
def test_grid_files_that_are_shipped_load(load: Load, path: Path) -> None:
    assert load(path.read_bytes()).trials
