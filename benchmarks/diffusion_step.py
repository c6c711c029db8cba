"""A training step and a sampling step of diffusion, beside a plain loop over the same network.

    .venv/bin/python benchmarks/diffusion_step.py [--seconds 75] [--threads 1] [--compile]

The plain loop is the usual one (EDM's training_loop.py and generate.py in their simplest form): images and labels
stacked, torch.randn, the preconditioned loss, a backward pass, clipped, fused AdamW, an average updated parameter by
parameter; Heun's method in float64. Network, batch, optimiser and data are the same; only the loop differs. The two
take turns of a few steps, and neighbouring turns are compared, so that what else the machine does strikes both. On one
thread times are the processor's: wall time of two busy cores scatters by a third, far more than the bounds; its ratio
is printed too. Noise is read ahead, so few turns hold any; each of ours is charged its part. Then what other layouts
and optimisers bring to our step. Exits with 1 where a bound is missed.
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
from unittest.mock import patch

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
STEPS_A_TURN = 2
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


def built(setting: Setting, data: Images, **options: Any) -> DiffusionTrainer:
    return cast(DiffusionTrainer, FAMILY.build(spec_of(setting), data, **options))


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
            self.model.parameters(),
            lr=of.learning_rate,
            betas=(of.beta1, of.beta2),
            weight_decay=of.weight_decay,
            fused=True,
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


@dataclass(frozen=True)
class Clock:
    """What is compared: ``now`` in seconds; wall time is taken beside it."""

    now: Callable[[], float]

    def timed(self, action: Action) -> tuple[float, float]:
        """Seconds that ``action`` takes, by this clock and by the wall's."""
        wall, begun = time.perf_counter(), self.now()
        action()
        return self.now() - begun, time.perf_counter() - wall


@dataclass(frozen=True)
class Compared:
    """Median seconds a turn of ours and of the other, and medians of other / ours over neighbouring turns."""

    ours: float
    other: float
    ratio: float
    quartiles: tuple[float, float]
    wall: float
    pairs: int


def compare(clock: Clock, mine: Action, theirs: Action, seconds: float, charged: float = 0.0) -> Compared:
    """Turns of both for about ``seconds``; ``charged`` seconds are added to each turn of ours."""
    mine(), theirs()
    pairs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(pairs) < 5:
        if len(pairs) % 2:
            pairs.append((clock.timed(mine), clock.timed(theirs)))
        else:
            pairs.append((clock.timed(theirs), clock.timed(mine))[::-1])
    own, other = (np.array(column) for column in zip(*pairs, strict=True))
    own += charged
    ratios, walls = (other / own).T
    low, high = np.quantile(ratios, [0.25, 0.75]).tolist()
    a, b, ratio, wall = (float(np.median(values)) for values in (own[:, 0], other[:, 0], ratios, walls))
    return Compared(a, b, ratio, (low, high), wall, len(pairs))


def average_seconds(clock: Clock, trainer: DiffusionTrainer, batch: int) -> float:
    """Seconds that the average takes a step of training; alone, its tensors in the cache, it would take half."""
    taken: list[float] = []
    update = averaging.update

    def measured(*of: Any) -> None:
        taken.append(clock.timed(partial(update, *of))[0])

    with patch.object(averaging, "update", measured):
        trainer.train(51 * batch)
    return median(taken)


def noise_seconds(clock: Clock, setting: Setting, data: Images) -> float:
    """Seconds that reading the stream takes a step: order, noisy labels, levels and noise, in blocks as in training."""
    source = built(setting, data)._source
    size = source._block
    taken = [clock.timed(partial(source._draw, place * size, (place + 1) * size))[0] for place in range(9)]
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
            of = trainer.spec.optimiser
            trainer._optimiser = torch.optim.AdamW(
                trainer._moving, betas=(of.beta1, of.beta2), weight_decay=of.weight_decay, foreach=foreach
            )

        return change

    def last(trainer: DiffusionTrainer) -> None:
        trainer._model.to(memory_format=torch.channels_last)
        trainer._averaged.to(memory_format=torch.channels_last)

    found = {
        "channels_last": of(last),
        "AdamW foreach": of(optimiser(foreach=True)),
        "AdamW for-loop": of(optimiser(foreach=False)),
    }
    return {**found, "torch.compile": partial(built, setting, data, compile=True)} if compiled else found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=75, help="of comparison in all (default 75)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument("--compile", action="store_true", help="try torch.compile too (a C++ compiler, minutes more)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.compiler.config.force_disable_caches = True  # else a second run tells how fast a cache is read
    # Threads that wait for each other use the processor too: of several, only the wall's clock tells.
    clock = Clock(time.process_time if options.threads == 1 else time.perf_counter)
    # Each comparison that a bound is put on has twice the time of one that is only told.
    share = options.seconds / (len(SETTINGS) * (2 * 2 + (4 if options.compile else 3)))
    kind = "processor" if options.threads == 1 else "wall"
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {options.threads} thread(s), torch {torch.__version__}, {kind} time")
    measures = f"{'ours ms':>8} {'plain ms':>9} {'ratio':>6} {'quartiles':>12} {'wall':>6} {'pairs':>6}"
    print(f"{'model':<11} {'batch':>5}  {'step':<9} {measures}")
    missed = []
    for setting in SETTINGS:
        data = dataset(setting.dataset).load(None)
        trainer, plain = built(setting, data), Plain(setting, data)
        noise = noise_seconds(clock, setting, data)
        turns = STEPS_A_TURN * setting.batch
        pairs: dict[str, tuple[Action, Action, int, float]] = {
            "training": (partial(trainer.train, turns), plain.train, STEPS_A_TURN, noise * STEPS_A_TURN),
            "sampling": (partial(trainer.draw, 1), plain.sample, SAMPLING_STEPS, 0.0),
        }
        own = 0.0
        for name, (mine, theirs, steps, charged) in pairs.items():
            found = compare(clock, mine, theirs, 2 * share, charged)
            own = found.ours / steps if name == "training" else own
            size = setting.batch if name == "training" else DRAWN_AT_ONCE
            low, high = found.quartiles
            print(
                f"{setting.model:<11} {size:>5}  {name:<9} {found.ours / steps * 1e3:>8.1f} "
                f"{found.other / steps * 1e3:>9.1f} {found.ratio:>6.3f}  {low:.3f}-{high:.3f} "
                f"{found.wall:>6.2f} {found.pairs:>6}"
            )
            if found.ratio < LEAST_SPEED:
                missed.append(f"{setting.model}, {name}: {found.ratio:.3f} of the plain loop's speed")
        mean, drawn = average_seconds(clock, trainer, setting.batch) / own, noise / own
        print(f"{setting.model:<11} of a training step: the average {mean:.2%}, the stream with its noise {drawn:.2%}")
        if mean + drawn > MOST_SHARE:
            missed.append(f"{setting.model}: average and noise take {mean + drawn:.2%} of the step")
        for name, make in variants(setting, data, options.compile).items():
            begun = time.perf_counter()
            changed = make()
            changed.train(setting.batch)
            ready = time.perf_counter() - begun
            # The default's seconds over the changed one's: what the change brings.
            ratio = compare(clock, partial(changed.train, turns), pairs["training"][0], share).ratio
            print(f"{setting.model:<11} {name}: {ratio:.3f} of the default's speed, first step after {ready:.1f} s")
    print(f"bounds: {LEAST_SPEED} of the plain loop's speed, average and noise at most {MOST_SHARE:.0%} of the step")
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
