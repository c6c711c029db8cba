"""The trainer of language models: a thin shell round pure functions of streams, schedule, steps and metrics.

Which window stands where and which of its targets are wrong is read from counter-based streams by position, so nothing
random is kept. Nothing in a network is random either: it has no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.datasets.text.corpus import Corpus
from trainers.device import check_precision, repeatable, usable
from trainers.errors import DivergedError
from trainers.language import artifact, samples, weights
from trainers.language.evaluation import Measured, Reader
from trainers.language.noise import corruption
from trainers.language.schedule import learning_rate
from trainers.language.source import Source
from trainers.language.spec import LanguageSpec
from trainers.language.state import FORMAT, check
from trainers.language.step import clip, micro_batch, optimiser_for, summed_loss
from trainers.language.windows import check_length, crops, validation_starts
from trainers.metrics.tokens import inverter
from trainers.models import language
from trainers.models.catalogue import trainable
from trainers.noise.channel import structured
from trainers.protocol import Artifact, Cost, Metric
from trainers.state import copied, identity, load_optimiser, optimiser_state
from trainers.training_loss import TrainingLoss, end_of_call

#: Purpose of the stream of the crops that the original's estimate reads.
PAPER_ESTIMATE = "paper_estimate"


class LanguageTrainer:
    """One language model in training; see :class:`trainers.protocol.Trainer`. Samples are sequences."""

    def __init__(
        self,
        spec: LanguageSpec,
        corpus: Corpus,
        device: str,
        needs: weights.Needs,
        micro: int | None,
        compiled: bool,
    ) -> None:
        """Raises:
        SpecError: the device cannot be used, or model, noise, corpus and what is needed do not fit each other.
        """
        self.spec = spec
        self._corpus, self._device = corpus, usable(device)
        check_precision(spec.precision, self._device)
        for split, tokens in (("training", corpus.train), ("validation", corpus.validation)):
            check_length(tokens, spec.context, split)
        self._network = language.network(spec, corpus.vocabulary)
        model = language.build(self._network, spec.seed)
        if "pretrained" in spec.needs:
            path = weights.needed(needs, "pretrained")
            weights.begin_with(model, self._network, corpus.tokenizer_sha256, path, "pretrained")
        self._model = model.to(self._device)
        noise = corruption(spec, corpus, needs, self._device)
        self._micro = micro_batch(self._network, self._device, spec.batch.total, micro)
        self._source = Source(spec, corpus.train, noise, self._micro, self._device)
        self._invert = inverter(structured(noise.law, spec.noise, corpus.vocabulary))
        self._loss_of = summed_loss(self._model, spec.precision, self._device, compiled)
        self._optimiser = optimiser_for(spec.optimiser, self._model)
        self._moving = [p for group in self._optimiser.param_groups for p in group["params"]]
        self._position = 0
        self._wrong = 0
        self._loss = TrainingLoss(spec.evaluate_every, self._device)
        self._measured: Measured | None = None
        self._written: Artifact | None = None

    @property
    def position(self) -> int:
        return self._position

    @property
    def parameters(self) -> int:
        return trainable(self._model)

    @property
    def realised_rate(self) -> float | None:
        return self._wrong / (self._position * self.spec.context) if self._position else None

    @property
    def cost(self) -> Cost:
        """Of one sequence."""
        return Cost(self.spec.context, self.spec.context * language.flops_a_token(self._network))

    def examples(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """First token of the window at each of the stream positions ``start`` to ``start + count - 1``, [count]."""
        return self._source.starts(start, count)

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
        self._measured = self._written = None
        wrong = 0
        with repeatable(self._device, attention=True):
            for first in range(start, end, batch):
                wrong += self._step(first, min(batch, end - first))
        self._position, self._wrong = end, self._wrong + wrong
        if not self._loss.finite():
            raise DivergedError(
                f"the loss is not finite within sequences {start} to {end} of {self.spec.samples}, at a learning rate "
                f"of {learning_rate(self.spec, start):.3g}; lower optimiser.learning_rate "
                f"({self.spec.optimiser.learning_rate:g}) or give a schedule.warmup_tokens"
            )

    def _step(self, start: int, count: int) -> int:
        """One step on the ``count`` sequences from ``start`` on; wrong targets among them."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.spec, start)
        self._optimiser.zero_grad(set_to_none=True)
        wrong, first, end = 0, start, start + count
        while first < end:
            block = self._source.block(first)
            last = min(end, block.last, first + self._micro)
            part = slice(first - block.first, last - block.first)
            loss = self._loss_of(block.inputs[part], block.targets[part]) / self.spec.context
            (loss / count).backward()  # type: ignore[no-untyped-call]
            self._loss.total += loss.detach()
            wrong += int(block.wrong[part].sum())
            first = last
        clip(self._moving, self.spec.optimiser.clip)
        self._optimiser.step()
        return wrong

    def evaluate(self) -> Sequence[Metric]:
        """The metrics of ``trainers.language.METRICS`` on clean validation text, and the mean noisy training loss.

        Raises:
            DivergedError: the model's outputs are not finite.
        """
        measured = [Metric(name, value) for name, value in self._measure().metrics().items()]
        estimate = Metric("paper_estimate", self._paper_estimate())
        return (*measured, estimate, Metric("train_loss", self._loss.mean(self._position), split="train"))

    def _reader(self) -> Reader:
        corpus, spec = self._corpus, self.spec
        return Reader(corpus.validation, spec.context, corpus.vocabulary, spec.precision, self._device)

    def _measure(self) -> Measured:
        """What the model says of the validation targets; kept until the weights move."""
        if self._measured is None:
            starts = validation_starts(self.spec.context, len(self._corpus.validation))
            with repeatable(self._device, attention=True):
                found = self._reader().measure(self._model, starts, self._invert)
            if not found.finite():
                raise DivergedError(
                    f"the model's outputs on the validation text are not finite after {self._position} sequences; "
                    f"lower optimiser.learning_rate ({self.spec.optimiser.learning_rate:g})"
                )
            self._measured = found
        return self._measured

    def _paper_estimate(self) -> float | None:
        """The original's estimate: random crops, of which each evaluation of a trial reads the same."""
        evaluation, context = self.spec.evaluation, self.spec.context
        count = evaluation.paper_batches * evaluation.paper_batch
        if not count:
            return None
        starts = crops(self.spec.seed, PAPER_ESTIMATE, context, len(self._corpus.validation), 0, count)
        with repeatable(self._device, attention=True):
            return self._reader().mean_nll(self._model, starts)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot, on the device; what it holds is checked by :mod:`trainers.language.state`."""
        return {
            "format": FORMAT,
            "spec": identity(self.spec),
            "position": self._position,
            "wrong": self._wrong,
            "loss": self._loss.total.clone(),
            "model": copied(language.weights(self._model)),
            "optimiser": optimiser_state(self._optimiser),
        }

    def load_state_dict(self, given: Mapping[str, Any]) -> None:
        """Raises:
        StateError: the state is of another trial or damaged; the trainer is left as it was.
        """
        check(given, self.spec, language.weights(self._model), self._moving)
        language.load(self._model, given["model"])
        load_optimiser(self._optimiser, given["optimiser"])
        self._loss.total.copy_(given["loss"])
        self._position, self._wrong = given["position"], given["wrong"]
        self._measured = self._written = None

    def artifacts(self) -> Sequence[Artifact]:
        """``truth_probability`` and ``weights``; ``samples`` where any were asked for."""
        found = [
            artifact.truth_probability(self._measure(), self._corpus),
            weights.artifact(self._model, self._network, self._corpus.tokenizer_sha256),
        ]
        return (*found, self._texts()) if self.spec.evaluation.text_samples else found

    def _texts(self) -> Artifact:
        if self._written is None:
            count = self.spec.evaluation.text_samples
            with repeatable(self._device, attention=True):
                self._written = samples.artifact(
                    self._model, self._corpus, self.spec.context, self.spec.seed, count, self._device
                )
        return self._written
