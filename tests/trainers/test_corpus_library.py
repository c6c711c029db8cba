"""Text from the Python that runs: no paragraph twice, no docstring in code, the same each time."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest

from trainers.datasets.text import standard_library as library
from trainers.datasets.text.embedded import SOURCE_BYTES, VALIDATION
from trainers.datasets.text.split import split_of
from trainers.errors import DataMissingError


@cache
def docs() -> tuple[str, ...]:
    return tuple(library.documentation())


@cache
def code() -> tuple[str, ...]:
    return tuple(library.source_code(SOURCE_BYTES))


def paragraphs(texts: list[str]) -> list[str]:
    found = [" ".join(one.split()) for text in texts for one in text.split("\n\n")]
    return [one for one in found if len(one) >= library.REPEATED_CHARACTERS]


def test_no_long_paragraph_is_on_both_sides_of_the_split() -> None:
    """Python's manual repeats whole sections; a model could learn validation by heart."""
    sides = {
        split: [text for text in docs() if split_of(text, VALIDATION) == split] for split in ("train", "validation")
    }
    assert len(sides["validation"]) > 10
    assert len(paragraphs(sides["train"])) > 5_000
    assert not set(paragraphs(sides["train"])) & set(paragraphs(sides["validation"]))
    assert len(paragraphs(list(docs()))) == len(set(paragraphs(list(docs()))))


def test_topics_and_docstrings_are_both_there() -> None:
    assert any('The "if" statement is used for conditional execution' in text for text in docs())
    assert any(text.startswith("argparse\n\nCommand-line parsing library") for text in docs())
    assert any(
        "asyncio.base_events.BaseEventLoop.run_forever\n\nRun until stop() is called." in text for text in docs()
    )
    assert 1_500_000 < sum(map(len, docs())) < 4_000_000


def test_code_has_no_docstrings_and_fits_the_room() -> None:
    size = sum(len(text.encode()) for text in code())
    assert 0.9 * SOURCE_BYTES < size <= SOURCE_BYTES
    assert len(set(code())) == len(code())
    argparse = library._without_docstrings(next(one for one in library.modules() if one.name == "argparse"))
    assert "Command-line parsing library" not in argparse
    assert "def add_subparsers(self, **kwargs):" in argparse
    assert "# Optional Kwargs" in library._without_docstrings(module('"""Doc."""\n# Optional Kwargs\nx = 1'))


def module(text: str) -> library.Module:
    return library.Module("mine", text, ast.parse(text))


def test_docstrings_are_cut_and_strings_stay() -> None:
    text = '"""Doc\n\nlong."""\nx = """kept"""\n\n\n\nclass A:\n    "short"\n\n    y = 1\n\n    def f(self):\n'
    text += '        """gone"""\n        return 1\n'
    cut = library._without_docstrings(module(text))
    assert cut == 'x = """kept"""\n\nclass A:\n\n    y = 1\n\n    def f(self):\n\n        return 1'


def test_docstrings_carry_the_name_of_what_they_describe() -> None:
    text = '"""Top."""\nclass A:\n    """Of A."""\n    def f(self):\n'
    text += '        """Of f.\n\n        Less.\n            More.\n        """\n'
    assert list(library._docstrings(module(text))) == [
        "mine\n\nTop.",
        "mine.A\n\nOf A.",
        "mine.A.f\n\nOf f.\n\nLess.\n    More.",
    ]


def test_no_module_is_imported() -> None:
    """Some modules of the library open a window or a browser when imported."""
    program = (
        "import sys, sysconfig; from trainers.datasets.text.standard_library import modules\n"
        "sysconfig.get_path('stdlib')\n"  # itself imports what it knows of this Python
        "before = set(sys.modules); found = {one.name for one in modules()}\n"
        "print(len(found), sorted(set(sys.modules) - before), 'antigravity' in found, 'test.support' in found)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    count, rest = done.stdout.strip().split(" ", 1)
    assert int(count) > 300
    assert rest == "[] False False"


def test_a_python_without_sources_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataMissingError, match="has no sources of its library"):
        library.documentation()
