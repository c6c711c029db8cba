"""Where users' data lies on this machine: the folder of data sets, and the cache of what is built from packages."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "NOISEGRID_DATA"


def cache_folder() -> Path:
    """The user's cache of this program; it need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noisegrid"


def data_folder() -> Path:
    """``$NOISEGRID_DATA``, else the folder ``data`` of the cache; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else cache_folder() / "data"
