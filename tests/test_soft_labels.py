"""Teachers made from labels and probabilities."""

import array_api_strict
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import (
    best_label_smoothing,
    distilled_risk,
    distilled_risk_deviation,
    distort_probabilities,
    double_distillation_gradient,
    double_distillation_loss,
    empirical_risk,
    generalisation_bound,
    label_smoothing_error,
    negative_weights_from_logits,
    negative_weights_from_probabilities,
    noisy_sigmoid_error,
    noisy_sigmoid_teacher,
    risk_variance_gap,
    smooth_labels,
    teacher_error,
    temper,
)
from tests.strategies import examples

LIBRARIES = {"numpy": np, "array_api_strict": array_api_strict, "jax": jnp}


@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_temperature_divides_logits(seed, temperature):
    logits = 5.0 * np.random.default_rng(seed).standard_normal((4, 3))
    expected = scipy.special.softmax(logits / temperature, axis=1)
    tempered = temper(scipy.special.softmax(logits, axis=1), temperature=temperature)
    np.testing.assert_allclose(tempered, expected, rtol=1e-9 * max(1.0, 1.0 / temperature), atol=1e-15)


def test_temperature_keeps_zeros_and_finds_the_limits():
    p = np.array([[0.5, 0.3, 0.2, 0.0]])
    np.testing.assert_array_equal(temper(p, temperature=1e-300), [[1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(temper(p, temperature=1e300), [[1 / 3, 1 / 3, 1 / 3, 0.0]], rtol=1e-15)
    np.testing.assert_allclose(temper([[1e-300, 1.0]], temperature=100.0), [[0.001 / 1.001, 1 / 1.001]], rtol=1e-12)


@given(st.floats(0.0, 1.0), st.floats(1.0, 50.0))
def test_the_distortion_keeps_the_side_the_middle_and_the_ends(u, amount):
    """With the second ½ in the upper branch, which the print lacks."""
    distorted = float(distort_probabilities(np.array(u), amount=amount))
    assert 0.0 <= distorted <= 1.0
    assert (distorted > 0.5) == (u > 0.5) or distorted == 0.5
    assert abs(distorted - 0.5) >= abs(u - 0.5) - 1e-15
    np.testing.assert_allclose(distort_probabilities([0.0, 0.5, 1.0, u], amount=1.0), [0.0, 0.5, 1.0, u], atol=1e-15)
    np.testing.assert_array_equal(distort_probabilities([0.0, 0.5, 1.0], amount=amount), [0.0, 0.5, 1.0])


def test_the_printed_upper_branch_leaves_the_unit_interval():
    u, amount = 0.9, 2.0
    assert 0.5 + (2 * u - 1) ** (1 / amount) > 1.0
    assert float(distort_probabilities([u], amount=amount)[0]) == 0.5 + 0.5 * (2 * u - 1) ** (1 / amount)


def test_noise_on_the_log_odds_is_unbiased_there_and_biased_in_probability():
    logits = np.full(200_000, 2.0)
    noisy = noisy_sigmoid_teacher(logits, noise=1.5, random_state=1)
    drawn = scipy.special.logit(noisy) - 2.0
    assert abs(np.mean(drawn)) < 4 * 1.5 / np.sqrt(2e5)
    assert np.std(drawn) == pytest.approx(1.5, rel=0.01)
    assert np.mean(noisy) < scipy.special.expit(2.0) - 0.03
    np.testing.assert_allclose(noisy_sigmoid_teacher(logits[:3], bias=0.4), 0.6 * scipy.special.expit(2.0) + 0.2)
    np.testing.assert_array_equal(noisy_sigmoid_teacher([800.0, -800.0]), [1.0, 0.0])


@examples(40)
@given(st.floats(-30.0, 30.0), st.floats(0.0, 1.0), st.sampled_from([0.0, 1e-3, 0.5, 2.0, 6.25, 40.0]))
def test_the_error_of_noise_on_the_log_odds_is_an_integral(logit, bias, noise):
    def density(z):
        return mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)

    def sigmoid(z):
        return 1 / (1 + mpmath.exp(-z))

    with mpmath.workdps(20):
        bend = (mpmath.mpf(k - logit) / noise for k in (-9, -3, 0, 3, 9)) if noise > 0.0 else ()
        edges = sorted([-12, -4, 0, 4, 12, *(z for z in bend if abs(z) < 12)])
        mean = mpmath.quad(lambda z: density(z) * sigmoid(logit + noise * z), edges)
        square = mpmath.quad(lambda z: density(z) * (sigmoid(logit + noise * z) - mean) ** 2, edges)
        off = (1 - bias) * mean + mpmath.mpf(bias) / 2 - sigmoid(logit)
        expected = 2 * off**2, 2 * (1 - bias) ** 2 * square
    error = noisy_sigmoid_error([logit], bias=bias, noise=noise)
    np.testing.assert_allclose([error.squared_bias, error.variance], [float(each) for each in expected], atol=1e-12)


def test_the_error_of_noise_is_that_of_many_teachers():
    logits = np.array([-1.0, 0.5, 3.0])
    drawn = noisy_sigmoid_teacher(np.tile(logits, 200_000), bias=0.2, noise=1.5, random_state=3).reshape(-1, 3)
    teachers, bayes = (np.stack([1.0 - p, p], axis=-1) for p in (drawn, scipy.special.expit(logits)))
    sampled = teacher_error(teachers, bayes, sample_weight=[1.0, 2.0, 3.0])
    exact = noisy_sigmoid_error(logits, bias=0.2, noise=1.5, sample_weight=[1.0, 2.0, 3.0])
    assert sampled.variance == pytest.approx(exact.variance, rel=0.01)
    assert sampled.squared_bias == pytest.approx(exact.squared_bias, rel=0.01)


@pytest.mark.parametrize("library", LIBRARIES)
def test_any_array_library(library):
    xp = LIBRARIES[library]
    rng = np.random.default_rng(0)
    scores, p = rng.standard_normal((4, 5)), rng.dirichlet(np.ones(5), 4)
    for function in (double_distillation_loss, double_distillation_gradient):
        ours = function(*(xp.asarray(each) for each in (scores, p, 1.0 - p)))
        assert type(ours) is type(xp.asarray([1.0]))
        np.testing.assert_allclose(np.asarray(np.from_dlpack(ours)), function(scores, p, 1.0 - p), rtol=1e-12)
    for function, arguments, options in (
        (temper, p, {"temperature": 3.0}),
        (negative_weights_from_probabilities, p, {}),
        (negative_weights_from_logits, scores, {"scale": 2.0}),
        (distort_probabilities, p, {"amount": 2.0}),
        (noisy_sigmoid_teacher, scores[0], {"noise": 0.5}),
    ):
        ours = function(xp.asarray(arguments), **options)
        np.testing.assert_allclose(np.asarray(np.from_dlpack(ours)), function(arguments, **options), rtol=1e-12)


def test_smoothing_keeps_the_digits_of_nearly_certain_labels():
    for small in (1e-17, 1e-14, 1e-3):
        error = label_smoothing_error([[1.0 - small, small]], amount=0.0)
        assert error.variance == pytest.approx(2.0 * small * (1.0 - small), rel=1e-14, abs=0.0)
        with mpmath.workdps(50):
            p = mpmath.mpf(small)
            variance, bias = 2 * p * (1 - p), 2 * (p - 0.5) ** 2
            best = float(variance / (variance + bias))
        assert best_label_smoothing([[1.0 - small, small]]) == pytest.approx(best, rel=1e-12, abs=0.0)
    assert best_label_smoothing([[1.0], [1.0]]) == 0.0
    assert smooth_labels([0], n_classes=700_000, amount=0.5).shape == (1, 700_000)


def test_weights_of_points_are_shares_however_large_they_are():
    for scale in (1e-300, 2.0, 1e308):
        assert empirical_risk([[1.0, 2.0]] * 3, [0, 1, 0], sample_weight=[scale] * 3) == pytest.approx(4.0 / 3.0)
        error = teacher_error(P, P[::-1], sample_weight=[scale, scale])
        assert error.mean_squared_error == pytest.approx(0.5)


def test_stacked_teachers_are_tempered_one_by_one():
    p = np.random.default_rng(0).dirichlet(np.ones(4), (3, 5))
    together = temper(p, temperature=3.0)
    np.testing.assert_array_equal(together, [temper(each, temperature=3.0) for each in p])


def test_one_weight_is_for_all_negatives():
    rng = np.random.default_rng(0)
    scores, p = rng.standard_normal((4, 5)), rng.dirichlet(np.ones(5), 4)
    expected = double_distillation_loss(scores, p, np.full((4, 5), 0.25))
    np.testing.assert_array_equal(double_distillation_loss(scores, p, 0.25), expected)
    traced = jax.jit(lambda f: double_distillation_loss(f, p, 0.25))(jnp.asarray(scores))
    np.testing.assert_allclose(traced, expected, rtol=1e-12)


def test_probabilities_of_half_precision_sum_to_one_as_far_as_they_can():
    p = np.random.default_rng(0).dirichlet(np.ones(1000), 50).astype(np.float16)
    assert np.max(np.abs(np.sum(p.astype(float), axis=1) - 1.0)) > 1e-5
    assert temper(p, temperature=1.0).shape == (50, 1000)
    with pytest.raises(ValueError, match="probabilities must sum to 1 in every row"):
        temper(p.astype(float), temperature=1.0)


P, LOSSES = [[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: distilled_risk(LOSSES, [[0.5, 0.6], [1.0, 0.0]]),
            ValueError,
            "probabilities must sum to 1 in every row",
        ),
        (
            lambda: distilled_risk(LOSSES, [[1.5, -0.5], [1.0, 0.0]]),
            ValueError,
            r"must lie in \[0, 1\], got 1.5 at index \(0, 0",
        ),
        (
            lambda: distilled_risk(LOSSES, [[0.5, 0.5]]),
            ValueError,
            r"must have the shape of losses, \(2, 2\), got \(1, 2\)",
        ),
        (lambda: distilled_risk([0.0, 1.0], P), ValueError, "losses must be 2-dimensional"),
        (lambda: distilled_risk([[-1.0, 1.0], [0.0, 0.0]], P), ValueError, "losses must be >= 0, got -1.0"),
        (lambda: empirical_risk(LOSSES, [0, 2]), ValueError, r"labels must lie in 0\.\.1, got 2"),
        (lambda: empirical_risk(LOSSES, [0.0, 1.0]), ValueError, "labels must be 2 integers, one label a point"),
        (lambda: risk_variance_gap(LOSSES, P, n_samples=0), ValueError, "n_samples must be >= 1, got 0"),
        (
            lambda: distilled_risk_deviation(LOSSES, P, P, n_samples=1, max_loss=0.5),
            ValueError,
            "max_loss must be at least the largest loss, 1.0, got 0.5",
        ),
        (
            lambda: distilled_risk_deviation(LOSSES, [[0.5, 0.5]], P, n_samples=1),
            ValueError,
            r"teacher_probabilities must end in the shape of bayes_probabilities, \(2, 2\), got \(1, 2\)",
        ),
        (
            lambda: generalisation_bound(LOSSES, P, failure_probability=1.0),
            ValueError,
            "failure_probability must be < 1",
        ),
        (
            lambda: generalisation_bound(LOSSES, P, failure_probability=0.1, covering_number=10.0),
            ValueError,
            "losses have at least 16 rows",
        ),
        (
            lambda: generalisation_bound(LOSSES, P, failure_probability=0.1, covering_number=10.0, n_predictors=3),
            ValueError,
            "n_predictors must be 1 with a covering_number, got 3",
        ),
        (lambda: generalisation_bound(LOSSES[:1], P[:1], failure_probability=0.1), ValueError, "at least 2 rows"),
        (lambda: smooth_labels([0, 1], n_classes=2, amount=1.5), ValueError, "amount must be <= 1, got 1.5"),
        (lambda: smooth_labels([0, 3], n_classes=2, amount=0.5), ValueError, r"labels must lie in 0\.\.1, got 3"),
        (lambda: label_smoothing_error(P, amount=-0.5), ValueError, "amount must be >= 0, got -0.5"),
        (lambda: teacher_error(P, [0.5, 0.5]), ValueError, "bayes_probabilities must be 2-dimensional"),
        (lambda: temper(P, temperature=0.0), ValueError, "temperature must be > 0, got 0.0"),
        (lambda: distort_probabilities([1.5], amount=2.0), ValueError, r"probabilities must lie in \[0, 1\]"),
        (lambda: distort_probabilities([0.5], amount=0.5), ValueError, "amount must be >= 1, got 0.5"),
        (lambda: noisy_sigmoid_teacher([np.nan]), ValueError, "logits must be finite"),
        (
            lambda: double_distillation_loss(LOSSES, P, [[2.0, 0.0]] * 2),
            ValueError,
            r"negative_weights must lie in \[0, 1\]",
        ),
        (
            lambda: double_distillation_loss(LOSSES, P, [[1.0, 0.0]]),
            ValueError,
            "negative_weights must have the shape of scores",
        ),
        (
            lambda: risk_variance_gap([[0.0, 1e155]], [[0.5, 0.5]], n_samples=2),
            OverflowError,
            "the gap of the variances",
        ),
        (
            lambda: distilled_risk_deviation([[0.0, 1e200]], [[1.0, 0.0]], [[0.5, 0.5]], n_samples=2),
            OverflowError,
            "the part exact",
        ),
        (
            lambda: generalisation_bound(LOSSES, P, failure_probability=0.1, max_loss=1e308),
            OverflowError,
            "the bound at the only entry is too large",
        ),
        (
            lambda: risk_variance_gap(LOSSES, P, n_samples=10**400),
            ValueError,
            "n_samples must be at most about 1.8e308",
        ),
        (
            lambda: double_distillation_loss(LOSSES, [[0.5, 0.5]], LOSSES),
            ValueError,
            "probabilities must have the shape of scores",
        ),
        (lambda: negative_weights_from_logits(LOSSES, scale=0.0), ValueError, "scale must be > 0, got 0.0"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
