"""Preparing: killed anywhere and continued it ends in the same bytes; what does not fit is refused with a remedy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures import texts

from trainers.datasets import partial
from trainers.datasets.partial import JOURNAL
from trainers.datasets.text import prepare as module
from trainers.datasets.text import vocabularies
from trainers.datasets.text.folder import FILES, RECORD, TOKENIZER, open_corpus
from trainers.datasets.text.prepare import Asked, Progress, prepare
from trainers.datasets.text.split import split_of
from trainers.errors import SourceError, UnreachableError

DOCUMENTS = texts.documents(160)
EVERY = 1_500  # characters between two entries of the journal: some thirty of them


class KilledError(BaseException):
    """Stands for a kill: nothing that is written for errors may catch it."""


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_DOCUMENTS", 4)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return texts.rows(tmp_path / "rows.jsonl", DOCUMENTS)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def killed_after(asked: Asked, documents: int, phase: str = "text") -> None:
    def tell(progress: Progress) -> None:
        if progress.phase == phase and progress.documents >= documents:
            raise KilledError

    with pytest.raises(KilledError):
        prepare(asked, tell=tell, journal_bytes=EVERY)


def whole(tmp_path: Path, source: Path) -> Path:
    folder = tmp_path / "whole"
    assert prepare(texts.asked(folder, source)).did == "prepared"
    return folder


def test_documents_come_back_on_their_side_of_the_split(tmp_path: Path, source: Path) -> None:
    done = prepare(texts.asked(tmp_path / "mine", source))
    corpus = open_corpus("corpus/mine", tmp_path / "mine", "")
    for split, tokens in (("train", corpus.train), ("validation", corpus.validation)):
        due = [text for text in DOCUMENTS if text.strip() and split_of(text, Fraction("0.2")) == split]
        assert corpus.tokenizer.decode(tokens.tolist()) == "".join(text + "<|endoftext|>" for text in due)
        assert done.record.documents[split] == len(due)
    assert corpus.vocabulary == 300
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == sorted([*FILES, RECORD])
    assert not (tmp_path / "mine.partial").exists()


def test_a_second_run_does_nothing(tmp_path: Path, source: Path) -> None:
    folder = whole(tmp_path, source)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = prepare(texts.asked(folder, source), tell=lambda progress: pytest.fail("it reads"))
    assert again.did == "there"
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("documents", [1, 5, 20, 61, 150])
def test_killed_and_continued_ends_in_the_same_bytes(tmp_path: Path, source: Path, documents: int) -> None:
    due = whole(tmp_path, source)
    asked = texts.asked(tmp_path / "mine", source)
    killed_after(asked, documents)
    shards = tmp_path / "mine.partial"
    with (shards / "train.bin").open("ab") as file:  # what a kill leaves behind the journal's lengths
        file.write(b"\1\0" * 7)
    read: list[int] = []
    done = prepare(asked, tell=lambda progress: read.append(progress.documents))
    assert done.did == "continued"
    assert content(tmp_path / "mine") == content(due)
    assert (
        done.record.source["documents_sha256"] == json.loads((due / RECORD).read_text())["source"]["documents_sha256"]
    )
    if documents > 50:
        assert read[0] > documents // 2, "it began anew"


def test_killed_again_and_again(tmp_path: Path, source: Path) -> None:
    due = whole(tmp_path, source)
    asked = texts.asked(tmp_path / "mine", source)
    for documents in range(8, 160, 8):
        killed_after(asked, documents)
    assert prepare(asked).did == "continued"
    assert content(tmp_path / "mine") == content(due)


def test_killed_while_the_tokenizer_is_trained(tmp_path: Path, source: Path) -> None:
    due = whole(tmp_path, source)
    asked = texts.asked(tmp_path / "mine", source)
    killed_after(asked, 30, phase="tokenizer")
    assert not (tmp_path / "mine.partial").exists()
    prepare(asked)
    assert content(tmp_path / "mine") == content(due)


def test_killed_between_the_last_byte_and_the_name(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = whole(tmp_path, source)
    asked = texts.asked(tmp_path / "mine", source)

    def kill(from_: Path, to: Path, record: str) -> None:
        for name in (partial.JOURNAL, partial.LOCK):
            (from_ / name).unlink()
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(module, "publish", kill)
        with pytest.raises(KilledError):
            prepare(asked)
    assert not (tmp_path / "mine").exists()
    assert prepare(asked, tell=lambda progress: pytest.fail("it reads")).did == "continued"
    assert content(tmp_path / "mine") == content(due)


PROGRAM = """
import sys
from pathlib import Path
from fixtures import texts
from trainers.datasets.text import prepare as module
module.BATCH_DOCUMENTS = 4
def tell(progress):
    if progress.phase == "text":
        print(progress.documents, flush=True)
        sys.stdin.readline()
module.prepare(texts.asked(Path(sys.argv[1]), Path(sys.argv[2])), tell=tell, journal_bytes=1500)
"""


def test_sigkill_and_continued_ends_in_the_same_bytes(tmp_path: Path, source: Path) -> None:
    due = whole(tmp_path, source)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    for steps in (9, 12):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "mine"), str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert child.stdout is not None
        assert child.stdin is not None
        for _ in range(steps):
            assert child.stdout.readline()
            child.stdin.write("\n")
            child.stdin.flush()
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=60)
    kept = json.loads((tmp_path / "mine.partial" / JOURNAL).read_text())["documents"]
    assert kept >= 40, "the second run went on from the journal of the first"
    assert prepare(texts.asked(tmp_path / "mine", source)).did == "continued"
    assert content(tmp_path / "mine") == content(due)


def test_two_at_once_are_refused(tmp_path: Path, source: Path) -> None:
    asked = texts.asked(tmp_path / "mine", source)

    def other(progress: Progress) -> None:
        with pytest.raises(UnreachableError, match="another process prepares"):
            prepare(asked)

    assert prepare(asked, tell=other).did == "prepared"


CHANGES = {
    "split": ({"split": "0.3"}, "split was 1/5, is 3/10"),
    "tokenizer": ({"tokenizer": "bpe:301"}, "tokenizer was bpe:300, is bpe:301"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("finished", [False, True])
def test_other_options_than_it_was_begun_with_are_refused(
    tmp_path: Path, source: Path, change: dict[str, str], said: str, finished: bool
) -> None:
    folder = tmp_path / "mine"
    if finished:
        prepare(texts.asked(folder, source))
    else:
        killed_after(texts.asked(folder, source), 80)
    with pytest.raises(SourceError, match=rf"{said}.*--restart"):
        prepare(texts.asked(folder, source, **change))
    done = prepare(texts.asked(folder, source, **change), restart=True)
    assert done.did == "prepared"
    assert done.record.digest == prepare(texts.asked(tmp_path / "fresh", source, **change)).record.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "mine", "rows.jsonl"]


def test_a_source_that_grew_or_changed_is_refused(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "mine"
    killed_after(texts.asked(folder, source), 80)
    texts.rows(source, [*DOCUMENTS, "more"])
    with pytest.raises(SourceError, match=r"source bytes was \d+, is \d+.*--restart"):
        prepare(texts.asked(folder, source))
    texts.rows(source, ["X" + DOCUMENTS[0][1:], *DOCUMENTS[1:]])  # as long as before
    with pytest.raises(SourceError, match=r"the first \d+ documents .* the source has changed.*--restart"):
        prepare(texts.asked(folder, source))
    texts.rows(source, DOCUMENTS)
    assert prepare(texts.asked(folder, source)).did == "continued"


@pytest.mark.parametrize("file", ["train.bin", "validation.bin", TOKENIZER, JOURNAL])
def test_a_partial_folder_that_was_changed_is_refused(tmp_path: Path, source: Path, file: str) -> None:
    folder = tmp_path / "mine"
    killed_after(texts.asked(folder, source), 80)
    path = tmp_path / "mine.partial" / file
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    with pytest.raises(SourceError, match=rf"{file}.*--restart"):
        prepare(texts.asked(folder, source))
    assert prepare(texts.asked(folder, source), restart=True).did == "prepared"


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, source: Path) -> None:
    for name in ("mine", "yours.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("x")
    for name in ("mine", "yours"):
        with pytest.raises(SourceError, match="holds no data of this kind; move it away"):
            prepare(texts.asked(tmp_path / name, source), restart=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def refused(tmp_path: Path, asked: Asked, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        prepare(asked)
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl"}, "something was left"


def test_texts_that_cannot_be_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    refused(tmp_path, texts.asked(tmp_path / "mine", path), "has no documents")
    texts.rows(path, [" ", "\n"])
    refused(
        tmp_path, texts.asked(tmp_path / "mine", path), "of the 2 documents .* none that is not blank is for training"
    )
    texts.rows(path, [DOCUMENTS[0]])
    alone = "train" if split_of(DOCUMENTS[0], Fraction("0.2")) == "validation" else "validation"
    asked = replace(texts.asked(tmp_path / "mine", path), engine=lambda: vocabularies.existing("python-docs", tmp_path))
    refused(tmp_path, asked, f"is for {alone}.*--split")
    path.write_text('{"text": "half a pair: \\ud800"}\n')
    refused(tmp_path, texts.asked(tmp_path / "mine", path), "document 1 of .* is no Unicode text")
    texts.rows(path, ["ab ab"] * 3 + DOCUMENTS[:9])
    refused(
        tmp_path, texts.asked(tmp_path / "mine", path, tokenizer="bpe:60000"), r"Use --tokenizer bpe:\d+ or a smaller"
    )


def test_a_bad_row_in_the_middle_keeps_what_was_prepared(tmp_path: Path, source: Path) -> None:
    killed_after(texts.asked(tmp_path / "mine", source), 80)
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join([*lines[:120], "#" + lines[120][1:], *lines[121:]]))
    with pytest.raises(SourceError, match="line 121: this is no JSON"):
        prepare(texts.asked(tmp_path / "mine", source))
    assert (tmp_path / "mine.partial" / JOURNAL).exists()


def test_a_document_longer_than_is_tokenised_at_once_comes_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 100)
    monkeypatch.setattr(module, "BATCH_BYTES", 150)
    text = " ".join(DOCUMENTS)
    prepare(texts.asked(tmp_path / "mine", texts.rows(tmp_path / "rows.jsonl", [text, *DOCUMENTS[:40]])))
    corpus = open_corpus("corpus/mine", tmp_path / "mine", "")
    tokens = corpus.train if split_of(text, Fraction("0.2")) == "train" else corpus.validation
    assert corpus.tokenizer.decode(tokens.tolist()).split("<|endoftext|>")[0] == text


def test_memory_does_not_follow_the_length_of_the_text(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from dataclasses import replace; from pathlib import Path; from fixtures import texts\n"
        "from trainers.datasets.text import vocabularies; from trainers.datasets.text.prepare import prepare\n"
        "path = Path(sys.argv[1]); asked = texts.asked(path / 'mine', path / 'text.txt', '0.1', 'python-docs')\n"
        "prepare(replace(asked, engine=lambda: vocabularies.existing('python-docs', path)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    vocabularies.existing("python-docs", tmp_path)
    peaks = []
    for name, copies in (("short", 20), ("long", 100)):  # 1.1 and 5.5 MB
        folder = tmp_path / name
        folder.mkdir()
        (folder / "text.txt").write_text("\n\n".join(f"{n}: {text}" for n in range(copies) for text in DOCUMENTS))
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) / 1e3)
    assert peaks[1] - peaks[0] < 40, f"{peaks} MB"
