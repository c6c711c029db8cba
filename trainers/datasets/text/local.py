"""Corpora that ``sweep prepare`` made in the folder of users' data: their own ``corpus/NAME``, and ``openwebtext``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trainers.datasets.root import command, data_folder, named
from trainers.datasets.text.corpus import Corpus
from trainers.datasets.text.folder import is_there, open_corpus, read_record, verified
from trainers.errors import SpecError
from trainers.protocol import UNKNOWN_CLASSES, Dataset
from trainers.spec import ABSENT

MAKER = "corpus"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
GPT2_VOCABULARY = 50_257


@dataclass(frozen=True, slots=True)
class Local:
    """The corpus ``folder`` in the folder of users' data, known to grids as ``name``."""

    name: str
    folder: str
    command: str  # that prepares it

    def load(self, root: Path | None = None) -> Corpus:
        """The corpus below ``root`` (None: that of ``$NOISEGRID_DATA`` or the cache).

        Raises:
            DataMissingError: it was not prepared there, or is damaged.
        """
        return open_corpus(self.name, self.path(root), self.remedy(root))

    def digest(self, root: Path | None = None) -> str:
        """SHA-256 of the content, 64 hex digits.

        Raises:
            DataMissingError: as :meth:`load`.
        """
        return verified(self.name, self.path(root), self.remedy(root)).digest

    def present(self, root: Path | None = None) -> bool:
        """Whether it was prepared there."""
        return is_there(self.path(root))

    def path(self, root: Path | None) -> Path:
        return (data_folder() if root is None else root) / self.folder

    def remedy(self, root: Path | None) -> str:
        """The whole command that prepares it there, anew where it is there already."""
        return command(self.command + (" --restart" if self.present(root) else ""), root)


class LocalCorpora:
    """The maker ``corpus``: called with NAME it returns the corpus of that name, prepared or not."""

    def __call__(self, name: str) -> Dataset:
        """Its version is that of the content, so that neither name nor place enters a trial's id.

        Raises:
            SpecError: the name is none that a corpus can have.
            DataMissingError: its record is damaged.
        """
        if not NAME.fullmatch(name):
            raise SpecError(
                f"{MAKER}/{name}: a corpus has a name of lower-case letters, digits, _ and -, at most 64 of them, "
                f"such as {MAKER}/mine"
            )
        local = Local(f"{MAKER}/{name}", name, f"sweep prepare {name} --source FILE_OR_FOLDER_OR_hf:NAME")
        folder = local.path(None)
        record = read_record(local.name, folder, local.remedy(None)) if is_there(folder) else None
        return Dataset(
            name=local.name,
            version=record.digest[:16] if record else ABSENT,
            kind="text",
            about=f"text of your own, prepared in {folder}",
            classes=record.vocabulary if record else UNKNOWN_CLASSES,
            shape=(),
            train_size=record.tokens["train"] if record else None,
            test_size=record.tokens["validation"] if record else None,
            load=local.load,
            digest=local.digest,
            present=local.present,
            obtain=local.remedy(None),
            source=str(record.source.get("text", "not recorded")) if record else "yours",
        )

    def names(self) -> list[str]:
        """Corpora that lie in the folder of users' data, sorted."""
        return named(NAME, is_there)


CORPORA = LocalCorpora()

_OPENWEBTEXT = Local("openwebtext", "openwebtext", "sweep prepare openwebtext")

OPENWEBTEXT = Dataset(
    name="openwebtext",
    version="gpt2",
    kind="text",
    about="web pages that people shared, 8 million documents, 9 billion tokens of GPT-2's vocabulary",
    classes=GPT2_VOCABULARY,
    shape=(),
    train_size=None,
    test_size=None,
    load=_OPENWEBTEXT.load,
    digest=_OPENWEBTEXT.digest,
    present=_OPENWEBTEXT.present,
    obtain="`sweep prepare openwebtext` (some 20 GB, hours; it can be stopped and goes on)",
    source="https://huggingface.co/datasets/Skylion007/openwebtext (CC0)",
)
