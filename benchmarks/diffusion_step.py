"""A training step and a sampling step of diffusion, beside a plain loop over the same network.

    .venv/bin/python benchmarks/diffusion_step.py [--seconds 60] [--threads 1] [--compile]

The plain loop is the usual one (EDM's training_loop.py and generate.py in their simplest form): images and labels
stacked, torch.randn, the preconditioned loss, a backward pass, clipped, fused AdamW, an average updated parameter by
parameter; Heun's method in float64. Network, batch, optimiser and data are the same; only the loop differs. The two
take turns of a few steps, and neighbouring turns are compared, so that what else the machine does strikes both. Then
what other layouts and optimisers bring to our step. Exits with 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trainers.datasets.images import Images, pixels
from trainers.diffusion import FAMILY, averaging
from trainers.diffusion.spec import DRAWN_AT_ONCE, DiffusionSpec
from trainers.diffusion.trainer import DiffusionTrainer
from trainers.models import diffusion
from trainers.registry import dataset

LEAST_SPEED = 0.98  # of the plain loop's
MOST_SHARE = 0.02  # of the step's time, for the average and the noise
STEPS_A_TURN = 8
SAMPLING_STEPS = 4

Action = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """A model on a data set, and its batch."""

    model: str
    dataset: str
    batch: int


SETTINGS = (Setting("unet_tiny", "digits", 64), Setting("unet_small", "mnist5k16", 32))


def spec_of(setting: Setting) -> DiffusionSpec:
    fields: dict[str, Any] = {
        "family": "diffusion",
        "model": setting.model,
        "dataset": setting.dataset,
        "noise": {"ratio": 1},
        "batch": {"size": setting.batch},
        "budget": {"samples": 10**9},
        "sampling": {"images": 10**7, "steps": SAMPLING_STEPS},
    }
    return DiffusionSpec.model_validate(fields)


def built(setting: Setting, data: Images) -> DiffusionTrainer:
    return cast(DiffusionTrainer, FAMILY.build(spec_of(setting), data))


class Plain:
    """The plain loop."""

    def __init__(self, setting: Setting, data: Images) -> None:
        self.setting, self.spec, self.classes = setting, spec_of(setting), data.classes
        self.images = torch.from_numpy(pixels(data.train_images) * 2 - 1)
        self.labels = torch.from_numpy(np.array(data.train_labels))
        network = diffusion.network(setting.model, data.train_images.shape[1:], data.classes, 0.0)
        self.model, self.average = diffusion.build(network, 0).train(), diffusion.build(network, 0).eval()
        self.average.requires_grad_(False)
        of = self.spec.optimiser
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=of.learning_rate, weight_decay=of.weight_decay, fused=True
        )

    def denoised(self, model: nn.Module, x: torch.Tensor, sigma: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        s = sigma.view(-1, 1, 1, 1)
        skip, out = 0.25 / (s**2 + 0.25), s * 0.5 / (s**2 + 0.25).sqrt()
        raw: torch.Tensor = model(x / (s**2 + 0.25).sqrt(), sigma.log() / 4, labels)
        return skip * x + out * raw

    def train(self) -> None:
        for _ in range(STEPS_A_TURN):
            at = torch.randint(len(self.images), (self.setting.batch,))
            x, y = self.images[at], self.labels[at]
            wrong = torch.rand(y.shape) < 0.5
            y = torch.where(wrong, (y + torch.randint(1, self.classes, y.shape)) % self.classes, y)
            sigma = (torch.randn(len(x)) * 1.2 - 1.2).exp()
            labels = functional.one_hot(y, self.classes).float()
            guess = self.denoised(self.model, x + sigma.view(-1, 1, 1, 1) * torch.randn_like(x), sigma, labels)
            weight = ((sigma**2 + 0.25) / (sigma * 0.5) ** 2).view(-1, 1, 1, 1)
            loss = (weight * (guess - x) ** 2).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.optimiser.clip)
            self.optimiser.step()
            with torch.no_grad():
                for mean, parameter in zip(self.average.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(parameter, 0.001)

    @torch.no_grad()
    def sample(self) -> None:
        shape = (DRAWN_AT_ONCE, *self.images.shape[1:])
        labels = functional.one_hot(torch.arange(DRAWN_AT_ONCE) % self.classes, self.classes).float()
        i = torch.arange(SAMPLING_STEPS, dtype=torch.float64)
        levels = (80 ** (1 / 7) + i / (SAMPLING_STEPS - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        levels = torch.cat([levels, torch.zeros(1, dtype=torch.float64)])
        x = torch.randn(shape).double() * levels[0]
        for now, then in pairwise(levels):
            slope = (x - self._at(x, now, labels)) / now
            moved = x + (then - now) * slope
            if then > 0:
                moved = x + (then - now) * (slope + (moved - self._at(moved, then, labels)) / then) / 2
            x = moved

    def _at(self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.denoised(self.average, x.float(), level.float().repeat(len(x)), labels).double()


def timed(action: Action) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def compare(mine: Action, theirs: Action, seconds: float) -> tuple[float, float, float]:
    """Median seconds a turn of ours and of the plain loop, and the median of the ratios of neighbouring turns."""
    mine(), theirs()
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(pairs) < 5:
        pairs.append((timed(mine), timed(theirs)) if len(pairs) % 2 else (timed(theirs), timed(mine))[::-1])
    a, b = (median(column) for column in zip(*pairs, strict=True))
    return a, b, median(other / own for own, other in pairs)


def average_seconds(trainer: DiffusionTrainer) -> float:
    """Seconds that the average takes a step."""
    mean, weights = ([p.detach().clone() for p in trainer._moving] for _ in range(2))
    return median(timed(partial(averaging.update, mean, weights, 0.999)) for _ in range(201))


def noise_seconds(setting: Setting, data: Images) -> float:
    """Seconds that reading the stream takes a step: order, noisy labels, levels and noise, in blocks as in training."""
    source = built(setting, data)._source
    size = source._block
    taken = [timed(partial(source._draw, place * size, (place + 1) * size)) for place in range(9)]
    return median(taken) / size * setting.batch


def variants(setting: Setting, data: Images, compiled: bool) -> dict[str, Callable[[], DiffusionTrainer]]:
    """Our trainer with one thing changed: its name, and how it is made."""

    def of(change: Callable[[DiffusionTrainer], None]) -> Callable[[], DiffusionTrainer]:
        def make() -> DiffusionTrainer:
            trainer = built(setting, data)
            change(trainer)
            return trainer

        return make

    def optimiser(foreach: bool) -> Callable[[DiffusionTrainer], None]:
        def change(trainer: DiffusionTrainer) -> None:
            trainer._optimiser = torch.optim.AdamW(trainer._moving, lr=1e-3, weight_decay=0.01, foreach=foreach)

        return change

    def last(trainer: DiffusionTrainer) -> None:
        trainer._model.to(memory_format=torch.channels_last)

    def compile_(trainer: DiffusionTrainer) -> None:
        trainer._model.compile(dynamic=False)  # shapes that it takes for symbols break its inductor here

    found = {
        "channels_last": of(last),
        "AdamW foreach": of(optimiser(foreach=True)),
        "AdamW for-loop": of(optimiser(foreach=False)),
    }
    return {**found, "torch.compile": of(compile_)} if compiled else found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60, help="of comparison in all (default 60)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument("--compile", action="store_true", help="try torch.compile too (a C++ compiler, a minute more)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    share = options.seconds / (len(SETTINGS) * 4)
    print(f"{platform.processor() or platform.machine()}, {options.threads} thread(s), torch {torch.__version__}")
    print(f"{'model':<11} {'batch':>5}  {'step':<9} {'ours ms':>8} {'plain ms':>9} {'ratio':>6}")
    missed = []
    for setting in SETTINGS:
        data = dataset(setting.dataset).load(None)
        trainer, plain = built(setting, data), Plain(setting, data)
        pairs: dict[str, tuple[Action, Action, int]] = {
            "training": (partial(trainer.train, STEPS_A_TURN * setting.batch), plain.train, STEPS_A_TURN),
            "sampling": (partial(trainer.draw, 1), plain.sample, SAMPLING_STEPS),
        }
        own = 0.0
        for name, (mine, theirs, steps) in pairs.items():
            ours, other, ratio = compare(mine, theirs, share)
            own = ours / steps if name == "training" else own
            size = setting.batch if name == "training" else DRAWN_AT_ONCE
            print(
                f"{setting.model:<11} {size:>5}  {name:<9} {ours / steps * 1e3:>8.1f} "
                f"{other / steps * 1e3:>9.1f} {ratio:>6.2f}"
            )
            if ratio < LEAST_SPEED:
                missed.append(f"{setting.model}, {name}: {ratio:.2f} of the plain loop's speed")
        mean, noise = average_seconds(trainer) / own, noise_seconds(setting, data) / own
        print(f"{setting.model:<11} of a training step: the average {mean:.2%}, the stream with its noise {noise:.2%}")
        if mean + noise > MOST_SHARE:
            missed.append(f"{setting.model}: average and noise take {mean + noise:.2%} of the step")
        for name, make in variants(setting, data, options.compile).items():
            begun = time.perf_counter()
            changed = make()
            changed.train(setting.batch)
            ready = time.perf_counter() - begun
            turns = STEPS_A_TURN * setting.batch
            *_, ratio = compare(partial(changed.train, turns), pairs["training"][0], share)
            print(f"{setting.model:<11} {name}: {ratio:.2f} of the default's speed, first step after {ready:.1f} s")
    print(f"bounds: {LEAST_SPEED} of the plain loop's speed, average and noise at most {MOST_SHARE:.0%} of the step")
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
