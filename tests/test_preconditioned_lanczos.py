"""Lanczos spectra with a preconditioner: every filter that was named is exact, in the steps of conjugate gradients."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse.linalg import LinearOperator

from kdtheory import (
    GradientDescent,
    GradientFlow,
    Ridge,
    SelfDistillation,
    Spectrum,
    effective_dof,
    fit_filter,
    selfdistill_closed_form,
    solve_ridge,
)
from kdtheory.kernels import RBF, Laplace
from kdtheory.spectrum import LanczosWarning
from tests.strategies import examples

N_POINTS = 150
KERNEL = RBF(gamma=1.0)
FILTERS = [
    Ridge(1e-1),
    Ridge(1e-4),
    SelfDistillation(1e-2, 5, 0.4),
    GradientFlow(1e3),
    GradientDescent(1e-2, 2000),
]


def problem(outputs=(), seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_POINTS, 2))
    return X, KERNEL.gram(X), rng.standard_normal((N_POINTS, *outputs))


def counted(K):
    """The operator, and a list of the numbers of columns that it multiplies."""
    columns = []

    def multiply(block):
        columns.append(block.shape[1])
        return K @ block

    return LinearOperator(K.shape, matvec=lambda x: K @ x, matmat=multiply, dtype=float), columns


def relative_errors(spectrum, K, y, filters):
    difference = fit_filter(spectrum, y, filters).fitted - fit_filter(K, y, filters).fitted
    return np.linalg.norm(difference, axis=1) / np.linalg.norm(y, axis=0)


@examples(15)
@given(st.integers(5, 60), st.sampled_from([(), (1,), (3,)]), st.integers(0, 100))
def test_every_filter_that_was_named_is_that_of_the_whole_matrix(n_components, outputs, seed):
    X, K, y = problem(outputs, seed)
    preconditioner = Spectrum.nystrom(KERNEL, X, n_components)
    spectrum = Spectrum.lanczos(K, y, 150, filter_=FILTERS, tolerance=1e-7, preconditioner=preconditioner)
    assert np.all(spectrum.residuals(y, FILTERS) <= 1e-7)
    assert np.all(relative_errors(spectrum, K, y, FILTERS) <= 2e-6)
    overlap = spectrum.eigenvectors.T @ spectrum.eigenvectors
    assert_allclose(overlap, np.eye(len(overlap)), atol=1e-12)


@pytest.mark.parametrize("outputs", [(), (3,)])
def test_the_matrix_itself_as_preconditioner_leaves_nothing_to_do(outputs):
    _, K, y = problem(outputs)
    operator, columns = counted(K)
    ridges = [Ridge(1.0), Ridge(1e-1), Ridge(1e-2)]
    spectrum = Spectrum.lanczos(operator, y, 9, filter_=ridges, preconditioner=Spectrum.from_gram(K))
    assert columns == [4 * int(np.prod(outputs))]
    assert np.max(relative_errors(spectrum, K, y, ridges)) < 1e-10


def test_named_steps_of_a_distillation_are_exact_in_few_products_with_other_label_weights_too():
    X, K, y = problem()
    operator, columns = counted(K)
    steps = [SelfDistillation(1e-2, count, 0.4) for count in range(1, 6)]
    preconditioner = Spectrum.nystrom(KERNEL, X, 40)
    spectrum = Spectrum.lanczos(operator, y, 150, filter_=steps, tolerance=1e-8, preconditioner=preconditioner)
    assert len(columns) < 20
    others = [SelfDistillation(1e-2, count, weight) for count in (2, 5) for weight in (0.0, 0.8)]
    assert np.max(spectrum.residuals(y, others)) < 1e-6
    assert np.max(relative_errors(spectrum, K, y, [*steps, *others])) < 1e-6


@pytest.mark.filterwarnings("ignore:a filter has the residual:kdtheory.spectrum.lanczos.LanczosWarning")
@examples(40)
@given(st.integers(1, 12), st.sampled_from([(1,), (3,)]), st.integers(0, 100))
def test_residuals_are_what_is_left_of_the_equations_and_bound_errors_named_or_not(steps, outputs, seed):
    X, K, y = problem(outputs, seed)
    others = [Ridge(3e-3), Ridge(1e-6)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LanczosWarning)
        spectrum = Spectrum.lanczos(
            K, y, steps, filter_=[Ridge(1e-1), Ridge(1e-4)], preconditioner=Spectrum.nystrom(KERNEL, X, 20)
        )
    for ridge in [Ridge(1e-1), Ridge(1e-4), *others]:
        fit = fit_filter(spectrum, y, ridge)
        left = K @ fit.dual_coef + ridge.ridge * fit.dual_coef - y
        stated = spectrum.residuals(y, ridge)
        rounding = 1e-14 * np.linalg.norm(K, 2) / ridge.ridge
        assert_allclose(stated, np.linalg.norm(left, axis=0) / np.linalg.norm(y, axis=0), rtol=1e-7, atol=rounding)
        error = np.linalg.norm(fit.fitted - fit_filter(K, y, ridge).fitted, axis=0) / np.linalg.norm(y, axis=0)
        assert np.all(error <= stated + rounding)


@pytest.mark.parametrize("ridge", [1e-2, 1e-4])
def test_one_ridge_takes_the_steps_of_preconditioned_conjugate_gradients_and_many_hardly_more(ridge):
    X, K, y = problem()
    preconditioner = Spectrum.nystrom(KERNEL, X, 40)
    alone = solve_ridge(K, y, ridge, preconditioner=preconditioner, tolerance=1e-6)
    for filters, more in ((Ridge(ridge), 1), ([Ridge(each) for each in np.geomspace(ridge, 1.0, 10)], 4)):
        operator, columns = counted(K)
        Spectrum.lanczos(operator, y, 150, filter_=filters, tolerance=1e-6, preconditioner=preconditioner)
        assert len(columns) <= alone.n_iterations + more
        plain, unaided = counted(K)
        Spectrum.lanczos(plain, y, 150, filter_=Ridge(ridge), tolerance=1e-6)
        assert len(unaided) > 1.8 * len(columns)


def test_many_outputs_and_ridges_take_no_more_steps_than_conjugate_gradients():
    X, K, y = problem((2,))
    preconditioner = Spectrum.nystrom(KERNEL, X, 40)
    operator, columns = counted(K)
    ridges = [Ridge(1e-2), Ridge(1.0)]
    Spectrum.lanczos(operator, y, 150, filter_=ridges, tolerance=1e-6, preconditioner=preconditioner)
    assert len(columns) <= solve_ridge(K, y, 1e-2, preconditioner=preconditioner, tolerance=1e-6).n_iterations + 1


def test_residuals_of_many_points_are_what_is_left_of_the_equations():
    d = np.geomspace(1.0, 1e-9, 5000)
    operator = LinearOperator(
        (5000, 5000), matvec=lambda x: d * x.ravel(), matmat=lambda X: d[:, None] * X, dtype=float
    )
    y, near = 1.0 + np.arange(5000.0) / 5000.0, Spectrum(d[:100], np.eye(5000, 100))
    with pytest.warns(LanczosWarning, match="more iterations"):
        spectrum = Spectrum.lanczos(operator, y, 3, filter_=Ridge(1e-3), preconditioner=near)
    dual = fit_filter(spectrum, y, Ridge(1e-3)).dual_coef
    left = np.linalg.norm((d + 1e-3) * dual - y) / np.linalg.norm(y)
    assert left > 1e-4
    assert_allclose(spectrum.residuals(y, Ridge(1e-3)), left, rtol=1e-8)


def test_filters_that_cut_modes_off_are_exact_too():
    X, K, y = problem()

    def largest_modes(d):
        return np.where(d > 0.86, 1.0 / np.where(d > 0.86, d, 1.0), 0.0)

    preconditioner = Spectrum.nystrom(KERNEL, X, 5)
    spectrum = Spectrum.lanczos(K, y, 150, filter_=largest_modes, tolerance=1e-9, preconditioner=preconditioner)
    whole = Spectrum.from_gram(K)
    U = whole.eigenvectors[:, whole.eigenvalues > 0.86]
    kept = spectrum.eigenvectors[:, spectrum.eigenvalues > 0.86]
    assert np.linalg.norm(kept @ (kept.T @ y) - U @ (U.T @ y)) <= 1e-6 * np.linalg.norm(y)


@pytest.mark.filterwarnings("ignore:a filter has the residual:kdtheory.spectrum.lanczos.LanczosWarning")
def test_whole_paths_of_targets_and_their_combinations_and_of_no_others():
    X, K, y = problem((2,))
    dependent = np.column_stack([y, y[:, 0] + y[:, 1], np.zeros(N_POINTS), 1e-200 * y[:, 0], 1e100 * y[:, 1]])
    preconditioner = Spectrum.nystrom(KERNEL, X, 30)
    spectrum = Spectrum.lanczos(
        K, dependent, 150, filter_=SelfDistillation(1e-3, 3, 0.3), tolerance=1e-9, preconditioner=preconditioner
    )
    path = selfdistill_closed_form(spectrum, dependent, ridge=1e-3, n_steps=3, label_weight=0.3).fitted[-1]
    sizes = np.linalg.norm(dependent, axis=0)
    exact = selfdistill_closed_form(K, y, ridge=1e-3, n_steps=3, label_weight=0.3).fitted[-1]
    assert_allclose(path[:, :2], exact, atol=1e-8 * sizes[0])
    assert_allclose(path[:, 2], path[:, 0] + path[:, 1], atol=1e-11 * sizes[2])
    assert np.all(path[:, 3] == 0.0)
    assert_allclose(path[:, 4], 1e-200 * path[:, 0], atol=1e-11 * sizes[4])
    fit_filter(spectrum, y @ [1.0, -2.0], Ridge(1.0))
    with pytest.raises(ValueError, match="y must be the targets that the LanczosSpectrum was made for"):
        _ = fit_filter(spectrum, X[:, 0], Ridge(1.0)).fitted
    with pytest.raises(TypeError, match="needs every mode of K"):
        effective_dof(spectrum, ridge=1.0, n_steps=1)
    none = np.zeros(N_POINTS)
    spectrum = Spectrum.lanczos(K, none, 9, filter_=Ridge(1.0), preconditioner=preconditioner)
    assert np.all(fit_filter(spectrum, none, Ridge(1.0)).fitted == 0.0)


def test_few_distinct_eigenvalues_end_the_iterations():
    d = np.repeat([5.0, 2.0, 0.0], 10)
    nothing_near = Spectrum(np.array([1e-3]), np.eye(30)[:, 29:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrum = Spectrum.lanczos(
            np.diag(d), np.ones(30), 30, filter_=Ridge(1e-3), tolerance=1e-10, preconditioner=nothing_near
        )
    assert len(spectrum.eigenvalues) <= 5
    assert_allclose(fit_filter(spectrum, np.ones(30), Ridge(1e-3)).fitted, d / (d + 1e-3), atol=1e-12)


def test_single_precision_stops_at_its_rounding_and_says_what_it_reached():
    X, K, y = problem()
    points = X.astype(np.float32)
    preconditioner = Spectrum.nystrom(KERNEL, points, 60)
    with pytest.warns(
        LanczosWarning, match=r"^\d+ Lanczos iterations reached the residual .*1e-12: a larger ridge would help$"
    ):
        spectrum = Spectrum.lanczos(
            KERNEL.operator(points), y, 150, filter_=Ridge(0.1), tolerance=1e-12, preconditioner=preconditioner
        )
    assert len(spectrum.eigenvalues) < 40
    stated = spectrum.residuals(y, Ridge(0.1))
    assert 1e-12 < stated < 1e-4
    error = fit_filter(spectrum, y, Ridge(0.1)).fitted - fit_filter(K, y, Ridge(0.1)).fitted
    assert np.linalg.norm(error) <= 3e-5 * np.linalg.norm(y)


def test_iterations_that_are_used_up_warn_with_the_largest_residual():
    X, K, y = problem()
    ridges = [Ridge(10.0), Ridge(1e-6)]
    with pytest.warns(LanczosWarning, match=r"^3 Lanczos iterations .*1e-08: more iterations or") as caught:
        spectrum = Spectrum.lanczos(K, y, 3, filter_=ridges, preconditioner=Spectrum.nystrom(KERNEL, X, 9))
    assert f"reached the residual {np.max(spectrum.residuals(y, ridges)):.3g}," in str(caught[0].message)


def test_bad_input():
    X, K, y = problem()
    near = Spectrum.nystrom(KERNEL, X, 9)
    with pytest.raises(TypeError, match=r"preconditioner must be a Spectrum or None, got array"):
        Spectrum.lanczos(K, y, 3, filter_=Ridge(1.0), preconditioner=K)
    with pytest.raises(ValueError, match=r"preconditioner must be of 150 points, got NystromSpectrum\(n_points=140"):
        Spectrum.lanczos(K, y, 3, filter_=Ridge(1.0), preconditioner=Spectrum.nystrom(KERNEL, X[:140], 9))
    with pytest.raises(ValueError, match="filter_ must name the filters that a preconditioner is to be used for"):
        Spectrum.lanczos(K, y, 3, preconditioner=near)
    with pytest.raises(ValueError, match="filter_ must be finite at zero eigenvalues to be preconditioned, got inf"):
        Spectrum.lanczos(K, y, 3, filter_=lambda d: np.where(d > 0.0, 1.0, np.inf), preconditioner=near)
    for operator, error, message in (
        (K + np.triu(K), ValueError, "operator must be symmetric"),
        (K - 2.0 * np.eye(len(y)), ValueError, "operator must be positive semi-definite, got the Ritz value -"),
        (LinearOperator(K.shape, matvec=lambda x: x * np.nan, dtype=float), OverflowError, "finite products"),
    ):
        with pytest.raises(error, match=message):
            Spectrum.lanczos(operator, y, 30, filter_=Ridge(1.0), preconditioner=near)


@pytest.mark.parametrize("filter_", [SelfDistillation(0.1, 3, 0.4), GradientFlow(10.0), GradientDescent(0.02, 500)])
@pytest.mark.parametrize("seed", range(8))
def test_late_steps_and_flows_that_are_named_alone_are_exact_too(filter_, seed):
    """Their residuals may happen to vanish long before: what the last step has changed says that they are not exact."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((60, 5)), rng.standard_normal(60)
    kernel = Laplace(1.0)
    preconditioner = Spectrum.nystrom(kernel, X, int(rng.integers(1, 60)))
    K = kernel.gram(X)
    spectrum = Spectrum.lanczos(K, y, 180, filter_=filter_, tolerance=1e-8, preconditioner=preconditioner)
    assert np.max(relative_errors(spectrum, K, y, [filter_])) < 3e-6


@pytest.mark.parametrize("filter_", [SelfDistillation(0.1, 3, 0.4), GradientFlow(10.0)])
def test_a_space_that_the_operator_maps_into_itself_is_exact_at_once(filter_):
    K, y = np.ones((20, 20)), np.arange(20.0)
    preconditioner = Spectrum(np.zeros(1), np.eye(20)[:, :1])
    spectrum = Spectrum.lanczos(K, y, 20, filter_=filter_, preconditioner=preconditioner)
    assert len(spectrum.eigenvalues) <= 3
    assert np.max(relative_errors(spectrum, K, y, [filter_])) < 1e-12
