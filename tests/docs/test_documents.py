"""What the documents say exists, exists: links, commands, options, grid files, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sweep.cli.main import run_app
from sweep.space.resolve import resolve
from sweep.space.source import parse

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += sorted((ROOT / "search_spaces").glob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, rest in re.findall(r"^(?:\.venv/bin/)?sweep +([a-z]+)([^#\n]*)", document.read_text(), re.MULTILINE):
        assert run_app([command, "--help"]) == 0, f"{document.name}: sweep {command}"
        said = capsys.readouterr().out
        for option in re.findall(r"--[a-z]+", rest):
            assert option in said, f"{document.name}: sweep {command} {option}"
    for command in re.findall(r"`sweep ([a-z]+)[ `]", document.read_text()):
        assert run_app([command, "--help"]) == 0, f"{document.name}: sweep {command}"


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}\b.*:", makefile, re.MULTILINE), target


def test_grid_files_of_the_readme_load() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert resolve(parse(block, "README.md"), {}).trials


@pytest.mark.parametrize("path", sorted((ROOT / "search_spaces").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_grid_file_that_ships_loads(path: Path) -> None:
    assert resolve(parse(path.read_text(), path.name), {}).trials


def test_modules_are_read_in_one_sitting() -> None:
    folders = ("sweep", "trainers", "reports", "cluster", "tests", "benchmarks")
    lengths = {path: len(path.read_text().splitlines()) for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 400} == {}
