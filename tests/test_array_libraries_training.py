"""Training, risk, weights and models that differ: the same numbers from numpy, array-api-strict and JAX."""

import array_api_strict
import jax.numpy as jnp
import numpy as np
import pytest

from kdtheory import (
    Distilled,
    GradientDescent,
    GradientFlow,
    Ridge,
    Spectrum,
    alternate_distillation,
    can_distillation_help,
    degrees_of_freedom,
    descent_trajectories,
    distil_to_inputs,
    distil_to_kernel,
    estimate_noise_variance,
    exaggeration_ratios,
    fit_filter,
    flow_trajectories,
    in_sample_risk,
    matched_student_time,
    oracle_label_weights,
    out_of_sample_risk,
    selfdistill_per_sample,
    sure,
    wiener_filter,
)
from tests.test_array_libraries import FEATURES, K_TEST, TARGETS, K, assert_same

LIBRARIES = {"array_api_strict": array_api_strict, "jax": jnp}
OTHER = FEATURES @ np.diag([1.0, 2.0, 3.0, 0.5, 0.1, 1.0]) @ FEATURES.T
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 1.0, 3.0, 1.0, 1.0, 0.2])


@pytest.fixture(params=LIBRARIES)
def xp(request):
    return LIBRARIES[request.param]


@pytest.fixture(params=TARGETS)
def y(request):
    return TARGETS[request.param]


@pytest.mark.parametrize(
    "filter_",
    [
        GradientFlow(1.3),
        GradientFlow(1e200, 0.2),
        GradientDescent(0.1, 10**9),
        GradientDescent(0.66, 7, weight_decay=0.01),
        GradientDescent(0.3, 1001, momentum=0.8),
        GradientDescent(0.2, 50, momentum=0.9, nesterov=True, weight_decay=0.1),
        Distilled(GradientFlow(0.5), GradientDescent(0.1, 3), 0.3),
    ],
)
def test_filters(filter_, xp):
    d = [3.0, 1.0, 1e-7, 0.0]
    for function in (filter_, filter_.shrinkage, filter_.residual):
        assert_same(function(xp.asarray(d)), function(np.array(d)), xp, rtol=1e-11)


@pytest.mark.parametrize("warm_start", [False, True])
def test_trajectories(y, warm_start, xp):
    common = {"label_weight": 0.3, "warm_start": warm_start, "n_rounds": 2, "weight_decay": 0.05}
    flow = {"times": [0.0, 0.1, 30.0], "teacher_time": 0.7, **common}
    descent = {"iterations": [0, 5, 100], "learning_rate": 0.02, "teacher_iterations": 9, "momentum": 0.5, **common}
    for follow, setting in ((flow_trajectories, flow), (descent_trajectories, descent)):
        ours, theirs = follow(xp.asarray(K), xp.asarray(y), **setting), follow(K, y, **setting)
        for one, other in zip((ours.teacher, *ours.rounds), (theirs.teacher, *theirs.rounds), strict=True):
            assert_same(one.times, other.times, xp)
            assert_same(one.shrinkage, other.shrinkage, xp)
            assert_same(one.fitted, other.fitted, xp)
            assert_same(one.predict(xp.asarray(K_TEST)), other.predict(K_TEST), xp)
            assert one.components.shape == other.components.shape
            assert_same(xp.sum(one.components**2, axis=1), np.sum(other.components**2, axis=1), xp)


def test_matching(xp):
    assert_same(matched_student_time(2.0, xp.asarray([0.1, 0.9]), 1.0), matched_student_time(2.0, [0.1, 0.9], 1.0), xp)
    d, setting = [2.0, 1.0, 0.0], {"time": 0.5, "teacher_time": 1.0}
    assert_same(exaggeration_ratios(xp.asarray(d), **setting), exaggeration_ratios(d, **setting), xp)


def test_sample_weights(y, xp):
    ours = fit_filter(Spectrum.from_gram(xp.asarray(K), sample_weight=WEIGHTS), xp.asarray(y), [Ridge(0.2)])
    theirs = fit_filter(Spectrum.from_gram(K, sample_weight=WEIGHTS), y, [Ridge(0.2)])
    assert_same(ours.fitted, theirs.fitted, xp)
    assert_same(ours.dual_coef, theirs.dual_coef, xp)


def test_risks(y, xp):
    models, setting = [Ridge(0.3), GradientFlow(1.0)], {"noise_variance": 0.2}
    for weights in (None, WEIGHTS):
        ours = Spectrum.from_gram(xp.asarray(K), sample_weight=weights), xp.asarray(y)
        theirs = Spectrum.from_gram(K, sample_weight=weights), y
        test = {"K_test": K_TEST, "signal_test": np.ones((4, *y.shape[1:]))}
        for one, other in zip(
            (
                *in_sample_risk(*ours, models, **setting),
                *out_of_sample_risk(*ours, models, **test, **setting),
                sure(*ours, models, **setting),
                *degrees_of_freedom(ours[0], models),
                wiener_filter(*ours, **setting).shrinkage,
                oracle_label_weights(*ours, ridge=0.5, n_steps=3, **setting),
            ),
            (
                *in_sample_risk(*theirs, models, **setting),
                *out_of_sample_risk(*theirs, models, **test, **setting),
                sure(*theirs, models, **setting),
                *degrees_of_freedom(theirs[0], models),
                wiener_filter(*theirs, **setting).shrinkage,
                oracle_label_weights(*theirs, ridge=0.5, n_steps=3, **setting),
            ),
            strict=True,
        ):
            assert_same(one, other, xp, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(
            estimate_noise_variance(*ours, Ridge(0.3)), estimate_noise_variance(*theirs, Ridge(0.3)), rtol=1e-9
        )
        outlooks = [
            can_distillation_help(*each, ridge=0.3, n_bootstrap=2, **setting).one_step_gain for each in (ours, theirs)
        ]
        np.testing.assert_allclose(*outlooks, rtol=1e-6)


def test_models_that_differ(y, xp):
    teacher = fit_filter(xp.asarray(K), xp.asarray(y), Ridge(0.3)), fit_filter(K, y, Ridge(0.3))
    ours = distil_to_kernel(teacher[0], xp.asarray(OTHER), GradientFlow(1.0), label_weight=0.2)
    assert_same(ours.fitted, distil_to_kernel(teacher[1], OTHER, GradientFlow(1.0), label_weight=0.2).fitted, xp)
    inputs = K_TEST, K_TEST @ K_TEST.T
    ours = distil_to_inputs(teacher[0], *(xp.asarray(each) for each in inputs), Ridge(0.1))
    assert_same(ours.fitted, distil_to_inputs(teacher[1], *inputs, Ridge(0.1)).fitted, xp)
    setting = {"ridge_student": 0.5, "ridge_teacher": 1.0, "label_weight_student": 0.3, "label_weight_teacher": 0.1}
    ours = alternate_distillation(xp.asarray(K), xp.asarray(OTHER), xp.asarray(y), **setting)
    theirs = alternate_distillation(K, OTHER, y, **setting)
    assert_same(ours.student.fitted, theirs.student.fitted, xp, rtol=1e-7, atol=1e-8)
    assert_same(ours.rounds(3), theirs.rounds(3), xp)
    np.testing.assert_allclose(
        ours.objective(ours.student, ours.teacher), theirs.objective(theirs.student, theirs.teacher), rtol=1e-8
    )
    steps = {"ridge": 0.5, "n_steps": 3, "label_weights": np.minimum(WEIGHTS, 1.9)}
    ours = selfdistill_per_sample(xp.asarray(K), xp.asarray(y), **steps)
    theirs = selfdistill_per_sample(K, y, **steps)
    assert_same(ours.fitted, theirs.fitted, xp)
    assert_same(ours.predict(xp.asarray(K_TEST)), theirs.predict(K_TEST), xp)
    assert_same(ours.limit.fitted, theirs.limit.fitted, xp)
