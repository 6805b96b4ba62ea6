"""Whatever library, device and precision the arrays come in, the results come out in, with the same numbers.

The strictest array library there is has several devices, between which it moves nothing without being asked.
"""

import array_api_strict as xp
import numpy as np
import pytest

from kdtheory import (
    Distilled,
    GradientDescent,
    GradientFlow,
    Ridge,
    SelfDistillation,
    SelfDistillationLimit,
    Spectrum,
    descent_trajectories,
    effective_dof,
    flow_trajectories,
    gcv_score,
    leave_group_out_predictions,
    loo_label_weights,
    loo_predictions,
    selfdistill_closed_form,
    selfdistill_grid,
)

DEVICE = xp.Device("device1")
rng = np.random.default_rng(1)
FEATURES = rng.standard_normal((6, 4))
K = FEATURES @ FEATURES.T + 0.5 * np.eye(6)
TARGETS = {"one output": rng.standard_normal(6), "two outputs": rng.standard_normal((6, 2))}
PRECISIONS = {"single": (xp.float32, 2e-4), "double": (xp.float64, 1e-9)}


@pytest.fixture(params=PRECISIONS)
def precision(request):
    return PRECISIONS[request.param]


@pytest.fixture(params=TARGETS)
def y(request):
    return TARGETS[request.param]


def there(values, precision):
    return xp.asarray(np.asarray(values), dtype=precision[0], device=DEVICE)


def assert_there(ours, theirs, precision):
    dtype, tolerance = precision
    assert (type(ours).__module__, ours.dtype, ours.device) == ("array_api_strict._array_object", dtype, DEVICE)
    np.testing.assert_allclose(np.from_dlpack(ours), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "filter_",
    [
        Ridge(0.5),
        SelfDistillation(0.5, 1, 0.3),
        SelfDistillation(0.5, 5, 0.3),
        SelfDistillation(0.5, 4, 2.5),
        SelfDistillationLimit(0.5, 0.0),
        SelfDistillationLimit(0.5, 0.3),
        Distilled(GradientFlow(2.0), Ridge(0.5), 0.3),
        GradientFlow(2.0),
        GradientFlow(2.0, 0.3),
        GradientDescent(0.3, 5),
        GradientDescent(0.3, 5, weight_decay=0.2),
        GradientDescent(0.3, 5, momentum=0.5),
        GradientDescent(0.3, 5, momentum=0.5, nesterov=True, weight_decay=0.2),
    ],
)
def test_filters(filter_, precision):
    d = np.array([3.0, 1.0, 1e-3, 0.0])
    for function in (filter_, filter_.shrinkage, filter_.residual):
        assert_there(function(there(d, precision)), function(d), precision)


def test_self_distillations(y, precision):
    for weight in (0.3, [0.3, 1.4]):
        ours = selfdistill_closed_form(there(K, precision), y, ridge=0.7, n_steps=3, label_weight=weight)
        theirs = selfdistill_closed_form(K, y, ridge=0.7, n_steps=3, label_weight=weight)
        for name in ("targets", "shrinkage", "fitted", "dual_coef", "label_weights", "effective_dof"):
            assert_there(getattr(ours, name), getattr(theirs, name), precision)
        assert_there(ours.predict(K[:2]), theirs.predict(K[:2]), precision)
        assert repr(ours) == repr(theirs)


def test_grids(y, precision):
    axes = {"ridges": [0.5, 2.0], "n_steps": 3, "label_weights": [0.25, 1.5]}
    ours, theirs = selfdistill_grid(there(K, precision), y, **axes), selfdistill_grid(K, y, **axes)
    assert_there(ours.basis.targets, y, precision)
    for name in ("ridges", "label_weights", "shrinkage", "fitted", "dual_coef", "effective_dof"):
        assert_there(getattr(ours, name), getattr(theirs, name), precision)
    assert_there(ours.predict(K[:2]), theirs.predict(K[:2]), precision)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_trajectories(y, precision, warm_start, weight_decay):
    students = {"label_weight": 0.3, "warm_start": warm_start, "n_rounds": 2, "weight_decay": weight_decay}
    flow = {"times": [0.0, 1.5], "teacher_time": 0.8}
    descent = {"iterations": [0, 7], "learning_rate": 0.05, "teacher_iterations": 4, "momentum": 0.5}
    for follow, setting in ((flow_trajectories, flow), (descent_trajectories, descent)):
        ours, theirs = follow(there(K, precision), y, **setting, **students), follow(K, y, **setting, **students)
        assert_there(ours.teacher.times, theirs.teacher.times, precision)
        for name in ("teacher", "student"):
            assert_there(getattr(ours, name).targets, y, precision)
            assert_there(getattr(ours, name).fitted, getattr(theirs, name).fitted, precision)
        assert_there(ours.stopped_teacher.dual_coef, theirs.stopped_teacher.dual_coef, precision)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_held_out_errors(y, precision, fit_intercept):
    setting = {"ridge": 0.7, "n_steps": 3, "fit_intercept": fit_intercept}
    weights, groups = [[0.4, -0.2], 0.6], np.array([0, 1, 2, 0, 1, 2])
    if y.ndim == 2:
        weights.append(np.array([[0.4, 0.1], [-0.2, 0.8]]))
    gram = there(K, precision)
    for weight in weights:
        model = setting | {"label_weight": weight}
        assert_there(loo_predictions(gram, y, **model), loo_predictions(K, y, **model), precision)
        theirs = leave_group_out_predictions(K, y, groups=groups, **model)
        for labels in (groups, groups.tolist(), list("abcabc"), xp.asarray(groups, device=DEVICE)):
            ours = leave_group_out_predictions(gram, y, groups=labels, **model)
            assert_there(ours, theirs, precision)
        assert_there(gcv_score(gram, y, **model), gcv_score(K, y, **model), precision)
    model = setting | {"label_weight": [0.4, -0.2]}
    assert_there(effective_dof(gram, **model), effective_dof(K, **model), precision)
    for per_output in {False, y.ndim == 2}:
        choice = setting | {"per_output": per_output, "unit_interval": True}
        ours, theirs = loo_label_weights(gram, y, **choice), loo_label_weights(K, y, **choice)
        assert_there(ours, theirs, (precision[0], 100 * precision[1]))


def test_held_out_errors_with_sample_weights(y, precision):
    weight, groups = np.array([1.0, 2.0, 0.0, 1.0, 0.5, 3.0]), [0, 1, 2, 0, 1, 2]
    ours, theirs = Spectrum.from_gram(there(K, precision), weight), Spectrum.from_gram(K, weight)
    model = {"ridge": 0.7, "n_steps": 3, "label_weight": 0.3, "fit_intercept": True}
    assert_there(loo_predictions(ours, y, **model), loo_predictions(theirs, y, **model), precision)
    given = leave_group_out_predictions(ours, y, groups=groups, **model)
    assert_there(given, leave_group_out_predictions(theirs, y, groups=groups, **model), precision)
    assert_there(gcv_score(ours, y, **model), gcv_score(theirs, y, **model), precision)
