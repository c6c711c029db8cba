"""What one test example is: words for captions, by family."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Unit:
    """``one`` example and ``many``, ``data`` that they are of, and what ``classes`` and one ``outcome`` are called.

    ``samples`` names what a budget counts.
    """

    article: str
    one: str
    many: str
    data: str
    classes: str
    outcome: str
    samples: str = "samples trained on"

    def __str__(self) -> str:
        return self.one


EXAMPLE = Unit("an", "example", "examples", "clean test data", "classes", "class")
TOKEN = Unit("a", "token", "tokens", "clean validation text", "tokens", "next token", "sequences trained on")
READ = replace(TOKEN, samples="sequences read")

#: Families whose examples are the tokens of a text; a gradient analysis trains on none.
OF_TEXT = {"language": TOKEN, "gradients": READ}


def of(family: str) -> Unit:
    """The unit of a family; a plug-in's is the example until its predictions come in windows."""
    return OF_TEXT.get(family, EXAMPLE)
