"""Logits of ensembles and distances of logits: against scipy, scikit-learn and mpmath."""

import re

import array_api_strict
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.fidelity import ensemble_logits, logit_mse, predictive_divergences
from tests.logits import exact_log_softmax, models, seeds

sizes = st.integers(1, 12)
combinations = st.sampled_from(["log_mean_probability", "mean_logit"])


def members(seed, m, n=20, n_classes=4, scale=3.0):
    return scale * np.random.default_rng(seed).standard_normal((m, n, n_classes))


@given(seeds, sizes, st.sampled_from([0.1, 3.0, 100.0]))
def test_probabilities_of_an_ensemble_are_means_of_those_of_its_members(seed, m, scale):
    logits = members(seed, m, scale=scale)
    combined = ensemble_logits(logits)
    peer = scipy.special.logsumexp(scipy.special.log_softmax(logits, axis=2), axis=0) - np.log(m)
    np.testing.assert_allclose(combined, peer, rtol=1e-12, atol=1e-13)
    probabilities = scipy.special.softmax(logits, axis=2).mean(axis=0)
    np.testing.assert_allclose(np.exp(combined), probabilities, rtol=1e-12)
    np.testing.assert_allclose(scipy.special.softmax(combined, axis=1), probabilities, rtol=1e-12)


@given(seeds, sizes)
def test_mean_logits_are_means(seed, m):
    logits = members(seed, m)
    expected = sum(logits) / m
    np.testing.assert_allclose(ensemble_logits(logits, combine="mean_logit"), expected, rtol=1e-12, atol=1e-14)


ROWS = [
    [[0.0, -700.0, -750.0], [0.0, -690.0, -1e4]],
    [[1e4, 0.0, -1e4], [1e4, -1e4, 0.0], [1e4 + 1e-3, 1.0, 2.0]],
    [[0.0, 40.0, 1.0], [0.0, 45.0, -3.0]],
    [[0.0, 100.0, 1.0], [100.0, 0.0, 1.0], [0.0, 0.0, 900.0]],
    [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]],
    [[0.0, 800.0, 1.0]],
    [[1e300, -1e300, 0.0], [-1e300, 1e300, 0.0]],
]


@pytest.mark.parametrize("rows", ROWS)
def test_log_probabilities_of_extreme_logits_are_exact(rows):
    """Those of 1e-300 and less, and those of nearly 1, which differ from 0 by as little."""
    with mpmath.workdps(400):
        each = [[mpmath.exp(z) for z in exact_log_softmax(row, 1.0)] for row in rows]
        mean = [mpmath.fsum(column) / len(rows) for column in zip(*each, strict=True)]
        exact = [float(mpmath.log(p)) if p > 0 else -np.inf for p in mean]
    combined = ensemble_logits([[row] for row in rows])[0]
    assert np.all(np.isfinite(combined))
    finite = np.isfinite(exact)
    np.testing.assert_allclose(combined[finite], np.array(exact)[finite], rtol=2e-14, atol=1e-300)


@given(seeds, sizes)
def test_constants_added_to_members_change_no_probability(seed, m):
    logits = members(seed, m)
    shifts = np.random.default_rng(seed).uniform(-100.0, 100.0, (m, 20, 1))
    np.testing.assert_allclose(ensemble_logits(logits + shifts), ensemble_logits(logits), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        scipy.special.softmax(ensemble_logits(logits + shifts, combine="mean_logit"), axis=1),
        scipy.special.softmax(ensemble_logits(logits, combine="mean_logit"), axis=1),
        rtol=1e-10,
    )


@given(seeds, combinations)
def test_one_member_and_equal_members_are_their_own_ensemble(seed, combine):
    logits = members(seed, 1)
    one = ensemble_logits(logits, combine=combine)
    expected = logits[0] if combine == "mean_logit" else scipy.special.log_softmax(logits[0], axis=1)
    np.testing.assert_allclose(one, expected, rtol=1e-13, atol=1e-15)
    assert np.max(predictive_divergences(logits[0], one)) < 1e-25
    np.testing.assert_allclose(ensemble_logits([logits[0]] * 5, combine=combine), one, rtol=1e-13, atol=1e-15)


@given(seeds, sizes, combinations)
def test_the_order_of_members_and_classes_does_not_matter(seed, m, combine):
    logits = members(seed, m)
    combined = ensemble_logits(logits, combine=combine)
    rng = np.random.default_rng(seed)
    order, classes = rng.permutation(m), rng.permutation(4)
    again = ensemble_logits(logits[order][:, :, classes], combine=combine)
    np.testing.assert_allclose(again, combined[:, classes], rtol=1e-12, atol=1e-13)


def test_both_combinations_differ_where_members_do():
    logits = [[[0.0, 10.0]], [[2.0, 0.0]]]
    assert np.argmax(ensemble_logits(logits)) == np.argmax(ensemble_logits(logits, combine="mean_logit")) == 1
    assert np.exp(ensemble_logits(logits))[0, 1] == pytest.approx(
        (scipy.special.expit(10.0) + scipy.special.expit(-2.0)) / 2.0, rel=1e-14
    )
    mean = scipy.special.softmax(ensemble_logits(logits, combine="mean_logit")[0])
    assert mean[1] == pytest.approx(scipy.special.expit(4.0), rel=1e-14)


def test_many_points_come_in_blocks():
    logits = members(0, 3, n=40_000)
    peer = scipy.special.logsumexp(scipy.special.log_softmax(logits, axis=2), axis=0) - np.log(3)
    np.testing.assert_allclose(ensemble_logits(logits), peer, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("convert", [jnp.asarray, array_api_strict.asarray, np.ndarray.tolist])
def test_members_may_come_from_any_library_and_in_any_container(convert):
    logits = members(0, 3)
    expected = ensemble_logits(logits)
    for given_logits in (convert(logits), [convert(member) for member in logits], tuple(map(convert, logits))):
        result = ensemble_logits(given_logits)
        assert type(result) is np.ndarray
        np.testing.assert_allclose(result, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("logits", "error", "message"),
    [
        (
            [np.zeros((5, 3)), np.zeros((5, 3)), np.zeros((5, 4))],
            ValueError,
            "logits[2] must have the 3 classes of logits[0], got 4 in an array of shape (5, 4)",
        ),
        (
            [np.zeros((5, 3)), np.zeros((6, 3))],
            ValueError,
            "logits[1] must have the 5 points of logits[0], got 6 in an array of shape (6, 3)",
        ),
        ([np.zeros((5, 3)), np.full((5, 3), np.nan)], ValueError, "logits[1] must be finite, got nan at index (0, 0)"),
        ([np.zeros((5, 3)), np.full((5, 3), -np.inf)], ValueError, "logits[1] must be finite, got -inf"),
        (np.zeros((5, 3)), ValueError, "logits must have shape (m, n, n_classes), or be a list of arrays of shape"),
        (np.zeros((2, 5, 1)), ValueError, "logits[0] must have 2 columns or more, one for each class"),
        ([np.zeros(3)], ValueError, "logits[0] must be 2-dimensional, got shape (3,)"),
        ([], ValueError, "logits must have one member or more, got none"),
        (np.zeros((0, 5, 3)), ValueError, "logits must not be empty, got shape (0, 5, 3)"),
        ([np.zeros((5, 3)), "a"], TypeError, "logits[1] must hold real numbers, got"),
        (3.0, ValueError, "logits must have shape (m, n, n_classes)"),
    ],
)
def test_bad_members_are_named(logits, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ensemble_logits(logits)


@pytest.mark.parametrize("combine", ["mean", None, ["mean_logit"]])
def test_unknown_combinations_are_refused(combine):
    with pytest.raises(ValueError, match='combine must be "log_mean_probability" or "mean_logit", got'):
        ensemble_logits(np.zeros((2, 3, 2)), combine=combine)


@given(seeds)
def test_mean_squared_differences_are_those_of_scikit_learn(seed):
    one, other, _ = models(seed)
    assert logit_mse(one, other) == pytest.approx(sklearn.metrics.mean_squared_error(one, other), rel=1e-12)
    assert logit_mse(one, other) == logit_mse(other, one)
    without = (each - each.mean(axis=1, keepdims=True) for each in (one, other))
    centred = logit_mse(one, other, centred=True)
    assert centred == pytest.approx(sklearn.metrics.mean_squared_error(*without), rel=1e-12)
    shared = np.mean(np.mean(other - one, axis=1) ** 2)
    assert logit_mse(one, other) == pytest.approx(centred + shared, rel=1e-12)
    shift = np.random.default_rng(seed).normal(size=(50, 1))
    assert logit_mse(one, other + shift, centred=True) == pytest.approx(centred, rel=1e-9)


@pytest.mark.parametrize("shift", [12345.678, 1e9, 1e12])
def test_centred_differences_of_distant_logits_keep_their_digits(shift):
    rng = np.random.default_rng(0)
    teacher, student = rng.standard_normal((30, 5)), rng.standard_normal((30, 5)) + shift
    with mpmath.workdps(50):
        total = mpmath.mpf(0)
        for rows in zip(teacher, student, strict=True):
            d = [mpmath.mpf(float(b)) - mpmath.mpf(float(a)) for a, b in zip(*rows, strict=True)]
            mean = mpmath.fsum(d) / 5
            total += mpmath.fsum((each - mean) ** 2 for each in d)
        exact = float(total / 150)
    assert logit_mse(teacher, student, centred=True) == pytest.approx(exact, rel=3e-13)


def test_large_differences_are_finite_or_named():
    assert logit_mse([[1e150, 0.0]], [[0.0, 0.0]]) == pytest.approx(5e299)
    with pytest.raises(OverflowError, match="the mean of the squared differences at index 0 is too large for float64"):
        logit_mse([[1e200, 0.0]], [[0.0, 0.0]])


def test_logits_of_different_shapes_have_no_distance():
    with pytest.raises(ValueError, match="student_logits must have the 3 classes of teacher_logits, got 2"):
        logit_mse(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="student_logits must have the 4 points of teacher_logits, got 5"):
        logit_mse(np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(TypeError, match="centred must be True or False, got 1"):
        logit_mse(np.zeros((4, 3)), np.zeros((4, 3)), centred=1)
