"""Logits of any library and precision, and what is refused by name."""

import re
import tracemalloc

import array_api_strict
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import fidelity
from kdtheory.fidelity import (
    accuracy,
    agreement_bounds,
    dissect,
    exaggeration_slope,
    expected_calibration_error,
    independent_student_control,
    logit_logit_points,
    logit_transformed_probabilities,
    negative_log_likelihood,
    predicted_classes,
    predictive_divergences,
    predictive_entropies,
    predictive_entropy,
    predictive_kl,
    reliability_diagram,
    top1_agreement,
)
from tests.logits import models, seeds
from tests.strategies import examples


@pytest.mark.parametrize(
    "make", [array_api_strict.asarray, jnp.asarray, pd.DataFrame, np.ndarray.tolist, np.asfortranarray]
)
def test_logits_may_come_from_any_library(make):
    teacher, student, labels = models(3)
    t, s = make(teacher), make(student)
    np.testing.assert_array_equal(predictive_divergences(t, s), predictive_divergences(teacher, student))
    assert top1_agreement(t, s) == top1_agreement(teacher, student)
    assert expected_calibration_error(t, labels.tolist()) == expected_calibration_error(teacher, labels)
    assert exaggeration_slope(t, s) == exaggeration_slope(teacher, student)
    assert dissect(t, s, labels).counts == dissect(teacher, student, labels).counts
    assert negative_log_likelihood(t, labels) == negative_log_likelihood(teacher, labels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_logits_of_less_precision_are_computed_with_in_double_precision(dtype):
    teacher, student, _ = (array.astype(dtype) for array in models(4))
    np.testing.assert_array_equal(
        predictive_divergences(teacher, student),
        predictive_divergences(teacher.astype(np.float64), student.astype(np.float64)),
    )


def test_blocks_of_rows_change_nothing(monkeypatch):
    teacher, student, labels = models(5)

    def results():
        return [
            predictive_divergences(teacher, student),
            predictive_entropies(teacher),
            logit_transformed_probabilities(teacher, labels),
            predicted_classes(student),
            reliability_diagram(teacher, labels).gaps,
            negative_log_likelihood(teacher, labels),
        ]

    whole = results()
    monkeypatch.setattr(fidelity._logits, "_BLOCK", 12)
    for one, other in zip(results(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)


def test_work_memory_is_bounded():
    """300,000 rows of 10 classes, 24 MB for each model."""
    rng = np.random.default_rng(0)
    teacher, student = rng.standard_normal((2, 300_000, 10))
    labels = rng.integers(10, size=300_000)
    tracemalloc.start()
    predictive_kl(teacher, student)
    negative_log_likelihood(teacher, labels)
    expected_calibration_error(teacher, labels)
    exaggeration_slope(teacher, student, n_resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6


GOOD = [[0.0, 2.0, 1.0], [3.0, 1.0, 0.0]]
PAIRS = [
    top1_agreement,
    predictive_kl,
    predictive_divergences,
    logit_logit_points,
    exaggeration_slope,
    lambda teacher, student: dissect(teacher, student, [0, 1]),
    lambda teacher, student: independent_student_control(teacher, student, GOOD),
]
LABELLED = [accuracy, negative_log_likelihood, expected_calibration_error, reliability_diagram]


@pytest.mark.parametrize("metric", PAIRS)
@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        ([[0.0, np.nan, 1.0], GOOD[1]], GOOD, "teacher_logits must be finite, got nan at index (0, 1)"),
        (GOOD, [GOOD[0], [0.0, 1.0, -np.inf]], "student_logits must be finite, got -inf at index (1, 2)"),
        ([[0.0, 2.0], [3.0, 1.0]], GOOD, "student_logits must have the 2 classes of teacher_logits, got 3 in an array"),
        (GOOD, [[0.0, 2.0], [3.0, 1.0]], "student_logits must have the 3 classes of teacher_logits, got 2 in an array"),
        (GOOD, GOOD[:1], "student_logits must have the 2 points of teacher_logits, got 1 in an array of shape (1, 3)"),
        (np.zeros((2, 1)), GOOD, "teacher_logits must have 2 columns or more, one for each class, got shape (2, 1)"),
        (np.zeros(3), GOOD, "teacher_logits must be 2-dimensional, got shape (3,)"),
        (GOOD, np.zeros((1, 2, 3)), "student_logits must be 2-dimensional, got shape (1, 2, 3)"),
        (np.zeros((0, 3)), GOOD, "teacher_logits must not be empty, got shape (0, 3)"),
        (GOOD, [[1e301, 0.0, 0.0], GOOD[1]], "student_logits must be at most 1e300 in size, also over the temperature"),
    ],
)
def test_wrong_pairs_of_logits_are_named(metric, teacher, student, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(teacher, student)


@pytest.mark.parametrize("metric", LABELLED)
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[np.inf, 0.0]], [0], "logits must be finite, got inf at index (0, 0)"),
        ([[0.0], [1.0]], [0, 0], "logits must have 2 columns or more, one for each class, got shape (2, 1)"),
        (GOOD, [0, 3], "labels must lie in 0..2, got 3"),
        (GOOD, [-1, 0], "labels must lie in 0..2, got -1"),
        (GOOD, [0], "labels must be 2 integers, one label a point, got shape (1,)"),
        (GOOD, [0.0, 1.0], "labels must be 2 integers, one label a point, got shape (2,) of dtype float64"),
    ],
)
def test_wrong_logits_and_labels_are_named(metric, logits, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(logits, labels)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize(
    "metric",
    [
        lambda **of: predictive_kl(GOOD, GOOD, **of),
        lambda **of: predictive_entropy(GOOD, **of),
        lambda **of: negative_log_likelihood(GOOD, [0, 1], **of),
        lambda **of: expected_calibration_error(GOOD, [0, 1], **of),
        lambda **of: logit_transformed_probabilities(GOOD, [0, 1], **of),
        lambda **of: exaggeration_slope(GOOD, GOOD, **of),
        lambda **of: independent_student_control(GOOD, GOOD, GOOD, **of),
    ],
)
def test_wrong_temperatures_are_named(metric, temperature):
    with pytest.raises(ValueError, match="temperature must be"):
        metric(temperature=temperature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantile": 0.0}, "quantile must be > 0 and <= 1, got 0.0"),
        ({"quantile": 1.5}, "quantile must be > 0 and <= 1, got 1.5"),
        ({"quantile": np.nan}, "quantile must be finite, got nan"),
        ({"side": "left"}, 'side must be "low" or "high", got \'left\''),
        ({"confidence_level": 1.0}, "confidence_level must be > 0 and < 1, got 1.0"),
        ({"confidence_level": 0.0}, "confidence_level must be > 0 and < 1, got 0.0"),
        ({"n_resamples": 99}, "n_resamples must be >= 100, got 99"),
        ({"random_state": -1}, "random_state must be an integer >= 0 or a numpy.random.Generator, got -1"),
        ({"classes": [0, 5]}, "classes must lie in 0..2, got 5"),
        ({}, "teacher_logits must have 3 points or more on the low side, with different probabilities"),
    ],
)
def test_wrong_arguments_of_the_slope_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        exaggeration_slope(GOOD, GOOD, **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: independent_student_control(GOOD[:1], GOOD[:1], GOOD[:1]),
            "teacher_logits must have 2 points or more",
        ),
        (
            lambda: independent_student_control(GOOD, GOOD, np.zeros((2, 2, 4))),
            "control_logits must have the 3 classes",
        ),
        (lambda: independent_student_control(GOOD, GOOD, np.zeros((2, 5, 3))), "control_logits must have the 2 points"),
        (lambda: independent_student_control(GOOD, GOOD, np.zeros((0, 2, 3))), "control_logits must not be empty"),
        (lambda: agreement_bounds(1.5, 0.5), "teacher_accuracy must be <= 1, got 1.5"),
        (lambda: agreement_bounds(0.5, -0.5), "student_accuracy must be >= 0, got -0.5"),
        (lambda: reliability_diagram(GOOD, [0, 1], 0), "n_bins must be >= 1, got 0"),
        (lambda: predictive_entropies([[1e299, 0.0]], temperature=0.01), "logits must be at most 1e300 in size"),
        (lambda: predictive_entropies([[0.0, -1e301]]), "logits must be at most 1e300 in size"),
    ],
)
def test_other_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@examples(50)
@given(seeds, st.sampled_from([1e-300, 1.0, 1e150, 1e299]))
def test_no_nan_and_no_infinity_comes_of_the_largest_logits(seed, size):
    teacher, student, labels = (
        (np.random.default_rng(seed).standard_normal((2, 6, 3)) * size / 6.0).clip(-size, size),
        0,
        0,
    )
    teacher, student = teacher
    labels = np.arange(6) % 3
    for values in (
        predictive_divergences(teacher, student),
        predictive_entropies(teacher),
        negative_log_likelihood(teacher, labels),
        reliability_diagram(teacher, labels).gaps,
        logit_logit_points(teacher, student),
        independent_student_control(teacher, student, student[::-1]).divergence_gain_error,
    ):
        assert np.all(np.isfinite(values))
