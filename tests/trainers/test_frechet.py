"""Frechet and kernel distances against closed forms, where covariances are singular, and no trace left behind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from trainers.metrics import frechet
from trainers.metrics.frechet import Moments

Matrix = npt.NDArray[np.float64]


def features(seed: int, count: int, size: int, scale: float = 1.0) -> Matrix:
    """Like a network's: correlated, cut off below 0."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(size, size)) / np.sqrt(size)
    return np.asarray(np.maximum(rng.normal(size=(count, size)) @ mixing, 0) * scale)


def of(rows: Matrix) -> Moments:
    found = frechet.moments(rows)
    assert found is not None
    return found


def by_symmetric_roots(one: Moments, other: Moments) -> float:
    """The distance with tr (C1 C2)^1/2 as that of the symmetric (C1^1/2 C2 C1^1/2)^1/2, whose roots are real."""
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    product = np.sqrt(np.linalg.eigvalsh(root @ other.covariance @ root).clip(0)).sum()
    gap = np.square(one.mean - other.mean).sum()
    return float(gap + np.trace(one.covariance) + np.trace(other.covariance) - 2 * product)


def test_diagonal_covariances_have_a_closed_form() -> None:
    """|m1 - m2|^2 + sum (s1 - s2)^2 for standard deviations s: 9 + 16 + 1 + 4 + 0."""
    one = Moments(np.array([3.0, 0.0, 1.0]), np.diag([1.0, 4.0, 9.0]), 10)
    other = Moments(np.array([0.0, 4.0, 1.0]), np.diag([4.0, 16.0, 9.0]), 10)
    assert frechet.frechet_distance(one, other) == pytest.approx(30, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("counts", [(300, 700), (20, 70), (5, 5), (2, 3)])
def test_full_and_singular_covariances(counts: tuple[int, int], scale: float) -> None:
    """Of 40 features, fewer images than those leave covariances singular."""
    one, other = (of(features(seed, count, 40, scale)) for seed, count in enumerate(counts))
    found, due = frechet.frechet_distance(one, other), by_symmetric_roots(one, other)
    assert found == pytest.approx(due, rel=3e-5)
    assert frechet.frechet_distance(other, one) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("overlap", [0.0, *(10.0**-power for power in range(9)), 3e-5])
def test_sets_that_hardly_overlap(overlap: float) -> None:
    """Of covariances uu' and vv' the root's trace is |u'v|; SciPy's root is not real at an overlap of 3e-5."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    u, v = turn[0], overlap * turn[0] + (1 - overlap) * turn[1]
    one, other = (Moments(np.zeros(64), np.outer(w, w), 2) for w in (u, v))
    due = 1 + v @ v - 2 * abs(u @ v)
    assert frechet.frechet_distance(one, other) == pytest.approx(due, abs=3e-5)
    assert frechet.frechet_distance(other, one) == pytest.approx(due, abs=3e-5)


def test_sets_of_one_image_over_and_over() -> None:
    """Their covariances are rounding, in whatever direction."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        first, second = rng.normal(size=(2, 16))
        found = frechet.frechet_distance(of(np.tile(first, (17, 1))), of(np.tile(second, (23, 1))))
        assert found == pytest.approx(np.square(first - second).sum(), rel=1e-9)


@pytest.mark.parametrize("count", [2, 10, 200])
def test_equal_sets_are_no_distance_apart(count: int) -> None:
    one = of(features(0, count, 30))
    assert 0 <= frechet.frechet_distance(one, one) < 1e-6 * np.trace(one.covariance)


def test_features_that_never_vary() -> None:
    still = np.tile(np.arange(4.0), (5, 1))
    assert frechet.frechet_distance(of(still), of(still)) == 0
    assert frechet.frechet_distance(of(still), of(still + 1)) == 4
    dead = features(0, 50, 6)
    dead[:, 2] = 0
    moved = features(1, 60, 6)
    moved[:, 2] = 0
    assert frechet.frechet_distance(of(dead), of(moved)) == pytest.approx(by_symmetric_roots(of(dead), of(moved)), 1e-4)


def test_nothing_is_printed_or_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    frechet.frechet_distance(of(features(0, 3, 30)), of(features(1, 4, 30)))
    frechet.kernel_distance(features(0, 5, 4), features(1, 5, 4))
    assert capsys.readouterr() == ("", "")


def test_fewer_than_two_images_have_no_distance() -> None:
    one = features(0, 1, 4)
    assert frechet.moments(one) is None
    assert frechet.distance(frechet.moments(one), of(features(1, 5, 4))) is None
    assert frechet.kernel_distance(one, features(1, 5, 4)) is None


def test_moments_of_one_feature() -> None:
    found = of(np.array([[1.0], [3.0]]))
    assert (found.mean.tolist(), found.covariance.tolist(), found.count) == ([2.0], [[2.0]], 2)


def test_class_distances_are_of_each_class_and_their_mean() -> None:
    drawn, train = features(0, 60, 5), features(1, 90, 5)
    labels, truth = np.arange(60) % 3, np.arange(90) % 3
    due = [frechet.frechet_distance(of(drawn[labels == k]), of(train[truth == k])) for k in range(3)]
    assert frechet.by_class(drawn, labels, train, truth, 3) == pytest.approx(np.mean(due), rel=1e-12)
    assert frechet.by_class(drawn, labels, train, truth, 4) is None  # class 3 has no image
    assert frechet.by_class(drawn[:4], labels[:4], train, truth, 3) is None  # classes 1 and 2 have one


def test_swapped_classes_are_seen_by_class_alone() -> None:
    """What noise on labels does to a generator: all images as before, in wrong columns."""
    train = np.concatenate([features(0, 200, 4), features(1, 200, 4) + 3])
    truth = np.repeat([0, 1], 200)
    assert frechet.distance(frechet.moments(train), frechet.moments(train)) == pytest.approx(0, abs=1e-6)
    right = frechet.by_class(train, truth, train, truth, 2)
    wrong = frechet.by_class(train, 1 - truth, train, truth, 2)
    assert right is not None
    assert wrong is not None
    assert right < 1e-6
    assert wrong > 30


def test_kernel_distance_is_unbiased_and_repeats() -> None:
    """Of equal distributions its mean is 0, of others it is the polynomial kernel's own: here by all pairs."""
    one, other = features(0, 80, 6), features(1, 80, 6) + 0.3
    np.random.seed(5)
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr, index]
    found = frechet.kernel_distance(one, other)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index, arg-type]
    np.random.seed(6)
    assert frechet.kernel_distance(one, other) == found

    def kernel(a: Matrix, b: Matrix) -> Matrix:
        return np.asarray((a @ b.T / 6 + 1) ** 3)

    within = sum((kernel(x, x).sum() - np.trace(kernel(x, x))) / (80 * 79) for x in (one, other))
    assert found == pytest.approx(within - 2 * kernel(one, other).mean(), rel=1e-9)  # subsets are whole sets here
    same = [frechet.kernel_distance(features(2 * s, 60, 6), features(2 * s + 1, 60, 6)) for s in range(20)]
    values = np.array(same, dtype=float)
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(20)
