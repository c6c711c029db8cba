"""What the suite of trainers does not ask of diffusion: drawing by number, its classifier, readings, judges, files."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.states import differences, nested
from torch._dynamo.backends.debugging import aot_eager

from trainers import classifier
from trainers.classifier.spec import ClassifierSpec
from trainers.datasets.digits import CARRIED
from trainers.datasets.root import VARIABLE
from trainers.diffusion import FAMILY, inception
from trainers.diffusion import trainer as trainer_module
from trainers.diffusion import weights as files
from trainers.diffusion.classification import label_losses, levels
from trainers.diffusion.generation import Generator, labels_of
from trainers.diffusion.schedule import learning_rate
from trainers.diffusion.spec import DRAWN_AT_ONCE, DiffusionSpec, SamplingSpec
from trainers.diffusion.trainer import DiffusionTrainer
from trainers.errors import DataMissingError, DivergedError, SpecError
from trainers.models import diffusion as networks
from trainers.protocol import Drawing

CPU = torch.device("cpu")


def spec(**changes: Any) -> DiffusionSpec:
    """A trial of a second; fields with two underscores for a dot."""
    fields: dict[str, Any] = {
        "family": "diffusion",
        "model": "unet_tiny",
        "dataset": "digits",
        "batch.size": 16,
        "budget.samples": 64,
        "sampling.images": 8,
        "sampling.steps": 2,
        "evaluation.classified": 4,
        "evaluation.levels": 2,
    }
    return DiffusionSpec.model_validate(nested({**fields, **{k.replace("__", "."): v for k, v in changes.items()}}))


def built(of: DiffusionSpec, **options: Any) -> DiffusionTrainer:
    trainer = FAMILY.build(of, CARRIED.load(), "cpu", **options)
    assert isinstance(trainer, DiffusionTrainer)
    return trainer


def generator(images: int, seed: int = 0, **sampling: Any) -> Generator:
    model = networks.build(networks.network("unet_tiny", (1, 8, 8), 10, 0.0), 3)
    with torch.no_grad():  # a fresh network says next to nothing
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    trainer = built(spec())
    of = SamplingSpec(images=images, steps=2, **sampling)
    return Generator(model.eval(), trainer._way, of, seed, (1, 8, 8), 10, CPU)


@pytest.mark.parametrize("churn", [0.0, 20.0])
def test_any_images_are_the_same_whichever_others_are_drawn(churn: float) -> None:
    source = generator(230, churn=churn)
    everything = source.images(0, 230)
    assert everything.shape == (230, 1, 8, 8)
    assert everything.dtype == torch.uint8
    for first, last in ((0, 1), (57, 58), (90, 110), (199, 230), (230, 230)):
        assert torch.equal(source.images(first, last), everything[first:last])
    assert len({image.numpy().tobytes() for image in everything}) == 230
    with pytest.raises(ValueError, match="there are 230"):
        source.images(0, 231)


def test_images_that_are_not_finite_are_told_not_painted_black() -> None:
    source = generator(4)
    with torch.no_grad():
        next(iter(source.model.parameters())).fill_(float("nan"))
    with pytest.raises(DivergedError, match="images 0 to 3 are not finite"):
        source.images(0, 4)


def test_another_seed_draws_other_images_of_the_same_labels() -> None:
    assert not torch.equal(generator(10, seed=0).images(0, 10), generator(10, seed=1).images(0, 10))
    assert labels_of(8, 13, 10).tolist() == [8, 9, 0, 1, 2]


def test_drawing_in_pieces_and_on_from_a_state_changes_nothing() -> None:
    of = spec(sampling__images=2 * DRAWN_AT_ONCE + 30)
    straight = built(of)
    straight.train(64)
    whole = {one.role: one.content for one in straight.artifacts()}
    first = built(of)
    first.train(64)
    assert isinstance(first, Drawing)
    assert first.pending == 2 * DRAWN_AT_ONCE + 30
    first.draw(1)
    assert first.pending == DRAWN_AT_ONCE + 30, "whole blocks are drawn"
    resumed = built(of)
    resumed.load_state_dict(first.state_dict())
    assert resumed.pending == first.pending
    resumed.draw(10**6)
    assert resumed.pending == 0
    assert {one.role: one.content for one in resumed.artifacts()} == whole
    values = [[(m.name, m.value) for m in trainer.evaluate()] for trainer in (straight, resumed)]
    assert values[0] == values[1]


def test_training_on_discards_what_was_drawn() -> None:
    trainer = built(spec())
    trainer.train(16)
    trainer.draw(8)
    assert trainer.pending == 0
    trainer.train(16)
    assert trainer.pending == 8


def test_micro_batches_change_rounding_alone() -> None:
    of = spec(dropout=0.2, batch__size=32, optimiser__learning_rate=1e-4)
    whole, cut = built(of), built(of, micro_batch=5)
    for trainer in (whole, cut):
        trainer.train(64)
    one, other = whole.state_dict()["model"], cut.state_dict()["model"]
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 5e-5


@pytest.mark.parametrize("micro", [0, -1, True])
def test_a_micro_batch_of_no_images_is_refused(micro: int) -> None:
    with pytest.raises(SpecError, match="micro_batch"):
        built(spec(), micro_batch=micro)


def test_an_epoch_without_a_batch_is_refused_where_only_the_data_tells() -> None:
    of = spec(reading="paper", batch__size=512, subset__classes=2)
    FAMILY.check(of)  # type: ignore[misc]
    with pytest.raises(SpecError, match="leaves none"):
        built(of)


@pytest.mark.parametrize("model", ["unet_tiny", "dit_tiny"])
def test_compiled_is_the_same_training_but_for_rounding(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is traced whole, masks of dropout within; what is left out is the minutes that C++ takes to compile.

    Once, though samples, and so masks, differ from step to step: each trace would be a compilation.
    """
    traces: list[object] = []

    def backend(graph: torch.fx.GraphModule, examples: list[torch.Tensor]) -> object:
        traces.append(graph)
        return aot_eager(graph, examples)

    traced = functools.partial(torch.compile, backend=backend, fullgraph=True)
    monkeypatch.setattr(torch, "compile", traced)
    monkeypatch.setattr(trainer_module, "check_compiler", lambda device: None)
    of = spec(model=model, dropout=0.2, optimiser__learning_rate=1e-4)
    plain, compiled = built(of), built(of, compile=True)
    assert compiled.parameters == plain.parameters
    for trainer in (plain, compiled):
        trainer.train(64)
    assert len(traces) == 1
    one, other = plain.state_dict()["model"], compiled.state_dict()["model"]
    assert one.keys() == other.keys(), "names as without compile"
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 5e-5


def test_compile_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SpecError, match=r"compile is true.*install g\+\+"):
        built(spec(), compile=True)


def test_without_labels_the_model_is_unconditional() -> None:
    """The label-free limit: withheld throughout, labels change nothing, whatever their noise."""
    trainers = [built(spec(label_dropout=1.0, noise__ratio=Fraction(ratio), budget__rule="fixed")) for ratio in (0, 1)]
    for trainer in trainers:
        trainer.train(64)
    clean, noisy = (trainer.state_dict() for trainer in trainers)
    assert differences(clean["model"], noisy["model"]) == []
    start = built(spec()).state_dict()["model"]
    decayed = 1 - 1e-3 * 0.01  # what AdamW's decay alone leaves a step of a weight without a gradient
    name = "map_label.weight"  # its bias is no label's
    assert torch.allclose(clean["model"][name], start[name] * decayed**4, rtol=1e-5, atol=1e-8)


def test_guidance_0_forgets_the_label() -> None:
    plain, empty = generator(20), generator(20, guidance=0.0)
    assert not torch.equal(plain.images(0, 20), empty.images(0, 20))
    with torch.no_grad():
        dict(empty.model.named_parameters())["map_label.weight"].add_(1.0)
    assert torch.equal(empty.images(0, 20), generator(20, guidance=0.0).images(0, 20))


def test_levels_integrate_over_ln_sigma() -> None:
    """The weighted mean of a function of ln sigma is its integral between the two ends."""
    found = levels(0, np.arange(2000), 8)
    logs = np.log(found.sigma)
    assert logs.min() > np.log(0.05)
    assert logs.max() < np.log(10)
    span = np.log(10) - np.log(0.05)
    assert (found.weight.sum(1).mean()) == pytest.approx(span, rel=0.01)
    whole = (np.log(10) ** 3 - np.log(0.05) ** 3) / 3
    assert ((found.weight * logs**2).sum(1).mean()) == pytest.approx(whole, rel=0.02)


def test_label_losses_do_not_depend_on_company() -> None:
    source = generator(1)
    images = CARRIED.load().test_images[:50] * 2 - 1
    args = (10, 3, 0, CPU)
    everything = label_losses(source.model, source.way, images, np.arange(50), *args)
    part = label_losses(source.model, source.way, images[40:], np.arange(40, 50), *args)
    assert np.array_equal(everything[40:], part)


def test_a_perfect_denoiser_of_one_class_names_it() -> None:
    """A model that returns class 3's image under label 3, and grey under others, takes such an image for a 3."""

    class Knows(torch.nn.Module):
        def __init__(self, image: torch.Tensor) -> None:
            super().__init__()
            self.image = image

        def forward(self, x: torch.Tensor, level: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            sigma = (4 * level).exp().view(-1, 1, 1, 1)
            skip, out = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / (sigma**2 + 0.25).sqrt()
            noisy = x * (sigma**2 + 0.25).sqrt()
            wanted = labels[:, 3].view(-1, 1, 1, 1) * self.image
            return (wanted - skip * noisy) / out

    image = CARRIED.load().test_images[:1] * 2 - 1
    model = Knows(torch.from_numpy(image[0]))
    found = label_losses(model, built(spec())._way, image, np.arange(1), 10, 4, 0, CPU)
    assert found[0].argmin() == 3
    assert found[0, 3] == pytest.approx(0, abs=1e-6)
    assert (np.delete(found[0], 3) > 1).all()


def test_an_epoch_of_the_paper_leaves_the_last_part_batch_out() -> None:
    paper, corrected = built(spec(reading="paper")), built(spec())
    assert paper._source.epoch == 1437 // 16 * 16 == 1424
    assert corrected._source.epoch == 1437
    assert np.array_equal(paper.examples(0, 1424), corrected.examples(0, 1424))
    assert np.array_equal(paper.examples(1424, 100), corrected.examples(1437, 100))


def test_warm_up_of_both_readings() -> None:
    paper = spec(reading="paper", schedule__warmup_samples=2848, budget__samples=10_000)
    assert [learning_rate(paper, at, 1424) for at in (0, 1408, 1424, 2848, 9000)] == [5e-4, 5e-4, 1e-3, 1e-3, 1e-3]
    corrected = spec(schedule__warmup_samples=32)
    assert [learning_rate(corrected, at, 1437) for at in (0, 16, 32)] == [5e-4, 1e-3, 1e-3]


def test_weights_are_the_averaged_ones_and_are_read_back(tmp_path: Path) -> None:
    trainer = built(spec())
    trainer.train(64)
    path = tmp_path / "weights.safetensors"
    path.write_bytes({one.role: one.content for one in trainer.artifacts()}["weights"])
    model, way = files.read(path)
    assert way == "edm"
    assert differences(dict(model.named_parameters()), trainer.state_dict()["average"]) == []
    path.write_bytes(b"nothing")
    with pytest.raises(SpecError, match="no weights of a diffusion model"):
        files.read(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reading": "paper", "batch__size": 2000}, "drops the last part"),
        ({"subset__classes": 11}, "classes"),
        ({"model": "small_cnn"}, "unknown model"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        FAMILY.check(spec(**changes))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ({"dataset": "mnist5k"}, "images of"),
        ({"subset": {"classes": 5}}, "5 classes"),
    ],
)
def test_a_judge_of_other_images_or_classes_is_refused(judge: dict[str, Any], words: str) -> None:
    fields = {"family": "classifier", "model": "small_cnn", "dataset": "digits", "budget": {"samples": 64}, **judge}
    with pytest.raises(SpecError, match=words):
        FAMILY.check_need(spec(), "judge", ClassifierSpec.model_validate(fields))  # type: ignore[misc]
    with pytest.raises(SpecError, match="classifier"):
        FAMILY.check_need(spec(), "judge", spec())  # type: ignore[misc]


def test_inceptions_weights_are_asked_for_with_their_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    of = spec(evaluation__inception=True)
    assert inception.absent(spec(), tmp_path) == {}
    (name,) = inception.absent(of, tmp_path)
    assert name == "inception-2015-12-05.pt"
    with pytest.raises(DataMissingError, match="curl"):
        built(of)
    (tmp_path / name).write_bytes(b"")
    assert inception.absent(of, tmp_path) == {}


def test_a_clean_and_a_noisy_run_of_one_seed_see_the_same_images_and_noise() -> None:
    clean, noisy = (
        built(spec(noise__ratio=Fraction(ratio), budget__rule="fixed"))._source.block(0) for ratio in (0, 1)
    )
    assert torch.equal(clean.clean, noisy.clean)
    assert torch.equal(clean.sigma, noisy.sigma)
    assert torch.equal(clean.normals, noisy.normals)
    changed = (clean.labels != noisy.labels).any(1).numpy()
    assert np.array_equal(changed, noisy.wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_draws_and_resumes() -> None:
    of = spec(dropout=0.1)
    runs = []
    for cut in (64, 32):
        trainer = FAMILY.build(of, CARRIED.load(), "cuda")
        trainer.train(cut)
        resumed = FAMILY.build(of, CARRIED.load(), "cuda")
        resumed.load_state_dict(trainer.state_dict())
        resumed.train(64)
        runs.append({one.role: one.content for one in resumed.artifacts()})
    assert runs[0] == runs[1]


def test_the_judges_metrics_are_null_without_one() -> None:
    trainer = built(spec())
    found = {metric.name: metric.value for metric in trainer.evaluate()}
    assert found["consistency"] is None
    assert found["neighbour_distance"] is not None
    assert {one.role for one in trainer.artifacts()} == {"weights", "truth_probability", "images"}


def test_nothing_drawn_and_nothing_classified_leaves_the_weights() -> None:
    trainer = built(spec(sampling__images=0, evaluation__classified=0))
    trainer.train(64)
    assert trainer.pending == 0
    assert {metric.name for metric in trainer.evaluate()} == set(FAMILY.metrics)
    assert [one.role for one in trainer.artifacts()] == ["weights"]


def test_every_classifier_can_judge(tmp_path: Path) -> None:
    fields = {"family": "classifier", "model": "mlp", "dataset": "digits", "budget": {"samples": 640}}
    judge = classifier.build(ClassifierSpec.model_validate(fields), CARRIED.load())
    judge.train(640)
    path = tmp_path / "weights.safetensors"
    path.write_bytes({one.role: one.content for one in judge.artifacts()}["weights"])
    of = spec(needs={"judge": "0" * 16})
    trainer = built(of, needs={"judge": {"weights": path}})
    found = {metric.name: metric.value for metric in trainer.evaluate()}
    assert found["judge_accuracy"] == {metric.name: metric.value for metric in judge.evaluate()}["top1"]
    with pytest.raises(SpecError, match=r"needs\.judge is missing"):
        built(of)
