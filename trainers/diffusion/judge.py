"""A judge: a finished classifier that says what generated images show, and by whose features sets are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from trainers.classifier import weights
from trainers.classifier.standard import Standard
from trainers.datasets.images import Pixels, pixels
from trainers.device import repeatable
from trainers.errors import SpecError
from trainers.metrics.predictions import log_probabilities, predicted

#: Images a forward pass, as in a classifier's own test; the last bits of a product may depend on it.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Verdicts:
    """``log_p`` [N, n] of each class, and the ``features`` [N, d] that it was said from."""

    log_p: npt.NDArray[np.float64]
    features: npt.NDArray[np.float64]

    @property
    def judged(self) -> npt.NDArray[np.int64]:
        """The most probable class of each image, [N]."""
        return predicted(self.log_p)


class Judge:
    """A classifier on a device; built by :meth:`read`."""

    def __init__(self, model: nn.Module, standard: Standard, device: torch.device) -> None:
        self._model, self._standard, self._device = model.to(device).eval(), standard, device
        #: What features are taken from: the input of the last linear layer.
        self._last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]

    @classmethod
    def read(cls, path: Path, shape: tuple[int, ...], classes: int, device: torch.device, role: str) -> Judge:
        """The judge of a file, for images of ``shape`` in so many classes.

        Raises:
            SpecError: the file holds no classifier, or one of other images or classes, or without a linear layer.
        """
        model, about = weights.read(path)
        if about.shape != tuple(shape) or about.classes != classes:
            raise SpecError(
                f"needs.{role} judges images of {about.shape} in {about.classes} classes, and this trial draws "
                f"{tuple(shape)} in {classes}; name a classifier of the same data"
            )
        if not any(isinstance(module, nn.Linear) for module in model.modules()):
            raise SpecError(f"needs.{role} is a {about.model}, which has no linear layer to take features from")
        return cls(model, Standard(np.array(about.mean), np.array(about.deviation)), device)

    def verdicts(self, images: Pixels) -> Verdicts:
        """What the judge says of images [N, C, H, W], bytes or float32 in [0, 1]."""
        count = len(images)
        log_p, features = np.empty((count, self._last.out_features)), np.empty((count, self._last.in_features))
        seen: list[torch.Tensor] = []
        hook = self._last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            with torch.inference_mode(), repeatable(self._device):
                for first in range(0, count, AT_ONCE):
                    part = slice(first, first + AT_ONCE)
                    given = self._standard.applied(pixels(images[part]))
                    logits = self._model(torch.from_numpy(given).to(self._device))
                    log_p[part] = log_probabilities(logits.cpu().numpy())
                    features[part] = seen.pop().cpu().numpy()
        finally:
            hook.remove()
        return Verdicts(log_p, features)


def needed(needs: Mapping[str, Mapping[str, Path]], role: str) -> Path:
    """The weights that the trial in ``role`` left.

    Raises:
        SpecError: the role is not filled, or by a trial that leaves no weights.
    """
    if role not in needs:
        raise SpecError(f"needs.{role} is missing; name the group whose trials are to fill it")
    if weights.ROLE not in needs[role]:
        raise SpecError(
            f"needs.{role} is a trial that left {', '.join(needs[role]) or 'nothing'}, and {weights.ROLE} is due: a "
            "trial of the family classifier leaves it"
        )
    return needs[role][weights.ROLE]
