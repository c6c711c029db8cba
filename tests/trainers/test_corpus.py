"""Corpora as they lie on disk: the contract of any, the embedded ones, what is damaged, and how it is mended."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from contracts.corpus import TextContract
from fixtures import texts

from trainers import registry
from trainers.datasets.root import VARIABLE
from trainers.datasets.text import embedded, folder, local
from trainers.datasets.text.bpe import END_OF_TEXT, separator_id, train_bpe, vocabulary_of
from trainers.datasets.text.corpus import Corpus
from trainers.datasets.text.prepare import prepare
from trainers.datasets.text.split import split_of
from trainers.datasets.text.tokenizer import FileTokenizer, bare
from trainers.datasets.text.writer import CorpusWriter
from trainers.errors import DataMissingError, SourceError, SpecError
from trainers.protocol import UNKNOWN_CLASSES, Dataset
from trainers.spec import ABSENT


class TestPythonDocs(TextContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return registry.dataset("python-docs")


class TestPythonSource(TextContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return registry.dataset("python-source")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of users' data with the corpus ``mine``."""
    root = tmp_path / "data"
    monkeypatch.setenv(VARIABLE, str(root))
    prepare(texts.asked(root / "mine", texts.rows(tmp_path / "rows.jsonl", texts.documents(60))))
    return root


class TestMine(TextContract):
    @pytest.fixture
    def root(self, data: Path) -> Path:
        return data

    @pytest.fixture
    def dataset(self, data: Path) -> Dataset:
        return registry.dataset("corpus/mine")


class TestWide(TextContract):
    """More tokens than two bytes can tell apart."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        from tokenizers import AddedToken

        engine = train_bpe(["wide wide wide"], 257)
        engine.add_tokens([AddedToken(f"<word {n}>") for n in range(70_000)])
        path = tmp_path / "data" / "wide"
        path.mkdir(parents=True)
        (path / folder.TOKENIZER).write_text(engine.to_str())
        bare(engine)
        with CorpusWriter(path, vocabulary_of(engine), separator_id(engine, None)) as writer:
            for split in folder.SPLITS:
                for n in (3, 65_000, 69_999):
                    writer.append(split, [engine.encode(f"{split} <word {n}>", add_special_tokens=False).ids])
            writer.finish("wide", {}, {})
        return tmp_path / "data"

    @pytest.fixture
    def dataset(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
        monkeypatch.setenv(VARIABLE, str(root))
        return registry.dataset("corpus/wide")

    def test_the_largest_token_survives(self, corpus: Corpus) -> None:
        assert corpus.vocabulary == 257 + 70_000
        assert int(corpus.train.max()) == 257 + 69_999
        assert "<word 69999>" in corpus.tokenizer.decode(corpus.train.tolist())


def test_vocabulary_decides_the_width_of_a_token() -> None:
    assert [folder.token_type(n).str for n in (257, 65_536, 65_537)] == ["<u2", "<u2", "<u4"]


def test_embedded_corpora_share_one_tokenizer_of_2048_tokens() -> None:
    docs, source = (cast(Corpus, registry.dataset(name).load(None)) for name in ("python-docs", "python-source"))
    assert docs.vocabulary == source.vocabulary == 2_048
    assert docs.tokenizer_sha256 == source.tokenizer_sha256
    assert docs.tokenizer.encode("for x in range(10):") == source.tokenizer.encode("for x in range(10):")
    assert len(docs.train) > 400_000
    assert 1_000_000 < len(source.train) + len(source.validation) < 2_000_000
    assert 0.02 < len(docs.validation) / len(docs.train) < 0.12


def test_documents_end_in_the_separator_and_lie_on_their_side_of_the_split() -> None:
    corpus = cast(Corpus, registry.dataset("python-docs").load(None))
    assert corpus.tokenizer.decode([0]) == END_OF_TEXT
    for split, tokens in (("train", corpus.train), ("validation", corpus.validation)):
        ends = np.flatnonzero(tokens == 0)
        assert ends[-1] == len(tokens) - 1
        starts = [0, *(int(end) + 1 for end in ends[:-1])]
        read = [corpus.tokenizer.decode(tokens[a:b].tolist()) for a, b in zip(starts, ends, strict=True)]
        assert len(read) > 15
        assert {split_of(text, embedded.VALIDATION) for text in read} == {split}


def test_a_text_that_spells_a_separator_holds_none() -> None:
    corpus = cast(Corpus, registry.dataset("python-docs").load(None))
    ids = corpus.tokenizer.encode(f"before {END_OF_TEXT} after")
    assert 0 not in ids
    assert corpus.tokenizer.decode(ids) == f"before {END_OF_TEXT} after"


def test_built_anew_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry.dataset("python-docs").digest(None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert registry.dataset("python-docs").digest(None) == before
    assert list((tmp_path / "noisegrid" / "corpora").iterdir()) == [embedded.DOCS.folder]


SMALL = """
from fixtures import texts
from trainers.datasets.text import embedded

embedded.VOCABULARY = 300
SMALL = embedded.Embedded("small", lambda: texts.documents(400, words=200), embedded.DOCS.engine)
"""


def test_a_damaged_cache_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded, "VOCABULARY", 300)
    small = embedded.Embedded("small", lambda: texts.documents(400, words=200), embedded.DOCS.engine)
    before = small.digest()
    path = small.folder / "train.bin"
    path.write_bytes(b"\0\0" + path.read_bytes()[2:])
    assert small.digest() == before
    assert folder.damages(small.folder, small._built(), whole=True) == []
    assert list(small.folder.parent.iterdir()) == [small.folder]


def test_of_many_that_build_at_once_all_get_the_same(tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    many = [
        subprocess.Popen(
            [sys.executable, "-c", f"{SMALL}\nprint(SMALL.digest())"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(4)
    ]
    said = {child.communicate(timeout=120)[0].strip() for child in many}
    assert len(said) == 1
    assert len(said.pop()) == 64
    assert len(list((tmp_path / "noisegrid" / "corpora").iterdir())) == 1


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataMissingError, match=r"'python-docs' cannot be built in .*XDG_CACHE_HOME"):
        registry.dataset("python-docs").load(None)


def test_what_a_kill_left_of_a_build_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(embedded, "LEFTOVER_SECONDS", -1.0)
    left = embedded.DOCS.folder.parent / ".python-docs-0123"
    left.mkdir(parents=True)
    embedded.DOCS._sweep()
    assert not left.exists()


# Users' own: content decides.


def test_version_and_digest_follow_content_alone(data: Path, tmp_path: Path) -> None:
    mine = registry.dataset("corpus/mine")
    prepare(texts.asked(data / "same", texts.rows(tmp_path / "elsewhere.jsonl", texts.documents(60))))
    prepare(texts.asked(data / "other", texts.rows(tmp_path / "other.jsonl", texts.documents(60, seed=1))))
    same, other = registry.dataset("corpus/same"), registry.dataset("corpus/other")
    assert mine.version == same.version == mine.digest(data)[:16]
    assert mine.digest(None) == same.digest(data)
    assert other.version != mine.version
    assert local.CORPORA.names() == ["mine", "other", "same"]


def test_digest_covers_splits_tokenizer_and_vocabulary(data: Path) -> None:
    record = json.loads((data / "mine" / folder.RECORD).read_text())
    digests = set()
    for change in ({}, {"vocabulary": 999}, *({"sha256": {**record["sha256"], f: "0" * 64}} for f in folder.FILES)):
        (data / "mine" / folder.RECORD).write_text(json.dumps({**record, **change, "name": "x", "source": {}}))
        digests.add(folder.read_record("mine", data / "mine", "").digest)
    assert len(digests) == 5  # of six: frequencies follow from the tokens


def test_absent_is_absent_and_says_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    found = registry.dataset("corpus/none")
    assert (found.version, found.classes, found.present(None)) == (ABSENT, UNKNOWN_CLASSES, False)
    assert f"`sweep prepare none --source FILE_OR_FOLDER_OR_hf:NAME --data {tmp_path}`" in found.obtain
    with pytest.raises(DataMissingError, match="'corpus/none' is not on this machine: `sweep prepare none "):
        found.load(None)
    owt = registry.dataset("openwebtext")
    assert not owt.present(tmp_path)
    assert "`sweep prepare openwebtext`" in owt.obtain
    with pytest.raises(DataMissingError, match="'openwebtext' is not on this machine: `sweep prepare openwebtext "):
        owt.digest(tmp_path)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Mine", ".hidden", "a b", "x" * 65, "mine.partial"])
def test_names_that_no_corpus_has_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="a corpus has a name of lower-case letters"):
        registry.dataset(f"corpus/{name}")


@pytest.mark.parametrize("file", folder.FILES)
@pytest.mark.parametrize("damage", ["flipped", "short", "gone"])
def test_damage_is_named_with_the_command_that_mends_it(data: Path, file: str, damage: str) -> None:
    registry.dataset("corpus/mine").load(None)  # a good look before is no excuse
    path = data / "mine" / file
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-1] if damage == "short" else bytes([content[0] ^ 1]) + content[1:])
    said = {"flipped": "SHA-256 differs", "short": r"[0-9,]+ are due", "gone": "is missing"}[damage]
    for read in (registry.dataset("corpus/mine").load, registry.dataset("corpus/mine").digest):
        with pytest.raises(DataMissingError, match=rf"{file}.*{said}.*`sweep prepare mine .*--restart"):
            read(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "describes no corpus"),
        ('{"format": "noisegrid corpus", "version": 99}', "another format version; this program reads 1"),
        ('{"format": "noisegrid corpus", "version": 1, "name": "x"}', "is damaged"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(data: Path, text: str, said: str) -> None:
    (data / "mine" / folder.RECORD).write_text(text)
    with pytest.raises(DataMissingError, match=rf"'corpus/mine'.*{said}"):
        registry.dataset("corpus/mine")


def test_more_bytes_than_are_hashed_are_trusted_by_size(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "VERIFIED_BYTES", 0)
    path = data / "mine" / "train.bin"
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert registry.dataset("corpus/mine").digest(None)
    path.write_bytes(content[:-1])
    with pytest.raises(DataMissingError, match=r"bytes, [0-9,]+ are due"):
        registry.dataset("corpus/mine").digest(None)


def test_a_planner_holds_no_heavy_library_for_a_corpus_that_is_there(data: Path) -> None:
    program = (
        "import sys; from trainers import registry\n"
        "for name in ('corpus/mine', 'python-docs'): registry.dataset(name).load(None)\n"
        "print(*sorted({'torch', 'transformers', 'datasets', 'tokenizers', 'ray'} & set(sys.modules)), sep=',')\n"
    )
    registry.dataset("python-docs").digest(None)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""


# The writer goes on where it was told, and nowhere else.


def test_a_writer_drops_what_came_after_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / folder.TOKENIZER).write_text("{}")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for path in (whole, cut):
        path.mkdir()
        (path / folder.TOKENIZER).write_text("{}")
    with CorpusWriter(whole, 300, 0) as writer:
        for n in range(20):
            writer.append(folder.SPLITS[n % 2], [[n], [n + 1, 299]])
        due = writer.finish("x", {}, {})
    with CorpusWriter(cut, 300, 0) as writer:
        for n in range(8):
            writer.append(folder.SPLITS[n % 2], [[n], [n + 1, 299]])
        state = json.loads(json.dumps(writer.sync()))
        writer.append("train", [[7] * 1000])
    with CorpusWriter(cut, 300, 0, state) as writer:
        for n in range(8, 20):
            writer.append(folder.SPLITS[n % 2], [[n], [n + 1, 299]])
        assert writer.finish("x", {}, {}) == due
    assert {file: (cut / file).read_bytes() for file in folder.FILES} == {
        file: (whole / file).read_bytes() for file in folder.FILES
    }
    (cut / "train.bin").write_bytes(b"\1" + (cut / "train.bin").read_bytes()[1:])
    with pytest.raises(SourceError, match=r"train.bin is not what was left there.*--restart"):
        CorpusWriter(cut, 300, 0, state)


def test_a_tokenizer_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataMissingError, match=r"tokenizer.json cannot be read as a tokenizer"):
        FileTokenizer(tmp_path / "tokenizer.json").encode("x")


def test_the_share_of_validation_is_that_of_the_documents() -> None:
    share = Fraction(1, 8)
    held = sum(split_of(f"document {n}", share) == "validation" for n in range(4_000))
    assert abs(held / 4_000 - 1 / 8) < 4 * (1 / 8 * 7 / 8 / 4_000) ** 0.5
    assert {split_of("the same", share) for _ in range(3)} == {split_of("the same", share)}
