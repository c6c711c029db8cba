"""Text from `datasets`: folders that it reads or wrote, streamed and continued; without a network, words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures import texts

from trainers.datasets.partial import JOURNAL
from trainers.datasets.text import hub
from trainers.datasets.text import prepare as module
from trainers.datasets.text.folder import FILES
from trainers.datasets.text.hub import Hub
from trainers.datasets.text.prepare import Progress, prepare
from trainers.errors import SourceError, UnreachableError

DOCUMENTS = texts.documents(90)

#: As the hub's client raises it: no OSError. The name of the client's package moved between its releases.
ReadTimeoutError = type("ReadTimeoutError", (Exception,), {"__module__": "httpx2"})


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(module, "BATCH_DOCUMENTS", 4)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A folder of three files that `load_dataset` reads."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(3):
        texts.rows(folder / f"train-{number}.jsonl", DOCUMENTS[30 * number : 30 * number + 30])
    return folder


def saved(folder: Path, **splits: list[str]) -> Path:
    import datasets

    datasets.disable_progress_bars()
    parts = {name: datasets.Dataset.from_dict({"text": found}) for name, found in splits.items()}
    (datasets.DatasetDict(parts) if len(parts) > 1 else next(iter(parts.values()))).save_to_disk(str(folder))
    return folder


def read(source: str, field: str = "text") -> list[str]:
    return [one.text for one in Hub(source, field).documents()]


def test_a_folder_of_files_is_read_in_order(shards: Path) -> None:
    assert read(f"hf:{shards}") == DOCUMENTS


def test_what_save_to_disk_wrote_is_read(tmp_path: Path) -> None:
    assert read(f"hf:{saved(tmp_path / 'one', all=['a', 'b'])}") == ["a", "b"]
    assert read(f"hf:{saved(tmp_path / 'two', test=['x'], train=['a', 'b'])}") == ["a", "b"]
    with pytest.raises(SourceError, match="there is no split 'train' among one, two"):
        read(f"hf:{saved(tmp_path / 'three', one=['x'], two=['a'])}")


def test_it_goes_on_from_a_position_without_what_lies_before(shards: Path) -> None:
    first = Hub(f"hf:{shards}", "text")
    documents = first.documents()
    for _ in range(47):
        next(documents)
    position = json.loads(json.dumps(first.position()))
    texts.rows(shards / "train-0.jsonl", ["never read"])
    assert [one.text for one in Hub(f"hf:{shards}", "text").documents(position)] == DOCUMENTS[47:]


@pytest.mark.parametrize("documents", [6, 31, 60, 80])
def test_killed_and_continued_ends_in_the_same_bytes(tmp_path: Path, shards: Path, documents: int) -> None:
    def kill(progress: Progress) -> None:
        if progress.phase == "text" and progress.documents >= documents:
            raise KeyboardInterrupt

    due = prepare(texts.asked(tmp_path / "whole", Hub(f"hf:{shards}", "text"))).record
    with pytest.raises(KeyboardInterrupt):
        prepare(texts.asked(tmp_path / "mine", Hub(f"hf:{shards}", "text")), tell=kill, journal_bytes=1_000)
    assert json.loads((tmp_path / "mine.partial" / JOURNAL).read_text())["position"] is not None
    done = prepare(texts.asked(tmp_path / "mine", Hub(f"hf:{shards}", "text")))
    assert done.did == "continued"
    assert done.record.sha256 == due.sha256
    assert done.record.source == due.source
    for name in FILES:
        assert (tmp_path / "mine" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_name_of_the_hub_without_a_network_says_so() -> None:
    with pytest.raises(UnreachableError, match=r"hf:nobody/nothing: .*Try again with a network"):
        read("hf:nobody/nothing")


def test_a_connection_that_breaks_on_the_way_says_so(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        column_names = None

        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield {"text": "a"}
            raise ReadTimeoutError("slow")

    monkeypatch.setattr(Hub, "_open", lambda self: Rows())
    with pytest.raises(UnreachableError, match=r"slow\. Try again with a network"):
        read("hf:nobody/nothing")


def test_what_is_wrong_with_a_data_set_is_said(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no column 'body'; --field names one of id, text"):
        read(f"hf:{shards}", "body")
    with pytest.raises(SourceError, match="the column 'id' holds int, text is due"):
        read(f"hf:{shards}", "id")
    with pytest.raises(SourceError, match="BuilderConfig 'other' not found"):
        read(f"hf:{shards}:other")
    with pytest.raises(SourceError, match="write hf:NAME or hf:NAME:CONFIG"):
        Hub("hf:", "text")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=f"hf:{tmp_path / 'empty'}: "):
        read(f"hf:{tmp_path / 'empty'}")


def test_faults_of_the_network_are_told_from_faults_of_the_data() -> None:
    network = (ConnectionError(), TimeoutError(), OSError(5, "broken"), ReadTimeoutError())
    data = (ValueError("no such configuration"), FileNotFoundError("no such data set"), RuntimeError("a script"))
    assert all(hub._of_network(error) for error in network)
    assert not any(hub._of_network(error) for error in data)
