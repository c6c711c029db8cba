"""How figures look: colours that colour-blind readers and grey printers tell apart, one font size, vector output."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

#: Okabe and Ito's colours for data on white, without yellow, which is too pale for a line.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one more than colours, so that they part company
LINES = ("-", (0, (6, 1)), (0, (4, 1, 1, 1)), (0, (8, 1, 1, 1, 1, 1)))
FLOOR_LINE = (0, (2, 1.6))
GREY = "#666666"
WIDTH = 6.5  # inches: the text width of the document
TICK_LINE = 7.8  # points from one line of a tick's words to the next
ROW = 2.15  # inches a row of panels

SETTINGS: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "svg.fonttype": "path",  # a reader needs no font of ours
    "svg.hashsalt": "noisegrid",  # else every run names its clip paths anew
    "text.usetex": False,
    "path.simplify": False,
    "axes.unicode_minus": True,
}


def settings() -> Any:
    """A context in which figures are drawn and saved, whatever the user's own matplotlib settings."""
    import matplotlib

    defaults: Mapping[Any, Any] = matplotlib.rcParamsDefault
    kept: Any = {name: value for name, value in defaults.items() if not name.startswith("backend")}
    kept.update(SETTINGS)
    return matplotlib.rc_context(kept)


def look(index: int) -> dict[str, Any]:
    """Colour, marker and line of the ``index``-th line; colour and marker repeat together after 56."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[(index // len(COLOURS)) % len(LINES)],
    }


def svg(figure: Any) -> bytes:
    """A figure as SVG: the same bytes for the same figure, without date or version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
