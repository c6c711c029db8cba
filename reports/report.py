"""A report: a pure function of a store's rows. The same logical rows give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reports import output, tables
from reports.analysis import Analysis, analyse
from reports.contents import contents
from reports.document import render
from reports.figures import style
from reports.files import open_store


@dataclass(frozen=True)
class Written:
    """Where the report lies. ``figures`` and ``tables`` are the files of those folders, sorted."""

    folder: Path
    pdf: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    trials: int


def write_report(store: str | Path, out: Path) -> Written:
    """Read ``store`` and write ``report.pdf``, ``figures/`` and ``tables/`` into the folder ``out``.

    They are written aside and swapped in, so ``out`` holds the old report, if any, or the new one, never a part.

    Raises:
        ReportError: the store cannot be read or has published nothing, or ``out`` cannot be written or holds
            something that is no report.
    """
    target = output.check(Path(out))
    analysis = analyse(open_store(store))
    files = build(analysis)
    output.write(target, files)
    names = sorted(files)
    return Written(
        folder=target,
        pdf=target / output.PDF,
        figures=tuple(target / name for name in names if name.startswith("figures/")),
        tables=tuple(target / name for name in names if name.startswith("tables/")),
        trials=len(analysis.trials),
    )


def build(analysis: Analysis) -> dict[str, bytes]:
    """Every file of the report: path within its folder -> content.

    Raises:
        ReportError: the document cannot be set.
    """
    drawings = [drawing for section in analysis.sections for drawing in section.drawings]
    pictures: dict[str, bytes] = {}
    with style.settings():
        for drawing in drawings:
            pictures[f"figures/{drawing.name}.svg"] = style.svg(drawing.item.draw(drawing.strips))
    found = {output.PDF: render(contents(analysis), pictures), **pictures}
    for drawing in drawings:
        found[f"figures/{drawing.name}.csv"] = tables.points_csv(drawing)
    for section in analysis.sections:
        for item in dict.fromkeys(drawing.item.name for drawing in section.drawings):
            of_kind = [drawing for drawing in section.drawings if drawing.item.name == item]
            found[f"tables/{section.slug}-{item}.csv"] = tables.table_csv(of_kind)
    found["tables/trials.csv"] = tables.trials_csv(analysis)
    found["tables/metrics.csv"] = tables.metrics_csv(analysis)
    found["tables/configurations.csv"] = tables.configurations_csv(analysis)
    found["tables/failures.csv"] = tables.failures_csv(analysis)
    return found
