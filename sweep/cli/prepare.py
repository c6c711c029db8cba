"""``sweep prepare``: text of your own, or from a hub, as a corpus that grids can name; images in a module of theirs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.options import DataOption, looked_for_elsewhere
from sweep.cli.output import say
from sweep.cli.prepare_images import check_images, prepare_images
from sweep.cli.progress import shown
from sweep.errors import BadInputError, PrepareError
from trainers import registry
from trainers.datasets.root import data_folder

if TYPE_CHECKING:
    from trainers.datasets.text.folder import Record
    from trainers.datasets.text.prepare import Asked, Progress

OPENWEBTEXT = "openwebtext"
OPENWEBTEXT_SOURCE = "hf:Skylion007/openwebtext"
#: The validation share of documents; that of OpenWebText is the one of the original, 0.0005 (nanoGPT's prepare.py).
SHARE, OPENWEBTEXT_SHARE = "0.05", "0.0005"
OWN_TOKENIZER = "bpe:2048"
DAMAGED = 3


def register(app: typer.Typer) -> None:
    app.command("prepare")(prepare_command)


def prepare_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="'openwebtext', or a name that you give to your data.")],
    source: Annotated[
        str | None,
        typer.Option(
            help="A file or folder of .txt, .md, .json, .jsonl, .parquet; or hf:NAME[:CONFIG], of datasets' hub or "
            "a local folder that it reads."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="bpe:N trains a byte-level one of N tokens on the text (default bpe:2048); gpt2; python-docs; or a "
            "tokenizer.json, or a folder with one or with vocab.json and merges.txt."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="FRACTION", help="Share of the documents for validation (default 0.05).")
    ] = None,
    field: Annotated[str, typer.Option(help="The column of the text in JSON, Parquet and data sets.")] = "text",
    separator: Annotated[
        str | None, typer.Option(help="The token that ends a document, where the tokenizer's own is not found.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A folder with {train,val}/CLASS/*.jpg, png, ...: images, not text."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Height and width that --images are cropped and shrunk to.")
    ] = None,
    data: DataOption = None,
    check: Annotated[bool, typer.Option("--check", help="Hash what was prepared again, and prepare nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever is there.")] = False,
) -> None:
    """Turn text into 'dataset: corpus/NAME' of a grid, or images into 'images/NAME'. Stopped at any time, the same
    command goes on."""
    from trainers.datasets.mapped import is_there
    from trainers.datasets.text.local import NAME

    root = (data if data is not None else data_folder()).absolute()
    if name in registry.names("data set") and name != OPENWEBTEXT:
        if source is not None or tokenizer is not None or images is not None or side is not None:
            raise BadInputError(
                f"{name!r} is a data set of its own, which takes no --source, --tokenizer, --images or --side; "
                "give your data another NAME"
            )
        _embedded(name, root)
        return
    if not NAME.fullmatch(name):
        raise BadInputError(f"NAME {name!r}: lower-case letters, digits, _ and - are allowed, at most 64, such as mine")
    of_text = [source, tokenizer, split, separator] != [None] * 4
    if (images is not None or side is not None) and (of_text or name == OPENWEBTEXT):
        raise BadInputError(
            f"{name!r}: --images and --side are for images; --source, --tokenizer, --split and --separator for text"
        )
    with _troubles(root / name):
        if images is not None or side is not None or (not of_text and is_there(root / name)):
            if check:
                check_images(name, root / name)
            else:
                prepare_images(name, images, side, root, restart=restart)
        elif check:
            _check(name, root / name)
        else:
            _prepare(name, source, tokenizer, split, field, separator, root, restart=restart)


def _prepare(
    name: str,
    source: str | None,
    tokenizer: str | None,
    split: str | None,
    field: str,
    separator: str | None,
    root: Path,
    *,
    restart: bool,
) -> None:
    from trainers.datasets.text.folder import is_there, read_record
    from trainers.datasets.text.prepare import prepare

    folder = root / name
    if source is None and name != OPENWEBTEXT:
        if not is_there(folder):
            raise BadInputError(
                f"there is no corpus {name!r} in {root} yet: give its text with --source FILE, FOLDER or hf:NAME, "
                "or images with --images FOLDER"
            )
        if tokenizer is None and split is None and separator is None and not restart:
            _there(name, read_record(name, folder, "begin anew with --restart"), folder)
            return
        raise BadInputError(f"{folder} is prepared; to prepare it otherwise give --source as well, and --restart")
    asked = _asked(name, source, tokenizer, split, field, separator, root)
    with shown() as tell:

        def told(progress: Progress) -> None:
            tell(_PHASES[progress.phase], progress.bytes, progress.total, _said(progress))

        done = prepare(asked, restart=restart, tell=told)
    if done.did == "there":
        _there(name, done.record, folder)
        return
    say(f"{name}: {_sizes(done.record)}; in {folder}")
    known = name if name == OPENWEBTEXT else f"corpus/{name}"
    say(
        f"`dataset: {known}` in a grid names it"
        + (f" (with --data {shlex.quote(str(root))})" if looked_for_elsewhere(root) else "")
    )


def _asked(
    name: str,
    source: str | None,
    tokenizer: str | None,
    split: str | None,
    field: str,
    separator: str | None,
    root: Path,
) -> Asked:
    """What the options ask for, checked as far as that goes without reading the text."""
    from trainers.datasets.text.hub import PREFIX, Hub
    from trainers.datasets.text.local import GPT2_VOCABULARY
    from trainers.datasets.text.prepare import Asked
    from trainers.datasets.text.sources import Files
    from trainers.datasets.text.vocabularies import described, existing, own_size

    share = _share(split or (OPENWEBTEXT_SHARE if name == OPENWEBTEXT else SHARE))
    given = source or OPENWEBTEXT_SOURCE
    read = Hub(given, field) if given.startswith(PREFIX) else Files(Path(given), field)
    choice = tokenizer or ("gpt2" if name == OPENWEBTEXT else OWN_TOKENIZER)
    own = own_size(choice) is not None
    return Asked(
        name=name,
        folder=root / name,
        source=read,
        tokenizer=choice if own else described(choice, root),
        split=share,
        separator=separator,
        engine=None if own else lambda: existing(choice, root),
        vocabulary=GPT2_VOCABULARY if name == OPENWEBTEXT else None,
    )


def _share(text: str) -> Fraction:
    if re.fullmatch(r"[0-9]{0,20}\.?[0-9]{1,20}(/[0-9]{1,20})?", text) and not re.search(r"/0*$", text):
        numerator, _, denominator = text.partition("/")
        share = Fraction(numerator) / Fraction(denominator or 1)
        if 0 < share < 1:
            return share
    raise BadInputError(f"--split {text!r}: a fraction between 0 and 1 is expected, such as 0.05 or 1/20")


def _embedded(name: str, root: Path) -> None:
    """Data that packages or Python carry: built now where it is to be built at all."""
    found = registry.dataset(name)
    found.digest(root)
    say(f"{name} is there: it needs no preparation")


def _there(name: str, record: Record, folder: Path) -> None:
    say(f"{name} is prepared already, nothing to do: {_sizes(record)}; in {folder}")


def _sizes(record: Record) -> str:
    tokens, documents = record.tokens, record.documents
    return (
        f"{tokens['train']:,} tokens of {documents['train']:,} documents to train on, {tokens['validation']:,} of "
        f"{documents['validation']:,} for validation, vocabulary {record.vocabulary:,}, content {record.digest[:16]}"
    )


def _check(name: str, folder: Path) -> None:
    from trainers.datasets.text.folder import damages, read_record

    record = read_record(name, folder, f"`sweep prepare {name}` prepares it")
    found = damages(folder, record, whole=True)
    if found:
        say(f"{folder} is damaged: {'; '.join(found)}. Prepare it anew with --restart")
        raise typer.Exit(DAMAGED)
    say(f"{folder}: every file is as it was prepared; {_sizes(record)}")


@contextmanager
def _troubles(folder: Path) -> Iterator[None]:
    from trainers.errors import UnreachableError

    try:
        yield
    except UnreachableError as error:
        raise PrepareError(str(error)) from error
    except OSError as error:
        raise PrepareError(
            f"{folder} cannot be written: {error.strerror or error}. Make room or choose another folder with --data; "
            "the same command goes on where it was"
        ) from error


_PHASES = {"tokenizer": "sampling text for the tokenizer", "text": "tokenising"}


def _said(progress: Progress) -> str:
    read = f", {progress.bytes / 1e6:,.0f} of {progress.total / 1e6:,.0f} MB" if progress.total else ""
    return f"{progress.documents:,} documents{read}, {progress.tokens:,} tokens"
