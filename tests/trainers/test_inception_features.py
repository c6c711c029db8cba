"""The way of Inception's features, with a small network that is called as the file of its weights is."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from fixtures.judges import pictures
from PIL import Image
from torch import nn

from trainers.datasets.images import pixels
from trainers.diffusion.inception import FILE
from trainers.diffusion.reference import Reference
from trainers.diffusion.scores import measure
from trainers.metrics import frechet
from trainers.metrics.inception_features import extractor

CPU = torch.device("cpu")


class Stand(nn.Module):
    """``layers`` takes images [N, 3, 299, 299] in [-1, 1] to 2,048 numbers each: means of neighbouring pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(2), nn.AdaptiveAvgPool1d(2048), nn.Flatten(), nn.Unflatten(1, (3, 2048)))
        self.layers.append(nn.AvgPool2d((3, 1))).append(nn.Flatten())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(images)
        return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / FILE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about TorchScript
        torch.jit.script(Stand().eval()).save(str(path))
    return path


def by_hand(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Pillow's bicubic resizing of each channel as floats, clipped, to (x - 128) / 128, then the stand-in's layers."""
    large = []
    for channel in np.broadcast_to(image, (3, *image.shape[1:])):
        grey = Image.fromarray(channel.astype(np.float32)).resize((299, 299), resample=Image.Resampling.BICUBIC)
        large.append(np.asarray(grey).clip(0, 255))
    scaled = (torch.from_numpy(np.stack(large)[None]) - 128) / 128
    return Stand()(scaled)[0].double().numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_taken_as_clean_fid_does(channels: int, weights: Path) -> None:
    images = pictures("uint8", channels=channels).test_images[:3]
    found = extractor(weights, CPU)(images)
    assert (found.shape, found.dtype) == ((3, 2048), np.float64)
    for row, image in zip(found, images, strict=True):
        np.testing.assert_allclose(row, by_hand(image), atol=1e-6)  # type: ignore[arg-type]


def test_floats_are_seen_as_their_bytes(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures("uint8").test_images[:5]
    features = extractor(weights, CPU)
    whole = features(images)
    monkeypatch.setattr("trainers.metrics.inception_features.AT_ONCE", 2)
    np.testing.assert_allclose(features(pixels(images)), whole, atol=1e-5)
    assert features(images[:0]).shape == (0, 2048)


def test_fid_and_kid_are_over_these_features(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures("uint8")
    features = extractor(weights, CPU)
    drawn, train = features(data.test_images), features(data.train_images)

    # A root of 2,048 x 2,048 takes a minute; these features' first 16 stand for all.
    def narrow(_: Path, __: torch.device) -> object:
        return lambda images: features(images)[:, :16]

    monkeypatch.setattr("trainers.diffusion.reference.extractor", narrow)
    reference = Reference(data, {}, weights, CPU)
    found = measure(data.test_images, data.test_labels, reference, None, np.full(3, 20)).metrics()  # type: ignore[arg-type]
    moments = (frechet.moments(rows[:, :16]) for rows in (drawn, train))
    assert found["fid"] == frechet.distance(*moments)
    assert found["kid"] == frechet.kernel_distance(drawn[:, :16], train[:, :16])
    assert found["frechet_distance"] is None
    assert found["kernel_distance"] is None
