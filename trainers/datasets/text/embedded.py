"""Corpora that need no download: ``python-docs`` and ``python-source``, made from the Python that runs, at first use.

They share one tokenizer, a byte-level BPE of 2,048 tokens trained on the training documents of ``python-docs``, so that
what was trained on one can go on with the other.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.datasets.durable import sync_folder, write_durably
from trainers.datasets.root import cache_folder
from trainers.datasets.text.bpe import END_OF_TEXT, separator_id, train_bpe
from trainers.datasets.text.corpus import Corpus
from trainers.datasets.text.folder import TOKENIZER, Record, is_there, open_corpus, verified
from trainers.datasets.text.split import split_of
from trainers.datasets.text.standard_library import documentation, source_code
from trainers.datasets.text.tokenizer import read_engine
from trainers.datasets.text.writer import CorpusWriter
from trainers.errors import DataMissingError
from trainers.protocol import Dataset

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

BUILDER = 1  # raised when the same Python would give another text
VOCABULARY = 2_048
VALIDATION = Fraction(1, 16)  # of the documents; modules differ in length, and this gives about 6 % of the tokens
SOURCE_BYTES = 4_000_000
LEFTOVER_SECONDS = 3_600.0  # a build takes seconds: what is older was left by one that was killed


@dataclass(frozen=True, slots=True)
class Embedded:
    """A corpus that this machine's Python carries. ``texts`` gives its documents, ``engine`` its tokenizer."""

    name: str
    texts: Callable[[], Sequence[str]]
    engine: Callable[[Sequence[str]], Engine]

    @property
    def folder(self) -> Path:
        """Where it lies once built; it follows from Python's version and from what builds it."""
        parts = [BUILDER, sys.version, sys.implementation.name, version("tokenizers")]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
        return cache_folder() / "corpora" / f"{self.name}-{key}"

    def load(self, root: Path | None = None) -> Corpus:
        """The corpus, built before where it was not; ``root`` is not read.

        Raises:
            DataMissingError: this Python has no sources, or the cache folder cannot be written.
        """
        self._built()
        return open_corpus(self.name, self.folder, self._remedy)

    def digest(self, root: Path | None = None) -> str:
        """SHA-256 of the content, 64 hex digits; ``root`` is not read.

        Raises:
            DataMissingError: as :meth:`load`.
        """
        return self._built().digest

    def present(self, root: Path | None = None) -> bool:
        """True: it is built where it is needed."""
        return True

    def dataset(self, about: str, source: str) -> Dataset:
        """As the registry knows it."""
        return Dataset(
            name=self.name,
            version="1",
            kind="text",
            about=about,
            classes=VOCABULARY,
            shape=(),
            train_size=None,
            test_size=None,
            load=self.load,
            digest=self.digest,
            present=self.present,
            obtain="it is built from this Python's own text at first use",
            source=source,
        )

    @property
    def _remedy(self) -> str:
        return f"remove {self.folder}: it is built anew at next use"

    def _built(self) -> Record:
        """The record of the corpus as it lies in the cache, built now where it is not there or was damaged."""
        try:
            if is_there(self.folder):
                try:
                    return verified(self.name, self.folder, self._remedy)
                except DataMissingError:
                    self._set_aside()
            self._build()
        except OSError as error:
            raise DataMissingError(
                f"data set {self.name!r} cannot be built in {self.folder}: {error.strerror or error}. Make room there, "
                "or set XDG_CACHE_HOME to a folder that can be written"
            ) from error
        return verified(self.name, self.folder, self._remedy)

    def _build(self) -> None:
        """Build aside, then rename: of several processes that build at once, the first gives it its name."""
        self._sweep()
        aside = self.folder.parent / f".{self.name}-{secrets.token_hex(8)}"
        aside.mkdir(parents=True)
        try:
            texts = self.texts()
            engine = self.engine(texts)
            write_durably(aside / TOKENIZER, engine.to_str(pretty=True).encode())
            with CorpusWriter(aside, VOCABULARY, separator_id(engine, END_OF_TEXT)) as writer:
                for text in texts:
                    ids = engine.encode(text, add_special_tokens=False).ids
                    writer.append(split_of(text, VALIDATION), [ids])
                writer.finish(self.name, {"python": sys.version}, {"builder": BUILDER, "split": str(VALIDATION)})
            try:
                aside.rename(self.folder)
            except OSError:
                if not is_there(self.folder):
                    raise
            sync_folder(self.folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _sweep(self) -> None:
        for left in self.folder.parent.glob(f".{self.name}-*"):
            if time.time() - left.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(left, ignore_errors=True)

    def _set_aside(self) -> None:
        """Take a damaged corpus out of the way. Whoever has it open keeps it."""
        away = self.folder.parent / f".{self.name}-{secrets.token_hex(8)}"
        self.folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)


def _own_tokenizer(texts: Sequence[str]) -> Engine:
    return train_bpe([text for text in texts if split_of(text, VALIDATION) == "train"], VOCABULARY)


def _tokenizer_of_docs(texts: Sequence[str]) -> Engine:
    DOCS.digest()
    return read_engine(DOCS.folder / TOKENIZER)


def _source_code() -> list[str]:
    return source_code(SOURCE_BYTES)


DOCS = Embedded("python-docs", documentation, _own_tokenizer)
SOURCE = Embedded("python-source", _source_code, _tokenizer_of_docs)

PYTHON_DOCS = DOCS.dataset(
    about="the manual's topics and the standard library's docstrings of the Python that runs, about 2 MB",
    source="https://docs.python.org (PSF licence), from pydoc_data.topics and the library's own sources",
)
PYTHON_SOURCE = SOURCE.dataset(
    about="source code of the standard library without docstrings, 4 MB, in the tokens of python-docs",
    source="https://github.com/python/cpython/tree/main/Lib (PSF licence), from the Python that runs",
)
