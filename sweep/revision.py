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

    def as_json(self) -> str:
        return json.dumps(
            {"sources": dict(self.sources), "data": self.data, "needs": dict(self.needs)}, sort_keys=True, indent=1
        )


def revisions(trials: Iterable[Trial], data_root: Path | None) -> dict[str, Revision | None]:
    """The present revision of each trial by id; None where its data is not on this machine.

    ``trials`` must list what is needed before what needs it.
    """
    found: dict[str, Revision | None] = {}
    for trial in trials:
        needed = {role: found.get(other) for role, other in trial.needs.items()}
        data = data_digest(trial.spec.dataset, data_root)
        known = {role: one.digest for role, one in needed.items() if one is not None}
        if data is None or len(known) < len(needed):
            found[trial.id] = None
            continue
        sources = source_digests(trial.spec.family, trial.spec.noise.law, trial.spec.dataset)
        text = json.dumps([sorted(sources.items()), data, sorted(known.items())])
        digest = hashlib.sha256(text.encode()).hexdigest()[:REVISION_DIGITS]
        found[trial.id] = Revision(digest, sources, data, known)
    return found


@cache
def data_digest(name: str, root: Path | None) -> str | None:
    """SHA-256 of a data set's content, or None where it is not on this machine."""
    dataset = registry.dataset(name)
    return dataset.digest(root) if dataset.present(root) else None


@cache
def source_digests(family_name: str, law: str, dataset: str) -> dict[str, str]:
    """Module name -> digest, over everything that decides the numbers of such a trial."""
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
        text = path.read_text(encoding="utf-8")
        digests[name] = hashlib.sha256(bare(text).encode()).hexdigest()[:REVISION_DIGITS]
        queue.extend(imported(text, name, path.name == "__init__.py"))
    missing = [name for name in start if name not in digests]
    if missing:
        raise BadInputError(
            f"the sources of trainer {family_name!r} cannot be read: {', '.join(missing)}; "
            "a plug-in must name importable Python modules"
        )
    return dict(sorted(digests.items()))


def module_path(name: str) -> Path | None:
    """The source file of a module, found without importing it; None for what is no Python source."""
    head, _, rest = name.partition(".")
    try:
        spec = find_spec(head)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if rest:
        path = path.parent.joinpath(*rest.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path if path.is_file() and path.suffix == ".py" else None


def imported(text: str, name: str, is_package: bool) -> set[str]:
    """Modules that a source imports anywhere, inside functions too; annotation-only imports are passed over."""
    found: set[str] = set()
    package = name if is_package else name.rpartition(".")[0]

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(text))
    return found


def bare(text: str) -> str:
    """A source without comments, docstrings, blank lines and trailing spaces; the same under any Python version."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                for row in range(first.lineno, (first.end_lineno or first.lineno) + 1):
                    lines[row - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


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
