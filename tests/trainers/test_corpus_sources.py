"""Documents from files: each format, each way it can be wrong, and memory that does not follow the file's length."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures import texts
from hypothesis import given
from hypothesis import strategies as st

from trainers.datasets.text import sources
from trainers.datasets.text.sources import Files, pieces
from trainers.errors import SourceError

TEXTS = texts.documents(25)


def read(path: Path, field: str = "text") -> list[str]:
    return [one.text for one in Files(path, field).documents()]


@given(st.text(st.sampled_from("ab \n"), max_size=200), st.lists(st.integers(0, 200), max_size=6), st.integers(1, 20))
def test_pieces_are_the_same_however_the_text_comes(text: str, cuts: list[int], size: int) -> None:
    edges = [0, *sorted(cuts), len(text)]
    chunks = [text[a:b] for a, b in pairwise(edges)] if cuts else [text]
    found = list(pieces(chunks, size))
    assert "".join(found) == text
    assert found == list(pieces([text], size))
    assert all(len(piece) <= 2 * size for piece in found)
    assert all(len(piece) > size for piece in found[:-1])


def test_a_piece_ends_at_a_blank_line_then_a_line_then_a_space() -> None:
    for text, first in (
        ("aaaa b\n\nc\nddddddd", "aaaa b\n\n"),
        ("aaaa b\nc ddddddd", "aaaa b\n"),
        ("aaaaa bcdefghijk", "aaaaa "),
        ("abcdefghijk", "abcdefgh"),
    ):
        assert next(pieces([text], 4)) == first


def test_a_long_text_is_cut_into_many_documents_and_loses_nothing(tmp_path: Path) -> None:
    text = "\n\n".join(TEXTS * 40)
    (tmp_path / "long.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    found = read(tmp_path)
    assert "".join(found) == text
    assert len(found) > 50


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name, text in {"b.md": "two", "a/z.txt": "one", ".git/c.txt": "no", "c.TXT": "three", "d.pdf": "no"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read(tmp_path) == ["one", "two", "three"]
    assert Files(tmp_path, "text").bytes == len("onetwothree")


def array(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False))


def lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("\n\n".join(json.dumps(row) for row in rows))


def table(path: Path, rows: list[dict[str, str]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)


@pytest.mark.parametrize(
    ("name", "write"), [("a.json", array), ("b.json", lines), ("c.jsonl", lines), ("d.parquet", table)]
)
def test_rows_come_back_from_each_format(
    tmp_path: Path, name: str, write: Callable[[Path, list[dict[str, str]]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_CHUNK", 64)  # rows end in the middle of a chunk
    write(tmp_path / name, [{"body": text, "other": "x"} for text in TEXTS])
    found = list(Files(tmp_path / name, "body").documents())
    assert [one.text for one in found] == TEXTS
    assert 0 < found[0].bytes <= found[-1].bytes <= (tmp_path / name).stat().st_size


def test_a_null_is_blank(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": null}\n{"text": "x"}\n')
    pq.write_table(pa.table({"text": pa.array([None, "x"], pa.large_string())}), tmp_path / "b.parquet")
    assert read(tmp_path) == ["", "x", "", "x"]


CASES = {
    "latin-1": ("a.txt", "weiß".encode("latin-1"), r"a\.txt is no UTF-8 text: .*byte 0xdf.*iconv"),
    "no JSON": ("a.jsonl", b'{"text": "x"}\nnot json\n', r"a\.jsonl, line 2: this is no JSON"),
    "deep JSON": ("a.jsonl", b"[" * 200_000, r"a\.jsonl, line 1: this is no JSON"),
    "bad bytes in JSON": ("a.jsonl", b'{"text": "\xff"}\n', r"a\.jsonl, line 1: this is no JSON"),
    "no object": ("a.jsonl", b'"x"\n', r"line 1: an object with the column 'text' is due, this is str"),
    "no column": ("a.jsonl", b'{"body": "x"}\n', r"line 1: there is no column 'text'; --field names one of body"),
    "no text": ("a.jsonl", b'{"text": 3}\n', r"line 1: the column 'text' holds int, text is due"),
    "open array": ("a.json", b'[{"text": "x"}, ', r"a\.json: the array ends in the middle"),
    "no comma": ("a.json", b'[{"text": "x"} {"text": "y"}]', r"a\.json: a comma is due"),
    "array without column": ("a.json", b'[{"text": "x"}, {"b": 1}]', r"item 2: there is no column 'text'"),
    "bad bytes in an array": ("a.json", b'[{"text": "\xff"}]', r"a\.json is no UTF-8 JSON"),
    "object over lines": ("a.json", b'{\n"text": "x"\n}', r"line 1: this is no JSON .* one array of objects"),
    "no Parquet": ("a.parquet", b"PAR0 nothing", r"a\.parquet cannot be read as Parquet"),
}


@pytest.mark.parametrize(("name", "content", "said"), CASES.values(), ids=CASES.keys())
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=said):
        read(tmp_path)


def test_columns_of_parquet_are_named_where_one_is_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"], "number": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="no column 'text'; --field names one of body, number"):
        read(tmp_path)
    with pytest.raises(SourceError, match="the column 'number' holds int, text is due"):
        read(tmp_path, "number")


def test_sources_that_are_none_are_refused_with_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        Files(tmp_path / "nowhere", "text")
    with pytest.raises(SourceError, match=r"no file in it ends in \.txt, \.md, \.json, \.jsonl, \.parquet"):
        Files(tmp_path, "text")
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(SourceError, match=r"files that end in \.txt"):
        Files(tmp_path / "a.pdf", "text")
