"""Verification: silent on a sound store, and every damage named with its remedy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from store.samples import REVISION, add_event, attempt_of, dead_lease, id_of, metric, publish, trial, write_results

from sweep.store import lease as leasing
from sweep.store import names
from sweep.store.compact import GRACE_SECONDS, compact
from sweep.store.read import read_table
from sweep.store.schema import SCHEMAS
from sweep.store.store import MARKER, Store, encode_table, open_store
from sweep.store.verify import Finding, verify


def fill(store: Store) -> None:
    for number in range(3):
        publish(store, number)


def path_of(store: Store, table: str, number: int) -> Path:
    name = names.trial_name(id_of(number), REVISION)
    if table in ("metrics", "artifacts"):
        name = names.part_name(id_of(number), attempt_of(number))
    if table == "attempts":
        name = names.event_name(id_of(number), REVISION, attempt_of(number), "done")
    return store.storage.path(f"{table}/{name}.parquet")


def merged(store: Store, table: str) -> str:
    (stem,) = (stem for stem in store.stems(table) if names.is_compacted(stem))
    return stem


def age(store: Store) -> None:
    for path in store.root.rglob("*"):
        os.utime(path, (1.0, 1.0))


@pytest.mark.parametrize("compactions", [0, 1, 2])
def test_a_sound_store_has_no_findings(store: Store, compactions: int) -> None:
    fill(store)
    add_event(store, 9, "raised", reason="no")
    write_results(store, 8)  # moments ago: its writer may be about to publish
    for number in range(compactions):
        compact(store)
        publish(store, 20 + number)
    assert verify(store) == []
    assert verify(store) == []


def test_an_empty_store_is_sound(store: Store) -> None:
    assert verify(store) == []
    assert store.storage.names("checks") == []


def test_verdicts_are_recorded_in_one_file(store: Store) -> None:
    fill(store)
    bad = store.storage.path(f"files/{id_of(1)}-{attempt_of(1)}/model.bin")
    bad.write_bytes(bad.read_bytes()[:-1] + b"?")
    store.storage.remove(f"files/{id_of(2)}-{attempt_of(2)}/model.bin")
    assert len(verify(store, clock=lambda: 1e9)) == 2
    assert len(store.storage.names("checks")) == 1
    rows = {row["id"]: row for row in read_table(store, "checks").to_pylist()}
    assert {each: row["verdict"] for each, row in rows.items()} == {
        id_of(0): "ok",
        id_of(1): "damaged",
        id_of(2): "missing",
    }
    assert [row["expected"] == row["found"] for row in (rows[id_of(0)], rows[id_of(1)])] == [True, False]
    assert {(row["attempt"], row["what"], row["at"].timestamp()) for row in rows.values()} == {
        (attempt_of(number), "artifacts", 1e9) for number in range(3)
    }
    verify(store, record=False)
    assert len(store.storage.names("checks")) == 1


def _damaged(store: Store) -> None:
    path = path_of(store, "trials", 1)
    path.write_bytes(path.read_bytes()[:-9])


def _foreign(store: Store) -> None:
    store.storage.create("metrics/notes.parquet", encode_table(pa.table({"a": [1]})))


def _newer(store: Store) -> None:
    schema = SCHEMAS["metrics"]
    metadata = {key: b"7" if b"version" in key else value for key, value in schema.metadata.items()}
    store.storage.create("metrics/new.parquet", encode_table(schema.with_metadata(metadata).empty_table()))


def _no_parquet(store: Store) -> None:
    store.storage.create("trials/readme.txt", b"")


def _extra_column(store: Store) -> None:
    path = path_of(store, "metrics", 1)
    rows = read_table(store, "metrics").slice(0, 0).append_column("mine", pa.array([], pa.int64()))
    full = pa.concat_tables([rows, pa.Table.from_pylist([metric(1)], SCHEMAS["metrics"])], promote_options="default")
    path.write_bytes(encode_table(full.replace_schema_metadata(SCHEMAS["metrics"].metadata)))


def _misnamed(store: Store) -> None:
    path = path_of(store, "metrics", 1)
    path.with_name(f"{id_of(7)}-{attempt_of(7)}.parquet").write_bytes(path.read_bytes())


def _wrong_id(store: Store) -> None:
    path = path_of(store, "trials", 1)
    path.unlink()
    store.add("trials", path.stem, [trial(1, spec='{"seed": 99}')])


def _bad_json(store: Store) -> None:
    path = path_of(store, "trials", 1)
    path.unlink()
    store.add("trials", path.stem, [trial(1, needs="[]")])


def _no_metrics(store: Store) -> None:
    path_of(store, "metrics", 1).unlink()


def _no_artifacts(store: Store) -> None:
    path_of(store, "artifacts", 1).unlink()


def _short_file(store: Store) -> None:
    store.storage.path(f"files/{id_of(1)}-{attempt_of(1)}/model.bin").write_bytes(b"short")


def _hostile_path(store: Store) -> None:
    from store.samples import artifact

    path = path_of(store, "artifacts", 1)
    path.unlink()
    store.add("artifacts", path.stem, [artifact(1, b"", path="../../secret")])


def _copy(store: Store) -> None:
    content = path_of(store, "trials", 1).read_bytes()
    compact(store)
    path_of(store, "trials", 1).write_bytes(content)


def _latecomer(store: Store) -> None:
    compact(store)
    store.add("trials", names.trial_name(id_of(1), REVISION), [trial(1, attempt_of(55))])
    write_results(store, 1, attempt_of(55))


def _no_list(store: Store) -> None:
    compact(store)
    store.storage.remove(names.list_name("attempts", merged(store, "attempts")))


def _list(change: Callable[[str], str], table: str = "trials") -> Callable[[Store], None]:
    def damage(store: Store) -> None:
        compact(store)
        path = store.storage.path(names.list_name(table, merged(store, table)))
        path.write_text(change(path.read_text()))

    return damage


def _marker(store: Store) -> None:
    store.storage.replace(MARKER, b"{}")


def _temporary(store: Store) -> None:
    store.storage.create("_tmp/1-2", b"")
    age(store)


def _early_list(store: Store) -> None:
    store.storage.create("compacted/trials/compacted-00.names", b"x y\n")


def _loser(store: Store) -> None:
    write_results(store, 8)
    age(store)


def _lease(number: int) -> Callable[[Store], None]:
    def leave(store: Store) -> None:
        lease = dead_lease(number, attempt_of(number))
        store.storage.create(lease.name, leasing._encode(lease))

    return leave


@pytest.mark.parametrize(
    ("damage", "severity", "path", "what", "remedy"),
    [
        (_damaged, "error", "trials/{1}-{r}.parquet", "is damaged", "restore"),
        (_foreign, "error", "metrics/notes.parquet", "is not a file of the table 'metrics'", "restore"),
        (_newer, "error", "metrics/new.parquet", "schema version 7", "restore"),
        (_no_parquet, "warning", "trials/readme.txt", "is no Parquet file", "move it out"),
        (_extra_column, "error", "metrics/{1}-{a}.parquet", "its columns are not those of 'metrics'", "restore"),
        (_misnamed, "error", "metrics/{7}-{a7}.parquet", "holds rows of {1}-{a}", "give it its right name"),
        (_wrong_id, "error", "trials/{1}-{r}.parquet", "the id {1} is not the hash of its column 'spec'", "restore"),
        (_bad_json, "error", "trials/{1}-{r}.parquet", "the column 'needs' of {1} is no JSON object", "restore"),
        (_no_metrics, "error", "trials/{1}-{r}.parquet", "the metrics of {1}-{a} are missing", "restore"),
        (_no_artifacts, "error", "files/{1}-{a}", "the rows of 'artifacts' for these files are missing", "restore"),
        (_short_file, "error", "files/{1}-{a}/model.bin", "has 5 bytes in place of 31", "restore"),
        (_hostile_path, "error", "../../secret", "leads out of the store", "restore"),
        (_copy, "warning", "trials/{1}-{r}.parquet", "{1}-{r} lies in 2 files: trials/", "compact"),
        (_latecomer, "warning", "trials/{1}-{r}.parquet", "is published by several attempts: {a}, {a55}", "compact"),
        (_no_list, "error", "attempts/compacted-", "has lost its list compacted/attempts/compacted-", "compact"),
        (
            _list(lambda text: text + "x y\n"),
            "error",
            "trials/compacted-",
            "x is listed but not in the file",
            "restore",
        ),
        (
            _list(lambda text: "".join(text.splitlines(keepends=True)[1:])),
            "error",
            "trials/compacted-",
            "is in the file but not listed",
            "restore",
        ),
        (
            _list(lambda text: text.replace(attempt_of(1), attempt_of(3))),
            "error",
            "trials/compacted-",
            "{1}-{r} was published by attempt {a}, but its list says",
            "restore",
        ),
        (_marker, "error", MARKER, "was not written by Noisegrid", "restore"),
        (_temporary, "note", "_tmp/1-2", "a temporary file of a writer that died", "compact"),
        (_early_list, "note", "compacted/trials/compacted-00.names", "was never made", "compact"),
        (_loser, "note", "metrics/{8}-{a8}.parquet", "belongs to an attempt that published no trial", "compact"),
        (_lease(1), "note", "leases/{1}-{r}.1.json", "process 1 on here is gone", "compact"),
        (_lease(8), "note", "leases/{8}-{r}.1.json", "process 1 on here is gone", "the next run"),
    ],
)
def test_each_damage_is_named(
    store: Store, damage: Callable[[Store], None], severity: str, path: str, what: str, remedy: str
) -> None:
    fill(store)
    damage(store)

    def filled(text: str) -> str:
        for key, value in {
            "{1}": id_of(1), "{7}": id_of(7), "{8}": id_of(8), "{r}": REVISION, "{a}": attempt_of(1),
            "{a7}": attempt_of(7), "{a8}": attempt_of(8), "{a55}": attempt_of(55),
        }.items():  # fmt: skip
            text = text.replace(key, value)
        return text

    reopened = Store(store.storage)
    found = verify(reopened, record=False)
    fitting = [one for one in found if one.path.startswith(filled(path)) and filled(what) in one.what]
    assert fitting, found
    assert {one.severity for one in fitting} == {severity}
    assert all(remedy in one.remedy for one in fitting)
    assert store.storage.names("checks") == []


@pytest.mark.parametrize("damage", [_copy, _latecomer, _no_list, _temporary, _early_list, _loser, _lease(1)])
def test_what_compaction_sees_to_is_gone_after_it(store: Store, damage: Callable[[Store], None]) -> None:
    fill(store)
    damage(store)
    assert verify(Store(store.storage), record=False)
    import time

    compact(Store(store.storage), clock=lambda: time.time() + 2 * GRACE_SECONDS)
    assert verify(open_store(str(store.root)), record=False) == []


def test_a_trial_that_cannot_be_read_makes_nobody_a_loser(store: Store) -> None:
    fill(store)
    _damaged(store)
    age(store)
    found = verify(store, record=False)
    assert [(one.severity, one.path) for one in found] == [("error", f"trials/{id_of(1)}-{REVISION}.parquet")]


def test_findings_come_worst_first_and_once(store: Store) -> None:
    fill(store)
    for damage in (_lease(1), _no_parquet, _no_metrics, _short_file):
        damage(store)
    found = verify(store, record=False)
    assert [one.severity for one in found] == ["error", "error", "warning", "note"]
    assert isinstance(found[0], Finding)
    assert len(set(found)) == 4
