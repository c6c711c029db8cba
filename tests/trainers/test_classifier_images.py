"""What a classifier makes of its images: standardised, floats or bytes, all of them or a part."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from contracts.states import differences, nested
from contracts.trainer import Case, TrainerContract, finished, values

from trainers.classifier import FAMILY, standard
from trainers.classifier.augment import crop, draws, pad
from trainers.classifier.standard import StandardImages, moments
from trainers.classifier.trainer import ClassifierTrainer
from trainers.datasets import digits
from trainers.datasets.images import Images, pixels
from trainers.errors import SpecError

CPU = torch.device("cpu")
FIELDS: dict[str, Any] = {
    "model": "mlp",
    "dataset": "digits",
    "noise.ratio": 1,
    "batch.size": 16,
    "budget.samples": 200,
    "seed": 5,
}


def coloured(size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Bytes [size, 3, 9, 8], each channel of another brightness."""
    drawn = np.random.default_rng(seed).integers(0, 256, (size, 3, 9, 8))
    return (drawn // np.array([1, 2, 5])[:, None, None]).astype(np.uint8)


def as_bytes(whole: Images) -> Images:
    """``digits`` as bytes: each of its 17 shades has one of its own, and comes back as the same float."""
    train, test = (np.round(part * 255).astype(np.uint8) for part in (whole.train_images, whole.test_images))
    return Images(train, whole.train_labels, test, whole.test_labels, whole.classes)


def as_floats(whole: Images) -> Images:
    train, test = (pixels(part) for part in (whole.train_images, whole.test_images))
    return Images(train, whole.train_labels, test, whole.test_labels, whole.classes)


def case(data: Images, **changes: Any) -> Case:
    fields = FIELDS | {key.replace("__", "."): value for key, value in changes.items()}
    return Case(
        family=FAMILY,
        fields=fields,
        data=data,
        diverging={"optimiser.learning_rate": 10.0, "optimiser.weight_decay": 1.0, "schedule.name": "constant"},
        examples=lambda trainer, start, count: trainer.examples(start, count).tolist(),
    )


class TestBytesOfAPart(TrainerContract):
    """The contract of any trainer, on bytes, shifted and flipped, on a part of the data."""

    @pytest.fixture
    def case(self) -> Case:
        made = case(as_bytes(digits.CARRIED.load()), augment="shift_flip", subset__classes=4, subset__images=350)
        return replace(made, fields=made.fields | {"batch.size": 32, "budget.samples": 500})


def test_standardised_by_the_training_images() -> None:
    train = np.random.default_rng(0).random((50, 2, 4, 4), dtype=np.float32)
    train[:, 1] = 0.25  # a channel that does not vary
    found = moments(train).applied(train)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=(0, 2, 3)), [1, 0], atol=1e-6)
    np.testing.assert_array_equal(moments(train).applied(train[:3]), found[:3])


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 22])
def test_moments_of_bytes_are_those_of_their_floats_however_they_are_cut(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standard, "CHUNK_BYTES", chunk)
    images = coloured(40)
    found, expected = moments(images), moments(pixels(images).astype(np.float64))  # type: ignore[arg-type]
    assert found.mean.dtype == found.deviation.dtype == np.float64
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-7)
    np.testing.assert_allclose(found.deviation, expected.deviation, rtol=1e-7)
    np.testing.assert_array_equal(found.mean, moments(images[::-1]).mean)


def test_moments_of_one_shade_leave_it_in_place() -> None:
    images = np.full((7, 2, 3, 3), 255, dtype=np.uint8)
    found = moments(images)
    np.testing.assert_array_equal(found.mean, [1, 1])
    np.testing.assert_array_equal(found.deviation, [1, 1])


@pytest.mark.parametrize("shifted", [False, True])
def test_bytes_and_floats_give_the_same_bits(shifted: bool) -> None:
    images, examples = coloured(30), torch.tensor([4, 0, 29, 4])
    law = moments(images)
    drawn = torch.from_numpy(draws(1, 0, 4, (9, 8), True)) if shifted else None
    expected = torch.from_numpy(law.applied(pixels(images)))
    if drawn is not None:
        black = torch.from_numpy((-law.mean / law.deviation).astype(np.float32))
        expected = crop(pad(expected, black), examples, drawn, (9, 8))
    else:
        expected = expected[examples]
    for given in (images, pixels(images)):
        kept = StandardImages(given, law, CPU, shifted=shifted)
        assert len(kept) == 30
        assert torch.equal(kept.take(examples, drawn), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_holds_bytes_and_gives_the_same_bits() -> None:
    images, examples = coloured(30), torch.tensor([4, 0, 29, 4])
    kept = StandardImages(images, moments(images), torch.device("cuda"))
    assert kept._tensor.dtype == torch.uint8
    expected = StandardImages(images, moments(images), CPU).take(examples)
    assert torch.equal(kept.take(examples.cuda()).cpu(), expected)


def test_a_map_is_read_and_not_copied(tmp_path: Path) -> None:
    """A map that cannot be written to gives what the array gives, without torch's warning, and stays a map."""
    np.save(tmp_path / "train.npy", coloured(64))
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    labels = np.arange(64) % 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_map = case(Images(mapped, labels, coloured(20, 1), labels[:20], 10), augment="shift").build()
        on_map.train(64)
    assert isinstance(on_map, ClassifierTrainer)
    assert np.shares_memory(on_map._train_images._raw, mapped)
    in_memory = case(Images(coloured(64), labels, coloured(20, 1), labels[:20], 10), augment="shift").build()
    in_memory.train(64)
    assert differences(finished(on_map), finished(in_memory)) == []


@pytest.mark.parametrize("augment", ["none", "shift_flip"])
def test_training_on_bytes_is_training_on_their_floats(augment: str) -> None:
    """The moments' last bits differ, as two sums in float64 may; nothing else does."""
    labels = np.arange(64) % 10
    data = Images(coloured(64), labels, coloured(20, 1), labels[:20], 10)
    bytes_, floats = (case(given, augment=augment).build() for given in (data, as_floats(data)))
    for trainer in (bytes_, floats):
        trainer.train(10**9)
    for name, tensor in floats.state_dict()["model"].items():
        torch.testing.assert_close(bytes_.state_dict()["model"][name], tensor, rtol=1e-4, atol=1e-6)
    one, other = (values(trainer.evaluate()) for trainer in (bytes_, floats))
    assert one["test/test_nll"] == pytest.approx(other["test/test_nll"], rel=1e-4)


def test_mean_and_deviation_are_those_of_the_part_that_is_trained_on() -> None:
    data = as_bytes(digits.CARRIED.load())
    trainer = case(data, subset__classes=3, subset__images=60).build()
    assert isinstance(trainer, ClassifierTrainer)
    taken = data.train_images[np.sort(np.concatenate([np.flatnonzero(data.train_labels == c)[:20] for c in range(3)]))]
    np.testing.assert_array_equal(trainer._mean, moments(taken).mean)
    np.testing.assert_array_equal(trainer._deviation, moments(taken).deviation)


def test_a_part_is_trained_and_measured_on_alone() -> None:
    trainer = case(digits.CARRIED.load(), subset__classes=3, subset__images=60, noise__ratio=0).build()
    trainer.train(10**9)
    assert isinstance(trainer, ClassifierTrainer)
    assert trainer.examples(0, 60).max() < 60
    assert trainer._log_probabilities().shape == ((digits.CARRIED.load().test_labels < 3).sum(), 3)
    outputs = FAMILY.count_parameters(trainer.spec)
    assert trainer.parameters == outputs < FAMILY.count_parameters(case(digits.CARRIED.load()).spec())


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"subset.classes": 11}, ["subset.classes", "11", "10"]),
        ({"subset.images": 5000}, ["subset.images", "5000", "1437"]),
        ({"subset.images": 9}, ["subset.images", "9", "10 classes"]),
    ],
)
def test_a_part_that_is_not_there_is_refused_before_anything_runs(
    changes: dict[str, Any], fragments: list[str]
) -> None:
    spec = FAMILY.spec.model_validate(nested(FIELDS | changes | {"family": "classifier"}))
    assert FAMILY.check is not None
    for refuse in (lambda: FAMILY.check(spec), lambda: FAMILY.build(spec, digits.CARRIED.load(), "cpu", {})):
        with pytest.raises(SpecError) as refusal:
            refuse()
        for fragment in fragments:
            assert fragment in str(refusal.value)


def test_a_neutral_subset_is_in_no_id() -> None:
    from trainers.spec import canonical_json

    spec = FAMILY.spec.model_validate(nested(FIELDS | {"family": "classifier"}))
    assert "subset" not in canonical_json(spec, "1")
    part = FAMILY.spec.model_validate(nested(FIELDS | {"family": "classifier", "subset.classes": 4}))
    assert "subset" in canonical_json(part, "1")
