"""Opening a store, and publishing into it: what is refused, and that the first wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.racers import COUNT, make, race
from store.racers import publish as publish_in_race
from store.samples import (
    REVISION,
    Crash,
    DyingStorage,
    add_event,
    artifact,
    attempt_of,
    id_of,
    metric,
    publish,
    said,
    trial,
    write_results,
)

from sweep.errors import BadInputError, StoreError
from sweep.store import names
from sweep.store.compact import compact
from sweep.store.read import artifact_paths, named_rows, read_file, read_needs, read_table, trial_row
from sweep.store.schema import SCHEMA_VERSION, SCHEMAS, VERSION_KEY
from sweep.store.storage import LocalStorage
from sweep.store.store import FOLDERS, FORMAT, MARKER, Store, create, encode_table, find, locate, open_store


def test_a_store_is_made_where_there_is_nothing(tmp_path: Path) -> None:
    for root in (tmp_path / "a" / "b", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert find(str(root)) is None
        opened = (create(str(root)), create(str(root)), open_store(f"file://{root}"), find(str(root)))
        assert [one.root for one in opened if one is not None] == [root] * 4
        assert {entry.name for entry in root.iterdir()} == {MARKER, *FOLDERS}
        assert (root / "_tmp").is_dir()


def test_a_crash_while_a_store_is_made_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    true_mkdir = Path.mkdir
    made: list[Path] = []

    def mkdir(self: Path, *args: Any, **kwargs: Any) -> None:
        if len(made) == 3:
            raise Crash
        made.append(self)
        true_mkdir(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(Crash):
        create(str(root))
    monkeypatch.undo()
    assert {entry.name for entry in create(str(root)).root.iterdir()} == {MARKER, *FOLDERS}


def test_many_may_make_the_same_store(tmp_path: Path) -> None:
    assert race(make, str(tmp_path / "store")) == [str(tmp_path / "store")] * COUNT
    assert len(open_store(str(tmp_path / "store")).table_names("attempts")) == COUNT


def _marker(root: Path, content: object) -> None:
    root.mkdir()
    (root / MARKER).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged; restore it"),
        ([], "was not written by Noisegrid; give another folder"),
        ({"format": "else", "schema_version": 1}, "was not written by Noisegrid"),
        (
            {"format": FORMAT, "schema_version": SCHEMA_VERSION + 1},
            rf"schema version {SCHEMA_VERSION + 1}; this .*Update",
        ),
        ({"format": FORMAT}, "schema version None; this program reads up to"),
    ],
)
def test_what_is_no_store_of_ours_is_refused(tmp_path: Path, content: object, message: str) -> None:
    _marker(tmp_path / "store", content)
    for opening in (find, open_store, create):
        with pytest.raises(StoreError, match=message):
            opening(str(tmp_path / "store"))


def test_foreign_folders_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("")
    for location, message in {
        str(tmp_path / "file"): "is a file; a store is a folder",
        str(tmp_path / "file" / "below"): "is a file; a store is a folder",
        str(tmp_path / "folder"): "is not empty and holds no noisegrid.json",
        "s3://bucket/x": "s3:// is not supported; give a folder",
        "": "is empty; give a folder",
    }.items():
        for opening in (find, create):
            with pytest.raises((StoreError, BadInputError), match=message):
                opening(location)
    with pytest.raises(
        (StoreError, BadInputError), match=r"there is no store here; `sweep run SPACE --store .*new` makes one"
    ):
        open_store(str(tmp_path / "new"))
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "folder", "thesis.tex"}
    assert locate("~/x") == Path.home() / "x"


def test_an_unreadable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    create(str(tmp_path / "store"))
    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(StoreError, match=r"cannot be read \(Permission denied\)"):
        find(str(tmp_path / "store"))
    monkeypatch.undo()
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: refuse(tmp_path))
    with pytest.raises(StoreError, match=r"cannot (be made|write .*)\W+Permission denied"):
        create(str(tmp_path / "other"))


def test_first_wins(store: Store) -> None:
    assert publish(store, 1, attempt_of(5))
    before = said(store)
    assert not publish(store, 1, attempt_of(4))
    after = said(store)
    assert [after[table] for table in ("trials", "metrics", "artifacts")] == [
        before[table] for table in ("trials", "metrics", "artifacts")
    ]
    assert store.storage.names("metrics") == [f"{id_of(1)}-{attempt_of(5)}.parquet"]
    assert store.storage.names("files") == [f"{id_of(1)}-{attempt_of(5)}"]
    assert publish(store, 1, attempt_of(4), revision="f" * 12)  # another revision is another answer
    assert store.index().published == {id_of(1): {REVISION, "f" * 12}}
    row = trial_row(store, id_of(1))
    assert row is not None
    assert read_needs(row) == {}


def test_a_latecomer_does_not_show_even_for_a_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the winner's file has long been merged, no second row is put in its place to be taken away again."""
    publish(store, 1), publish(store, 2)
    compact(store)
    created: list[str] = []
    true_create = LocalStorage.create

    def create_(self: LocalStorage, name: str, content: bytes, **how: bool) -> bool:
        created.append(name)
        return true_create(self, name, content, **how)

    monkeypatch.setattr(LocalStorage, "create", create_)
    assert not publish(store, 1, attempt_of(9))
    assert {name.partition("/")[0] for name in created} == {"attempts", "artifacts", "files", "metrics"}


def test_eight_processes_publish_the_same_trials(store: Store) -> None:
    """Exactly one wins each, also while two of them compact; what is joined is the winner's."""
    count = 6
    answers = race(publish_in_race, str(store.root), count)
    won = sorted(pair for answer in answers for pair in answer)
    assert [each for each, _ in won] == list(range(count))
    compact(store)
    assert len(read_table(store, "trials")) == count
    for each, attempt in won:
        row = trial_row(store, id_of(each), REVISION)
        assert row is not None
        assert row["attempt"] == attempt
        metrics = named_rows(store, "metrics", names.part_name(id_of(each), attempt))
        assert [(one["metric"], one["attempt"]) for one in metrics] == [("inverted", attempt), ("top1", attempt)]
        (path,) = artifact_paths(store, id_of(each), REVISION).values()
        assert path.read_text() == f"content {each} {attempt}"
    metrics = read_table(store, "metrics").to_pylist()
    assert {(row["id"], row["attempt"]) for row in metrics} == {(id_of(each), attempt) for each, attempt in won}
    assert len(metrics) == 2 * count
    outcomes = [row["outcome"] for row in read_table(store, "attempts").to_pylist() if row["event"] == "ended"]
    assert sorted(outcomes) == ["done"] * count + ["lost"] * (COUNT - 1) * count


def test_a_crash_at_any_step_of_publishing_shows_all_or_nothing(store: Store, tmp_path: Path) -> None:
    publish(store, 0)
    probe = DyingStorage(store.root)
    publish(Store(probe), 1)
    for at in range(probe.count):
        number = 10 + at
        with pytest.raises(Crash):
            publish(Store(DyingStorage(store.root, at)), number)
        row = trial_row(store, id_of(number), REVISION)
        assert (row is not None) is store.published(id_of(number), REVISION)
        if row is not None:
            assert len(named_rows(store, "metrics", names.part_name(id_of(number), row["attempt"]))) == 2
            assert artifact_paths(store, id_of(number), REVISION)
        assert publish(store, number, attempt_of(500)) is (row is None)
        assert store.published(id_of(number), REVISION)


def test_a_row_that_does_not_fit_is_refused(store: Store) -> None:
    import pyarrow as pa

    row = metric(1)
    for wrong, kind in [
        ({**row, "extra": 1}, KeyError),
        ({key: row[key] for key in row if key != "value"}, KeyError),
        ({**row, "id": None}, pa.ArrowInvalid),
        ({**row, "step": 1.5}, pa.ArrowTypeError),
        ({**row, "value": True}, pa.ArrowTypeError),
        ({**row, "final": 1}, pa.ArrowInvalid),
        ({**row, "value": "0.5"}, pa.ArrowInvalid),
        ({**row, "step": 2**70}, OverflowError),
    ]:
        with pytest.raises(kind):
            store.add("metrics", "x", [wrong])
    assert store.storage.names("metrics") == []


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    value=st.one_of(st.none(), st.floats()),
    name=st.text(st.characters(codec="utf-8"), max_size=20),
    step=st.integers(-(2**63), 2**63 - 1),
)
def test_rows_come_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, value: Any, name: str, step: int) -> None:
    store = create(str(tmp_path_factory.mktemp("store") / "s"))
    row = metric(1, value=value, metric=name, step=step)
    store.add("metrics", "x", [row])
    assert repr(read_file(store, "metrics", "x")) == repr([row])


def test_names_alone_tell_the_plan(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store, 1)
    add_event(store, 2, "raised")
    add_event(store, 3, "died"), add_event(store, 3, "died", attempt_of(9))
    add_event(store, 4, "interrupted")
    store.storage.create("trials/foreign.parquet", b"")
    store.storage.create("attempts/a-b.parquet", b"")

    def refuse(self: LocalStorage, name: str) -> bytes:
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr(LocalStorage, "read", refuse)
    index = store.index()
    assert index.published == {id_of(1): {REVISION}}
    assert index.failures == {(id_of(2), REVISION): 1}
    assert index.deaths == {(id_of(3), REVISION): 2}
    assert store.deaths(id_of(3), REVISION) == 2
    assert index.done(id_of(1), REVISION)
    assert index.done(id_of(1), None)
    assert index.stale(id_of(1), "f" * 12)
    assert not index.stale(id_of(2), REVISION)
    assert not index.done(id_of(1), "f" * 12)


def test_attempt_ids_sort_by_time_and_differ() -> None:
    found = [names.attempt_id() for _ in range(200)]
    assert len(set(found)) == 200
    assert {len(each) for each in found} == {21}
    assert sorted(each[:11] for each in found) == [each[:11] for each in found]


def test_files_of_another_table_or_version_are_refused(store: Store) -> None:
    store.storage.create("trials/x.parquet", encode_table(SCHEMAS["metrics"].empty_table()))
    schema = SCHEMAS["trials"]
    newer = schema.with_metadata({**schema.metadata, VERSION_KEY: b"99"})
    store.storage.create("trials/y.parquet", encode_table(newer.empty_table()))
    store.storage.create("trials/z.parquet", b"PAR1nonsensePAR1")
    store.storage.create("trials/w.parquet", encode_table(schema.empty_table().drop_columns(["spec"])))
    for name, message in {
        "x": "not a file of the table 'trials' of a Noisegrid store; move it elsewhere",
        "y": "schema version 99; this program reads up to 2. Update Noisegrid",
        "z": r"is damaged \(.*\); see `sweep verify`",
        "w": r"is damaged \(.*spec.*\); see `sweep verify`",
    }.items():
        with pytest.raises(StoreError, match=rf"store .*: trials/{name}\.parquet .*{message}"):
            read_file(store, "trials", name)
    assert read_file(store, "trials", "none") == []


def test_missing_artifacts_and_hostile_paths_are_refused(store: Store) -> None:
    publish(store, 1)
    with pytest.raises(StoreError, match=f"trial {id_of(2)} is not published in revision {REVISION}"):
        artifact_paths(store, id_of(2), REVISION)
    (path,) = artifact_paths(store, id_of(1), REVISION).values()
    path.unlink()
    with pytest.raises(StoreError, match=r"model\.bin of trial .* is missing; restore"):
        artifact_paths(store, id_of(1), REVISION)
    write_results(store, 3, with_artifact=False)
    store.add("artifacts", f"{id_of(3)}-{attempt_of(3)}", [artifact(3, b"", path="../../etc/passwd")])
    store.publish_trial(trial(3))
    with pytest.raises(StoreError, match="leads out of the store"):
        artifact_paths(store, id_of(3), REVISION)


def test_an_attempt_is_discarded_with_its_folders(store: Store) -> None:
    write_results(store, 1)
    part = names.part_name(id_of(1), attempt_of(1))
    store.storage.create(f"files/{part}/images/deep/0.png", b"")
    write_results(store, 1, attempt_of(2))
    store.discard_attempt(id_of(1), attempt_of(1))
    store.discard_attempt(id_of(1), attempt_of(1))
    assert store.storage.names("files") == [names.part_name(id_of(1), attempt_of(2))]
    assert store.storage.names("metrics") == [f"{names.part_name(id_of(1), attempt_of(2))}.parquet"]


def test_what_a_revision_was_made_of_is_kept(store: Store) -> None:
    store.write_revision(REVISION, json.dumps({"sources": {"a": "1"}}))
    store.write_revision(REVISION, json.dumps({"sources": {"a": "2"}}))
    assert store.read_revision(REVISION) == {"sources": {"a": "1"}}
    assert store.read_revision("f" * 12) == {}
