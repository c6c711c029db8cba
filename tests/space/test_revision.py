"""Revisions: what changes one and what does not; which modules count; what is said of a difference."""

from __future__ import annotations

import ast
import fractions
import inspect
import itertools
import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fixtures.toy import forget, installed
from hypothesis import given
from hypothesis import strategies as st
from space.bad_files import HEAD, group
from space.conftest import Load

import sweep.revision
import trainers.spec
from sweep.errors import BadInputError
from sweep.revision import (
    REVISION_DIGITS,
    Revision,
    bare,
    changes,
    imported,
    module_path,
    parents,
    revisions,
    source_digests,
)

# The bare source

SAME = {
    "comment": ("x = 1  # why\n", "x = 1\n"),
    "comment_line": ("# why\nx = 1\n    # indented\ny = 2\n", "x = 1\ny = 2\n"),
    "blank_lines": ("x = 1\n\n\n\ny = 2", "x = 1\ny = 2\n"),
    "trailing_spaces": ("x = 1   \n", "x = 1\n"),
    "line_ends": ("x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
    "module_docstring": ('"""What."""\nx = 1\n', '"""What,\n\n   and why."""\nx = 1\n'),
    "docstring": ('def f():\n    """A."""\n    return 1\n', "def f():\n    '''B,\n    C.'''\n    return 1\n"),
    "docstring_gone": ('def f():\n    """A."""\n    return 1\n', "def f():\n    return 1\n"),
    "docstring_only": ('class A(Exception):\n    """A."""\n', 'class A(Exception):\n    """B."""\n'),
    "docstring_of_async": ('async def f():\n    "A"\n    await g()\n', "async def f():\n    await g()\n"),
    "docstring_decorated": ('@d(1)\ndef f():\n    "A"\n    return 1\n', "@d(1)\ndef f():\n    return 1\n"),
    "docstring_one_line": ('def f(): "A"\n', 'def f(): "B"\n'),
    "docstring_method": ("class A:\n  def f(self):\n    'f'\n    g\n", "class A:\n  def f(self):\n    g\n"),
    "docstring_semicolon": ('def f(): "A"; return 1\n', 'def f(): "B"; return 1\n'),
    "docstring_after_wide_text": ('é = 1; "é"\ndef f(): "é"; return "ü"\n', 'é = 1; "é"\ndef f(): "e"; return "ü"\n'),
    "docstring_and_comment": ('def f():\n    "A"  # why\n    return 1\n', "def f():\n    return 1\n"),
    "comment_between_strings": ('x = ("a"\n     # why\n     "b")\n', 'x = ("a"\n     "b")\n'),
    "comment_after_long_string": ('x = """a\nb"""  # why\n', 'x = """a\nb"""\n'),
}  # fmt: skip

OTHER = {
    "value": ("x = 1\n", "x = 2\n"),
    "signature_of_one_line": ('def f(a): "A"\n', 'def f(b): "A"\n'),
    "code_after_docstring": ('def f(): "A"; return 1\n', 'def f(): "A"; return 2\n'),
    "code_after_module_docstring": ('"A"; x = 1\n', '"A"; x = 2\n'),
    "base_of_docstring_only": ('class A(Exception):\n    "A"\n', 'class A(ValueError):\n    "A"\n'),
    "decorator": ("@d(1)\ndef f(): pass\n", "@d(2)\ndef f(): pass\n"),
    "hash_in_string": ("x = 'a # b'\n", "x = 'a # c'\n"),
    "hash_in_f_string": ("x = f'{a}# b'\n", "x = f'{a}# c'\n"),
    "hash_in_long_string": ('x = """\n# a\n"""\n', 'x = """\n# b\n"""\n'),
    "blank_line_in_string": ('x = """a\n\nb"""\n', 'x = """a\nb"""\n'),
    "spaces_in_string": ('x = """a  \nb"""\n', 'x = """a\nb"""\n'),
    "spaces_in_f_string": ('x = f"""a  \n{b}"""\n', 'x = f"""a\n{b}"""\n'),
    "string_that_is_no_docstring": ('x = 1\n"A"\n', 'x = 1\n"B"\n'),
    "assigned_string": ('def f():\n    x = "A"\n', 'def f():\n    x = "B"\n'),
    "bytes": ('def f():\n    b"A"\n', 'def f():\n    b"B"\n'),
    "indent": ("if a:\n    b()\n    c()\n", "if a:\n    b()\nc()\n"),
}


@pytest.mark.parametrize("case", sorted(SAME))
def test_what_does_not_change_a_revision(case: str) -> None:
    one, other = SAME[case]
    assert bare(one) == bare(other)


@pytest.mark.parametrize("case", sorted(OTHER))
def test_what_changes_a_revision(case: str) -> None:
    one, other = OTHER[case]
    assert bare(one) != bare(other)


PIECES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "def f(a): 'doc'",
            "class A:\n    '''doc'''\n    y = f'{x}#'",
            "z = '''p \n\n# q'''",
            "async def g():\n    return 2",
        ]
    ),
    min_size=1,
    max_size=5,
)


@given(PIECES, st.integers(0, 3), st.sampled_from(["", "# note", "#"]))
def test_notes_and_gaps_between_statements_never_count(pieces: list[str], gap: int, note: str) -> None:
    plain = "\n".join(pieces)
    spaced = "\n".join(f"{piece}\n{note}" + "\n" * gap for piece in pieces)
    assert bare(plain) == bare(spaced)


@pytest.mark.parametrize(
    "module", [sweep.revision, textwrap, fractions, trainers.spec], ids=lambda module: module.__name__
)
def test_the_bare_source_of_a_real_module_is_its_code(module: ModuleType) -> None:
    text = inspect.getsource(module)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    assert ast.dump(ast.parse(bare(text))) == ast.dump(tree)


# Imports


def test_imports_are_found_wherever_they_stand() -> None:
    text = """
    import a.b, c as d
    from e import f as g
    from . import h
    from .i import j
    from ..k import l
    def later():
        import m
        if x:
            from n.o import *
    try:
        import p
    except ImportError:
        import q
    """
    found = imported(textwrap.dedent(text), "top.pack.module", is_package=False)
    inside = {"top.pack", "top.pack.h", "top.pack.i", "top.pack.i.j", "top.k", "top.k.l"}
    assert found == {"a.b", "c", "e", "e.f", "m", "n.o", "n.o.*", "p", "q"} | inside
    assert imported("from . import h", "top.pack", is_package=True) == {"top.pack", "top.pack.h"}


def test_imports_for_annotations_only_are_passed_over_and_their_else_is_not() -> None:
    text = """
    if TYPE_CHECKING:
        import a
    else:
        import b
    if typing.TYPE_CHECKING:
        import c
    if not TYPE_CHECKING:
        import d
    if TYPE_CHECKING or x:
        import e
    """
    assert imported(textwrap.dedent(text), "m", is_package=False) == {"b", "d", "e"}


def test_parents_are_the_packages_above() -> None:
    assert parents("a.b.c") == ["a.b", "a"]
    assert parents("a") == []


# Sources of a plug-in

Write = Callable[[dict[str, str]], str]
NUMBERS = itertools.count()  # a name is imported once a process


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes a plug-in package under a name of its own and gives that name; ``PLUG`` in a file stands for it."""
    plug = f"plug_{next(NUMBERS)}"
    folder = tmp_path / "plugins"

    def put(files: dict[str, str]) -> str:
        for name, text in files.items():
            path = folder / plug / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).replace("PLUG", plug), encoding="utf-8")
        info = folder / f"{plug}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plug}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[noisegrid.trainers]\n{plug} = {plug}.family:FAMILY\n")
        forget()
        return plug

    folder.mkdir()
    with installed(folder):
        yield put


FAMILY = """
import dataclasses, noisegrid_toy
FAMILY = dataclasses.replace(noisegrid_toy.FAMILY, name="PLUG", sources=("PLUG.trainer",))
"""
FILES = {
    "__init__.py": "",
    "family.py": FAMILY,
    "trainer.py": "def train():\n    from .inner import step\n    import numpy\n",
    "inner/__init__.py": "from PLUG.setting import SCALE\n",
    "inner/step.py": "x = 1\n",
    "setting.py": "SCALE = 1\n",
    "unused.py": "y = 1\n",
}


def test_sources_are_what_the_family_names_and_what_that_imports_of_the_package(write: Write) -> None:
    plug = write(FILES)
    found = source_digests(plug, "toy_next", "toy")
    mine = {name.removeprefix(plug).removeprefix(".") for name in found if name.startswith(plug)}
    assert mine == {"", "trainer", "inner", "inner.step", "setting"}
    assert "noisegrid_toy" in found, "the law and the data set"
    assert "trainers.spec" in found, "what the law imports of the package that is always followed"
    assert not any(name.startswith("numpy") for name in found)
    assert list(found) == sorted(found)
    assert {len(digest) for digest in found.values()} == {REVISION_DIGITS}


def test_a_change_in_a_module_is_seen_and_named_and_a_comment_is_not(write: Write, load: Load) -> None:
    plug = write(FILES)
    text = HEAD + group(family=plug)
    before = only(load, text)
    write({"inner/step.py": "# a note\nx = 1\n", "unused.py": "y = 2\n"})
    assert only(load, text) == before
    write({"inner/step.py": "x = 2\n", "setting.py": "SCALE = 2\n"})
    after = only(load, text)
    assert after.digest != before.digest
    assert changes(json.loads(before.as_json()), after) == [f"{plug}.inner.step", f"{plug}.setting"]
    write({"inner/step.py": "x = 1\n", "setting.py": "SCALE = 1\n"})
    assert only(load, text) == before


def only(load: Load, text: str) -> Revision:
    found = list(revisions(load(text).trials, None).values())
    assert len(found) == 1
    assert found[0] is not None
    return found[0]


def test_sources_need_no_import(write: Write) -> None:
    plug = write(FILES | {"trainer.py": "raise RuntimeError('imported')\n"})
    assert f"{plug}.trainer" in source_digests(plug, "toy_next", "toy")


def test_a_source_in_another_encoding(write: Write, tmp_path: Path) -> None:
    plug = write(FILES)
    path = tmp_path / "plugins" / plug / "setting.py"
    path.write_bytes("# -*- coding: latin-1 -*-\nSCALE = '\xe9'\n".encode("latin-1"))
    one = source_digests(plug, "toy_next", "toy")
    path.write_bytes(b"\xef\xbb\xbf" + "SCALE = '\xe9'\n".encode())
    forget()
    assert source_digests(plug, "toy_next", "toy") == one


@pytest.mark.parametrize("text", ["def f(:\n", "x = '\n", "\tx = 1\n  y = 2\n"])
def test_a_source_that_is_no_python_is_refused_by_name(write: Write, text: str) -> None:
    plug = write(FILES | {"inner/step.py": text})
    with pytest.raises(BadInputError, match=rf"step\.py: the module {plug}\.inner\.step cannot be read"):
        source_digests(plug, "toy_next", "toy")


def test_a_family_that_names_no_module_is_refused(write: Write) -> None:
    plug = write(FILES | {"family.py": FAMILY.replace("PLUG.trainer", "PLUG.trainr")})
    with pytest.raises(BadInputError, match=rf"sources of trainer '{plug}' cannot be read: {plug}\.trainr; a plug-in"):
        source_digests(plug, "toy_next", "toy")


def test_paths_of_modules(write: Write, tmp_path: Path) -> None:
    plug = write({**FILES, "space/deep/module.py": "x = 1\n"})
    base = tmp_path / "plugins" / plug
    assert module_path(plug) == base / "__init__.py"
    assert module_path(f"{plug}.inner") == base / "inner" / "__init__.py"
    assert module_path(f"{plug}.inner.step") == base / "inner" / "step.py"
    assert module_path(f"{plug}.space.deep.module") == base / "space" / "deep" / "module.py"
    assert module_path(f"{plug}.inner.nothing") is None
    assert module_path(f"{plug}.*") is None
    assert module_path("noisegrid_toy.registry") is None, "a module is no package, whatever lies beside it"
    assert module_path("no_such_package.at_all") is None
    assert module_path("sys") is None
    assert module_path("") is None


def test_a_package_without_init_is_found(tmp_path: Path) -> None:
    (tmp_path / "bare_space" / "inner").mkdir(parents=True)
    (tmp_path / "bare_space" / "inner" / "leaf.py").write_text("x = 1\n")
    with installed(tmp_path):
        assert module_path("bare_space") is None
        assert module_path("bare_space.inner.leaf") == tmp_path / "bare_space" / "inner" / "leaf.py"


# Revisions of trials


def test_a_trial_is_of_another_revision_once_what_it_needs_is(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = group(name="judge", fields="seed: 9")
    text = HEAD + group("grid: {seed: [0, 1]}\nneeds: {judge: {group: judge}}", name="cells") + judge
    trials = load(text).trials
    before = revisions(trials, None)
    digest = sweep.revision.data_digest
    monkeypatch.setattr(sweep.revision, "data_digest", lambda name, root: "0" * 64)
    after = revisions(trials, None)
    for trial in trials:
        old, new = before[trial.id], after[trial.id]
        assert old is not None
        assert new is not None
        assert old.digest != new.digest
        said = ["the data", "a trial it needs"] if trial.needs else ["the data"]
        assert changes(json.loads(old.as_json()), new) == said
    monkeypatch.setattr(sweep.revision, "data_digest", digest)
    assert revisions(trials, None) == before


def test_trials_of_one_kind_share_a_revision_and_those_with_needs_do_not(load: Load) -> None:
    judges = group("grid: {seed: [0, 1]}", name="judges")
    cells = group(
        "grid: {batch.size: [8, 16], seed: [0, 1]}\nneeds: {judge: {group: judges, match: [seed]}}", name="cells"
    )
    found = revisions(load(HEAD + judges + cells).trials, None)
    assert len({one.digest for one in found.values() if one is not None}) == 2


def test_absent_data_leaves_a_trial_and_what_needs_it_without_revision(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = group(name="judge", fields="seed: 9")
    trials = load(HEAD + judge + group("needs: {judge: {group: judge}}", name="cell")).trials
    monkeypatch.setattr(sweep.revision, "data_digest", lambda name, root: None)
    assert revisions(trials, None) == {trial.id: None for trial in trials}


def test_another_law_is_another_revision_of_a_noisy_trial_only(load: Load) -> None:
    axes = "grid: {noise.law: [uniform_wrong, toy_next], noise.ratio: [0, 1]}"
    trials = load(HEAD + group(axes)).trials
    found = revisions(trials, None)
    digests = {(t.spec.noise.law, t.spec.noise.ratio > 0): found[t.id] for t in trials}
    assert digests["uniform_wrong", False] == digests["uniform_wrong", True]
    assert digests["toy_next", True] != digests["uniform_wrong", True]


def test_differences_of_a_damaged_record_are_told_too() -> None:
    new = Revision("0" * 12, {"a": "1"}, "d", {})
    assert changes({}, new) == ["a", "the data", "a trial it needs"]
    assert changes({"sources": ["a"], "data": "d", "needs": {}}, new) == ["a"]
    assert changes({"sources": {"a": "1", "b": "2"}, "data": "d", "needs": {}}, new) == ["b"]
    assert changes(json.loads(new.as_json()), new) == []
