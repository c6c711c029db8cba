"""A folder of images, ``{train,val}/CLASS/*.jpg``: its classes and files in a fixed order, and how one is read.

The layout and the kinds of file are those of torchvision's ImageFolder; ``test`` serves where there is no ``val``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.errors import SourceError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TEST_NAMES = ("val", "test")
NAMED = 5  # classes that an error names


@dataclass(frozen=True, slots=True)
class File:
    """One image: where it lies, its class, and what tells it from another that has its name."""

    path: Path
    label: int
    mark: bytes


@dataclass(frozen=True, slots=True)
class ImageSource:
    """What lies in ``root``: the names of the classes, sorted, and how many images of each there are by part."""

    root: Path
    folders: dict[str, Path]
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]

    @property
    def total(self) -> int:
        return sum(sum(counts) for counts in self.counts.values())

    def files(self, part: str) -> Iterator[File]:
        """The images of a part, by class, then by path; one folder's names are held at a time."""
        for label, name in enumerate(self.classes):
            yield from _files(self.folders[part] / name, self.folders[part], label)


def scanned(root: Path) -> ImageSource:
    """The image folder ``root``; names are read, images are not.

    Raises:
        SourceError: it is none, a class is empty, or training and test have other classes.
    """
    if not root.is_dir():
        raise SourceError(f"--images {root}: no such folder; give one with train/CLASS/ and val/CLASS/ in it")
    test = next((name for name in TEST_NAMES if (root / name).is_dir()), None)
    if not (root / "train").is_dir() or test is None:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:NAMED]) or "nothing"
        raise SourceError(
            f"--images {root}: the folders train and val (or test) are expected in it, a folder a class in each; "
            f"there is {there}"
        )
    folders = {"train": root / "train", "test": root / test}
    classes = {part: _classes(folder) for part, folder in folders.items()}
    if classes["train"] != classes["test"]:
        apart = [
            f"{_some(set(classes[one]) - set(classes[other]))} only in {folders[one].name}"
            for one, other in (("train", "test"), ("test", "train"))
            if set(classes[one]) - set(classes[other])
        ]
        raise SourceError(
            f"--images {root}: training and test have other classes: {'; '.join(apart)}. Each class has a folder "
            "in both"
        )
    if len(classes["train"]) < 2:
        raise SourceError(f"--images {root}: there is one class, {classes['train'][0]!r}; two or more are expected")
    counts = {part: _counts(folder, classes[part]) for part, folder in folders.items()}
    return ImageSource(root, folders, tuple(classes["train"]), counts)


def read_image(path: Path, side: int) -> npt.NDArray[np.uint8]:
    """The image's middle square, RGB, uint8 [3, side, side]; each pixel is the mean of what it covers.

    Raises:
        SourceError: it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            # Palettes with transparency lose their colours on the direct way.
            image = opened.convert("RGBA").convert("RGB") if "transparency" in opened.info else opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(
            f"the image {path} cannot be read: {error}. Mend or remove it, and give the same command again: it goes on"
        ) from error
    width, height = image.size
    short = min(width, height)
    left, top = (width - short) // 2, (height - short) // 2
    box = (left, top, left + short, top + short)
    small = image.resize((side, side), Image.Resampling.BOX, box=box)
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8).transpose(2, 0, 1))


def _classes(folder: Path) -> list[str]:
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise SourceError(f"{folder} has no folders: the images of each class lie in a folder of its name")
    return found


def _counts(folder: Path, classes: list[str]) -> tuple[int, ...]:
    counts = tuple(sum(1 for _ in _files(folder / name, folder, 0)) for name in classes)
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        raise SourceError(
            f"{folder} has no image of {_some(set(empty))}; {', '.join(EXTENSIONS)} are read. Remove the folder in "
            "train and test, or give it images"
        )
    return counts


def _files(folder: Path, part: Path, label: int) -> Iterator[File]:
    for path, _, names in sorted(os.walk(folder, followlinks=True)):
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS):
                file = Path(path, name)
                yield File(file, label, f"{file.relative_to(part).as_posix()}\0{file.stat().st_size}\n".encode())


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
