"""The trainer of diffusion models: a thin shell round pure functions of streams, schedule, steps and scores.

Which image stands where, its label, its noise level and its noise are read from counter-based streams by position, and
so are masks of dropout and the images that are drawn: nothing random is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch

from trainers.classifier.artifact import truth_probability
from trainers.datasets.images import pixels
from trainers.datasets.subset import part
from trainers.device import check_compiler, repeatable, usable
from trainers.diffusion import averaging, inception, weights
from trainers.diffusion.artifact import check_channels
from trainers.diffusion.classification import label_losses
from trainers.diffusion.generation import Generator, labels_of
from trainers.diffusion.judge import Judge, needed
from trainers.diffusion.parametrisation import losses, parametrisation
from trainers.diffusion.reference import Reference
from trainers.diffusion.schedule import learning_rate
from trainers.diffusion.scores import Scores, measure
from trainers.diffusion.source import Source
from trainers.diffusion.spec import DiffusionSpec
from trainers.diffusion.state import FORMAT, check
from trainers.errors import DivergedError, SpecError
from trainers.metrics import generative, inversion, predictions
from trainers.models import diffusion
from trainers.models.catalogue import trainable
from trainers.models.keyed_dropout import keyed
from trainers.noise.corruption import corruption
from trainers.protocol import Artifact, Cost, Metric
from trainers.state import copied, identity, load_optimiser, optimiser_state
from trainers.training_loss import TrainingLoss, end_of_call

if TYPE_CHECKING:
    from trainers.datasets.images import Images

Needs = Mapping[str, Mapping[str, Path]]


class DiffusionTrainer:
    """One diffusion model in training; see ``Trainer`` and ``Drawing`` in :mod:`trainers.protocol`."""

    def __init__(
        self, spec: DiffusionSpec, data: Images, device: str, needs: Needs, micro: int | None, compiled: bool
    ) -> None:
        """Raises:
        SpecError: the device cannot be used, or model, noise, data and judges do not fit each other.
        DataMissingError: Inception's weights are asked for and not there.
        """
        self.spec, self._device = spec, usable(device)
        features = inception.weights(spec)
        self._data = part(data, spec.subset)
        self.classes = self._data.classes
        shape = cast(tuple[int, int, int], self._data.train_images.shape[1:])
        check_channels(shape)
        self._shape = shape
        self._network = diffusion.network(spec.model, shape, self.classes, spec.dropout)
        judges = {role: Judge.read(needed(needs, role), shape, self.classes, self._device, role) for role in spec.needs}
        self._reference = Reference(self._data, judges, features, self._device)
        self._corruption = corruption(spec.noise, self.classes, spec.seed, self._data.train_labels)
        self._channel = self._corruption.law.channel(spec.noise, self.classes)
        self._counts = np.bincount(self._data.train_labels, minlength=self.classes)
        self._way = parametrisation(spec)
        self._model = diffusion.build(self._network, spec.seed).to(self._device).train()
        self._averaged = diffusion.build(self._network, spec.seed).to(self._device).eval().requires_grad_(False)
        if compiled:
            check_compiler(self._device)
            self._model.compile(dynamic=False)  # with sizes as symbols torch 2.14's compiler fails on convolutions
        self._moving = list(self._model.parameters())
        self._average = list(self._averaged.parameters())
        if micro is not None and (isinstance(micro, bool) or micro < 1):
            raise SpecError(f"micro_batch is {micro!r}; a number of images, 1 or more, is allowed")
        self._micro = min(micro or spec.batch.total, spec.batch.total)
        self._source = Source(spec, self._data, self._corruption, self._way, self._device)
        of = spec.optimiser
        self._optimiser = torch.optim.AdamW(
            self._moving, lr=of.learning_rate, betas=(of.beta1, of.beta2), weight_decay=of.weight_decay, fused=True
        )
        self._position = 0
        self._wrong = 0
        self._loss = TrainingLoss(spec.evaluate_every, self._device)
        self._drawn = self._no_images()
        self._rest: torch.Tensor | None = None  # what an evaluation drew beyond the state's
        self._log_p: predictions.Matrix | None = None
        self._scores: Scores | None = None

    @property
    def position(self) -> int:
        return self._position

    @property
    def parameters(self) -> int:
        return trainable(self._model)

    @property
    def realised_rate(self) -> float | None:
        return self._wrong / self._position if self._position else None

    @property
    def cost(self) -> Cost:
        """Of one image; it has no tokens."""
        return Cost(None, diffusion.flops_a_sample(self._network))

    def examples(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Training examples at stream positions ``start`` to ``start + count - 1``, [count]."""
        return self._source.examples(start, count)

    def train(self, samples: int) -> None:
        """See the protocol.

        Raises:
            DivergedError: the loss is not finite.
        """
        end = end_of_call(self.spec, self._position, samples)
        while self._position < end:
            self._block(min(end, self._source.reach(self._position)))

    def _block(self, end: int) -> None:
        """Train up to ``end``, or to the next evaluation point if that comes first."""
        start, batch = self._position, self.spec.batch.total
        end = self._loss.begin(start, end)
        self._forget()
        wrong = 0
        with repeatable(self._device, attention=True):
            for first in range(start, end, batch):
                wrong += self._step(first, min(batch, end - first))
        self._position, self._wrong = end, self._wrong + wrong
        if not self._loss.finite():
            raise DivergedError(
                f"the loss is not finite within images {start} to {end} of {self.spec.samples}, at a learning rate of "
                f"{learning_rate(self.spec, start, self._source.epoch):.3g}; lower optimiser.learning_rate "
                f"({self.spec.optimiser.learning_rate:g}) or give a schedule.warmup_samples"
            )

    def _step(self, start: int, count: int) -> int:
        """One step on the ``count`` images from ``start`` on; wrong labels among them."""
        spec, block = self.spec, self._source.block(start)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(spec, start, self._source.epoch)
        self._optimiser.zero_grad(set_to_none=True)
        for first in range(start, start + count, self._micro):
            last = min(start + count, first + self._micro)
            cut = slice(first - block.first, last - block.first)
            of = (block.clean[cut], block.sigma[cut], block.normals[cut], block.labels[cut])
            with keyed(self._model, spec.seed, first, last - first):
                loss = losses(self._model, self._way, *of).sum()
            (loss / count).backward()  # type: ignore[no-untyped-call]
            self._loss.total += loss.detach()
        if spec.optimiser.clip > 0:
            torch.nn.utils.clip_grad_norm_(self._moving, spec.optimiser.clip)
        self._optimiser.step()
        averaging.update(self._average, self._moving, averaging.decay(spec.averaging, count, start + count))
        return int(np.count_nonzero(block.wrong[start - block.first : start - block.first + count]))

    @property
    def pending(self) -> int:
        return self.spec.sampling.images - len(self._drawn)

    def draw(self, samples: int) -> None:
        """See the protocol; a block has ``DRAWN_AT_ONCE`` images."""
        first = len(self._drawn)
        if samples > 0 and self.pending:
            generator = self._generator()
            last = generator.end_of_block(min(self.spec.sampling.images, first + samples) - 1)
            self._drawn = torch.cat([self._drawn, generator.images(first, last)])
            self._rest = self._scores = None

    def _generator(self) -> Generator:
        spec = self.spec
        return Generator(self._averaged, self._way, spec.sampling, spec.seed, self._shape, self.classes, self._device)

    def _images(self) -> npt.NDArray[np.uint8]:
        """All images; what is pending is drawn, and kept until the weights move."""
        if self._rest is None:
            self._rest = self._generator().images(len(self._drawn), self.spec.sampling.images)
        return torch.cat([self._drawn, self._rest]).numpy()

    def evaluate(self) -> Sequence[Metric]:
        """The metrics of ``trainers.diffusion.METRICS``, all but the training loss of the averaged weights.

        Raises:
            DivergedError: the model's outputs are not finite.
        """
        found = [Metric(name, value) for name, value in {**self._as_classifier(), **self._score().metrics()}.items()]
        return (*found, Metric("train_loss", self._loss.mean(self._position), split="train"))

    def _score(self) -> Scores:
        if self._scores is None:
            images = self._images()
            requested = labels_of(0, len(images), self.classes)
            self._scores = measure(images, requested, self._reference, self._channel, self._counts)
        return self._scores

    def _classified(self) -> npt.NDArray[np.int64]:
        """Numbers of the test examples that the model classifies, evenly spaced."""
        size, asked = len(self._data.test_labels), self.spec.evaluation.classified
        count = size if asked is None else min(asked, size)
        return np.arange(count, dtype=np.int64) * size // max(count, 1)

    def _log_probabilities(self) -> predictions.Matrix:
        """ln p(label | image) of the classified test images [N, n]; kept until the weights move."""
        if self._log_p is None:
            examples, spec = self._classified(), self.spec
            images = pixels(self._data.test_images[examples]) * np.float32(2) - np.float32(1)
            found = label_losses(
                self._averaged,
                self._way,
                images,
                examples,
                self.classes,
                spec.evaluation.levels,
                spec.seed,
                self._device,
            )
            if not np.isfinite(found).all():
                raise DivergedError(
                    f"the model's outputs on the test images are not finite after {self._position} samples; lower "
                    f"optimiser.learning_rate ({spec.optimiser.learning_rate:g})"
                )
            # The given labels' own frequencies: the posterior is then of a given label, T^T p of the clean one.
            prior = self._counts / self._counts.sum()
            given = prior if self._channel is None else prior @ self._channel
            with np.errstate(divide="ignore"):  # a class that is never given has none
                self._log_p = generative.posterior(found, np.log(given))
        return self._log_p

    def _as_classifier(self) -> dict[str, float | None]:
        labels = self._data.test_labels[self._classified()]
        if not len(labels):
            names = ("top1", "test_nll", "sampled_accuracy", "channel_inverted_nll", "inversion_boundary_share")
            return dict.fromkeys(names)
        log_p = self._log_probabilities()
        inverted, boundary = inversion.channel_inverted_nll(np.exp(log_p), labels, self._channel)
        return {
            "top1": predictions.top1(log_p, labels),
            "test_nll": predictions.nll(log_p, labels),
            "sampled_accuracy": predictions.sampled_accuracy(log_p, labels),
            "channel_inverted_nll": inverted,
            "inversion_boundary_share": boundary,
        }

    def _forget(self) -> None:
        """What was measured and drawn is of weights that are about to move."""
        self._drawn = self._no_images()
        self._rest, self._log_p, self._scores = None, None, None

    def _no_images(self) -> torch.Tensor:
        return torch.empty((0, *self._shape), dtype=torch.uint8)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot, on the device; what it holds is checked by :mod:`trainers.diffusion.state`."""
        return {
            "format": FORMAT,
            "spec": identity(self.spec),
            "position": self._position,
            "wrong": self._wrong,
            "loss": self._loss.total.clone(),
            "model": copied(dict(self._model.named_parameters())),
            "average": copied(dict(self._averaged.named_parameters())),
            "optimiser": optimiser_state(self._optimiser),
            "drawn": self._drawn.clone(),
        }

    def load_state_dict(self, given: Mapping[str, Any]) -> None:
        """Raises:
        StateError: the state is of another trial or damaged; the trainer is left as it was.
        """
        check(given, self.spec, dict(self._model.named_parameters()), self._moving, self._shape)
        self._model.load_state_dict(given["model"])
        self._averaged.load_state_dict(given["average"])
        load_optimiser(self._optimiser, given["optimiser"])
        self._loss.total.copy_(given["loss"])
        self._forget()
        self._position, self._wrong = given["position"], given["wrong"]
        self._drawn = given["drawn"].cpu().clone()

    def artifacts(self) -> Sequence[Artifact]:
        """``weights``; ``truth_probability``, ``images`` and ``confusion`` where there is anything in them."""
        examples = self._classified()
        found = [weights.artifact(self._averaged, self._network, self.spec.parametrisation)]
        if len(examples):
            truth = self._data.test_labels[examples]
            found.append(truth_probability(self._log_probabilities(), truth, examples))
        return (*found, *self._score().artifacts())
