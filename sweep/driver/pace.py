"""How long trials take, as measured, and from it how many ride together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: A pack lasts this long, at least and at most: below, the process is idle between packs; above, the end of a
#: sweep is ragged and a lost process loses company that could have run elsewhere.
SHORTEST_SECONDS = 5.0
LONGEST_SECONDS = 30.0
#: A pack whose trials nobody has timed yet hands back what it has not begun after so long.
UNTIMED_SECONDS = 10.0


@dataclass
class Pace:
    """Seconds a sample, by kind of trial; ``known`` is what a store tells of earlier runs."""

    known: Mapping[Any, float]

    def __post_init__(self) -> None:
        self._seconds: dict[Hashable, float] = defaultdict(float)
        self._samples: dict[Hashable, int] = defaultdict(int)

    def measured(self, kind: Hashable, samples: int, seconds: float) -> None:
        """A trial of ``samples`` samples took ``seconds``, building and evaluating included."""
        self._samples[kind] += samples
        self._seconds[kind] += seconds

    def seconds(self, kind: Hashable, samples: int) -> float | None:
        """Expected seconds of a trial; None where no trial of its kind was ever timed."""
        if self._samples[kind]:
            return samples * self._seconds[kind] / self._samples[kind]
        rate = self.known.get(kind)
        return None if rate is None else samples * rate


@dataclass(frozen=True, slots=True)
class Size:
    """How many trials to take from the head of a queue, and after how many seconds to begin no further one."""

    count: int
    limit: float


def pack_size(expected: Iterable[float | None], waiting: int, slots: int) -> Size:
    """Size the next pack from the expected seconds of the trials at the head of the queue.

    ``waiting`` trials of this shape are left for ``slots`` processes. An even share ends a sweep in one wave; half a
    share, once shares are long, lets the slots end together although estimates are off.
    """
    share = -(-waiting // slots)
    times = list(expected)
    if not times or times[0] is None:
        return Size(min(share, waiting), UNTIMED_SECONDS)
    timed = [seconds for seconds in times if seconds is not None]
    even = sum(timed) / len(timed) * waiting / slots
    target = min(LONGEST_SECONDS, max(min(SHORTEST_SECONDS, even), even / 2))
    count, total = 0, 0.0
    for seconds in times:
        if seconds is None or (count and total + seconds > target * 1.001):
            break
        count, total = count + 1, total + seconds
    return Size(min(count, share), max(2 * target, UNTIMED_SECONDS))
