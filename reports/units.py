"""What one test example is: words for captions, by family."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Unit:
    """``one`` example and ``many``, ``data`` that they are of, and what ``classes`` and one ``outcome`` are called.

    ``samples`` names what a budget counts, ``owner`` and ``bar`` the error that their finite number leaves. ``remark``
    is what a caption must say of how the family predicts, "" for nothing.
    """

    article: str
    one: str
    many: str
    data: str
    classes: str
    outcome: str
    samples: str = "samples trained on"
    owner: str = "the test set's own"
    bar: str = "test-set error"
    remark: str = ""

    def __str__(self) -> str:
        return self.one


EXAMPLE = Unit("an", "example", "examples", "clean test data", "classes", "class")
TOKEN = Unit("a", "token", "tokens", "clean validation text", "tokens", "next token", "sequences trained on")
READ = replace(TOKEN, samples="sequences read")
#: Test images of a generative model, which classifies them by the class under which it explains them best.
IMAGE = Unit(
    "an", "image", "images", "clean test images", "classes", "class", "images trained on",
    remark="The model is a generator: here it serves as a classifier, by its denoising loss under each label.",
)  # fmt: skip
#: Images that a model drew, which a judge looks at.
DRAWN = Unit(
    "an", "image", "drawn images", "the images drawn", "classes", "class", "images trained on",
    owner="the drawn images' own", bar="error of the images drawn",
)  # fmt: skip

#: Families with words of their own: of a text, where a gradient analysis trains on none, and of generated images.
OF_FAMILY = {"language": TOKEN, "gradients": READ, "diffusion": IMAGE}


def of(family: str) -> Unit:
    """The unit of a family; a plug-in's is the example until its predictions come in windows."""
    return OF_FAMILY.get(family, EXAMPLE)
