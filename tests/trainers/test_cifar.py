"""CIFAR from files in the true format: pixel for pixel, kept as maps, shared, repaired; what is missing is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.dataset import ImagesContract
from fixtures import cifar as files
from fixtures.toy import forget

from sweep.cli.main import run_app
from trainers import registry
from trainers.datasets import cifar, mapped, torchvision_reader
from trainers.datasets.cifar import Cifar
from trainers.datasets.images import Images, content_digest
from trainers.errors import DataMissingError
from trainers.protocol import Dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; torch loaded, so that files are read in this process."""
    import torch  # noqa: F401

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NOISEGRID_DATA", raising=False)
    return tmp_path / "cache" / "noisegrid" / "images"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files.write_cifar10(tmp_path / "data")
    return tmp_path / "data"


class TestCifar10(ImagesContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return files.ten().dataset(about="a small CIFAR-10")

    @pytest.fixture
    def root(self, data: Path) -> Path:
        return data


class TestCifar100(ImagesContract):
    @pytest.fixture
    def dataset(self) -> Dataset:
        return files.hundred().dataset(about="a small CIFAR-100")

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        files.write_cifar100(tmp_path / "data")
        return tmp_path / "data"


def assert_same(found: Images, due: Images) -> None:
    for one, other in zip(found.arrays(), due.arrays(), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert found.classes == due.classes


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["ten", "hundred"])
def test_what_was_written_comes_back_pixel_for_pixel(kind: str, packed: bool, tmp_path: Path) -> None:
    record = files.ten() if kind == "ten" else files.hundred()
    due = files.write_cifar10(tmp_path) if kind == "ten" else files.write_cifar100(tmp_path)
    if packed:
        files.archived(tmp_path / record.folder, tmp_path / record.archive)
    assert record.present(tmp_path)
    assert_same(record.load(tmp_path), due)
    assert record.digest(tmp_path) == content_digest(due)


def test_the_files_are_true_pickles_of_python_2(data: Path) -> None:
    """As the true ones: protocol 2, the arrays of numpy 1, and strings of the kind that Python 3 reads as bytes."""
    import pickle
    import warnings

    content = (data / "cifar-10-batches-py" / "data_batch_2").read_bytes()
    assert content.startswith(b"\x80\x02}")
    assert b"numpy.core.multiarray" in content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = pickle.loads(content, encoding="bytes")
    assert set(held) == {b"data", b"labels", b"batch_label", b"filenames"}
    assert held[b"batch_label"] == b"training batch 2 of 5"
    assert held[b"data"].shape == (20, 3072)


def test_images_are_maps_that_cannot_be_written_to(data: Path) -> None:
    loaded = files.ten().load(data)
    for part in (loaded.train_images, loaded.test_images):
        base = part
        while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
            base = base.base  # type: ignore[assignment]
        assert isinstance(base, np.memmap)
        assert base.mode == "r"


def test_files_are_read_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    due = files.ten().load(data)

    def refuse(*arguments: object) -> list[str]:
        raise AssertionError("the files are read again")

    monkeypatch.setattr(cifar, "read", refuse)
    assert_same(files.ten().load(data), due)
    monkeypatch.setattr(mapped, "content_digest", refuse)
    assert files.ten().digest(data) == content_digest(due)


def test_other_files_are_read_anew_and_the_old_maps_go(data: Path, cache: Path) -> None:
    before = files.ten().load(data)
    kept = {path.name for path in cache.glob("cifar10-*")}
    held = before.train_images.copy()
    due = files.write_cifar10(data, seed=1)
    assert_same(files.ten().load(data), due)
    now = {path.name for path in cache.glob("cifar10-*")}
    assert len(now) == 1
    assert not now & kept
    np.testing.assert_array_equal(before.train_images, held)  # whoever has them open keeps them


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("file", [*mapped.FILES, mapped.RECORD])
@pytest.mark.parametrize("harm", [flip, shorten, Path.unlink])
def test_a_damaged_cache_is_rebuilt(harm, file: str, data: Path, cache: Path) -> None:  # type: ignore[no-untyped-def]
    due, digest = files.ten().load(data), files.ten().digest(data)
    due = Images(*(array.copy() for array in due.arrays()), due.classes)  # type: ignore[arg-type]
    (kept,) = cache.glob("cifar10-*")
    harm(kept / file)
    assert_same(files.ten().load(data), due)
    assert files.ten().digest(data) == digest
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [kept.name]


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("harm", [flip, shorten, Path.unlink])
def test_a_damaged_source_is_told_with_its_remedy(harm, file: str, data: Path, cache: Path) -> None:  # type: ignore[no-untyped-def]
    harm(data / "cifar-10-batches-py" / file)
    for read in (files.ten().load, files.ten().digest):
        with pytest.raises(DataMissingError, match=r"cifar10.*is damaged or not whole") as refusal:
            read(data)
        assert f"Remove it and put cifar-10-batches-py or cifar-10-python.tar.gz into {data}" in str(refusal.value)
        assert "download=True" in str(refusal.value)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_torn_archive_is_told(data: Path) -> None:
    archive = data / "cifar-10-python.tar.gz"
    files.archived(data / "cifar-10-batches-py", archive)
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(DataMissingError, match=r"tar\.gz is damaged or not whole"):
        files.ten().load(data)


def test_an_archive_that_climbs_out_of_its_folder_is_refused(data: Path, tmp_path: Path) -> None:
    shutil.rmtree(data / "cifar-10-batches-py")
    (tmp_path / "evil").write_text("x")
    with tarfile.open(data / "cifar-10-python.tar.gz", "w:gz") as file:
        file.add(tmp_path / "evil", "../../evil")
    with pytest.raises(DataMissingError, match="is damaged or not whole"):
        files.ten().load(data)


def test_other_sizes_than_the_records_are_refused(data: Path) -> None:
    with pytest.raises(DataMissingError, match=r"\(10, 100, 40.*\(10, 50000, 10000.*are due"):
        replace(files.ten(), train=50_000, test=10_000).load(data)


def test_true_cifar_is_read_by_torchvision_with_its_own_checksums(data: Path) -> None:
    """Files that are not the true ones are refused by the true record."""
    for record in (cifar.TEN, cifar.HUNDRED):
        module, _, name = record.reader.partition(":")
        kind = getattr(__import__(module, fromlist=[name]), name)
        assert (kind.base_folder, kind.filename) == (record.folder, record.archive)
    with pytest.raises(DataMissingError, match=r"cifar10.*not found or corrupted"):
        cifar.TEN.load(data)


def test_a_kill_at_any_point_leaves_nothing_that_is_taken_for_whole(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def kill(*arguments: object, **named: object) -> None:
        raise KilledError

    due = files.write_cifar10(data)
    for target, name in ((torchvision_reader, "save"), (mapped, "write_durably"), (mapped, "finish")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, kill)
            patch.setattr(shutil, "rmtree", lambda *a, **k: None)  # a killed process tidies nothing
            with pytest.raises(KilledError):
                files.ten().load(data)
        assert not list(cache.glob("cifar10-*"))
    assert list(cache.glob(".cifar10-*.*"))
    assert_same(files.ten().load(data), due)
    assert not [path for path in cache.glob(".cifar10-*") if path.is_dir()]


def test_processes_that_race_read_once_and_get_the_same(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    inner = cifar.read

    def counted(*arguments: object) -> list[str]:
        reads.append(1)
        return inner(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cifar, "read", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: files.ten().load(data), range(4)))
    assert len(reads) == 1
    for one in found:
        assert_same(one, found[0])


def test_a_cache_that_cannot_be_written_is_told(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataMissingError, match="XDG_CACHE_HOME"):
        files.ten().load(data)


def test_a_planner_reads_cifar_without_loading_torch(data: Path, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from fixtures.cifar import ten\n"
        "print(ten().digest(pathlib.Path(sys.argv[1])))\n"
        "print(*sorted({'torch', 'torchvision', 'ray'} & set(sys.modules)), sep=',')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-c", program, str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    assert done.stdout.splitlines() == [content_digest(files.write_cifar10(tmp_path / "again")), ""]


@pytest.mark.parametrize(
    ("reader", "error", "message"),
    [
        ("no_such_module:CIFAR10", ValueError, "no_such_module:CIFAR10 cannot be imported"),
        ("builtins:RuntimeError", OSError, "the process that reads it failed: TypeError"),
    ],
)
def test_what_a_child_process_says_is_passed_on(
    reader: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(error, match=message):
        torchvision_reader.read(reader, tmp_path, tmp_path)


# -- as a grid sees it

GRID = """\
name: photographs
groups:
  - name: all
    family: classifier
    set: {model: resnet18, dataset: cifar10, budget.samples: 64, seed: 0}
    grid: {noise.ratio: [0, 1]}
"""


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    forget()
    yield path
    forget()


def test_what_is_absent_is_told_before_anything_runs(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [str(grid), "--store", str(tmp_path / "store"), "--data", str(tmp_path / "empty")]
    assert run_app(["plan", *arguments]) == 0
    planned = " ".join(capsys.readouterr().err.split())
    assert run_app(["run", *arguments]) == 2
    refused = " ".join(capsys.readouterr().err.split())
    for said in (planned, refused):
        assert "cifar-10-batches-py or cifar-10-python.tar.gz" in said
        assert "CIFAR10(data_folder(), download=True)" in said
    assert "11,173,962" in planned.replace("11.2 M", "11,173,962")
    assert not (tmp_path / "store").exists()


def test_the_command_that_fetches_it_calls_torchvision_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shlex

    monkeypatch.setenv("NOISEGRID_DATA", str(tmp_path / "my data"))
    for text in (cifar.CIFAR100.obtain, cifar.HUNDRED._remedy(tmp_path / "my data")):
        command = shlex.split(text[text.index("`") + 1 : text.rindex("`")])
        assert command[:2] == ["python", "-c"]
        calls: list[tuple[Path, bool]] = []
        program = command[2].replace("from torchvision.datasets import CIFAR100; ", "")
        assert program != command[2]
        exec(program, {"CIFAR100": lambda folder, download, calls=calls: calls.append((Path(folder), download))})
        assert calls == [(tmp_path / "my data", True)]


def test_registered_under_their_own_names() -> None:
    forget()
    assert registry.dataset("cifar10") is cifar.CIFAR10
    assert registry.dataset("cifar100") is cifar.CIFAR100
    for record, dataset in ((cifar.TEN, cifar.CIFAR10), (cifar.HUNDRED, cifar.CIFAR100)):
        assert isinstance(record, Cifar)
        assert (dataset.shape, dataset.train_size, dataset.test_size) == ((3, 32, 32), 50_000, 10_000)


def test_a_small_one_can_stand_in_and_a_classifier_trains_on_it(data: Path) -> None:
    from contracts.states import nested

    with files.registered():
        dataset = registry.dataset("cifar10")
        family = registry.family("classifier")
        fields = {"family": "classifier", "model": "resnet18", "dataset": "cifar10", "batch.size": 4}
        spec = family.spec.model_validate(nested(fields | {"budget.samples": 8, "augment": "shift_flip"}))
        assert family.check is not None
        family.check(spec)
        trainer = family.build(spec, dataset.load(data), "cpu", {})
        trainer.train(8)
        assert trainer.position == 8
    assert registry.dataset("cifar10") is cifar.CIFAR10
