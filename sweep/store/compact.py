"""Compaction: many small files of a table become one, while workers publish and others read or compact.

The order in which things are done makes every moment safe to die in:

1. the list of names of the new file, which tells publishers that those names are taken;
2. the new file, whose name is a digest of that list, so that two compactions of the same files make one;
3. only now the files that it stands for are removed, each list after its file.

A file is removed only where another stands for all its names. So a chain of compactions only ever grows in names,
and none can remove what another rests on. Between 2 and 3 a row lies in two files: our readers count it once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sweep.errors import StoreError
from sweep.store import names
from sweep.store.read import decode_table, patiently
from sweep.store.schema import SCHEMAS
from sweep.store.store import Store, VanishedError, encode_table
from sweep.store.sweepings import sweep

GRACE_SECONDS = 3600.0
MANY = 8  # compacted files of a table, from which on they are merged too

DIGEST_DIGITS = 16


@dataclass
class Compaction:
    """What a compaction did: files merged by table, what was swept, and what could not be read and was left alone."""

    merged: dict[str, int] = field(default_factory=dict)
    swept: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # path -> why


@dataclass(frozen=True)
class _Part:
    """A file that goes into a merge: its rows, and the names it stands for (name -> attempt, in ``trials``)."""

    stem: str
    rows: Any
    names: Mapping[str, str]


def compact(
    store: Store,
    *,
    at_least: int = 2,
    many: int = MANY,
    grace: float = GRACE_SECONDS,
    clock: Callable[[], float] = time.time,
) -> Compaction:
    """Merge the small files of each table and sweep what nobody needs.

    Metrics and artifacts are merged only for attempts that are published; those of others are swept by the rule of
    :func:`sweep.store.sweepings.sweep`.

    Args:
        at_least: fewer single files than this are not worth a merge.
        many: from so many compacted files on, they are merged as well.
        grace: seconds that a file of no known use is kept, since its writer may be about to make use of it.

    Raises:
        StoreError: the store cannot be written, or compactions elsewhere never cease.
    """
    done = Compaction()
    for table in names.TABLES:
        parts = None if table not in ("metrics", "artifacts") else _winning_parts(store)
        patiently(store, table, partial(_compact, store, table, parts, at_least, many, done))
    unread = any(path.startswith("trials/") for path in done.skipped)
    done.swept += sweep(store, _winning_parts(store), grace, clock(), attempts=not unread)
    return done


def _compact(store: Store, table: str, parts: set[str] | None, at_least: int, many: int, done: Compaction) -> None:
    stems = store.stems(table)
    old = [stem for stem in stems if names.is_compacted(stem)]
    whole: list[_Part] = []
    lists: dict[str, Mapping[str, str]] = {}
    for stem in old:
        if not store.storage.exists(names.list_name(table, stem)):
            _write_list_anew(store, table, stem, done)
        if f"{table}/{stem}{names.SUFFIX}" not in done.skipped:
            lists[stem] = store.compacted(table, stem)
    taken = {name for listed in lists.values() for name in listed}
    singles = [stem for stem in stems if not names.is_compacted(stem)]
    _remove_copies(store, table, [stem for stem in singles if stem in taken], lists, done)
    fresh = [stem for stem in singles if stem not in taken and (parts is None or stem in parts)]
    overlap = sum(map(len, lists.values())) > len(taken)
    again = list(lists) if len(lists) > 1 and (overlap or len(lists) >= many) else []
    if not again and len(fresh) < at_least:
        return
    for stem in [*again, *fresh]:
        part = _read(store, table, stem, lists.get(stem), done)
        if part is not None:
            whole.append(part)
    _merge(store, table, _less_latecomers(store, table, whole), done)


def _read(store: Store, table: str, stem: str, listed: Mapping[str, str] | None, done: Compaction) -> _Part | None:
    """A file's rows; None, and the reason written down, where they cannot be read or are not what its name says."""
    path = f"{table}/{stem}{names.SUFFIX}"
    content = store.storage.read(path)
    if content is None:
        raise VanishedError(stem)
    try:
        rows = decode_table(content, f"store {store.root}: {path}", table)
    except StoreError as error:
        done.skipped[path] = str(error)
        return None
    held = row_names(table, rows)
    if table == "checks":
        return _Part(stem, rows, listed if listed is not None else {stem: ""})
    if held.keys() != (listed.keys() if listed is not None else {stem}):
        done.skipped[path] = (
            f"store {store.root}: {path} holds other rows than its name or list says; see `sweep verify`"
        )
        return None
    return _Part(stem, rows, held)


def row_names(table: str, rows: Any) -> dict[str, str]:
    """Names of the files that the rows of an Arrow table were written in; in ``trials`` with the attempt."""
    keys = [
        name for name in ("id", "revision", "attempt", "event", "outcome", "what", "at") if name in rows.column_names
    ]
    rows = rows.select(keys)
    if len(rows) > 100:  # grouping costs half a millisecond, which a file of few rows is not worth
        rows = rows.group_by(keys).aggregate([])
    distinct = rows.to_pylist()
    return {names.row_name(table, row): row["attempt"] if table == "trials" else "" for row in distinct}


def _less_latecomers(store: Store, table: str, whole: list[_Part]) -> list[_Part]:
    """Leave out trials that another compaction has meanwhile merged as published by another attempt.

    What was read as a single file may have been put in the place of the first by a worker that is about to
    withdraw it (see ``Store.publish_trial``).
    """
    if table != "trials":
        return whole
    kept = []
    for part in whole:
        others = store.compacted_stems(table, part.stem).values() if not names.is_compacted(part.stem) else ()
        if all(attempt == part.names[part.stem] for attempt in others):
            kept.append(part)
    return kept


def _merge(store: Store, table: str, whole: list[_Part], done: Compaction) -> None:
    if len(whole) < 2:  # the others could not be read
        return
    listed: dict[str, str] = {}
    for part in whole:
        for name, attempt in part.names.items():
            listed.setdefault(name, attempt)
    text = list_text(listed)
    stem = names.COMPACTED + hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]
    inputs = [part for part in whole if part.stem != stem]
    list_name, path = names.list_name(table, stem), f"{table}/{stem}{names.SUFFIX}"
    store.storage.create(list_name, text.encode())
    if not store.storage.create(path, encode_table(_joined(table, whole))):
        _check_holds(store, table, stem, listed)  # made by a compaction that died or is at work
    store.storage.create(list_name, text.encode())  # another may have swept it, had we been asleep for an hour
    for part in inputs:
        store.storage.remove(f"{table}/{part.stem}{names.SUFFIX}")
    for part in inputs:
        if names.is_compacted(part.stem):
            store.storage.remove(names.list_name(table, part.stem))
    done.merged[table] = done.merged.get(table, 0) + len(inputs)


def _joined(table: str, whole: Iterable[_Part]) -> Any:
    """All rows in a fixed order; a name that two files stand for is taken from the first."""
    import pyarrow as pa

    seen: set[str] = set()
    pieces = [SCHEMAS[table].empty_table()]
    for part in whole:
        rows = part.rows
        held = row_names(table, rows)
        if seen & held.keys():
            keep = [names.row_name(table, row) not in seen for row in rows.to_pylist()]
            rows = rows.filter(pa.array(keep, pa.bool_()))
        pieces.append(rows)
        seen |= held.keys()
    return ordered(pa.concat_tables(pieces))


def ordered(rows: Any) -> Any:
    """The rows of an Arrow table sorted by all columns from left to right, so that equal rows make equal files."""
    return rows.sort_by([(name, "ascending") for name in rows.column_names]).combine_chunks()


def _check_holds(store: Store, table: str, stem: str, listed: Mapping[str, str]) -> None:
    """See that a compacted file stands for all these names, before anything it stands for is removed."""
    path = f"{table}/{stem}{names.SUFFIX}"
    content = store.storage.read(path)
    if content is None:
        raise VanishedError(stem)
    rows = decode_table(content, f"store {store.root}: {path}", table)
    missing = set() if table == "checks" else listed.keys() - row_names(table, rows).keys()
    if missing:
        raise StoreError(
            f"store {store.root}: {path} lacks {len(missing)} of the rows it stands for ({min(missing)} is one); "
            "nothing was removed. Restore it from a copy of the store, or move it elsewhere and compact again."
        )


def _remove_copies(
    store: Store, table: str, stems: list[str], lists: Mapping[str, Mapping[str, str]], done: Compaction
) -> None:
    """Remove single files that a compacted one stands for: left by a compaction that died, or by a latecomer."""
    for stem, listed in lists.items():
        copies = [name for name in stems if name in listed]
        if not copies:
            continue
        try:
            _check_holds(store, table, stem, dict.fromkeys(copies, ""))
        except StoreError as error:
            done.skipped[f"{table}/{stem}{names.SUFFIX}"] = str(error)
            continue
        for name in copies:
            store.storage.remove(f"{table}/{name}{names.SUFFIX}")
            done.swept.append(f"{table}/{name}{names.SUFFIX}")


def _write_list_anew(store: Store, table: str, stem: str, done: Compaction) -> None:
    path = f"{table}/{stem}{names.SUFFIX}"
    content = store.storage.read(path)
    if content is None:
        raise VanishedError(stem)
    try:
        held = row_names(table, decode_table(content, f"store {store.root}: {path}", table))
    except StoreError as error:
        done.skipped[path] = str(error)
    else:
        store.storage.create(names.list_name(table, stem), list_text(held).encode())


def list_text(listed: Mapping[str, str]) -> str:
    """A list of names as it stands in its file: sorted, a line each, a trial's winner beside it."""
    return "".join(f"{name} {attempt}".rstrip() + "\n" for name, attempt in sorted(listed.items()))


def _winning_parts(store: Store) -> set[str]:
    """Part names of all attempts that published a trial. Files that cannot be read are passed over."""

    def once() -> set[str]:
        found: set[str] = set()
        for stem in store.stems("trials"):
            content = store.storage.read(f"trials/{stem}{names.SUFFIX}")
            if content is None:
                raise VanishedError(stem)
            try:
                rows = decode_table(content, stem, "trials", ["id", "attempt"])
            except StoreError:
                continue
            found.update(names.part_name(row["id"], row["attempt"]) for row in rows.to_pylist())
        return found

    return patiently(store, "trials", once)
