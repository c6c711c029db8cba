"""``sweep report``: figures, tables and the PDF from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.options import StoreOption
from sweep.cli.output import say
from sweep.store.store import open_store


def register(app: typer.Typer) -> None:
    app.command("report")(report_command)


def report_command(
    store: StoreOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for report.pdf, figures/ and tables/.")],
) -> None:
    """Write the report of a store: report.pdf, figures/ and tables/. The same rows give the same bytes."""
    from reports.report import write_report

    opened = open_store(store)
    written = write_report(opened.root, out)
    say(f"{written.pdf}")
