"""The front door against refitting, against scikit-learn, and on its own terms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_regression
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from kdtheory import SelfDistillation, SelfDistillationLimit, Spectrum, selfdistill_closed_form, selfdistill_grid
from tests.oracles import refit
from tests.strategies import problems, real_weights, unit_weights

REFITTING = 1e-9
"""Relative difference to refitting; the solves themselves lose the condition number, here up to 10^6 roundings."""


def relative_difference(ours, theirs):
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))


@pytest.mark.parametrize("n", [1, 2, 17, 100, 300])
@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
@pytest.mark.parametrize("label_weight", [0.0, 0.25, 1.0, 1.7, [0.5, -0.3, 0.0, 1.4]])
def test_every_step_equals_refitting(n, outputs, label_weight):
    rng = np.random.default_rng(n)
    X, X_test = rng.standard_normal((n, 3)), rng.standard_normal((7, 3))
    y, K, K_test = rng.standard_normal((n, *outputs)), rbf_kernel(X), rbf_kernel(X_test, X)
    path = selfdistill_closed_form(K, y, ridge=0.05, n_steps=5, label_weight=label_weight)
    reference = refit(K, y, 0.05, np.broadcast_to(label_weight, 4), K_test)
    assert path.fitted.shape == (5, n, *outputs)
    assert path.predict(K_test).shape == (5, 7, *outputs)
    assert relative_difference(path.fitted, reference.fitted) < REFITTING
    assert relative_difference(path.dual_coef, reference.dual_coef) < REFITTING
    assert relative_difference(path.predict(K_test), reference.predictions) < REFITTING


@pytest.mark.parametrize("n", [17, 300])
@pytest.mark.parametrize("label_weight", [0.25, 1.0])
def test_the_limit_equals_refitting_until_nothing_moves(n, label_weight):
    rng = np.random.default_rng(n)
    X, X_test = rng.standard_normal((n, 3)), rng.standard_normal((7, 3))
    y, K, K_test = rng.standard_normal(n), rbf_kernel(X), rbf_kernel(X_test, X)
    limit = selfdistill_closed_form(K, y, ridge=0.05, n_steps=1, label_weight=label_weight).limit
    reference = refit(K, y, 0.05, [label_weight] * 150, K_test)
    assert relative_difference(limit.fitted, reference.fitted[-1]) < REFITTING
    assert relative_difference(limit.dual_coef, reference.dual_coef[-1]) < REFITTING
    assert relative_difference(limit.predict(K_test), reference.predictions[-1]) < REFITTING


@given(problems(), st.lists(real_weights, max_size=5))
def test_any_weights_on_any_spectrum_equal_refitting(problem, weights):
    path = selfdistill_closed_form(
        problem.K, problem.y, ridge=problem.ridge, n_steps=len(weights) + 1, label_weight=weights
    )
    reference = refit(problem.K, problem.y, problem.ridge, weights, problem.K_test)
    condition = problem.eigenvalues[0] / problem.ridge + 1
    growth = np.prod([1 + 2 * abs(weight) + abs(1 - weight) for weight in weights])
    tolerance = 1e-13 * condition * growth
    for ours, theirs in (
        (path.fitted, reference.fitted),
        (path.dual_coef * problem.ridge, reference.dual_coef * problem.ridge),
        (path.predict(problem.K_test), reference.predictions),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * (1 + np.abs(problem.K_test).max()))


@pytest.mark.parametrize("n_targets", [1, 2])
def test_scikit_learn_fits_the_same_chain(n_targets):
    X, y = make_regression(60, 4, n_targets=n_targets, random_state=0)
    X_test, alpha, ridge = X[::7] + 0.1, 0.3, 0.5
    path = selfdistill_closed_form(rbf_kernel(X), y, ridge=ridge, n_steps=4, label_weight=alpha)
    predictions = path.predict(rbf_kernel(X_test, X))
    target = y
    for step in range(4):
        model = KernelRidge(alpha=ridge, kernel="rbf").fit(X, target)
        np.testing.assert_allclose(predictions[step], model.predict(X_test), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(path.dual_coef[step], model.dual_coef_, rtol=1e-9, atol=1e-9)
        target = alpha * y + (1 - alpha) * model.predict(X)


@given(problems(outputs=False), st.floats(-0.5, 2.0), st.integers(1, 8))
def test_a_constant_weight_is_the_closed_filter(problem, label_weight, n_steps):
    spectrum = Spectrum.from_gram(problem.K)
    path = selfdistill_closed_form(spectrum, problem.y, ridge=problem.ridge, n_steps=n_steps, label_weight=label_weight)
    filter_ = SelfDistillation(problem.ridge, n_steps, label_weight)
    np.testing.assert_allclose(path.shrinkage[-1], filter_.shrinkage(spectrum.eigenvalues), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(path.modes.coefficient[-1], filter_(spectrum.eigenvalues), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("label_weight", [-1e6, 50.0, 1e6])
def test_huge_weights_keep_their_digits_where_the_fit_is_almost_exact(label_weight):
    """The recursion on the shrinkage alone would amplify its roundings by the weight at every step."""
    spectrum = Spectrum([1.0], [[1.0]])
    path = selfdistill_closed_form(spectrum, [1.0], ridge=1e-14, n_steps=3, label_weight=label_weight)
    exact = SelfDistillation(1e-14, 3, label_weight).shrinkage([1.0])
    np.testing.assert_allclose(path.shrinkage[-1], exact, rtol=1e-14)


def test_results_do_not_follow_later_changes_of_the_targets():
    y = np.array([1.0, 2.0])
    path = selfdistill_closed_form(np.eye(2), y, ridge=1.0, n_steps=1)
    y[:] = 0.0
    np.testing.assert_array_equal(path.fitted, [[0.5, 1.0]])


@pytest.mark.parametrize("label_weight", [(0.5, 0.25), np.array([0.5, 0.25]), [0.5, 0.25]])
def test_any_sequence_of_weights_is_welcome(label_weight):
    path = selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=3, label_weight=label_weight)
    np.testing.assert_array_equal(path.label_weights, [0.5, 0.25])


@pytest.mark.parametrize("label_weight", [0.5, np.float32(0.5), np.array(0.5), [0.5, 0.5]])
def test_any_number_is_one_constant(label_weight):
    path = selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=3, label_weight=label_weight)
    np.testing.assert_allclose(path.limit.shrinkage, [1 / 3])


def test_a_shared_spectrum_gives_what_the_matrix_gives():
    rng = np.random.default_rng(0)
    K, y = rbf_kernel(rng.standard_normal((30, 2))), rng.standard_normal(30)
    spectrum = Spectrum.from_gram(K)
    for label_weight in (0.0, 0.5):
        ours = selfdistill_closed_form(spectrum, y, ridge=0.1, n_steps=3, label_weight=label_weight)
        theirs = selfdistill_closed_form(K, y, ridge=0.1, n_steps=3, label_weight=label_weight)
        np.testing.assert_array_equal(ours.fitted, theirs.fitted)
        assert ours.spectrum is spectrum


@given(problems(outputs=False))
def test_without_its_zero_eigenvalues_a_spectrum_gives_the_same_function(problem):
    full = Spectrum.from_gram(problem.K)
    setting = {"ridge": problem.ridge, "n_steps": 3, "label_weight": 0.5}
    ours = selfdistill_closed_form(full.positive(), problem.y, **setting)
    theirs = selfdistill_closed_form(full, problem.y, **setting)
    np.testing.assert_allclose(ours.fitted, theirs.fitted, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours.predict(problem.K_test), theirs.predict(problem.K_test), rtol=0, atol=1e-11)
    assert ours.shrinkage_ratios.shape == (3, full.rank - 1)


def test_ratios_that_divide_by_zero_are_refused():
    path = selfdistill_closed_form(np.diag([1.0, 0.0]), [1.0, 1.0], ridge=1.0, n_steps=2)
    with pytest.raises(ZeroDivisionError, match=r"got 0 for the eigenvalue 0.0; Spectrum.positive\(\) drops zero"):
        _ = path.shrinkage_ratios


@pytest.mark.parametrize("label_weight", [[0.5, 0.2], [0.1, 0.1, 0.2]])
def test_the_limit_needs_one_constant_weight(label_weight):
    path = selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=len(label_weight) + 1, label_weight=label_weight)
    with pytest.raises(ValueError, match="label_weight must be one constant for the infinite-step limit"):
        _ = path.limit


def test_a_sequence_of_equal_weights_is_one_constant():
    path = selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=3, label_weight=[0.5, 0.5])
    np.testing.assert_allclose(path.limit.shrinkage, SelfDistillationLimit(1.0, 0.5).shrinkage([1.0]))


def test_a_limit_that_does_not_exist_leaves_the_finite_steps_alone():
    path = selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=3, label_weight=5.0)
    np.testing.assert_allclose(path.shrinkage[:, 0], [0.5, 1.5, -0.5])
    with pytest.raises(ValueError, match=r"label_weight must be > -1.0 and < 3.0 .* got 5.0"):
        _ = path.limit


@given(problems(), st.lists(st.one_of(unit_weights, real_weights), min_size=1, max_size=4))
def test_the_grid_holds_every_path(problem, weights):
    ridges = [0.1, 2.0]
    grid = selfdistill_grid(problem.K, problem.y, ridges=ridges, n_steps=4, label_weights=weights)
    predictions = grid.predict(problem.K_test)
    assert grid.fitted.shape == (2, len(weights), 4, *problem.y.shape)
    for i, j in np.ndindex(2, len(weights)):
        path = selfdistill_closed_form(problem.K, problem.y, ridge=ridges[i], n_steps=4, label_weight=weights[j])
        np.testing.assert_allclose(grid.shrinkage[i, j], path.shrinkage, rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(grid.fitted[i, j], path.fitted, rtol=0, atol=1e-12)
        np.testing.assert_allclose(grid.dual_coef[i, j], path.dual_coef, rtol=0, atol=1e-10)
        np.testing.assert_allclose(predictions[i, j], path.predict(problem.K_test), rtol=0, atol=1e-10)


def test_a_grid_keeps_its_digits_for_huge_weights():
    """As combinations of pure models they would lose all of them."""
    spectrum = Spectrum([1.0], [[1.0]])
    grid = selfdistill_grid(spectrum, [1.0], ridges=[1e-14], n_steps=3, label_weights=[0.5, 1e6])
    exact = [[SelfDistillation(1e-14, step, weight).shrinkage([1.0]) for step in (1, 2, 3)] for weight in (0.5, 1e6)]
    np.testing.assert_allclose(grid.fitted[0], exact, rtol=1e-14)
    assert grid.basis.fitted.shape == (1, 6, 1)


def test_it_prints_what_matters():
    path = selfdistill_closed_form(np.eye(2), np.ones((2, 3)), ridge=1.0, n_steps=3, label_weight=[0.5, 0.25])
    assert repr(path) == (
        "SelfDistillationPath(n_points=2, n_outputs=3, ridge=1, n_steps=3, label_weights=[0.5, 0.25],"
        " effective_dof=1 -> 0.5312)"
    )
    long = selfdistill_closed_form(np.eye(2), np.ones(2), ridge=1.0, n_steps=20)
    assert "label_weights=[0, 0, 0, 0, 0, 0, ...]" in repr(long)


def test_limits_and_grids_print_what_matters():
    path = selfdistill_closed_form(np.eye(2), np.ones((2, 3)), ridge=1.0, n_steps=1, label_weight=0.5)
    assert repr(path.limit) == "SpectralFit(n_points=2, n_outputs=3, effective_dof=0.6667)"
    grid = selfdistill_grid(np.eye(2), np.ones(2), ridges=[1.0, 2.0], n_steps=4, label_weights=[0.5])
    assert repr(grid) == "SelfDistillationGrid(n_points=2, n_ridges=2, n_label_weights=1, n_steps=4)"
    assert repr(grid.basis) == "SpectralFit(n_points=2, models=(2, 4))"
    np.testing.assert_array_equal(grid.ridges, [1.0, 2.0])
    np.testing.assert_array_equal(grid.label_weights, [0.5])
    np.testing.assert_allclose(grid.effective_dof, grid.shrinkage.sum(axis=-1))


def test_effective_degrees_of_freedom_are_the_trace_of_the_hat_matrix():
    rng = np.random.default_rng(0)
    K = rbf_kernel(rng.standard_normal((12, 2)))
    of_every_unit_vector = selfdistill_closed_form(K, np.eye(12), ridge=0.3, n_steps=3, label_weight=0.4)
    traces = np.trace(of_every_unit_vector.fitted, axis1=1, axis2=2)
    np.testing.assert_allclose(of_every_unit_vector.effective_dof, traces, rtol=1e-12)
