"""Writing a corpus: token ids appended to two files, counted and hashed on the way, able to go on after a kill."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from trainers.datasets.durable import sync_folder, write_durably
from trainers.datasets.text.folder import (
    FREQUENCIES,
    RECORD,
    SPLITS,
    TOKENIZER,
    Record,
    file_sha256,
    token_type,
)
from trainers.errors import SourceError

_CHUNK = 1 << 22  # bytes that are read back at a time


@dataclass(frozen=True, slots=True)
class Written:
    """How far one file is: bytes, their SHA-256, documents."""

    bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    documents: int = 0


class CorpusWriter:
    """Appends documents to ``train.bin`` and ``validation.bin`` in ``folder``, which holds ``tokenizer.json`` already.

    Begun with what :meth:`sync` returned before, it drops what was written after that and goes on from there.
    """

    def __init__(
        self, folder: Path, vocabulary: int, separator: int, begun: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Raises:
        SourceError: a file is shorter than ``begun`` says, or its bytes are others.
        """
        self.folder, self.vocabulary, self.separator = folder, vocabulary, separator
        self._kind = token_type(vocabulary)
        self._end = np.array([separator], dtype=self._kind)
        self._counts = np.zeros(vocabulary, dtype=np.int64)
        self._files: dict[str, BinaryIO] = {}
        self._hashes = {split: hashlib.sha256() for split in SPLITS}
        self._bytes = dict.fromkeys(SPLITS, 0)
        self.documents = dict.fromkeys(SPLITS, 0)
        try:
            for split in SPLITS:
                path = folder / f"{split}.bin"
                self._files[split] = path.open("r+b" if begun is not None and path.exists() else "w+b")
                if begun is not None:
                    self._go_on(split, Written(**begun[split]))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> CorpusWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tokens(self) -> int:
        """Tokens written so far, separators included."""
        return sum(self._bytes.values()) // self._kind.itemsize

    def append(self, split: str, parts: Sequence[Sequence[int] | npt.NDArray[np.integer[Any]]]) -> None:
        """One document: the ids of its parts one after the other, then the separator."""
        ids = np.concatenate([*(np.asarray(part, dtype=self._kind) for part in parts), self._end])
        self._files[split].write(ids.data)
        self._hashes[split].update(ids.data)
        self._bytes[split] += ids.nbytes
        self.documents[split] += 1
        if split == "train":
            # Not bincount: that would make an array of the vocabulary's length for every short document.
            np.add.at(self._counts, ids, 1)

    def sync(self) -> dict[str, dict[str, Any]]:
        """Make durable what was appended, and tell how far that is, as JSON."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return {
            split: asdict(Written(self._bytes[split], self._hashes[split].hexdigest(), self.documents[split]))
            for split in SPLITS
        }

    def finish(self, name: str, source: Mapping[str, Any], prepared: Mapping[str, Any]) -> Record:
        """Write the frequencies and, last, the record: the folder is then a corpus."""
        self.sync()
        write_durably(self.folder / FREQUENCIES, self._counts.astype("<i8").tobytes())
        sha256 = {f"{split}.bin": self._hashes[split].hexdigest() for split in SPLITS}
        sha256 |= {other: file_sha256(self.folder / other) for other in (FREQUENCIES, TOKENIZER)}
        record = Record(
            name=name,
            vocabulary=self.vocabulary,
            separator=self.separator,
            tokens={split: self._bytes[split] // self._kind.itemsize for split in SPLITS},
            documents=dict(self.documents),
            sha256=sha256,
            bytes={file: (self.folder / file).stat().st_size for file in sha256},
            source=source,
            prepared=prepared,
        )
        write_durably(self.folder / RECORD, record.to_json().encode())
        sync_folder(self.folder)
        return record

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _go_on(self, split: str, written: Written) -> None:
        file, left = self._files[split], written.bytes
        while left and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            self._hashes[split].update(chunk)
            if split == "train":
                ids = np.frombuffer(chunk, dtype=self._kind)
                self._counts += np.bincount(ids, minlength=self.vocabulary)[: self.vocabulary]
        if left or self._hashes[split].hexdigest() != written.sha256:
            raise SourceError(
                f"{self.folder / split}.bin is not what was left there ({written.bytes:,} bytes with SHA-256 "
                f"{written.sha256[:16]}...): it was changed or damaged meanwhile. Begin anew with --restart"
            )
        file.seek(written.bytes)
        file.truncate()
        self._bytes[split], self.documents[split] = written.bytes, written.documents
