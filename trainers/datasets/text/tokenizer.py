"""The tokenizer of a corpus, read from its file when first used: a planner opens corpora and encodes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import DataMissingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine


@dataclass(frozen=True, slots=True)
class FileTokenizer:
    """``tokenizer.json`` as text to ids and back. What looks like a special token in a text is encoded as text."""

    path: Path

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``; no separator or other token is added.

        Raises:
            DataMissingError: the file cannot be read.
        """
        ids: list[int] = read_engine(self.path).encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens written out.

        Raises:
            DataMissingError: the file cannot be read.
        """
        text: str = read_engine(self.path).decode([int(one) for one in ids], skip_special_tokens=False)
        return text


def read_engine(path: Path) -> Engine:
    """The tokenizer of a file, bare: it cuts nothing off, pads nothing and takes special tokens in texts for text.

    Raises:
        DataMissingError: the file cannot be read as a tokenizer.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DataMissingError(f"{path} cannot be read as a tokenizer: {error}") from error
    return _read_once(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=16)
def _read_once(path: Path, marks: tuple[int, int, int]) -> Engine:
    """``marks`` tell the file from another that takes its place."""
    from tokenizers import Tokenizer

    try:
        engine = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise DataMissingError(f"{path} cannot be read as a tokenizer: {error}") from error
    return bare(engine)


def bare(engine: Engine) -> Engine:
    """``engine`` without truncation and padding, and blind to special tokens that a text spells out."""
    engine.no_truncation()
    engine.no_padding()
    engine.encode_special_tokens = True
    return engine
