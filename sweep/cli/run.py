"""``sweep run`` and ``sweep resume``: train what is missing."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.live import Watch
from sweep.cli.options import DataOption, SetOption, SpacePath, StoreOption, WhereOption, data_root, load
from sweep.cli.output import duration, say
from sweep.errors import BadInputError
from sweep.plan import Entry, Plan, make_plan
from sweep.store.store import create, find

if TYPE_CHECKING:
    from sweep.driver.run import Outcome

FAILED, INTERRUPTED = 1, 130
REASONS_SHOWN = 5
AGAIN = "Ctrl-C leaves in order; the same command goes on."

AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Join the Ray cluster at host:port (or 'auto'); else $RAY_ADDRESS, else start one."),
]
CpusOption = Annotated[int | None, typer.Option("--cpus", min=1, help="CPUs of a Ray that is started here.")]
GpusOption = Annotated[int | None, typer.Option("--gpus", min=0, help="GPUs of a Ray that is started here.")]
StaleOption = Annotated[bool, typer.Option("--stale", help="Also train anew what an older revision published.")]


def register(app: typer.Typer) -> None:
    app.command("run", help=f"Train what a store lacks of a grid file. {AGAIN}")(_command(failed=False))
    app.command("resume", help=f"Like run, and failed trials are tried again. {AGAIN}")(_command(failed=True))


def _command(*, failed: bool) -> Callable[..., None]:
    def train(
        space: SpacePath,
        store: StoreOption,
        address: AddressOption = None,
        data: DataOption = None,
        where: WhereOption = None,
        set_: SetOption = None,
        stale: StaleOption = False,
        cpus: CpusOption = None,
        gpus: GpusOption = None,
    ) -> None:
        _train(space, store, address, data, where, set_, stale=stale, failed=failed, cpus=cpus, gpus=gpus)

    return train


def _train(
    space: Path,
    location: str,
    address: str | None,
    data: Path | None,
    where: list[str] | None,
    set_: list[str] | None,
    *,
    stale: bool,
    failed: bool,
    cpus: int | None,
    gpus: int | None,
) -> None:
    from sweep.driver.address import check_address

    check_address(address or os.environ.get("RAY_ADDRESS") or "local")
    root = data_root(data)
    plan = make_plan(load(space, where, set_), find(location), root)
    absent = plan.missing_data()
    if absent:
        raise BadInputError("\n".join(f"{name!r} is not on this machine: {how}" for name, how in absent.items()))
    entries = plan.to_run(stale=stale, failed=failed)
    again = _Again(space, location, {"--address": address, "--data": data, "--cpus": cpus, "--gpus": gpus}, where, set_)
    if not entries:
        _nothing_to_do(plan, again)
    from sweep.cost import sample_rates
    from sweep.driver.cluster import connected
    from sweep.driver.run import Run
    from sweep.provenance import git_revision
    from sweep.store.names import attempt_id
    from sweep.worker.job import Context

    opened = find(location)
    rates = sample_rates(plan, opened)
    joined = address or os.environ.get("RAY_ADDRESS")
    say(
        f"{plan.space.name}: {len(entries)} of {len(plan.entries)} trials to run; "
        + (f"joining Ray at {joined}" if joined else "starting Ray")
    )
    with connected(address, cpus, gpus) as cluster:
        for entry in entries:
            cluster.shape(entry.trial.claim)  # refuses what fits no node, before anything is written
        opened = create(location)
        context = Context(str(opened.root.absolute()), str(root) if root else None, attempt_id(), git_revision())
        watch = Watch(total=len(entries))
        run = Run(plan, entries, opened, cluster, context, rates, watch.settled)
        with _signals(run, watch), watch.over(run):
            outcome = run.execute()
    _conclude(outcome, plan, entries, watch, again)


@dataclass(frozen=True)
class _Again:
    """The command that goes on, with all that was given to this one."""

    space: Path
    store: str
    options: Mapping[str, object]
    where: Sequence[str] | None
    sets: Sequence[str] | None

    def command(self, name: str) -> str:
        words = ["sweep", name, str(self.space), "--store", self.store]
        words += [word for option, value in self.options.items() if value is not None for word in (option, str(value))]
        words += [word for text in self.where or () for word in ("--where", text)]
        words += [word for text in self.sets or () for word in ("--set", text)]
        return f"`{shlex.join(words)}`"

    @property
    def status(self) -> str:
        return f"`{shlex.join(['sweep', 'status', '--store', self.store])}`"

    @property
    def show(self) -> str:
        return f"`{shlex.join(['sweep', 'show', 'ID', '--store', self.store])}`"


def _nothing_to_do(plan: Plan, again: _Again) -> None:
    counts = plan.counts
    said = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    say(f"{plan.space.name}: nothing to do, of {len(plan.entries)} trials in {again.store} are {said}")
    if counts["stale"]:
        say(f"{counts['stale']} are stale (`sweep plan` says why); run them anew with --stale")
    if counts["failed"] or counts["blocked"]:
        say(f"{again.status} says why they failed, {again.command('resume')} tries again")
        raise typer.Exit(FAILED)
    raise typer.Exit(0)


def _conclude(outcome: Outcome, plan: Plan, entries: Sequence[Entry], watch: Watch, again: _Again) -> None:
    parts = [f"{outcome.done} done"] + [
        f"{number} {name}"
        for name, number in (("failed", outcome.failed), ("blocked", outcome.blocked), ("left", outcome.left))
        if number
    ]
    took = duration(outcome.wall_seconds)
    say(f"{plan.space.name}: {', '.join(parts)} in {took}, CPUs {outcome.busy:.0%} busy")
    shown = [] if watch.plain else list(watch.failures.items())[:REASONS_SHOWN]  # plain lines have said them
    for trial, reason in shown:
        say(f"  failed {trial}: {reason}")
    if len(watch.failures) > REASONS_SHOWN and not watch.plain:
        say(f"  and {len(watch.failures) - REASONS_SHOWN} more; see {again.status}")
    if outcome.interrupted:
        say(f"{again.command('run')} goes on")
        raise typer.Exit(INTERRUPTED)
    if outcome.left:
        say(f"{outcome.left} trials came to no end; {again.command('run')} goes on")
    ran = {entry.id for entry in entries}
    before = sum(entry.status in {"failed", "blocked"} and entry.id not in ran for entry in plan.entries)
    if before:
        say(f"{before} trials of this grid failed, or are blocked, since an earlier run")
    if outcome.failed or outcome.blocked or outcome.left or before:
        say(f"{again.show} tells all of a trial, {again.command('resume')} tries again")
        raise typer.Exit(FAILED)


@contextmanager
def _signals(run: Any, watch: Watch) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM, or SIGHUP) asks the packs to close, the second leaves at once."""
    asked = threading.Event()

    def handle(number: int, frame: object) -> None:
        if asked.is_set():
            shutil.rmtree(run.scratch, ignore_errors=True)
            os._exit(INTERRUPTED)
        asked.set()
        watch.note("stopping: trials at work end with their present step (again to leave at once)")
        run.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
