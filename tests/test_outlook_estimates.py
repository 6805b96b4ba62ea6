"""The outlook from data: how far its estimates scatter, and that they hold at every scale."""

import dataclasses

import numpy as np
import pytest

from kdtheory import (
    Ridge,
    Spectrum,
    can_distillation_help,
    distillation_outlook,
    estimate_noise_variance,
    sure,
)
from tests.test_outlook import smooth_problem


def rough_problem():
    """A kernel with long tails, and a signal that those tell nothing about."""
    x = np.linspace(0.0, 1.0, 100)
    K, signal = np.exp(-5.0 * np.abs(np.subtract.outer(x, x))), np.sin(9.0 * x)
    return K, signal, signal[:, None] + 0.5 * np.random.default_rng(1).standard_normal((100, 200)), 0.25


def truncated_problem():
    """A spectrum that reaches 30 of 60 directions, and two outputs."""
    K, signal, _, noise_variance = smooth_problem(60)
    full = Spectrum.from_gram(K + 0.1 * np.eye(60))
    spectrum = Spectrum(full.eigenvalues[:30], full.eigenvectors[:, :30])
    signal = np.stack([signal, 2.0 * signal], axis=1) + full.eigenvectors[:, 40:42] / 2.0
    noise = np.sqrt(noise_variance) * np.random.default_rng(2).standard_normal((60, 2, 200))
    return spectrum, signal, signal[:, :, None] + noise, noise_variance


@pytest.mark.parametrize("problem", [smooth_problem, rough_problem, truncated_problem])
@pytest.mark.parametrize("ridge", [0.05, 1.0])
def test_estimates_are_unbiased_and_scatter_as_their_standard_errors_say(problem, ridge):
    K, signal, draws, noise_variance = problem()
    setting = {"ridge": ridge, "noise_variance": noise_variance, "n_steps": 1}
    truth = distillation_outlook(K, signal, **setting)
    draws = np.moveaxis(draws, -1, 0)
    estimates = [can_distillation_help(K, y, n_bootstrap=2, **setting) for y in draws]
    quoted = [can_distillation_help(K, y, n_bootstrap=200, **setting).standard_errors for y in draws[:8]]
    for name in ("risk", "slope", "one_step_gain", "best_ridge_risk", "curvature", "largest_gain"):
        values = np.array([getattr(estimate, name) for estimate in estimates])
        error = np.mean(values) - getattr(truth, name)
        if name in ("risk", "slope"):
            assert abs(error) < 4.0 * np.std(values) / np.sqrt(len(values)), name
        elif name == "largest_gain":
            assert abs(error) < 2.5 * np.std(values), name
        else:
            assert abs(error) < np.std(values), name
        ratio = np.mean([getattr(errors, name) for errors in quoted]) / np.std(values)
        assert (0.75 < ratio < 1.35) if name in ("risk", "slope") else (0.4 < ratio < 2.5), (name, ratio)


def test_the_same_random_state_gives_the_same_errors_and_a_generator_moves_on():
    K, _, draws, noise_variance = smooth_problem(40)
    setting = {"ridge": 0.05, "noise_variance": noise_variance, "n_bootstrap": 10}
    first, second = (can_distillation_help(K, draws[:, 0], random_state=3, **setting) for _ in range(2))
    assert first == second
    generator = np.random.default_rng(3)
    moved = [can_distillation_help(K, draws[:, 0], random_state=generator, **setting) for _ in range(2)]
    assert moved[0] == first != moved[1]
    assert dataclasses.replace(moved[1], standard_errors=first.standard_errors) == first


def test_many_outputs_share_one_filter_and_repeated_ones_change_nothing_but_the_errors():
    K, _, draws, noise_variance = smooth_problem(60)
    setting = {"ridge": 0.3, "noise_variance": noise_variance}
    single = can_distillation_help(K, draws[:, 0], **setting)
    twice = can_distillation_help(K, draws[:, [0, 0]], **setting)
    for field in ("risk", "slope", "label_weight", "one_step_gain", "best_ridge", "curvature", "floor"):
        np.testing.assert_allclose(getattr(twice, field), getattr(single, field), rtol=1e-8)


@pytest.mark.parametrize("scale", [1e-250, 1e-100, 1e100, 1e250])
def test_the_scale_of_the_kernel_only_scales_the_ridge(scale):
    K, signal, _, noise_variance = smooth_problem(20)
    outlook = distillation_outlook(K, signal, ridge=0.3, noise_variance=noise_variance)
    scaled = distillation_outlook(scale * K, signal, ridge=0.3 * scale, noise_variance=noise_variance)
    for field in ("risk", "slope", "label_weight", "one_step_gain", "floor"):
        np.testing.assert_allclose(getattr(scaled, field), getattr(outlook, field), rtol=1e-6)
    np.testing.assert_allclose(scaled.best_ridge / scale, outlook.best_ridge, rtol=1e-6)


@pytest.mark.parametrize("noise_variance", [0.0, 1e-3, 1e6])
def test_extreme_noise_leaves_little_to_gain_and_no_nan(noise_variance):
    K, signal, _, _ = smooth_problem(30)
    for outlook in (
        distillation_outlook(K, signal, ridge=1.0, noise_variance=noise_variance),
        can_distillation_help(K, signal, ridge=1.0, noise_variance=noise_variance, n_bootstrap=5),
    ):
        fits = [value for each in outlook.best_fits for value in (each.ridge, each.gain, *each.label_weights)]
        numbers = [
            *dataclasses.astuple(outlook)[:10],
            outlook.largest_gain,
            outlook.floor,
            *fits,
            *outlook.standard_errors,
        ]
        assert np.all(np.isfinite(np.array(numbers, dtype=float)))
        assert outlook.largest_gain >= 0.0
        assert outlook.floor >= 0.0
        assert "DistillationOutlook" in repr(outlook)
        if noise_variance != 1e-3:
            assert outlook.largest_gain < 0.5 * np.mean(signal**2) + 1e-6 * noise_variance


@pytest.mark.parametrize("scale", [1e-300, 1e-290, 1e290, 1e300])
def test_the_best_ridge_is_found_near_the_ends_of_the_floating_point_range(scale):
    K, signal, _, noise_variance = smooth_problem(20)
    for describe in (distillation_outlook, can_distillation_help):
        outlook = describe(K, signal, ridge=0.3, noise_variance=noise_variance)
        scaled = describe(scale * K, signal, ridge=0.3 * scale, noise_variance=noise_variance)
        assert scaled.best_ridge_is_interior == outlook.best_ridge_is_interior
        np.testing.assert_allclose(scaled.best_ridge / scale, outlook.best_ridge, rtol=1e-6)
        np.testing.assert_allclose(scaled.best_ridge_risk, outlook.best_ridge_risk, rtol=1e-6)


def test_standard_errors_are_found_though_their_squares_leave_the_floating_point_range():
    problem = {"K": [[2.0, 1.0], [1.0, 2.0]], "ridge": 1.0}
    huge = can_distillation_help(y=[1.0, -2.0], noise_variance=1e200, **problem)
    plain = can_distillation_help(y=[1e-100, -2e-100], noise_variance=1.0, **problem)
    np.testing.assert_allclose(np.array(huge.standard_errors) / 1e200, plain.standard_errors, rtol=1e-9)
    np.testing.assert_allclose(huge.risk / 1e200, plain.risk, rtol=1e-9)


def test_a_gram_matrix_of_zeros_has_an_outlook_too():
    outlook = can_distillation_help(np.zeros((3, 3)), [1.0, 2.0, 3.0], ridge=1.0, noise_variance=0.1, n_bootstrap=3)
    assert outlook.n_steps_to_floor == 1
    assert outlook.largest_gain == 0.0
    assert not outlook.best_ridge_is_interior


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"noise_variance": -1.0}, ValueError, "noise_variance must be >= 0, got -1.0"),
        ({"ridge": 0.0}, ValueError, "ridge must be > 0, got 0.0"),
        ({"n_steps": 0}, ValueError, "n_steps must be >= 1, got 0"),
        ({"n_bootstrap": 1}, ValueError, "n_bootstrap must be >= 2, got 1"),
        ({"random_state": -1}, ValueError, "random_state must be an integer >= 0 or a numpy.random.Generator, got -1"),
        ({"random_state": "a"}, TypeError, "random_state must be an integer >= 0 or a numpy.random.Generator, got 'a'"),
        ({"random_state": 1.5}, TypeError, "random_state must be an integer >= 0 or a numpy.random.Generator, got 1.5"),
        ({"y": [1.0]}, ValueError, "y must have 2 rows"),
        ({"y": [np.nan, 1.0]}, ValueError, "y must be finite, got nan at index 0"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"K": np.eye(2), "y": [1.0, 2.0], "ridge": 1.0, "noise_variance": 0.1} | change
    with pytest.raises(error, match=message):
        can_distillation_help(**arguments)


def test_points_without_weight_change_nothing():
    """Half of the points weigh nothing: the estimates are those of the other half."""
    _, _, draws, _ = smooth_problem(60)
    x, y, half = np.linspace(0.0, 1.0, 60), draws[:, 0], np.arange(60) % 2
    K = np.exp(-5.0 * np.abs(np.subtract.outer(x, x)))
    kept = half == 1
    weighted, alone = Spectrum.from_gram(K, sample_weight=half), Spectrum.from_gram(K[np.ix_(kept, kept)])
    for model in (None, Ridge(0.01)):
        noise = estimate_noise_variance(alone, y[kept], model)
        np.testing.assert_allclose(estimate_noise_variance(weighted, y, model), noise, rtol=1e-6)
    np.testing.assert_allclose(
        sure(weighted, y, Ridge(0.1), noise_variance=noise), sure(alone, y[kept], Ridge(0.1), noise_variance=noise)
    )
    ours, theirs = (
        can_distillation_help(*case, ridge=0.1, noise_variance=noise, n_bootstrap=2)
        for case in ((weighted, y), (alone, y[kept]))
    )
    for field in ("risk", "slope", "label_weight", "one_step_gain", "best_ridge", "floor", "n_steps_to_floor"):
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), rtol=1e-5)


def test_the_noise_variance_is_estimated_without_a_model():
    K, _, draws, noise_variance = smooth_problem()
    estimates = [estimate_noise_variance(K, y) for y in draws[:, :50].T]
    assert abs(np.mean(estimates) / noise_variance - 1.0) < 0.05
    assert estimate_noise_variance(np.zeros((2, 2)), [3.0, 4.0]) == 12.5
