"""Where the tokenizer of a new corpus comes from: trained on its text, GPT-2's, or a file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.datasets.text.bpe import END_OF_TEXT
from trainers.datasets.text.tokenizer import bare, read_engine
from trainers.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

BYTES = 256  # a byte-level vocabulary begins with every byte
FEWEST, MOST = BYTES + 1, 1_000_000
GPT2 = "gpt2"
PYTHON_DOCS = "python-docs"
_OWN = re.compile(r"bpe:([0-9]{1,7})")
_PAIRS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))


def own_size(choice: str) -> int | None:
    """N of ``bpe:N``; None for a tokenizer that is there already.

    Raises:
        SourceError: ``choice`` begins with ``bpe`` and asks for no size, or one that is out of bounds.
    """
    found = _OWN.fullmatch(choice)
    if found is None:
        if choice.startswith("bpe") and not Path(choice).exists():
            raise SourceError(f"--tokenizer {choice!r}: write bpe:N with N tokens, such as bpe:2048")
        return None
    size = int(found[1])
    if not FEWEST <= size <= MOST:
        raise SourceError(
            f"--tokenizer {choice!r}: a byte-level vocabulary has at least {FEWEST} tokens (every byte and "
            f"{END_OF_TEXT}) and at most {MOST:,}"
        )
    return size


def described(choice: str, data: Path) -> str:
    """``choice`` as a text that tells its tokenizer from any other; a file of the same name may hold another later.

    Raises:
        SourceError: as :func:`existing`.
    """
    if choice == GPT2:  # one for all times, and the network need not be asked
        return GPT2
    digest = hashlib.sha256(existing(choice, data).to_str().encode()).hexdigest()
    return f"{choice} (SHA-256 {digest[:16]})"


def existing(choice: str, data: Path) -> Engine:
    """The tokenizer that ``choice`` names: ``gpt2``, a ``tokenizer.json``, or a folder with one or with GPT-2's pair.

    ``python-docs`` is that of the embedded corpora. ``gpt2`` is looked for in the folder ``gpt2`` of ``data`` first,
    then on the hub.

    Raises:
        SourceError: there is no such file, or it holds no tokenizer.
        UnreachableError: the hub does not answer.
    """
    path = Path(choice).expanduser()
    if choice == GPT2:
        if (data / GPT2).is_dir():
            return bare(_of_folder(data / GPT2))
        return bare(_of_hub(data))
    if choice == PYTHON_DOCS and not path.exists():
        return _of_python_docs()
    if path.is_dir():
        return bare(_of_folder(path))
    if path.is_file():
        return bare(_of_file(path))
    raise SourceError(
        f"--tokenizer {choice!r}: no such file or folder. Give bpe:N, gpt2, python-docs, a tokenizer.json, or a "
        "folder with one or with vocab.json and merges.txt"
    )


def _of_file(path: Path) -> Engine:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise SourceError(f"--tokenizer {path}: this is no tokenizer.json: {error}") from error


def _of_folder(folder: Path) -> Engine:
    if (folder / "tokenizer.json").is_file():
        return _of_file(folder / "tokenizer.json")
    for vocabulary, merges in _PAIRS:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _of_pair(folder / vocabulary, folder / merges)
    raise SourceError(
        f"--tokenizer {folder}: the folder has neither a tokenizer.json nor "
        + " nor ".join(f"{vocabulary} with {merges}" for vocabulary, merges in _PAIRS)
    )


def _of_pair(vocabulary: Path, merges: Path) -> Engine:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    try:
        engine = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # the library raises bare Exception
        raise SourceError(f"--tokenizer {vocabulary.parent}: {error}") from error
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    if engine.token_to_id(END_OF_TEXT) is not None:
        engine.add_special_tokens([END_OF_TEXT])
    return engine


def _of_python_docs() -> Engine:
    from trainers.datasets.text.embedded import DOCS
    from trainers.datasets.text.folder import TOKENIZER

    DOCS.digest()  # builds it where it was not
    return read_engine(DOCS.folder / TOKENIZER)


def _of_hub(data: Path) -> Engine:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_pretrained(GPT2)
    except Exception as error:  # whatever the network, the hub or its cache makes of it
        raise UnreachableError(
            f"--tokenizer gpt2: the hub does not give it ({type(error).__name__}). Try again with a network, or put "
            f"its vocab.json and merges.txt into {data / GPT2}"
        ) from error
