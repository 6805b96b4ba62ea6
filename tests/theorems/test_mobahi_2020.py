"""Mobahi, Farajtabar & Bartlett (2020), "Self-distillation amplifies regularization in Hilbert space".

Symbols: their G is K/n and their multiplier c is `ridge`/n; ε is `tolerance`; r_t = ‖y_t‖/√(nε) is the targets' size at
round t, with y_0 the targets and y_t the fitted values of round t; κ is the condition number of K; B_t the shrinkage.
"""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import Spectrum, selfdistill_constrained
from tests.oracles import refit
from tests.strategies import problems, spectra

fractions = st.floats(0.02, 0.98)


def path_of(problem, fraction):
    """A constrained chain whose tolerance is a fraction of the targets' mean square."""
    unfitted = problem.eigenvectors[:, problem.eigenvalues == 0].T @ problem.y
    assume(np.sum(unfitted**2) < 0.95 * fraction * np.sum(problem.y**2))
    tolerance = fraction * np.sum(problem.y**2) / len(problem.y)
    return selfdistill_constrained(problem.K, problem.y, tolerance=tolerance), len(problem.y) * tolerance


def sizes(path):
    chain = [path.targets, *path.fitted]
    radius = math.sqrt(path.spectrum.n_points * path.tolerance)
    return np.array([np.linalg.norm(step) for step in chain]) / radius


@given(problems(), fractions)
def test_every_round_meets_its_constraint_with_equality(problem, fraction):
    path, allowed = path_of(problem, fraction)
    targets = problem.y
    for fitted in path.fitted:
        np.testing.assert_allclose(np.sum((fitted - targets) ** 2), allowed, rtol=1e-9)
        targets = fitted


@given(problems(zeros=False, low=1e-2), fractions)
def test_every_round_is_ridge_regression_on_the_round_before(problem, fraction):
    path, _ = path_of(problem, fraction)
    targets = problem.y
    for ridge, fitted, dual, predicted in zip(
        path.ridges, path.fitted, path.dual_coef, path.predict(problem.K_test), strict=True
    ):
        once = refit(problem.K, targets, ridge, [], problem.K_test)
        np.testing.assert_allclose(fitted, once.fitted[0], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(dual, once.dual_coef[0], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(predicted, once.predictions[0], rtol=1e-7, atol=1e-7)
        targets = fitted


@given(st.integers(0, 500), st.floats(0.1, 0.9))
def test_the_first_round_is_the_function_of_least_norm_within_the_tolerance(seed, fraction):
    rng = np.random.default_rng(seed)
    features, y = rng.standard_normal((4, 4)), rng.standard_normal(4)
    tolerance = fraction * float(np.mean(y**2))
    path = selfdistill_constrained(features @ features.T, y, tolerance=tolerance)
    ours = features.T @ path.dual_coef[0]
    theirs = scipy.optimize.minimize(
        lambda beta: beta @ beta,
        ours + 0.1 * rng.standard_normal(4),
        jac=lambda beta: 2 * beta,
        constraints={
            "type": "ineq",
            "fun": lambda beta: tolerance - np.mean((features @ beta - y) ** 2),
            "jac": lambda beta: -2 * features.T @ (features @ beta - y) / 4,
        },
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    assume(theirs.success)
    np.testing.assert_allclose(ours @ ours, theirs.fun, rtol=1e-5)


@given(problems(), fractions)
def test_shrinkage_is_the_product_of_the_rounds(problem, fraction):
    path, _ = path_of(problem, fraction)
    d = path.spectrum.eigenvalues
    product = np.ones_like(d)
    for ridge, shrinkage in zip(path.ridges, path.shrinkage, strict=True):
        product = product * d / (d + ridge)
        np.testing.assert_allclose(shrinkage, product, rtol=1e-12)


@given(problems(zeros=False), fractions)
def test_the_multiplier_lies_in_its_bracket(problem, fraction):
    path, _ = path_of(problem, fraction)
    d, r = path.spectrum.eigenvalues, sizes(path)
    for ridge, size in zip(path.ridges, r[:-1], strict=True):
        assert d[-1] / (size - 1) * (1 - 1e-6) <= ridge <= d[0] / (size - 1) * (1 + 1e-6)


@given(problems(), fractions)
def test_the_size_falls_by_at_most_one_and_its_square_by_at_least_one(problem, fraction):
    path, _ = path_of(problem, fraction)
    r = sizes(path)
    assert np.all(r[1:] >= r[:-1] - 1 - 1e-9)
    assert np.all(r[1:] ** 2 <= r[:-1] ** 2 - 1 + 1e-9)


@given(problems(), st.floats(0.01, 1.5))
def test_the_chain_collapses_within_both_bounds(problem, fraction):
    path, allowed = path_of(problem, fraction)
    r0 = math.sqrt(np.sum(problem.y**2) / allowed)
    assume(abs(r0 - round(r0)) > 1e-6)
    assert path.collapsed
    assert max(math.ceil(r0) - 1, 0) <= path.n_rounds
    assert path.n_rounds < r0**2 or path.n_rounds == 0
    assert path.rounds_lower_bound <= path.n_rounds <= path.rounds_upper_bound
    assert path.signal_to_tolerance == pytest.approx(r0)
    assert sizes(path)[-1] <= 1 + 1e-9


@given(problems(zeros=False), fractions)
def test_the_published_guarantee_holds_and_is_weaker(problem, fraction):
    path, _ = path_of(problem, fraction)
    d = path.spectrum.eigenvalues
    guarantee = (path.signal_to_tolerance - 1) * d[-1] / d[0]
    assert path.rounds_guaranteed == pytest.approx(guarantee)
    assert guarantee <= path.rounds_lower_bound


@given(problems(zeros=False), fractions)
def test_the_published_bound_on_the_norm_of_a_round_holds(problem, fraction):
    path, _ = path_of(problem, fraction)
    d, r = path.spectrum.eigenvalues, sizes(path)
    kappa, r0 = d[0] / d[-1], r[0]
    a = ((r0 - 1) ** 2 + kappa * (2 * r0 - 1)) / (r0 - 1 + kappa) ** 2
    b = r0**2 * kappa / (r0 - 1 + kappa) ** 2
    assume(abs(a - 1) > 1e-9)
    t = np.arange(len(r))
    assert np.all(r >= a**t * r0 - b * (a**t - 1) / (a - 1) - 1e-9)


@given(problems(min_size=2, zeros=False), fractions)
def test_the_published_bound_on_sparsity_holds(problem, fraction):
    path, _ = path_of(problem, fraction)
    d, r0 = path.spectrum.eigenvalues, path.signal_to_tolerance
    larger, smaller = d[:-1], d[1:]
    base = (r0 - 1 + d[-1] / smaller) / (r0 - 1 + d[-1] / larger)
    for t, ratios in enumerate(path.shrinkage_ratios, start=1):
        assert np.all(ratios >= base**t * (1 - 1e-9))


@given(problems(min_size=2, zeros=False), fractions)
def test_the_sparsity_index_is_the_least_ratio_and_never_falls(problem, fraction):
    path, _ = path_of(problem, fraction)
    if path.n_rounds:
        np.testing.assert_array_equal(path.sparsity_index, path.shrinkage_ratios.min(axis=1))
        assert np.all(np.diff(path.sparsity_index) >= -1e-12)


@given(st.integers(1, 6), st.floats(1.01, 30.0), st.integers(0, 100))
def test_equal_eigenvalues_attain_the_lower_bound(n, r0, seed):
    assume(abs(r0 - round(r0)) > 1e-6)
    y = np.random.default_rng(seed).standard_normal(n)
    path = selfdistill_constrained(2.5 * np.eye(n), y, tolerance=np.sum(y**2) / n / r0**2)
    assert path.n_rounds == math.ceil(r0) - 1 == path.rounds_lower_bound


@pytest.mark.parametrize("y", [[3.0, 4.0], [2.0, 3.0, 6.0], [1.0], [2.0, 2.0, 4.0, 5.0]])
@pytest.mark.parametrize("r0", [1, 2, 3, 5, 7])
def test_chains_of_integer_size_stop_where_the_bounds_say(y, r0):
    """There the last round would remove nothing but rounding."""
    tolerance = np.sum(np.square(y)) / len(y) / r0**2
    path = selfdistill_constrained(np.eye(len(y)), y, tolerance=tolerance)
    assert path.collapsed
    assert path.n_rounds == path.rounds_lower_bound == r0 - 1
    assert path.rounds_upper_bound == r0**2 - 1


def test_extreme_tolerances_and_targets_are_no_obstacle():
    path = selfdistill_constrained(np.eye(2), [1e160, 1e160], tolerance=1e308, max_rounds=3)
    assert path.n_rounds == 3
    small = selfdistill_constrained(np.eye(2), [1.0, 1.0], tolerance=1e-300, max_rounds=2)
    assert small.rounds_upper_bound > 10**299
    assert len(repr(small)) < 200


@given(spectra(), st.floats(1.0, 3.0))
def test_targets_within_the_tolerance_collapse_at_once(d, factor):
    y = np.ones(len(d))
    path = selfdistill_constrained(Spectrum(d, np.eye(len(d))), y, tolerance=factor)
    assert path.collapsed
    assert path.n_rounds == 0
    assert path.fitted.shape == (0, len(d))
    assert path.predict(np.ones((2, len(d)))).shape == (0, 2)
    assert path.rounds_upper_bound == 0


def test_a_chain_that_is_cut_says_that_it_has_not_collapsed():
    path = selfdistill_constrained(np.eye(2), [3.0, 4.0], tolerance=0.5, max_rounds=2)
    assert path.n_rounds == 2
    assert not path.collapsed
    assert "not collapsed" in repr(path)


def test_a_singular_kernel_that_cannot_meet_the_tolerance_is_refused():
    with pytest.raises(ValueError, match=r"tolerance must be above 4\.5, .* got 0\.5"):
        selfdistill_constrained(np.diag([1.0, 0.0]), [1.0, 3.0], tolerance=0.5)
    with pytest.raises(ValueError, match=r"tolerance must be above 0\.5, .* got 0\.5"):
        selfdistill_constrained(np.diag([1.0, 0.0]), [1.0, 1.0], tolerance=0.5)
    # The same matrix without its null direction says the same.
    with pytest.raises(ValueError, match=r"tolerance must be above 4\.5, .* got 2\.0"):
        selfdistill_constrained(Spectrum([1.0], [[1.0], [0.0]]), [1.0, 3.0], tolerance=2.0)
    with pytest.raises(ValueError, match=r"tolerance must be above 0\.5, .* got 0\.5"):
        selfdistill_constrained(Spectrum([1.0], [[1.0], [0.0]]), [1.0, 1.0], tolerance=0.5)
    assert selfdistill_constrained(np.diag([1.0, 0.0]), [1.0, 1.0], tolerance=0.6).n_rounds == 1


def test_one_eigenvalue_has_no_sparsity_index():
    path = selfdistill_constrained([[1.0]], [2.0], tolerance=1.0)
    with pytest.raises(ValueError, match="sparsity_index must compare two eigenvalues or more"):
        _ = path.sparsity_index
