"""``sweep prepare`` as a person gives it: exit codes, words, and what grids then make of the corpus."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures import texts

from sweep.cli.main import run_app
from trainers import registry
from trainers.datasets.root import VARIABLE
from trainers.datasets.text import prepare as module
from trainers.datasets.text import vocabularies
from trainers.datasets.text.bpe import train_bpe
from trainers.datasets.text.folder import RECORD
from trainers.datasets.text.prepare import Asked
from trainers.protocol import Dataset
from trainers.spec import BudgetSpec, TrialSpec, trial_id

Sweep = Callable[..., tuple[int, str]]


@pytest.fixture
def sweep(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """``sweep("prepare", ...)`` beside ``rows.jsonl``: exit code and what was said on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "data"))
    texts.rows(tmp_path / "rows.jsonl", texts.documents(60))

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = run_app([str(one) for one in arguments])
        said = capsys.readouterr()
        assert said.out == ""
        return code, said.err

    return run


MINE = ("prepare", "mine", "--source", "rows.jsonl", "--tokenizer", "bpe:300", "--split", "1/5")


def test_prepare_then_again_then_check_then_damage(sweep: Sweep, tmp_path: Path) -> None:
    code, said = sweep(*MINE)
    assert code == 0
    assert "`dataset: corpus/mine` in a grid names it" in said
    found = registry.dataset("corpus/mine")
    assert f"{found.train_size:,} tokens" in said
    assert found.version in said
    for again in (MINE, ("prepare", "mine")):
        code, said = sweep(*again)
        assert code == 0
        assert "mine is prepared already, nothing to do" in said
    assert sweep("prepare", "mine", "--check")[0] == 0
    path = tmp_path / "data" / "mine" / "train.bin"
    path.write_bytes(b"\xff\0" + path.read_bytes()[2:])
    code, said = sweep("prepare", "mine", "--check")
    assert code == 3
    assert "train.bin is not the file that was prepared" in said
    assert "--restart" in said
    assert sweep(*MINE, "--restart")[0] == 0
    assert sweep("prepare", "mine", "--check")[0] == 0


def test_data_of_a_folder_of_its_own_is_listed(sweep: Sweep, tmp_path: Path) -> None:
    other = tmp_path / "other"
    code, said = sweep(*MINE, "--data", other)
    assert code == 0
    assert f"(with --data {other})" in said
    assert "corpus/mine" in sweep("datasets", "--data", other)[1]


def test_a_damaged_corpus_hides_no_other_data_set(sweep: Sweep, tmp_path: Path) -> None:
    sweep(*MINE)
    (tmp_path / "data" / "mine" / RECORD).write_text("{")
    code, said = sweep("datasets")
    assert code == 0
    assert "python-docs" in said
    assert "data set 'corpus/mine':" in said


def test_embedded_corpora_are_there(sweep: Sweep) -> None:
    assert sweep("prepare", "python-docs") == (0, "python-docs is there: it needs no preparation\n")


def test_the_tokens_of_python_docs_serve_another_text(sweep: Sweep) -> None:
    code, _ = sweep("prepare", "mine", "--source", "rows.jsonl", "--tokenizer", "python-docs", "--split", "0.2")
    assert code == 0
    docs, mine = (registry.dataset(name).load(None) for name in ("python-docs", "corpus/mine"))
    assert docs.tokenizer_sha256 == mine.tokenizer_sha256


def gpt2_like(folder: Path, names: tuple[str, str]) -> None:
    """A vocabulary and its merges as GPT-2's are kept, ``<|endoftext|>`` last."""
    folder.mkdir()
    model = json.loads(train_bpe(texts.documents(60), 300).to_str())["model"]
    tokens = [token for token in model["vocab"] if token != "<|endoftext|>"]
    (folder / names[0]).write_text(json.dumps({token: n for n, token in enumerate([*tokens, "<|endoftext|>"])}))
    (folder / names[1]).write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]))


@pytest.mark.parametrize("names", [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")])
def test_a_vocabulary_with_merges_is_a_tokenizer(sweep: Sweep, tmp_path: Path, names: tuple[str, str]) -> None:
    gpt2_like(tmp_path / "pair", names)
    code, said = sweep("prepare", "mine", "--source", "rows.jsonl", "--tokenizer", "pair", "--split", "0.2")
    assert code == 0, said
    corpus = registry.dataset("corpus/mine").load(None)
    assert corpus.vocabulary == 300
    assert int(corpus.train[-1]) == 299
    due = train_bpe(texts.documents(60), 300).encode("noise tokens", add_special_tokens=False).tokens
    assert [corpus.tokenizer.decode([n]) for n in corpus.tokenizer.encode("noise tokens")] == [
        token.replace("Ġ", " ") for token in due
    ]


def test_gpt2_is_looked_for_in_the_data_folder_and_openwebtext_needs_all_of_it(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    gpt2_like(tmp_path / "data" / "gpt2", ("vocab.json", "merges.txt"))
    assert sweep("prepare", "mine", "--source", "rows.jsonl", "--tokenizer", "gpt2", "--split", "0.2")[0] == 0
    code, said = sweep("prepare", "openwebtext", "--source", "rows.jsonl")
    assert code == 2
    assert "openwebtext has a vocabulary of 50,257; --tokenizer gpt2 has 300" in said


def test_a_tokenizer_without_a_known_separator_needs_one_named(sweep: Sweep, tmp_path: Path) -> None:
    text = train_bpe(texts.documents(60), 300).to_str().replace("<|endoftext|>", "[STOP]")
    (tmp_path / "own.json").write_text(text)
    own = ("prepare", "mine", "--source", "rows.jsonl", "--split", "0.2", "--tokenizer", "own.json")
    code, said = sweep(*own)
    assert code == 2
    assert "name one with --separator" in said
    assert sweep(*own, "--separator", "[HALT]")[0] == 2
    assert sweep(*own, "--separator", "[STOP]")[0] == 0
    assert sweep(*own)[0] == 2, "another separator is another corpus"


CASES = {
    "no source": (("mine",), "give its text with --source"),
    "source gone": (("mine", "--source", "gone"), "no such file or folder"),
    "column": (
        ("mine", "--source", "rows.jsonl", "--field", "body"),
        "no column 'body'; --field names one of id, text",
    ),
    "split 0": (("mine", "--source", "rows.jsonl", "--split", "0"), "a fraction between 0 and 1"),
    "split 1": (("mine", "--source", "rows.jsonl", "--split", "1"), "a fraction between 0 and 1"),
    "split by 0": (("mine", "--source", "rows.jsonl", "--split", "1/0"), "a fraction between 0 and 1"),
    "split word": (("mine", "--source", "rows.jsonl", "--split", "half"), "a fraction between 0 and 1"),
    "bpe": (("mine", "--source", "rows.jsonl", "--tokenizer", "bpe"), "write bpe:N"),
    "bpe small": (("mine", "--source", "rows.jsonl", "--tokenizer", "bpe:100"), "has at least 257 tokens"),
    "bpe large": (("mine", "--source", "rows.jsonl", "--tokenizer", "bpe:30000"), "Use --tokenizer bpe:"),
    "tokenizer gone": (("mine", "--source", "rows.jsonl", "--tokenizer", "gone.json"), "no such file or folder"),
    "tokenizer none": (("mine", "--source", "rows.jsonl", "--tokenizer", "rows.jsonl"), "this is no tokenizer.json"),
    "tokenizer folder": (("mine", "--source", "rows.jsonl", "--tokenizer", "."), "has neither a tokenizer.json nor"),
    "name": (("My Corpus", "--source", "rows.jsonl"), "lower-case letters, digits, _ and - are allowed"),
    "hf nameless": (("mine", "--source", "hf:"), "write hf:NAME"),
    "check of nothing": (("mine", "--check"), "is not on this machine: `sweep prepare mine`"),
}


@pytest.mark.parametrize(("arguments", "said"), CASES.values(), ids=CASES.keys())
def test_bad_input_is_2_and_leaves_nothing(sweep: Sweep, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, err = sweep("prepare", *arguments)
    assert (code, err.count("sweep: ")) == (2, 1), err
    assert said in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "rows.jsonl"]


def test_prepared_otherwise_without_a_source_is_refused(sweep: Sweep) -> None:
    sweep(*MINE)
    code, said = sweep("prepare", "mine", "--split", "0.3")
    assert code == 2
    assert "give --source as well, and --restart" in said
    code, said = sweep(*MINE[:-1], "0.3")
    assert code == 2
    assert "split was 1/5, is 3/10" in said


def test_trouble_is_3_and_says_what_to_do(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    code, said = sweep("prepare", "mine", "--source", "hf:nobody/nothing")
    assert code == 3
    assert "Try again with a network" in said

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.CorpusWriter, "sync", full)
        code, said = sweep(*MINE)
    assert code == 3
    assert "No space left on device. Make room or choose another folder" in said
    assert sweep(*MINE)[0] == 0
    (tmp_path / "file").write_text("")
    code, said = sweep(*MINE, "--data", tmp_path / "file")
    assert code == 3
    assert "cannot be written" in said


def test_no_hub_for_gpt2_is_3(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers import Tokenizer

    class Offline:
        @staticmethod
        def from_pretrained(name: str) -> Tokenizer:
            raise OSError(f"no network for {name}")

    monkeypatch.setattr("tokenizers.Tokenizer", Offline)
    code, said = sweep("prepare", "mine", "--source", "rows.jsonl", "--tokenizer", "gpt2")
    assert code == 3
    assert "put its vocab.json and merges.txt into" in said


def test_ctrl_c_is_130_and_the_same_command_goes_on(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_encoded", interrupt)
        assert sweep(*MINE) == (130, "sweep: interrupted\n")
    code, said = sweep(*MINE)
    assert code == 0
    assert "corpus/mine" in said


def test_openwebtext_asks_for_what_the_paper_trained_on(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Asked] = []

    def stop(asked: Asked, **_: object) -> None:
        seen.append(asked)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "prepare", stop)
    sweep("prepare", "openwebtext")
    assert seen[0].said() == {
        "source": "hf:Skylion007/openwebtext",
        "source field": "text",
        "tokenizer": "gpt2",
        "split": "1/2000",
        "separator": None,
    }
    assert seen[0].vocabulary == 50_257


def test_the_name_of_a_corpus_enters_no_id(sweep: Sweep, tmp_path: Path) -> None:
    def spec_id(name: str) -> str:
        found: Dataset = registry.dataset(name)
        spec = TrialSpec(family="language", model="m", dataset=name, budget=BudgetSpec(samples=10))
        return trial_id(spec, found.version)

    absent = {spec_id("corpus/mine"), spec_id("corpus/same"), spec_id("corpus/other")}
    sweep(*MINE)
    sweep("prepare", "same", *MINE[2:])
    sweep("prepare", "other", *MINE[2:-1], "0.3")
    assert spec_id("corpus/mine") == spec_id("corpus/same")
    assert len(absent | {spec_id("corpus/mine"), spec_id("corpus/other")}) == 5
    (tmp_path / "data" / "mine").rename(tmp_path / "data" / "renamed")
    assert spec_id("corpus/renamed") == spec_id("corpus/same")


def test_own_sizes_are_read_from_the_choice() -> None:
    assert vocabularies.own_size("bpe:2048") == 2_048
    assert vocabularies.own_size("gpt2") is None


def test_plan_finds_a_corpus_by_data_as_it_does_by_the_environment(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id follows from the content, so the folder must be known before trials are made."""

    def ids(*options: object) -> list[str]:
        capsys.readouterr()
        assert run_app(["plan", "grid.yaml", "--json", *map(str, options)]) == 0
        return [trial["id"] for trial in json.loads(capsys.readouterr().out)["trials"]]

    fields = "{model: gpt2_tiny, dataset: corpus/mine, budget.samples: 640}"
    (tmp_path / "grid.yaml").write_text(f"name: try\ngroups: [{{name: g, family: language, set: {fields}}}]\n")
    (tmp_path / "data").mkdir()
    absent = ids()
    sweep(*MINE)
    there = ids()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert ids("--data", tmp_path / "data") == there != absent
