"""Judges: the classifier's own verdicts, whatever the images are kept as and however many are seen at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.judges import pictures, trained, weights_in
from torch import nn

from trainers.classifier import trainer as classifier_trainer
from trainers.classifier import weights
from trainers.classifier.standard import Standard
from trainers.datasets.images import pixels
from trainers.diffusion import judge as judge_module
from trainers.diffusion.judge import Judge, needed
from trainers.errors import SpecError
from trainers.metrics import predictions

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["float32", "uint8"])
@pytest.mark.parametrize(("model", "size"), [("mlp", 128), ("small_cnn", 64), ("resnet18", 512)])
def test_its_accuracy_is_the_classifiers_own(model: str, size: int, kind: str, tmp_path: Path) -> None:
    data = pictures(kind, channels=2)
    trainer = trained(data, model, samples=60)
    judge = Judge.read(weights_in(tmp_path, trainer), (2, 9, 9), 3, CPU, "judge")
    found = judge.verdicts(data.test_images)
    own = {metric.name: metric.value for metric in trainer.evaluate()}
    assert predictions.top1(found.log_p, data.test_labels) == own["top1"]
    assert predictions.nll(found.log_p, data.test_labels) == own["test_nll"]
    assert float((found.judged == data.test_labels).mean()) == own["top1"]
    assert (found.log_p.dtype, found.features.dtype) == (np.float64, np.float64)
    assert (found.log_p.shape, found.features.shape) == ((30, 3), (30, size))


def test_features_are_what_the_last_layer_sees(tmp_path: Path) -> None:
    trainer = trained(pictures(), "small_cnn")
    judge = Judge.read(weights_in(tmp_path, trainer), (1, 9, 9), 3, CPU, "judge")
    found = judge.verdicts(pictures().test_images)
    last = trainer.state_dict()["model"]
    logits = found.features @ last["8.weight"].double().numpy().T + last["8.bias"].double().numpy()
    np.testing.assert_allclose(predictions.log_probabilities(logits), found.log_p, atol=1e-5)


def test_bytes_and_their_floats_are_judged_alike(tmp_path: Path) -> None:
    judge = Judge.read(weights_in(tmp_path, trained(pictures())), (1, 9, 9), 3, CPU, "judge")
    images = pictures("uint8").train_images
    one, other = judge.verdicts(images), judge.verdicts(pixels(images))
    np.testing.assert_array_equal(one.log_p, other.log_p)
    np.testing.assert_array_equal(one.features, other.features)


def test_many_images_are_seen_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge.read(weights_in(tmp_path, trained(pictures())), (1, 9, 9), 3, CPU, "judge")
    images = pictures().train_images
    whole = judge.verdicts(images)
    monkeypatch.setattr("trainers.diffusion.judge.AT_ONCE", 7)
    cut = judge.verdicts(images)
    np.testing.assert_allclose(cut.log_p, whole.log_p, atol=1e-6)
    np.testing.assert_allclose(cut.features, whole.features, atol=1e-6)


def test_as_many_are_seen_at_once_as_by_a_classifier_in_its_test() -> None:
    """Another number might move the last bits of a verdict, and with them the accuracy."""
    assert judge_module.AT_ONCE == classifier_trainer.TEST_BATCH


def test_nothing_is_left_on_the_network(tmp_path: Path) -> None:
    """A hook a call would keep what it saw of every image judged."""
    network = weights.read(weights_in(tmp_path, trained(pictures())))[0]
    found = Judge(network, Standard(np.zeros(1), np.ones(1)), CPU)
    found.verdicts(pictures().test_images)
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_no_images_have_no_verdicts(tmp_path: Path) -> None:
    judge = Judge.read(weights_in(tmp_path, trained(pictures())), (1, 9, 9), 3, CPU, "judge")
    found = judge.verdicts(np.empty((0, 1, 9, 9), dtype=np.uint8))
    assert (found.log_p.shape, found.features.shape, found.judged.shape) == ((0, 3), (0, 128), (0,))


@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 3), ((3, 9, 9), 3), ((1, 9, 9), 10)])
def test_a_judge_of_other_images_is_refused(shape: tuple[int, ...], classes: int, tmp_path: Path) -> None:
    path = weights_in(tmp_path, trained(pictures()))
    with pytest.raises(SpecError, match=r"needs.second_judge judges images of \(1, 9, 9\) in 3 classes"):
        Judge.read(path, shape, classes, CPU, "second_judge")


def test_a_judge_without_a_linear_layer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = weights_in(tmp_path, trained(pictures()))
    about = weights.read(path)[1]
    monkeypatch.setattr(weights, "read", lambda _: (nn.Sequential(nn.Conv2d(1, 3, 9), nn.Flatten()), about))
    with pytest.raises(SpecError, match=r"needs.judge is a mlp, which has no linear layer"):
        Judge.read(path, (1, 9, 9), 3, CPU, "judge")


def test_a_role_is_filled_by_a_trial_that_leaves_weights(tmp_path: Path) -> None:
    assert needed({"judge": {"weights": tmp_path}}, "judge") == tmp_path
    with pytest.raises(SpecError, match=r"needs.judge is missing; name the group"):
        needed({}, "judge")
    with pytest.raises(SpecError, match=r"needs.judge is a trial that left gradients, and weights is due"):
        needed({"judge": {"gradients": tmp_path}}, "judge")
