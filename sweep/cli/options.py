"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sweep.errors import BadInputError
from sweep.trial import Space
from trainers.datasets.root import VARIABLE, data_folder

SpacePath = Annotated[Path, typer.Argument(metavar="SPACE", help="A grid file (.yaml); see search_spaces/README.md.")]
StoreOption = Annotated[str, typer.Option("--store", help="The store: a folder.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with your data sets (else $NOISEGRID_DATA, else the user's cache)."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="FIELD=VALUE", help="Only trials with this value, and what they need. Repeatable."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="Set a field in every group, in place of the file's. Repeatable."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def data_root(given: Path | None) -> Path | None:
    """Where users' data lies: ``--data``, ``$NOISEGRID_DATA``, the user's cache folder; None where there is none.

    Raises:
        BadInputError: a folder was named and is none.
    """
    named = given if given is not None else data_folder()
    if not named.is_dir():
        if given is None and not os.environ.get(VARIABLE):
            return None
        origin = "--data" if given is not None else f"${VARIABLE}"
        raise BadInputError(f"{origin} {named}: no such folder; name the folder that holds your data sets")
    found = named.absolute()
    if given is not None:  # data sets that are named after what lies there are looked up by child processes too
        os.environ[VARIABLE] = str(found)
    return found


def looked_for_elsewhere(root: Path) -> bool:
    """Whether other commands look for data elsewhere than in ``root``, unless they are told."""
    return root != data_folder().absolute()


def pairs(given: list[str] | None, option: str) -> dict[str, list[str]]:
    """``field=value`` texts as field -> values, still as texts.

    Raises:
        BadInputError: a text without ``=``.
    """
    found: dict[str, list[str]] = {}
    for text in given or []:
        field, mark, value = text.partition("=")
        if not mark or not field.strip():
            raise BadInputError(f"{option} {text!r}: write field=value, such as noise.ratio=0.5")
        found.setdefault(field.strip(), []).append(value)
    return found


def load(path: Path, where: list[str] | None, overrides: list[str] | None) -> Space:
    """The grid file with ``--set`` and ``--where`` applied.

    Raises:
        BadInputError: the file or an option is wrong.
    """
    from sweep.space import load_space
    from sweep.space.select import select
    from sweep.space.source import scalar

    sets = pairs(overrides, "--set")
    twice = next((field for field, values in sets.items() if len(values) > 1), None)
    if twice is not None:
        raise BadInputError(f"--set {twice} is given {len(sets[twice])} times; a field has one value")
    space = load_space(path, {field: scalar(values[0], f"--set {field}") for field, values in sets.items()})
    wanted = pairs(where, "--where")
    return select(space, wanted) if wanted else space
