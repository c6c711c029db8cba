"""A language model measured on clean text, chunk by chunk: [N, vocabulary] is never in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from trainers.datasets.text.corpus import Tokens
from trainers.device import autocast
from trainers.language.windows import Starts, gather
from trainers.metrics.tokens import Inverter
from trainers.models.language import LanguageModel

#: Tokens a forward pass; fixed, since the last bits of a product may depend on the batch.
TOKENS_AT_ONCE = 8192
#: Rows of logits at once: fewer would read the output matrix again and again.
ROWS_AT_ONCE = 256
#: Numbers of float64 at once, rows x vocabulary: 1 MB an array on a CPU, whose caches it then does not leave (a quarter
#: of the time that 64 MB take), 1 GB on a GPU.
NUMBERS_ON_CPU = 2**17
NUMBERS_ON_GPU = 2**27

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """Validation targets, [N] each, and what the model says of them.

    ``nll`` is -ln p(truth) in nats, over all outputs; ``p_previous`` = p(truth - 1 mod classes). ``inverted`` is the
    probability of the truth after the channel was inverted, of every ``stride``-th target, [ceil(N / stride)]; None, as
    ``boundary``, where that has no value.
    """

    truth: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]
    nll: Numbers
    p_previous: Numbers
    inverted: Numbers | None
    boundary: npt.NDArray[np.bool_] | None
    stride: int = 1

    @property
    def p_truth(self) -> Numbers:
        return np.exp(-self.nll)

    def finite(self) -> bool:
        return bool(np.isfinite(self.nll).all())

    def metrics(self) -> dict[str, float | None]:
        """The metrics that follow from single targets; perplexity is None where it is beyond a float64.

        Where only some targets were inverted, their mean change is added to the NLL of all, which varies less than
        their own NLL does and compares with a reference that was measured on all.
        """
        nll = float(self.nll.mean())
        inverted: float | None = None
        if self.inverted is not None:
            inverted = nll + float((-np.log(self.inverted) - self.nll[:: self.stride]).mean())
        return {
            "test_nll": nll,
            "perplexity": float(np.exp(nll)) if nll < 700 else None,  # e^709 is the largest
            "top1": float((self.predicted == self.truth).mean()),
            "sampled_accuracy": float(self.p_truth.mean()),
            "channel_inverted_nll": inverted,
            "inversion_boundary_share": None if self.boundary is None else float(self.boundary.mean()),
        }


@dataclass(frozen=True, slots=True)
class Reader:
    """What is needed to run a model over windows of ``tokens``."""

    tokens: Tokens
    context: int
    classes: int
    precision: str
    device: torch.device

    def measure(self, model: nn.Module, starts: Starts, invert: Inverter | None) -> Measured:
        """All targets of the windows that begin at ``starts``."""
        # Filled in place: small arrays kept between large ones that come and go would hold the memory of all of them.
        total = len(starts) * self.context
        truths, predicted = np.empty(total, np.int64), np.empty(total, np.int64)
        nlls, previous = np.empty(total), np.empty(total)
        stride = 1 if invert is None else invert.stride(total)
        inverted, boundary = np.empty(-(-total // stride)), np.empty(-(-total // stride), np.bool_)
        at = 0
        for logits, truth in self._chunks(model, starts):
            log_p = logits.double().log_softmax(-1)
            here = slice(at, at + len(truth))
            truths[here], predicted[here] = truth.cpu(), log_p.argmax(-1).cpu()
            nlls[here] = -log_p.gather(1, truth[:, None])[:, 0].cpu()
            previous[here] = log_p.gather(1, (truth - 1).remainder(self.classes)[:, None])[:, 0].exp().cpu()
            if invert is not None:
                first = -at % stride  # of those that are inverted
                some = slice(-(-at // stride), -(-(at + len(truth)) // stride))
                if some.start < some.stop:
                    p, outside = invert(self._over_classes(log_p[first::stride]), truth[first::stride])
                    inverted[some], boundary[some] = p.cpu(), outside.cpu()
            at += len(truth)
        window = np.repeat(np.arange(len(starts)), self.context)
        if invert is None:
            return Measured(truths, predicted, window, nlls, previous, None, None)
        return Measured(truths, predicted, window, nlls, previous, inverted, boundary, stride)

    def mean_nll(self, model: nn.Module, starts: Starts) -> float:
        """Mean of -ln p(truth) over the windows, nats."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for logits, truth in self._chunks(model, starts):
            total += torch.nn.functional.cross_entropy(logits.double(), truth, reduction="sum")
        return total.item() / (len(starts) * self.context)

    def _over_classes(self, log_p: torch.Tensor) -> torch.Tensor:
        """Without outputs that the data has no token for; what is left sums to 1 again."""
        return log_p if log_p.shape[1] == self.classes else log_p[:, : self.classes].log_softmax(-1)

    @torch.inference_mode()
    def _chunks(self, model: nn.Module, starts: Starts) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Logits [n, outputs], float32, and truth [n], in order. The output layer is in float32 in any precision."""
        network: LanguageModel = model  # type: ignore[assignment]
        sequences = max(1, TOKENS_AT_ONCE // self.context)
        numbers = NUMBERS_ON_CPU if self.device.type == "cpu" else NUMBERS_ON_GPU
        small = max(1, numbers // network.lm_head.out_features)
        rows = max(ROWS_AT_ONCE // small, 1) * small
        for first in range(0, len(starts), sequences):
            windows = torch.from_numpy(gather(self.tokens, starts[first : first + sequences], self.context))
            windows = windows.to(self.device)
            with autocast(self.precision, self.device):
                states = network.hidden(windows[:, :-1])
            states, truth = states.flatten(0, 1).float(), windows[:, 1:].flatten()
            for row in range(0, len(states), rows):
                logits = network.lm_head(states[row : row + rows])
                yield from zip(torch.split(logits, small), torch.split(truth[row : row + rows], small), strict=True)
