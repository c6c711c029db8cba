"""Laws bound to a material: their contract, and what each makes of its material."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from contracts.noise_law import BoundLawContract

from trainers import registry
from trainers.errors import SpecError
from trainers.noise import nearest
from trainers.noise.corruption import corruption
from trainers.noise.material import bound
from trainers.noise.nearest import NEAREST, neighbours
from trainers.noise.teacher import TEACHER
from trainers.noise.unigram import UNIGRAM
from trainers.protocol import BoundLaw
from trainers.registry import noise_law
from trainers.spec import NoiseSpec

HALF = Fraction(1)
LAST = 2**64 - 1


def spec(law: str, ratio: Fraction = HALF, **fields: Any) -> NoiseSpec:
    return NoiseSpec(law=law, ratio=ratio, **fields)


def random_vectors(count: int, width: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)


class TestUnigram(BoundLawContract):
    @pytest.fixture
    def unbound(self) -> BoundLaw:
        return UNIGRAM

    @pytest.fixture
    def material(self) -> npt.NDArray[np.int64]:
        return np.array([40, 0, 3, 3, 1, 0, 25, 8, 19, 1])


class TestNearest(BoundLawContract):
    @pytest.fixture
    def unbound(self) -> BoundLaw:
        return NEAREST

    @pytest.fixture
    def material(self) -> npt.NDArray[np.float32]:
        return random_vectors(10, 3)


@pytest.mark.parametrize("law", [UNIGRAM, NEAREST, TEACHER], ids=lambda law: law.name)
def test_registered_under_its_own_name(law: BoundLaw) -> None:
    assert noise_law(law.name) is law


def test_unigram_draws_by_cumulative_counts() -> None:
    law = UNIGRAM.bind(np.array([0, 2, 0, 1, 1, 0]))
    v = np.array([0, 2**63 - 1, 2**63, 3 * 2**62 - 2**11, 3 * 2**62, LAST], dtype=np.uint64)
    words = np.stack([np.zeros_like(v), v, v, v], axis=1)
    targets = law.corrupt(np.zeros(6, dtype=np.int64), words, spec("unigram"), 6)
    assert targets.tolist() == [1, 1, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("material", "message"),
    [
        (np.array([0.5, 0.5]), "float64 of shape"),
        (np.ones((2, 2), dtype=np.int64), r"shape \(2, 2\)"),
        (np.array([], dtype=np.int64), "at least one above 0"),
        (np.array([0, 0]), "at least one above 0"),
        (np.array([3, -1]), "0 or more each"),
    ],
)
def test_what_are_no_frequencies_is_refused(material: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        UNIGRAM.bind(material)


def test_a_classifiers_frequencies_are_those_of_its_labels() -> None:
    truth = np.repeat(np.arange(4), [700, 200, 0, 100])
    run = corruption(spec("unigram", refresh="frozen"), 4, 0, truth)
    channel = run.law.channel(spec("unigram"), 4)
    assert channel is not None
    np.testing.assert_allclose(channel[2], [0.35, 0.1, 0.5, 0.05], atol=1e-15)
    assert run.table is not None
    redrawn = run.table[truth == 3]
    assert set(redrawn.tolist()) <= {0, 1, 3}


@pytest.mark.parametrize("law", ["nearest", "teacher"])
def test_classes_alone_have_no_embedding_and_no_model(law: str) -> None:
    with pytest.raises(SpecError, match=rf"'{law}' needs (embedding|model), and there is frequencies here"):
        corruption(spec(law), 4, 0, np.zeros(8, dtype=np.int64))


def test_neighbours_are_the_nearest_others_by_direction() -> None:
    vectors = np.array([[1, 0], [3, 0.3], [0, 1], [0, -5], [-1, 0.1]])
    assert neighbours(vectors).tolist() == [1, 0, 1, 0, 2]


def test_equal_neighbours_go_to_the_smaller_token_and_zeros_are_near_nothing() -> None:
    assert neighbours(np.array([[1.0, 0], [1, 0], [1, 0], [0, 0]])).tolist() == [1, 0, 0, 0]
    rows = np.tile(random_vectors(1, 37), (200, 1))  # products of equal rows differ in their last bits
    assert neighbours(rows).tolist() == [1] + [0] * 199


def test_neighbours_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = random_vectors(101, 5)
    whole = neighbours(vectors)
    cosines = np.corrcoef(np.concatenate([vectors, -vectors], axis=1))  # centred rows: correlation is the cosine
    np.fill_diagonal(cosines, -2)
    np.testing.assert_array_equal(whole, cosines.argmax(axis=1))
    monkeypatch.setattr(nearest, "NUMBERS_AT_ONCE", 7 * 101)
    np.testing.assert_array_equal(neighbours(vectors), whole)


@pytest.mark.parametrize("material", [np.zeros(3), np.zeros((1, 4)), np.array([[1.0, np.nan], [0, 1]])])
def test_what_is_no_embedding_is_refused(material: npt.NDArray[Any]) -> None:
    with pytest.raises(SpecError, match="finite vectors of shape"):
        NEAREST.bind(material)


def test_a_teacher_has_no_channel_and_corrupts_no_classes() -> None:
    assert isinstance(TEACHER, BoundLaw)
    assert TEACHER.channel(spec("teacher"), 5) is None
    TEACHER.check(spec("teacher"), 5)
    with pytest.raises(SpecError, match=r"noise\.map is given"):
        TEACHER.check(spec("teacher", map=(1, 0)), 2)
    with pytest.raises(SpecError, match="at least 2 classes"):
        TEACHER.check(spec("teacher"), 1)
    with pytest.raises(SpecError, match="classes alone have none"):
        TEACHER.corrupt(np.zeros(2, dtype=np.int64), np.zeros((2, 4), dtype=np.uint64), spec("teacher"), 5)
    clean = spec("teacher", Fraction(0))
    assert TEACHER.corrupt(np.array([3]), np.zeros((1, 4), dtype=np.uint64), clean, 5).tolist() == [3]
    np.testing.assert_array_equal(TEACHER.channel(clean, 3), np.eye(3))


def test_materials_are_made_when_they_are_needed() -> None:
    def refuse() -> Any:
        raise AssertionError("nobody asked for this material")

    assert bound(UNIGRAM, spec("unigram", Fraction(0)), {"frequencies": refuse}) is UNIGRAM
    law = noise_law("next_class")
    assert bound(law, spec("next_class"), {"frequencies": refuse}) is law
    assert bound(UNIGRAM, spec("unigram"), {"frequencies": lambda: np.array([1, 2])}).name == "unigram"
    with pytest.raises(SpecError, match="and there is none here"):
        bound(UNIGRAM, spec("unigram"), {})


def test_a_classifier_trains_and_is_inverted_under_unigram_noise() -> None:
    family = registry.family("classifier")
    fields = {"model": "mlp", "dataset": "digits", "budget": {"samples": 640}}
    noise = {"law": "unigram", "rate": "1/2"}
    trial = family.spec.model_validate({"family": "classifier", "noise": noise, **fields})
    trainer = family.build(trial, registry.dataset("digits").load(None), "cpu")
    trainer.train(trial.samples)
    values = {metric.name: metric.value for metric in trainer.evaluate()}
    assert values["channel_inverted_nll"] is not None
    assert values["inversion_boundary_share"] is not None
    # About 9/10 of the redrawn half differ from the truth; five binomial deviations.
    assert trainer.realised_rate == pytest.approx(0.45, abs=5 * np.sqrt(0.45 * 0.55 / trial.samples))
