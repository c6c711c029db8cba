"""``sweep status`` and ``sweep show``: what a store holds, what failed and why, one trial whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from sweep.cli.options import JsonOption, StoreOption
from sweep.cli.output import duration, emit, say, table
from sweep.store.store import open_store
from sweep.store.summary import Attempt, Published, Shown, Unfinished

UNFINISHED_SHOWN = 20


def register(app: typer.Typer) -> None:
    app.command("status")(status_command)
    app.command("show")(show_command)


def status_command(store: StoreOption, json: JsonOption = False) -> None:
    """What a store holds, what runs now, what failed or was interrupted and why."""
    from sweep.store.summary import status

    found = status(open_store(store))
    if json:
        emit({"store": store, "published": found.published, **asdict(found)})
        return
    if found.counts:
        rows = [[one.family, one.model, one.dataset, str(one.published)] for one in found.counts]
        table(["family", "model", "data set", "published"], rows, right={3})
    unfinished = {"failed": found.failed, "running": found.running, "interrupted": found.interrupted}
    parts = [f"{found.published} published", *(f"{len(ones)} {name}" for name, ones in unfinished.items() if ones)]
    say(f"{store}: {', '.join(parts)}")
    for name, ones in unfinished.items():
        _unfinished(name, ones)


def show_command(
    trial: Annotated[str, typer.Argument(metavar="ID", help="A trial's id, or a beginning of it.")],
    store: StoreOption,
    json: JsonOption = False,
) -> None:
    """One trial whole: specification, results, attempts with reasons and tracebacks, artifacts, checks."""
    from sweep.store.summary import show

    found = show(open_store(store), trial)
    if json:
        emit({**asdict(found)})
        return
    say(f"trial {found.id}")
    if found.spec is not None:
        rows = [[name, _plain(value)] for name, value in _flat(found.spec).items()]
        table(["field", "value"], rows)
    for one in found.published:
        _published(one)
    for attempt in found.attempts:
        _attempt(attempt)
    _checks(found)


def _unfinished(name: str, ones: Sequence[Unfinished]) -> None:
    if not ones:
        return
    shown = ones[-UNFINISHED_SHOWN:]
    rows = [[one.id, _when(one.at), str(one.attempts), one.host or "", _first_line(one.reason)] for one in shown]
    table([name, "at", "attempts", "host", "reason"], rows, right={2})
    if len(ones) > len(shown):
        say(f"and {len(ones) - len(shown)} more; --json lists all")


def _published(one: Published) -> None:
    row = one.row
    say(
        f"published {_when(row['ended'])} as revision {row['revision']} by attempt {row['attempt']}: "
        f"{row['samples']:,} samples in {row['steps']:,} steps, {duration(row['trial_seconds'])} on {row['device']} "
        f"({row['host']}, {row['threads']} threads), realised noise rate {_plain(row['realised_rate'])}"
    )
    rows = [[final["split"], final["metric"], _plain(final["value"]), f"{final['samples']:,}"] for final in one.final]
    if rows:
        table(["split", "metric", "value", "samples"], rows, right={2, 3})
    if one.steps:
        say(f"and {len(one.steps)} values from before the end; --json lists them")
    files = [[file["role"], file["path"], f"{file['bytes']:,}", file["sha256"][:16]] for file in one.artifacts]
    if files:
        table(["artifact", "path", "bytes", "sha256"], files, right={2})


def _attempt(attempt: Attempt) -> None:
    times = f"started {_when(attempt.started)}" + (f", ended {_when(attempt.ended)}" if attempt.ended else "")
    reason = f": {attempt.reason}" if attempt.reason else ""
    say(f"attempt {attempt.attempt} on {attempt.host}, {times}, {attempt.outcome}{reason}")
    if attempt.traceback:
        say(attempt.traceback.rstrip())


def _checks(found: Shown) -> None:
    if found.checks:
        rows = [[_when(check["at"]), check["what"], check["verdict"]] for check in found.checks]
        table(["checked", "what", "verdict"], rows)


def _flat(spec: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""


def _when(moment: Any) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment is not None else "-"
