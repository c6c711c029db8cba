"""Packs are sized from what was measured, and from nothing else."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sweep.driver.pace import LONGEST_SECONDS, SHORTEST_SECONDS, UNTIMED_SECONDS, Pace, pack_size


def test_pace_knows_nothing_until_something_is_measured() -> None:
    pace = Pace({})
    assert pace.seconds("a", 100) is None
    pace.measured("a", 100, 2.0)
    pace.measured("a", 300, 6.0)
    assert pace.seconds("a", 50) == 1.0
    assert pace.seconds("b", 50) is None


def test_what_is_measured_now_overrides_what_a_store_told() -> None:
    pace = Pace({"a": 1.0})
    assert pace.seconds("a", 3) == 3.0
    pace.measured("a", 10, 1.0)
    assert math.isclose(pace.seconds("a", 10) or 0, 1.0)


def test_untimed_trials_are_shared_out_evenly_with_a_limit() -> None:
    size = pack_size([None] * 200, 200, 8)
    assert (size.count, size.limit) == (25, UNTIMED_SECONDS)


def test_short_trials_end_in_one_wave() -> None:
    """200 trials of 0.2 s on 8 slots are 5 s a slot: 25 a pack, and no second round of packs."""
    assert pack_size([0.2] * 200, 200, 8).count == 25


def test_long_trials_go_alone() -> None:
    assert pack_size([100.0] * 50, 50, 2).count == 1


def test_many_trials_make_packs_of_the_longest_length() -> None:
    size = pack_size([0.01] * 4096, 100_000, 2)
    assert abs(size.count * 0.01 - LONGEST_SECONDS) < 0.05


@given(
    st.lists(st.floats(0.001, 500), min_size=1, max_size=60),
    st.integers(1, 16),
)
def test_a_pack_is_never_empty_nor_longer_than_what_is_there(times: list[float], slots: int) -> None:
    size = pack_size(times, len(times), slots)
    assert 1 <= size.count <= len(times)
    assert size.count <= -(-len(times) // slots)
    if size.count > 1:
        assert sum(times[: size.count]) <= LONGEST_SECONDS * 1.01
    assert size.limit >= min(SHORTEST_SECONDS, UNTIMED_SECONDS)
