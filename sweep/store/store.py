"""A store: where it is, whether it is one, its tables' files, and publishing."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import BadInputError, StoreError
from sweep.store import names
from sweep.store.schema import SCHEMA_VERSION, TABLE_KEY, VERSION_KEY, to_table
from sweep.store.storage import LocalStorage

MARKER = "noisegrid.json"
FORMAT = "noisegrid store"
FOLDERS = (*names.TABLES, "files", "leases", "revisions", "compacted", "_tmp")

#: How often a reader begins anew when compactions keep taking files away from under it.
TRIES = 8


class VanishedError(Exception):
    """A file was there a moment ago: a compaction has merged it, so the reader looks again."""


@dataclass(frozen=True)
class Store:
    """An opened store. Get one from :func:`find`, :func:`open_store` or :func:`create`."""

    storage: LocalStorage
    # Lists never change under their name, which is a digest, so each is read once.
    _lists: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def root(self) -> Path:
        return self.storage.root

    def stems(self, table: str) -> list[str]:
        """Names of the Parquet files of a table, without suffix; none is missed though a compaction is at work.

        A listing may miss a file that is created meanwhile, and the ones it stands for, which are removed after
        that. A second listing then sees it. Nothing is removed before its name is on a list.

        Raises:
            StoreError: compactions never cease, or the folder cannot be listed.
        """
        listed = self._stems(table)
        for _ in range(TRIES):
            if not self.storage.names(f"compacted/{table}"):
                return listed
            before, listed = listed, self._stems(table)
            if all(stem in before for stem in listed if names.is_compacted(stem)):
                # Nothing new came, so what the first listing missed was not removed by a compaction.
                return sorted({*before, *listed})
        raise StoreError(f"store {self.root}: {table} is compacted again and again; wait for that to end")

    def _stems(self, table: str) -> list[str]:
        listed = self.storage.names(table)
        return [name.removesuffix(names.SUFFIX) for name in listed if name.endswith(names.SUFFIX)]

    def table_names(self, table: str) -> set[str]:
        """Names of everything in a table, without suffix: single files and those that compacted files stand for."""
        for _ in range(TRIES):
            found: set[str] = set()
            try:
                for stem in self.stems(table):
                    if names.is_compacted(stem):
                        found |= self.compacted(table, stem).keys()
                    else:
                        found.add(stem)
            except VanishedError:
                continue
            return found
        raise StoreError(f"store {self.root}: {table} is compacted again and again; wait for that to end")

    def compacted(self, table: str, stem: str) -> Mapping[str, str]:
        """Names that a compacted file stands for; in ``trials`` with the attempt that won, else with nothing.

        Raises:
            StoreError: the list that belongs to the file is missing.
            VanishedError: neither list nor file is there any more.
        """
        known = self._lists.get((table, stem))
        if known is None:
            content = self.storage.read(names.list_name(table, stem))
            if content is None and not self.storage.exists(f"{table}/{stem}{names.SUFFIX}"):
                raise VanishedError(stem)
            content = content or self.storage.read(names.list_name(table, stem))  # written between the two looks
            if content is None:
                raise StoreError(
                    f"store {self.root}: {table}/{stem}{names.SUFFIX} has lost its list of names "
                    f"({names.list_name(table, stem)}); `sweep compact` writes it anew"
                )
            lines = (line.split() for line in content.decode(errors="replace").splitlines() if line.strip())
            known = {line[0]: line[1] if len(line) > 1 else "" for line in lines}
            self._lists[table, stem] = known
        return known

    def compacted_stems(self, table: str, name: str) -> dict[str, str]:
        """Compacted files, there or just about to be, that stand for a name; with the attempt as its list has it."""
        found: dict[str, str] = {}
        for listed in self.storage.names(f"compacted/{table}"):
            if listed.endswith(names.LIST_SUFFIX):
                stem = listed.removesuffix(names.LIST_SUFFIX)
                with contextlib.suppress(VanishedError):
                    attempt = self.compacted(table, stem).get(name)
                    if attempt is not None:
                        found[stem] = attempt
        return found

    def index(self) -> names.Index:
        """What is published, failed and died, from file names alone."""
        return names.index(self.table_names("trials"), self.table_names("attempts"))

    def deaths(self, trial: str, revision: str) -> int:
        """How many attempts at a trial ended with the death of their process."""
        return self.index().deaths[(trial, revision)]

    def published(self, trial: str, revision: str) -> bool:
        """Whether a trial is published in a revision."""
        name = names.trial_name(trial, revision)
        return self.storage.exists(f"trials/{name}{names.SUFFIX}") or bool(self.compacted_stems("trials", name))

    def add(self, table: str, name: str, rows: list[dict[str, Any]]) -> bool:
        """Create one file of a table; False where the name exists."""
        # What publishing rests on outlives a power cut. An event that is lost costs a rerun at most.
        return self.storage.create(f"{table}/{name}{names.SUFFIX}", encode(table, rows), settle=table != "attempts")

    def publish_trial(self, row: dict[str, Any]) -> bool:
        """Create the file that makes a trial published, exclusively; False where another attempt was first.

        A compaction may have replaced the winner's file in between. Its list of names, written before any file is
        removed, is looked at before and after, so one of the two looks sees it. The list tells whose row was
        merged: it may well be the one that was published here a moment ago.
        """
        name = names.trial_name(row["id"], row["revision"])
        if self.compacted_stems("trials", name) or not self.add("trials", name, [row]):
            return False
        if any(attempt != row["attempt"] for attempt in self.compacted_stems("trials", name).values()):
            self.storage.remove(f"trials/{name}{names.SUFFIX}")
            return False
        return True

    def discard_attempt(self, trial: str, attempt: str) -> None:
        """Remove the metrics and artifacts of an attempt that did not win."""
        name = names.part_name(trial, attempt)
        for table in ("metrics", "artifacts"):
            self.storage.remove(f"{table}/{name}{names.SUFFIX}")
        for path in self.storage.below(f"files/{name}"):
            self.storage.remove(path)
        self.storage.remove(f"files/{name}")

    def write_revision(self, digest: str, content: str) -> None:
        """Keep what a revision was made of, so that a later plan can name what changed."""
        self.storage.create(f"revisions/{digest}.json", content.encode())

    def read_revision(self, digest: str) -> dict[str, Any]:
        """What a revision was made of; empty where that was not kept."""
        content = self.storage.read(f"revisions/{digest}.json")
        return dict(json.loads(content)) if content else {}


def encode(table: str, rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows as the bytes of one Parquet file."""
    return encode_table(to_table(table, list(rows)))


def encode_table(built: Any) -> bytes:
    """An Arrow table as the bytes of one Parquet file (zstd)."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    many = built.num_rows > 100  # dictionaries and statistics double the time that a file of one row takes
    # Checksums of pages: zstd notices most damage, but a flipped bit may decompress into another number.
    pq.write_table(
        built, buffer, compression="zstd", use_dictionary=many, write_statistics=many, write_page_checksum=True
    )
    return buffer.getvalue()


def check_schema(metadata: dict[bytes, bytes] | None, where: str, table: str) -> None:
    """Refuse a Parquet file that is not of this program's making, or of a later version.

    Raises:
        StoreError: the file is foreign, of another table, or newer.
    """
    version = (metadata or {}).get(VERSION_KEY)
    if version is None or (metadata or {}).get(TABLE_KEY) != table.encode():
        raise StoreError(f"{where} is not a file of the table {table!r} of a Noisegrid store; move it elsewhere")
    if not version.isdigit() or int(version) > SCHEMA_VERSION:
        raise StoreError(
            f"{where} has schema version {version.decode(errors='replace')}; this program reads up to "
            f"{SCHEMA_VERSION}. Update Noisegrid to read it."
        )


def locate(location: str) -> Path:
    """The folder that a store's location names.

    Raises:
        StoreError: an object-store URI, which this version cannot write.
        BadInputError: an empty name.
    """
    scheme, mark, rest = location.partition("://")
    if mark and scheme == "file":
        return Path(rest)
    if mark:
        raise StoreError(f"store {location}: {scheme}:// is not supported; give a folder (a shared one on a cluster)")
    if not location or "\0" in location:
        raise BadInputError("the name of the store is empty; give a folder")
    return Path(location).expanduser()


def find(location: str) -> Store | None:
    """The store at ``location``, or None where there is nothing yet (no folder, or an empty one).

    Raises:
        StoreError: a file, a folder of something else, a newer store, or unreadable.
    """
    root = locate(location)
    try:
        if not root.exists():
            blocking = next((parent for parent in root.absolute().parents if parent.exists()), None)
            if blocking is not None and not blocking.is_dir():
                raise StoreError(f"store {root}: {blocking} is a file; a store is a folder")
            return None
        if not root.is_dir():
            raise StoreError(f"store {root}: is a file; a store is a folder")
        marker = root / MARKER
        if not marker.exists():
            if any(entry.name != "_tmp" for entry in root.iterdir()):
                raise StoreError(
                    f"store {root}: the folder is not empty and holds no {MARKER}, so it is no Noisegrid store; "
                    "give another folder or a new one"
                )
            return None
        described = json.loads(marker.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"store {root}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise StoreError(f"store {root}: {MARKER} is damaged; restore it from a copy of the store") from None
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise StoreError(f"store {root}: {MARKER} was not written by Noisegrid; give another folder")
    version = described.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreError(
            f"store {root}: schema version {version!r}; this program reads up to {SCHEMA_VERSION}. Update Noisegrid."
        )
    return Store(LocalStorage(root.absolute()))


def open_store(location: str) -> Store:
    """The store at ``location``.

    Raises:
        StoreError: there is none, or :func:`find` refuses it.
    """
    store = find(location)
    if store is None:
        raise StoreError(f"store {location}: there is no store here; `sweep run SPACE --store {location}` makes one")
    return store


def create(location: str) -> Store:
    """The store at ``location``, made where there is none yet.

    Raises:
        StoreError: :func:`find` refuses it, or it cannot be written.
    """
    store = find(location)
    if store is None:
        # The marker comes first: whatever has it is a store, and folders that a crash left out are made next time.
        store = Store(LocalStorage(locate(location).absolute()))
        store.storage.create(MARKER, json.dumps({"format": FORMAT, "schema_version": SCHEMA_VERSION}).encode())
    try:
        for folder in FOLDERS:
            (store.root / folder).mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"store {store.root}: cannot be made ({error.strerror})") from None
    return store
