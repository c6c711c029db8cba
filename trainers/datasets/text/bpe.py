"""A byte-level BPE trained on a text, and what a corpus asks of any tokenizer: its ids, and how a document ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainers.datasets.text.tokenizer import bare
from trainers.errors import SourceError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Engine

END_OF_TEXT = "<|endoftext|>"
#: What ends a document in tokenizers that people bring, the most telling first.
SEPARATORS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "[SEP]")


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
