"""The PDF: the template beside this module, fed with plain data. Fixed fonts, fixed time, so fixed bytes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from reports.errors import ReportError

TIMESTAMP = 0  # seconds since the epoch: a report is dated by its rows, not by when it was set
TEMPLATE = "document.typ"


def render(contents: Mapping[str, Any], figures: Mapping[str, bytes]) -> bytes:
    """The PDF's bytes. ``figures``: path as ``contents`` names it -> SVG.

    Raises:
        ReportError: the document cannot be set.
    """
    import typst

    with tempfile.TemporaryDirectory(prefix="noisegrid-report-") as folder:
        root = Path(folder)
        (root / TEMPLATE).write_bytes(files("reports").joinpath(TEMPLATE).read_bytes())
        (root / "data.json").write_text(json.dumps(contents, allow_nan=False), encoding="utf-8")
        for path, content in figures.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        try:
            made: bytes = typst.compile(
                root / TEMPLATE,
                root=root,
                font_paths=[],
                ignore_system_fonts=True,
                format="pdf",
                timestamp=TIMESTAMP,
            )
        except typst.TypstError as error:
            raise ReportError(f"the document cannot be set: {error}") from error
    return made
