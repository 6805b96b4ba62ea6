"""Every kind of bad input is refused with the argument, the rule and the value in the message."""

import numpy as np
import pytest

from kdtheory import (
    Distilled,
    Ridge,
    SelfDistillation,
    SelfDistillationLimit,
    Spectrum,
    combination_from_label_weights,
    greedy_label_weights,
    joint_label_weights,
    label_weights_from_combination,
    selfdistill_closed_form,
    selfdistill_constrained,
    selfdistill_grid,
    solve_ridge,
)
from kdtheory.kernels import RBF

GOOD = {"K": np.eye(3), "y": np.ones(3), "ridge": 1.0, "n_steps": 3, "label_weight": 0.5}

PENALTIES = [
    (0.0, ValueError, "must be > 0, got 0.0"),
    (-0.1, ValueError, "must be > 0, got -0.1"),
    (np.nan, ValueError, "must be finite, got nan"),
    (np.inf, ValueError, "must be finite, got inf"),
    ("0.2", TypeError, "must be a real number, got '0.2'"),
    (None, TypeError, "must be a real number, got None"),
    (1j, TypeError, "must be a real number, got 1j"),
    (True, TypeError, "must be a real number, got True"),
    (10**400, ValueError, "must be at most about 1.8e308 in size"),
]
COUNTS = [
    (0, ValueError, "must be >= 1, got 0"),
    (-3, ValueError, "must be >= 1, got -3"),
    (2.0, TypeError, "must be an integer, got 2.0"),
    (2.5, TypeError, "must be an integer, got 2.5"),
    (np.inf, TypeError, "must be an integer, got inf"),
    (True, TypeError, "must be an integer, got True"),
    ("3", TypeError, "must be an integer, got '3'"),
    (None, TypeError, "must be an integer, got None"),
]
NUMBERS = [case for case in PENALTIES if case[0] not in (0.0, -0.1)]


@pytest.mark.parametrize(("value", "error", "message"), PENALTIES)
def test_penalties(value, error, message):
    for call in (
        lambda: Ridge(value),
        lambda: SelfDistillation(value, 2, 0.5),
        lambda: SelfDistillationLimit(value, 0.5),
        lambda: selfdistill_closed_form(**GOOD | {"ridge": value}),
    ):
        with pytest.raises(error, match=f"^ridge {message}"):
            call()
    with pytest.raises(error, match=f"^tolerance {message}"):
        selfdistill_constrained(np.eye(3), np.ones(3), tolerance=value)


@pytest.mark.parametrize(("value", "error", "message"), COUNTS)
def test_numbers_of_steps(value, error, message):
    for call in (
        lambda: SelfDistillation(1.0, value, 0.5),
        lambda: selfdistill_closed_form(**GOOD | {"n_steps": value}),
        lambda: selfdistill_grid(np.eye(3), np.ones(3), ridges=[1.0], n_steps=value, label_weights=[0.0]),
    ):
        with pytest.raises(error, match=f"^n_steps {message}"):
            call()
    with pytest.raises(error, match=f"^max_rounds {message}"):
        selfdistill_constrained(np.eye(3), np.ones(3), tolerance=0.1, max_rounds=value)


@pytest.mark.parametrize(("value", "error", "message"), NUMBERS)
def test_label_weights(value, error, message):
    for call in (
        lambda: SelfDistillation(1.0, 2, value),
        lambda: SelfDistillationLimit(1.0, value),
        lambda: Distilled(Ridge(1.0), Ridge(1.0), value),
        lambda: selfdistill_closed_form(**GOOD | {"label_weight": value}),
    ):
        with pytest.raises(error, match=f"^label_weight {message}"):
            call()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([0.5], ValueError, "must be one number or n_steps - 1 = 2 of them, got 1"),
        ([0.5, 0.5, 0.5], ValueError, "must be one number or n_steps - 1 = 2 of them, got 3"),
        ([], ValueError, "must not be empty, got shape"),
        ([[0.5, 0.5]], ValueError, r"must be 1-dimensional, got shape \(1, 2\)"),
        ([0.5, np.nan], ValueError, "must be finite, got nan at index 1"),
        (["a", "b"], TypeError, "must hold real numbers"),
    ],
)
def test_sequences_of_label_weights(value, error, message):
    with pytest.raises(error, match=f"^label_weight {message}"):
        selfdistill_closed_form(**GOOD | {"label_weight": value})


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ones(4), ValueError, r"must have 3 rows, one for each point, got shape \(4,\)"),
        (np.ones((4, 3)), ValueError, r"must have 3 rows, one for each point, got shape \(4, 3\)"),
        (np.ones((3, 1, 1)), ValueError, "must be 1-dimensional or 2-dimensional"),
        (1.0, ValueError, r"must be 1-dimensional or 2-dimensional, got shape \(\)"),
        ([], ValueError, "must not be empty"),
        (np.ones((3, 0)), ValueError, "must not be empty"),
        ([1.0, np.nan, 1.0], ValueError, "must be finite, got nan at index 1"),
        ([1.0, 1.0, -np.inf], ValueError, "must be finite, got -inf at index 2"),
        (["a", "b", "c"], TypeError, "must hold real numbers"),
        ([1j, 1, 1], TypeError, "must hold real numbers"),
        (None, TypeError, "must hold real numbers"),
    ],
)
def test_targets(value, error, message):
    with pytest.raises(error, match=f"^y {message}"):
        selfdistill_closed_form(**GOOD | {"y": value})
    with pytest.raises(error, match=f"^y {message}"):
        selfdistill_constrained(np.eye(3), value, tolerance=0.1)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ones((2, 4)), ValueError, r"must have 3 columns, one for each training point, got shape \(2, 4\)"),
        (np.ones(3), ValueError, "must be 2-dimensional"),
        (np.ones((0, 3)), ValueError, "must not be empty"),
        ([[1.0, np.nan, 1.0]], ValueError, r"must be finite, got nan at index \(0, 1\)"),
        ([["a", "b", "c"]], TypeError, "must hold real numbers"),
    ],
)
def test_cross_gram_matrices(value, error, message):
    path = selfdistill_closed_form(**GOOD)
    for predict in (path.predict, path.limit.predict):
        with pytest.raises(error, match=f"^K_test {message}"):
            predict(value)


def test_targets_of_a_grid():
    with pytest.raises(ValueError, match="^y must have 3 rows"):
        selfdistill_grid(np.eye(3), np.ones(4), ridges=[1.0], n_steps=2, label_weights=[0.0])


@pytest.mark.parametrize("ridges", [[1.0, 0.0], [1.0, -1.0]])
def test_ridges_of_a_grid(ridges):
    with pytest.raises(ValueError, match="^ridges must be > 0, got"):
        selfdistill_grid(np.eye(3), np.ones(3), ridges=ridges, n_steps=2, label_weights=[0.0])


@pytest.mark.parametrize("name", ["ridges", "label_weights"])
@pytest.mark.parametrize(
    ("value", "message"), [([], "must not be empty"), (1.0, "must be 1-dimensional"), ([np.nan], "must be finite")]
)
def test_axes_of_a_grid(name, value, message):
    axes = {"ridges": [1.0], "label_weights": [0.0]} | {name: value}
    with pytest.raises(ValueError, match=f"^{name} {message}"):
        selfdistill_grid(np.eye(3), np.ones(3), n_steps=2, **axes)


def test_teachers_and_students_must_be_filters():
    with pytest.raises(TypeError, match="teacher must be a Filter, got 1.0"):
        Distilled(1.0, Ridge(1.0), 0.5)
    with pytest.raises(TypeError, match="student must be a Filter, got None"):
        Distilled(Ridge(1.0), None, 0.5)


@pytest.mark.parametrize(
    ("function", "name"),
    [(combination_from_label_weights, "label_weights"), (label_weights_from_combination, "combination")],
)
@pytest.mark.parametrize("value", [[0.5, np.nan], [[0.5, 0.5]], [np.inf]])
def test_combinations(function, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be (finite|1-dimensional)"):
        function(value)


@pytest.mark.parametrize("label_weight", [1e200, [1e200] * 3])
def test_weights_that_overflow_are_refused_at_once(label_weight):
    with pytest.raises(OverflowError, match="too large for float64"):
        selfdistill_closed_form(np.eye(3), np.ones(3), ridge=1.0, n_steps=4, label_weight=label_weight)


def test_targets_and_kernels_that_overflow_are_refused_when_asked():
    path = selfdistill_closed_form(np.eye(3), np.full(3, 1e308), ridge=1e-5, n_steps=2, label_weight=-10.0)
    with pytest.raises(OverflowError, match="the prediction at index .* is too large"):
        path.predict(np.full((1, 3), 1e10))
    diverging = selfdistill_closed_form(np.eye(3), np.full(3, 1e300), ridge=1.0, n_steps=2, label_weight=1e20)
    with pytest.raises(OverflowError, match="the lifted value at index .* is too large"):
        _ = diverging.fitted
    many = selfdistill_closed_form(np.eye(300), np.ones(300), ridge=1.0, n_steps=2, label_weight=1e308)
    with pytest.raises(OverflowError, match="the effective degrees of freedom at index 1"):
        _ = many.effective_dof


def test_eigenvalues_and_components_that_overflow_are_refused():
    with pytest.raises(OverflowError, match="the eigenvalue of K at index 0 is too large for float64"):
        Spectrum.from_gram(np.full((3, 3), 1.7e308))
    with pytest.raises(OverflowError, match="the component of y at index 0 is too large"):
        Spectrum([1.0], [[1.0], [1.0]]).coordinates([1.5e308, 1.5e308])


@pytest.mark.parametrize("choose", [greedy_label_weights, joint_label_weights])
@pytest.mark.parametrize("unit_interval", [False, True])
def test_validation_predictions_that_overflow_are_refused(choose, unit_interval):
    huge = np.full((2, 2), 1.7e308)
    with pytest.raises(OverflowError, match="the prediction at the validation points"):
        choose(np.eye(2), [5.0, 5.0], ridge=1.0, n_steps=3, K_val=huge, y_val=[1.0, 1.0], unit_interval=unit_interval)


def test_combinations_that_overflow_are_refused():
    with pytest.raises(OverflowError, match="the coefficient at index 1 is too large"):
        combination_from_label_weights([1e200, -1e200])


@pytest.mark.parametrize("choose", [greedy_label_weights, joint_label_weights])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"K": np.ones((2, 3))}, ValueError, "K must be square"),
        ({"y": [1.0]}, ValueError, "y must have 2 rows"),
        ({"unit_interval": "no"}, TypeError, "unit_interval must be True or False, got 'no'"),
    ],
)
def test_choices_of_label_weights(choose, change, error, message):
    good = {"K": np.eye(2), "y": [1.0, 2.0], "ridge": 1.0, "n_steps": 2, "K_val": np.eye(2), "y_val": [1.0, 1.0]}
    with pytest.raises(error, match=f"^{message}"):
        choose(**good | change)


def test_ragged_sequences_are_named():
    with pytest.raises(ValueError, match="^label_weight must be a rectangular array of numbers, got list"):
        selfdistill_closed_form(**GOOD | {"label_weight": [[1.0], [1.0, 2.0]]})
    with pytest.raises(ValueError, match="^label_weights must be a rectangular array of numbers, got list"):
        combination_from_label_weights([[1.0], [1.0, 2.0]])


def test_operators_and_kernels_in_the_place_of_arrays_say_what_to_do():
    kernel, X = RBF(), np.ones((3, 2))
    for call in (Spectrum.from_gram, lambda K: selfdistill_closed_form(K, np.ones(3), ridge=1.0, n_steps=1)):
        with pytest.raises(TypeError, match=r"K must be an array, got a GramOperator: Spectrum.lanczos and Spec"):
            call(kernel.operator(X))
    for call in (lambda K: Spectrum.lanczos(K, np.ones(3), 2), lambda K: solve_ridge(K, np.ones(3), 1.0)):
        with pytest.raises(TypeError, match=r"operator must be of points, got the kernel RBF.*: use its gram\(X\) or"):
            call(kernel)
    with pytest.raises(TypeError, match="filter_ must be a Filter, a function of the eigenvalues, .* got 'ridge'"):
        Spectrum.lanczos(np.eye(3), np.ones(3), 2, filter_="ridge")
