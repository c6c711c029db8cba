"""Where the tokenizer of a new corpus comes from: trained on its text, GPT-2's, or a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.datasets.text.tokenizer import bare
from trainers.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

END_OF_TEXT = "<|endoftext|>"
#: What ends a document in tokenizers that people bring, the most telling first.
SEPARATORS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "[SEP]")
BYTES = 256  # a byte-level vocabulary begins with every byte
FEWEST, MOST = BYTES + 1, 1_000_000
GPT2 = "gpt2"
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


def train_bpe(texts: Iterable[str], size: int) -> Engine:
    """A byte-level BPE of exactly ``size`` tokens; ``<|endoftext|>`` is 0. The same texts give the same tokenizer.

    Raises:
        SourceError: the texts have too few different parts for so many tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    with _one_thread():
        engine.train_from_iterator(texts, trainer)
    found = engine.get_vocab_size()
    if found != size:
        raise SourceError(
            f"the text yields {found:,} tokens, no more parts of words occur twice in it; "
            f"{size:,} were asked for. Use --tokenizer bpe:{found} or a smaller one"
        )
    return bare(engine)


def existing(choice: str, data: Path) -> Engine:
    """The tokenizer that ``choice`` names: ``gpt2``, a ``tokenizer.json``, or a folder with one or with GPT-2's pair.

    ``gpt2`` is looked for in the folder ``gpt2`` of ``data`` first, then on the hub.

    Raises:
        SourceError: there is no such file, or it holds no tokenizer.
        UnreachableError: the hub does not answer.
    """
    path = Path(choice).expanduser()
    if choice == GPT2:
        if (data / GPT2).is_dir():
            return bare(_of_folder(data / GPT2))
        return bare(_of_hub(data))
    if path.is_dir():
        return bare(_of_folder(path))
    if path.is_file():
        return bare(_of_file(path))
    raise SourceError(
        f"--tokenizer {choice!r}: no such file or folder. Give bpe:N, gpt2, a tokenizer.json, or a folder with one or "
        "with vocab.json and merges.txt"
    )


def separator_id(engine: Engine, asked: str | None) -> int:
    """The id of the token that ends each document: that of ``asked``, else of the first of ``SEPARATORS`` there is.

    Raises:
        SourceError: the tokenizer has no such token.
    """
    for token in (asked,) if asked is not None else SEPARATORS:
        found = engine.token_to_id(token)
        if found is not None:
            return int(found)
    if asked is not None:
        raise SourceError(f"--separator {asked!r}: the tokenizer has no such token")
    raise SourceError(f"the tokenizer has none of {', '.join(SEPARATORS)} to end a document; name one with --separator")


def vocabulary_of(engine: Engine) -> int:
    """Ids lie below this: the largest one plus 1, which gaps may raise above the number of tokens."""
    return max(engine.get_vocab(with_added_tokens=True).values(), default=-1) + 1


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


def _of_hub(data: Path) -> Engine:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_pretrained(GPT2)
    except Exception as error:  # whatever the network, the hub or its cache makes of it
        raise UnreachableError(
            f"--tokenizer gpt2: the hub does not give it ({type(error).__name__}). Try again with a network, or put "
            f"its vocab.json and merges.txt into {data / GPT2}"
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """The library's threads kept to one: training is short, and workers share the machine."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
