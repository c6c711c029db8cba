"""The snapshot: only what is published, each row once, the same bytes for the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from store.samples import Crash, add_event, attempt_of, digest, id_of, publish, trial, write_results

from sweep.errors import StoreError
from sweep.store import export as exporting
from sweep.store import names
from sweep.store.compact import compact
from sweep.store.digest import store_digest
from sweep.store.export import MARKER, export
from sweep.store.schema import SCHEMAS
from sweep.store.store import Store, create


def fill(store: Store) -> None:
    for number in range(3):
        publish(store, number)
    publish(store, 1, attempt_of(40), revision="f" * 12)
    write_results(store, 8)  # of an attempt that has not published
    add_event(store, 8, "started")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_five_files_of_what_is_published(store: Store, tmp_path: Path) -> None:
    fill(store)
    done = export(store, tmp_path / "out")
    assert done.rows == {"trials": 4, "metrics": 8, "attempts": 8, "artifacts": 4, "checks": 0}
    assert done.files == 0
    assert set(content(done.folder)) == {MARKER, *(f"{table}.parquet" for table in names.TABLES)}
    read = {table: pq.read_table(done.folder / f"{table}.parquet") for table in names.TABLES}
    for table, rows in read.items():
        assert rows.schema.equals(SCHEMAS[table], check_metadata=True)
        assert len(rows) == done.rows[table]
    assert id_of(8) not in read["attempts"]["id"].to_pylist()
    assert store_digest(read) == done.digest == digest(store)
    described = json.loads((done.folder / MARKER).read_text())
    assert described["digest"] == done.digest
    assert described["rows"] == done.rows
    assert duckdb.connect().sql(f"select count(*) from '{done.folder}/trials.parquet'").fetchall() == [(4,)]
    assert {*tmp_path.iterdir()} == {store.root, done.folder}


def test_the_same_rows_make_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = create(str(tmp_path / "other"))
    for number in (2, 0, 1):
        publish(other, number)
        compact(other)
    for number in range(3):
        publish(store, number)
    late = trial(1, attempt_of(70), ended=trial(1)["ended"].replace(year=2031))  # left by a crash beside the first
    other.add("trials", names.trial_name(late["id"], late["revision"]), [late])
    export(store, tmp_path / "a", artifacts=True)
    export(other, tmp_path / "b", artifacts=True)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_artifacts_are_copied_on_demand(store: Store, tmp_path: Path) -> None:
    fill(store)
    done = export(store, tmp_path / "out", artifacts=True)
    copied = {path: data for path, data in content(done.folder).items() if path.startswith("files/")}
    assert len(copied) == done.files == 4
    rows = pq.read_table(done.folder / "artifacts.parquet").to_pylist()
    assert {row["path"] for row in rows} == set(copied)
    assert copied[f"files/{id_of(2)}-{attempt_of(2)}/model.bin"] == f"content 2 {attempt_of(2)}".encode()


@pytest.mark.parametrize(
    ("change", "message"), [(None, "is missing"), (b"other", "has other bytes than were published")]
)
def test_a_changed_artifact_is_not_copied(store: Store, tmp_path: Path, change: bytes | None, message: str) -> None:
    fill(store)
    path = store.storage.path(f"files/{id_of(2)}-{attempt_of(2)}/model.bin")
    path.unlink() if change is None else path.write_bytes(change)
    with pytest.raises(StoreError, match=f"model.bin of trial {id_of(2)} {message}; see `sweep verify`"):
        export(store, tmp_path / "out", artifacts=True)
    assert not (tmp_path / "out").exists()
    assert [*tmp_path.iterdir()] == [store.root]
    assert export(store, tmp_path / "out").rows["artifacts"] == 4


def test_an_export_is_replaced_and_an_empty_folder_used(store: Store, tmp_path: Path) -> None:
    fill(store)
    (tmp_path / "out").mkdir()
    export(store, tmp_path / "out", artifacts=True)
    publish(store, 5)
    done = export(store, tmp_path / "out")
    assert done.rows["trials"] == 5
    assert not (tmp_path / "out" / "files").exists()
    assert {*tmp_path.iterdir()} == {store.root, tmp_path / "out"}


def _foreign(out: Path) -> None:
    out.mkdir()
    (out / "trials.parquet").write_bytes(b"mine")


def _marked(text: str) -> Any:
    def make(out: Path) -> None:
        out.mkdir()
        (out / MARKER).write_text(text)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda out: out.write_text("x"), "is a file; give a folder"),
        (_foreign, "is no export"),
        (_marked("{"), "is no export"),
        (_marked('{"format": "else"}'), "is no export"),
        (_marked("[]"), "is no export"),
    ],
)
def test_nothing_else_is_overwritten(store: Store, tmp_path: Path, make: Any, message: str) -> None:
    fill(store)
    out = tmp_path / "out"
    make(out)
    before = content(tmp_path)
    with pytest.raises(StoreError, match=message):
        export(store, out)
    assert content(tmp_path) == before


def test_an_export_with_something_of_the_users_is_kept(store: Store, tmp_path: Path) -> None:
    fill(store)
    export(store, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds more than one"):
        export(store, tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_store_and_export_do_not_contain_each_other(store: Store) -> None:
    for out in (store.root, store.root / "out", store.root.parent):
        with pytest.raises(StoreError, match="contain each other; give another one"):
            export(store, out)


def test_a_crash_leaves_the_old_export_whole(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    export(store, tmp_path / "out")
    before = content(tmp_path / "out")

    def die(*_: Any) -> None:
        raise Crash

    monkeypatch.setattr(exporting, "_put_in_place", die)
    publish(store, 9)
    with pytest.raises(Crash):
        export(store, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_a_rename_that_fails_puts_the_old_one_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    export(store, tmp_path / "out")
    before, true_rename = content(tmp_path / "out"), Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise OSError(30, "Read-only file system")
        return true_rename(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StoreError, match=r"cannot be put in place \(Read-only file system\)"):
        export(store, tmp_path / "out")
    assert content(tmp_path / "out") == before
    assert {*tmp_path.iterdir()} == {store.root, tmp_path / "out"}


def test_an_empty_store_makes_an_empty_export(store: Store, tmp_path: Path) -> None:
    assert set(export(store, tmp_path / "deep" / "out").rows.values()) == {0}
