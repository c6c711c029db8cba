"""What one test example is: words for captions, by family."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """``one`` example and ``many``, ``data`` that they are of, and what ``classes`` and one ``outcome`` are called."""

    article: str
    one: str
    many: str
    data: str
    classes: str
    outcome: str

    def __str__(self) -> str:
        return self.one


EXAMPLE = Unit("an", "example", "examples", "clean test data", "classes", "class")
TOKEN = Unit("a", "token", "tokens", "clean validation text", "tokens", "next token")

#: Families whose examples are the tokens of a text.
OF_TEXT = frozenset({"language", "gradients"})


def of(family: str) -> Unit:
    """The unit of a family; a plug-in's is the example until its predictions come in windows."""
    return TOKEN if family in OF_TEXT else EXAMPLE
