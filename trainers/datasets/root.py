"""Where users' data lies on this machine: the folder of data sets, and the cache of what is built from packages."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

VARIABLE = "NOISEGRID_DATA"


def cache_folder() -> Path:
    """The user's cache of this program; it need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noisegrid"


def data_folder() -> Path:
    """``$NOISEGRID_DATA``, else the folder ``data`` of the cache; it need not be there yet."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else cache_folder() / "data"


def command(base: str, root: Path | None) -> str:
    """A command that prepares data in ``root`` (None: in that of :func:`data_folder`), as it is to be typed."""
    place = data_folder() if root is None else root
    ours = place == cache_folder() / "data"  # where a command looks that is told nothing
    return f"`{base}`" if ours else f"`{base} --data {shlex.quote(str(place))}`"


def named(name: re.Pattern[str], is_there: Callable[[Path], bool]) -> list[str]:
    """Folders of users' data with such a name that hold what is looked for, sorted."""
    folder = data_folder()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if name.fullmatch(path.name) and is_there(path))
