"""Synthetic stores: real Parquet through the store's own writer, from predictions that the tests know in full."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweep.store.store import create, encode

Array = npt.NDArray[np.float64]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = {"digits": 360, "mnist5k": 1000}
CLASSES = 10


def channel(law: str, rate: float, classes: int = CLASSES) -> Array:
    """T[k, y], written out by hand, apart from the code under test."""
    matrix = np.zeros((classes, classes))
    for k in range(classes):
        for y in range(classes):
            if law == "uniform_wrong":
                matrix[k, y] = 1 - rate if k == y else rate / (classes - 1)
            elif law == "uniform_all":
                matrix[k, y] = rate / classes + (1 - rate if k == y else 0)
            elif law == "next_class":
                matrix[k, y] = 1 - rate if k == y else rate if y == (k + 1) % classes else 0
            else:
                raise ValueError(law)
    return matrix


@dataclass(frozen=True)
class Cell:
    """One synthetic trial's specification."""

    ratio: Fraction
    multiplier: int = 1
    seed: int = 0
    dataset: str = "digits"
    law: str = "uniform_wrong"
    rule: str = "scaled"
    base: int = 60_000
    lr: float = 0.001
    family: str = "classifier"
    model: str = "small_cnn"
    refresh: str = "fresh"
    reading: str = "corrected"
    mapping: Sequence[Any] | None = None

    def spec(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "model": self.model,
            "dataset": f"{self.dataset}@1",
            "noise": {"law": self.law, "ratio": str(self.ratio), "refresh": self.refresh, "map": self.mapping},
            "batch": {"size": 64, "multiplier": self.multiplier},
            "budget": {"samples": self.base, "rule": self.rule},
            "optimiser": {"name": "adamw", "lr": self.lr, "weight_decay": 0.01},
            "schedule": {"name": "cosine", "warmup": 0.05},
            "seed": self.seed,
            "reading": self.reading,
            "needs": {},
        }

    @property
    def canonical(self) -> str:
        return json.dumps(self.spec(), sort_keys=True, separators=(",", ":"))

    @property
    def id(self) -> str:
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:16]

    @property
    def rate(self) -> float:
        return float(self.ratio / (1 + self.ratio))

    @property
    def samples(self) -> int:
        return int(-(-self.base * (1 + self.ratio) // 1)) if self.rule == "scaled" else self.base


def labels(dataset: str) -> npt.NDArray[np.int64]:
    return np.arange(EXAMPLES[dataset]) * 7 % CLASSES


def clean_probabilities(cell: Cell) -> Array:
    """[examples, classes]: a good classifier, a little different for each seed, batch and length."""
    key = [cell.seed, cell.multiplier, cell.samples, sum(cell.dataset.encode())]
    random = np.random.default_rng(key)
    truth = labels(cell.dataset)
    logits = random.normal(size=(len(truth), CLASSES))
    logits[np.arange(len(truth)), truth] += 4.2 if cell.dataset == "digits" else 3.6
    powers = np.exp(1.6 * logits)
    return powers / powers.sum(axis=1, keepdims=True)


def probabilities(cell: Cell) -> Array:
    """What the trial predicts: the channel's output of the clean predictions, damaged a little more."""
    clean = clean_probabilities(cell)
    if not cell.ratio:
        return clean
    random = np.random.default_rng([cell.seed, cell.multiplier, 99])
    ideal = clean @ channel(cell.law, cell.rate)
    damaged = ideal * np.exp(random.normal(scale=0.9 * cell.rate / cell.multiplier**0.5, size=ideal.shape))
    return damaged / damaged.sum(axis=1, keepdims=True)


def metrics(cell: Cell) -> dict[str, float | None]:
    """Final metrics, computed from the predictions."""
    truth, predicted = labels(cell.dataset), probabilities(cell)
    true = predicted[np.arange(len(truth)), truth]
    nll = float(np.mean(-np.log(true)))
    return {
        "top1": float(np.mean(predicted.argmax(axis=1) == truth)),
        "test_nll": nll,
        "sampled_accuracy": float(true.mean()),
        "channel_inverted_nll": nll * (1 - 0.55 * cell.rate) if cell.rate < 0.5 or cell.seed else None,
        "inversion_boundary_share": 0.3 * cell.rate if cell.rate < 0.5 or cell.seed else None,
    }


def artifact(cell: Cell, classes: int | None = None) -> bytes:
    """The stored ``truth_probability`` file."""
    truth, predicted = labels(cell.dataset), probabilities(cell)
    rows = np.arange(len(truth))
    table = pa.table(
        {
            "example": pa.array(rows, pa.int32()),
            "truth": pa.array(truth, pa.int32()),
            "predicted": pa.array(predicted.argmax(axis=1), pa.int32()),
            "p_truth": predicted[rows, truth],
            "p_previous": predicted[rows, (truth - 1) % CLASSES],
            "p_replaced": pa.nulls(len(truth), pa.float64()),
        }
    )
    if classes is not None:
        table = table.replace_schema_metadata({b"noisegrid.classes": str(classes).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


@dataclass
class Rows:
    """Rows of a store's tables and its files, to be written in any split and order."""

    tables: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"trials": [], "metrics": [], "attempts": [], "artifacts": []}
    )
    files: dict[str, bytes] = field(default_factory=dict)

    def publish(
        self,
        cell: Cell,
        *,
        revision: str = "r1",
        measured: dict[str, float | None] | None = None,
        kept: bool = True,
        ended: int = 0,
        **columns: Any,
    ) -> str:
        """Add a published trial; returns its attempt."""
        attempt = hashlib.sha256(f"{cell.id}{revision}{ended}".encode()).hexdigest()[:21]
        finals = metrics(cell) if measured is None else measured
        self.tables["trials"].append(
            {
                "id": cell.id, "revision": revision, "attempt": attempt, "family": cell.family, "model": cell.model,
                "dataset": cell.dataset, "noise_law": cell.law, "noise_refresh": cell.refresh,
                "noise_ratio": float(cell.ratio), "noise_rate": cell.rate, "realised_rate": cell.rate + 0.001,
                "batch": 64 * cell.multiplier, "batch_multiplier": cell.multiplier, "budget_rule": cell.rule,
                "samples": cell.samples, "steps": -(-cell.samples // (64 * cell.multiplier)), "seed": cell.seed,
                "parameters": 20_522, "reading": cell.reading, "spec": cell.canonical, "needs": "{}",
                "started": BEGIN, "ended": BEGIN + timedelta(seconds=60 + ended), "train_seconds": 50.0,
                "evaluate_seconds": 1.0, "trial_seconds": 52.0, "samples_per_second": cell.samples / 50,
                "peak_memory_bytes": 10**9, "host": "alpha", "device": "cpu", "threads": 1, "cpu": "A processor",
                "git": "0123abc", "versions": json.dumps({"python": "3.11.9", "torch": "2.9.0"}),
                "data_sha256": hashlib.sha256(cell.dataset.encode()).hexdigest(),
                **columns,
            }
        )  # fmt: skip
        for name, value in finals.items():
            for final, scale in ((False, 2.0), (True, 1.0)):
                shown = None if value is None else value * scale
                step = self.tables["trials"][-1]["steps"] // (1 if final else 2)
                self.tables["metrics"].append(
                    {"id": cell.id, "attempt": attempt, "step": step, "samples": step * 64, "split": "test",
                     "metric": name, "value": shown, "final": final}
                )  # fmt: skip
        if kept:
            self.keep(cell, attempt, artifact(cell))
        return attempt

    def keep(self, cell: Cell, attempt: str, content: bytes, path: str | None = None) -> None:
        """Add the artifact of a trial."""
        where = path or f"files/{cell.id}-{attempt}/truth_probability.parquet"
        self.files[where] = content
        self.tables["artifacts"].append(
            {"id": cell.id, "attempt": attempt, "role": "truth_probability", "path": where, "bytes": len(content),
             "sha256": hashlib.sha256(content).hexdigest()}
        )  # fmt: skip

    def fail(self, trial: str, reason: str, outcome: str = "raised", attempt: str = "f1") -> None:
        """Add an attempt that ended with an error."""
        self.tables["attempts"].append(
            {"id": trial, "revision": "r1", "attempt": attempt, "event": "ended", "at": BEGIN, "step": None,
             "outcome": outcome, "reason": reason, "traceback": "Traceback", "host": "alpha", "pid": 1}
        )  # fmt: skip

    def write(self, root: Path, *, one_file: bool = False, order: int | None = None) -> Path:
        """Write a store: a file a row, or one a table, with the rows shuffled by ``order``."""
        store = create(str(root))
        for table, rows in self.tables.items():
            shuffled = list(rows)
            if order is not None:
                np.random.default_rng(order).shuffle(shuffled)  # type: ignore[arg-type]
            parts = [shuffled] if one_file else [shuffled[at : at + 7] for at in range(0, len(shuffled), 7)]
            for place, part in enumerate(part for part in parts if part):
                name = f"{table}/{place:05d}.parquet"
                assert store.storage.create(name, encode(table, part), durable=False)
        for path, content in self.files.items():
            assert store.storage.create(path, content, durable=False)
        return root


RATIOS = tuple(map(Fraction, ("0", "1/10", "3/10", "1/2", "1")))


def grid(
    datasets: Iterable[str] = ("digits", "mnist5k"),
    ratios: Iterable[Fraction] = RATIOS,
    multipliers: Iterable[int] = (1, 4),
    seeds: Iterable[int] = (0, 1, 2),
    **fields: Any,
) -> list[Cell]:
    """A product of cells."""
    return [
        Cell(ratio, multiplier, seed, dataset, **fields)
        for dataset in datasets
        for ratio in ratios
        for multiplier in multipliers
        for seed in seeds
    ]


def study() -> Rows:
    """5 ratios x 2 multipliers x 2 data sets x 3 seeds; four cells missing; clean twins for ``digits`` alone."""
    rows = Rows()
    missing = {("digits", Fraction(1), 4, 2), ("digits", Fraction(1), 1, 1)}
    missing |= {("mnist5k", Fraction(1, 2), 4, seed) for seed in (0, 1, 2)}
    for cell in grid():
        if (cell.dataset, cell.ratio, cell.multiplier, cell.seed) in missing:
            rows.fail(cell.id, "DivergedError: the loss is not finite at sample 12,800", attempt=f"f{cell.seed}")
        else:
            rows.publish(cell)
    for ratio in RATIOS[1:]:
        for multiplier in (1, 4):
            for seed in (0, 1, 2):
                rows.publish(Cell(Fraction(0), multiplier, seed, base=int(60_000 * (1 + ratio))))
    return rows


@pytest.fixture(scope="session")
def study_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic study as a store."""
    return study().write(tmp_path_factory.mktemp("study") / "store")


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[[Rows], Path]:
    """Writes rows as a store in a fresh folder."""
    return lambda rows: rows.write(tmp_path / "store")


