"""The classifier's trainer: a thin shell round pure functions of streams, schedule, batches and metrics.

A batch is an indexed read of the images, which :mod:`trainers.classifier.standard` keeps. Which example stands where,
its target and its shift are read from counter-based streams by position, so nothing random is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from trainers.classifier import weights
from trainers.classifier.artifact import truth_probability
from trainers.classifier.augment import draws
from trainers.classifier.schedule import learning_rate
from trainers.classifier.spec import ClassifierSpec, OptimiserSpec
from trainers.classifier.standard import StandardImages, moments
from trainers.classifier.state import FORMAT, check
from trainers.datasets.subset import part
from trainers.device import repeatable, usable
from trainers.errors import DivergedError
from trainers.metrics import inversion, predictions
from trainers.models import catalogue
from trainers.noise.corruption import corruption
from trainers.protocol import Artifact, Metric
from trainers.state import copied, identity, load_optimiser, optimiser_state
from trainers.streams import order
from trainers.training_loss import TrainingLoss, end_of_call

if TYPE_CHECKING:
    from trainers.datasets.images import Images

#: Samples whose order and targets are read at once: the streams' cost a call is then spread over many steps.
BLOCK = 8192
#: Test images a forward pass; fixed, since the last bits of a product may depend on the batch.
TEST_BATCH = 1000


def optimiser_for(spec: OptimiserSpec, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser over all parameters, decay on every one as in the original (protocols 4). Fused: one kernel."""
    if spec.name == "adamw":
        betas = (spec.momentum, spec.second_moment)
        return torch.optim.AdamW(
            parameters, lr=spec.learning_rate, betas=betas, weight_decay=spec.weight_decay, fused=True
        )
    return torch.optim.SGD(
        parameters,
        lr=spec.learning_rate,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.weight_decay,
        fused=True,
    )


class ClassifierTrainer:
    """One classifier in training; see :class:`trainers.protocol.Trainer`."""

    def __init__(self, spec: ClassifierSpec, data: Images, device: str) -> None:
        """Raises:
        SpecError: the device cannot be used, or model, noise, augmentation or subset do not fit the data.
        """
        data = part(data, spec.subset)
        self.spec, self.classes = spec, data.classes
        self._device = usable(device)
        shape = data.train_images.shape[1:]
        self._shape, self._side = shape, (shape[1], shape[2])
        self._size = len(data.train_images)
        self._corruption = corruption(spec.noise, data.classes, spec.seed, data.train_labels)
        self._truth, self._test_labels = data.train_labels, data.test_labels
        self._channel = self._corruption.law.channel(spec.noise, data.classes)
        standard = moments(data.train_images)
        self._mean, self._deviation = standard.mean, standard.deviation
        shifted = spec.augment != "none"
        self._train_images = StandardImages(data.train_images, standard, self._device, shifted=shifted)
        self._test_images = StandardImages(data.test_images, standard, self._device)
        self._model = catalogue.build(spec.model, shape, data.classes, spec.seed).to(self._device)
        self._optimiser = optimiser_for(spec.optimiser, list(self._model.parameters()))
        self._position = 0
        self._wrong = 0
        self._loss = TrainingLoss(spec.evaluate_every, self._device)
        self._measured: predictions.Matrix | None = None

    @property
    def position(self) -> int:
        return self._position

    @property
    def parameters(self) -> int:
        return catalogue.trainable(self._model)

    @property
    def realised_rate(self) -> float | None:
        return self._wrong / self._position if self._position else None

    def examples(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Training examples at stream positions ``start`` to ``start + count - 1``, [count]."""
        return order(self.spec.seed, start, count, self._size)

    def train(self, samples: int) -> None:
        """See the protocol.

        Raises:
            DivergedError: the loss is not finite.
        """
        batch, end = self.spec.batch.total, end_of_call(self.spec, self._position, samples)
        while self._position < end:
            self._block(min(end, self._position + max(1, BLOCK // batch) * batch))

    def _block(self, end: int) -> None:
        """Train up to ``end``, or to the next evaluation point if that comes first."""
        start, batch = self._position, self.spec.batch.total
        end = self._loss.begin(start, end)
        examples = self.examples(start, end - start)
        targets = self._corruption.targets(examples, start)
        wrong = int(np.count_nonzero(targets != self._truth[examples]))
        at, labels = (torch.from_numpy(array).to(self._device) for array in (examples, targets))
        drawn: torch.Tensor | None = None
        if self.spec.augment != "none":
            flip = self.spec.augment == "shift_flip"
            drawn = torch.from_numpy(draws(self.spec.seed, start, end - start, self._side, flip))
            drawn = drawn.to(self._device)
        self._measured = None
        self._model.train()
        with repeatable(self._device):
            for first in range(0, end - start, batch):
                step = slice(first, min(first + batch, end - start))
                images = self._train_images.take(at[step], None if drawn is None else drawn[step])
                self._step(images, labels[step], learning_rate(self.spec, start + first, self._size))
        self._position, self._wrong = end, self._wrong + wrong
        if not self._loss.finite():
            raise DivergedError(
                f"the loss is not finite within samples {start} to {end} of {self.spec.samples}, at a learning rate of "
                f"{learning_rate(self.spec, start, self._size):.3g}; lower optimiser.learning_rate "
                f"({self.spec.optimiser.learning_rate:g}) or give a schedule.warmup_samples"
            )

    def _step(self, images: torch.Tensor, targets: torch.Tensor, rate: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        loss = functional.cross_entropy(self._model(images), targets)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._loss.total += loss.detach().double() * len(targets)

    def evaluate(self) -> Sequence[Metric]:
        """The metrics of ``trainers.classifier.METRICS`` on the clean test labels, and the mean noisy training loss.

        Raises:
            DivergedError: the model's outputs are not finite.
        """
        log_p, labels = self._log_probabilities(), self._test_labels
        inverted, boundary = inversion.channel_inverted_nll(np.exp(log_p), labels, self._channel)
        return (
            Metric("top1", predictions.top1(log_p, labels)),
            Metric("test_nll", predictions.nll(log_p, labels)),
            Metric("sampled_accuracy", predictions.sampled_accuracy(log_p, labels)),
            Metric("channel_inverted_nll", inverted),
            Metric("inversion_boundary_share", boundary),
            Metric("train_loss", self._loss.mean(self._position), split="train"),
        )

    def _log_probabilities(self) -> predictions.Matrix:
        """Log-probabilities of the test images [N, n]; kept until the weights move."""
        if self._measured is None:
            images = torch.arange(len(self._test_images), device=self._device)
            self._model.eval()
            with torch.inference_mode(), repeatable(self._device):
                parts = (images[first : first + TEST_BATCH] for first in range(0, len(images), TEST_BATCH))
                logits = torch.cat([self._model(self._test_images.take(some)) for some in parts])
            if not bool(torch.isfinite(logits).all()):
                raise DivergedError(
                    f"the model's outputs on the test images are not finite after {self._position} samples; "
                    f"lower optimiser.learning_rate ({self.spec.optimiser.learning_rate:g})"
                )
            self._measured = predictions.log_probabilities(logits.cpu().numpy())
        return self._measured

    def state_dict(self) -> dict[str, Any]:
        """A snapshot, on the device; what it holds is checked by :mod:`trainers.classifier.state`."""
        return {
            "format": FORMAT,
            "spec": identity(self.spec),
            "position": self._position,
            "wrong": self._wrong,
            "loss": self._loss.total.clone(),
            "model": copied(self._model.state_dict()),
            "optimiser": optimiser_state(self._optimiser),
        }

    def load_state_dict(self, given: Mapping[str, Any]) -> None:
        """Raises:
        StateError: the state is of another trial or damaged; the trainer is left as it was.
        """
        check(given, self.spec, self._model.state_dict(), self._model.parameters())
        self._model.load_state_dict(given["model"])
        load_optimiser(self._optimiser, given["optimiser"])
        self._loss.total.copy_(given["loss"])
        self._position, self._wrong = given["position"], given["wrong"]
        self._measured = None

    def artifacts(self) -> Sequence[Artifact]:
        """``truth_probability``, and ``weights``, by which the network judges generated images."""
        standard = (tuple(self._mean.tolist()), tuple(self._deviation.tolist()))
        of = (self.spec.dataset, self.spec.subset.model_dump())
        about = weights.About(self.spec.model, self._shape, self.classes, *standard, *of)
        return (
            truth_probability(self._log_probabilities(), self._test_labels),
            weights.artifact(self._model, about),
        )
