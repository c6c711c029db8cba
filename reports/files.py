"""The files of a store, local or in an object store, as whole Arrow tables of the closed schemas."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from reports.errors import ReportError
from sweep.store.schema import SCHEMA_VERSION, SCHEMAS, TABLE_KEY, VERSION_KEY

#: A compaction replaces the files of a table once; a reader that loses the race twice in a row is already unlucky.
TRIES = 6
COMPACTED = "compacted-"  # how the names of merged files begin
READERS = 8  # threads: small files wait for the file system, not for the processor


@dataclass(frozen=True)
class StoreFiles:
    """A store opened for reading: a pyarrow file system and the store's root in it."""

    name: str
    filesystem: Any
    root: str

    def table(self, table: str, pause: Callable[[float], None] = time.sleep) -> pa.Table:
        """All rows of ``table`` as they lie in its files, in no particular order, some perhaps twice.

        A file that vanishes between listing and reading was merged by a compaction, and one that a listing torn by a
        compaction lacks may be in a merged file that came later: then the table is read anew.

        Raises:
            ReportError: a file is not of this store's format, damaged, newer than this program, or keeps vanishing.
        """
        for attempt in range(TRIES):
            if attempt:
                pause(0.05 * 2**attempt)
            paths = self._paths(table)
            try:
                with ThreadPoolExecutor(READERS) as pool:
                    parts = list(pool.map(lambda path: self._read(table, path), paths))
            except FileNotFoundError:
                continue
            if any(_is_merged(path) and path not in paths for path in self._paths(table)):
                continue
            return pa.concat_tables([SCHEMAS[table].empty_table(), *parts])
        raise ReportError(
            f"files of {self.name}/{table} vanished {TRIES} times while they were read. Is another program moving "
            "them? Wait until it has ended and repeat."
        )

    def content(self, path: str) -> bytes | None:
        """The bytes of a file named relative to the store, or None where there is none.

        A path that leads out of the store (absolute, or through ``..``) counts as none: rows are not trusted.
        """
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts or "\\" in path or "\0" in path:
            return None
        try:
            with self.filesystem.open_input_file(f"{self.root}/{relative}") as file:
                return bytes(file.read())
        except OSError:
            return None

    def _paths(self, table: str) -> list[str]:
        selector = pafs.FileSelector(f"{self.root}/{table}", allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(info.path for info in infos if info.is_file and info.path.endswith(".parquet"))

    def _read(self, table: str, path: str) -> pa.Table:
        where = f"{self.name}/{table}/{PurePosixPath(path).name}"
        try:
            with (
                self.filesystem.open_input_file(path) as source,
                pq.ParquetFile(source, page_checksum_verification=True) as file,
            ):
                _check_format(table, where, file.schema_arrow.metadata or {})
                built = _complete(file.read(), SCHEMAS[table])
                built.validate(full=True)  # text that is no UTF-8 would only fail in the queries, far from its file
                return built
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ReportError(
                f"{where} cannot be read as a {table!r} table ({reason}). Look at it with 'sweep verify', or move it "
                "out of the store."
            ) from error


def open_store(store: str | Path) -> StoreFiles:
    """Open a folder or an object-store URI that holds the five table folders.

    Raises:
        ReportError: there is no such folder, it is a file, it is no store, or the URI is not understood.
    """
    name = str(store).rstrip("/") or "/"
    if "://" in name:
        try:
            filesystem, root = pafs.FileSystem.from_uri(name)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ReportError(f"the store URI {name!r} is not understood: {error}") from error
    else:
        filesystem, root = pafs.LocalFileSystem(), Path(name).absolute().as_posix()
    try:
        here, trials = filesystem.get_file_info([root, f"{root}/trials"])
    except OSError as error:
        raise ReportError(f"the store {name!r} cannot be reached: {error}") from error
    if here.type == pafs.FileType.File:
        raise ReportError(f"the store {name!r} is a file; give the folder that 'sweep run --store' wrote to.")
    if "://" not in name and here.type == pafs.FileType.NotFound:
        raise ReportError(f"there is no store {name!r}; give the folder that 'sweep run --store' wrote to.")
    if trials.type != pafs.FileType.Directory:
        raise ReportError(
            f"{name!r} is no store: it has no folder 'trials'. Give the folder that 'sweep run --store' wrote to."
        )
    return StoreFiles(name, filesystem, root)


def _is_merged(path: str) -> bool:
    return PurePosixPath(path).name.startswith(COMPACTED)


def _complete(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """``found`` in the columns of ``schema``; a nullable one that an older program did not write yet is all null.

    Raises:
        KeyError, pyarrow.ArrowInvalid: a column is missing that may not be null, or has values of another type.
    """
    for field in schema:
        if field.nullable and field.name not in found.column_names:
            found = found.append_column(field, pa.nulls(found.num_rows, field.type))
    return found.select(schema.names).cast(schema)


def _check_format(table: str, where: str, metadata: dict[bytes, bytes]) -> None:
    found, version = metadata.get(TABLE_KEY), metadata.get(VERSION_KEY, b"")
    if found is None or not version.isdigit():
        raise ReportError(f"{where} was not written by this program; move it out of the store.")
    if int(version) > SCHEMA_VERSION:
        raise ReportError(
            f"{where} has schema version {int(version)}; this program reads up to {SCHEMA_VERSION}. Update it."
        )
    if found.decode(errors="replace") != table:
        raise ReportError(f"{where} belongs to the table {found.decode(errors='replace')!r}, not {table!r}.")
