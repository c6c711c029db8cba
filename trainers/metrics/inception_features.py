"""Features of Inception-v3 as clean-fid takes them: what FID and KID are defined over."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from trainers.datasets.images import BRIGHTEST, Pixels, pixels
from trainers.device import repeatable

#: Images a forward pass; fixed, since the last bits of a product may depend on the batch.
AT_ONCE = 50


def extractor(weights: Path, device: torch.device) -> Callable[[Pixels], npt.NDArray[np.float64]]:
    """A function of images [N, C, H, W], grey ones as three equal channels, to features [N, 2048].

    Args:
        weights: the TorchScript file ``inception-2015-12-05.pt`` in any folder, under that name.
    """
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about TorchScript, which the file is
        network = InceptionV3W(str(weights.parent), download=False).to(device).eval()
    resize = build_resizer("clean")

    def features(images: Pixels) -> npt.NDArray[np.float64]:
        found = [np.empty((0, 2048))]
        for first in range(0, len(images), AT_ONCE):
            part = images[first : first + AT_ONCE]
            shades = part.astype(np.float32) if part.dtype == np.uint8 else pixels(part) * BRIGHTEST
            colour = np.broadcast_to(shades, (len(shades), 3, *shades.shape[2:])) if shades.shape[1] == 1 else shades
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of Pillow's fromarray(mode=), clean-fid's call
                large = np.stack([resize(image) for image in colour.transpose(0, 2, 3, 1)])
            with torch.inference_mode(), repeatable(device):
                batch = torch.from_numpy(large.transpose(0, 3, 1, 2).copy()).to(device)
                found.append(network(batch).double().cpu().numpy())
        return np.concatenate(found)

    return features
