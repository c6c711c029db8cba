"""Files that trials left in a store: checked against their row before anything in them is believed."""

from __future__ import annotations

import hashlib

from reports.files import StoreFiles
from reports.rows import Published


class DamagedError(Exception):
    """An artifact is missing or is not what its row promises."""


def content(files: StoreFiles, trial: Published, role: str) -> bytes | None:
    """The bytes of a trial's file of that role; None where it has none.

    Raises:
        DamagedError: the file is missing or its bytes are others than those that were published.
    """
    kept = trial.artifacts.get(role)
    if kept is None:
        return None
    found = files.content(kept.path)
    if found is None:
        raise DamagedError("the file is missing")
    if hashlib.sha256(found).hexdigest() != kept.sha256:
        raise DamagedError("the file does not match its SHA-256")
    return found
