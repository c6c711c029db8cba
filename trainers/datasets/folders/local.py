"""Images that ``sweep prepare NAME --images FOLDER`` made in the folder of users' data: ``images/NAME`` in a grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets import mapped
from trainers.datasets.images import Images
from trainers.datasets.root import command, data_folder, named
from trainers.errors import SpecError
from trainers.protocol import UNKNOWN_CLASSES, Dataset
from trainers.spec import ABSENT

MAKER = "images"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class LocalImages:
    """The images ``folder`` in the folder of users' data."""

    folder: str

    @property
    def name(self) -> str:
        return f"{MAKER}/{self.folder}"

    def load(self, root: Path | None = None) -> Images:
        """The images below ``root`` (None: that of ``$NOISEGRID_DATA`` or the cache), as maps.

        Raises:
            DataMissingError: they were not prepared there, or are damaged.
        """
        return mapped.open_images(self.name, self.path(root), self.remedy(root))

    def digest(self, root: Path | None = None) -> str:
        """SHA-256 of the content, 64 hex digits, from the record.

        Raises:
            DataMissingError: as :meth:`load`, as far as the files' sizes tell.
        """
        return mapped.verified(self.name, self.path(root), self.remedy(root), whole=False).digest

    def present(self, root: Path | None = None) -> bool:
        """Whether they were prepared there."""
        return mapped.is_there(self.path(root))

    def path(self, root: Path | None) -> Path:
        return (data_folder() if root is None else root) / self.folder

    def remedy(self, root: Path | None) -> str:
        """The command that prepares them there, anew where they are there already."""
        again = " --restart" if self.present(root) else ""
        return command(f"sweep prepare {self.folder} --images FOLDER --side PIXELS{again}", root)


class LocalFolders:
    """The maker ``images``: called with NAME it returns the images of that name, prepared or not."""

    def __call__(self, name: str) -> Dataset:
        """Its version is that of the content, so that neither name nor place enters a trial's id.

        Raises:
            SpecError: the name is none that images can have.
            DataMissingError: their record is damaged.
        """
        if not NAME.fullmatch(name):
            raise SpecError(
                f"{MAKER}/{name}: images have a name of lower-case letters, digits, _ and -, at most 64 of them, "
                f"such as {MAKER}/mine"
            )
        local = LocalImages(name)
        there = local.present(None)
        record = mapped.read_record(local.name, local.path(None), local.remedy(None)) if there else None
        return Dataset(
            name=local.name,
            version=record.digest[:16] if record else ABSENT,
            kind="images",
            about=f"images of your own, prepared in {local.path(None)}",
            classes=len(record.classes) if record else UNKNOWN_CLASSES,
            shape=record.shape if record else (),
            train_size=record.sizes["train"] if record else None,
            test_size=record.sizes["test"] if record else None,
            load=local.load,
            digest=local.digest,
            present=local.present,
            obtain=local.remedy(None),
            source=str(record.source.get("images", "not recorded")) if record else "yours",
        )

    def names(self) -> list[str]:
        """Images that lie in the folder of users' data, sorted."""
        return named(NAME, mapped.is_there)


FOLDERS = LocalFolders()
