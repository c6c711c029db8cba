"""What trials left in a store's files, read when asked for: a shelf for each kind of thing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from reports.artifacts import DamagedError
from reports.files import StoreFiles
from reports.rows import Published

Thing = TypeVar("Thing")

#: Memory of the things that are held, by their :meth:`Shelf.size`, where a kind says nothing else.
HELD = 2**28


@dataclass
class Shelf(Generic[Thing]):
    """Things by trial. The last used are held, up to ``held`` bytes; the others are read again when asked for.

    A kind of thing says how it is read and how large it is. ``problems`` tells which could not be used, and why.
    """

    files: StoreFiles
    problems: dict[str, str] = field(default_factory=dict)
    held: int = HELD
    _read: OrderedDict[str, Thing | None] = field(default_factory=OrderedDict)

    def of(self, trial: Published) -> Thing | None:
        """The trial's thing; None where it left none or it cannot be used."""
        if trial.id in self._read:
            self._read.move_to_end(trial.id)
            return self._read[trial.id]
        if trial.id in self.problems:
            return None
        try:
            found = self.read(trial)
        except DamagedError as error:
            self.problems[trial.id] = str(error)
            found = None
        self._read[trial.id] = found
        while len(self._read) > 1 and sum(self.size(one) for one in self._read.values() if one is not None) > self.held:
            self._read.popitem(last=False)
        return found

    def read(self, trial: Published) -> Thing | None:
        """Raises:
        DamagedError: what the trial left is not what it should be.
        """
        raise NotImplementedError

    def size(self, thing: Thing) -> int:
        """Bytes that it takes; 0 for things so small that all of them are held."""
        return 0
