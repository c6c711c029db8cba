"""A report: a pure function of a store's rows. The same logical rows give the same bytes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from reports import output, tables
from reports.analysis import Analysis, analyse
from reports.contents import contents
from reports.document import render
from reports.figures import style
from reports.figures.plate import Sheet
from reports.files import open_store
from reports.plates import plates


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
    by_section = [(section.slug, plates(section)) for section in analysis.sections]
    pictures: dict[str, bytes] = {}
    with style.settings():
        for _, made in (*by_section, ("", analysis.across)):
            for plate in made:
                pictures[f"figures/{plate.name}.svg"] = style.svg(plate.draw())
    found = {output.PDF: render(contents(analysis), pictures), **pictures}
    for slug, made in by_section:
        together: dict[str, list[Sheet]] = defaultdict(list)
        for plate in made:
            found[f"figures/{plate.name}.csv"] = tables.sheets([plate.points])
            for table in plate.tables:
                end = f"{plate.kind}-{table.part}" if table.part else plate.kind
                together[f"tables/{slug}-{end}.csv"].append(table.sheet)
        found |= {name: tables.sheets(parts) for name, parts in together.items()}
    for plate in analysis.across:
        found[f"figures/{plate.name}.csv"] = tables.sheets([plate.points])
        found[f"tables/{plate.name}.csv"] = tables.sheets([table.sheet for table in plate.tables])
    found["tables/trials.csv"] = tables.trials_csv(analysis)
    found["tables/metrics.csv"] = tables.metrics_csv(analysis)
    found["tables/configurations.csv"] = tables.configurations_csv(analysis)
    found["tables/failures.csv"] = tables.failures_csv(analysis)
    return found
