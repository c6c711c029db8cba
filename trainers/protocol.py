"""What a plug-in provides: a trainer, a data set, a noise law, and the family that ties a trainer to its fields.

These are protocols and frozen records only. Importing this module imports neither torch nor numpy at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from trainers.spec import NoiseSpec, TrialSpec


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value. ``value`` is None where the quantity does not exist (a singular channel, say)."""

    name: str
    value: float | None
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file that a finished trial leaves: no pickle, ever (safetensors, Parquet, JSON, PNG)."""

    role: str
    filename: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """What one sample takes: its tokens, None where it has none, and floating-point operations of training on it."""

    tokens: int | None
    flops: float


@runtime_checkable
class Costed(Protocol):
    """A trainer that knows what a sample costs; throughput in tokens and utilisation then go to ``trials``."""

    @property
    def cost(self) -> Cost: ...


@runtime_checkable
class Drawing(Protocol):
    """A trainer whose evaluation measures samples that it draws from the model first, a part at a time.

    A worker draws what is pending in slices before it evaluates; what was drawn is part of the state, so that hours of
    drawing go on where they stopped. :meth:`Trainer.evaluate` draws whatever is still pending by itself, and keeps
    it out of the state.
    """

    @property
    def pending(self) -> int:
        """Samples to draw before the model, as it is, can be measured; 0 once all are there."""

    def draw(self, samples: int) -> None:
        """Draw the next ``samples`` of those pending, rounded up to whole blocks; how it is cut changes nothing."""


@runtime_checkable
class Trainer(Protocol):
    """One trial in memory. Built from (spec, data, device); independent of Ray and of the store.

    ``position`` counts the samples trained on so far. Batches begin at multiples of the batch size, so how the
    budget is cut into calls of :meth:`train` changes nothing.
    """

    @property
    def position(self) -> int: ...

    @property
    def parameters(self) -> int:
        """Parameters that receive a gradient."""

    @property
    def realised_rate(self) -> float | None:
        """Share of targets so far that differed from the truth; None before the first."""

    def train(self, samples: int) -> None:
        """Train on the next ``samples`` of the stream, rounded up to whole batches, never past the budget.

        Raises:
            DivergedError: the loss is not finite.
        """

    def evaluate(self) -> Sequence[Metric]:
        """Measure the model as it is; draws no training randomness and changes no state."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as tensors, numbers, strings, lists and dicts."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises:
        StateError: the state is of another trainer or damaged.
        """

    def artifacts(self) -> Sequence[Artifact]:
        """Files to keep once training has ended."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of trial: its fields and how it is built.

    ``build`` and ``count_parameters`` import torch when called, not before. ``data_kind`` names what a data set
    must be to serve (``images``, say). ``sources`` lists the modules that decide the numbers, from which the
    revision follows; their own imports within the same package are found by reading them.

    ``check(spec)`` and ``check_need(spec, role, other)`` raise SpecError where a trial cannot be, or where the trial
    ``other`` cannot fill a role: a plan asks, before anything runs.

    ``options`` are keyword arguments of ``build`` that change no science (``micro_batch``, ``compile``); a grid gives
    them under ``resources``. ``materials`` are what noise laws of this family can be bound to (see :class:`BoundLaw`).

    ``absent(spec, root)`` names files that a trial needs beside its data set and that the folder of users' data lacks,
    each with how to get it.
    """

    name: str
    about: str
    spec: type[TrialSpec]
    models: Mapping[str, str]
    data_kind: str
    build: Callable[..., Trainer]
    count_parameters: Callable[[TrialSpec], int]
    sources: tuple[str, ...]
    metrics: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[TrialSpec], None] | None = None
    check_need: Callable[[TrialSpec, str, TrialSpec], None] | None = None
    options: frozenset[str] = frozenset()
    materials: frozenset[str] = frozenset()
    absent: Callable[[TrialSpec, Path | None], Mapping[str, str]] | None = None


#: ``Dataset.classes`` of users' own data that is not on this machine: nothing can be checked or counted by it.
UNKNOWN_CLASSES = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set. ``load(root)`` reads it, ``digest(root)`` is a SHA-256 of its content as loaded.

    ``present(root)`` tells whether it is on this machine, ``obtain`` how to get it where it is not. ``root`` is
    the folder where users' data lies; embedded data ignores it.

    Images: ``shape`` is channels x height x width (empty where ``classes`` is unknown), sizes are images. Text:
    ``classes`` is the vocabulary, ``shape`` is empty, sizes are tokens, None where they depend on the machine's own
    text and it has not been read.
    """

    name: str
    version: str
    kind: str
    about: str
    classes: int
    shape: tuple[int, ...]
    train_size: int | None
    test_size: int | None
    load: Callable[[Path | None], Any]
    digest: Callable[[Path | None], str]
    present: Callable[[Path | None], bool]
    obtain: str
    source: str


class DatasetMaker(Protocol):
    """Makes data sets of users' own from the rest of a name: ``corpus/NAME`` is the maker ``corpus`` called with NAME.

    ``version`` of what it makes follows from the content and is ``trainers.spec.ABSENT`` where there is none: the
    content enters a trial's id, the name does not.
    """

    def __call__(self, rest: str) -> Dataset:
        """Raises:
        SpecError: no data can have that name.
        """


@runtime_checkable
class ListingMaker(DatasetMaker, Protocol):
    """A maker that knows what there is; ``sweep datasets`` then lists it."""

    def names(self) -> Sequence[str]:
        """What it can be called with and finds on this machine, sorted."""


class NoiseLaw(Protocol):
    """A law by which a target becomes wrong, and the channel matrix that describes it."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str: ...

    def check(self, noise: NoiseSpec, classes: int) -> None:
        """Raises:
        SpecError: the law cannot be applied to so many classes, or its map does not fit.
        """

    def corrupt(
        self,
        labels: npt.NDArray[np.int64],
        words: npt.NDArray[np.uint64],
        noise: NoiseSpec,
        classes: int,
    ) -> npt.NDArray[np.int64]:
        """Labels after noise. ``words`` is [len(labels), 4]: one counter block of random words an entry."""

    def channel(self, noise: NoiseSpec, classes: int) -> npt.NDArray[np.float64] | None:
        """T with T[k, y] = P(target y | truth k), [classes, classes]; None where the law has none."""


@runtime_checkable
class BoundLaw(NoiseLaw, Protocol):
    """A law that follows from more than the class: it is bound to a material before it corrupts anything.

    ``material`` is ``frequencies`` (counts of the training targets, int64 [classes]), ``embedding`` (one vector a
    class, float32 [classes, d], of the trial in the role ``teacher``) or ``model`` (that trial's predictions). A family
    says in ``Family.materials`` which of these it can provide.
    """

    @property
    def material(self) -> str: ...

    def bind(self, material: Any) -> NoiseLaw:
        """The law with its material."""
