"""Conjugate gradients: dense solves, scipy's own iteration, many digits, chains, and what is refused or warned of."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge

from kdtheory import Spectrum, selfdistill_closed_form
from kdtheory._regularised_system import NotConvergedWarning
from kdtheory.conjugate_gradient import selfdistill_iteratively, solve_ridge
from kdtheory.kernels import RBF
from kdtheory.spectrum.nystrom import nystrom_spectrum
from tests.strategies import examples, log_uniform, problems, real_weights

RNG = np.random.default_rng(0)
X, X_TEST = RNG.standard_normal((300, 5)), RNG.standard_normal((20, 5))
KERNEL = RBF(gamma=0.1)
K = KERNEL.gram(X)
Y = np.sin(X[:, :3]) + 0.1 * RNG.standard_normal((300, 3))


class Counted(scipy.sparse.linalg.LinearOperator):
    """A Gram matrix that counts its products."""

    def __init__(self, matrix):
        self.matrix, self.n_products = matrix, 0
        super().__init__(matrix.dtype, matrix.shape)

    def diagonal(self):
        return np.diagonal(self.matrix)

    def _matmat(self, columns):
        self.n_products += 1
        return self.matrix @ columns


def relative_residual(K, y, ridge, dual):
    return np.linalg.norm(y - K @ dual - ridge * dual, axis=0) / np.linalg.norm(y, axis=0)


@given(problems(), st.booleans())
def test_solutions_are_those_of_dense_solves_with_and_without_a_preconditioner(problem, preconditioned):
    spectrum = Spectrum.from_gram(problem.K)
    solution = solve_ridge(
        problem.K, problem.y, problem.ridge, tolerance=1e-12, preconditioner=spectrum if preconditioned else None
    )
    exact = scipy.linalg.solve(problem.K + problem.ridge * np.eye(len(problem.K)), problem.y, assume_a="pos")
    assert solution.dual_coef.shape == problem.y.shape
    scale = np.linalg.norm(problem.y) / problem.ridge
    np.testing.assert_allclose(solution.dual_coef, exact, atol=1e-10 * scale)
    np.testing.assert_allclose(solution.fitted, problem.K @ exact, atol=1e-8 * np.linalg.norm(problem.y))
    np.testing.assert_allclose(solution.predict(problem.K_test), problem.K_test @ exact, atol=1e-8 * scale)
    assert np.all(solution.residual <= 1e-12)
    if preconditioned:
        assert solution.n_iterations <= 3


@pytest.mark.parametrize(("ridge", "preconditioned"), [(1e-4, True), (1e-2, True), (1e-2, False), (1.0, False)])
def test_operators_that_are_never_stored_give_scikit_learns_coefficients(ridge, preconditioned):
    preconditioner = nystrom_spectrum(KERNEL, X, 100) if preconditioned else None
    solution = solve_ridge(KERNEL.operator(X), Y, ridge, preconditioner=preconditioner, tolerance=1e-10)
    twin = KernelRidge(alpha=ridge, kernel="rbf", gamma=0.1).fit(X, Y)
    np.testing.assert_allclose(solution.dual_coef, twin.dual_coef_, rtol=1e-6, atol=1e-6 / ridge**0.5)
    np.testing.assert_allclose(solution.predict(KERNEL.operator(X_TEST, X)), twin.predict(X_TEST), atol=1e-6)
    np.testing.assert_allclose(solution.residual, relative_residual(K, Y, ridge, solution.dual_coef), atol=1e-12)


def test_one_output_is_the_iteration_of_scipy_step_by_step():
    """Up to a tolerance at which rounding has not yet grown to change the count."""
    ridge, y = 1.0, Y[:, 0]
    taken = []
    expected, _ = scipy.sparse.linalg.cg(K + ridge * np.eye(300), y, rtol=0.9e-4, callback=lambda _: taken.append(None))
    solution = solve_ridge(K, y, ridge, tolerance=1e-4)
    assert solution.n_iterations == len(taken)
    np.testing.assert_allclose(solution.dual_coef, expected, atol=1e-9)


def test_outputs_of_any_size_meet_the_tolerance_each_and_share_their_products():
    operator = Counted(K)
    sizes = np.array([1e-9, 1.0, 1e9])
    solution = solve_ridge(operator, Y * sizes, 0.01, tolerance=1e-6)
    assert np.all(relative_residual(K, Y * sizes, 0.01, solution.dual_coef) <= 1e-6)
    assert operator.n_products == solution.n_iterations + 1
    alone = [solve_ridge(K, Y[:, j], 0.01, tolerance=1e-6).n_iterations for j in range(3)]
    assert solution.n_iterations <= 1.2 * max(alone) + 1


def test_an_output_of_zeros_is_solved_by_zeros_beside_others():
    targets = np.stack([Y[:, 0], np.zeros(300)], axis=1)
    solution = solve_ridge(K, targets, 0.1)
    np.testing.assert_array_equal(solution.dual_coef[:, 1], 0.0)
    np.testing.assert_array_equal(solution.residual[1], 0.0)
    assert solve_ridge(K, np.zeros(300), 0.1).n_iterations == 0


def test_an_ill_conditioned_system_has_the_digits_that_its_condition_leaves():
    n, ridge = 12, 1e-6
    gram = scipy.linalg.hilbert(n)
    y = np.random.default_rng(1).standard_normal(n)
    with mpmath.workdps(60):
        exact = mpmath.lu_solve(mpmath.matrix(gram.tolist()) + mpmath.mpf(ridge) * mpmath.eye(n), mpmath.matrix(y))
    exact = np.array([float(value) for value in exact])
    for preconditioner in (None, Spectrum.from_gram(gram)):
        solution = solve_ridge(gram, y, ridge, tolerance=1e-9, preconditioner=preconditioner)
        assert solution.residual <= 1e-9
        np.testing.assert_allclose(solution.dual_coef, exact, atol=1e-8 * np.max(np.abs(exact)))


def test_a_preconditioner_saves_the_more_iterations_the_nearer_it_is():
    counts = [solve_ridge(K, Y, 1e-3).n_iterations]
    counts += [
        solve_ridge(K, Y, 1e-3, preconditioner=nystrom_spectrum(KERNEL, X, m)).n_iterations for m in (50, 150, 250)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0] / 10


def test_a_start_at_the_solution_takes_no_iteration():
    solution = solve_ridge(K, Y, 0.1)
    again = solve_ridge(K, Y, 0.1, x0=solution.dual_coef)
    assert again.n_iterations == 0
    np.testing.assert_array_equal(again.dual_coef, solution.dual_coef)
    halfway = solve_ridge(K, Y, 0.1, x0=solution.dual_coef + 1e-7 * RNG.standard_normal(Y.shape))
    assert 0 < halfway.n_iterations < solution.n_iterations
    np.testing.assert_allclose(halfway.dual_coef, solution.dual_coef, atol=1e-6)


def test_what_is_left_is_solved_for_again_where_the_recursion_is_too_hopeful():
    """An operator whose third product is wrong by a thousandth, which the recursion takes over into its residual."""

    class WrongOnce(Counted):
        def _matmat(self, columns):
            return super()._matmat(columns) * (1.001 if self.n_products == 2 else 1.0)

    operator = WrongOnce(K)
    solution = solve_ridge(operator, Y, 0.1, tolerance=1e-9)
    assert np.all(relative_residual(K, Y, 0.1, solution.dual_coef) <= 1.001e-9)
    assert operator.n_products == solution.n_iterations + 2


@examples(30)
@given(problems(), st.lists(real_weights, min_size=0, max_size=4))
def test_chains_are_those_of_the_closed_form(problem, weights):
    chain = selfdistill_iteratively(
        problem.K, problem.y, ridge=problem.ridge, n_steps=len(weights) + 1, label_weight=weights, tolerance=1e-12
    )
    path = selfdistill_closed_form(
        problem.K, problem.y, ridge=problem.ridge, n_steps=len(weights) + 1, label_weight=weights
    )
    scale = max(np.max(np.abs(path.fitted)), np.max(np.abs(problem.y)))
    assert chain.n_steps == len(weights) + 1
    np.testing.assert_array_equal(chain.label_weights, weights)
    np.testing.assert_allclose(chain.fitted, path.fitted, atol=1e-8 * scale)
    np.testing.assert_allclose(chain.dual_coef, path.dual_coef, atol=1e-8 * scale / problem.ridge)
    np.testing.assert_allclose(
        chain.predict(problem.K_test), path.predict(problem.K_test), atol=1e-7 * scale / problem.ridge
    )


def test_chains_on_operators_start_from_what_is_known():
    operator = Counted(K)
    spectrum = nystrom_spectrum(KERNEL, X, 60)
    options = {"ridge": 1e-2, "n_steps": 6, "label_weight": 0.2}
    chain = selfdistill_iteratively(operator, Y, **options, preconditioner=spectrum)
    path = selfdistill_closed_form(K, Y, **options)
    np.testing.assert_allclose(chain.fitted, path.fitted, atol=1e-7)
    np.testing.assert_allclose(
        chain.predict(KERNEL.operator(X_TEST, X)), path.predict(KERNEL.gram(X_TEST, X)), atol=1e-6
    )
    assert chain.residual.shape == (6, 3)
    assert operator.n_products == np.sum(chain.n_iterations) + np.count_nonzero(chain.n_iterations)
    cold = [
        solve_ridge(K, target, 1e-2, preconditioner=spectrum).n_iterations
        for target in [Y, *(0.2 * Y + 0.8 * path.fitted[:-1])]
    ]
    assert chain.n_iterations[0] == cold[0]
    assert np.sum(chain.n_iterations) < 0.9 * np.sum(cold)
    assert np.all(np.diff(chain.n_iterations[1:]) <= 0)


def test_targets_that_earlier_solutions_reach_take_no_iteration():
    chain = selfdistill_iteratively(K, Y, ridge=0.1, n_steps=3, label_weight=[0.5, 1.0])
    assert chain.n_iterations[2] == 0
    np.testing.assert_allclose(chain.dual_coef[2], chain.dual_coef[0], atol=1e-6)


def test_too_few_iterations_warn_with_the_residual_reached():
    with pytest.warns(NotConvergedWarning, match="relative residual .* after 5 iterations, not the tolerance 1e-08"):
        solution = solve_ridge(K, Y, 1e-4, max_iterations=5)
    assert solution.n_iterations == 5
    np.testing.assert_allclose(solution.residual, relative_residual(K, Y, 1e-4, solution.dual_coef), rtol=1e-10)
    with pytest.warns(NotConvergedWarning, match="at step 1 after 5 iterations"):
        selfdistill_iteratively(K, Y, ridge=1e-4, n_steps=1, max_iterations=5)


def test_a_tolerance_below_rounding_warns_and_ends():
    with pytest.warns(NotConvergedWarning, match="relative residual .*e-1"):
        solution = solve_ridge(K, Y, 1e-2, tolerance=1e-18)
    assert solution.n_iterations < 1000
    assert np.max(solution.residual) < 1e-12


def test_single_precision_reaches_what_its_products_allow():
    operator = KERNEL.operator(X.astype(np.float32))
    solution = solve_ridge(operator, Y, 1.0, tolerance=1e-4)
    np.testing.assert_allclose(solution.dual_coef, solve_ridge(K, Y, 1.0).dual_coef, atol=1e-3)


def test_results_say_what_they_are():
    assert repr(solve_ridge(np.eye(2), [1.0, 0.0], 1.0)) == (
        "RidgeSolution(n_points=2, ridge=1, n_iterations=1, residual=0)"
    )
    assert repr(selfdistill_iteratively(np.eye(2), [1.0, 0.0], ridge=1.0, n_steps=3)) == (
        "DistillationChain(n_points=2, n_steps=3, ridge=1, n_iterations=1, residual=0)"
    )


@pytest.mark.parametrize("negative", [-1e-3, -1.0, -10.0])
def test_a_matrix_that_is_not_positive_semidefinite_is_refused(negative):
    d = np.concatenate([np.linspace(1.0, 5.0, 39), [negative]])
    u = np.linalg.qr(RNG.standard_normal((40, 40)))[0]
    indefinite = u * d @ u.T
    with pytest.raises(ValueError, match="kernel must be positive semi-definite for conjugate gradients, got a vector"):
        solve_ridge(0.5 * (indefinite + indefinite.T), u[:, -1] + 1e-3 * u[:, 0], 1e-2)


@pytest.mark.parametrize("ridge", [1e-9, 1e-3])
def test_rounding_of_a_singular_matrix_is_not_taken_for_negative_eigenvalues(ridge):
    x = np.linspace(0.0, 1.0, 200)
    smooth = np.exp(-((x[:, None] - x) ** 2))
    values, vectors = np.linalg.eigh(smooth)
    assert values[0] < 0.0
    for targets in (RNG.standard_normal((200, 1)), vectors[:, :100]):
        assert np.all(solve_ridge(smooth, targets, ridge, tolerance=1e-4).residual <= 1e-4)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ridge": 0.0}, ValueError, "ridge must be > 0, got 0.0"),
        ({"ridge": np.nan}, ValueError, "ridge must be finite, got nan"),
        ({"tolerance": 0.0}, ValueError, "tolerance must be > 0, got 0.0"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be >= 1, got 0"),
        ({"y": np.ones(299)}, ValueError, "y must have 300 rows, one for each point, got shape (299,)"),
        ({"y": np.full(300, np.inf)}, ValueError, "y must be finite, got inf at index 0"),
        ({"x0": np.ones(300)}, ValueError, "x0 must have the shape of y, (300, 3), got (300,)"),
        ({"operator": K[:, :5]}, ValueError, "operator must be square, got shape (300, 5)"),
        ({"operator": KERNEL.operator(X, X_TEST)}, ValueError, "operator must be square, got shape (300, 20)"),
        ({"operator": np.triu(K)}, ValueError, "operator must be symmetric"),
        ({"preconditioner": "nystrom"}, TypeError, "preconditioner must be a Spectrum or None, got 'nystrom'"),
        ({"preconditioner": Spectrum.from_gram(np.eye(2))}, ValueError, "preconditioner must be of 300 points, got"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    with pytest.raises(error) as raised:
        solve_ridge(**{"operator": K, "y": Y, "ridge": 0.1, **changes})
    assert message in str(raised.value)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e300])
def test_targets_of_any_size_are_solved_for_as_moderate_ones_are(scale):
    """Squares of such targets vanish or overflow; their lengths do not."""
    expected = solve_ridge(K, Y, 0.1, tolerance=1e-6)
    solution = solve_ridge(K, scale * Y, 0.1, tolerance=1e-6)
    assert abs(solution.n_iterations - expected.n_iterations) <= 1
    np.testing.assert_allclose(solution.fitted / scale, expected.fitted, atol=1e-5)
    with pytest.raises(OverflowError, match="the length of the target of output at index 0 is too large"):
        solve_ridge(K, np.full(len(K), 1.5e308), 0.1)


def test_an_operator_without_a_diagonal_is_refused():
    with pytest.raises(TypeError, match=r"operator must be a GramOperator, or have a diagonal\(\), got <300x300"):
        solve_ridge(scipy.sparse.linalg.aslinearoperator(K), Y, 0.1)


def test_bad_chains_are_refused():
    with pytest.raises(ValueError, match="n_steps must be >= 1, got 0"):
        selfdistill_iteratively(K, Y, ridge=0.1, n_steps=0)
    with pytest.raises(ValueError, match="label_weight"):
        selfdistill_iteratively(K, Y, ridge=0.1, n_steps=3, label_weight=[0.5])
    with pytest.raises(OverflowError, match="the target of|the length of the target"):
        selfdistill_iteratively(np.eye(2), [1.0, 0.0], ridge=1.0, n_steps=40, label_weight=1e200)


def test_operators_of_new_points_predict_as_their_matrices_do():
    cross = KERNEL.operator(X_TEST, X)
    path = selfdistill_closed_form(K, Y, ridge=0.1, n_steps=2)
    np.testing.assert_allclose(path.predict(cross), path.predict(KERNEL.gram(X_TEST, X)), atol=1e-10)
    singular = selfdistill_closed_form(np.ones((2, 2)), [1.0, 0.0], ridge=0.1, n_steps=2)
    row = np.ones((1, 2))
    np.testing.assert_allclose(singular.predict(scipy.sparse.linalg.aslinearoperator(row)), singular.predict(row))
    with pytest.raises(ValueError, match="K_test must have 300 columns, one for each training point"):
        path.predict(KERNEL.operator(X_TEST, X_TEST))


@examples(25)
@given(log_uniform(1e-3, 1e1))
def test_preconditioned_iterations_are_bounded_by_the_remainder(ridge):
    """The condition is at most `1 + trace_error / ridge`: conjugate gradients' bound on the iterations."""
    spectrum = nystrom_spectrum(KERNEL, X, 150)
    condition = 1.0 + spectrum.trace_error / ridge
    root = np.sqrt(condition)
    most = np.log(2.0 * root * np.sqrt(3) / 1e-6 * (1 + 300 / ridge) ** 0.5) / -np.log((root - 1.0) / (root + 1.0))
    assert solve_ridge(K, Y, ridge, preconditioner=spectrum, tolerance=1e-6).n_iterations <= most + 2
