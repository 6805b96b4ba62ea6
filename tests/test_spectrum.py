"""The decomposition, what it accepts, and what it refuses."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import pairwise_kernels

from kdtheory import Spectrum, selfdistill_closed_form
from tests.strategies import problems


@given(problems(outputs=False))
def test_eigenpairs_are_descending_orthonormal_and_rebuild_the_matrix(problem):
    spectrum = Spectrum.from_gram(problem.K)
    d, u = spectrum.eigenvalues, spectrum.eigenvectors
    assert np.all(np.diff(d) <= 0)
    np.testing.assert_allclose(u.T @ u, np.eye(len(d)), atol=1e-13)
    np.testing.assert_allclose(u * d @ u.T, problem.K, atol=1e-13 * d[0] + 1e-300)
    np.testing.assert_allclose(d, problem.eigenvalues, atol=1e-13 * d[0] + 1e-300)


@given(problems(outputs=False))
def test_zero_eigenvalues_are_exactly_zero(problem):
    """The problems' smallest positive eigenvalue is far above rounding."""
    spectrum = Spectrum.from_gram(problem.K)
    assert spectrum.rank == np.count_nonzero(problem.eigenvalues)
    assert np.all(spectrum.eigenvalues[spectrum.rank :] == 0)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "linear", "cosine"])
@pytest.mark.parametrize("n", [20, 300])
def test_the_kernels_of_scikit_learn_are_accepted(kernel, n):
    X = np.random.default_rng(0).standard_normal((n, 3))
    spectrum = Spectrum.from_gram(pairwise_kernels(X, metric=kernel))
    assert spectrum.eigenvalues[-1] >= 0


class TestRounding:
    """In units of (8 + n/16)·eps·d_max, for a diagonal matrix, whose eigenvalues are exact."""

    unit = (8.0 + 50 / 16) * np.finfo(float).eps

    def spectrum(self, smallest):
        d = np.full(50, 1.0)
        d[-1] = smallest * self.unit
        return Spectrum.from_gram(np.diag(d))

    @pytest.mark.parametrize("smallest", [1.0, 0.5, -0.5, -1.0, -4400.0])
    def test_what_is_within_rounding_is_zero(self, smallest):
        assert self.spectrum(smallest).rank == 49

    @pytest.mark.parametrize("smallest", [1.1, 30.0])
    def test_what_is_above_rounding_is_kept(self, smallest):
        assert self.spectrum(smallest).eigenvalues[-1] == pytest.approx(smallest * self.unit)

    def test_what_is_clearly_negative_is_refused(self):
        with pytest.raises(ValueError, match="K must be positive semi-definite, got the eigenvalue -1.1"):
            self.spectrum(-4600.0)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("n", [2, 30, 300])
    def test_the_rank_of_matrices_with_rounded_entries_is_found(self, n, dtype):
        rng = np.random.default_rng(n)
        X = rng.standard_normal((n, 2)).astype(dtype)
        copies = X[rng.integers(0, 2, n)]
        for points, rank in ((X, 2), (X + np.asarray(50.0, dtype), 2), (copies, 2), (np.ones_like(X), 1)):
            gram = points @ points.T
            assert Spectrum.from_gram((gram + gram.T) / 2).rank <= rank

    def test_single_precision_keeps_what_it_holds(self):
        """A matrix of condition 2·10⁴ as tangent kernels are, with one large eigenvalue, whatever the ridge."""
        n = 500
        Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
        d = np.r_[1.0, np.geomspace(1e-2, 5e-5, n - 1)]
        K, y = (Q * d) @ Q.T, Q.sum(axis=1)
        exact = selfdistill_closed_form(K, y, ridge=1e-6, n_steps=2)
        single = selfdistill_closed_form(K.astype(np.float32), y.astype(np.float32), ridge=1e-6, n_steps=2)
        assert np.linalg.norm(single.dual_coef - exact.dual_coef) <= 0.05 * np.linalg.norm(exact.dual_coef)


@pytest.mark.parametrize(
    ("K", "error", "message"),
    [
        ([[1.0, 2.0, 3.0], [2.0, 1.0, 4.0]], ValueError, r"K must be square, got shape \(2, 3\)"),
        ([1.0, 2.0], ValueError, r"K must be 2-dimensional, got shape \(2,\)"),
        ([[1.0, 0.5], [0.4, 1.0]], ValueError, r"K must be symmetric, got 0.5 at \(0, 1\) and 0.4 at \(1, 0\)"),
        ([[1.0, np.nan], [np.nan, 1.0]], ValueError, r"K must be finite, got nan at index \(0, 1\)"),
        ([[np.inf, 0.0], [0.0, 1.0]], ValueError, r"K must be finite, got inf at index \(0, 0\)"),
        ([[1.0, 2.0], [2.0, 1.0]], ValueError, "K must be positive semi-definite, got the eigenvalue -1 "),
        ([[-1.0]], ValueError, "K must be positive semi-definite, got the eigenvalue -1 "),
        (np.zeros((0, 0)), ValueError, r"K must not be empty, got shape \(0, 0\)"),
        ([["a", "b"], ["c", "d"]], TypeError, "K must hold real numbers, got .* of dtype <U1"),
        ([[1.0, 2.0], [2.0]], ValueError, "K must be a rectangular array of numbers, got list"),
        (np.eye(2) * 1j, TypeError, "K must hold real numbers, got ndarray of dtype complex128"),
        (None, TypeError, "K must hold real numbers"),
        (np.ma.masked_equal(np.eye(2), 0.0), TypeError, "K must be a plain array, got a masked array"),
    ],
)
def test_bad_matrices_are_refused(K, error, message):
    with pytest.raises(error, match=message):
        Spectrum.from_gram(K)


@given(st.sampled_from([1e-9, 1e-7]), st.sampled_from([1e-150, 1.0, 1e150]))
def test_asymmetry_is_judged_relative_to_the_largest_entry(asymmetry, scale):
    K = np.array([[2.0, 1.0], [1.0 + 2 * asymmetry, 2.0]]) * scale
    if asymmetry < 1e-8:
        np.testing.assert_allclose(Spectrum.from_gram(K).eigenvalues, [3 * scale, scale], rtol=1e-8)
    else:
        with pytest.raises(ValueError, match="K must be symmetric"):
            Spectrum.from_gram(K)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_matrix_itself_is_left_alone(order):
    K = np.array([[2.0, 1.0], [1.0, 2.0]], order=order)
    Spectrum.from_gram(K)
    np.testing.assert_array_equal(K, [[2.0, 1.0], [1.0, 2.0]])


@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.5, 2.0, 300)])
def test_overwriting_the_matrix_changes_nothing_else(sample_weight):
    K = pairwise_kernels(np.linspace(0.0, 1.0, 300)[:, None], metric="rbf", gamma=50.0)
    K[0, 1] *= 1.0 + 1e-10  # so that there is something to be made symmetric
    left_alone = Spectrum.from_gram(K, sample_weight)
    given = K.copy()
    overwritten = Spectrum.from_gram(given, sample_weight, overwrite_K=True)
    assert not np.array_equal(given, K)
    np.testing.assert_array_equal(overwritten.eigenvalues, left_alone.eigenvalues)
    np.testing.assert_array_equal(overwritten.eigenvectors, left_alone.eigenvectors)
    np.testing.assert_array_equal(overwritten.gram_matrix(), left_alone.gram_matrix())


def test_a_matrix_that_cannot_be_overwritten_is_left_alone():
    for K in (np.array([[2.0, 1.0], [1.0 + 1e-9, 2.0]], order="F"), np.array([[2.0, 1.0], [1.0 + 1e-9, 2.0]])):
        K.flags.writeable = False
        np.testing.assert_allclose(Spectrum.from_gram(K, overwrite_K=True).eigenvalues, [3.0, 1.0])
    with pytest.raises(TypeError, match="overwrite_K must be True or False, got 1"):
        Spectrum.from_gram(np.eye(2), overwrite_K=1)


def test_asymmetry_is_reported_where_it_is_largest_even_when_the_matrix_may_be_overwritten():
    for overwrite in (False, True):
        K = np.eye(600)
        K[3, 299], K[599, 298] = 0.25, 0.5
        with pytest.raises(ValueError, match=r"K must be symmetric, got 0.0 at \(298, 599\) and 0.5 at \(599, 298\)"):
            Spectrum.from_gram(K, overwrite_K=overwrite)


def test_a_spectrum_does_not_follow_later_changes_of_its_arrays():
    d, u = np.array([2.0, 1.0]), np.eye(2)
    spectrum = Spectrum(d, u)
    d[0], u[0, 0] = -5.0, 7.0
    np.testing.assert_array_equal(spectrum.eigenvalues, [2.0, 1.0])
    np.testing.assert_array_equal(spectrum.eigenvectors, np.eye(2))


def test_the_zero_matrix_and_huge_entries_are_legal():
    assert Spectrum.from_gram(np.zeros((3, 3))).rank == 0
    np.testing.assert_allclose(Spectrum.from_gram(np.eye(2) * 1.5e308).eigenvalues, 1.5e308)


@pytest.mark.parametrize(
    "K", [np.eye(2, dtype=int), np.eye(2, dtype=bool), np.eye(2, dtype=np.float16), [[1, 0], [0, 1]]]
)
def test_other_numbers_become_double_precision(K):
    assert Spectrum.from_gram(K).eigenvalues.dtype == np.float64


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_subclass_does_not_bring_its_own_product():
    assert type(Spectrum.from_gram(np.asmatrix(np.eye(2))).eigenvectors) is np.ndarray


@pytest.mark.parametrize(
    ("d", "u", "message"),
    [
        ([1.0, 2.0], np.eye(2), "eigenvalues must be descending"),
        ([1.0, -2.0], np.eye(2), "eigenvalues must be >= 0, got -2.0"),
        ([1.0, np.nan], np.eye(2), "eigenvalues must be finite, got nan at index 1"),
        ([[1.0]], np.eye(1), "eigenvalues must be 1-dimensional"),
        ([1.0], np.eye(2), r"eigenvectors must have 1 columns, .* got shape \(2, 2\)"),
        ([1.0, 0.5], np.ones((1, 2)), r"eigenvectors must have 2 columns, .* got shape \(1, 2\)"),
        ([1.0], np.ones(1), r"eigenvectors must be 2-dimensional, got shape \(1,\)"),
    ],
)
def test_bad_decompositions_are_refused(d, u, message):
    with pytest.raises(ValueError, match=message):
        Spectrum(d, u)


@given(problems(outputs=False))
def test_dropping_zero_eigenvalues_keeps_the_matrix(problem):
    positive = Spectrum.from_gram(problem.K).positive()
    assert positive.rank == len(positive.eigenvalues) == np.count_nonzero(problem.eigenvalues)
    rebuilt = positive.eigenvectors * positive.eigenvalues @ positive.eigenvectors.T
    np.testing.assert_allclose(rebuilt, problem.K, atol=1e-13 * problem.eigenvalues[0])


def test_a_spectrum_of_zeros_has_no_positive_part():
    with pytest.raises(ValueError, match="eigenvalues must hold at least one value > 0"):
        Spectrum.from_gram(np.zeros((2, 2))).positive()


@given(problems())
def test_lifting_many_filters_at_once_is_lifting_each(problem):
    spectrum = Spectrum(problem.eigenvalues, problem.eigenvectors)
    values = np.random.default_rng(0).standard_normal((2, 3, len(problem.y)))
    lifted = spectrum.lift(values, spectrum.coordinates(problem.y))
    assert lifted.shape == (2, 3, *problem.y.shape)
    for i, j in np.ndindex(2, 3):
        one = problem.eigenvectors * values[i, j] @ problem.eigenvectors.T @ problem.y
        np.testing.assert_allclose(lifted[i, j], one, rtol=0, atol=1e-13)


class TestFactoredEigenvectors:
    """A decomposed numpy matrix keeps its eigenvectors in factors until they are asked for, or have been used a lot."""

    rng = np.random.default_rng(0)

    def gram(self, n, dtype=np.float64):
        features = self.rng.standard_normal((n, n + 1))
        return (features @ features.T).astype(dtype)

    @pytest.mark.parametrize("n", [2, 3, 5, 40])
    @pytest.mark.parametrize("columns", [(), (2,)])
    def test_products_are_those_of_the_eigenvectors(self, n, columns):
        spectrum, y = Spectrum.from_gram(self.gram(n)), self.rng.standard_normal((n, *columns))
        values = self.rng.standard_normal(n)
        coordinates = spectrum.coordinates(y)
        lifted = spectrum.lift(values, coordinates)
        u = spectrum.eigenvectors
        np.testing.assert_allclose(coordinates, u.T @ y, atol=1e-13)
        np.testing.assert_allclose(lifted, u * values @ u.T @ y, atol=1e-12)
        np.testing.assert_allclose(spectrum.lift(values, spectrum.coordinates(y)), lifted, atol=1e-12)

    def test_single_precision_is_factored_in_single_precision(self):
        spectrum = Spectrum.from_gram(self.gram(6, np.float32))
        lifted = spectrum.lift(np.ones(6, dtype=np.float32), spectrum.coordinates(np.ones(6)))
        assert lifted.dtype == spectrum.eigenvectors.dtype == np.float32
        np.testing.assert_allclose(lifted, np.ones(6), rtol=1e-4)

    @pytest.mark.parametrize(("n", "n_columns", "n_products"), [(4, 1, 4), (4, 2, 2), (64, 1, 32), (64, 8, 8)])
    def test_they_are_multiplied_out_when_products_without_have_cost_as_much(self, n, n_columns, n_products):
        spectrum = Spectrum.from_gram(self.gram(n))
        for _ in range(n_products):
            spectrum.coordinates(np.ones((n, n_columns)))
            assert "eigenvectors" not in vars(spectrum)
        spectrum.lift(np.ones((n_columns, n)), np.ones(n))
        assert "eigenvectors" in vars(spectrum)
        assert "_factors" not in vars(spectrum)

    def test_they_survive_pickling_in_either_form(self):
        spectrum = Spectrum.from_gram(self.gram(4))
        before = pickle.loads(pickle.dumps(spectrum))
        u = spectrum.eigenvectors
        after = pickle.loads(pickle.dumps(spectrum))
        np.testing.assert_array_equal(before.eigenvectors, u)
        np.testing.assert_array_equal(after.eigenvectors, u)

    def test_other_attributes_are_still_missing(self):
        with pytest.raises(AttributeError, match="'Spectrum' object has no attribute 'eigenvector'"):
            _ = Spectrum.from_gram(self.gram(3)).eigenvector

    @pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
    def test_the_scale_of_the_matrix_does_not_matter(self, scale):
        gram = self.gram(5)
        plain, scaled = Spectrum.from_gram(gram), Spectrum.from_gram(scale * gram)
        np.testing.assert_allclose(scaled.eigenvalues, scale * plain.eigenvalues, rtol=1e-12)
        np.testing.assert_allclose(abs(scaled.eigenvectors), abs(plain.eigenvectors), atol=1e-12)


def test_it_prints_what_matters():
    assert repr(Spectrum.from_gram(np.ones((3, 3)))) == "Spectrum(n_points=3, rank=1, d_max=3, d_min=0)"
