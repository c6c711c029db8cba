"""``sweep verify``, ``sweep compact`` and ``sweep export``: looking after a store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import JsonOption, StoreOption
from sweep.cli.output import emit, say, table
from sweep.errors import StoreError
from sweep.store.store import open_store

DAMAGED = 3


def register(app: typer.Typer) -> None:
    app.command("verify")(verify_command)
    app.command("compact")(compact_command)
    app.command("export")(export_command)


def verify_command(
    store: StoreOption,
    record: Annotated[bool, typer.Option(help="Write the verdicts into the table 'checks'.")] = True,
    json: JsonOption = False,
) -> None:
    """Check every file, id and digest of a store, and name what is damaged. Exit code 3 where something is."""
    from sweep.store.verify import verify

    opened = open_store(store)
    try:
        findings = verify(opened, record=record)
    except StoreError as error:
        if not record:
            raise
        say(f"{error}; the verdicts are not written down (--no-record asks for none)")
        findings = verify(opened, record=False)
    errors = sum(finding.severity == "error" for finding in findings)
    if json:
        emit({"store": store, "errors": errors, "findings": [asdict(finding) for finding in findings]})
    else:
        if findings:
            rows = [[one.severity, one.path, one.what, one.remedy] for one in findings]
            table(["", "file", "what", "what to do"], rows)
        trials = len(opened.index().published)
        say(f"{store}: {trials} trials, {errors} errors, {len(findings) - errors} other findings")
    if errors:
        raise typer.Exit(DAMAGED)


def compact_command(store: StoreOption) -> None:
    """Merge the small files of a store and sweep what nobody needs; safe beside running sweeps."""
    from sweep.store.compact import compact

    done = compact(open_store(store))
    merged = ", ".join(f"{count} files of {name}" for name, count in done.merged.items() if count)
    say(f"{store}: merged {merged}" if merged else f"{store}: nothing to merge")
    if done.swept:
        say(f"swept {len(done.swept)} leftovers of attempts that did not publish")
    for path, reason in done.skipped.items():
        say(f"left alone {path}: {reason}")


def export_command(
    store: StoreOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for one Parquet file a table.")],
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Copy artifacts' files as well.")] = False,
) -> None:
    """A snapshot of what is published: one Parquet file a table. The same rows give the same bytes."""
    from sweep.store.export import export

    done = export(open_store(store), out, artifacts=artifacts)
    say(f"{done.folder}: {done.rows['trials']} trials, {done.rows['metrics']} metric values")
