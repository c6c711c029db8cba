"""``sweep prepare NAME --images`` as a person gives it: exit codes, words, and what grids then make of the images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures import pictures, texts

from sweep.cli.main import run_app
from trainers import registry
from trainers.datasets.folders import prepare as module
from trainers.datasets.mapped import RECORD
from trainers.datasets.root import VARIABLE

Sweep = Callable[..., tuple[int, str]]
MINE = ("prepare", "mine", "--images", "pictures", "--side", "8")


@pytest.fixture
def sweep(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """``sweep("prepare", ...)`` beside ``pictures``: exit code and what was said on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "data"))
    pictures.write(tmp_path / "pictures")

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = run_app([str(one) for one in arguments])
        return code, capsys.readouterr().err

    return run


def test_prepare_then_again_then_check_then_damage(sweep: Sweep, tmp_path: Path) -> None:
    code, said = sweep(*MINE)
    assert code == 0
    assert "21 images to train on, 12 to test on, 3 classes, 8 x 8 pixels" in said
    assert "`dataset: images/mine` in a grid names it" in said
    assert registry.dataset("images/mine").version in said
    for again in (MINE, ("prepare", "mine")):
        code, said = sweep(*again)
        assert code == 0
        assert "mine is prepared already, nothing to do" in said
    assert sweep("prepare", "mine", "--check")[0] == 0
    path = tmp_path / "data" / "mine" / "train_images.npy"
    held = path.read_bytes()
    path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    code, said = sweep("prepare", "mine", "--check")
    assert code == 3
    assert "their SHA-256 differs" in said
    assert "--restart" in said
    assert sweep(*MINE, "--restart")[0] == 0
    assert sweep("prepare", "mine", "--check")[0] == 0


def test_stopped_and_given_again_it_goes_on(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, read = module.read_image, []

    def stopped(path: Path, side: int) -> object:
        read.append(path)
        if len(read) == 20:
            raise KeyboardInterrupt
        return inner(path, side)

    with monkeypatch.context() as patch:
        patch.setattr(module, "AT_ONCE", 2)
        patch.setattr(module, "THREADS", 1)
        patch.setattr(module, "read_image", stopped)
        patch.setattr(module.prepare, "__kwdefaults__", module.prepare.__kwdefaults__ | {"journal_images": 4})
        assert sweep(*MINE)[0] == 130
    assert (tmp_path / "data" / "mine.partial" / "journal.json").exists()
    assert sweep(*MINE)[0] == 0
    assert sweep("prepare", "mine", "--check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "mine", "--images", "pictures"), "give --side as well"),
        (("prepare", "mine", "--side", "8"), "there are no images 'mine'"),
        (("prepare", "mine", "--images", "pictures", "--side", "0"), "from 1 to 1024"),
        (("prepare", "mine", "--images", "nothing", "--side", "8"), "nothing: no such folder"),
        (("prepare", "mine", "--images", "pictures/train", "--side", "8"), "the folders train and val"),
        ((*MINE, "--source", "rows.jsonl"), "--images and --side are for images"),
        ((*MINE, "--tokenizer", "gpt2"), "--images and --side are for images"),
        (("prepare", "cifar10", "--images", "pictures", "--side", "8"), "a data set of its own"),
        (("prepare", "openwebtext", "--images", "pictures", "--side", "8"), "--images and --side are for images"),
        (("prepare", "Mine", "--images", "pictures", "--side", "8"), "lower-case letters"),
        (("prepare", "mine"), "or images with --images FOLDER"),
    ],
)
def test_bad_options_are_told_and_nothing_is_left(
    arguments: tuple[str, ...], message: str, sweep: Sweep, tmp_path: Path
) -> None:
    code, said = sweep(*arguments)
    assert code == 2
    assert message in said
    assert not (tmp_path / "data").exists() or list((tmp_path / "data").iterdir()) == []


def test_prepared_images_are_not_overwritten_by_other_options_or_text(sweep: Sweep, tmp_path: Path) -> None:
    sweep(*MINE)
    for arguments, message in (
        (("prepare", "mine", "--restart"), "give --images as well"),
        (("prepare", "mine", "--side", "9"), "give --images as well"),
        (("prepare", "mine", "--images", "pictures", "--side", "9"), "side was 8, is 9"),
    ):
        code, said = sweep(*arguments)
        assert code == 2
        assert message in said
    texts.rows(tmp_path / "rows.jsonl", texts.documents(60))
    code, said = sweep("prepare", "mine", "--source", "rows.jsonl", "--tokenizer", "bpe:300")
    assert code == 2
    assert "holds no data of this kind" in said
    assert sweep("prepare", "mine", "--check")[0] == 0


def test_a_folder_that_cannot_be_written_is_exit_3(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = sweep(*MINE, "--data", tmp_path / "file")
    assert code == 3
    assert "cannot be written" in said


def test_they_are_listed_and_a_damaged_one_hides_no_other(sweep: Sweep, tmp_path: Path) -> None:
    code, said = sweep(*MINE, "--data", "other")
    assert code == 0
    assert f"(with --data {tmp_path / 'other'})" in said
    assert "images/mine" in sweep("datasets", "--data", "other")[1]
    (tmp_path / "other" / "mine" / RECORD).write_text("{")
    said = sweep("datasets", "--data", "other")[1]
    assert "digits" in said
    assert "images/mine" in said


GRID = """\
name: pictures
groups:
  - name: all
    family: classifier
    set: {model: mlp, dataset: images/mine, budget.samples: 64, seed: 0}
    grid: {noise.ratio: [0, 1]}
"""


def test_a_grid_plans_without_them_and_counts_with_them(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "grid.yaml").write_text(GRID)

    def planned() -> list[dict[str, object]]:
        capsys.readouterr()
        assert run_app(["plan", "grid.yaml", "--json"]) == 0
        trials: list[dict[str, object]] = json.loads(capsys.readouterr().out)["trials"]
        return trials

    code, said = sweep("plan", "grid.yaml")
    assert code == 0
    assert "sweep prepare mine --images FOLDER --side PIXELS" in said
    assert sweep("run", "grid.yaml", "--store", "store")[0] == 2
    absent = planned()
    assert [trial["parameters"] for trial in absent] == [None, None]
    sweep(*MINE)
    present = planned()
    assert all(isinstance(trial["parameters"], int) for trial in present)
    assert not {trial["id"] for trial in absent} & {trial["id"] for trial in present}
    (tmp_path / "data" / "mine").rename(tmp_path / "data" / "yours")
    (tmp_path / "grid.yaml").write_text(GRID.replace("images/mine", "images/yours"))
    assert [trial["id"] for trial in planned()] == [trial["id"] for trial in present]
