"""Sample weights: replicated points, points of weight zero, and every model on a weighted spectrum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge

from kdtheory import (
    GradientFlow,
    Ridge,
    Spectrum,
    fit_filter,
    flow_trajectories,
    greedy_label_weights,
    joint_label_weights,
    selfdistill_closed_form,
    selfdistill_constrained,
    selfdistill_grid,
)
from tests.oracles import integrate_flow
from tests.strategies import problems, real_weights

FILTERS = [Ridge(0.3), GradientFlow(0.7), GradientFlow(2.0, 0.1)]


@st.composite
def weighted_problems(draw, integers=False, positive=False):
    problem = draw(problems(high=10.0))
    n = len(problem.eigenvalues)
    entry = st.integers(1 if positive else 0, 3) if integers else st.floats(1e-3 if positive else 0.0, 5.0)
    weights = np.array(draw(st.lists(entry, min_size=n, max_size=n)), dtype=float)
    if not weights.any():
        weights[draw(st.integers(0, n - 1))] = 1.0
    return problem, weights


def expected_models(problem, weights, filter_):
    """The same models on the points repeated as often as they weigh."""
    repeated = np.repeat(np.arange(len(weights)), weights.astype(int))
    fit = fit_filter(problem.K[np.ix_(repeated, repeated)], problem.y[repeated], filter_)
    return fit.predict(problem.K[:, repeated]), fit.predict(problem.K_test[:, repeated])


@pytest.mark.parametrize("filter_", FILTERS)
@given(weighted_problems(integers=True))
def test_integer_weights_are_repeated_points_also_where_they_are_zero(filter_, case):
    problem, weights = case
    fit = fit_filter(Spectrum.from_gram(problem.K, sample_weight=weights), problem.y, filter_)
    at_points, predictions = expected_models(problem, weights, filter_)
    np.testing.assert_allclose(fit.fitted, at_points, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fit.predict(problem.K_test), predictions, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.einsum("ij,j...->i...", problem.K, fit.dual_coef), fit.fitted, atol=1e-8)


@given(weighted_problems(positive=True))
def test_ridge_regression_weighs_as_scikit_learn_does(case):
    problem, weights = case
    fit = fit_filter(Spectrum.from_gram(problem.K, sample_weight=weights), problem.y, Ridge(0.5))
    model = KernelRidge(alpha=0.5, kernel="precomputed").fit(problem.K, problem.y, sample_weight=weights)
    np.testing.assert_allclose(fit.dual_coef, model.dual_coef_, rtol=1e-8, atol=1e-8)


@given(weighted_problems(), real_weights)
def test_self_distillation_with_weights_is_that_of_the_weighted_fits(case, label_weight):
    problem, weights = case
    path = selfdistill_closed_form(
        Spectrum.from_gram(problem.K, sample_weight=weights),
        problem.y,
        ridge=problem.ridge,
        n_steps=3,
        label_weight=label_weight,
    )
    W, n = np.diag(weights), len(weights)
    hat = problem.K @ np.linalg.solve(W @ problem.K + problem.ridge * np.eye(n), W)
    target = problem.y
    size = np.abs(problem.y).max() * (1 + abs(label_weight)) ** 3
    for fitted in path.fitted:
        step = hat @ target
        np.testing.assert_allclose(fitted, step, rtol=1e-7, atol=1e-8 * size)
        target = label_weight * problem.y + (1 - label_weight) * step


@given(weighted_problems(positive=True), st.floats(0.0, 3.0))
def test_the_weighted_flow_is_its_differential_equation(case, time):
    """`f′ = −K W (f − y)`, in coordinates `√w·f` where the matrix is symmetric."""
    problem, weights = case
    root = np.sqrt(weights).reshape(-1, *[1] * (problem.y.ndim - 1))
    run = flow_trajectories(
        Spectrum.from_gram(problem.K, sample_weight=weights), problem.y, times=[time], teacher_time=1.0
    )
    whitened = integrate_flow(np.sqrt(weights)[:, None] * problem.K * np.sqrt(weights), root * problem.y, time)
    np.testing.assert_allclose(run.teacher.fitted[0], whitened / root, rtol=1e-6, atol=1e-7)


@given(weighted_problems())
def test_equal_weights_of_one_change_nothing(case):
    problem, _ = case
    n = len(problem.eigenvalues)
    weighted = Spectrum.from_gram(problem.K, sample_weight=np.ones(n))
    plain = Spectrum.from_gram(problem.K)
    validation = {"K_val": problem.K_test, "y_val": problem.y_test}
    for choose in (greedy_label_weights, joint_label_weights):
        a, b = (
            choose(spectrum, problem.y, ridge=problem.ridge, n_steps=2, **validation) for spectrum in (weighted, plain)
        )
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    grids = [
        selfdistill_grid(spectrum, problem.y, ridges=[0.1, 1.0], n_steps=2, label_weights=[0.5]).fitted
        for spectrum in (weighted, plain)
    ]
    np.testing.assert_allclose(*grids, rtol=1e-9, atol=1e-9)
    assert repr(weighted) == repr(plain).replace("Spectrum", "WeightedSpectrum")


def test_a_constrained_chain_bounds_the_weighted_error():
    rng = np.random.default_rng(0)
    X, y, weights = rng.standard_normal((6, 6)), rng.standard_normal(6), np.array([0.5, 2.0, 1.0, 3.0, 0.1, 1.0])
    tolerance = 0.2 * float(np.mean(weights * y**2))
    path = selfdistill_constrained(Spectrum.from_gram(X @ X.T, sample_weight=weights), y, tolerance=tolerance)
    np.testing.assert_allclose(np.mean(weights * (path.fitted[0] - y) ** 2), tolerance, rtol=1e-9)


def test_weights_scale_the_degrees_of_freedom_not_the_penalty():
    K = np.diag([2.0, 1.0])
    fit = fit_filter(Spectrum.from_gram(K, sample_weight=[3.0, 0.0]), [1.0, 1.0], Ridge(1.0))
    np.testing.assert_allclose(fit.effective_dof, 6.0 / 7.0)
    np.testing.assert_allclose(fit.fitted, [6.0 / 7.0, 0.0])


def test_dropping_zero_eigenvalues_keeps_the_weights():
    spectrum = Spectrum.from_gram(np.ones((3, 3)), sample_weight=[1.0, 2.0, 0.0])
    small = spectrum.positive()
    assert small.rank == 1
    for s in (spectrum, small):
        np.testing.assert_allclose(fit_filter(s, [1.0, 2.0, 9.0], Ridge(1.0)).fitted, np.full(3, 5.0 / 4.0))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -0.5], "sample_weight must be >= 0, got -0.5"),
        ([0.0, 0.0], "sample_weight must hold at least one weight > 0, got zeros only"),
        ([1.0, np.nan], "sample_weight must be finite, got nan at index 1"),
        ([1.0], r"sample_weight must have shape \(2,\), one weight a point, got \(1,\)"),
        ([[1.0, 1.0]], r"sample_weight must have shape \(2,\), one weight a point, got \(1, 2\)"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Spectrum.from_gram(np.eye(2), sample_weight=weights)


def test_weights_that_overflow_are_refused_by_name():
    with pytest.raises(OverflowError, match="the weighted entry of K"):
        Spectrum.from_gram(np.eye(2) * 1e300, sample_weight=[1e300, 1.0])
