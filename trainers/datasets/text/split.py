"""Which documents of a corpus are validation: a share of them, by a hash of their text."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Literal

Split = Literal["train", "validation"]


def text_hash(text: str) -> bytes:
    """SHA-256 of a text in UTF-8, 32 bytes.

    Raises:
        UnicodeEncodeError: the text has half of a surrogate pair.
    """
    return hashlib.sha256(text.encode()).digest()


def split_of(text: str, share: Fraction) -> Split:
    """``validation`` for that share of all texts. Equal texts fall on the same side."""
    return split_of_hash(text_hash(text), share)


def split_of_hash(digest: bytes, share: Fraction) -> Split:
    """As :func:`split_of`, from :func:`text_hash`."""
    return "validation" if int.from_bytes(digest[:8], "big") < share * 2**64 else "train"
