"""Arguments of what follows, distils and holds out: defaults are as documented, errors read as they should."""

import inspect

import numpy as np
import pytest

from kdtheory import (
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

K = np.array([[2.0, 1.0, 0.0, 0.3], [1.0, 3.0, 0.5, 0.1], [0.0, 0.5, 2.0, 0.2], [0.3, 0.1, 0.2, 1.0]])
Y = np.array([[1.0, 0.5], [-2.0, 0.2], [0.7, 1.0], [0.3, -1.0]])
CHAIN = {"ridge": 0.5, "n_steps": 3}

SETTINGS = {
    flow_trajectories: {"times": [0.5, 2.0], "teacher_time": 1.0},
    descent_trajectories: {"iterations": [1, 4], "learning_rate": 0.1, "teacher_iterations": 3, "momentum": 0.4},
    selfdistill_closed_form: CHAIN,
    selfdistill_grid: {"ridges": [0.5, 2.0], "n_steps": 3, "label_weights": [0.3, 1.2]},
    loo_predictions: CHAIN,
    leave_group_out_predictions: CHAIN | {"groups": [0, 0, 1, 1]},
    loo_label_weights: CHAIN,
    gcv_score: CHAIN,
    effective_dof: CHAIN,
}
DEFAULTS = {
    "label_weight": 0.0,
    "warm_start": False,
    "n_rounds": 1,
    "weight_decay": 0.0,
    "momentum": 0.0,
    "nesterov": False,
    "fit_intercept": False,
    "unit_interval": False,
    "per_output": False,
}
REFUSED = {
    "K": (np.full((4, 4), np.nan), "must be finite"),
    "y": (np.ones(3), "must have 4 rows"),
    "ridge": (0.0, "must be > 0"),
    "ridges": ([1.0, 0.0], "must be > 0"),
    "n_steps": (0, "must be >= 1"),
    "label_weight": (np.nan, "must be finite"),
    "label_weights": ([np.nan], "must be finite"),
    "groups": ([0, 1], r"must have shape \(4,\), one label a point"),
    "fit_intercept": (1, "must be True or False"),
    "unit_interval": (1, "must be True or False"),
    "per_output": (1, "must be True or False"),
    "times": ([-1.0], "must be >= 0"),
    "teacher_time": (-1.0, "must be >= 0"),
    "iterations": ([-1], "must be >= 0"),
    "teacher_iterations": (-1, "must be >= 0"),
    "learning_rate": (0.0, "must be > 0"),
    "momentum": (1.0, "must be > -1"),
    "nesterov": (1, "must be True or False"),
    "warm_start": (1, "must be True or False"),
    "n_rounds": (0, "must be >= 1"),
    "weight_decay": (-0.1, "must be >= 0"),
}


def parameters(*, optional):
    return [
        pytest.param(function, parameter.name, id=f"{function.__name__}-{parameter.name}")
        for function in SETTINGS
        for parameter in inspect.signature(function).parameters.values()
        if not optional or parameter.default is not parameter.empty
    ]


def call(function, **changes):
    arguments = {"K": K, "y": Y, **SETTINGS[function], **changes}
    positional = [arguments.pop(name) for name in ("K", "y")]
    return function(*positional[: 1 if function is effective_dof else 2], **arguments)


def numbers(result):
    """What a function returns, or the fitted values of the last model of it."""
    last = getattr(result, "student", result)
    return getattr(last, "fitted", last)


@pytest.mark.parametrize(("function", "name"), parameters(optional=True))
def test_what_is_left_out_is_as_documented(function, name):
    settings = {"nesterov": {"momentum": 0.4}, "momentum": {"nesterov": True}}.get(name, {})
    without = {key: value for key, value in SETTINGS[function].items() if key != name} | settings
    arguments = (K,) if function is effective_dof else (K, Y)
    expected = numbers(function(*arguments, **without, **{name: DEFAULTS[name]}))
    np.testing.assert_array_equal(numbers(function(*arguments, **without)), expected)


@pytest.mark.parametrize(("function", "name"), parameters(optional=False))
def test_every_argument_is_refused_under_its_own_name(function, name):
    value, rule = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=f"^{name} {rule}.*, got "):
        call(function, **{name: value})


@pytest.mark.parametrize(
    ("function", "change", "error", "message"),
    [
        (flow_trajectories, {"times": [1.0, -0.5]}, ValueError, "times must be >= 0, got -0.5"),
        (flow_trajectories, {"times": 1.0}, ValueError, "times must be 1-dimensional, got shape ()"),
        (flow_trajectories, {"times": [np.nan]}, ValueError, "times must be finite, got nan at index 0"),
        (descent_trajectories, {"iterations": 1}, ValueError, "iterations must be 1-dimensional, got shape ()"),
        (descent_trajectories, {"iterations": [np.nan]}, ValueError, "iterations must be finite, got nan at index 0"),
        (descent_trajectories, {"iterations": [1, 2.5]}, TypeError, "iterations must hold integers, got 2.5"),
        (descent_trajectories, {"iterations": [3, -1]}, ValueError, "iterations must be >= 0 and < 2**53, got -1"),
        (
            descent_trajectories,
            {"iterations": [2**53, 1]},
            ValueError,
            "iterations must be >= 0 and < 2**53, got 9007199254740992",
        ),
        (
            loo_predictions,
            {"label_weight": [[0.5, 0.5]]},
            ValueError,
            "label_weight of two dimensions must have n_steps - 1 = 2 rows and one column for each output of y, which"
            " has the outputs (2,), got shape (1, 2)",
        ),
        (
            loo_predictions,
            {"label_weight": np.ones((2, 2)), "y": Y[:, 0]},
            ValueError,
            "label_weight of two dimensions must have n_steps - 1 = 2 rows and one column for each output of y, which"
            " has the outputs (), got shape (2, 2)",
        ),
        (
            loo_predictions,
            {"label_weight": np.ones((0, 2))},
            ValueError,
            "label_weight must not be empty, got shape (0, 2)",
        ),
        (
            leave_group_out_predictions,
            {"groups": [[0, 1, 0, 1]]},
            ValueError,
            "groups must have shape (4,), one label a point, got (1, 4)",
        ),
        (
            leave_group_out_predictions,
            {"groups": list("aaaa")},
            ValueError,
            "groups must hold at least two different labels, got ['a']",
        ),
        (
            loo_label_weights,
            {"y": Y[:, 0], "per_output": True},
            ValueError,
            "per_output must be False for y of one dimension, got True",
        ),
        (
            loo_predictions,
            {"label_weight": 1e200},
            OverflowError,
            "the held-out prediction at index (2, 0, 0) is too large for float64",
        ),
        (
            flow_trajectories,
            {"label_weight": 1e200, "n_rounds": 3},
            OverflowError,
            "a filter value of Trajectory at index (0, 0) is too large for float64",
        ),
        (
            descent_trajectories,
            {"K": 1e-310 * np.eye(4), "learning_rate": 1e300, "iterations": [10**12], "momentum": 0.0},
            OverflowError,
            "a filter value of Trajectory at index (0, 0) is too large for float64",
        ),
        (
            loo_predictions,
            {"label_weight": [1.0, 1e200, 1e200], "n_steps": 4},
            OverflowError,
            "the held-out prediction at index (3, 0, 0) is too large for float64",
        ),
        (
            loo_predictions,
            {"label_weight": 1e200, "n_steps": 5},
            OverflowError,
            "the held-out prediction at index (2, 0, 0) is too large for float64",
        ),
        (
            loo_predictions,
            {"label_weight": 1e200, "n_steps": 2, "y": 1e200 * Y},
            OverflowError,
            "the held-out prediction at index (1, 0, 0) is too large for float64",
        ),
        (
            selfdistill_closed_form,
            {"K": np.diag([1.0, 2.0, 0.0, 0.0]), "label_weight": 1e200, "n_steps": 5},
            OverflowError,
            "a filter value of SelfDistillationPath at index (2, 0) is too large for float64",
        ),
        (
            selfdistill_closed_form,
            {"K": np.zeros((4, 4)), "ridge": 5e-324},
            OverflowError,
            "a filter value of SelfDistillationPath at index (0, 0) is too large for float64",
        ),
        (gcv_score, {"y": 1e200 * Y}, OverflowError, "the score at index 0 is too large for float64"),
    ],
)
def test_messages_read_as_they_should(function, change, error, message):
    with pytest.raises(error) as caught:
        call(function, **change)
    assert str(caught.value) == message


def test_a_limit_without_a_constant_label_weight_is_refused_with_the_weights():
    message = r"^label_weight must be one constant for the infinite-step limit, got array\(\[0.5 , 0.25\]\)$"
    with pytest.raises(ValueError, match=message):
        _ = call(selfdistill_closed_form, label_weight=[0.5, 0.25]).limit


def test_one_step_takes_no_label_weights_of_each_output():
    expected = call(loo_predictions, n_steps=1)
    np.testing.assert_array_equal(call(loo_predictions, n_steps=1, label_weight=np.zeros((0, 2))), expected)


def test_as_many_iterations_as_floats_count_are_welcome():
    run = call(descent_trajectories, iterations=[2**53 - 1, 0, 2], momentum=0.0)
    np.testing.assert_array_equal(run.teacher.times, [2.0**53 - 1, 0.0, 2.0])
    np.testing.assert_allclose(run.teacher.fitted[0], Y, rtol=1e-12)
    np.testing.assert_array_equal(run.teacher.fitted[1], np.zeros_like(Y))


def test_a_flow_beyond_the_range_of_exponents_has_arrived():
    run = call(flow_trajectories, K=1e300 * np.eye(4), times=[0.0, 1e300], teacher_time=1e300, label_weight=0.5)
    for trajectory in (run.teacher, run.student):
        np.testing.assert_allclose(trajectory.fitted, np.stack([np.zeros_like(Y), Y]), rtol=1e-15)
        np.testing.assert_allclose(1e300 * trajectory.dual_coef[1], Y, rtol=1e-15)


def test_trajectories_know_their_moments():
    flow, descent = call(flow_trajectories, n_rounds=2), call(descent_trajectories)
    assert repr(flow) == "DistillationTrajectories(n_points=4, n_times=2, n_rounds=2)"
    assert repr(descent) == "DistillationTrajectories(n_points=4, n_times=2, n_rounds=1)"
    for run, times, stop in ((flow, [0.5, 2.0], 1.0), (descent, [1.0, 4.0], 3.0)):
        assert type(run.stopped_at) is float
        assert run.stopped_at == stop
        for trajectory in (run.teacher, *run.rounds):
            assert trajectory.times.dtype == np.float64
            np.testing.assert_array_equal(trajectory.times, times)
    np.testing.assert_array_equal(flow.stopped_teacher.fitted, call(flow_trajectories, times=[1.0]).teacher.fitted[0])


@pytest.mark.parametrize(
    ("n_steps", "weights"), [(1, ""), (2, "0.5"), (7, ", ".join(["0.5"] * 6)), (8, ", ".join(["0.5"] * 6) + ", ...")]
)
def test_paths_print_six_label_weights(n_steps, weights):
    path = selfdistill_closed_form(np.eye(2), [1.0, 2.0], ridge=1.0, n_steps=n_steps, label_weight=0.5)
    assert f", ridge=1, n_steps={n_steps}, label_weights=[{weights}], effective_dof=1 -> " in repr(path)
    assert repr(path).startswith("SelfDistillationPath(n_points=2, ridge=1,")


def test_paths_on_a_part_of_the_spectrum_print_no_degrees_of_freedom():
    part = Spectrum.lanczos(K, Y[:, 0], 2)
    path = selfdistill_closed_form(part, Y[:, 0], ridge=1.0, n_steps=2)
    assert repr(path) == "SelfDistillationPath(n_points=4, ridge=1, n_steps=2, label_weights=[0])"


def test_a_grid_has_one_basis_for_all_label_weights_between_zero_and_one():
    grid = selfdistill_grid(K, Y, ridges=[0.5], n_steps=3, label_weights=[0.0, 0.3, 1.0, 1.2, -0.1, 1.2])
    assert grid.basis.shrinkage.shape == (1, 3 * 3, 4)  # pure, and of two label weights outside
    assert grid.combinations.shape == (6, 3, 9)
