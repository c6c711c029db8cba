"""The JSON record that makes a folder a data set, whatever it holds: read, and refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from trainers.errors import DataMissingError

Record = TypeVar("Record")


def read_record(
    name: str, path: Path, remedy: str, *, form: str, version: int, of: str, build: Callable[[dict[str, Any]], Record]
) -> Record:
    """What ``build`` makes of the record at ``path``, its ``format`` and ``version`` checked and taken out.

    Args:
        name: the data set's name.
        remedy: how to get it, or to get it anew.
        of: what the record describes, as in "describes no ...".
        build: raises KeyError, TypeError or ValueError where the rest is not as it must be.

    Raises:
        DataMissingError: there is no record, or it is damaged, or of a newer program.
    """
    try:
        held = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataMissingError(f"data set {name!r} is not on this machine: {remedy}") from None
    except (OSError, ValueError) as error:
        raise DataMissingError(f"data set {name!r}: {path} cannot be read: {error}. To repair it, {remedy}") from error
    if not isinstance(held, dict) or held.pop("format", None) != form:
        raise DataMissingError(f"data set {name!r}: {path} describes no {of}. To repair it, {remedy}")
    if held.pop("version", None) != version:
        raise DataMissingError(
            f"data set {name!r}: {path.parent} is of another format version; this program reads {version}. "
            f"Update the program, or {remedy}"
        )
    try:
        return build(held)
    except (KeyError, TypeError, ValueError) as error:
        raise DataMissingError(f"data set {name!r}: {path} is damaged: {error}. To repair it, {remedy}") from error
