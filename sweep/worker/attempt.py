"""One attempt at one trial: train, evaluate, publish. A generator: its worker stays in charge between slices."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from sweep.errors import OutdatedError
from sweep.revision import digest_of_sources, source_digests
from sweep.store import names
from sweep.store.lease import Lease
from sweep.store.read import MissingError, artifact_paths
from sweep.store.store import Store
from sweep.worker import machine
from sweep.worker.job import Context, Job
from trainers import registry
from trainers.datasets.root import VARIABLE as DATA_VARIABLE
from trainers.protocol import Artifact, Costed, Drawing, Trainer
from trainers.spec import TrialSpec

SLICE_SECONDS = 0.25  # how long training may keep the worker from reporting


class NeedsError(Exception):
    """What a trial needs is published but its files cannot be had."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Timings:
    """Seconds of work, by the wall clock, waiting between slices not counted."""

    train: float = 0.0
    evaluate: float = 0.0
    total: float = 0.0


@dataclass
class Attempt:
    """A leased trial at work in this process."""

    job: Job
    context: Context
    store: Store
    lease: Lease
    cpus: float
    gpus: float
    timings: Timings = field(default_factory=Timings)
    fraction: float = 0.0
    published: bool = False
    slice_began: float = field(default_factory=time.perf_counter)

    def event(
        self, event: str, outcome: str | None = None, reason: str | None = None, trace: str | None = None
    ) -> None:
        """Write one row of ``attempts``; the file's name carries the outcome, so that plans need not open it."""
        spec = None if outcome else self.job.canonical
        row = event_row(self.lease, event, outcome=outcome, reason=reason, traceback=trace, spec=spec)
        name = names.event_name(self.job.id, self.job.revision, self.lease.attempt, outcome or event)
        self.store.add("attempts", name, [row])

    def run(self) -> Iterator[None]:
        """Train to the end of the budget and publish; yields between slices.

        Raises:
            Exception: whatever the trainer raises; the caller writes it down.
            StoreError: the store cannot be written.
        """
        spec = self.job.spec()
        self._check_sources(spec)
        family = registry.family(self.job.family)
        started = now()
        self.event("started")
        machine.use_threads(max(1, int(self.cpus)))
        on = machine.device(self.gpus)
        machine.reset_peak_memory(on)
        needs = self._needs()
        data = self._data(spec)
        trainer = family.build(spec, data, on, needs, **self.job.options)
        machine.use_threads(max(1, int(self.cpus)))  # building may have imported torch
        rows: list[dict[str, Any]] = []
        measured = -1
        for position in evaluation_points(spec):
            yield from self._train(trainer, spec, position)
            if trainer.position != measured:  # whole batches may have gone past the next point already
                yield from self._draw(trainer)
                rows.extend(self._evaluate(trainer, spec))
                measured = trainer.position
        self._publish(trainer, spec, rows, started, on)
        self.fraction = 1.0

    def _check_sources(self, spec: TrialSpec) -> None:
        """Results go under the revision that was planned, so what computes them must be what was planned.

        Digests are kept once taken: a process answers by the sources as they were when it began.
        """
        here = digest_of_sources(source_digests(spec.family, spec.noise.law, spec.dataset))
        if here != self.job.sources:
            raise OutdatedError(
                f"trial {self.job.id}: the sources of {spec.family!r} on {self.lease.host} are not those that the "
                "sweep was planned with; run the same command again"
            )

    def _data(self, spec: TrialSpec) -> Any:
        if self.context.data_root:  # data sets that are named after what lies there are looked up in it
            os.environ[DATA_VARIABLE] = self.context.data_root
        dataset = registry.dataset(spec.dataset)
        loaded = dataset.load(self.context.data_path)
        if dataset.digest(self.context.data_path) != self.job.data_sha256:
            raise OutdatedError(
                f"trial {self.job.id}: the data set {spec.dataset!r} on {self.lease.host} is not the one that the "
                "sweep was planned with; run the same command again"
            )
        return loaded

    def _needs(self) -> dict[str, dict[str, Path]]:
        try:
            return {role: artifact_paths(self.store, *other) for role, other in self.job.needs.items()}
        except MissingError as error:
            raise NeedsError(str(error)) from error

    def _train(self, trainer: Trainer, spec: TrialSpec, until: int) -> Iterator[None]:
        chunk = spec.batch.total
        while trainer.position < until:
            before = time.perf_counter()
            trainer.train(min(chunk, until - trainer.position))
            took = time.perf_counter() - before
            self.timings.train += took
            self.fraction = trainer.position / spec.samples
            if took < SLICE_SECONDS / 2:
                chunk *= 2
            yield

    def _draw(self, trainer: Trainer) -> Iterator[None]:
        """Let a trainer that measures samples of its own draw them, slice by slice; it counts as evaluation."""
        chunk = 1
        while isinstance(trainer, Drawing) and trainer.pending:
            before = time.perf_counter()
            trainer.draw(chunk)
            took = time.perf_counter() - before
            self.timings.evaluate += took
            if took < SLICE_SECONDS / 2:
                chunk *= 2
            yield

    def _evaluate(self, trainer: Trainer, spec: TrialSpec) -> list[dict[str, Any]]:
        before = time.perf_counter()
        measured = trainer.evaluate()
        self.timings.evaluate += time.perf_counter() - before
        return [
            {
                "id": self.job.id,
                "attempt": self.lease.attempt,
                "step": -(-trainer.position // spec.batch.total),
                "samples": trainer.position,
                "split": metric.split,
                "metric": metric.name,
                "value": metric.value,
                "final": trainer.position >= spec.samples,
            }
            for metric in measured
        ]

    def _publish(
        self, trainer: Trainer, spec: TrialSpec, rows: list[dict[str, Any]], started: datetime, on: str
    ) -> None:
        """Metrics and artifacts first, the trial's own row last and exclusively (design 3.3)."""
        part = names.part_name(self.job.id, self.lease.attempt)
        artifacts = [self._keep(artifact, part) for artifact in trainer.artifacts()]
        if artifacts:
            self.store.add("artifacts", part, artifacts)
        if rows:
            self.store.add("metrics", part, rows)
        train = self.timings.train
        row = {
            **spec_columns(spec),
            "id": self.job.id,
            "revision": self.job.revision,
            "attempt": self.lease.attempt,
            "realised_rate": trainer.realised_rate,
            "parameters": trainer.parameters,
            "spec": self.job.canonical,
            "needs": json.dumps(spec.needs, sort_keys=True),
            "started": started,
            "ended": now(),
            "train_seconds": train,
            "evaluate_seconds": self.timings.evaluate,
            "trial_seconds": self.timings.total + (time.perf_counter() - self.slice_began),
            **machine.throughput(spec.samples, train, trainer.cost if isinstance(trainer, Costed) else None, on),
            "peak_memory_bytes": machine.peak_memory(on),
            "host": self.lease.host,
            "device": machine.device_name(on),
            "threads": max(1, int(self.cpus)),
            "cpu": machine.cpu_model(),
            "git": self.context.git,
            "versions": machine.versions(),
            "data_sha256": self.job.data_sha256,
        }
        if self.store.publish_trial(row):
            self.published = True
            self.event("ended", "done")
        else:
            self.store.discard_attempt(self.job.id, self.lease.attempt)
            self.event("ended", "lost", "another attempt published this trial first")

    def _keep(self, artifact: Artifact, part: str) -> dict[str, Any]:
        inside = PurePosixPath(artifact.filename)
        if inside.is_absolute() or ".." in inside.parts or "\0" in artifact.filename or not inside.parts:
            raise ValueError(
                f"the artifact {artifact.role!r} has the file name {artifact.filename!r}; give a relative one"
            )
        path = f"files/{part}/{artifact.filename}"
        self.store.storage.create(path, artifact.content)
        return {
            "id": self.job.id,
            "attempt": self.lease.attempt,
            "role": artifact.role,
            "path": path,
            "bytes": len(artifact.content),
            "sha256": hashlib.sha256(artifact.content).hexdigest(),
        }


def evaluation_points(spec: TrialSpec) -> list[int]:
    """Positions, in samples, at which a trial is measured: every so many, and at the end."""
    every = spec.evaluate_every
    points = list(range(every, spec.samples, every)) if every else []
    return [*points, spec.samples]


def spec_columns(spec: TrialSpec) -> dict[str, Any]:
    """The columns of ``trials`` that follow from the specification."""
    return {
        "family": spec.family,
        "model": spec.model,
        "dataset": spec.dataset,
        "noise_law": spec.noise.law,
        "noise_refresh": spec.noise.refresh,
        "noise_ratio": float(spec.noise.ratio),
        "noise_rate": float(spec.noise.rate),
        "batch": spec.batch.total,
        "batch_multiplier": spec.batch.multiplier,
        "budget_rule": spec.budget.rule,
        "samples": spec.samples,
        "steps": spec.steps,
        "seed": spec.seed,
        "reading": spec.reading,
    }


def event_row(
    lease: Lease,
    event: str,
    *,
    outcome: str | None = None,
    reason: str | None = None,
    traceback: str | None = None,
    spec: str | None = None,
) -> dict[str, Any]:
    """A row of ``attempts`` for the attempt that holds ``lease``; a start carries the canonical JSON."""
    return {
        "id": lease.trial,
        "revision": lease.revision,
        "attempt": lease.attempt,
        "event": event,
        "at": now(),
        "step": None,
        "outcome": outcome,
        "reason": reason,
        "traceback": traceback,
        "host": lease.host,
        "pid": lease.pid,
        "spec": spec,
    }
