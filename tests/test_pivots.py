"""Landmarks: exact columns, the trace that is left, the distribution of random pivots, and what is refused."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.kernels import RBF
from kdtheory.pivots import DenseColumns, PartialCholesky, RankWarning, cholesky_at, randomly_pivoted_cholesky
from tests.strategies import examples, spectra

RNG = np.random.default_rng(0)


def gram_of(d, n, seed):
    u = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, len(d))))[0]
    K = u * d @ u.T
    return 0.5 * K + 0.5 * K.T


def smooth_gram(n, scale=0.5):
    x = np.linspace(0.0, 1.0, n)
    return np.exp(-np.abs(x[:, None] - x) / scale)


@st.composite
def grams(draw):
    d = draw(spectra(min_size=1, max_size=30, low=1e-3, high=1e2))
    return gram_of(d, len(d) + draw(st.integers(0, 20)), draw(st.integers(0, 2**32 - 1)))


def factor_quietly(make, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankWarning)
        return make(*arguments, **options)


def rounding_of(K, found):
    """Bound the rounding of a remainder: points that the landmarks give with large weights carry their errors so much
    farther (Higham 2002, Accuracy and Stability of Numerical Algorithms, Theorem 10.14).
    """
    F, S = found.factor, found.pivots
    weights = scipy.linalg.solve_triangular(F[S], np.delete(F, S, axis=0).T, lower=True, trans="T")
    farther = 1.0 + (np.linalg.norm(weights, 2) if weights.size else 0.0)
    return 4.0 * len(K) * np.finfo(float).eps * np.max(np.abs(K)) * farther**2


def assert_is_partial_cholesky(K, found):
    F, S = found.factor, found.pivots
    rounding = 4.0 * len(K) * np.finfo(float).eps * np.max(np.abs(K))
    assert len(np.unique(S)) == len(S)
    np.testing.assert_allclose(F @ F[S].T, K[:, S], rtol=0.0, atol=rounding)
    np.testing.assert_array_equal(F[S], np.tril(F[S]))
    assert np.all(np.diagonal(F[S]) > 0.0)
    remainder = K - F @ F.T
    assert np.linalg.eigvalsh(remainder)[0] >= -rounding_of(K, found)
    np.testing.assert_allclose(found.trace_error, np.trace(remainder), rtol=0.0, atol=rounding_of(K, found))
    assert F.flags.f_contiguous


@given(grams(), st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
def test_random_pivots_make_their_columns_exact_and_leave_a_psd_remainder_of_known_trace(K, share, seed):
    n_pivots = 1 + int(share * (len(K) - 1))
    found = factor_quietly(randomly_pivoted_cholesky, DenseColumns(K), n_pivots, random_state=seed)
    assert len(found.pivots) <= n_pivots
    assert_is_partial_cholesky(K, found)


@given(grams(), st.integers(0, 2**32 - 1))
def test_given_pivots_make_their_columns_exact_and_leave_a_psd_remainder_of_known_trace(K, seed):
    candidates = np.random.default_rng(seed).integers(len(K), size=2 * len(K))
    found = factor_quietly(cholesky_at, DenseColumns(K), candidates, len(K))
    assert set(found.pivots) <= set(candidates)
    assert_is_partial_cholesky(K, found)


@given(st.integers(20, 60), st.integers(0, 2**32 - 1))
def test_the_first_of_the_given_points_are_the_pivots(n, seed):
    order = np.random.default_rng(seed).permutation(n)
    K = smooth_gram(n)
    found = cholesky_at(DenseColumns(K), order, n // 2)
    np.testing.assert_array_equal(np.sort(found.pivots), np.sort(order[: n // 2]))
    np.testing.assert_allclose(
        found.factor[found.pivots], scipy.linalg.cholesky(K[np.ix_(found.pivots, found.pivots)], lower=True), atol=1e-12
    )


@given(st.integers(30, 200), st.floats(0.1, 3.0), st.integers(0, 2**32 - 1))
def test_nearly_dependent_points_in_any_order_leave_a_remainder_with_few_rounding_errors(n, gamma, seed):
    """A Gaussian kernel on a line has a small numerical rank, and far points depend most of all on their neighbours.

    Where the last pivot is hardly above rounding, its column has errors of the precision over the root of that pivot,
    which is 1e-9, and points far from all landmarks have entries of about one there.
    """
    assert_remainder_is_positive(n, gamma, seed, tolerance=1e-8)


@pytest.mark.parametrize("seed", [66, 142, 187, 196, 236, 376, 384])
def test_nearly_dependent_points_mostly_leave_none(seed):
    """In the order of their indices they leave errors above 5e-12 here."""
    assert_remainder_is_positive(60, 1.0, seed, tolerance=1e-15)


def assert_remainder_is_positive(n, gamma, seed, tolerance):
    rng = np.random.default_rng(seed)
    K = RBF(gamma).gram(np.sort(rng.standard_normal((n, 1)), axis=0))
    for candidates in (np.arange(n), rng.permutation(n), np.repeat(rng.permutation(n), 3)):
        found = factor_quietly(cholesky_at, DenseColumns(K), candidates, (2 * n) // 3)
        remainder = K - found.factor @ found.factor.T
        assert np.linalg.eigvalsh(remainder)[0] > -tolerance * n
        np.testing.assert_allclose(np.trace(remainder), found.trace_error, atol=1e-11 * n)


def test_points_that_depend_on_earlier_ones_give_way_to_later_ones():
    K = np.kron(np.diag([1.0, 2.0, 3.0]), np.ones((200, 200)))
    candidates = [0, *range(1, 60), 300, 599]
    assert set(cholesky_at(DenseColumns(K), candidates, 2).pivots // 200) == {0, 1}
    assert set(cholesky_at(DenseColumns(K), candidates, 3).pivots // 200) == {0, 1, 2}


@pytest.mark.parametrize("make", [randomly_pivoted_cholesky, lambda K, m: cholesky_at(K, np.arange(700), m)])
def test_many_blocks_are_as_exact_as_one(make):
    K = smooth_gram(700)
    found = make(DenseColumns(K), 600)
    assert len(found.pivots) == 600
    assert_is_partial_cholesky(K, found)


@pytest.mark.parametrize("make", [randomly_pivoted_cholesky, lambda K, m: cholesky_at(K, range(40), m)])
def test_as_many_pivots_as_points_leave_nothing(make):
    K = smooth_gram(40)
    found = make(DenseColumns(K), 40)
    np.testing.assert_allclose(found.factor @ found.factor.T, K, atol=1e-13)
    assert found.trace_error == 0.0


def probabilities_of_orders(K, n_pivots):
    """Of every sequence of pivots, when each is drawn in proportion to the diagonal that is left."""
    found = {}
    for order in itertools.permutations(range(len(K)), n_pivots):
        left, probability = K.copy(), 1.0
        for point in order:
            probability *= left[point, point] / np.trace(left)
            left = left - np.outer(left[:, point], left[point]) / left[point, point]
        found[order] = probability
    return found


def test_pivots_have_the_distribution_of_one_draw_at_a_time():
    """Blocks of 8 proposals on 4 points: most are rejected. A chi-squared statistic over all sequences of pivots."""
    features = np.array([[2.0, 0.0, 0.0], [1.9, 0.4, 0.0], [0.0, 1.0, 0.2], [0.3, 0.3, 0.6]])
    K = features @ features.T + 0.05 * np.eye(4)
    rng, n_draws = np.random.default_rng(1), 4000
    counts = dict.fromkeys(probabilities_of_orders(K, 3), 0)
    for _ in range(n_draws):
        counts[tuple(int(i) for i in randomly_pivoted_cholesky(DenseColumns(K), 3, random_state=rng).pivots)] += 1
    expected = {order: n_draws * p for order, p in probabilities_of_orders(K, 3).items()}
    statistic = sum((counts[order] - expected[order]) ** 2 / expected[order] for order in counts)
    # 23 degrees of freedom: mean 23, and above 50 with a probability of 0.001.
    assert statistic < 50.0


def test_random_pivots_leave_little_more_than_the_best_factor_of_a_smaller_rank():
    K = smooth_gram(300)
    d = np.linalg.eigvalsh(K)
    errors = [randomly_pivoted_cholesky(DenseColumns(K), 60, random_state=seed).trace_error for seed in range(5)]
    assert np.sum(d[:-60]) <= min(errors)
    assert np.mean(errors) <= 2.0 * np.sum(d[:-30])


def test_entries_between_points_may_come_from_elsewhere():
    K = smooth_gram(100)
    found = randomly_pivoted_cholesky(DenseColumns(K), 30, between=lambda indices: K[np.ix_(indices, indices)])
    default = randomly_pivoted_cholesky(DenseColumns(K), 30)
    np.testing.assert_array_equal(found.pivots, default.pivots)
    np.testing.assert_array_equal(found.factor, default.factor)


def test_the_same_random_state_gives_the_same_pivots_and_another_gives_others():
    K = DenseColumns(smooth_gram(100))
    first, again, other = (randomly_pivoted_cholesky(K, 20, random_state=state).pivots for state in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


@pytest.mark.parametrize("make", [randomly_pivoted_cholesky, lambda K, m: cholesky_at(K, range(60), m)])
def test_duplicate_points_give_fewer_pivots_and_a_warning_with_the_rank(make):
    distinct = smooth_gram(20)
    K = np.tile(distinct, (3, 3))
    with pytest.warns(RankWarning, match="numerical rank 20 at these points: 20 pivots instead of 30"):
        found = make(DenseColumns(K), 30)
    assert found.factor.shape == (60, 20)
    assert found.trace_error == 0.0
    np.testing.assert_allclose(found.factor @ found.factor.T, K, atol=1e-12)


def test_a_matrix_of_very_low_rank_is_found_out_without_dividing_by_rounding():
    K = gram_of(np.array([1.0, 1e-4, 1e-9]), 50, 0)
    with pytest.warns(RankWarning):
        found = randomly_pivoted_cholesky(DenseColumns(K), 40)
    assert 3 <= len(found.pivots) < 40
    np.testing.assert_allclose(found.factor @ found.factor.T, K, atol=1e-13)


def test_single_precision_stays_single_precision():
    K = smooth_gram(100).astype(np.float32)
    found = randomly_pivoted_cholesky(DenseColumns(K), 50)
    assert found.factor.dtype == np.float32
    np.testing.assert_allclose(found.factor @ found.factor[found.pivots].T, K[:, found.pivots], atol=1e-5)


def test_the_matrix_is_left_alone_and_the_result_says_what_it_is():
    K = smooth_gram(30)
    before = K.copy()
    found = randomly_pivoted_cholesky(DenseColumns(K), 30)
    np.testing.assert_array_equal(K, before)
    assert repr(found) == "PartialCholesky(n_points=30, n_pivots=30, trace_error=0)"
    assert isinstance(found, PartialCholesky)


@pytest.mark.parametrize(
    ("K", "n_pivots", "error", "message"),
    [
        (np.eye(3), 4, ValueError, "n_pivots must be <= 3, the number of points, got 4"),
        (np.eye(3), 0, ValueError, "n_pivots must be >= 1, got 0"),
        (np.eye(3), 1.5, TypeError, "n_pivots must be an integer, got 1.5"),
        (np.zeros((3, 3)), 1, ValueError, "diagonal of the matrix must be finite and > 0 somewhere, got at most 0.0"),
        (
            np.diag([1.0, np.nan]),
            1,
            ValueError,
            "diagonal of the matrix must be finite and > 0 somewhere, got at most nan",
        ),
        (np.diag([1.0, -1.0]), 1, ValueError, "semi-definite, got -1 on the diagonal at point 1 after 0 pivots"),
        (np.diag([1.0, -1e-9]), 1, ValueError, "semi-definite, got -1e-09 on the diagonal at point 1 after 0 pivots"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), 1, ValueError, "semi-definite, got -3 on the diagonal at point"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), 1, ValueError, "must be finite and positive semi-definite, got nan"),
    ],
)
def test_bad_matrices_and_numbers_are_refused(K, n_pivots, error, message):
    with pytest.raises(error, match=message):
        randomly_pivoted_cholesky(DenseColumns(K), n_pivots)
    with pytest.raises(error, match=message):
        cholesky_at(DenseColumns(K), np.arange(len(K)), n_pivots)


@pytest.mark.parametrize(
    ("candidates", "error", "message"),
    [
        ([0, 3], ValueError, "candidates must be indices from 0 to 2, got 3"),
        ([-1], ValueError, "candidates must be indices from 0 to 2, got -1"),
        ([0.5], TypeError, "candidates must be a sequence of integers, got dtype float64"),
        ([[0]], TypeError, "candidates must be a sequence of integers, got dtype int64 of shape"),
    ],
)
def test_bad_candidates_are_refused(candidates, error, message):
    with pytest.raises(error, match=message):
        cholesky_at(DenseColumns(np.eye(3)), candidates, 1)


@examples(25)
@given(st.integers(0, 2**32 - 1))
def test_negative_eigenvalues_that_the_pivots_meet_are_refused(seed):
    K = gram_of(np.array([1.0, 0.5, 0.2, -0.5]), 30, seed)
    with pytest.raises(ValueError, match="kernel must be finite and positive semi-definite"):
        randomly_pivoted_cholesky(DenseColumns(K), 30, random_state=seed)


def test_a_diagonal_that_is_negative_by_rounding_is_taken_for_zero():
    assert cholesky_at(DenseColumns(np.diag([1.0, -1e-13])), [1, 0], 1).pivots == [0]


def test_pivots_end_where_the_entries_between_points_say_that_nothing_is_left():
    with pytest.warns(RankWarning, match="0 pivots instead of 3"):
        found = randomly_pivoted_cholesky(DenseColumns(np.eye(5)), 3, between=lambda i: np.zeros((len(i), len(i))))
    assert found.factor.shape == (5, 0)


def test_candidates_without_a_diagonal_are_refused():
    with pytest.raises(ValueError, match="candidates must hold a point whose diagonal entry is more than rounding"):
        cholesky_at(DenseColumns(np.diag([1.0, 0.0, 1e-16])), [1, 2], 1)


@pytest.mark.parametrize("random_state", ["a", -1])
def test_bad_random_states_are_refused(random_state):
    with pytest.raises((TypeError, ValueError), match="random_state must be an integer >= 0"):
        randomly_pivoted_cholesky(DenseColumns(np.eye(2)), 1, random_state=random_state)
