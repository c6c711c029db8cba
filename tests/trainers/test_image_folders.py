"""Image folders of users' own: what is read, how it is cropped and shrunk, how a stopped preparation goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.dataset import ImagesContract
from fixtures import pictures
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainers import registry
from trainers.datasets import mapped, partial
from trainers.datasets.folders import prepare as module
from trainers.datasets.folders.local import LocalImages
from trainers.datasets.folders.prepare import Asked, Progress, prepare
from trainers.datasets.folders.source import read_image, scanned
from trainers.datasets.images import content_digest
from trainers.errors import DataMissingError, SourceError, SpecError
from trainers.protocol import UNKNOWN_CLASSES, Dataset
from trainers.spec import ABSENT

SIDE = 8


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return pictures.write(tmp_path / "pictures")


@pytest.fixture
def asked(tmp_path: Path, source: Path) -> Asked:
    return Asked("images/mine", tmp_path / "data" / "mine", source, SIDE)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in mapped.FILES}


class TestImages(ImagesContract):
    @pytest.fixture
    def dataset(self, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> Dataset:
        prepare(asked)
        monkeypatch.setenv("NOISEGRID_DATA", str(asked.folder.parent))
        return registry.dataset("images/mine")

    @pytest.fixture
    def root(self, asked: Asked) -> Path:
        return asked.folder.parent


def test_images_are_those_of_the_folder_by_class_and_name(asked: Asked, source: Path) -> None:
    done = prepare(asked)
    assert done.did == "prepared"
    loaded = LocalImages("mine").load(asked.folder.parent)
    for part, images, labels in (
        ("train", loaded.train_images, loaded.train_labels),
        ("val", loaded.test_images, loaded.test_labels),
    ):
        files = [(name, path) for name in pictures.CLASSES for path in sorted((source / part / name).iterdir())]
        assert labels.tolist() == [pictures.CLASSES.index(name) for name, _ in files]
        np.testing.assert_array_equal(images, [read_image(path, SIDE) for _, path in files])
    assert done.record.classes == pictures.CLASSES
    assert done.record.digest == content_digest(loaded)


@given(
    factor=st.integers(1, 4),
    side=st.integers(1, 5),
    more_rows=st.integers(0, 9),
    more_columns=st.integers(0, 9),
    seed=st.integers(0, 100),
)
def test_the_middle_square_is_averaged(
    factor: int, side: int, more_rows: int, more_columns: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    short = factor * side
    rows, columns = (0, more_columns) if more_columns else (more_rows, 0)  # one side is the shorter
    pixels = np.random.default_rng(seed).integers(0, 256, (short + rows, short + columns, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("one") / "one.png"
    Image.fromarray(pixels).save(path)
    middle = pixels[rows // 2 : rows // 2 + short, columns // 2 : columns // 2 + short].astype(np.float64)
    due = middle.reshape(side, factor, side, factor, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    found = read_image(path, side)
    assert found.dtype == np.uint8
    assert found.shape == (3, side, side)
    np.testing.assert_allclose(found, due, atol=1.01)  # it rounds after rows and again after columns


def test_any_kind_of_image_becomes_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((8, 8), 90, dtype=np.uint8))
    see_through = Image.new("RGBA", (8, 8), (200, 10, 30, 255)).convert("P")
    see_through.info["transparency"] = b"\x00" * 3
    made = {
        "grey.png": (grey, {}),
        "alpha.png": (Image.new("RGBA", (8, 8), (200, 10, 30, 128)), {}),
        "palette.png": (see_through, {"transparency": b"\x00" * 3}),
        "print.jpg": (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), {}),
    }
    for name, (image, options) in made.items():
        image.save(tmp_path / name, **options)
        assert read_image(tmp_path / name, 4).shape == (3, 4, 4)
    assert (read_image(tmp_path / "grey.png", 4) == 90).all()
    assert (read_image(tmp_path / "alpha.png", 4) == np.array([200, 10, 30])[:, None, None]).all()


def test_test_serves_for_val_and_other_files_are_left_out(asked: Asked, source: Path, tmp_path: Path) -> None:
    due = prepare(asked).record.digest
    (source / "val").rename(source / "test")
    (source / "train" / "ant" / "notes.txt").write_text("no image")
    (source / "train" / "ant" / "._0000.png").write_text("what a Mac leaves")
    (source / "train" / ".cache").mkdir()
    (source / "train" / "bee" / "deeper").mkdir()
    shutil.move(source / "train" / "bee" / "0006.png", source / "train" / "bee" / "deeper" / "0006.PNG")
    assert prepare(replace(asked, folder=tmp_path / "again")).record.digest == due


# -- stopped


class KilledError(BaseException):
    """Not an Exception: nothing may catch it on the way."""


def stop_after(images: int) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if progress.done >= images:
            raise KilledError

    return tell


@pytest.fixture
def _two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)


@pytest.mark.usefixtures("_two_at_once")
@pytest.mark.parametrize("images", [2, 9, 20, 22, 24, 33])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    images: int, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = prepare(replace(asked, folder=tmp_path / "whole")).record
    with pytest.raises(KilledError):
        prepare(asked, tell=stop_after(images), journal_images=4)
    assert not asked.folder.exists()
    read: list[Path] = []
    inner = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path, side: (read.append(path), inner(path, side))[1])
    done = prepare(asked, journal_images=4)
    assert done.did == ("continued" if images >= 4 else "prepared")
    assert len(read) <= 33 - (images - 6)
    assert done.record.digest == due.digest
    assert content(asked.folder) == content(tmp_path / "whole")
    assert not (tmp_path / "data" / "mine.partial").exists()
    assert prepare(asked).did == "there"


@pytest.mark.parametrize("name", ["save", "finish", "publish"])
def test_killed_at_the_end_it_goes_on(name: str, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*arguments: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(module, name, kill)
        with pytest.raises(KilledError):
            prepare(asked)
    assert not asked.folder.exists()
    assert prepare(asked).did == "continued"
    prepare(replace(asked, folder=tmp_path / "whole"))
    assert content(asked.folder) == content(tmp_path / "whole")


@pytest.mark.usefixtures("_two_at_once")
def test_an_image_that_cannot_be_read_is_named_and_once_mended_it_goes_on(asked: Asked, source: Path) -> None:
    broken = source / "train" / "cat" / "0003.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"cat/0003\.png cannot be read.*it goes on"):
        prepare(asked, journal_images=2)
    broken.write_bytes(whole)
    assert prepare(asked).did == "continued"


def test_an_image_that_cannot_be_read_at_the_start_leaves_nothing(asked: Asked, source: Path) -> None:
    (source / "train" / "ant" / "0000.png").write_text("no image")
    with pytest.raises(SourceError, match=r"ant/0000\.png cannot be read"):
        prepare(asked)
    assert list(asked.folder.parent.iterdir()) == []


@pytest.mark.usefixtures("_two_at_once")
def test_a_source_that_changed_is_refused_and_restart_begins_anew(asked: Asked, source: Path, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        prepare(asked, tell=stop_after(12), journal_images=2)
    (source / "train" / "ant" / "0001.png").unlink()
    with pytest.raises(SourceError, match=r"are others than those.*--restart"):
        prepare(asked)
    assert prepare(asked, restart=True).did == "prepared"
    prepare(replace(asked, folder=tmp_path / "whole"))
    assert content(asked.folder) == content(tmp_path / "whole")


@pytest.mark.usefixtures("_two_at_once")
def test_what_a_stopped_one_left_must_be_whole(asked: Asked) -> None:
    with pytest.raises(KilledError):
        prepare(asked, tell=stop_after(12), journal_images=2)
    aside = asked.folder.with_name("mine.partial")
    kept = (aside / partial.JOURNAL).read_text()
    (aside / partial.JOURNAL).write_text("{")
    with pytest.raises(SourceError, match=r"journal.*is damaged"):
        prepare(asked)
    (aside / partial.JOURNAL).write_text(kept)
    (aside / "train_images.npy").write_bytes(b"short")
    with pytest.raises(SourceError, match="shorter than what was left"):
        prepare(asked)


def test_prepared_otherwise_is_refused(asked: Asked) -> None:
    prepare(asked)
    with pytest.raises(SourceError, match="side was 8, is 9"):
        prepare(replace(asked, side=9))
    assert prepare(replace(asked, side=9), restart=True).record.shape == (3, 9, 9)


# -- what is no image folder


def empty_class(root: Path) -> None:
    shutil.rmtree(root / "val" / "bee")
    (root / "val" / "bee").mkdir()


def one_class(root: Path) -> None:
    for part in ("train", "val"):
        for name in ("ant", "bee"):
            shutil.rmtree(root / part / name)


def flat(root: Path) -> None:
    for name in pictures.CLASSES:
        shutil.rmtree(root / "train" / name)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (shutil.rmtree, "no such folder"),
        (lambda root: shutil.rmtree(root / "val"), r"train and val \(or test\) are expected.*there is train"),
        (lambda root: shutil.rmtree(root / "val" / "bee"), "other classes: bee only in train"),
        (lambda root: (root / "val" / "dog").mkdir(), "other classes: dog only in val"),
        (empty_class, "val has no image of bee"),
        (one_class, "there is one class, 'cat'"),
        (flat, "train has no folders"),
    ],
)
def test_what_is_no_image_folder_is_told_and_leaves_nothing(
    harm: Callable[[Path], object], message: str, asked: Asked, source: Path
) -> None:
    harm(source)
    with pytest.raises(SourceError, match=message):
        prepare(asked)
    assert not asked.folder.parent.exists() or list(asked.folder.parent.iterdir()) == []


@pytest.mark.parametrize("side", [0, -1, 1025])
def test_sides_beyond_bounds_are_refused(side: int, asked: Asked) -> None:
    with pytest.raises(SourceError, match=f"--side {side}: from 1 to 1024"):
        prepare(replace(asked, side=side))


def test_class_folders_are_counted_without_reading_images(source: Path) -> None:
    for path in source.rglob("*.png"):
        path.write_bytes(b"")
    found = scanned(source)
    assert found.counts == {"train": (6, 7, 8), "test": (3, 4, 5)}
    assert found.total == 33


# -- the data set


def test_absent_images_have_a_name_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISEGRID_DATA", str(tmp_path))
    found = registry.dataset("images/mine")
    assert (found.version, found.classes, found.shape, found.kind) == (ABSENT, UNKNOWN_CLASSES, (), "images")
    assert found.obtain == f"`sweep prepare mine --images FOLDER --side PIXELS --data {tmp_path}`"
    with pytest.raises(DataMissingError, match=r"images/mine.*not on this machine: `sweep prepare mine --images"):
        found.load(tmp_path)
    with pytest.raises(SpecError, match="lower-case letters"):
        registry.dataset("images/../mine")


def test_content_not_name_is_the_version(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(asked)
    prepare(replace(asked, folder=tmp_path / "data" / "yours", name="images/yours"))
    monkeypatch.setenv("NOISEGRID_DATA", str(tmp_path / "data"))
    mine, yours = registry.dataset("images/mine"), registry.dataset("images/yours")
    assert mine.version == yours.version == mine.digest(None)[:16]
    assert registry.dataset_maker("images").names() == ["mine", "yours"]  # type: ignore[attr-defined]
    shutil.rmtree(tmp_path / "data" / "yours")
    pictures.write(tmp_path / "other", seed=1)
    other = prepare(replace(asked, folder=tmp_path / "data" / "yours", source=tmp_path / "other")).record
    assert other.digest[:16] == registry.dataset("images/yours").version != mine.version


@pytest.mark.parametrize("file", mapped.FILES)
def test_damage_is_told_with_the_command_that_repairs_it(file: str, asked: Asked) -> None:
    prepare(asked)
    path = asked.folder / file
    held = bytearray(path.read_bytes())
    held[-1] ^= 1
    path.write_bytes(held)
    with pytest.raises(DataMissingError, match=r"SHA-256 differs.*sweep prepare mine --images FOLDER.*--restart"):
        LocalImages("mine").load(asked.folder.parent)
    path.write_bytes(bytes(held[:-1]))
    with pytest.raises(DataMissingError, match=f"{file} cannot be read"):
        LocalImages("mine").digest(asked.folder.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "describes no images"),
        ('{"format": "noisegrid images", "version": 2}', "another format version"),
        ('{"format": "noisegrid images", "version": 1}', "is damaged"),
    ],
)
def test_a_record_that_cannot_be_is_told(text: str, message: str, asked: Asked) -> None:
    prepare(asked)
    (asked.folder / mapped.RECORD).write_text(text)
    with pytest.raises(DataMissingError, match=message):
        LocalImages("mine").load(asked.folder.parent)


def test_large_data_is_not_hashed_at_opening(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(asked)
    path = asked.folder / "train_images.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    monkeypatch.setattr(mapped, "VERIFIED_BYTES", 100)
    assert LocalImages("mine").load(asked.folder.parent).classes == 3
    record = mapped.read_record("images/mine", asked.folder, "")
    assert mapped.damages(asked.folder, record, whole=True)
