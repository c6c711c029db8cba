"""Two steps of the paper's language and gradient cells through the real network and loader (design, invariant 6).

The corpus is in the form of OpenWebText under GPT-2's tokenizer: 50,257 tokens, uint16, prepared by the command that a
user gives. Only budget, batch and data are overridden, and what follows from the budget: warm-up and evaluation points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sweep.cli.main import run_app
from sweep.space import load_space
from trainers import registry
from trainers.datasets.root import VARIABLE
from trainers.language.spec import NetworkFields
from trainers.protocol import Trainer

GRIDS = Path(__file__).parents[2] / "search_spaces" / "paper"
GPT2_TOKENS = 50_257


def bytes_to_signs() -> list[str]:
    """How GPT-2 writes the 256 bytes: printable ones as themselves, the others from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def write_tokenizer(folder: Path) -> None:
    """``vocab.json`` and ``merges.txt`` of GPT-2's form and size; the merges are of any two bytes."""
    signs = bytes_to_signs()
    pairs = list(islice(((one, other) for one in signs for other in signs), GPT2_TOKENS - len(signs) - 1))
    tokens = [*signs, *(one + other for one, other in pairs), "<|endoftext|>"]
    assert len(set(tokens)) == GPT2_TOKENS
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{one} {other}\n" for one, other in pairs))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with ``openwebtext``, prepared from a few thousand words."""
    folder = tmp_path_factory.mktemp("data")
    write_tokenizer(folder / "gpt2")
    words = [f"word{number}" for number in range(500)]  # fixed: which documents are validation follows from the text
    with (folder / "text.jsonl").open("w") as file:
        for document in range(24):
            drawn = np.random.default_rng(document).choice(words, 100)
            file.write(json.dumps({"text": " ".join(drawn)}) + "\n")
    command = ["prepare", "openwebtext", "--source", str(folder / "text.jsonl"), "--tokenizer", "gpt2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        assert run_app([*command, "--split", "0.1", "--data", str(folder)]) == 0
        yield folder


@cache
def cells(grid: str) -> dict[str, NetworkFields]:
    """The last trial of each group, less what cannot be run here."""
    found = {}
    for trial in load_space(GRIDS / f"{grid}.yaml").trials:
        assert isinstance(trial.spec, NetworkFields)
        found[trial.group] = trial.spec
    return found


def shortened(spec: NetworkFields, **changes: Any) -> NetworkFields:
    """Two steps of one sequence."""
    fields = spec.model_dump()
    fields |= {"batch": {"size": 1}, "budget": {"samples": 2, "rule": "fixed"}, "needs": {}, **changes}
    return type(spec).model_validate(fields)


def built(spec: NetworkFields, data: Path, **given: Any) -> Trainer:
    corpus = registry.dataset(spec.dataset).load(data)
    assert corpus.train.dtype == np.uint16
    assert corpus.vocabulary == GPT2_TOKENS
    return registry.family(spec.family).build(spec, corpus, "cpu", **given)


@pytest.fixture(scope="module")
def weights(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the noisy run after its two steps."""
    spec = cells("language")["scaled"]
    assert (spec.model, spec.noise.ratio, spec.noise.law, spec.precision) == ("gpt2", 1, "uniform_all", "bfloat16")
    fields = spec.model_dump()
    short = shortened(
        spec,
        schedule={**fields["schedule"], "warmup_tokens": 1024},
        evaluation={"paper_batches": 1, "paper_batch": 1, "text_samples": 0},
    )
    trainer = built(short, data, micro_batch=1)
    trainer.train(2)
    assert trainer.position == short.samples
    assert trainer.parameters == 124_373_760
    assert trainer.realised_rate == pytest.approx(0.5, abs=0.06)
    after = {metric.name: metric.value for metric in trainer.evaluate()}
    assert after["test_nll"] is not None
    assert after["paper_estimate"] is not None
    # Two steps at the peak rate: far from what was learnt, near enough to show that nothing ran away.
    assert 0 < after["test_nll"] < 3 * np.log(50_304)
    assert after["paper_estimate"] == pytest.approx(after["test_nll"], rel=0.5)
    kept = {artifact.role: artifact for artifact in trainer.artifacts()}
    path = tmp_path_factory.mktemp("weights") / kept["weights"].filename
    path.write_bytes(kept["weights"].content)
    return path


@pytest.fixture(autouse=True)
def both_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_language_grid_has_one_network_and_law() -> None:
    found = {(spec.model, spec.noise.law, spec.reading, spec.precision) for spec in cells("language").values()}
    assert found == {("gpt2", "uniform_all", "paper", "bfloat16")}


def test_two_steps_of_the_language_cells(weights: Path) -> None:
    assert weights.stat().st_size > 4 * 124_373_760


@pytest.mark.parametrize("group", ["coherence", "corrected"])
def test_two_batches_of_the_gradient_cells(group: str, data: Path) -> None:
    spec = cells("gradients")[group]
    changes = {"reference_samples": 1} if spec.model_dump()["reference_samples"] else {}
    trainer = built(shortened(spec, **changes), data)
    trainer.train(2)
    assert trainer.parameters == 124_439_808
    found = {metric.name: metric.value for metric in trainer.evaluate()}
    assert (found["norm_clean"] or 0) + (found["norm_corrupt"] or 0) > 0
    assert found["loss_mean"] == pytest.approx(np.log(50_257), abs=0.3)


def test_two_batches_of_the_losses_of_a_checkpoint(weights: Path, data: Path) -> None:
    spec = cells("gradients")["noisy_checkpoint"]
    short = shortened(spec, needs={"model": "0" * 16})
    trainer = built(short, data, needs={"model": {"weights": weights}})
    trainer.train(2)
    found = {metric.name: metric.value for metric in trainer.evaluate()}
    assert found["loss_mean"] is not None
    assert found["loss_deviation"] is not None
