"""Weights that cannot serve are refused by the plan, before what they come from has been trained."""

from __future__ import annotations

import pytest
from space.conftest import Load

from sweep.errors import BadInputError

GRID = """\
name: needs
groups:
  - name: giver
    family: {giver_family}
    set: {giver}
  - name: taker
    family: {family}
    set: {taker}
    needs: {{{role}: {{group: giver}}}}
"""
TINY = "model: gpt2_tiny, dataset: python-docs, budget.samples: 64, batch.size: 8"
CNN = "{model: small_cnn, dataset: digits, budget.samples: 640}"
NEAREST = f"{{{TINY}, noise.ratio: 1, noise.law: nearest}}"


def grid(role: str, taker: str, giver: str, family: str = "language", giver_family: str = "language") -> str:
    return GRID.format(role=role, taker=taker, giver=giver, family=family, giver_family=giver_family)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (grid("pretrained", f"{{{TINY}}}", f"{{{TINY}, context: 32}}"), r"context = 32 and this trial has 64"),
        (
            grid("pretrained", f"{{{TINY}}}", f"{{{TINY}, vocabulary: 2112, bias: false}}"),
            r"vocabulary = 2112 .* 2048; bias = False .* True",
        ),
        (grid("pretrained", f"{{{TINY}}}", "{model: lstm_tiny" + TINY[16:] + "}"), r"model = lstm_tiny .* gpt2_tiny"),
        (grid("pretrained", f"{{{TINY}}}", CNN, giver_family="classifier"), r"family 'classifier', which leaves no"),
        (grid("teacher", NEAREST, CNN, giver_family="classifier"), r"family 'classifier', which leaves no"),
        (grid("teacher", NEAREST, f"{{{TINY}, context: 32}}"), r"context of 32, and this trial's is 64"),
        (
            grid("teacher", NEAREST, "{model: gpt2, dataset: openwebtext, budget.samples: 64}"),
            r"'openwebtext' of 50,257 tokens.*'python-docs' of 2,048",
        ),
        (grid("model", f"{{{TINY}}}", f"{{{TINY}, context: 16}}", "gradients"), r"context = 16 and this trial has 64"),
    ],
    ids=["context", "outputs", "model", "classifier", "no teacher", "short teacher", "other tokens", "analysis"],
)
def test_what_cannot_serve_is_refused_where_it_is_asked_for(load: Load, text: str, words: str) -> None:
    with pytest.raises(BadInputError, match=rf":9: needs\..*{words}"):
        load(text)


def test_what_fits_serves(load: Load) -> None:
    assert len(load(grid("pretrained", f"{{{TINY}}}", f"{{{TINY}, seed: 3, noise.ratio: 1}}")).trials) == 2
    long_teacher = "{model: lstm_tiny" + TINY[16:] + ", context: 128}"
    assert len(load(grid("teacher", NEAREST, long_teacher)).trials) == 2
    assert len(load(grid("model", f"{{{TINY}}}", f"{{{TINY}, seed: 3}}", "gradients")).trials) == 2


def test_an_analysis_has_a_whole_batch(load: Load) -> None:
    with pytest.raises(BadInputError, match=r"budget\.samples gives 64 sequences, and a batch is 128"):
        load(grid("model", f"{{{TINY[:-1]}128}}", f"{{{TINY}}}", "gradients"))
