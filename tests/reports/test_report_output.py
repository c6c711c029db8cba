"""The output folder: swapped in whole, never over something else, untouched when anything fails."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

import pytest

from reports import output
from reports.errors import ReportError

NEW = {"report.pdf": b"new", "figures/a.svg": b"<svg/>", "tables/a.csv": b"a\n"}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with an older report."""
    folder = tmp_path / "out"
    output.write(folder, {"report.pdf": b"old", "figures/gone.svg": b"<svg/>", "tables/gone.csv": b"x"})
    return folder


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    target = output.check(tmp_path / "a" / "b" / "out")
    assert not target.parent.exists()
    output.write(target, NEW)
    assert tree(target) == NEW
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_an_old_report_is_replaced_whole(old: Path) -> None:
    output.write(output.check(old), NEW)
    assert tree(old) == NEW
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_an_empty_folder_serves(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    output.write(output.check(tmp_path / "out"), NEW)
    assert tree(tmp_path / "out") == NEW


def test_a_link_is_followed(old: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(old)
    output.write(output.check(link), NEW)
    assert link.is_symlink()
    assert tree(old) == NEW


@pytest.mark.parametrize(
    "name",
    ["thesis.docx", "figures/photo.jpg", "tables/inner/deep.csv", ".git/config", "figures.txt", "verdicts.json/x"],
)
def test_anything_of_another_kind_is_left_alone(old: Path, name: str) -> None:
    (old / name).parent.mkdir(parents=True, exist_ok=True)
    (old / name).write_bytes(b"precious")
    before = tree(old)
    with pytest.raises(ReportError, match="is not part of a report; give a new folder"):
        output.check(old)
    with pytest.raises(ReportError, match="is not part of a report"):
        output.write(old, NEW)
    assert tree(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_tables_without_a_document_are_no_report(tmp_path: Path) -> None:
    (tmp_path / "out" / "tables").mkdir(parents=True)
    (tmp_path / "out" / "tables" / "mine.csv").write_bytes(b"1")
    with pytest.raises(ReportError, match="holds 'tables'"):
        output.check(tmp_path / "out")


def test_a_link_inside_is_not_followed(old: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (old / "figures" / "gone.svg").unlink()
    (old / "figures").rmdir()
    (old / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReportError, match="holds 'figures'"):
        output.check(old)


def test_a_file_and_the_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    with pytest.raises(ReportError, match="is a file; give a folder"):
        output.check(tmp_path / "out")
    with pytest.raises(ReportError, match="give a"):
        output.check(Path("/"))
    with pytest.raises(ReportError, match="cannot be looked at"):
        output.check(Path("a\0b"))


def test_below_a_file_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(ReportError, match="cannot be"):
        output.write(output.check(tmp_path / "file" / "out"), NEW)
    assert tree(tmp_path) == {"file": b"precious"}


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_full_disk_leaves_the_old_report(old: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    before, calls = tree(old), []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ReportError, match="No space left"):
        output.write(old, NEW)
    assert tree(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_where_the_swap_fails_the_old_report_comes_back(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = tree(old), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(output, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ReportError, match="Permission denied"):
        output.write(old, NEW)
    assert tree(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["out"]


FALLIBLE = (
    (os, "fsync"), (Path, "rename"), (Path, "mkdir"), (output.shutil, "rmtree"), (output, "_exchange"),
)  # fmt: skip


class KilledError(BaseException):
    """Stands for the process's end: nothing of ours runs after it."""


@pytest.mark.parametrize("exchanged", [True, False])
@pytest.mark.parametrize("point", range(9))
def test_killed_anywhere_the_folder_holds_a_whole_report(
    old: Path, monkeypatch: pytest.MonkeyPatch, point: int, exchanged: bool
) -> None:
    if exchanged and not sys.platform.startswith("linux"):
        pytest.skip("only Linux exchanges two names at once")
    if not exchanged:
        monkeypatch.setattr(output, "_exchange", lambda *_: False)
    before, calls = tree(old), []

    def counted(function: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            calls.append(function)
            if len(calls) > point:
                raise KilledError
            return function(*args, **kwargs)  # type: ignore[operator]

        return call

    for owner, name in FALLIBLE:
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    with contextlib.suppress(KilledError):
        output.write(old, NEW)
    monkeypatch.undo()
    if exchanged or old.exists():
        assert tree(old) in (before, NEW)
    else:  # between the two renames: the old one lies aside, whole
        (aside,) = (path for path in old.parent.iterdir() if ".old-" in path.name)
        assert tree(aside) == before
