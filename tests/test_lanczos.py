"""Lanczos spectra: every filter as exact as the residual says, and nothing said about modes that are not known."""

import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg

from kdtheory import (
    GradientDescent,
    GradientFlow,
    Ridge,
    SelfDistillation,
    Spectrum,
    can_distillation_help,
    effective_dof,
    fit_filter,
    gcv_score,
    greedy_label_weights,
    joint_label_weights,
    loo_label_weights,
    loo_predictions,
    selfdistill_closed_form,
    selfdistill_grid,
)
from kdtheory.kernels import RBF, ArcCosine, Linear, Polynomial
from kdtheory.spectrum import LanczosWarning
from tests.strategies import examples, problems

FILTERS = [
    Ridge(0.3),
    SelfDistillation(0.3, 5, 0.4),
    GradientFlow(7.0),
    GradientDescent(1e-3, 50),
]


def decaying(n_points=60, seed=0, smallest=1e-6):
    """A Gram matrix whose eigenvalues fall from 10 to `smallest`."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((n_points, n_points)))[0]
    d = np.geomspace(10.0, smallest, n_points)
    K = basis * d @ basis.T
    return 0.5 * (K + K.T), rng


@given(problems())
def test_at_the_end_of_the_krylov_space_every_filter_is_that_of_the_whole_matrix(problem):
    y = problem.y + 1.0
    spectrum = Spectrum.lanczos(problem.K, y, len(y))
    whole = fit_filter(problem.K, y, FILTERS)
    fit = fit_filter(spectrum, y, FILTERS)
    assert_allclose(fit.fitted, whole.fitted, atol=1e-8 * np.linalg.norm(y))
    assert_allclose(fit.dual_coef, whole.dual_coef, atol=1e-6 * np.max(np.abs(whole.dual_coef)))
    scale = np.max(np.abs(problem.K_test)) * np.max(np.abs(whole.dual_coef))
    assert_allclose(fit.predict(problem.K_test), whole.predict(problem.K_test), atol=1e-6 * scale)
    path = selfdistill_closed_form(spectrum, y, ridge=0.5, n_steps=3, label_weight=0.3)
    limit = selfdistill_closed_form(problem.K, y, ridge=0.5, n_steps=3, label_weight=0.3).limit
    assert_allclose(path.limit.fitted, limit.fitted, atol=1e-8 * np.linalg.norm(y))


@pytest.mark.filterwarnings("ignore:a filter has the residual:kdtheory.spectrum.lanczos.LanczosWarning")
@given(st.integers(1, 12), st.sampled_from([1, 3]), st.integers(0, 100))
def test_the_residual_of_a_ridge_is_what_is_left_of_its_equation_and_bounds_the_fitted_values(steps, outputs, seed):
    K, rng = decaying(seed=seed)
    y = rng.standard_normal((60, outputs))
    spectrum = Spectrum.lanczos(K, y, steps)
    fit = fit_filter(spectrum, y, Ridge(0.01))
    left = np.linalg.norm(K @ fit.dual_coef + 0.01 * fit.dual_coef - y, axis=0) / np.linalg.norm(y, axis=0)
    stated = spectrum.residuals(y, Ridge(0.01))
    assert_allclose(stated, left, rtol=1e-6, atol=1e-11)
    error = np.linalg.norm(fit.fitted - fit_filter(K, y, Ridge(0.01)).fitted, axis=0) / np.linalg.norm(y, axis=0)
    assert np.all(error <= stated + 1e-11)


@pytest.mark.filterwarnings("ignore:a filter has the residual:kdtheory.spectrum.lanczos.LanczosWarning")
@pytest.mark.parametrize("steps", [1, 2, 5, 9])
def test_one_output_is_what_conjugate_gradients_find_in_as_many_steps(steps):
    K, rng = decaying()
    y = rng.standard_normal(60)
    iterate, _ = cg(K + 0.01 * np.eye(60), y, maxiter=steps, rtol=0.0, atol=0.0)
    assert_allclose(fit_filter(Spectrum.lanczos(K, y, steps), y, Ridge(0.01)).dual_coef, iterate, rtol=1e-7, atol=1e-9)


def test_polynomials_of_lower_degree_than_steps_are_exact():
    K, rng = decaying()
    y = rng.standard_normal(60)
    descent = GradientDescent(0.05, 6)
    exact = fit_filter(K, y, descent).dual_coef
    assert_allclose(fit_filter(Spectrum.lanczos(K, y, 6), y, descent).dual_coef, exact, rtol=1e-10, atol=1e-12)
    assert np.max(np.abs(fit_filter(Spectrum.lanczos(K, y, 5), y, descent).dual_coef - exact)) > 1e-6


def test_small_ridges_keep_their_digits():
    """Against 60 digits, where the eigenvalues span twelve orders of magnitude."""
    K, rng = decaying(n_points=24, smallest=1e-11)
    y = rng.standard_normal(24)
    ridge = 1e-6
    with mpmath.workdps(60):
        solution = mpmath.lu_solve(mpmath.matrix(K.tolist()) + ridge * mpmath.eye(24), mpmath.matrix(y.tolist()))
        fitted = np.array([float(value - ridge * c) for value, c in zip(y, solution, strict=True)])
    found = fit_filter(Spectrum.lanczos(K, y, 24), y, Ridge(ridge)).fitted
    assert_allclose(found, fitted, atol=1e-8)


def test_blocks_shrink_where_targets_depend_on_each_other():
    K, rng = decaying()
    y = rng.standard_normal((60, 2))
    dependent = np.column_stack([y, y[:, 0] + y[:, 1], np.zeros(60), 1e-200 * y[:, 0], 1e100 * y[:, 1]])
    spectrum = Spectrum.lanczos(K, dependent, 10)
    assert spectrum.eigenvalues.shape == (20,)
    assert_allclose(spectrum.eigenvectors.T @ spectrum.eigenvectors, np.eye(20), atol=1e-12)
    fit = fit_filter(spectrum, dependent, Ridge(1.0)).fitted
    assert_allclose(fit[:, 2], fit[:, 0] + fit[:, 1], atol=1e-10)
    assert_allclose(fit[:, 4], 1e-200 * fit[:, 0], rtol=1e-8)
    assert np.all(fit[:, 3] == 0.0)
    only_zeros = Spectrum.lanczos(K, np.zeros(60), 10)
    assert np.all(fit_filter(only_zeros, np.zeros(60), Ridge(1.0)).fitted == 0.0)


def test_few_distinct_eigenvalues_end_the_iterations():
    d = np.repeat([5.0, 2.0, 0.0], 10)
    spectrum = Spectrum.lanczos(np.diag(d), np.ones(30), 30)
    assert_allclose(spectrum.eigenvalues, [5.0, 2.0, 0.0], atol=1e-13)
    assert spectrum.rank == 2


def test_iterations_stop_when_the_filters_are_exact_and_say_so_when_they_never_are():
    K, rng = decaying(n_points=200)
    y = rng.standard_normal(200)
    products = []

    def multiply(columns):
        products.append(columns.shape[1])
        return K @ columns

    operator = LinearOperator(K.shape, matvec=lambda x: K @ x, matmat=multiply, dtype=float)
    spectrum = Spectrum.lanczos(operator, y, 200, filter_=[Ridge(1.0), GradientFlow(1.0)], tolerance=1e-6)
    assert len(products) == len(spectrum.eigenvalues) < 60
    assert np.all(spectrum.residuals(y, [Ridge(1.0), GradientFlow(1.0)]) <= 1e-6)
    error = fit_filter(spectrum, y, GradientFlow(1.0)).fitted - fit_filter(K, y, GradientFlow(1.0)).fitted
    assert np.linalg.norm(error) <= 1e-6 * np.linalg.norm(y)
    with pytest.warns(
        LanczosWarning, match=r"4 Lanczos iterations reached the residual \d\.\d+, not the tolerance 1e-08"
    ):
        Spectrum.lanczos(operator, y, 4, filter_=Ridge(1e-3))


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_predictions_through_an_operator_are_those_through_its_matrix(outputs):
    K, rng = decaying()
    y, cross = rng.standard_normal((60, *outputs)), rng.standard_normal((7, 60)) @ K
    y_val = rng.standard_normal((7, *outputs))
    for spectrum in (Spectrum.lanczos(K, y, 60), Spectrum.from_gram(K)):
        arguments = {"ridges": [1.0, 2.0], "label_weights": [0.3, 0.6], "n_steps": 3}
        grid = selfdistill_grid(spectrum, y, **arguments)
        assert_allclose(grid.predict(aslinearoperator(cross)), grid.predict(cross), atol=1e-11)
        one = fit_filter(spectrum, y, Ridge(1.0))
        assert_allclose(one.predict(aslinearoperator(cross)), one.predict(cross), atol=1e-11)
        for best in (joint_label_weights, greedy_label_weights):
            weights = [
                best(spectrum, y, ridge=1.0, n_steps=3, K_val=K_val, y_val=y_val)
                for K_val in (cross, aslinearoperator(cross))
            ]
            assert_allclose(*weights, rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"K_test must have 60 columns, one for each training point, got shape \(7, 59\)"
    ):
        one.predict(aslinearoperator(cross[:, :59]))


@pytest.mark.parametrize("steps", range(10, 18))
def test_what_is_exact_at_the_last_step_does_not_warn(steps):
    K, rng = decaying()
    y = rng.standard_normal(60)
    reached = Spectrum.lanczos(K, y, steps).residuals(y, Ridge(1.0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Spectrum.lanczos(K, y, steps, filter_=Ridge(1.0), tolerance=1e-4)
    assert bool(caught) == (reached > 1e-4)


def test_the_basis_stays_orthonormal_through_many_steps_and_many_points():
    d = np.geomspace(1.0, 1e-9, 5000)
    operator = LinearOperator(
        (5000, 5000), matvec=lambda x: d * x.ravel(), matmat=lambda X: d[:, None] * X, dtype=float
    )
    y = np.ones((5000, 2)) * [1.0, 2.0] + np.arange(5000.0)[:, None] / 5000.0
    spectrum = Spectrum.lanczos(operator, y, 60)
    overlap = spectrum.eigenvectors.T @ spectrum.eigenvectors
    assert_allclose(overlap, np.eye(len(overlap)), atol=1e-13)
    assert_allclose(fit_filter(spectrum, y, Ridge(0.1)).fitted, (d / (d + 0.1))[:, None] * y, atol=1e-9)


def test_other_targets_are_refused_and_combinations_are_not():
    K, rng = decaying()
    y = rng.standard_normal((60, 2))
    spectrum = Spectrum.lanczos(K, y, 4)
    fit_filter(spectrum, y @ [1.0, -2.0], Ridge(1.0))
    with pytest.raises(ValueError, match="y must be the targets that the LanczosSpectrum was made for"):
        _ = fit_filter(spectrum, rng.standard_normal(60), Ridge(1.0)).fitted


@pytest.mark.parametrize(
    "use",
    [
        lambda spectrum, y: fit_filter(spectrum, y, Ridge(1.0)).effective_dof,
        lambda spectrum, _: effective_dof(spectrum, ridge=1.0, n_steps=1),
        lambda spectrum, y: gcv_score(spectrum, y, ridge=1.0, n_steps=1),
        lambda spectrum, y: loo_predictions(spectrum, y, ridge=1.0, n_steps=1),
        lambda spectrum, y: loo_label_weights(spectrum, y, ridge=1.0, n_steps=2),
        lambda spectrum, y: can_distillation_help(spectrum, y, ridge=1.0, noise_variance=1.0),
        lambda spectrum, _: spectrum.gram_matrix(),
        lambda spectrum, _: spectrum.reweighted(np.ones(60)),
    ],
)
def test_what_needs_every_mode_is_refused(use):
    K, rng = decaying()
    y = rng.standard_normal(60)
    spectrum = Spectrum.lanczos(K, y, 4)
    with pytest.raises(TypeError, match="needs every mode of K, and a LanczosSpectrum knows those of its targets only"):
        use(spectrum, y)
    assert "effective_dof" not in repr(selfdistill_closed_form(spectrum, y, ridge=1.0, n_steps=2))
    assert "effective_dof" not in repr(fit_filter(spectrum, y, Ridge(1.0)))


def test_bad_input():
    K, rng = decaying()
    y = rng.standard_normal(60)
    with pytest.raises(ValueError, match=r"operator must be square, got shape \(3, 60\)"):
        Spectrum.lanczos(K[:3], y, 3)
    with pytest.raises(ValueError, match="operator must be symmetric"):
        Spectrum.lanczos(K + np.triu(K), y, 3)
    with pytest.raises(ValueError, match="operator must be positive semi-definite, got the Ritz value -"):
        Spectrum.lanczos(K - np.eye(60), y, 60)
    with pytest.raises(ValueError, match="targets must have 60 rows"):
        Spectrum.lanczos(K, y[:5], 3)
    with pytest.raises(ValueError, match="n_iterations must be >= 1, got 0"):
        Spectrum.lanczos(K, y, 0)
    with pytest.raises(ValueError, match="tolerance must be"):
        Spectrum.lanczos(K, y, 3, tolerance=0.0)
    with pytest.raises(TypeError, match="filter_ must be a Filter"):
        Spectrum.lanczos(K, y, 3, filter_=[3.0])
    with pytest.raises(ValueError, match="filter_ must hold at least one filter"):
        Spectrum.lanczos(K, y, 3, filter_=[])
    with pytest.raises(OverflowError, match="operator must have finite products"):
        Spectrum.lanczos(LinearOperator((60, 60), matvec=lambda x: x * np.nan, dtype=float), y, 3)


def test_filters_that_the_spectrum_was_not_made_for_are_used_with_a_warning():
    rng = np.random.default_rng(0)
    d, y = np.geomspace(1.0, 1e-4, 200), rng.standard_normal(200)
    spectrum = Spectrum.lanczos(np.diag(d), y, 100, filter_=Ridge(0.1), tolerance=1e-6)
    assert spectrum.accuracy == 1e-6
    fit_filter(spectrum, y, Ridge(0.2)).dual_coef  # noqa: B018
    for name in ("dual_coef", "fitted"):
        with pytest.warns(LanczosWarning, match="a filter has the residual .* made for filters of at most 1e-06: name"):
            getattr(fit_filter(spectrum, y, Ridge(1e-3)), name)
    with pytest.warns(LanczosWarning, match="was made for filters of at most 0.001"):
        fit_filter(Spectrum.lanczos(np.diag(d), y, 3), y, Ridge(1e-2)).fitted  # noqa: B018
    with pytest.warns(LanczosWarning, match="a larger ridge would help"):
        unfinished = Spectrum.lanczos(np.diag(d), y, 5, filter_=Ridge(1e-2))
    fit_filter(unfinished, y, Ridge(1e-2)).fitted  # noqa: B018
    assert unfinished.accuracy == pytest.approx(float(unfinished.residuals(y, Ridge(1e-2))), rel=1e-6)


def test_targets_of_zero_are_exact_at_once():
    spectrum = Spectrum.lanczos(np.diag(np.arange(1.0, 50.0)), np.zeros(49), 3, filter_=Ridge(1e-3))
    assert not fit_filter(spectrum, np.zeros(49), Ridge(1e-3)).dual_coef.any()


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e300])
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_targets_of_any_size_have_the_residuals_of_moderate_ones(scale, outputs):
    """Squares of such targets vanish or overflow; their lengths do not."""
    K, rng = decaying()
    y = rng.standard_normal((60, *outputs))
    moderate = Spectrum.lanczos(K, y, 60, filter_=Ridge(0.1), tolerance=1e-6)
    spectrum = Spectrum.lanczos(K, scale * y, 60, filter_=Ridge(0.1), tolerance=1e-6)
    assert len(spectrum.eigenvalues) == len(moderate.eigenvalues) < 60
    assert_allclose(spectrum.residuals(scale * y, Ridge(0.1)), moderate.residuals(y, Ridge(0.1)), rtol=1e-3)
    with pytest.raises(ValueError, match="y must be the targets that the LanczosSpectrum was made for"):
        spectrum.coordinates(scale * rng.standard_normal(60))


def test_targets_whose_length_is_beyond_the_range_are_refused():
    with pytest.raises(OverflowError, match="the length of the target of output at index 0 is too large for float64"):
        Spectrum.lanczos(np.eye(60), np.full(60, 1.5e308), 3)


@pytest.mark.parametrize("kernel", [RBF(gamma=1e-3), Linear(), Polynomial(2), ArcCosine(1)], ids=str)
@pytest.mark.parametrize("n_points", [3, 20, 100])
@examples(20)
@given(seed=st.integers(0, 100))
def test_rounding_of_single_precision_is_neither_indefinite_nor_asymmetric(kernel, n_points, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n_points, 1)).astype(np.float32), rng.standard_normal((n_points, 2))
    y -= np.mean(y, axis=0)  # little of the largest mode
    spectrum = Spectrum.lanczos(kernel.operator(X), y, n_points)
    K = kernel.gram(X.astype(float))
    ridge = 0.1 * np.linalg.norm(K, 2)
    assert_allclose(fit_filter(spectrum, y, Ridge(ridge)).fitted, fit_filter(K, y, Ridge(ridge)).fitted, atol=1e-3)


def test_the_same_points_on_both_sides_are_one_matrix():
    X, y = np.random.default_rng(0).standard_normal((2, 30, 2))
    spectra = [Spectrum.lanczos(RBF().operator(*points), y, 30) for points in ((X,), (X, X))]
    assert_allclose(spectra[1].eigenvalues[:5], spectra[0].eigenvalues[:5], rtol=1e-12)


def test_matrices_that_are_slightly_indefinite_or_asymmetric_are_refused():
    K, rng = decaying()
    y = rng.standard_normal(60)
    with pytest.raises(ValueError, match="operator must be positive semi-definite, got the Ritz value -"):
        Spectrum.lanczos(K - 1e-4 * np.eye(60), y, 60)
    with pytest.raises(ValueError, match="operator must be symmetric"):
        Spectrum.lanczos(K + 1e-4 * np.triu(np.ones((60, 60)), 1), y, 60)
