"""The suite that any noise law must pass.

Subclass :class:`NoiseLawContract` in a test module of your own, name it ``Test...`` and give the fixture ``law``; set
``classes`` and ``mapping`` where the law needs other ones. A law on classes that follows from a material has
:class:`BoundLawContract`, with the fixtures ``unbound`` and ``material`` in place of ``law``.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from trainers.errors import SpecError
from trainers.protocol import BoundLaw, NoiseLaw
from trainers.spec import NoiseSpec
from trainers.streams import words

RATIOS = (Fraction(0), Fraction(1, 10), Fraction(3, 10), Fraction(1, 2), Fraction(1), Fraction(9))
SIGMAS = 5


class NoiseLawContract:
    """Pure, entry by entry, true to its channel, nested over the ratio, and strict about its map."""

    classes: ClassVar[int] = 10
    mapping: ClassVar[tuple[int, ...] | tuple[tuple[float, ...], ...] | None] = None
    examples_a_class: ClassVar[int] = 4000

    @pytest.fixture
    def law(self) -> NoiseLaw:
        raise NotImplementedError("give a fixture `law` that returns the noise law to test")

    def noise(self, law: NoiseLaw, ratio: Fraction) -> NoiseSpec:
        return NoiseSpec(law=law.name, ratio=ratio, map=self.mapping)

    def labels(self) -> npt.NDArray[np.int64]:
        return np.tile(np.arange(self.classes, dtype=np.int64), self.examples_a_class)

    def targets(self, law: NoiseLaw, ratio: Fraction, part: slice = slice(None)) -> npt.NDArray[np.int64]:
        labels = self.labels()
        drawn = words(1, "contract", 0, len(labels))
        return law.corrupt(labels[part], drawn[part], self.noise(law, ratio), self.classes)

    def test_name_can_be_written_in_a_grid_file(self, law: NoiseLaw) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", law.name), f"{law.name!r}: lower case, digits and _ are allowed"
        assert law.about.strip(), "about is the line that a person chooses the law by"

    def test_check_asks_nothing_at_ratio_0(self, law: NoiseLaw) -> None:
        """A clean trial has no law: the specification drops its map, and one class will do."""
        law.check(NoiseSpec(law=law.name), 1)

    def test_check_accepts_the_classes_under_test(self, law: NoiseLaw) -> None:
        for ratio in RATIOS:
            law.check(self.noise(law, ratio), self.classes)

    def test_check_refuses_a_map_of_the_wrong_length(self, law: NoiseLaw) -> None:
        noise = NoiseSpec(law=law.name, ratio=Fraction(1), map=(0,) * (self.classes + 1))
        with pytest.raises(SpecError, match=r"noise\.map"):
            law.check(noise, self.classes)

    def test_targets_are_classes(self, law: NoiseLaw) -> None:
        for ratio in RATIOS:
            targets = self.targets(law, ratio)
            assert targets.dtype == np.int64
            assert targets.shape == self.labels().shape
            assert targets.min() >= 0
            assert targets.max() < self.classes

    def test_no_entries_give_no_targets(self, law: NoiseLaw) -> None:
        assert self.targets(law, Fraction(1), slice(0, 0)).shape == (0,)

    def test_arguments_are_left_as_they_are(self, law: NoiseLaw) -> None:
        labels, drawn = self.labels(), words(1, "contract", 0, len(self.labels()))
        labels.flags.writeable = drawn.flags.writeable = False
        targets = law.corrupt(labels, drawn, self.noise(law, Fraction(1)), self.classes)
        assert not np.shares_memory(targets, labels)
        np.testing.assert_array_equal(labels, self.labels())
        np.testing.assert_array_equal(drawn, words(1, "contract", 0, len(labels)))

    def test_same_words_give_same_targets(self, law: NoiseLaw) -> None:
        np.testing.assert_array_equal(self.targets(law, Fraction(1)), self.targets(law, Fraction(1)))

    def test_each_entry_depends_on_its_own_words_only(self, law: NoiseLaw) -> None:
        whole = self.targets(law, Fraction(1))
        for part in (slice(0, 1), slice(37, 101), slice(None, None, -1), slice(5, None, 7)):
            np.testing.assert_array_equal(self.targets(law, Fraction(1), part), whole[part])

    def test_ratio_0_changes_nothing(self, law: NoiseLaw) -> None:
        np.testing.assert_array_equal(self.targets(law, Fraction(0)), self.labels())

    def test_something_becomes_wrong(self, law: NoiseLaw) -> None:
        assert (self.targets(law, Fraction(1)) != self.labels()).any()

    def test_nested_over_the_ratio(self, law: NoiseLaw) -> None:
        """What a smaller ratio made wrong stays wrong, with the same target, at every larger one."""
        for smaller, larger in pairwise(RATIOS):
            few, many = self.targets(law, smaller), self.targets(law, larger)
            wrong = few != self.labels()
            np.testing.assert_array_equal(many[wrong], few[wrong])

    def test_no_more_becomes_wrong_than_the_rate(self, law: NoiseLaw) -> None:
        for ratio in RATIOS:
            e = float(ratio / (1 + ratio))
            wrong = self.targets(law, ratio) != self.labels()
            assert wrong.mean() <= e + SIGMAS * np.sqrt(e * (1 - e) / wrong.size)

    def test_channel_is_a_channel(self, law: NoiseLaw) -> None:
        for ratio in RATIOS:
            channel = law.channel(self.noise(law, ratio), self.classes)
            if channel is None:
                continue
            assert channel.shape == (self.classes, self.classes)
            assert channel.dtype == np.float64
            assert (channel >= 0).all()
            np.testing.assert_allclose(channel.sum(axis=1), 1, rtol=0, atol=1e-12)
            assert (np.diag(channel) >= 1 / (1 + float(ratio)) - 1e-12).all(), "a target is kept with 1 - e at least"

    def test_channel_at_ratio_0_is_the_identity(self, law: NoiseLaw) -> None:
        channel = law.channel(self.noise(law, Fraction(0)), self.classes)
        assert channel is None or np.array_equal(channel, np.eye(self.classes))

    def test_realised_frequencies_are_the_channel(self, law: NoiseLaw) -> None:
        """Each cell of T within 5 sigma of its binomial; a cell of 0 or 1 exactly."""
        n = self.examples_a_class
        for ratio in RATIOS:
            channel = law.channel(self.noise(law, ratio), self.classes)
            if channel is None:
                continue
            counts = np.zeros(channel.shape)
            np.add.at(counts, (self.labels(), self.targets(law, ratio)), 1)
            spread = SIGMAS * np.sqrt(n * channel * np.clip(1 - channel, 0, 1))
            off = np.abs(counts - n * channel) - spread
            worst = np.unravel_index(off.argmax(), off.shape)
            assert off.max() <= 1e-6 * n, (
                f"ratio {ratio}: {counts[worst]:.0f} of {n} targets go {worst[0]} -> {worst[1]}, "
                f"the channel says {n * channel[worst]:.1f}"
            )


class BoundLawContract(NoiseLawContract):
    """All of that for the law that ``bind`` returns; unbound it checks, and says so when it is asked for more."""

    @pytest.fixture
    def unbound(self) -> BoundLaw:
        raise NotImplementedError("give a fixture `unbound` that returns the law as it is registered")

    @pytest.fixture
    def material(self) -> Any:
        raise NotImplementedError("give a fixture `material` that returns what the law is bound to")

    @pytest.fixture
    def law(self, unbound: BoundLaw, material: Any) -> NoiseLaw:
        return unbound.bind(material)

    def test_is_known_as_a_law_to_bind(self, unbound: BoundLaw, law: NoiseLaw) -> None:
        assert isinstance(unbound, BoundLaw)
        assert unbound.material in ("frequencies", "embedding", "model")
        assert not isinstance(law, BoundLaw), "a law that is bound must not look as if it had yet to be"
        assert (law.name, law.about) == (unbound.name, unbound.about)

    def test_checks_before_it_is_bound(self, unbound: BoundLaw) -> None:
        self.test_check_asks_nothing_at_ratio_0(unbound)
        self.test_check_accepts_the_classes_under_test(unbound)
        self.test_check_refuses_a_map_of_the_wrong_length(unbound)

    def test_unbound_it_leaves_clean_targets_clean(self, unbound: BoundLaw) -> None:
        self.test_ratio_0_changes_nothing(unbound)
        self.test_channel_at_ratio_0_is_the_identity(unbound)

    def test_unbound_it_refuses_to_corrupt(self, unbound: BoundLaw) -> None:
        with pytest.raises(SpecError, match=unbound.material):
            self.targets(unbound, Fraction(1))
        with pytest.raises(SpecError, match=unbound.material):
            unbound.channel(self.noise(unbound, Fraction(1)), self.classes)

    def test_material_is_left_as_it_is(self, unbound: BoundLaw, material: Any) -> None:
        before = np.array(material, copy=True)
        law = unbound.bind(material)
        targets = self.targets(law, Fraction(1))
        np.testing.assert_array_equal(material, before)
        material[:] = np.roll(material, 3, axis=0)
        np.testing.assert_array_equal(self.targets(law, Fraction(1)), targets)

    def test_refuses_a_material_of_other_classes(self, unbound: BoundLaw, material: Any) -> None:
        """When it is bound, or when it first meets the classes."""
        with pytest.raises(SpecError):
            self.targets(unbound.bind(material[:-1]), Fraction(1))
