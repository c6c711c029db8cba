"""The four class laws: the contract of any law, then their edges."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from contracts.noise_law import NoiseLawContract
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import channels
from trainers.errors import SpecError
from trainers.noise.laws import CONFUSION, NEXT_CLASS, UNIFORM_ALL, UNIFORM_WRONG, ClassLaw
from trainers.protocol import NoiseLaw
from trainers.registry import noise_law
from trainers.spec import NoiseSpec

ROWS = ((0.0, 3.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (2.0, 2.0, 2.0, 2.0), (0.0, 0.0, 5.0, 0.0))
SWAPS = (1, 0, 2, 3, 5, 4)
LAST = 2**64 - 1
repeatable = settings(derandomize=True, deadline=None, max_examples=60, database=None)


class TestUniformWrong(NoiseLawContract):
    @pytest.fixture
    def law(self) -> NoiseLaw:
        return UNIFORM_WRONG


class TestUniformWrongOfTwo(TestUniformWrong):
    classes = 2


class TestUniformAll(NoiseLawContract):
    @pytest.fixture
    def law(self) -> NoiseLaw:
        return UNIFORM_ALL


class TestNextClass(NoiseLawContract):
    @pytest.fixture
    def law(self) -> NoiseLaw:
        return NEXT_CLASS


class TestConfusionOfClasses(NoiseLawContract):
    classes = len(SWAPS)
    mapping = SWAPS

    @pytest.fixture
    def law(self) -> NoiseLaw:
        return CONFUSION


class TestConfusionOfWeights(NoiseLawContract):
    classes = len(ROWS)
    mapping = ROWS

    @pytest.fixture
    def law(self) -> NoiseLaw:
        return CONFUSION


def example_of(law: ClassLaw) -> tuple[NoiseSpec, int]:
    mapping = ROWS if law.takes_map else None
    return NoiseSpec(law=law.name, ratio=Fraction(1), map=mapping), len(ROWS) if law.takes_map else 10


def block(u: int, v: int, count: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.array([[u, v, 0, 0]] * count, dtype=np.uint64)


laws = pytest.mark.parametrize("law", [UNIFORM_WRONG, UNIFORM_ALL, NEXT_CLASS, CONFUSION], ids=lambda law: law.name)


@laws
def test_registered_under_its_own_name(law: ClassLaw) -> None:
    assert noise_law(law.name) is law


@laws
@repeatable
@given(data=st.data())
def test_nested_for_any_two_ratios_and_any_words(law: ClassLaw, data: st.DataObject) -> None:
    """The set made wrong at r1 is part of that at r2 > r1, with the same replacements."""
    base, classes = example_of(law)
    ratios = data.draw(st.lists(st.fractions(0, 50), min_size=2, max_size=2).map(sorted))
    rows = data.draw(st.lists(st.tuples(*[st.integers(0, LAST)] * 4), min_size=1, max_size=30))
    truth = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=len(rows), max_size=len(rows))))
    few, many = (
        law.corrupt(truth, np.array(rows, dtype=np.uint64), base.model_copy(update={"ratio": ratio}), classes)
        for ratio in ratios
    )
    wrong = few != truth
    np.testing.assert_array_equal(many[wrong], few[wrong])


@laws
def test_only_the_first_two_words_count(law: ClassLaw) -> None:
    noise, classes = example_of(law)
    truth = np.arange(classes)
    words = np.arange(classes * 4, dtype=np.uint64).reshape(-1, 4) * np.uint64(2**59)
    other = words.copy()
    other[:, 2:] += np.uint64(12345)
    np.testing.assert_array_equal(law.corrupt(truth, words, noise, classes), law.corrupt(truth, other, noise, classes))


@laws
@pytest.mark.parametrize("v", [0, 1, 2**63, LAST - 2**11, LAST])
def test_extreme_words_stay_within_the_channel(law: ClassLaw, v: int) -> None:
    """u = 0 is redrawn at any rate above 0, the largest u at none below 1; targets have a weight above 0."""
    noise, classes = example_of(law)
    truth = np.arange(classes)
    redrawn = law.corrupt(truth, block(0, v, classes), noise, classes)
    assert (law.weights(noise.map, classes)[truth, redrawn] > 0).all()
    np.testing.assert_array_equal(law.corrupt(truth, block(LAST, v, classes), noise, classes), truth)


def test_redrawn_below_e_and_not_at_it() -> None:
    noise = NoiseSpec(law="next_class", ratio=Fraction(1))
    half = 2**63
    assert NEXT_CLASS.corrupt(np.array([3]), block(half, 0), noise, 10).tolist() == [3]
    assert NEXT_CLASS.corrupt(np.array([3]), block(half - 1, 0), noise, 10).tolist() == [4]


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 100, 1000, 50257])
def test_uniform_wrong_never_hits_the_truth_nor_leaves_the_classes(classes: int) -> None:
    noise = NoiseSpec(ratio=Fraction(1))
    v = np.linspace(0, LAST - 2**12, 4001).astype(np.uint64)
    words = np.stack([np.zeros_like(v), v, v, v], axis=1)
    for truth in (0, classes // 2, classes - 1):
        targets = UNIFORM_WRONG.corrupt(np.full(len(v), truth), words, noise, classes)
        assert (targets != truth).all()
        assert targets.min() >= 0
        assert targets.max() < classes


def test_next_class_of_the_last_is_the_first() -> None:
    noise = NoiseSpec(law="next_class", ratio=Fraction(10**6))
    assert NEXT_CLASS.corrupt(np.array([0, 8, 9]), block(0, 0, 3), noise, 10).tolist() == [1, 9, 0]


@laws
def test_words_of_the_wrong_shape_are_refused(law: ClassLaw) -> None:
    noise, classes = example_of(law)
    for words in (block(0, 0, 2), block(0, 0, 3)[:, :2]):
        with pytest.raises(ValueError, match=r"\(3, 4\) is due"):
            law.corrupt(np.zeros(3, dtype=np.int64), words, noise, classes)


@laws
@pytest.mark.parametrize("ratio", [Fraction(0), Fraction(1, 10), Fraction(1), Fraction(7)])
def test_channel_is_the_one_that_the_report_uses(law: ClassLaw, ratio: Fraction) -> None:
    base, classes = example_of(law)
    noise = base.model_copy(update={"ratio": ratio})
    expected = channels.channel(law.name, noise.rate, classes, noise.map)
    assert expected is not None
    np.testing.assert_allclose(law.channel(noise, classes), expected, rtol=0, atol=1e-15)


def test_channel_by_hand() -> None:
    third = NoiseSpec(law="uniform_wrong", ratio=Fraction(1, 2))
    by_hand = np.array([[2 / 3, 1 / 6, 1 / 6], [1 / 6, 2 / 3, 1 / 6], [1 / 6, 1 / 6, 2 / 3]])
    np.testing.assert_allclose(UNIFORM_WRONG.channel(third, 3), by_hand)
    mapped = NoiseSpec(law="confusion", ratio=Fraction(1), map=((0.0, 3.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
    by_hand = np.array([[0.5, 0.375, 0.125], [0, 1, 0], [0.5, 0, 0.5]])
    np.testing.assert_allclose(CONFUSION.channel(mapped, 3), by_hand)


def test_weights_near_the_ends_of_the_range_are_distributions() -> None:
    mapping = ((1e308, 1e308), (5e-324, 0.0))
    noise = NoiseSpec(law="confusion", ratio=Fraction(1), map=mapping)
    CONFUSION.check(noise, 2)
    np.testing.assert_allclose(CONFUSION.channel(noise, 2), [[0.75, 0.25], [0.5, 0.5]])


@laws
@pytest.mark.parametrize("classes", [1, 0])
def test_too_few_classes_are_refused(law: ClassLaw, classes: int) -> None:
    noise, _ = example_of(law)
    with pytest.raises(SpecError, match=rf"{law.name}.*at least 2 classes and the data set has {classes}"):
        law.check(noise, classes)


@pytest.mark.parametrize("law", [UNIFORM_WRONG, UNIFORM_ALL, NEXT_CLASS], ids=lambda law: law.name)
def test_a_map_for_a_law_that_takes_none_is_refused(law: ClassLaw) -> None:
    with pytest.raises(SpecError, match=r"noise\.map is given.*'confusion'"):
        law.check(NoiseSpec(law=law.name, ratio=Fraction(1), map=(1, 0)), 2)


def test_confusion_without_a_map_is_refused() -> None:
    with pytest.raises(SpecError, match=r"needs noise\.map: for each of the 10 classes"):
        CONFUSION.check(NoiseSpec(law="confusion", ratio=Fraction(1)), 10)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ((), r"has 0 entries and the data set 3 classes"),
        ((1, 0), r"has 2 entries and the data set 3 classes"),
        ((1, 2, 3), r"sends class 2 to 3; a class from 0 to 2"),
        ((1, -1, 0), r"sends class 1 to -1"),
        ((0, 1, 2), r"every class to itself"),
        (((4.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.5)), r"every class to itself"),
        (((0.0, 1.0), (1.0, 0.0), (0.0, 1.0)), r"class 0 a row of 2 weights; 3 are due"),
        (((0.0, 1.0, 0.0), (1.0, -0.5, 0.0), (0.0, 1.0, 0.0)), r"class 1 the weight -0.5 for class 1"),
        (((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)), r"class 2 weights that are all 0"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(mapping: tuple[int, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        CONFUSION.check(NoiseSpec(law="confusion", ratio=Fraction(1), map=mapping), 3)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(weight: float) -> None:
    """The specification refuses it first; a law must not rely on that."""
    noise = NoiseSpec.model_construct(
        law="confusion", ratio=Fraction(1), refresh="fresh", map=((0.0, weight), (1.0, 0.0))
    )
    with pytest.raises(SpecError, match="a finite number of 0 or more"):
        CONFUSION.check(noise, 2)


def test_a_map_may_leave_single_classes_clean() -> None:
    CONFUSION.check(NoiseSpec(law="confusion", ratio=Fraction(1), map=SWAPS), len(SWAPS))
    CONFUSION.check(NoiseSpec(law="confusion", ratio=Fraction(1), map=ROWS), len(ROWS))
