"""A corpus on disk: its folder's files, the record that describes them, and how it is opened.

train.bin, validation.bin   token ids, little-endian: uint16 where the vocabulary has at most 65,536, else uint32
frequencies.bin             how often each token occurs in train.bin, little-endian int64 [vocabulary]
tokenizer.json              the tokenizer, in the format of the `tokenizers` library
corpus.json                 the record: vocabulary, sizes, SHA-256 of each file, source, how it was prepared
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from trainers.datasets import record as records
from trainers.datasets.text.corpus import Corpus, Tokens
from trainers.datasets.text.tokenizer import FileTokenizer
from trainers.errors import DataMissingError

FORMAT = "noisegrid corpus"
VERSION = 1
RECORD, TOKENIZER, FREQUENCIES = "corpus.json", "tokenizer.json", "frequencies.bin"
SPLITS = ("train", "validation")
FILES = ("train.bin", "validation.bin", FREQUENCIES, TOKENIZER)
MAX_UINT16 = 65_536  # tokens that two bytes can tell apart

#: Files of up to so many bytes are hashed when a process first opens them (0.3 s); of more, the sizes are checked.
VERIFIED_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """What ``corpus.json`` says. ``sha256`` and ``bytes`` are by file name, ``tokens`` and ``documents`` by split.

    ``separator`` is the id of the token that ends each document. ``source`` tells where the text came from,
    ``prepared`` how; neither is part of the content.
    """

    name: str
    vocabulary: int
    separator: int
    tokens: Mapping[str, int]
    documents: Mapping[str, int]
    sha256: Mapping[str, str]
    bytes: Mapping[str, int]
    source: Mapping[str, Any] = field(default_factory=dict)
    prepared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the content, 64 hex digits: both splits, tokenizer and vocabulary; neither path nor name."""
        parts = [self.vocabulary, *(self.sha256[name] for name in ("train.bin", "validation.bin", TOKENIZER))]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def token_type(vocabulary: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """The little-endian type of token ids below ``vocabulary``."""
    return cast("np.dtype[np.uint16] | np.dtype[np.uint32]", np.dtype("<u2" if vocabulary <= MAX_UINT16 else "<u4"))


def is_there(folder: Path) -> bool:
    """Whether a corpus was prepared in ``folder``; its files are not read."""
    return (folder / RECORD).is_file()


def read_record(name: str, folder: Path, remedy: str) -> Record:
    """The record of the corpus ``name``. ``remedy`` says how to get it, or to get it anew.

    Raises:
        DataMissingError: there is none, or it is damaged, or of a newer program.
    """
    return records.read_record(name, folder / RECORD, remedy, form=FORMAT, version=VERSION, of="corpus", build=_record)


def _record(held: dict[str, Any]) -> Record:
    found = Record(**held)
    if set(found.sha256) != set(FILES) or set(found.bytes) != set(FILES) or set(found.tokens) != set(SPLITS):
        raise ValueError("it lists other files than a corpus has")
    return found


def damages(folder: Path, record: Record, *, whole: bool) -> list[str]:
    """What is wrong with the files of a corpus: a missing file, a size, and where ``whole`` a SHA-256."""
    found = []
    width = token_type(record.vocabulary).itemsize
    for split in SPLITS:
        if record.tokens[split] * width != record.bytes[f"{split}.bin"]:
            found.append(f"{RECORD} gives {split}.bin other tokens than bytes")
    for name in FILES:
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != record.bytes[name]:
            found.append(f"{name} has {path.stat().st_size:,} bytes, {record.bytes[name]:,} are due")
        elif whole and file_sha256(path) != record.sha256[name]:
            found.append(f"{name} is not the file that was prepared (its SHA-256 differs)")
    return found


def open_corpus(name: str, folder: Path, remedy: str) -> Corpus:
    """The corpus in ``folder``, its tokens mapped read-only, so that all processes of a machine share them.

    Raises:
        DataMissingError: it is not there, or damaged.
    """
    record = verified(name, folder, remedy)
    kind = token_type(record.vocabulary)
    train, validation = (
        cast(Tokens, np.memmap(folder / f"{split}.bin", dtype=kind, mode="r", shape=(record.tokens[split],)))
        for split in SPLITS
    )
    frequencies = np.memmap(folder / FREQUENCIES, dtype="<i8", mode="r", shape=(record.vocabulary,))
    return Corpus(
        name=name,
        train=train,
        validation=validation,
        vocabulary=record.vocabulary,
        tokenizer=FileTokenizer(folder / TOKENIZER),
        tokenizer_sha256=record.sha256[TOKENIZER],
        frequencies=frequencies,
    )


def verified(name: str, folder: Path, remedy: str) -> Record:
    """The record of a corpus whose files are as it says, looked at once a process while they stay as they are.

    Raises:
        DataMissingError: it is not there, or damaged.
    """
    record = read_record(name, folder, remedy)
    found = _damages_once(folder, record.digest, _marks(folder))
    if found:
        raise DataMissingError(f"data set {name!r} in {folder} is damaged: {'; '.join(found)}. To repair it, {remedy}")
    return record


@lru_cache(maxsize=64)
def _damages_once(folder: Path, digest: str, marks: tuple[tuple[int, int, int] | None, ...]) -> tuple[str, ...]:
    record = read_record(folder.name, folder, "prepare it anew")
    return tuple(damages(folder, record, whole=sum(record.bytes.values()) <= VERIFIED_BYTES))


def _marks(folder: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes where a file is replaced or written to: inode, size, time of the last change."""
    found: list[tuple[int, int, int] | None] = []
    for name in FILES:
        try:
            stat = (folder / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
