"""``sweep plan``: what a grid file means and how much of it a store has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated

import typer

from sweep.cli.options import DataOption, JsonOption, SetOption, SpacePath, WhereOption, data_root, load
from sweep.cli.output import console, duration, emit, say, table
from sweep.cost import cost, sample_rates
from sweep.plan import Entry, Plan, make_plan, what_changed
from sweep.store.store import Store, find
from sweep.trial import Kind

CHANGES_SHOWN = 4


def register(app: typer.Typer) -> None:
    app.command("plan")(plan_command)


def plan_command(
    space: SpacePath,
    store: Annotated[str | None, typer.Option("--store", help="Compare with this store; it may not exist yet.")] = None,
    data: DataOption = None,
    where: WhereOption = None,
    set_: SetOption = None,
    trials: Annotated[bool, typer.Option("--trials", help="List every trial.")] = False,
    json: JsonOption = False,
) -> None:
    """Show every trial of a grid file with its status, steps, samples, parameters and cost. Writes nothing."""
    from sweep.parameters import counted

    opened = find(store) if store is not None else None
    root = data_root(data)  # first: the version of users' own data, and so an id, follows from what lies there
    plan = make_plan(load(space, where, set_), opened, root)
    parameters = counted([entry.trial for entry in plan.entries])
    rates = sample_rates(plan, opened)
    if json:
        from sweep.plan import as_rows

        emit(as_rows(plan, parameters))
        return
    if trials:
        _list(plan, parameters, rates)
    else:
        _summarise(plan, parameters, rates)
    _conclude(plan, opened, rates)


def _summarise(plan: Plan, parameters: Mapping[str, int | None], rates: Mapping[Kind, float]) -> None:
    cells: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in plan.entries:
        spec = entry.trial.spec
        cells[entry.trial.group, spec.model, spec.dataset].append(entry)
    statuses = [status for status, number in plan.counts.items() if number]
    rows = []
    for key, entries in cells.items():
        counts = [str(sum(entry.status == status for entry in entries) or "") for status in statuses]
        samples = [entry.trial.spec.samples for entry in entries]
        steps = [entry.trial.spec.steps for entry in entries]
        sizes = [size for entry in entries if (size := parameters.get(entry.id))]  # a context or vocabulary has its own
        rows.append(
            [*key, str(len(entries)), *counts, _range(samples), _range(steps), _range(sizes) if sizes else "-"]
            + [_cost([entry for entry in entries if entry.status != "done"], rates)]
        )
    columns = ["group", "model", "data set", "trials", *statuses, "samples", "steps", "parameters", "to run"]
    table(columns, rows, right=set(range(3, len(columns))))


def _list(plan: Plan, parameters: Mapping[str, int | None], rates: Mapping[Kind, float]) -> None:
    rows = []
    for entry in plan.entries:
        spec = entry.trial.spec
        noise = f"{spec.noise.law} {spec.noise.refresh}"
        size = parameters.get(entry.id)
        rows.append(
            [entry.id, entry.status, entry.trial.group, spec.model, spec.dataset, noise, str(spec.noise.ratio)]
            + [str(spec.batch.total), f"{spec.samples:,}", f"{spec.steps:,}", str(spec.seed)]
            + [f"{size:,}" if size else "-", _cost([entry], rates)]
        )
    columns = ["id", "status", "group", "model", "data set", "noise", "r", "batch", "samples", "steps", "seed"]
    table([*columns, "parameters", "cost"], rows, right={6, 7, 8, 9, 10, 11, 12})


def _conclude(plan: Plan, store: Store | None, rates: Mapping[Kind, float]) -> None:
    counts = ", ".join(f"{number} {status}" for status, number in plan.counts.items() if number)
    if plan.space.about:
        say(f"{plan.space.name}: {plan.space.about}")
    say(f"{plan.space.name}: {len(plan.entries)} trials ({counts})")
    remaining = plan.to_run()
    if remaining:
        known = cost(remaining, rates).known
        said = (
            f"{_cost(remaining, rates)} on one slot" if known else "unknown, nothing of its kind was timed in a store"
        )
        say(f"cost of a run: {said}")
    for name, how in plan.missing_data().items():
        say(f"{name!r} is not on this machine: {how}")
    if store is not None and plan.counts["stale"]:
        changed = what_changed(plan, store)
        reasons = sorted({reason for reasons in changed.values() for reason in reasons})
        more = f" and {len(reasons) - CHANGES_SHOWN} more" if len(reasons) > CHANGES_SHOWN else ""
        say(f"stale because of {', '.join(reasons[:CHANGES_SHOWN])}{more}; run them anew with --stale")
    console().file.flush()


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}..{high:,}"


def _cost(entries: list[Entry], rates: Mapping[Kind, float]) -> str:
    found = cost(entries, rates)
    if not entries:
        return ""
    if not found.known:
        return "unknown"
    rest = f" + {found.unknown} unknown" if found.unknown else ""
    return duration(found.seconds) + rest
