"""Images as they are read: the first of each label, small PNGs alone, and no more of the file than is shown."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.image_store import Pictures, pictures, png, publish_images, samples_table
from fixtures.language_store import parquet
from fixtures.report_store import Cell, Rows

from reports import samples
from reports.analysis import analyse
from reports.artifacts import DamagedError
from reports.files import open_store
from reports.rows import Kept, read_rows
from reports.samples import EACH, LABELS, Album, decode
from trainers.diffusion import artifact
from trainers.language import samples as texts

CELL = Pictures(Fraction(1), classes=3)


def table() -> pa.Table:
    return samples_table(CELL).slice(0, 30)


def replaced(name: str, values: list[Any], kind: pa.DataType | None = None) -> bytes:
    whole = table()
    place = whole.schema.get_field_index(name)
    return parquet(whole.set_column(place, name, pa.array(values, kind or whole.schema.field(name).type)))


def test_the_first_images_of_each_label_by_index() -> None:
    found = decode(parquet(samples_table(CELL)))
    assert found is not None
    rows = samples_table(CELL).to_pylist()
    assert (found.labels, list(found.by_label)) == (3, [0, 1, 2])
    for label, shown in found.by_label.items():
        stored = [row for row in rows if row["label"] == label][:EACH]
        assert [one.index for one in shown] == [row["index"] for row in stored]
        assert [one.judged for one in shown] == [row["judged"] for row in stored]
        assert [one.wrong for one in shown] == [row["judged"] != label for row in stored]
        for one, row in zip(shown, stored, strict=True):
            assert png(one.pixels[:, :, 0]) == row["png"]


def test_colours_are_kept_and_images_nobody_judged_are_not_wrong() -> None:
    found = decode(parquet(samples_table(CELL, colour=True, judged=False)))
    assert found is not None
    every = [one for shown in found.by_label.values() for one in shown]
    assert not any(one.wrong for one in every)
    assert {(one.judged, one.judged_p, one.second_judged) for one in every} == {(None, None, None)}
    assert all((one.pixels[:, :, 1] == one.pixels[:, :, 0] // 2).all() for one in every)


def test_of_many_labels_the_first_are_read() -> None:
    found = decode(parquet(samples_table(Pictures(Fraction(0), classes=30))))
    assert found is not None
    assert (found.labels, list(found.by_label)) == (30, list(range(LABELS)))


def test_no_more_of_the_file_is_read_than_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the rows that are shown an image may be anything: it is not looked at."""
    monkeypatch.setattr(samples, "BATCH", 10)
    good = table().column("png").to_pylist()
    assert decode(replaced("png", [*good[: 3 * EACH], *[b"no image"] * (30 - 3 * EACH)])) is not None
    with pytest.raises(DamagedError, match="no PNG"):
        decode(replaced("png", [*good[: 3 * EACH - 1], *[b"no image"] * (31 - 3 * EACH)]))


def test_a_file_without_images_is_nothing() -> None:
    assert decode(parquet(table().slice(0, 0))) is None


def large(side: int, mode: str = "L") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, format="PNG")
    return buffer.getvalue()


def jpeg() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, format="JPEG")
    return buffer.getvalue()


FIRST = table().column("png").to_pylist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no table of images"),
        (parquet(table().drop_columns(["judged"])), "no table of images"),
        (replaced("png", ["text"] * 30, pa.string()), "is missing or has more"),
        (replaced("png", [None] * 30), "is missing or has more"),
        (replaced("png", [large(300)] * 30), "above 256 pixels"),
        (replaced("png", [large(30_000, "1")] * 30), "no PNG|above 256|neither grey"),
        (replaced("png", [large(8, "RGBA")] * 30), "neither grey nor colour"),
        (replaced("png", [jpeg()] * 30), "no PNG"),
        (replaced("png", [FIRST[0][:60]] * 30), "no PNG"),
        (replaced("png", [large(16), *FIRST[1:]]), "several sizes"),
        (replaced("label", [-1] * 30), "'label'"),
        (replaced("label", [None] * 30), "'label'"),
        (replaced("index", [-1] * 30), "no number"),
        (replaced("judged", [-1] * 30), "judged class"),
        (replaced("judged_p", [1.5] * 30), r"outside \[0, 1\]"),
        (replaced("judged_p", [float("nan")] * 30), r"outside \[0, 1\]"),
    ],
)
def test_damage_is_named(content: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        decode(content)


def trials_of(rows: Rows, root: Path) -> tuple[Any, Any]:
    files = open_store(rows.write(root, one_file=True))
    return files, read_rows({name: files.table(name) for name in ("trials", "metrics", "attempts", "artifacts")}).trials


def test_a_file_beyond_reason_is_not_opened(tmp_path: Path) -> None:
    rows = Rows()
    publish_images(rows, CELL)
    files, (trial,) = trials_of(rows, tmp_path / "store")
    kept = dict(trial.artifacts)
    trial.artifacts["images"] = Kept("files/none.parquet", samples.MOST_BYTES + 1, kept["images"].sha256)
    album = Album(files)
    assert album.of(trial) is None
    assert "at most 1,073,741,824 are read" in album.problems[trial.id]


def test_images_of_other_seeds_are_never_read(tmp_path: Path) -> None:
    rows = Rows()
    for cell in pictures(("0", "1")):
        publish_images(rows, cell)
    for row in rows.tables["artifacts"]:
        seeds = {cell.id: cell.seed for cell in pictures(("0", "1"))}
        if row["role"] == "images" and seeds[row["id"]]:
            del rows.files[row["path"]]
    analysis = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    assert not analysis.problems
    assert [plate.kind for plate in analysis.sections[0].plates] == ["samples", "confusion"]


def test_texts_that_a_language_model_left_are_not_taken_for_images(tmp_path: Path) -> None:
    rows = Rows()
    cell = Cell(Fraction(1), family="language", model="gpt2_tiny")
    attempt = rows.publish(cell, measured={"top1": 0.5}, kept=False)
    rows.keep(cell, attempt, b'{"samples": ["a text"]}', role=texts.ROLE)
    analysis = analyse(open_store(rows.write(tmp_path / "store", one_file=True)))
    assert texts.ROLE in analysis.trials[0].artifacts
    assert not analysis.problems


@pytest.mark.parametrize("channels", [1, 3])
def test_what_the_family_writes_is_read(channels: int) -> None:
    images = np.random.default_rng(channels).integers(0, 256, (20, channels, 8, 8), dtype=np.uint8)
    labels, verdicts = np.arange(20) % 4, np.arange(20) % 3
    written = artifact.images(images, labels, verdicts, np.linspace(0, 1, 20), None).content
    assert pq.read_schema(pa.BufferReader(written)).names == list(samples.COLUMNS)
    found = decode(written)
    assert found is not None
    for label, shown in found.by_label.items():
        for one in shown:
            assert (one.label, one.index % 4, one.judged) == (label, label, one.index % 3)
            np.testing.assert_array_equal(one.pixels, np.broadcast_to(images[one.index].transpose(1, 2, 0), (8, 8, 3)))
