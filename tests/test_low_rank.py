"""Decompositions up to a tolerance: what is left out, what is refused, and when the whole is decomposed instead."""

import numpy as np
import pytest
from array_api_compat import array_namespace
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from kdtheory import Spectrum, selfdistill_closed_form
from kdtheory._pivoted_cholesky import low_rank_eigh, pivoted_cholesky
from tests.strategies import log_uniform, spectra

RNG = np.random.default_rng(0)
N_LARGE = 600
SMOOTH = rbf_kernel(RNG.standard_normal((N_LARGE, 2)), gamma=0.1)
SMOOTH = 0.5 * SMOOTH + 0.5 * SMOOTH.T


def rounding(K):
    return len(K) * np.finfo(K.dtype).eps * np.linalg.eigvalsh(K)[-1]


def matrix_of(d, n, seed):
    """A symmetric matrix with eigenvalues d, and zeros for the other n - len(d)."""
    u = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, len(d))))[0]
    K = u * d @ u.T
    return 0.5 * K + 0.5 * K.T


@st.composite
def low_rank_matrices(draw):
    """A few drawn eigenvalues above a long decaying tail, mixed at random."""
    d = draw(spectra(zeros=False))
    tail = draw(log_uniform(1e-9, 1e-1)) * d[-1] * 0.5 ** np.arange(draw(st.integers(0, 30)))
    d = np.concatenate([d, tail])
    return matrix_of(d, len(d) + draw(st.integers(0, 60)), draw(st.integers(0, 2**32 - 1)))


@given(low_rank_matrices(), log_uniform(1e-12, 1e-1))
def test_what_is_left_out_is_positive_semidefinite_with_a_trace_within_the_tolerance(K, relative):
    tolerance = relative * np.trace(K)
    found = low_rank_eigh(K, tolerance, len(K))
    assume(found is not None)
    d, u = found
    remainder = K - u * d @ u.T
    assert np.trace(remainder) <= tolerance + 4 * rounding(K)
    assert np.linalg.eigvalsh(remainder)[0] >= -4 * rounding(K)
    assert np.all(np.diff(d) <= 0)
    np.testing.assert_allclose(u.T @ u, np.eye(len(d)), atol=1e-13)


@given(low_rank_matrices(), log_uniform(1e-6, 1e-1))
def test_a_tolerance_far_above_rounding_always_finds_a_factor(K, relative):
    assert low_rank_eigh(K, relative * np.trace(K), len(K)) is not None


@given(low_rank_matrices(), log_uniform(1e-8, 1e-1))
def test_the_eigenvalues_are_those_of_the_matrix_to_within_the_tolerance(K, relative):
    tolerance = relative * np.trace(K)
    d = Spectrum.from_gram(K, tolerance=tolerance).eigenvalues
    exact = Spectrum.from_gram(K).eigenvalues
    assert np.all(d <= exact[: len(d)] + 2 * rounding(K))
    assert np.sum(exact) - np.sum(d) <= tolerance + 10 * rounding(K)


@pytest.mark.parametrize("tolerance", [1e-300, 1e-10, 1e-4, 1.0])
def test_a_smooth_kernel_has_few_eigenvectors_and_they_are_orthonormal(tolerance):
    spectrum = Spectrum.from_gram(SMOOTH, tolerance=tolerance)
    d, u = spectrum.eigenvalues, spectrum.eigenvectors
    assert u.shape == (N_LARGE, len(d))
    assert len(d) < 100
    assert spectrum.n_points == N_LARGE
    np.testing.assert_allclose(u.T @ u, np.eye(len(d)), atol=2e-14)
    remainder = np.linalg.eigvalsh(SMOOTH - u * d @ u.T)
    assert remainder[0] >= -10 * rounding(SMOOTH)
    assert np.sum(np.abs(remainder)) <= tolerance + 10 * rounding(SMOOTH)


def test_no_more_eigenvectors_are_kept_than_the_tolerance_asks_for():
    d = np.linalg.eigvalsh(SMOOTH)
    for tolerance in (1e-8, 1e-4, 1e-1):
        least = N_LARGE - np.searchsorted(np.cumsum(d), tolerance, side="right")
        assert least <= len(Spectrum.from_gram(SMOOTH, tolerance=tolerance).eigenvalues) <= 1.1 * least + 1


@pytest.mark.parametrize("ridge", [1e-3, 1e-1, 10.0])
def test_residuals_of_ridge_regression_left_out_and_in_hardly_change(ridge):
    y = RNG.standard_normal(N_LARGE)

    def left_out_residuals(spectrum):
        u, kept = spectrum.eigenvectors, spectrum.eigenvalues / (spectrum.eigenvalues + ridge)
        return (y - u @ (kept * (u.T @ y))) / (1 - np.sum(u**2 * kept, axis=1))

    exact = left_out_residuals(Spectrum.from_gram(SMOOTH))
    low_rank = left_out_residuals(Spectrum.from_gram(SMOOTH, tolerance=1e-8 * ridge))
    np.testing.assert_allclose(low_rank, exact, atol=1e-8 * np.abs(exact).max())


def test_chains_on_a_low_rank_factor_have_the_fitted_values_of_the_whole():
    y = RNG.standard_normal((N_LARGE, 2))
    chains = [
        selfdistill_closed_form(Spectrum.from_gram(SMOOTH, tolerance=tolerance), y, ridge=0.1, n_steps=4).fitted
        for tolerance in (0.0, 1e-9)
    ]
    np.testing.assert_allclose(chains[1], chains[0], atol=1e-8)


def test_sample_weights_are_in_what_is_decomposed():
    weights = RNG.uniform(0.0, 3.0, N_LARGE)
    weights[:5] = 0.0
    spectrum = Spectrum.from_gram(SMOOTH, weights, tolerance=1e-7)
    d, u, root = spectrum.eigenvalues, spectrum.eigenvectors, np.sqrt(weights)
    assert len(d) < 100
    remainder = root[:, None] * SMOOTH * root - u * d @ u.T
    assert np.abs(np.trace(remainder)) <= 1e-7
    np.testing.assert_allclose(remainder, 0.0, atol=1e-7)
    np.testing.assert_allclose(u[:5], 0.0, atol=1e-12)
    np.testing.assert_array_equal(spectrum.gram, SMOOTH)


class TestTheWholeDecomposition:
    """What is made when low rank does not pay is the same to the last bit."""

    @staticmethod
    def assert_whole(K, tolerance):
        tried, whole = Spectrum.from_gram(K, tolerance=tolerance), Spectrum.from_gram(K)
        np.testing.assert_array_equal(tried.eigenvalues, whole.eigenvalues)
        np.testing.assert_array_equal(tried.eigenvectors, whole.eigenvectors)

    def test_is_made_when_the_rank_is_too_large(self):
        features = RNG.standard_normal((60, 60))
        self.assert_whole(features @ features.T, 1e-8)

    def test_is_made_when_no_tolerance_is_given(self):
        self.assert_whole(SMOOTH, 0.0)

    @pytest.mark.parametrize("scale", [1e-300, 1e300])
    def test_is_made_near_the_ends_of_the_floating_point_range(self, scale):
        self.assert_whole(np.ones((9, 9)) * scale, 1e-3 * scale)

    def test_is_made_of_zeros(self):
        self.assert_whole(np.zeros((6, 6)), 1.0)

    def test_is_made_of_a_single_point(self):
        self.assert_whole(np.ones((1, 1)), 1e-3)

    def test_is_made_for_arrays_of_other_libraries(self):
        xp = pytest.importorskip("array_api_strict")
        K = xp.asarray(np.ones((9, 9)))
        spectrum = Spectrum.from_gram(K, tolerance=1e-3)
        assert array_namespace(spectrum.eigenvectors) is array_namespace(K)
        assert spectrum.eigenvectors.shape == (9, 9)


@given(
    st.integers(9, 60), log_uniform(1e-2, 1e2), log_uniform(1e-6, 1e-2), log_uniform(1e-10, 1e-7), st.integers(0, 2**31)
)
def test_a_negative_eigenvalue_above_the_tolerance_is_refused(n, largest, negative, tolerance, seed):
    K = matrix_of(np.array([1.0, -negative]) * largest, n, seed)
    with pytest.raises(ValueError, match="K must be positive semi-definite, got the eigenvalue -"):
        Spectrum.from_gram(K, tolerance=tolerance * largest)


def test_a_matrix_with_a_diagonal_like_a_low_rank_one_is_refused():
    """Off the diagonal it is not what the first pivot says, which the diagonal alone does not show."""
    K = np.ones((12, 12))
    K[10, 11] = K[11, 10] = 0.5
    assert pivoted_cholesky(K, 1e-8, 4) is not None
    with pytest.raises(ValueError, match="K must be positive semi-definite, got the eigenvalue -"):
        Spectrum.from_gram(K, tolerance=1e-8)


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_an_asymmetric_matrix_is_refused_wherever_it_is_asymmetric(tolerance):
    for i, j in [(0, 1), (299, 3), (3, 299), (599, 598)]:
        K = SMOOTH.copy()
        K[i, j] += 0.25
        first = (min(i, j), max(i, j))
        with pytest.raises(ValueError, match=r"K must be symmetric, got .* at \({}, {}\) and".format(*first)):
            Spectrum.from_gram(K, tolerance=tolerance)


@pytest.mark.parametrize(
    ("tolerance", "error", "message"),
    [
        (-1e-3, ValueError, "tolerance must be >= 0, got -0.001"),
        (np.nan, ValueError, "tolerance must be finite, got nan"),
        ("1", TypeError, "tolerance must be a real number, got '1'"),
    ],
)
def test_bad_tolerances_are_refused(tolerance, error, message):
    with pytest.raises(error, match=message):
        Spectrum.from_gram(np.eye(2), tolerance=tolerance)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_matrix_itself_is_left_alone(order):
    K = np.array(SMOOTH, order=order)
    Spectrum.from_gram(K, tolerance=1e-6)
    np.testing.assert_array_equal(K, SMOOTH)


def test_single_precision_stays_single_precision():
    spectrum = Spectrum.from_gram(SMOOTH.astype(np.float32), tolerance=1e-2)
    assert spectrum.eigenvalues.dtype == spectrum.eigenvectors.dtype == np.float32
    d, u = spectrum.eigenvalues, spectrum.eigenvectors
    assert len(d) < 100
    np.testing.assert_allclose(u * d @ u.T, SMOOTH, atol=2e-2)


@pytest.mark.parametrize("n", [2, 3, 64, 65, 66, 129, 300])
def test_eigenvectors_are_multiplied_out_of_blocks_of_reflections_of_any_number(n):
    features = RNG.standard_normal((n, n + 1))
    K = features @ features.T
    spectrum = Spectrum.from_gram(K)
    d, u = spectrum.eigenvalues, spectrum.eigenvectors
    np.testing.assert_allclose(u.T @ u, np.eye(n), atol=1e-13)
    np.testing.assert_allclose(u * d @ u.T, K, atol=1e-12 * d[0])


@pytest.mark.parametrize("n", [2, 5, 200])
def test_eigenvectors_are_multiplied_out_where_no_reflection_is_needed(n):
    d = np.linspace(2.0, 1.0, n)
    np.testing.assert_array_equal(np.abs(Spectrum.from_gram(np.diag(d)).eigenvectors), np.eye(n))
