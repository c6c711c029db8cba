"""Tokens per second of a language model's training step, beside a plain loop over the same model.

    .venv/bin/python benchmarks/lm_step.py [--seconds 90] [--threads 1]

The plain loop is the usual one (nanoGPT's train.py): random crops stacked in Python, noise by torch.rand and
torch.randint, cross-entropy of all logits, a backward pass a micro-batch, clipped, fused AdamW. Model, batch,
micro-batch, optimiser and data are the same; only the loop differs. The two take turns of a few steps, and neighbouring
turns are compared, so that what else the machine does strikes both. Exits with 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from trainers.datasets.text.corpus import Corpus
from trainers.language import FAMILY
from trainers.language.noise import corruption
from trainers.language.source import AHEAD
from trainers.language.spec import LanguageSpec
from trainers.language.step import optimiser_for
from trainers.language.windows import gather, training_starts
from trainers.models import language
from trainers.registry import dataset

CONTEXT = 64
LEAST_SPEED = 1.0  # of the plain loop's
MOST_NOISE = 0.01  # of the step's time
STEPS_A_TURN = 4


@dataclass(frozen=True)
class Setting:
    """A model and its batch: sequences a step, and a micro-batch."""

    model: str
    batch: int
    micro: int


SETTINGS = (Setting("gpt2_tiny", 8, 8), Setting("gpt2_tiny", 32, 16), Setting("gpt2_mini", 8, 8))
NOISES = (("uniform_all", "fresh"), ("uniform_all", "frozen"), ("unigram", "fresh"))


def spec_of(setting: Setting, law: str = "uniform_all", refresh: str = "fresh") -> LanguageSpec:
    fields: dict[str, Any] = {
        "family": "language",
        "model": setting.model,
        "dataset": "python-docs",
        "context": CONTEXT,
        "reading": "paper",
        "noise": {"law": law, "refresh": refresh, "ratio": 1},
        "batch": {"size": setting.batch},
        "budget": {"samples": 10**9},
        "schedule": {"name": "constant"},
    }
    return LanguageSpec.model_validate(fields)


def ours(setting: Setting, corpus: Corpus) -> Callable[[], None]:
    """A function that takes a few steps of ours."""
    trainer = FAMILY.build(spec_of(setting), corpus, micro_batch=setting.micro)
    return lambda: trainer.train(STEPS_A_TURN * setting.batch)


def plain(setting: Setting, corpus: Corpus) -> Callable[[], None]:
    """A function that takes a few steps of the plain loop."""
    spec = spec_of(setting)
    model = language.build(language.network(spec, corpus.vocabulary), spec.seed)
    optimiser = optimiser_for(spec.optimiser, model)
    rate, parts = float(spec.noise.rate), setting.batch // setting.micro
    data, classes = corpus.train, corpus.vocabulary

    def micro_batch() -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(data) - CONTEXT, (setting.micro,))
        x = torch.stack([torch.from_numpy(data[i : i + CONTEXT].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + CONTEXT].astype(np.int64)) for i in starts])
        wrong = torch.rand(y.shape) < rate
        return x, torch.where(wrong, torch.randint(0, classes, y.shape), y)

    def turn() -> None:
        for _ in range(STEPS_A_TURN):
            for _ in range(parts):
                x, y = micro_batch()
                logits = model(x)
                loss = functional.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1)) / parts
                loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optimiser.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return turn


def noise_seconds(setting: Setting, corpus: Corpus, law: str, refresh: str) -> float:
    """Seconds that noise takes a step: windows come from elsewhere, blocks are as long as in training."""
    spec = spec_of(setting, law, refresh)
    applied = corruption(spec, corpus, {}, torch.device("cpu"))
    count = AHEAD // CONTEXT
    starts = training_starts(spec, CONTEXT, len(corpus.train), 0, count)
    windows = gather(corpus.train, starts, CONTEXT)
    taken = []
    for turn in range(7):
        begun = time.perf_counter()
        applied.apply(windows, starts, turn * count)
        taken.append(time.perf_counter() - begun)
    return median(taken) / count * setting.batch


def timed(action: Callable[[], None]) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) / STEPS_A_TURN


def compare(setting: Setting, corpus: Corpus, seconds: float) -> tuple[float, float, float]:
    """Median seconds a step of ours and of the plain loop, and the median of the ratios of neighbouring turns."""
    mine, theirs = ours(setting, corpus), plain(setting, corpus)
    mine(), theirs()
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(pairs) < 5:
        pairs.append((timed(mine), timed(theirs)))
    a, b = (median(column) for column in zip(*pairs, strict=True))
    return a, b, median(other / own for own, other in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=90, help="of comparison in all (default 90)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus = dataset("python-docs").load(None)
    print(f"{platform.processor() or platform.machine()}, {options.threads} thread(s), torch {torch.__version__}")
    print(f"python-docs, vocabulary {corpus.vocabulary:,}, context {CONTEXT}, noise rate 1/2, float32")
    print(f"{'model':<10} {'batch':>7} {'ours tok/s':>11} {'plain tok/s':>12} {'ratio':>6}   noise's share of our step")
    missed = []
    for setting in SETTINGS:
        own, other, ratio = compare(setting, corpus, options.seconds / len(SETTINGS))
        shares = {f"{law} {refresh}": noise_seconds(setting, corpus, law, refresh) / own for law, refresh in NOISES}
        tokens = setting.batch * CONTEXT
        said = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
        cut = f"{setting.batch}/{setting.micro}"
        print(f"{setting.model:<10} {cut:>7} {tokens / own:>11,.0f} {tokens / other:>12,.0f} {ratio:>6.2f}   {said}")
        if ratio < LEAST_SPEED:
            missed.append(f"{setting.model} at batch {cut}: {ratio:.2f} of the plain loop's speed")
        missed += [f"{setting.model} at batch {cut}: {k} takes {v:.2%}" for k, v in shares.items() if v > MOST_NOISE]
    print(f"bounds: at least {LEAST_SPEED} of the plain loop's speed, noise at most {MOST_NOISE:.0%} of the step")
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
