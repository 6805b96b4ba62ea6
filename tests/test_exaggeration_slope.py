"""Slopes of the ends of a logit-logit plot, and their bootstrap intervals: against scipy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.fidelity import (
    exaggeration_slope,
    logit_logit_points,
    logit_transformed_probabilities,
)
from tests.logits import models, seeds, temperatures


def two_classes(values):
    """Logits whose second class has the given logit-transformed probabilities."""
    return np.column_stack([np.zeros(len(values)), values])


@given(
    seeds,
    st.floats(-3.0, 3.0),
    st.floats(-5.0, 5.0),
    st.sampled_from([0.1, 0.25, 1.0]),
    st.sampled_from(["low", "high"]),
)
def test_the_slope_of_an_affine_student_is_exact(seed, slope, intercept, quantile, side):
    x = np.random.default_rng(seed).uniform(0.5, 8.0, size=40)
    fit = exaggeration_slope(two_classes(x), two_classes(slope * x + intercept), quantile, side, n_resamples=100)
    scale = 1e-12 * (1.0 + abs(intercept))
    assert fit.slope == pytest.approx(slope, rel=1e-12, abs=scale)
    assert fit.intercept == pytest.approx(intercept, rel=1e-12, abs=10.0 * scale)
    assert fit.n_points == round(40 * quantile)
    assert fit.interval == pytest.approx((slope, slope), abs=1e-10)
    assert fit.threshold == np.sort(x)[fit.n_points - 1 if side == "low" else -fit.n_points]


@given(seeds, st.floats(0.1, 1.0), st.sampled_from(["low", "high"]), st.booleans(), temperatures)
def test_the_slope_is_that_of_scipy_on_the_points_of_that_side(seed, quantile, side, true_class, temperature):
    teacher, student, labels = models(seed, n=60)
    classes = labels if true_class else None
    at = labels if true_class else np.argmax(teacher, axis=1)
    x, y = (logit_transformed_probabilities(z, at, temperature=temperature) for z in (teacher, student))
    points = logit_logit_points(teacher, student, classes=classes, temperature=temperature)
    np.testing.assert_array_equal(points, (x, y))
    order = np.argsort(x if side == "low" else -x)[: int(np.ceil(round(quantile * 60, 6)))]
    fit = exaggeration_slope(
        teacher, student, quantile, side, classes=classes, temperature=temperature, n_resamples=100
    )
    expected = scipy.stats.linregress(x[order], y[order])
    assert fit.n_points == len(order)
    assert fit.slope == pytest.approx(expected.slope, rel=1e-10, abs=1e-12)
    assert fit.intercept == pytest.approx(expected.intercept, rel=1e-10, abs=1e-11)


def test_points_that_tie_with_the_last_are_taken_and_shares_are_not_hurt_by_rounding():
    x = np.array([1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0])
    assert exaggeration_slope(two_classes(x), two_classes(x**2)).n_points == 4
    assert exaggeration_slope(two_classes(x), two_classes(x**2), 0.3, "high").n_points == 4
    many = np.arange(1.0, 101.0)
    assert 0.07 * 100 > 7.0  # by rounding
    assert exaggeration_slope(two_classes(many), two_classes(many), 0.07).n_points == 7


def test_the_interval_is_that_of_scipy_but_for_the_draws():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 5.0, 400)
    y = 1.3 * x + rng.standard_normal(400) * x
    fit = exaggeration_slope(two_classes(x), two_classes(y), 0.5, n_resamples=4000, confidence_level=0.9)
    order = np.argsort(x)[:200]
    boot = scipy.stats.bootstrap(
        (x[order], y[order]),
        lambda a, b: scipy.stats.linregress(a, b).slope,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=4000,
        confidence_level=0.9,
        rng=np.random.default_rng(1),
    )
    tolerance = 0.15 * boot.standard_error
    assert fit.standard_error == pytest.approx(boot.standard_error, rel=0.05)
    assert fit.interval[0] == pytest.approx(boot.confidence_interval.low, abs=tolerance)
    assert fit.interval[1] == pytest.approx(boot.confidence_interval.high, abs=tolerance)
    assert fit.confidence_level == 0.9


@pytest.mark.parametrize("side", ["low", "high"])
def test_intervals_cover_the_slope_as_often_as_they_say(side):
    """Of 300 samples, 95 per cent but for three standard errors; noise grows with the teacher's confidence."""
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(300):
        x = rng.uniform(0.1, 5.0, 240)
        y = 1.4 * x - 0.3 + (0.2 + 0.3 * x) * rng.standard_normal(240)
        fit = exaggeration_slope(two_classes(x), two_classes(y), 0.25, side, n_resamples=300, random_state=trial)
        covered += fit.interval[0] <= 1.4 <= fit.interval[1]
    assert 0.91 <= covered / 300 <= 0.99


def test_draws_come_from_the_seed_alone():
    teacher, student, _ = models(0)
    first = exaggeration_slope(teacher, student, random_state=3)
    assert first == exaggeration_slope(teacher, student, random_state=3)
    assert first == exaggeration_slope(teacher, student, random_state=np.random.default_rng(3))
    other = exaggeration_slope(teacher, student, random_state=4)
    assert first.slope == other.slope
    assert first.interval != other.interval


def test_resamples_without_a_slope_do_not_count():
    """Two of the three points have one and the same value of the teacher."""
    x, y = np.array([1.0 / 3.0, 1.0 / 3.0, 1e3]), np.array([0.0, 1.0, 2.0])
    fit = exaggeration_slope(two_classes(x), two_classes(y), 1.0, n_resamples=500)
    slopes = np.array([2.0, 1.5, 1.0, 5.0 / 3.0, 4.0 / 3.0]) / (1e3 - 1.0 / 3.0)
    assert fit.interval[0] == pytest.approx(min(slopes), rel=1e-10)
    assert fit.interval[1] == pytest.approx(max(slopes), rel=1e-10)
    assert fit.slope == pytest.approx(slopes[1], rel=1e-12)


def test_resamples_without_an_outlier_count():
    """About a third: their points are close together, on a line of slope 2."""
    x = np.append(1.0 + 1e-7 * np.arange(100.0) / 100.0, 1e3)
    y = np.append(2.0 * x[:-1], 0.0)
    fit = exaggeration_slope(two_classes(x), two_classes(y), 1.0)
    assert abs(fit.slope) < 0.01
    assert fit.interval[1] == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("size", [1e-200, 1e-8, 1e200])
def test_slopes_do_not_depend_on_the_size_of_the_logits(size):
    rng = np.random.default_rng(0)
    x = rng.uniform(1.0, 2.0, 30)
    y = 2.0 * x + 0.1 * rng.standard_normal(30)
    fit = exaggeration_slope(two_classes(size * x), two_classes(size * y))
    plain = exaggeration_slope(two_classes(x), two_classes(y))
    assert fit.slope == pytest.approx(plain.slope, rel=1e-12)
    assert fit.interval == pytest.approx(plain.interval, rel=1e-9)


def test_equal_values_of_the_teacher_have_no_slope():
    with pytest.raises(ValueError, match="got 20 with 1 different ones"):
        exaggeration_slope(two_classes(np.full(20, 0.1)), two_classes(np.arange(20.0)))
    flat = exaggeration_slope(two_classes(np.arange(1.0, 21.0)), two_classes(np.full(20, 0.1)))
    assert flat.slope == 0.0
    assert flat.interval == (0.0, 0.0)
