"""The gradient analysis as a trainer: its position counts sequences read, its state is a tally, no weight moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from trainers.datasets.text.corpus import Corpus
from trainers.device import check_precision, repeatable, usable
from trainers.errors import DivergedError
from trainers.gradients import grams as products
from trainers.gradients import measures, sequences
from trainers.gradients.artifact import artifacts
from trainers.gradients.reading import Parts, parted
from trainers.gradients.spec import GradientsSpec
from trainers.gradients.tally import Floats, Measured, Tally
from trainers.language import weights, windows
from trainers.models import language
from trainers.models.catalogue import trainable
from trainers.noise.tokens import TokenBatch, token_corruption
from trainers.protocol import Artifact, Cost, Metric, NoiseLaw
from trainers.state import check_frame, check_position, check_tensors, copied, identity

#: Rises when the layout of the state changes.
FORMAT = 1
#: Purpose of the stream of crops whose mean clean gradient is the reference.
REFERENCE = "reference"


class GradientsTrainer:
    """One analysis at work; see :class:`trainers.protocol.Trainer`."""

    def __init__(self, spec: GradientsSpec, data: Corpus, device: str, law: NoiseLaw, needs: weights.Needs) -> None:
        """``law`` is bound already, where it is one that binds.

        Raises:
            SpecError: the device cannot be used, or model, noise, globs, data or needed weights do not fit.
        """
        self.spec = spec
        self._device = usable(device)
        check_precision(spec.precision, self._device)
        self._network = language.network(spec, data.vocabulary)
        self._tokens = data.train if spec.split == "train" else data.validation
        windows.check_length(self._tokens, spec.context, spec.split)
        model = language.build(self._network, spec.seed)
        if "model" in spec.needs:  # by which the trial's id says whose weights these are
            path = weights.needed(needs, "model")
            weights.begin_with(model, self._network, data.tokenizer_sha256, path, "model")
        self._model = model.to(self._device).eval()
        self._corruption = token_corruption(spec.noise, data.vocabulary, spec.seed, law, context=spec.context)
        self._analyses = products.chosen(model, spec.analysed) if spec.measure == "gradients" else ()
        self._removals = 2 if self._analyses and spec.reference_samples else 1
        self._tally = Tally(len(self._analyses), self._removals)
        self._mean: products.Reference | None = None
        self._position = 0

    @property
    def position(self) -> int:
        return self._position

    @property
    def parameters(self) -> int:
        return trainable(self._model)

    @property
    def realised_rate(self) -> float | None:
        wrong = int(self._tally.rows("counts")[:, 3].sum())
        return wrong / (self._position * self.spec.context) if self._position else None

    @property
    def cost(self) -> Cost:
        """A forward pass is a third of training's operations, a backward pass two thirds; there is one a part."""
        both = self.spec.noise.ratio > 0 and self.spec.noise.unit == "token"
        passes = (2 if both else 1) if self._analyses else 0
        each = language.flops_a_token(self._network) * self.spec.context / 3
        return Cost(self.spec.context, each * (1 + 2 * passes))

    def examples(self, start: int, count: int) -> windows.Starts:
        """First tokens of the windows at stream positions ``start`` to ``start + count - 1``, [count]."""
        return windows.training_starts(self.spec, self.spec.context, len(self._tokens), start, count)

    def train(self, samples: int) -> None:
        """Analyse the next sequences; see the protocol.

        Raises:
            DivergedError: a loss or a gradient is not finite.
        """
        batch = self.spec.batch.total
        end = min(self._position + -(-max(samples, 0) // batch) * batch, self.spec.samples)
        while self._position < end:
            count = min(batch, end - self._position)
            self._tally.add(self._measured(self._position, count))
            self._position += count

    def _measured(self, start: int, count: int) -> Measured:
        found = self._with_gradients(start, count) if self._analyses else self._with_losses(start, count)
        if not np.isfinite(found.losses).all() or not np.isfinite(found.grams).all():
            seed = self.spec.seed
            weighed = "those of needs.model" if "model" in self.spec.needs else f"the initial ones of seed {seed}"
            raise DivergedError(
                f"a loss or a gradient is not finite within sequences {start} to {start + count} of "
                f"{self.spec.samples}, at {self.spec.precision}; the weights are {weighed}"
            )
        return found

    def _with_gradients(self, start: int, count: int) -> Measured:
        read, parts = self._read(start, count)
        with self._numerics(batched=True):
            inner, losses = products.grams(self._model, self._analyses, read, self._against())
        there = np.flatnonzero(parts.present)
        inner = inner[:, :, there][:, :, :, there]
        return Measured(parts.kinds[there], parts.owners[there], inner.numpy(), _doubles(losses), parts.tokens)

    def _with_losses(self, start: int, count: int) -> Measured:
        """A macro-batch may be too large to be held: it is read piece by piece."""
        width = products.pass_width(self._model, (), self.spec.context, 0)
        kinds, losses, tokens = [], [], np.zeros(2, dtype=np.int64)
        for first in range(start, start + count, width):
            read, parts = self._read(first, min(width, start + count - first))
            with self._numerics(batched=False):
                losses.append(_doubles(sequences.losses(self._model, read)))
            kinds.append(parts.kinds[parts.present])
            tokens += parts.tokens
        all_kinds = np.concatenate(kinds)
        none = np.zeros((0, 1, len(all_kinds), len(all_kinds)))
        return Measured(all_kinds, np.zeros_like(all_kinds), none, np.concatenate(losses), tokens)

    def _read(self, start: int, count: int) -> tuple[sequences.Batch, Parts]:
        first = self.examples(start, count)
        found = windows.gather(self._tokens, first, self.spec.context)
        noise = self.spec.noise
        return parted(self._corruption.apply(found, first, start), noise.unit, noise.ratio > 0, self._device)

    def _against(self) -> products.Reference | None:
        """The mean clean gradient, which follows from seed, weights and corpus: made at first use, in no state."""
        if self._mean is None and self.spec.reference_samples:
            names, due = products.united(self._model, self._analyses), self.spec.reference_samples
            spec, total = self.spec, dict[str, torch.Tensor]()
            first = windows.crops(spec.seed, REFERENCE, spec.context, len(self._tokens), 0, due)
            clean = windows.gather(self._tokens, first, spec.context)
            inputs, targets = clean[:, :-1], clean[:, 1:]
            read, _ = parted(TokenBatch(inputs, targets, targets), "example", False, self._device)
            width = products.pass_width(self._model, names, spec.context, 1)
            for at in range(0, due, width):
                part = sequences.mean_gradient(self._model, names, read[at : at + width], due)
                total = {name: total[name] + one if total else one for name, one in part.items()}
            self._mean = products.reference(self._analyses, total)
        return self._mean

    @contextlib.contextmanager
    def _numerics(self, *, batched: bool) -> Iterator[None]:
        with repeatable(self._device), sequences.numerics(self._device, self.spec.precision, batched=batched):
            yield

    def evaluate(self) -> Sequence[Metric]:
        """The metrics of ``trainers.gradients.METRICS`` of what was read so far."""
        found = measures.values(
            self._tally,
            analysed=bool(self._analyses),
            removals=self._removals,
            batch=self.spec.batch.total,
            samples=self._position,
        )
        return tuple(Metric(name, value, split=self.spec.split) for name, value in found.items())

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: the tally, by name."""
        return {
            "format": FORMAT,
            "spec": identity(self.spec),
            "position": self._position,
            "tally": {name: torch.from_numpy(array) for name, array in self._tally.arrays().items()},
        }

    def load_state_dict(self, given: Mapping[str, Any]) -> None:
        """Raises:
        StateError: the state is of another trial or damaged; the trainer is left as it was.
        """
        check_frame(given, {"format", "spec", "position", "tally"}, FORMAT, self.spec)
        check_position(given["position"], self.spec)
        shapes = self._tally.shapes(-(-given["position"] // self.spec.batch.total))
        check_tensors("tally.", given["tally"], {name: torch.from_numpy(array) for name, array in shapes.items()})
        self._tally.load({name: tensor.cpu().numpy() for name, tensor in copied(given["tally"]).items()})
        self._position = given["position"]

    def artifacts(self) -> Sequence[Artifact]:
        """``gradients``, ``snr`` and ``batches``; ``batches`` alone under ``measure: loss``."""
        sizes = {name: tensor.numel() for name, tensor in self._model.named_parameters()}
        elements = [sum(sizes[name] for name in names) for names in self._analyses]
        analyses = list(zip(self.spec.analysed, elements, strict=True)) if self._analyses else []
        return artifacts(self._tally, analyses, self._removals, self.spec.batch.total, self._position)


def _doubles(losses: torch.Tensor) -> Floats:
    doubles: Floats = losses.double().cpu().numpy()
    return doubles
