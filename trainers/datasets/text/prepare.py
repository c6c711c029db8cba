"""Preparing a corpus: text to token ids in a folder aside, continued where it was stopped, renamed when it is whole.

Beside the files of a corpus, ``NAME.partial`` holds a journal: what was asked for, how many documents were read, how
long the files were then and what their hashes were. It is written after the files were made durable, so whatever a kill
leaves behind the journal's lengths is cut off, and the end is the same, byte for byte, as without the kill.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from trainers.datasets.durable import write_durably
from trainers.datasets.partial import JOURNAL, cleared, locked, publish, refuse_others
from trainers.datasets.text.bpe import separator_id, train_bpe, vocabulary_of
from trainers.datasets.text.folder import FILES, RECORD, TOKENIZER, Record, is_there, read_record
from trainers.datasets.text.sources import Read, Source, pieces
from trainers.datasets.text.split import split_of_hash, text_hash
from trainers.datasets.text.tokenizer import read_engine
from trainers.datasets.text.vocabularies import own_size
from trainers.datasets.text.writer import CorpusWriter
from trainers.errors import SourceError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

SAMPLE_BYTES = 10_000_000  # of training text that a tokenizer is trained on
BATCH_BYTES, BATCH_DOCUMENTS = 1 << 20, 256  # tokenised at a time
JOURNAL_BYTES = 16_000_000  # of text between two entries of the journal: some seconds
PART = 1 << 19  # characters of a longer document that are tokenised in one

Ids = npt.NDArray[np.uint32]
Did = Literal["prepared", "continued", "there"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a preparation is. ``bytes`` of ``total`` were read, both 0 where the source does not tell."""

    phase: Literal["tokenizer", "text"]
    documents: int
    bytes: int
    total: int
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be prepared. ``tokenizer`` is ``bpe:N``, or tells ``engine``, which is there already, from others."""

    name: str
    folder: Path
    source: Source
    tokenizer: str
    split: Fraction
    separator: str | None = None
    engine: Callable[[], Engine] | None = None
    vocabulary: int | None = None  # that the tokenizer must have

    def said(self) -> dict[str, Any]:
        """As JSON, all that decides the bytes."""
        source = {f"source {key}" if key != "text" else "source": value for key, value in self.source.said.items()}
        return {**source, "tokenizer": self.tokenizer, "split": str(self.split), "separator": self.separator}


@dataclass(frozen=True, slots=True)
class Journal:
    """How far the files of a partial folder are. ``chain`` is a running hash of all documents that were read."""

    asked: Mapping[str, Any]
    tokenizer_sha256: str
    documents: int = 0
    chain: str = ""
    position: Any = None
    written: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def keep(self, partial: Path) -> None:
        write_durably(partial / JOURNAL, json.dumps(asdict(self), indent=1).encode())


@dataclass(frozen=True, slots=True)
class Prepared:
    record: Record
    did: Did


def prepare(
    asked: Asked,
    *,
    restart: bool = False,
    tell: Callable[[Progress], None] = lambda progress: None,
    journal_bytes: int = JOURNAL_BYTES,
) -> Prepared:
    """Prepare ``asked`` in its folder, from where an earlier call stopped; nothing where it is there already.

    Args:
        restart: forget what is there and begin anew; a finished corpus is replaced once the new one is whole.
        tell: called now and then. What it raises stops the preparation as a kill would.

    Raises:
        SourceError: source, tokenizer or options are wrong, or others than what is there was begun with.
        UnreachableError: the source or the hub does not answer, or another process prepares this corpus.
        OSError: the folder cannot be written.
    """
    if not restart and is_there(asked.folder):
        record = read_record(asked.name, asked.folder, "begin anew with --restart")
        refuse_others(asked.said(), record.prepared.get("asked"), asked.folder)
        return Prepared(record, "there")
    with locked(asked.folder, RECORD) as partial:
        if restart:
            cleared(partial, RECORD, FILES)
        if is_there(partial):  # whole, but killed before it got its name
            record = read_record(asked.name, partial, "begin anew with --restart")
            refuse_others(asked.said(), record.prepared.get("asked"), partial)
            publish(partial, asked.folder, RECORD)
            return Prepared(record, "continued")
        journal = _read_journal(asked, partial)
        did: Did = "prepared" if journal is None else "continued"
        try:
            journal = journal or _begin(asked, partial, tell)
            record = _write(asked, partial, journal, tell, journal_bytes)
        except SourceError:
            if did == "prepared":  # it never worked: nothing is left
                cleared(partial, RECORD, FILES)
            raise
        publish(partial, asked.folder, RECORD)
        return Prepared(record, did)


def _read_journal(asked: Asked, partial: Path) -> Journal | None:
    path = partial / JOURNAL
    if not path.is_file():
        return None
    try:
        journal = Journal(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path} is damaged: {error}. Begin anew with --restart") from error
    refuse_others(asked.said(), journal.asked, partial)
    engine = partial / TOKENIZER
    if not engine.is_file() or hashlib.sha256(engine.read_bytes()).hexdigest() != journal.tokenizer_sha256:
        raise SourceError(f"{engine} is not the tokenizer that the preparation began with. Begin anew with --restart")
    return journal


def _begin(asked: Asked, partial: Path, tell: Callable[[Progress], None]) -> Journal:
    """Make the tokenizer and open the journal."""
    size = own_size(asked.tokenizer) if asked.engine is None else None
    engine = asked.engine() if asked.engine is not None else train_bpe(_sample(asked, tell), size or 0)
    separator_id(engine, asked.separator)
    found = vocabulary_of(engine)
    if asked.vocabulary not in (None, found):
        raise SourceError(
            f"{asked.name} has a vocabulary of {asked.vocabulary:,}; --tokenizer {asked.tokenizer} has {found:,}"
        )
    text = engine.to_str(pretty=True).encode()
    write_durably(partial / TOKENIZER, text)
    journal = Journal(asked.said(), hashlib.sha256(text).hexdigest())
    journal.keep(partial)
    return journal


def _sample(asked: Asked, tell: Callable[[Progress], None]) -> list[str]:
    """Training documents of ``SAMPLE_BYTES`` in all: a share of them by hash where the source's size is known, else
    the first ones."""
    total = asked.source.bytes or 0
    share = min(1.0, SAMPLE_BYTES / total) if total else 1.0
    chosen: list[str] = []
    held = number = 0
    for number, read in enumerate(asked.source.documents(), 1):
        digest = _hash(read.text, number, asked)
        if not read.text.strip() or split_of_hash(digest, asked.split) != "train":
            continue
        if int.from_bytes(digest[8:16], "big") < share * 2**64:
            chosen.append(read.text)
            held += len(read.text)
        if held >= SAMPLE_BYTES:
            break
        tell(Progress("tokenizer", number, read.bytes, total))
    if not chosen:
        raise SourceError(_nothing(asked, number, "training"))
    return chosen


def _write(
    asked: Asked, partial: Path, journal: Journal, tell: Callable[[Progress], None], journal_bytes: int
) -> Record:
    engine = read_engine(partial / TOKENIZER)
    separator = separator_id(engine, asked.separator)
    chain = bytes.fromhex(journal.chain)
    total, documents, since = asked.source.bytes or 0, journal.documents, 0
    with CorpusWriter(partial, vocabulary_of(engine), separator, journal.written or None) as writer:
        for batch in _batches(_going_on(asked, journal)):
            digests = [_hash(read.text, documents + at, asked) for at, read in enumerate(batch, 1)]
            for split, ids in _encoded(engine, batch, digests, asked.split):
                writer.append(split, ids)
            for digest in digests:
                chain = _link(chain, digest)
            documents += len(batch)
            since += sum(len(read.text) for read in batch)
            if since >= journal_bytes:
                journal = replace(
                    journal,
                    documents=documents,
                    chain=chain.hex(),
                    written=writer.sync(),
                    position=asked.source.position(),
                )
                journal.keep(partial)
                since = 0
            tell(Progress("text", documents, batch[-1].bytes, total, writer.tokens))
        for split, what in (("train", "training"), ("validation", "validation")):
            if not writer.documents[split]:
                raise SourceError(_nothing(asked, documents, what))
        source = {**asked.source.said, "documents": documents, "documents_sha256": chain.hex()}
        prepared = {"asked": asked.said(), "tokenizers": version("tokenizers")}
        return writer.finish(asked.name, source, prepared)


def _going_on(asked: Asked, journal: Journal) -> Iterator[Read]:
    """Documents behind those of the journal; a source that begins at its beginning is checked on the way there."""
    documents = asked.source.documents(journal.position)
    if journal.position is None:
        chain = b""
        for number in range(1, journal.documents + 1):
            read = next(documents, None)
            chain = _link(chain, _hash(read.text, number, asked)) if read is not None else b"ended before"
        if chain.hex() != journal.chain:
            raise SourceError(
                f"the first {journal.documents:,} documents of {asked.source.said['text']} are others than those that "
                "were prepared before: the source has changed. Begin anew with --restart"
            )
    yield from documents


def _link(chain: bytes, digest: bytes) -> bytes:
    return hashlib.sha256(chain + digest).digest()


def _hash(text: str, number: int, asked: Asked) -> bytes:
    try:
        return text_hash(text)
    except UnicodeEncodeError as error:
        raise SourceError(
            f"document {number:,} of {asked.source.said['text']} is no Unicode text: {error.reason}; mend or remove it"
        ) from error


def _batches(documents: Iterator[Read]) -> Iterator[list[Read]]:
    batch: list[Read] = []
    size = 0
    for read in documents:
        batch.append(read)
        size += len(read.text)
        if size >= BATCH_BYTES or len(batch) >= BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encoded(
    engine: Engine, batch: Sequence[Read], digests: Sequence[bytes], share: Fraction
) -> Iterator[tuple[str, list[Ids]]]:
    """Split and token ids of each document that is not blank, an array a part of it."""
    parts = [(at, part) for at, read in enumerate(batch) if read.text.strip() for part in pieces([read.text], PART)]
    found: dict[int, list[Ids]] = {}
    while parts:
        some, size = 0, 0
        while some < len(parts) and size < BATCH_BYTES:
            size += len(parts[some][1])
            some += 1
        encodings = engine.encode_batch_fast([part for _, part in parts[:some]], add_special_tokens=False)
        for (at, _), encoding in zip(parts, encodings, strict=False):
            found.setdefault(at, []).append(np.array(encoding.ids, dtype=np.uint32))
        parts = parts[some:]
    for at, ids in found.items():
        yield split_of_hash(digests[at], share), ids


def _nothing(asked: Asked, documents: int, what: str) -> str:
    text = asked.source.said["text"]
    if documents == 0:
        return f"{text} has no documents"
    return (
        f"of the {documents:,} documents of {text} none that is not blank is for {what}: --split "
        f"{float(asked.split):g} of them, chosen by hash, are for validation. Give another --split, or more text"
    )
