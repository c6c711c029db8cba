"""Text that every Python carries: its manual's topics, its library's docstrings, its library's source code.

Files are read, no module is imported. Python's own text differs from version to version, and so does what is made here:
the SHA-256 of the corpus tells which it was.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

from trainers.errors import DataMissingError

#: Tests, tools with a window, tables of characters, and copies of other packages: no text to learn a language from.
PASSED_OVER = frozenset(
    {"antigravity", "encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "this", "tkinter"}
    | {"turtle", "turtledemo"}
)
PASSED_OVER_INSIDE = frozenset({"test", "tests", "idle_test", "_vendor", "__pycache__"})

#: A paragraph of so many characters or more that occurred before is left out: Python's manual repeats whole sections.
REPEATED_CHARACTERS = 60
SHORTEST_DOCUMENT = 200  # characters; what is shorter, once repetitions are out, is no text

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the standard library by its dotted name."""

    name: str
    text: str
    tree: ast.Module


def modules() -> Iterator[Module]:
    """The standard library's modules that have a source, by name.

    Raises:
        DataMissingError: this Python carries no sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = False
    for top in sorted(sys.stdlib_module_names - PASSED_OVER):
        for path in [root / f"{top}.py", *sorted((root / top).rglob("*.py"))]:
            inside = path.relative_to(root).with_suffix("").parts
            if not path.is_file() or PASSED_OVER_INSIDE & set(inside):
                continue
            with tokenize.open(path) as file:  # heeds a declared encoding
                text = file.read()
            found = True
            yield Module(".".join(inside).removesuffix(".__init__"), text, ast.parse(text))
    if not found:
        raise DataMissingError(f"this Python ({sys.executable}) has no sources of its library in {root}; use another")


def documentation() -> list[str]:
    """The manual's topics, then each module's docstrings with the names that they describe; nothing twice.

    A topic that is part of a longer one shrinks to what is its own, and goes where that is nothing.

    Raises:
        DataMissingError: this Python carries no sources.
    """
    topics = sorted(_topics().values(), key=lambda text: (-len(text), text))
    texts = [text.expandtabs().strip() for text in topics]
    texts += ["\n\n".join(_docstrings(module)) for module in modules()]
    seen: set[str] = set()
    kept = ("\n\n".join(_unseen(text, seen)) for text in texts)
    return [text for text in kept if len(text) >= SHORTEST_DOCUMENT]


def source_code(at_most: int) -> list[str]:
    """Modules without their docstrings, comments kept, ``at_most`` bytes of UTF-8 in all, each module whole.

    Which modules those are follows from a hash of their names.

    Raises:
        DataMissingError: this Python carries no sources.
    """
    coded = {module.name: _without_docstrings(module) for module in modules()}
    chosen: list[str] = []
    room = at_most
    for name in sorted(coded, key=lambda name: hashlib.sha256(name.encode()).digest()):
        size = len(coded[name].encode())
        if len(coded[name]) >= SHORTEST_DOCUMENT and size <= room:
            chosen.append(name)
            room -= size
    return list(dict.fromkeys(coded[name] for name in sorted(chosen)))


def _topics() -> dict[str, str]:
    path = Path(sysconfig.get_path("stdlib"), "pydoc_data", "topics.py")
    if not path.is_file():  # some distributions ship it apart; the docstrings are there
        return {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "topics":
            return {str(name): str(text) for name, text in ast.literal_eval(node.value).items()}
    return {}


def _docstrings(module: Module) -> Iterator[str]:
    """Each docstring below the dotted name of what it describes."""
    open_: list[tuple[str, _Documented]] = [(module.name, module.tree)]
    while open_:
        name, node = open_.pop()
        doc = ast.get_docstring(node, clean=False)
        if doc is not None and doc.strip():
            yield f"{name}\n\n{cleandoc(doc)}"
        inner = [child for child in node.body if isinstance(child, _Documented)]
        open_ += [(f"{name}.{child.name}", child) for child in reversed(inner) if not isinstance(child, ast.Module)]


def _unseen(text: str, seen: set[str]) -> Iterator[str]:
    """Paragraphs of ``text`` less the long ones in ``seen``, which takes up those that are new."""
    for paragraph in text.split("\n\n"):
        bare = " ".join(paragraph.split())
        if len(bare) >= REPEATED_CHARACTERS:
            if bare in seen:
                continue
            seen.add(bare)
        if bare:
            yield paragraph.rstrip()


def _without_docstrings(module: Module) -> str:
    lines = module.text.split("\n")
    for node in ast.walk(module.tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            # Where code stands on the rows of a docstring (`class A: "..."; x = 1`), the rows go whole: it is rare.
            for row in range(first.lineno - 1, first.end_lineno or first.lineno):
                lines[row] = ""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1]):  # no two blank lines after one another
            kept.append(line.rstrip())
    return "\n".join(kept).strip()
