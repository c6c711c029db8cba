"""Where the text of a corpus comes from: documents in an order that stays, one after the other, never all at once."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainers.errors import SourceError

#: Text files are cut into documents of about so many characters, at blank lines where there are any, so that a share of
#: one long file can be validation: some two thousand tokens each, fewer where there would not be ``PIECES`` of them.
SHORTEST_PIECE, LONGEST_PIECE = 1_024, 8_192
PIECES = 200
LONGEST_ITEM = 1 << 28  # characters of an item of a JSON array: a broken file is not read to its end into memory
_CHUNK = 1 << 20  # characters of a file at a time
_BLANKS = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Read:
    """A document, and how many bytes of the source lie before its end, about; 0 where that is unknown."""

    text: str
    bytes: int = 0


class Source(Protocol):
    """Documents of one text. ``said`` is what tells it from another; ``bytes`` its size, None where unknown."""

    @property
    def said(self) -> Mapping[str, Any]: ...

    @property
    def bytes(self) -> int | None: ...

    def documents(self, position: Any = None) -> Iterator[Read]:
        """Documents in their order, those that are blank included; from ``position`` on where one is given.

        Raises:
            SourceError: the source is not as it must be.
            UnreachableError: it does not answer.
        """

    def position(self) -> Any:
        """As JSON, the place behind the document that was given out last; None where reading begins at the start."""


class Files:
    """A file, or all files below a folder that end in one of ``READABLE``, in the order of their paths."""

    def __init__(self, path: Path, field: str) -> None:
        """Raises:
        SourceError: there is no such file or folder, or nothing in it that can be read.
        """
        self.path, self.field = path.expanduser().absolute(), field
        self.files = self._files()
        try:
            self._bytes = sum(file.stat().st_size for file in self.files)
        except OSError as error:
            raise SourceError(f"--source {path}: {error}") from error

    @property
    def said(self) -> Mapping[str, Any]:
        return {"text": str(self.path), "field": self.field, "files": len(self.files), "bytes": self._bytes}

    @property
    def bytes(self) -> int | None:
        return self._bytes

    def documents(self, position: Any = None) -> Iterator[Read]:
        """As :meth:`Source.documents`; ``position`` is always None."""
        before = 0
        for file in self.files:
            try:
                for read in self._read(file):
                    yield Read(read.text, before + read.bytes)
                before += file.stat().st_size
            except OSError as error:
                raise SourceError(f"{file} cannot be read: {error.strerror or error}") from error

    def position(self) -> Any:
        return None

    def _read(self, file: Path) -> Iterator[Read]:
        suffix = file.suffix.lower()
        if suffix in TEXTS:
            return _text(file, min(LONGEST_PIECE, max(SHORTEST_PIECE, self._bytes // PIECES)))
        return ROWS[suffix](file, self.field)

    def _files(self) -> list[Path]:
        allowed = ", ".join(READABLE)
        if self.path.is_file():
            if self.path.suffix.lower() not in READABLE:
                raise SourceError(f"--source {self.path}: files that end in {allowed} are read; rename or convert it")
            return [self.path]
        if not self.path.is_dir():
            raise SourceError(
                f"--source {self.path}: no such file or folder. Give one with files that end in {allowed}, or hf:NAME"
            )
        inside = sorted(self.path.rglob("*"), key=lambda file: file.relative_to(self.path).parts)
        found = [
            file
            for file in inside
            if file.suffix.lower() in READABLE
            and not any(part.startswith(".") for part in file.relative_to(self.path).parts)
            and file.is_file()
        ]
        if not found:
            raise SourceError(f"--source {self.path}: no file in it ends in {allowed}")
        return found


def pieces(chunks: Iterable[str], size: int) -> Iterator[str]:
    """The text of ``chunks`` in pieces of ``size`` to 2 x ``size`` characters; however it was chunked, the same.

    A piece ends at a blank line where it can, else at the end of a line, else at a space.
    """
    text, start = "", 0
    for chunk in chunks:
        text, start = text[start:] + chunk, 0
        while len(text) - start > 2 * size:
            end = _cut(text, start + size, start + 2 * size)
            yield text[start:end]
            start = end
    if len(text) > start:
        yield text[start:]


def _cut(text: str, least: int, most: int) -> int:
    for mark in ("\n\n", "\n", " "):
        found = text.find(mark, least, most)
        if found >= 0:
            return found + len(mark)
    return most


def _text(path: Path, size: int) -> Iterator[Read]:
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
        chunks = iter(lambda: file.read(_CHUNK), "")
        try:
            for piece in pieces(chunks, size):
                yield Read(piece, raw.tell())
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{path} is no UTF-8 text: {error.reason} (byte 0x{error.object[error.start]:02x}) before byte "
                f"{raw.tell():,}; convert it, with iconv for example"
            ) from error


def _json_lines(path: Path, field: str) -> Iterator[Read]:
    read = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            read += len(line)
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                raise SourceError(
                    f"{where}: this is no JSON ({error}). A row an object a line is read, or one array of objects"
                ) from error
            yield Read(text_of(row, field, where), read)


def _json(path: Path, field: str) -> Iterator[Read]:
    with path.open("rb") as file:
        head = file.read(4_096).decode("utf-8-sig", errors="replace").lstrip()
    if not head.startswith("["):
        yield from _json_lines(path, field)
        return
    for number, (row, read) in enumerate(_json_array(path), 1):
        yield Read(text_of(row, field, f"{path}, item {number}"), read)


def _json_array(path: Path) -> Iterator[tuple[Any, int]]:
    """Items of the JSON array that a file is, one at a time, each with the bytes read so far; its end must be there."""
    decoder = json.JSONDecoder()
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
        try:
            text = file.read(_CHUNK)
            at, comma_due = text.index("[") + 1, False
            while True:
                at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
                mark = text[at : at + 1]
                if mark == "]":
                    return
                if mark == "," and comma_due:
                    at, comma_due = at + 1, False
                    continue
                if mark and comma_due:
                    raise SourceError(f"{path}: a comma is due between items, {text[at : at + 20]!r} stands there")
                try:
                    item, at = decoder.raw_decode(text, at)
                except ValueError as error:  # cut off by the end of a chunk, or wrong: the rest will tell
                    more = file.read(max(_CHUNK, len(text) - at)) if len(text) - at < LONGEST_ITEM else ""
                    if not more:
                        raise SourceError(f"{path}: the array ends in the middle, or is no JSON ({error})") from error
                    text, at = text[at:] + more, 0
                    continue
                comma_due = True
                yield item, raw.tell()
        except (UnicodeDecodeError, RecursionError) as error:
            raise SourceError(f"{path} is no UTF-8 JSON: {error}") from error


def _parquet(path: Path, field: str) -> Iterator[Read]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            names = file.schema_arrow.names
            if field not in names:
                raise SourceError(f"{path}: {missing_column(field, names)}")
            rows, done = max(1, file.metadata.num_rows), 0
            size = path.stat().st_size
            for batch in file.iter_batches(batch_size=256, columns=[field]):
                for value in batch.column(0).to_pylist():
                    done += 1
                    yield Read(text_of({field: value}, field, f"{path}, row {done}"), size * done // rows)
    except pa.ArrowException as error:
        raise SourceError(f"{path} cannot be read as Parquet: {error}") from error


def text_of(row: Any, field: str, where: str) -> str:
    """The text of a row; that of a null is blank.

    Raises:
        SourceError: the row has no such column, or it holds no text.
    """
    if not isinstance(row, Mapping):
        raise SourceError(f"{where}: an object with the column {field!r} is due, this is {type(row).__name__}")
    if field not in row:
        raise SourceError(f"{where}: {missing_column(field, row)}")
    value = row[field]
    if value is not None and not isinstance(value, str):
        raise SourceError(f"{where}: the column {field!r} holds {type(value).__name__}, text is due; see --field")
    return value or ""


def missing_column(field: str, names: Iterable[str]) -> str:
    """The sentence for a column that is not there."""
    return f"there is no column {field!r}; --field names one of {', '.join(map(str, names)) or 'none'}"


TEXTS = (".txt", ".md")
ROWS: Mapping[str, Callable[[Path, str], Iterator[Read]]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
READABLE = (*TEXTS, *ROWS)
