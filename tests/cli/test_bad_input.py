"""Whatever is wrong is said in one message, with exit code 2 or 3, and nothing is written."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli.conftest import Command
from space.bad_files import CASES

from sweep.store.store import create

UNWRITTEN = "store"


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything under a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize(("name", "text", "expected"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_bad_grid_file(
    sweep: Command, tmp_path: Path, command: str, name: str, text: str, expected: tuple[str, ...]
) -> None:
    path = tmp_path / "grid.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    before = tree(tmp_path)
    said = sweep(command, path, "--store", UNWRITTEN)
    assert said.code == 2, said
    for fragment in expected:
        assert fragment in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert said.err.count("sweep: ") == 1
    assert tree(tmp_path) == before


def file_as_store(folder: Path) -> str:
    (folder / "file").write_text("not a store")
    return "file"


def below_a_file(folder: Path) -> str:
    (folder / "file").write_text("not a store")
    return "file/store"


def foreign_folder(folder: Path) -> str:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("x")
    return "mine"


def damaged_marker(folder: Path) -> str:
    create(str(folder / "damaged"))
    (folder / "damaged" / "noisegrid.json").write_text("{")
    return "damaged"


def foreign_marker(folder: Path) -> str:
    create(str(folder / "foreign"))
    (folder / "foreign" / "noisegrid.json").write_text('{"format": "something else"}')
    return "foreign"


def newer_store(folder: Path) -> str:
    create(str(folder / "newer"))
    marker = folder / "newer" / "noisegrid.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "schema_version": 99}))
    return "newer"


@dataclass(frozen=True)
class Case:
    name: str
    arguments: tuple[str, ...]
    code: int
    expected: tuple[str, ...]
    prepare: Callable[[Path], object] = lambda folder: None


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


GOOD = "grid.yaml"
RUN = ("run", GOOD, "--store", UNWRITTEN)
COMMANDS = [
    Case("no_store_option", ("run", GOOD), 2, ("--store",)),
    Case("no_space", ("run", "--store", "s"), 2, ("SPACE",)),
    Case("unknown_command", ("runn", GOOD), 2, ("runn",)),
    Case("unknown_option", (*RUN, "--fast"), 2, ("--fast",)),
    Case("missing_file", ("plan", "gird.yaml"), 2, ("gird.yaml", "no such grid file")),
    Case("folder_as_file", ("plan", "."), 2, ("is a folder",)),
    Case(
        "not_utf8", ("plan", "latin.yaml"), 2, ("not UTF-8",), lambda f: (f / "latin.yaml").write_bytes(b"name: \xe9")
    ),
    Case("store_is_a_file", ("run", GOOD, "--store", "file"), 3, ("is a file", "a store is a folder"), file_as_store),
    Case("store_below_a_file", ("run", GOOD, "--store", "file/store"), 3, ("a store is a folder",), below_a_file),
    Case(
        "store_is_foreign",
        ("run", GOOD, "--store", "mine"),
        3,
        ("no Noisegrid store", "another folder"),
        foreign_folder,
    ),
    Case("store_marker_damaged", ("run", GOOD, "--store", "damaged"), 3, ("damaged", "copy"), damaged_marker),
    Case("store_marker_foreign", ("run", GOOD, "--store", "foreign"), 3, ("not written by Noisegrid",), foreign_marker),
    Case("store_newer", ("run", GOOD, "--store", "newer"), 3, ("version 99", "Update"), newer_store),
    Case("store_uri", ("run", GOOD, "--store", "s3://bucket/x"), 3, ("s3://", "folder")),
    Case("store_empty", ("run", GOOD, "--store", ""), 2, ("empty",)),
    Case("plan_foreign_store", ("plan", GOOD, "--store", "mine"), 3, ("no Noisegrid store",), foreign_folder),
    Case("status_no_store", ("status", "--store", "none"), 3, ("no store here", "sweep run")),
    Case("status_foreign", ("status", "--store", "mine"), 3, ("no Noisegrid store",), foreign_folder),
    Case("show_no_store", ("show", "abc", "--store", "none"), 3, ("no store here",)),
    Case(
        "show_unknown",
        ("show", "abc", "--store", "empty"),
        3,
        ("no trial begins with abc",),
        lambda f: create(str(f / "empty")),
    ),
    Case("show_no_id", ("show", "xyz!", "--store", "empty"), 2, ("no trial id",), lambda f: create(str(f / "empty"))),
    Case("verify_no_store", ("verify", "--store", "none"), 3, ("no store here",)),
    Case("compact_no_store", ("compact", "--store", "none"), 3, ("no store here",)),
    Case("export_no_store", ("export", "--store", "none", "--out", "x"), 3, ("no store here",)),
    Case("report_no_store", ("report", "--store", "none", "--out", "x"), 3, ("no store here",)),
    Case("report_file", ("report", "--store", "file", "--out", "x"), 3, ("is a file",), file_as_store),
    Case(
        "report_empty",
        ("report", "--store", "empty", "--out", "x"),
        3,
        ("publish",),
        lambda f: create(str(f / "empty")),
    ),
    Case("address_nobody", (*RUN, "--address", closed_port()), 3, ("no Ray cluster at", "refused")),
    Case("address_no_host", (*RUN, "--address", "no-such-host.invalid:6379"), 3, ("no Ray cluster at",)),
    Case("address_no_port", (*RUN, "--address", "head"), 2, ("host:port", "6379")),
    Case("address_bad_port", (*RUN, "--address", "head:99999"), 2, ("host:port",)),
    Case("address_client", (*RUN, "--address", "ray://head:10001"), 2, ("host:port",)),
    Case(
        "address_before_file", ("run", "gird.yaml", "--store", "s", "--address", closed_port()), 3, ("no Ray cluster",)
    ),
    Case("cpus_zero", (*RUN, "--cpus", "0"), 2, ("--cpus",)),
    Case("cpus_text", (*RUN, "--cpus", "many"), 2, ("--cpus", "integer")),
    Case("cpus_with_address", (*RUN, "--address", "auto", "--cpus", "2"), 2, ("--address",)),
    Case("data_missing", (*RUN, "--data", "nowhere"), 2, ("--data nowhere", "no such folder")),
    Case("set_no_value", (*RUN, "--set", "seed"), 2, ("field=value",)),
    Case("set_unknown", (*RUN, "--set", "sede=1"), 2, ("sede", "seed")),
    Case("set_twice", (*RUN, "--set", "seed=1", "--set", "seed=2"), 2, ("given 2 times",)),
    Case("set_wrong_type", (*RUN, "--set", "seed=-1"), 2, ("seed", "-1")),
    Case("set_needs", (*RUN, "--set", "needs=1"), 2, ("needs",)),
    Case("where_no_value", (*RUN, "--where", "=1"), 2, ("field=value",)),
    Case("where_unknown", (*RUN, "--where", "sede=1"), 2, ("sede", "seed")),
    Case("where_nothing", (*RUN, "--where", "seed=77"), 2, ("seed", "77")),
    Case("where_rate", (*RUN, "--where", "noise.rate=lots"), 2, ("noise.rate", "lots")),
]


@pytest.mark.parametrize("case", COMMANDS, ids=[case.name for case in COMMANDS])
def test_a_bad_command(sweep: Command, grid: Path, tmp_path: Path, case: Case) -> None:
    case.prepare(tmp_path)
    before = tree(tmp_path)
    said = sweep(*case.arguments)
    assert said.code == case.code, said
    for fragment in case.expected:
        assert fragment in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert said.err.count("sweep: ") == 1
    assert tree(tmp_path) == before, "nothing is written"


def test_there_are_at_least_forty_cases() -> None:
    assert len(CASES) + len(COMMANDS) >= 40


def test_environment_data_folder_is_checked(sweep: Command, grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISEGRID_DATA", "/nowhere/at/all")
    said = sweep("run", grid, "--store", UNWRITTEN)
    assert said.code == 2
    assert "$NOISEGRID_DATA" in said.err
