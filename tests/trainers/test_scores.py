"""What is measured of generated images and what is left of them, on pictures whose class is how bright they are."""

from __future__ import annotations

import io
import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fixtures.judges import pictures, trained, weights_in
from PIL import Image

from trainers import diffusion
from trainers.diffusion import artifact
from trainers.diffusion.judge import Judge
from trainers.diffusion.reference import Reference
from trainers.diffusion.scores import Scores, measure
from trainers.diffusion.spec import DiffusionSpec
from trainers.errors import SpecError
from trainers.protocol import Artifact

CPU = torch.device("cpu")
CLEAN = np.eye(3)
BYTES, FLOATS = pictures("uint8"), pictures()
COUNTS = np.array([20, 20, 20])
REQUESTED = np.arange(30, dtype=np.int64) % 3
#: Labels of which the first nine are not what the images show.
MIXED = np.where(np.arange(30) < 9, (REQUESTED + 1) % 3, REQUESTED)
NO_LABELS = np.empty(0, dtype=np.int64)


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judge]:
    found = {}
    for seed, role in enumerate(("judge", "second_judge")):
        path = weights_in(tmp_path_factory.mktemp(role), trained(FLOATS, samples=1200, seed=seed))
        found[role] = Judge.read(path, (1, 9, 9), 3, CPU, role)
    return found


def scored(
    judges: dict[str, Judge],
    images: npt.NDArray[np.uint8] = BYTES.test_images,  # type: ignore[assignment]
    requested: npt.NDArray[np.int64] = REQUESTED,
    channel: npt.NDArray[np.float64] | None = CLEAN,
) -> Scores:
    return measure(images, requested, Reference(FLOATS, judges, None, CPU), channel, COUNTS)


def table(found: Scores, role: str) -> pa.Table:
    (one,) = [given for given in found.artifacts() if given.role == role]
    assert one.filename == f"{role}.parquet"
    return pq.read_table(io.BytesIO(one.content))


def test_metrics_are_those_that_the_family_names(judges: dict[str, Judge]) -> None:
    own = {"top1", "test_nll", "sampled_accuracy", "channel_inverted_nll", "inversion_boundary_share", "train_loss"}
    assert scored(judges).metrics().keys() == diffusion.METRICS.keys() - own
    assert list(scored({}).metrics()) == list(scored(judges).metrics())


def test_real_images_as_if_generated_score_as_real_ones(judges: dict[str, Judge]) -> None:
    found = scored(judges).metrics()
    assert found["judge_accuracy"] == found["consistency"]
    assert found["judge_accuracy"] is not None
    assert found["judge_accuracy"] > 0.9
    assert found["consistency_relative"] == 1
    assert found["second_consistency"] == found["second_judge_accuracy"]
    assert found["channel_inverted_consistency"] == pytest.approx(found["consistency"])
    assert found["frechet_distance"] == pytest.approx(found["frechet_distance_real"], rel=0.02)  # rounded to bytes
    assert found["neighbour_distance"] == pytest.approx(found["neighbour_distance_real"], rel=0.02)
    assert found["fid"] is None
    assert found["kid"] is None


def test_images_in_wrong_columns(judges: dict[str, Judge]) -> None:
    """Three of ten images of each label show the next class: noise at e = 0.3, which the inverted channel takes out."""
    place = np.arange(30) // 3
    shown = np.where(place < 3, (REQUESTED + 1) % 3, REQUESTED)
    of_class = [np.flatnonzero(BYTES.test_labels == label) for label in range(3)]
    images = BYTES.test_images[[of_class[label][at] for label, at in zip(shown, place, strict=True)]]
    channel = 0.7 * np.eye(3) + 0.3 * np.roll(np.eye(3), -1, axis=1)
    right, wrong = scored(judges).metrics(), scored(judges, images, channel=channel).metrics()  # type: ignore[arg-type]
    assert wrong["consistency"] == pytest.approx(0.7, abs=0.07)
    assert wrong["consistency_relative"] == wrong["consistency"] / wrong["judge_accuracy"]  # type: ignore[operator]
    assert wrong["channel_inverted_consistency"] == pytest.approx(wrong["judge_accuracy"], abs=0.1)
    assert wrong["frechet_distance"] == pytest.approx(right["frechet_distance"], rel=0.1)
    assert wrong["frechet_distance_by_class"] is not None
    assert right["frechet_distance_by_class"] is not None
    assert wrong["frechet_distance_by_class"] > 1.5 * right["frechet_distance_by_class"]


def test_copies_of_training_images_are_memorised(judges: dict[str, Judge]) -> None:
    found = scored({}, BYTES.train_images[:30]).metrics()  # type: ignore[arg-type]
    assert found["memorised_share"] == 1
    assert found["neighbour_distance"] == pytest.approx(0, abs=0.5 / 255)


def test_the_first_images_are_held_against_the_training_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.metrics.neighbours.MOST_IMAGES", 4)
    found, few = scored({}).metrics(), scored({}, BYTES.test_images[:4], REQUESTED[:4]).metrics()  # type: ignore[arg-type]
    assert found == few
    monkeypatch.undo()
    assert scored({}).metrics()["neighbour_distance"] != found["neighbour_distance"]


def test_without_judges_what_takes_one_is_null() -> None:
    found = scored({})
    measured = {name for name, value in found.metrics().items() if value is not None}
    assert measured == {"neighbour_distance", "neighbour_distance_real", "memorised_share"}
    assert [one.role for one in found.artifacts()] == ["images"]
    left = table(found, "images")
    assert [left[name].null_count for name in ("judged", "judged_p", "second_judged")] == [30] * 3


def test_one_judge_has_none_to_agree_with(judges: dict[str, Judge]) -> None:
    found = scored({"judge": judges["judge"]})
    assert found.metrics()["judges_agree"] is None
    assert found.metrics()["consistency"] is not None
    assert set(table(found, "confusion")["judge"].to_pylist()) == {"judge"}
    assert scored({"judge": judges["judge"], "second_judge": judges["judge"]}).metrics()["judges_agree"] == 1


def test_no_images(judges: dict[str, Judge]) -> None:
    found = scored(judges, BYTES.test_images[:0], NO_LABELS)  # type: ignore[arg-type]
    real = {"judge_accuracy", "second_judge_accuracy", "frechet_distance_real", "neighbour_distance_real"}
    assert {name for name, value in found.metrics().items() if value is not None} == real
    assert [one.role for one in found.artifacts()] == ["confusion"]


def test_samples_are_the_images_with_their_verdicts(judges: dict[str, Judge]) -> None:
    found = scored(judges, requested=MIXED)
    left = table(found, "images")
    assert [(field.name, str(field.type)) for field in left.schema] == [
        ("index", "int64"),
        ("label", "int32"),
        ("png", "binary"),
        ("judged", "int32"),
        ("judged_p", "float"),
        ("second_judged", "int32"),
    ]
    assert left["index"].to_pylist() == list(range(30))
    assert left["label"].to_pylist() == MIXED.tolist()
    for encoded, image in zip(left["png"].to_pylist(), BYTES.test_images, strict=True):
        decoded = Image.open(io.BytesIO(encoded))
        assert decoded.mode == "L"
        np.testing.assert_array_equal(np.asarray(decoded), image[0])
    verdicts = judges["judge"].verdicts(BYTES.test_images)
    assert left["judged"].to_pylist() == verdicts.judged.tolist()
    due = np.exp(verdicts.log_p[np.arange(30), MIXED]).astype(np.float32)
    np.testing.assert_array_equal(left["judged_p"].to_numpy(), due)
    assert due[:9].max() < 0.5 < due[9:].mean()  # of the label, not of the verdict
    assert left["second_judged"].to_pylist() == judges["second_judge"].verdicts(BYTES.test_images).judged.tolist()


def test_colour_pngs_round_trip() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    encoded = artifact.png(image)
    assert encoded == artifact.png(image.copy())
    decoded = Image.open(io.BytesIO(encoded))
    assert decoded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(decoded).transpose(2, 0, 1), image)
    with pytest.raises(ValueError, match="2 channels"):
        artifact.png(image[:2])


def test_images_that_no_png_holds_are_refused_before_they_are_trained_on() -> None:
    spec = DiffusionSpec.model_validate(
        {"family": "diffusion", "model": "unet_tiny", "dataset": "digits", "budget": {"samples": 64}}
    )
    with pytest.raises(SpecError, match="2 channels, and generated ones are kept as PNGs of 1 or 3"):
        diffusion.build(spec, pictures("uint8", channels=2, side=8))
    artifact.check_channels((1, 8, 8))
    artifact.check_channels((3, 8, 8))


def test_confusion_has_every_pair_of_classes(judges: dict[str, Judge]) -> None:
    found = scored(judges, requested=MIXED)
    left = table(found, "confusion")
    assert [(field.name, str(field.type)) for field in left.schema] == [
        ("images", "string"),
        ("judge", "string"),
        ("label", "int32"),
        ("judged", "int32"),
        ("count", "int64"),
    ]
    assert json.loads(left.schema.metadata[b"noisegrid.class_counts"]) == [20, 20, 20]
    rows = left.to_pylist()
    assert len(rows) == 2 * 2 * 9
    for images, labels in (("generated", MIXED), ("real", FLOATS.test_labels)):
        for role in judges:
            shown = BYTES.test_images if images == "generated" else FLOATS.test_images
            pairs = list(zip(labels.tolist(), judges[role].verdicts(shown).judged.tolist(), strict=True))
            for row in rows:
                if (row["images"], row["judge"]) == (images, role):
                    assert row["count"] == pairs.count((row["label"], row["judged"]))


def test_the_same_images_leave_the_same_bytes(judges: dict[str, Judge]) -> None:
    def both() -> tuple[dict[str, float | None], list[Artifact]]:
        found = scored(judges)
        return found.metrics(), found.artifacts()

    assert both() == both()


def test_real_images_are_seen_once(judges: dict[str, Judge], monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a trial is measured, its training images are shown to the judge once."""
    seen: list[int] = []
    verdicts = Judge.verdicts

    def counted(judge: Judge, images: npt.NDArray[np.uint8]) -> object:
        seen.append(len(images))
        return verdicts(judge, images)

    monkeypatch.setattr(Judge, "verdicts", counted)
    reference = Reference(FLOATS, {"judge": judges["judge"]}, None, CPU)
    for _ in range(3):
        measure(BYTES.test_images[:4], REQUESTED[:4], reference, CLEAN, COUNTS)  # type: ignore[arg-type]
    assert seen.count(60) == 1
    assert seen.count(4) == 3
