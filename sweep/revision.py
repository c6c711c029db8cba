"""The revision of a trial: a digest of the code that decides its numbers, its data, and what it needs.

A trial's id says *what was asked*; its revision says *by which code and data it was answered*. Code is read, not
imported: the modules a family names, and whatever they import from the same package, found through the syntax tree.
Comments, docstrings, blank lines and trailing spaces do not count, so a spelling fix makes nothing stale.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sweep.errors import BadInputError
from sweep.trial import Trial
from trainers import registry
from trainers.protocol import Family

REVISION_DIGITS = 12


@dataclass(frozen=True)
class Revision:
    """``digest`` names the revision; the rest tells which part changed when two differ."""

    digest: str
    sources: Mapping[str, str]
    data: str
    needs: Mapping[str, str]

    @property
    def sources_digest(self) -> str:
        return digest_of_sources(self.sources)

    def as_json(self) -> str:
        return json.dumps(
            {"sources": dict(self.sources), "data": self.data, "needs": dict(self.needs)}, sort_keys=True, indent=1
        )


def digest_of_sources(sources: Mapping[str, str]) -> str:
    """One digest of :func:`source_digests`."""
    return hashlib.sha256(json.dumps(sorted(sources.items())).encode()).hexdigest()[:REVISION_DIGITS]


def revisions(trials: Iterable[Trial], data_root: Path | None) -> dict[str, Revision | None]:
    """The present revision of each trial by id; None where its data is not on this machine.

    ``trials`` must list what is needed before what needs it.
    """
    found: dict[str, Revision | None] = {}
    made: dict[tuple[object, ...], Revision] = {}  # trials of one kind mostly share a revision: made once
    for trial in trials:
        needed = {role: found.get(other) for role, other in trial.needs.items()}
        data = data_digest(trial.spec.dataset, data_root)
        known = {role: one.digest for role, one in needed.items() if one is not None}
        if data is None or len(known) < len(needed):
            found[trial.id] = None
            continue
        code = (trial.spec.family, trial.spec.noise.law, trial.spec.dataset)
        key = (code, data, tuple(sorted(known.items())))
        if key not in made:
            made[key] = _revision(source_digests(*code), data, known)
        found[trial.id] = made[key]
    return found


def _revision(sources: Mapping[str, str], data: str, needs: Mapping[str, str]) -> Revision:
    text = json.dumps([sorted(sources.items()), data, sorted(needs.items())])
    digest = hashlib.sha256(text.encode()).hexdigest()[:REVISION_DIGITS]
    return Revision(digest, sources, data, needs)


@cache
def data_digest(name: str, root: Path | None) -> str | None:
    """SHA-256 of a data set's content, or None where it is not on this machine."""
    dataset = registry.dataset(name)
    return dataset.digest(root) if dataset.present(root) else None


@cache
def source_digests(family_name: str, law: str, dataset: str) -> dict[str, str]:
    """Module name -> digest, over everything that decides the numbers of such a trial.

    Raises:
        BadInputError: a module that the family, the law or the data set names is no readable Python source.
    """
    family: Family = registry.family(family_name)
    start = [*family.sources, registry.module("noise law", law), registry.module("data set", dataset)]
    packages = {name.partition(".")[0] for name in start} | {"trainers"}
    digests: dict[str, str] = {}
    queue = list(start)
    while queue:
        name = queue.pop()
        if name in digests or name.partition(".")[0] not in packages:
            continue
        path = module_path(name)
        if path is None:
            continue
        digests[name], others = _read(path, name)
        queue.extend(others)
        queue.extend(parents(name))  # which Python runs before the module itself
    missing = [name for name in start if name not in digests]
    if missing:
        raise BadInputError(
            f"the sources of trainer {family_name!r} cannot be read: {', '.join(missing)}; "
            "a plug-in must name importable Python modules"
        )
    return dict(sorted(digests.items()))


def _read(path: Path, name: str) -> tuple[str, frozenset[str]]:
    """The digest of a module's code, and the modules it imports."""
    try:
        with tokenize.open(path) as file:  # heeds a byte order mark and a declared encoding
            text = file.read()
        return _digested(text, name, path.name == "__init__.py")
    except (OSError, SyntaxError, ValueError, tokenize.TokenError) as error:
        raise BadInputError(f"{path}: the module {name} cannot be read as Python source: {error}") from None


@cache  # trials of several families, laws and data sets have most of their modules in common
def _digested(text: str, name: str, is_package: bool) -> tuple[str, frozenset[str]]:
    digest = hashlib.sha256(bare(text).encode()).hexdigest()[:REVISION_DIGITS]
    return digest, frozenset(imported(text, name, is_package))


def module_path(name: str) -> Path | None:
    """The source file of a module, found without importing it; None for what is no Python source."""
    head, *rest = name.split(".")
    try:
        spec = find_spec(head)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return _source(Path(spec.origin)) if spec.origin else None
    for folder in spec.submodule_search_locations or ():  # several for a package without __init__
        path = Path(folder, *rest)
        found = _source(path / "__init__.py") or _source(path.with_name(f"{path.name}.py"))
        if found is not None:
            return found
    return None


def _source(path: Path) -> Path | None:
    return path if path.suffix == ".py" and path.is_file() else None


def parents(name: str) -> list[str]:
    """The packages that a module lies in: ``a.b`` and ``a`` for ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


def imported(text: str, name: str, is_package: bool) -> set[str]:
    """Modules that a source imports anywhere, inside functions too; annotation-only imports are passed over."""
    found: set[str] = set()
    package = name if is_package else name.rpartition(".")[0]
    queue: list[ast.AST] = [ast.parse(text)]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and _type_checking(node.test):
            queue.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                base = ".".join([*above[: len(above) - node.level + 1], *([base] if base else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        queue.extend(ast.iter_child_nodes(node))
    return found


def _type_checking(test: ast.expr) -> bool:
    """Whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``, which never holds at run time."""
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def bare(text: str) -> str:
    """A source without comments, docstrings, blank lines and trailing spaces; the same under any Python version.

    What stands inside a string counts to the last space. The result is for hashing: a body that was a docstring only
    is gone from it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # as Python itself reads lines
    lines = text.split("\n")
    tree = ast.parse(text)
    inside = _rows_inside_strings(tree)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
            if not lines[row - 1]:
                inside.discard(row)
    for string in _docstrings(tree):
        _cut(lines, string)
        inside -= set(range(string.lineno, _last(string) + 1))
    kept = []
    for row, line in enumerate(lines, 1):
        whole = line if row in inside else line.rstrip()
        if whole or row in inside:
            kept.append(whole)
    return "\n".join(kept)


def _last(node: ast.expr) -> int:
    return node.end_lineno or node.lineno


def _rows_inside_strings(tree: ast.AST) -> set[int]:
    """Rows whose line end lies inside a string, or between the parts of one."""
    rows: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            rows.update(range(node.lineno, _last(node)))
    return rows


def _docstrings(tree: ast.AST) -> list[ast.Constant]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                value = first.value
                if isinstance(value.value, str):
                    found.append(value)
    return found


def _cut(lines: list[str], node: ast.expr) -> None:
    """Remove what a node spans from ``lines``; rows stay, columns of the syntax tree are bytes of UTF-8."""
    first, last = node.lineno - 1, _last(node) - 1
    before = lines[first].encode()[: node.col_offset].decode()
    after = lines[last].encode()[node.end_col_offset :].decode()
    lines[first : last + 1] = [before + after, *[""] * (last - first)]


def changes(old: Mapping[str, object], new: Revision) -> list[str]:
    """Which modules, data or needs differ between a stored revision and the present one."""
    before = old.get("sources")
    before = before if isinstance(before, dict) else {}
    named = sorted({*before, *new.sources})
    different = [name for name in named if before.get(name) != new.sources.get(name)]
    if old.get("data") != new.data:
        different.append("the data")
    if old.get("needs") != dict(new.needs):
        different.append("a trial it needs")
    return different
