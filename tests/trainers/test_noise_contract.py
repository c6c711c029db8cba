"""The suite of noise laws catches what it is there for: a law with one fault fails the test of that name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from contracts.noise_law import BoundLawContract, NoiseLawContract

from trainers.errors import SpecError
from trainers.noise.laws import UNIFORM_WRONG, ClassLaw
from trainers.noise.unigram import UNIGRAM
from trainers.protocol import NoiseLaw
from trainers.spec import NoiseSpec
from trainers.streams import uniforms

Labels = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Matrix = npt.NDArray[np.float64]


class Faulty:
    """``uniform_wrong`` with one method replaced."""

    name = "faulty"
    about = "a law with a fault"

    def check(self, noise: NoiseSpec, classes: int) -> None:
        UNIFORM_WRONG.check(noise, classes)

    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return UNIFORM_WRONG.corrupt(labels, words, noise, classes)

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix | None:
        return UNIFORM_WRONG.channel(noise, classes)


class Loud(Faulty):
    name = "Uniform Wrong"


class Lenient(Faulty):
    def check(self, noise: NoiseSpec, classes: int) -> None:
        return


class Fussy(Faulty):
    def check(self, noise: NoiseSpec, classes: int) -> None:
        UNIFORM_WRONG.check(noise.model_copy(update={"ratio": noise.ratio + 1}), classes)


class Ranged(Faulty):
    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return np.where(uniforms(words[:, 0]) < float(noise.rate), labels + 1, labels)


class InPlace(Faulty):
    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        labels[:] = super().corrupt(labels, words, noise, classes)
        return labels


class Stateful(Faulty):
    calls = 0

    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        self.calls += 1
        return super().corrupt(labels, words + np.uint64(self.calls << 60), noise, classes)


class Neighbourly(Faulty):
    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return super().corrupt(labels, np.roll(words, 1, axis=0), noise, classes)


class Rescaled(Faulty):
    """The replacement from the same word as the decision: right at each ratio, nested at none."""

    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        u, e = uniforms(words[:, 0]), float(noise.rate)
        step = 1 + (np.minimum(u / max(e, 1e-9), 1 - 1e-9) * (classes - 1)).astype(np.int64)
        return np.where(u < e, (labels + step) % classes, labels)


class Skewed(Faulty):
    """Wrong at the rate, and too often towards the next class."""

    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        skewed = words.copy()
        skewed[:, 1] = (uniforms(words[:, 1]) ** 1.2 * 2.0**64).astype(np.uint64)
        return super().corrupt(labels, skewed, noise, classes)


class Overdone(Faulty):
    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return super().corrupt(labels, words, noise.model_copy(update={"ratio": noise.ratio * 6 / 5}), classes)


class Idle(Faulty):
    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return labels.copy()


class Unnormalised(Faulty):
    def channel(self, noise: NoiseSpec, classes: int) -> Matrix | None:
        return UNIFORM_WRONG.channel(noise, classes) * 1.001


class Transposed(Faulty):
    """The channel of a step forwards given for a step backwards."""

    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return np.where(uniforms(words[:, 0]) < float(noise.rate), (labels - 1) % classes, labels)

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix | None:
        e = float(noise.rate)
        forwards: Matrix = (1 - e) * np.eye(classes) + e * np.roll(np.eye(classes), 1, axis=1)
        return forwards


@pytest.mark.parametrize(
    ("law", "test"),
    [
        (Loud, NoiseLawContract.test_name_can_be_written_in_a_grid_file),
        (Lenient, NoiseLawContract.test_check_refuses_a_map_of_the_wrong_length),
        (Fussy, NoiseLawContract.test_check_asks_nothing_at_ratio_0),
        (Ranged, NoiseLawContract.test_targets_are_classes),
        (InPlace, NoiseLawContract.test_arguments_are_left_as_they_are),
        (Stateful, NoiseLawContract.test_same_words_give_same_targets),
        (Neighbourly, NoiseLawContract.test_each_entry_depends_on_its_own_words_only),
        (Rescaled, NoiseLawContract.test_nested_over_the_ratio),
        (Skewed, NoiseLawContract.test_realised_frequencies_are_the_channel),
        (Overdone, NoiseLawContract.test_no_more_becomes_wrong_than_the_rate),
        (Overdone, NoiseLawContract.test_realised_frequencies_are_the_channel),
        (Idle, NoiseLawContract.test_something_becomes_wrong),
        (Unnormalised, NoiseLawContract.test_channel_is_a_channel),
        (Unnormalised, NoiseLawContract.test_channel_at_ratio_0_is_the_identity),
        (Transposed, NoiseLawContract.test_realised_frequencies_are_the_channel),
    ],
)
def test_a_fault_of_a_law_is_caught(law: type[Faulty], test: Callable[[NoiseLawContract, Faulty], None]) -> None:
    suite = NoiseLawContract()
    test(suite, Faulty())
    # An assertion, an error of the law itself (it writes to what is read-only), or "did not raise".
    with pytest.raises((AssertionError, ValueError, SpecError, pytest.fail.Exception)):
        test(suite, law())


class Unbound:
    """``unigram`` with one method replaced."""

    name = UNIGRAM.name
    about = UNIGRAM.about
    material = UNIGRAM.material

    def check(self, noise: NoiseSpec, classes: int) -> None:
        UNIGRAM.check(noise, classes)

    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return UNIGRAM.corrupt(labels, words, noise, classes)

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix | None:
        return UNIGRAM.channel(noise, classes)

    def bind(self, material: Any) -> NoiseLaw:
        return UNIGRAM.bind(material)


class Itself(Unbound):
    def bind(self, material: Any) -> NoiseLaw:
        return self


class Careless(Unbound):
    def check(self, noise: NoiseSpec, classes: int) -> None:
        return


class Guessing(Unbound):
    def corrupt(self, labels: Labels, words: Words, noise: NoiseSpec, classes: int) -> Labels:
        return UNIFORM_WRONG.corrupt(labels, words, noise, classes)


class Vague(Unbound):
    """Has no word for a clean trial either."""

    def channel(self, noise: NoiseSpec, classes: int) -> Matrix | None:
        raise SpecError(f"{self.name} is not bound")


class Watching(Unbound):
    """Reads its material each time instead of once."""

    def bind(self, material: Any) -> NoiseLaw:
        def replace(labels: Labels, v: Matrix, mapping: Any, classes: int) -> Labels:
            return np.searchsorted(np.cumsum(material) / np.sum(material), v, side="right")

        return ClassLaw(self.name, self.about, replace, lambda mapping, classes: np.eye(classes))


@pytest.mark.parametrize(
    ("law", "test"),
    [
        (Itself, BoundLawContract.test_is_known_as_a_law_to_bind),
        (Careless, BoundLawContract.test_checks_before_it_is_bound),
        (Guessing, BoundLawContract.test_unbound_it_refuses_to_corrupt),
        (Vague, BoundLawContract.test_unbound_it_leaves_clean_targets_clean),
        (Watching, BoundLawContract.test_material_is_left_as_it_is),
        (Watching, BoundLawContract.test_refuses_a_material_of_other_classes),
    ],
)
def test_a_fault_of_a_bound_law_is_caught(law: type[Unbound], test: Callable[..., None]) -> None:
    suite = BoundLawContract()

    def given(unbound: Unbound) -> dict[str, Any]:
        material = np.array([40, 0, 3, 3, 1, 0, 25, 8, 19, 1])
        values = {"unbound": unbound, "material": material, "law": unbound.bind(material)}
        return {name: values[name] for name in test.__annotations__ if name in values}

    test(suite, **given(Unbound()))
    with pytest.raises((AssertionError, SpecError, pytest.fail.Exception)):
        test(suite, **given(law()))
