"""Nyström spectra: the approximation by its definition, what runs on it, and what is refused."""

import tracemalloc

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import (
    Spectrum,
    effective_dof,
    gcv_score,
    loo_predictions,
    search_selfdistillation,
    selfdistill_closed_form,
)
from kdtheory._thin_factor import eigh_of_factor
from kdtheory.kernels import RBF, Laplace, Linear, Polynomial
from kdtheory.pivots import RankWarning
from kdtheory.spectrum import WeightedSpectrum
from kdtheory.spectrum.nystrom import NystromSpectrum, nystrom_spectrum
from tests import oracles
from tests.strategies import examples, log_uniform

RNG = np.random.default_rng(0)
X, X_TEST = RNG.standard_normal((60, 3)), RNG.standard_normal((9, 3))
Y = RNG.standard_normal((60, 2))
KERNEL = Laplace(gamma=0.5)
RULES = ["rpcholesky", "uniform", "kmeans++", list(range(40, 20, -1))]


def dense(spectrum):
    K = spectrum.eigenvectors * spectrum.eigenvalues @ spectrum.eigenvectors.T
    return 0.5 * K + 0.5 * K.T


def approximation(kernel, rows, columns, landmarks):
    """`K(rows, P) K(P, P)⁻¹ K(P, columns)`."""
    between = kernel.gram(landmarks)
    return kernel.gram(rows, landmarks) @ scipy.linalg.solve(between, kernel.gram(landmarks, columns), assume_a="pos")


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_spectrum_is_that_of_the_approximation_by_its_definition(rule):
    spectrum = nystrom_spectrum(KERNEL, X, 20, pivots=rule)
    expected = approximation(KERNEL, X, X, X[spectrum.pivots])
    assert spectrum.eigenvectors.shape == (60, 20)
    np.testing.assert_allclose(dense(spectrum), expected, atol=1e-13)
    np.testing.assert_allclose(spectrum.eigenvectors.T @ spectrum.eigenvectors, np.eye(20), atol=1e-13)
    assert np.all(np.diff(spectrum.eigenvalues) <= 0.0)
    np.testing.assert_allclose(spectrum.trace_error, np.trace(KERNEL.gram(X) - expected), rtol=1e-12)
    np.testing.assert_array_equal(spectrum.X_pivots, X[spectrum.pivots])
    np.testing.assert_allclose(spectrum.triangle @ spectrum.triangle.T, KERNEL.gram(spectrum.X_pivots), atol=1e-13)
    assert spectrum.positive() is spectrum
    assert repr(spectrum).endswith(f"trace_error={spectrum.trace_error:.6g})")


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("points", [X_TEST, X], ids=["new", "training"])
def test_cross_multiplies_by_the_approximation_at_new_points(rule, points):
    spectrum = nystrom_spectrum(KERNEL, X, 20, pivots=rule)
    cross = spectrum.cross(points)
    expected = approximation(KERNEL, points, X, X[spectrum.pivots])
    assert cross.shape == expected.shape
    np.testing.assert_allclose(cross @ Y, expected @ Y, atol=1e-12)
    np.testing.assert_allclose(cross @ Y[:, 0], expected @ Y[:, 0], atol=1e-12)
    weights = RNG.standard_normal((len(points), 2))
    np.testing.assert_allclose(cross.T @ weights, expected.T @ weights, atol=1e-12)
    np.testing.assert_allclose(cross.T @ weights[:, 0], expected.T @ weights[:, 0], atol=1e-12)


@pytest.mark.parametrize("rule", ["rpcholesky", "uniform", "kmeans++"])
def test_as_many_components_as_points_give_the_exact_spectrum(rule):
    exact = Spectrum.from_gram(KERNEL.gram(X))
    spectrum = nystrom_spectrum(KERNEL, X, 60, pivots=rule)
    np.testing.assert_allclose(spectrum.eigenvalues, exact.eigenvalues, atol=1e-13 * exact.eigenvalues[0])
    assert spectrum.trace_error == 0.0
    cross = KERNEL.gram(X_TEST, X)
    options = {"ridge": 0.1, "n_steps": 4, "label_weight": 0.3}
    ours, expected = (selfdistill_closed_form(each, Y, **options) for each in (spectrum, exact))
    np.testing.assert_allclose(ours.fitted, expected.fitted, atol=1e-12)
    np.testing.assert_allclose(ours.dual_coef, expected.dual_coef, atol=1e-10)
    np.testing.assert_allclose(ours.predict(spectrum.cross(X_TEST)), expected.predict(cross), atol=1e-11)
    np.testing.assert_allclose(
        loo_predictions(spectrum, Y, **options), loo_predictions(exact, Y, **options), atol=1e-11
    )


@examples(25)
@given(log_uniform(1e-2, 1e1), st.integers(1, 30), st.sampled_from(RULES[:3]), st.integers(0, 2**32 - 1))
def test_chains_and_their_leave_one_out_are_those_of_refits_with_the_approximation(ridge, count, rule, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((31, 2)), rng.standard_normal(31)
    spectrum = nystrom_spectrum(KERNEL, X, count, pivots=rule, random_state=rng)
    landmarks, new = X[spectrum.pivots], rng.standard_normal((5, 2))
    K, K_test = approximation(KERNEL, X, X, landmarks), approximation(KERNEL, new, X, landmarks)
    K = 0.5 * K + 0.5 * K.T
    weights = rng.uniform(size=2)
    options = {"ridge": ridge, "n_steps": 3, "label_weight": weights}
    path, refits = selfdistill_closed_form(spectrum, y, **options), oracles.refit(K, y, ridge, weights, K_test)
    np.testing.assert_allclose(path.fitted, refits.fitted, atol=1e-10)
    np.testing.assert_allclose(path.predict(spectrum.cross(new)), refits.predictions, atol=1e-9)
    left_out = [oracles.refit_without([i], K, y, ridge, weights)[:, 0] for i in range(len(K))]
    np.testing.assert_allclose(loo_predictions(spectrum, y, **options), np.transpose(left_out), atol=1e-9)
    hat = K @ np.linalg.inv(K + ridge * np.eye(len(K)))
    np.testing.assert_allclose(effective_dof(spectrum, ridge=ridge, n_steps=1), [np.trace(hat)], rtol=1e-9)
    rest = y - hat @ y
    expected = np.mean(rest**2) / (1.0 - np.trace(hat) / len(K)) ** 2
    np.testing.assert_allclose(gcv_score(spectrum, y, ridge=ridge, n_steps=1), [expected], rtol=1e-8)


def test_a_search_on_the_spectrum_finds_what_it_finds_on_the_dense_approximation():
    spectrum = nystrom_spectrum(KERNEL, X, 20)
    options = {"ridges": [0.1, 1.0, 10.0], "n_steps": 4}
    ours, expected = (search_selfdistillation(each, Y, **options) for each in (spectrum, dense(spectrum)))
    assert (ours.best_ridge, ours.best_n_steps) == (expected.best_ridge, expected.best_n_steps)
    np.testing.assert_allclose(ours.errors, expected.errors, rtol=1e-9)
    np.testing.assert_allclose(ours.held_out_predictions, expected.held_out_predictions, atol=1e-7)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_sample_weights_are_those_of_the_dense_approximation(rule):
    weights = RNG.uniform(0.1, 3.0, 60)
    spectrum = nystrom_spectrum(KERNEL, X, 20, pivots=rule, sample_weight=weights)
    landmarks, root = X[spectrum.pivots], np.sqrt(weights)
    K = approximation(KERNEL, X, X, landmarks)
    K = 0.5 * K + 0.5 * K.T
    np.testing.assert_allclose(dense(spectrum), root[:, None] * K * root, atol=1e-12)
    np.testing.assert_allclose(spectrum.trace_error, np.sum(weights * np.diagonal(KERNEL.gram(X) - K)), rtol=1e-11)
    exact = Spectrum.from_gram(K, weights)
    options = {"ridge": 0.3, "n_steps": 3, "label_weight": 0.2}
    ours, expected = (selfdistill_closed_form(each, Y, **options) for each in (spectrum, exact))
    np.testing.assert_allclose(ours.fitted, expected.fitted, atol=1e-11)
    refits = [selfdistill_closed_form(exact, Y[:, 0], **options), selfdistill_closed_form(spectrum, Y[:, 0], **options)]
    np.testing.assert_allclose(refits[1].fitted, refits[0].fitted, atol=1e-11)
    cross, new = spectrum.cross(X_TEST), approximation(KERNEL, X_TEST, X, landmarks)
    np.testing.assert_allclose(cross @ Y, new @ Y, atol=1e-11)
    np.testing.assert_allclose(cross.T @ np.eye(9), new.T, atol=1e-11)
    np.testing.assert_allclose(ours.predict(cross), expected.predict(new), atol=1e-11)
    left_out = np.array([oracles.refit_without([i], K, Y, 0.3, [0.2, 0.2], weights)[:, 0] for i in range(60)])
    np.testing.assert_allclose(loo_predictions(spectrum, Y, **options), np.swapaxes(left_out, 0, 1), atol=1e-10)
    np.testing.assert_allclose(spectrum.gram, K, atol=1e-12)
    left = spectrum.without(spectrum.eigenvectors[:, 4])
    assert isinstance(left, WeightedSpectrum)
    np.testing.assert_allclose(left.eigenvectors.T @ spectrum.eigenvectors[:, 4], 0.0, atol=1e-12)
    assert spectrum.n_weighed == 60


def test_points_that_weigh_more_are_more_often_landmarks():
    weights = np.where(np.arange(60) < 30, 1e3, 1e-3)
    assert np.all(nystrom_spectrum(KERNEL, X, 10, sample_weight=weights).pivots < 30)


def test_a_direction_can_be_left_out():
    spectrum = nystrom_spectrum(KERNEL, X, 20)
    direction = spectrum.eigenvectors[:, 4]
    left = spectrum.without(direction)
    assert type(left) is Spectrum
    np.testing.assert_allclose(left.eigenvectors.T @ direction, 0.0, atol=1e-13)


def test_ridge_regression_changes_by_no_more_than_the_trace_error_says():
    K, y = KERNEL.gram(X), Y[:, 0]
    for count in (10, 30, 50):
        spectrum = nystrom_spectrum(KERNEL, X, count)
        for ridge in (0.1, 10.0):
            ours = selfdistill_closed_form(spectrum, y, ridge=ridge, n_steps=1).fitted[0]
            exact = selfdistill_closed_form(K, y, ridge=ridge, n_steps=1).fitted[0]
            assert np.linalg.norm(ours - exact) <= spectrum.trace_error / ridge * np.linalg.norm(y)


def test_predictions_at_a_small_ridge_keep_their_digits():
    """A smooth kernel: landmarks are nearly dependent, down to where rounding stops them."""
    points = np.linspace(0.0, 1.0, 200)[:, None]
    with pytest.warns(RankWarning):
        spectrum = nystrom_spectrum(RBF(gamma=5.0), points, 100)
    path = selfdistill_closed_form(spectrum, np.sin(9.0 * points[:, 0]), ridge=1e-6, n_steps=1)
    np.testing.assert_allclose(path.predict(spectrum.cross(points)), path.fitted, atol=1e-8)


@pytest.mark.parametrize("rule", ["rpcholesky", "uniform", "kmeans++"])
def test_duplicate_points_give_fewer_components_and_a_warning_with_the_rank(rule):
    doubled = np.concatenate([X[:10], X[:10], X[:10]])
    with pytest.warns(RankWarning, match="10 pivots instead of 15"):
        spectrum = nystrom_spectrum(KERNEL, doubled, 15, pivots=rule)
    np.testing.assert_allclose(dense(spectrum), KERNEL.gram(doubled), atol=1e-13)


def test_features_that_are_zero_for_all_points_do_no_harm():
    padded = np.concatenate([X, np.zeros((60, 2))], axis=1)
    with pytest.warns(RankWarning, match="3 pivots instead of 5"):
        spectrum = nystrom_spectrum(Linear(), padded, 5)
    np.testing.assert_allclose(dense(spectrum), X @ X.T, atol=1e-12)


def test_single_precision_stays_single_precision():
    spectrum = nystrom_spectrum(KERNEL, X.astype(np.float32), 30)
    assert spectrum.eigenvalues.dtype == spectrum.eigenvectors.dtype == np.float32
    expected = approximation(KERNEL, X, X, X[spectrum.pivots])
    np.testing.assert_allclose(dense(spectrum), expected, atol=1e-4)
    predictions = spectrum.cross(X_TEST.astype(np.float32)) @ Y.astype(np.float32)
    np.testing.assert_allclose(predictions, approximation(KERNEL, X_TEST, X, X[spectrum.pivots]) @ Y, atol=1e-3)


@pytest.mark.parametrize("rule", RULES[:3])
def test_the_same_random_state_gives_the_same_spectrum_and_another_gives_another(rule):
    first, again = (nystrom_spectrum(KERNEL, X, 20, pivots=rule, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(first.pivots, again.pivots)
    np.testing.assert_array_equal(first.eigenvectors, again.eigenvectors)
    assert set(nystrom_spectrum(KERNEL, X, 20, pivots=rule, random_state=6).pivots) != set(first.pivots)


def test_an_operator_gives_the_spectrum_of_its_kernel_at_its_points():
    given, made = Spectrum.nystrom(KERNEL.operator(X), n_components=20), Spectrum.nystrom(KERNEL, X, 20)
    np.testing.assert_array_equal(given.eigenvectors, made.eigenvectors)
    assert given.kernel == made.kernel
    np.testing.assert_array_equal(given.X_pivots, made.X_pivots)


def test_predictions_with_the_kernel_itself_are_refused():
    spectrum = Spectrum.nystrom(KERNEL, X, 20)
    path = selfdistill_closed_form(spectrum, X[:, 0], ridge=0.1, n_steps=2)
    with pytest.raises(
        TypeError, match=r"K_test must be spectrum.cross\(X_test\) for a NystromSpectrum, .* kernel itself"
    ):
        path.predict(KERNEL.operator(X[:3], X))
    K_test = spectrum.cross(X[:3])
    np.testing.assert_allclose(path.predict(K_test), path.predict(K_test @ np.eye(60)), rtol=1e-10)


def with_bad_row():
    bad = X.copy()
    bad[17, 1] = np.nan
    return bad


@pytest.mark.parametrize(
    ("kernel", "points", "options", "error", "message"),
    [
        (KERNEL, X, {"n_components": 61}, ValueError, "n_components must be <= 60, the number of points, got 61"),
        (KERNEL, X, {"n_components": 0}, ValueError, "n_components must be >= 1, got 0"),
        (KERNEL, X, {"n_components": 2.0}, TypeError, "n_components must be an integer, got 2.0"),
        (KERNEL, with_bad_row(), {}, ValueError, "X must be finite, got nan in row 17, column 1"),
        (KERNEL, X, {"pivots": "best"}, ValueError, "pivots must be one of ('rpcholesky', 'uniform', 'kmeans++') or"),
        (KERNEL, X, {"pivots": [60]}, ValueError, "candidates must be indices from 0 to 59, got 60"),
        (KERNEL, X, {"random_state": "a"}, TypeError, "random_state must be an integer >= 0 or a numpy"),
        (KERNEL, X, {"sample_weight": np.ones(59)}, ValueError, "sample_weight must have shape (60,)"),
        (KERNEL, X, {"sample_weight": np.eye(60)[3]}, ValueError, "sample_weight must be > 0 for a Nyström spectrum"),
        (KERNEL, X, {"max_bytes": 1000}, ValueError, "for 10 components of 60 points, got 1000"),
        (
            Linear(),
            np.zeros((5, 2)),
            {"n_components": 2},
            ValueError,
            "must be finite and > 0 somewhere, got at most 0",
        ),
        (Polynomial(degree=1, coef0=-1.0), X, {}, ValueError, "positive semi-definite, got -"),
        (KERNEL.operator(X), X, {}, TypeError, "X must be left out when kernel is a Gram operator"),
        (KERNEL.operator(X, X), None, {}, ValueError, "kernel must be a symmetric Gram operator, made without Y"),
        (KERNEL, None, {}, TypeError, "X must be given when kernel is a Kernel"),
        ("rbf", X, {}, TypeError, "kernel must be a Kernel or a Gram operator of kdtheory.kernels, got 'rbf'"),
    ],
)
def test_bad_input_is_refused(kernel, points, options, error, message):
    options = {"n_components": 10, **options}
    with pytest.raises(error) as raised:
        nystrom_spectrum(kernel, points, **options)
    assert message in str(raised.value)


def test_the_least_max_bytes_that_is_named_works():
    with pytest.raises(ValueError, match="max_bytes must be >= ") as raised:
        nystrom_spectrum(KERNEL, X, 10, max_bytes=1)
    least = int(str(raised.value).split(">= ")[1].split()[0])
    assert isinstance(nystrom_spectrum(KERNEL, X, 10, max_bytes=least), NystromSpectrum)
    with pytest.raises(ValueError, match="max_bytes must be >= "):
        nystrom_spectrum(KERNEL, X, 10, max_bytes=least - 1)


def test_the_least_max_bytes_is_what_is_needed():
    points = np.random.default_rng(0).standard_normal((6000, 2))
    least = 8 * 6000 * 200
    tracemalloc.start()
    spectrum = nystrom_spectrum(KERNEL, points, 200)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spectrum.eigenvectors.shape == (6000, 200)
    with pytest.raises(ValueError, match="max_bytes must be >= ") as raised:
        nystrom_spectrum(KERNEL, points, 200, max_bytes=least)
    named = int(str(raised.value).split(">= ")[1].split()[0])
    assert 0.7 * named < peak < named


@given(st.integers(2, 6), log_uniform(1e-9, 1e-6), st.integers(0, 2**32 - 1))
def test_factors_with_nearly_parallel_columns_are_decomposed_to_rounding(m, angle, seed):
    rng = np.random.default_rng(seed)
    check_factor(np.asfortranarray(rng.standard_normal((40, 1)) + angle * rng.standard_normal((40, m))))


@examples(50)
@given(st.integers(1, 12), st.integers(0, 60), st.floats(0.0, 9.0), st.integers(0, 2**32 - 1))
def test_factors_with_columns_of_any_length_and_angle_are_decomposed_to_rounding(m, more, spread, seed):
    rng = np.random.default_rng(seed)
    F = np.asfortranarray(rng.standard_normal((m + more, m)) @ np.diag(10.0 ** -(spread * rng.random(m))))
    F += np.outer(F[:, 0], rng.standard_normal(m))
    check_factor(F)


@pytest.mark.parametrize("rank", [1, 3])
def test_factors_with_dependent_columns_are_decomposed_by_reflections(rank):
    F = np.asfortranarray(RNG.standard_normal((50, rank)) @ RNG.standard_normal((rank, 10)))
    check_factor(F)
    assert len(eigh_of_factor(F)[0]) <= rank


def check_factor(F):
    K = F @ F.T
    before = F.copy()
    work = F.copy(order="F")
    d, u, loadings = eigh_of_factor(work)
    assert np.shares_memory(u, work)
    np.testing.assert_allclose(u.T @ u, np.eye(len(d)), atol=1e-12)
    rounding = 1e3 * np.finfo(float).eps * np.linalg.norm(K, 2)
    np.testing.assert_allclose(u * d @ u.T, K, atol=rounding)
    np.testing.assert_allclose(loadings, before.T @ u, atol=1e-12 * np.linalg.norm(before, 2))
    assert np.all(d > 0.0)


def test_factors_of_more_rows_than_are_multiplied_at_once_are_decomposed():
    check_factor_rows = np.asfortranarray(RNG.standard_normal((5000, 3)))
    work = check_factor_rows.copy(order="F")
    d, u, _ = eigh_of_factor(work)
    np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-13)
    np.testing.assert_allclose(
        (u * d) @ (u.T @ check_factor_rows), check_factor_rows @ (check_factor_rows.T @ check_factor_rows), rtol=1e-9
    )


@pytest.mark.parametrize("pivots", ["uniform", "kmeans++"])
@pytest.mark.parametrize(("n_features", "gamma"), [(1, 0.5), (2, 0.5), (3, 0.05)])
def test_landmarks_that_nearly_depend_on_each_other_are_no_sign_of_an_indefinite_kernel(pivots, n_features, gamma):
    X = np.random.default_rng(0).standard_normal((400, n_features))
    with pytest.warns(RankWarning):
        spectrum = Spectrum.nystrom(RBF(gamma), X, 300, pivots=pivots)
    K = RBF(gamma).gram(X)
    approximation = (spectrum.eigenvectors * spectrum.eigenvalues) @ spectrum.eigenvectors.T
    np.testing.assert_allclose(approximation[:, spectrum.pivots], K[:, spectrum.pivots], atol=1e-6)
    np.testing.assert_allclose(np.trace(K - approximation), spectrum.trace_error, atol=1e-9)
    assert np.linalg.eigvalsh(K - approximation)[0] > -1e-9
