"""``sweep prepare NAME --images``: an image folder of your own, as a data set that grids can name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sweep.cli.options import looked_for_elsewhere
from sweep.cli.output import say
from sweep.cli.progress import shown
from sweep.errors import BadInputError

if TYPE_CHECKING:
    from trainers.datasets.folders.prepare import Progress
    from trainers.datasets.mapped import Record

DAMAGED = 3
LAYOUT = "FOLDER, which holds train/CLASS/*.jpg and val/CLASS/*.jpg"


def prepare_images(name: str, images: Path | None, side: int | None, root: Path, *, restart: bool) -> None:
    """Prepare the images below ``images`` as ``images/NAME`` in ``root``, or tell that they are.

    Raises:
        BadInputError: an option is missing.
        TrainerError: the folder cannot be read, or not now.
    """
    from trainers.datasets.folders.prepare import Asked, prepare
    from trainers.datasets.mapped import is_there, read_record

    folder = root / name
    if images is None and not is_there(folder):
        raise BadInputError(f"there are no images {name!r} in {root} yet: give their folder, --images {LAYOUT}")
    if images is None:
        if side is not None or restart:
            raise BadInputError(f"{folder} is prepared; to prepare it otherwise give --images as well, and --restart")
        _there(name, read_record(f"images/{name}", folder, "begin anew with --restart"), folder)
        return
    if side is None:
        raise BadInputError(f"--images {images}: give --side as well, the pixels of a side, such as 32 or 64")
    with shown() as tell:

        def told(progress: Progress) -> None:
            said = f"{progress.done:,} of {progress.total:,} images"
            tell("cropping and shrinking", progress.done, progress.total, said)

        done = prepare(Asked(f"images/{name}", folder, images, side), restart=restart, tell=told)
    if done.did == "there":
        _there(name, done.record, folder)
        return
    say(f"{name}: {_sizes(done.record)}; in {folder}")
    also = f" (with --data {shlex.quote(str(root))})" if looked_for_elsewhere(root) else ""
    say(f"`dataset: images/{name}` in a grid names it{also}")


def check_images(name: str, folder: Path) -> None:
    """Hash what was prepared again.

    Raises:
        typer.Exit: it is damaged.
    """
    from trainers.datasets.mapped import damages, read_record

    record = read_record(f"images/{name}", folder, f"`sweep prepare {name} --images FOLDER` prepares it")
    found = damages(folder, record, whole=True)
    if found:
        say(f"{folder} is damaged: {'; '.join(found)}. Prepare it anew with --restart")
        raise typer.Exit(DAMAGED)
    say(f"{folder}: every image is as it was prepared; {_sizes(record)}")


def _there(name: str, record: Record, folder: Path) -> None:
    say(f"{name} is prepared already, nothing to do: {_sizes(record)}; in {folder}")


def _sizes(record: Record) -> str:
    _, height, width = record.shape
    return (
        f"{record.sizes['train']:,} images to train on, {record.sizes['test']:,} to test on, {len(record.classes):,} "
        f"classes, {height} x {width} pixels, content {record.digest[:16]}"
    )
