"""Weights along the eigendirections of data, and the number that says which of two curves turns more sharply."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate

from kdtheory import flow_trajectories
from kdtheory.eigenspace import (
    accuracies_by_directions,
    data_directions,
    exaggerations,
    filters_as_matrix,
    image_patches,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 5)) * [5.0, 3.0, 2.0, 1.0, 0.5]


@pytest.mark.parametrize("shape", [(12, 5), (4, 9)])
def test_directions_are_those_of_the_second_moments(shape):
    features = RNG.standard_normal(shape)
    found = data_directions(features)
    d, V = np.linalg.eigh(features.T @ features / len(features))
    rank = min(shape)
    np.testing.assert_allclose(found.eigenvalues, d[::-1][:rank], rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(found.vectors * V[:, ::-1][:, :rank], axis=0)), 1.0, rtol=1e-10)


def test_directions_without_data_are_left_out():
    low_rank = RNG.standard_normal((20, 2)) @ RNG.standard_normal((2, 7))
    assert data_directions(1e-150 * low_rank).vectors.shape == (7, 2)


def test_components_and_what_is_kept():
    found, weights = data_directions(X), RNG.standard_normal((3, 5, 2))
    lengths = [[np.linalg.norm(W.T @ found.vectors[:, k]) for k in range(5)] for W in weights]
    np.testing.assert_allclose(found.components(weights), lengths, rtol=1e-13)
    kept = found.keep_top(weights, 2)
    np.testing.assert_allclose(found.components(kept)[:, :2], np.array(lengths)[:, :2], rtol=1e-12)
    np.testing.assert_allclose(found.components(kept)[:, 2:], 0.0, atol=1e-14)
    np.testing.assert_allclose(found.keep_top(weights, 5), weights, rtol=1e-12)


def test_patches_times_filters_are_the_convolution():
    images, filters = RNG.standard_normal((2, 6, 7, 3)), RNG.standard_normal((4, 3, 2, 2))
    W, patches = filters_as_matrix(filters), image_patches(images, 2, 40, random_state=1)
    expected = [
        sum(correlate(image[:, :, c], one[c], mode="valid") for c in range(3)) for image in images for one in filters
    ]
    values = np.array(expected).reshape(2, 4, -1).transpose(0, 2, 1).reshape(-1, 4)
    for row in patches @ W:
        assert np.min(np.max(np.abs(values - row), axis=1)) < 1e-12
    np.testing.assert_array_equal(filters_as_matrix(np.stack([filters, filters]))[1], W)
    grey = image_patches(images[..., 0], 6, 30, random_state=0)
    assert len(np.unique(grey, axis=0)) == 4  # two images, two places


def curves(times, teacher_time, targets=1.0):
    """Closed form: components of ridgeless regression along gradient flow, of a teacher and its student."""
    found = data_directions(X)
    d = len(X) * found.eigenvalues
    learned = 1.0 - np.exp(-np.outer(times, d))
    return targets * learned, targets * learned * (1.0 - np.exp(-teacher_time * d)), d


@given(st.floats(1e-4, 0.03), st.integers(0, 3), st.integers(1, 4))
def test_students_of_gradient_flow_are_more_biased_whatever_the_pair(teacher_time, higher, between):
    """Theorem 4.1, and the number itself by quadrature of the closed form."""
    lower = min(higher + between, 4)
    times = np.r_[0.0, np.geomspace(1e-6, 1.0, 4000)] * teacher_time
    teacher, student, d = curves(times, teacher_time, targets=np.array([2.0, -1.0, 0.5, 3.0, -2.0]))
    (found,) = exaggerations(teacher, student, [[higher, lower]])
    assert found > 0.0
    a, b = (1.0 - np.exp(-teacher_time * d[i]) for i in (higher, lower))
    u = np.linspace(0.0, a, 20001)  # of the student's way along the higher direction, in the teacher's units
    ratio = d[lower] / d[higher]
    taught = (1.0 - (1.0 - u * a) ** ratio) / b
    learnt = 1.0 - np.maximum(1.0 - u, 1.0 - a) ** ratio
    levels = u <= a * (1.0 - 1e-12)
    assert found == pytest.approx(np.trapezoid((taught - learnt)[levels], u[levels]) / a, rel=0.02, abs=1e-5)


def test_components_of_a_linear_model_are_those_of_the_trajectories():
    y = RNG.standard_normal(12)
    paths = flow_trajectories(X @ X.T, y, times=np.linspace(0.0, 0.01, 50), teacher_time=0.01)
    found = data_directions(X)
    teacher, student = (np.abs(found.vectors.T @ (X.T @ path.dual_coef.T)).T for path in (paths.teacher, paths.student))
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    assert np.all(exaggerations(teacher, student, pairs) > 0.0)


def test_alike_curves_and_exchanged_ones():
    teacher, _, _ = curves(np.linspace(0.0, 1.0, 200), 1.0)
    np.testing.assert_array_equal(exaggerations(teacher, teacher, [[0, 3], [1, 2]]), 0.0)
    slower = np.stack([teacher[:, 0], teacher[:, 0] ** 3 * teacher[-1, 3] / teacher[-1, 0] ** 3], axis=1)
    pair = teacher[:, [0, 3]]
    assert exaggerations(pair, slower, [[0, 1]]) == pytest.approx(-exaggerations(slower, pair, [[0, 1]]))


def test_a_curve_that_turns_back_counts_when_it_first_arrives():
    teacher = np.array([[0.0, 0.0], [0.5, 0.1], [0.2, 0.3], [1.0, 1.0]])
    student = np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]])
    level = np.linspace(0.0, 1.0, 201)
    first = np.where(level <= 0.5, 0.2 * level, 0.3 + 0.7 * (level - 0.2) / 0.8)
    assert exaggerations(teacher, student, [[0, 1]])[0] == pytest.approx(np.trapezoid(first, level))


def test_accuracy_by_the_directions_kept():
    labels = RNG.integers(0, 3, 12)
    W = np.linalg.lstsq(X, np.eye(3)[labels], rcond=None)[0]
    found = data_directions(X)
    expected = []
    for kept in (0, 2, 5):
        top = found.vectors[:, :kept]
        expected.append(np.mean(np.argmax((X @ top) @ (top.T @ W), axis=1) == labels))
    np.testing.assert_allclose(accuracies_by_directions(X, labels, W, found, (0, 2, 5)), expected)


TEACHER = np.array([[0.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data_directions(np.zeros((2, 2))), ValueError, "features must not all be zero"),
        (lambda: data_directions(np.zeros(2)), ValueError, "features must be 2-dimensional"),
        (lambda: data_directions([[np.nan, 1.0]]), ValueError, "features must be finite, got nan"),
        (lambda: data_directions(X).components(np.ones((4, 2))), ValueError, r"weights must have shape \(..., 5, h\)"),
        (lambda: data_directions(X).keep_top(np.ones((5, 2)), 6), ValueError, "n_kept must be <= 5, the number"),
        (lambda: image_patches(np.ones((1, 3, 4)), 4, 1), ValueError, "size must be <= 3, as high and wide"),
        (lambda: image_patches(np.ones((1, 3)), 1, 1), ValueError, "images must be 3-dimensional or 4-dimensional"),
        (lambda: filters_as_matrix(np.ones((3, 3, 3))), ValueError, "filters must have shape"),
        (lambda: exaggerations(TEACHER[:1], TEACHER, [[0, 1]]), ValueError, "teacher must have two moments or more"),
        (lambda: exaggerations(TEACHER, TEACHER[:, :1], [[0, 1]]), ValueError, "student must have 2 directions"),
        (lambda: exaggerations(TEACHER, TEACHER, [0, 1]), ValueError, r"pairs must be integers of shape \(q, 2\)"),
        (lambda: exaggerations(TEACHER, TEACHER, [[0, 2]]), ValueError, "pairs must hold indices from 0 to 1"),
        (lambda: exaggerations(TEACHER * [1, 0], TEACHER, [[0, 1]]), ValueError, "no way along direction 1"),
        (lambda: exaggerations(TEACHER, TEACHER + 0.1, [[0, 1]]), ValueError, "student must start where the teacher"),
        (lambda: exaggerations(TEACHER, -TEACHER, [[0, 1]]), ValueError, "student must make some way along"),
        (
            lambda: accuracies_by_directions(X, [3] * 12, np.ones((5, 3)), data_directions(X), [1]),
            ValueError,
            "labels must",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
