"""Leave-one-out, leave-group-out and generalised cross-validation of whole distillation chains.

Tolerances: a held-out prediction divides by one minus a leverage, so rounding is multiplied by the ratio of the largest
eigenvalue to the ridge, at most 1e5 here.
"""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from kdtheory import (
    LabelWeightWarning,
    Spectrum,
    combination_from_label_weights,
    effective_dof,
    gcv_score,
    leave_group_out_predictions,
    loo_label_weights,
    loo_predictions,
    selfdistill_closed_form,
)
from tests.oracles import refit_without, refit_without_exactly
from tests.strategies import log_uniform, problems, real_weights

TOLERANCE = 1e-9


@st.composite
def chains(draw, max_size=10, max_steps=6):
    """A problem with at least three points, sample weights or none, an intercept or none, and label weights."""
    problem = draw(problems(min_size=3, max_size=max_size))
    n = len(problem.y)
    weight = draw(st.one_of(st.none(), st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n)))
    if weight is not None:
        weight = np.array(weight)
        weight[:2] = np.maximum(weight[:2], 0.25)
    label_weights = draw(st.lists(st.floats(-0.5, 1.5), min_size=0, max_size=max_steps - 1))
    return problem, weight, draw(st.booleans()), label_weights


def spectrum_of(problem, weight):
    return problem.K if weight is None else Spectrum.from_gram(problem.K, weight)


def largest_difference(ours, theirs):
    return np.max(np.abs(ours - theirs)) / max(1.0, np.max(np.abs(theirs)))


@given(chains())
def test_leaving_one_out_equals_refitting_every_teacher_and_student_without_it(chain):
    problem, weight, intercept, label_weights = chain
    ours = loo_predictions(
        spectrum_of(problem, weight),
        problem.y,
        ridge=problem.ridge,
        n_steps=len(label_weights) + 1,
        label_weight=label_weights,
        fit_intercept=intercept,
    )
    for i in range(len(problem.y)):
        theirs = refit_without([i], problem.K, problem.y, problem.ridge, label_weights, weight, intercept)
        assert largest_difference(ours[:, [i]], theirs) < TOLERANCE


@given(chains(), st.integers(0, 2**32 - 1))
def test_leaving_a_group_out_equals_refitting_without_it(chain, seed):
    problem, weight, intercept, label_weights = chain
    groups = np.random.default_rng(seed).integers(0, 3, len(problem.y))
    weights = np.ones(len(groups)) if weight is None else weight
    assume(len(set(groups)) > 1 and all(np.any(weights[groups != group] > 0) for group in groups))
    ours = leave_group_out_predictions(
        spectrum_of(problem, weight),
        problem.y,
        groups=groups,
        ridge=problem.ridge,
        n_steps=len(label_weights) + 1,
        label_weight=label_weights,
        fit_intercept=intercept,
    )
    for group in set(groups):
        left_out = np.flatnonzero(groups == group)
        theirs = refit_without(left_out, problem.K, problem.y, problem.ridge, label_weights, weight, intercept)
        assert largest_difference(ours[:, left_out], theirs) < TOLERANCE


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("intercept", [False, True])
def test_leaving_one_out_reaches_eight_digits_on_45_points(seed, outputs, intercept):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((45, 2))
    K = np.exp(-np.sum((x[:, None] - x) ** 2, axis=2))
    y, ridge, label_weights = rng.standard_normal((45, *outputs)), 10 ** rng.uniform(-4, 1), rng.uniform(-0.5, 1.5, 5)
    ours = loo_predictions(K, y, ridge=ridge, n_steps=6, label_weight=label_weights, fit_intercept=intercept)
    refits = [refit_without([i], K, y, ridge, label_weights, intercept=intercept)[:, 0] for i in range(45)]
    theirs = np.stack(refits, axis=1)
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-8 * np.max(np.abs(theirs)))


@pytest.mark.parametrize("gamma", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("groups", [None, np.arange(24) % 7])
def test_an_intercept_beside_eigenvalues_of_every_size_loses_no_digits(gamma, groups):
    """Rounding mixes its direction with those of small eigenvalues, the more the smaller they are."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.0, 1.0, 24), rng.standard_normal(24) + 3.0
    K = np.exp(-gamma * np.subtract.outer(x, x) ** 2)
    chain = {"ridge": 1e-3, "n_steps": 2, "label_weight": [0.5], "fit_intercept": True}
    labels = np.arange(24) if groups is None else groups
    ours = loo_predictions(K, y, **chain)
    if groups is not None:
        ours = leave_group_out_predictions(K, y, groups=groups, **chain)
    for label in np.unique(labels):
        left_out = np.flatnonzero(labels == label)
        exact = refit_without_exactly(left_out, K, y, 1e-3, [0.5], True)
        np.testing.assert_allclose(ours[:, left_out], exact, rtol=0.0, atol=1e-10)


@given(chains())
def test_groups_of_one_point_are_leaving_one_out(chain):
    problem, weight, intercept, label_weights = chain
    arguments = {
        "ridge": problem.ridge,
        "n_steps": len(label_weights) + 1,
        "label_weight": label_weights,
        "fit_intercept": intercept,
    }
    spectrum = spectrum_of(problem, weight)
    singles = leave_group_out_predictions(spectrum, problem.y, groups=np.arange(len(problem.y)), **arguments)
    assert largest_difference(singles, loo_predictions(spectrum, problem.y, **arguments)) < TOLERANCE


def test_the_teacher_equals_scikit_learn_leave_one_out_of_kernel_ridge():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    model = KernelRidge(alpha=0.3, kernel="rbf", gamma=0.4)
    K = np.exp(-0.4 * np.sum((X[:, None] - X) ** 2, axis=2))
    ours = loo_predictions(K, y, ridge=0.3, n_steps=1)[0]
    np.testing.assert_allclose(ours, cross_val_predict(model, X, y, cv=LeaveOneOut()), rtol=1e-10)


def test_the_teacher_with_an_intercept_and_weights_equals_scikit_learn_ridge_cross_validation():
    rng = np.random.default_rng(1)
    X, y, weight = rng.standard_normal((25, 4)), rng.standard_normal(25) + 5.0, rng.uniform(0.1, 2.0, 25)
    theirs = RidgeCV(alphas=[0.7], store_cv_results=True).fit(X, y, sample_weight=weight)
    spectrum = Spectrum.from_gram(X @ X.T, weight)
    ours = loo_predictions(spectrum, y, ridge=0.7, n_steps=1, fit_intercept=True)[0]
    np.testing.assert_allclose(weight * (y - ours) ** 2, theirs.cv_results_[:, 0], rtol=1e-9)


@given(problems(min_size=2, zeros=False, low=1e-2, outputs=False))
def test_the_shortcut_is_wrong_for_a_student_by_what_its_teacher_saw(problem):
    # The identity L_2 − cheap = (L_2 − L_1)·(g_1 − g_2)/(1 − g_2) of the pure chain.
    exact = loo_predictions(problem.K, problem.y, ridge=problem.ridge, n_steps=2)
    first, second = np.diag(problem.hat), np.diag(problem.hat @ problem.hat)
    cheap = problem.y - (problem.y - problem.hat @ problem.hat @ problem.y) / (1 - second)
    expected = (exact[1] - exact[0]) * (first - second) / (1 - second)
    np.testing.assert_allclose(exact[1] - cheap, expected, atol=1e-9 * np.max(np.abs(problem.y)))


@given(problems(min_size=2), st.floats(0.2, 1.0))
def test_many_steps_are_one_fit_with_the_ridge_over_the_label_weight(problem, label_weight):
    many = loo_predictions(problem.K, problem.y, ridge=problem.ridge, n_steps=150, label_weight=label_weight)[-1]
    one = loo_predictions(problem.K, problem.y, ridge=problem.ridge / label_weight, n_steps=1)[0]
    assert largest_difference(many, one) < TOLERANCE


@given(problems(min_size=2), st.integers(0, 2**32 - 1), real_weights)
def test_held_out_predictions_are_linear_in_the_targets_and_follow_permutations(problem, seed, label_weight):
    rng = np.random.default_rng(seed)
    arguments = {"ridge": problem.ridge, "n_steps": 3, "label_weight": label_weight, "fit_intercept": True}
    other = rng.standard_normal(problem.y.shape)
    both = loo_predictions(problem.K, 2.0 * problem.y + other, **arguments)
    apart = loo_predictions(problem.K, problem.y, **arguments), loo_predictions(problem.K, other, **arguments)
    assert largest_difference(both, 2.0 * apart[0] + apart[1]) < TOLERANCE
    order = rng.permutation(len(problem.y))
    permuted = loo_predictions(problem.K[np.ix_(order, order)], problem.y[order], **arguments)
    assert largest_difference(permuted, apart[0][:, order]) < TOLERANCE


@given(chains())
def test_whole_sample_weights_count_copies_that_are_left_out_together(chain):
    problem, _, intercept, label_weights = chain
    counts = np.arange(len(problem.y)) % 3 + 1
    copies = np.repeat(np.arange(len(problem.y)), counts)
    arguments = {
        "ridge": problem.ridge,
        "n_steps": len(label_weights) + 1,
        "label_weight": label_weights,
        "fit_intercept": intercept,
    }
    weighted = loo_predictions(Spectrum.from_gram(problem.K, counts.astype(float)), problem.y, **arguments)
    repeated = leave_group_out_predictions(
        problem.K[np.ix_(copies, copies)], problem.y[copies], groups=copies, **arguments
    )
    assert largest_difference(repeated, weighted[:, copies]) < TOLERANCE


def test_a_spectrum_with_fewer_eigenvectors_than_points_gives_the_same_predictions():
    rng = np.random.default_rng(2)
    X, y, groups = rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), np.arange(20) % 4
    full = Spectrum.from_gram(X @ X.T)
    thin = full.positive()
    assert thin.eigenvectors.shape == (20, 3)
    for intercept in (False, True):
        arguments = {"ridge": 0.5, "n_steps": 4, "label_weight": [0.3, -0.2, 1.2], "fit_intercept": intercept}
        for function in (loo_predictions, lambda *a, **b: leave_group_out_predictions(*a, groups=groups, **b)):
            np.testing.assert_allclose(
                function(thin, y, **arguments), function(X @ X.T, y, **arguments), rtol=1e-9, atol=1e-11
            )


def test_each_output_may_have_label_weights_of_its_own():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((15, 2)), rng.standard_normal((15, 2))
    K = np.exp(-np.sum((X[:, None] - X) ** 2, axis=2))
    weights = np.array([[0.3, 1.2], [-0.4, 0.5]])
    together = loo_predictions(K, y, ridge=0.2, n_steps=3, label_weight=weights)
    for k in range(2):
        alone = loo_predictions(K, y[:, k], ridge=0.2, n_steps=3, label_weight=weights[:, k])
        np.testing.assert_allclose(together[:, :, k], alone, rtol=1e-12)
    np.testing.assert_array_equal(loo_predictions(K, y, ridge=0.2, n_steps=3, label_weight=weights.tolist()), together)


@pytest.mark.parametrize("ridge", [1e-15, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("groups", [None, [0, 1, 1, 2, 0, 3]])
@pytest.mark.parametrize("intercept", [False, True])
def test_held_out_predictions_have_all_digits_at_extreme_scales(ridge, scale, groups, intercept):
    """Against sixty digits, for a well-conditioned Gram matrix, so that only the formulas could lose any."""
    rng = np.random.default_rng(4)
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    K = basis * np.array([4.0, 3.0, 2.0, 1.5, 1.2, 1.0]) @ basis.T
    K, y, label_weights = (K + K.T) / 2, rng.standard_normal(6), [0.3, -0.4]
    chain = {"ridge": scale * ridge, "n_steps": 3, "label_weight": label_weights, "fit_intercept": intercept}
    if groups is None:
        ours = loo_predictions(scale * K, y, **chain)
    else:
        ours = leave_group_out_predictions(scale * K, y, groups=groups, **chain)
    labels = np.arange(6) if groups is None else np.array(groups)
    for label in np.unique(labels):
        left_out = np.flatnonzero(labels == label)
        exact = refit_without_exactly(left_out, K, y, ridge, label_weights, intercept)
        # Predictions are targets plus changes: their unit is that of the targets, also where they are small.
        np.testing.assert_allclose(ours[:, left_out], exact, rtol=0, atol=1e-14 * np.max(np.abs(y)))


def test_zero_eigenvalues_beside_that_of_the_intercept_lose_no_digits():
    """Linear kernels of few features have many; one turn makes the intercept's the last of them."""
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    K = X @ X.T
    for weight in (None, np.arange(12) % 4 + 0.5):
        spectrum = Spectrum.from_gram(K, weight)
        held_out = loo_predictions(spectrum, y, ridge=1e-9, n_steps=3, label_weight=0.4, fit_intercept=True)
        groups = np.arange(12) // 2
        of_groups = leave_group_out_predictions(
            spectrum, y, groups=groups, ridge=1e-9, n_steps=3, label_weight=0.4, fit_intercept=True
        )
        for i in range(12):
            rest = np.arange(12) != i
            model = LinearRegression().fit(X[rest], y[rest], None if weight is None else weight[rest])
            np.testing.assert_allclose(held_out[:, i], model.predict(X[[i]])[0], rtol=1e-7)
        for group in range(6):
            rest = groups != group
            model = LinearRegression().fit(X[rest], y[rest], None if weight is None else weight[rest])
            expected = np.tile(model.predict(X[~rest]), (3, 1))
            np.testing.assert_allclose(of_groups[:, ~rest], expected, rtol=1e-7)


def test_points_of_weight_zero_are_predicted_to_all_digits():
    """Where the fit without them has eigenvalues that rounding makes zero."""
    X = np.append(np.linspace(-1.0, 1.0, 30), 3.0)
    K, y, weight = np.exp(-((X[:, None] - X) ** 2)), np.cos(5.0 * X), np.append(np.ones(30), 0.0)
    exact = refit_without_exactly(np.array([30]), K, y, 1e-6, [0.5], False)
    held_out = loo_predictions(Spectrum.from_gram(K, weight), y, ridge=1e-6, n_steps=2, label_weight=0.5)
    np.testing.assert_allclose(held_out[:, 30], exact[:, 0], rtol=1e-9)


@given(problems(min_size=3), st.integers(1, 5), st.booleans())
def test_leave_one_out_weights_are_never_worse_than_others_or_fewer_steps(problem, n_steps, intercept):
    arguments = {"ridge": problem.ridge, "fit_intercept": intercept}

    def error(label_weights):
        held_out = loo_predictions(
            problem.K, problem.y, n_steps=len(label_weights) + 1, label_weight=label_weights, **arguments
        )
        return float(np.mean((held_out[-1] - problem.y) ** 2))

    chosen = [loo_label_weights(problem.K, problem.y, n_steps=steps, **arguments) for steps in range(1, n_steps + 1)]
    errors = [error(weights) for weights in chosen]
    slack = 1e-9 * errors[0]
    assert all(later <= earlier + slack for earlier, later in pairwise(errors))
    rng = np.random.default_rng(0)
    for others in rng.uniform(-1.0, 2.0, (10, n_steps - 1)):
        assert errors[-1] <= error(others) + slack


def test_leave_one_out_weights_are_those_of_least_squares_on_refitted_chains():
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((14, 2)), rng.standard_normal((14, 2))
    K = np.exp(-np.sum((X[:, None] - X) ** 2, axis=2))
    pure = np.stack([refit_without([i], K, y, 0.4, [0.0, 0.0])[:, 0] for i in range(14)], axis=1)
    for columns, got in (
        ([0, 1], loo_label_weights(K, y, ridge=0.4, n_steps=3)),
        ([0], loo_label_weights(K, y, ridge=0.4, n_steps=3, per_output=True)[:, 0]),
        ([1], loo_label_weights(K, y, ridge=0.4, n_steps=3, per_output=True)[:, 1]),
    ):
        rows, target = pure[:, :, columns].reshape(3, -1), y[:, columns].reshape(-1)
        free = np.linalg.lstsq((rows[1:] - rows[0]).T, target - rows[0], rcond=None)[0]
        np.testing.assert_allclose(combination_from_label_weights(got)[1:], free, rtol=1e-6)


@given(problems(min_size=3), st.integers(2, 4))
def test_leave_one_out_weights_in_the_unit_interval_are_best_there(problem, n_steps):
    arguments = {"ridge": problem.ridge, "n_steps": n_steps}
    weights = loo_label_weights(problem.K, problem.y, unit_interval=True, **arguments)
    assert np.all((weights >= 0.0) & (weights <= 1.0))

    def error(label_weights):
        return np.mean(
            (loo_predictions(problem.K, problem.y, label_weight=label_weights, **arguments)[-1] - problem.y) ** 2
        )

    best = error(weights)
    rng = np.random.default_rng(0)
    for others in rng.uniform(0.0, 1.0, (20, n_steps - 1)):
        assert best <= error(others) * (1 + 1e-9) + 1e-15


@pytest.fixture
def out_of_reach():
    """A Gram matrix, its pure predictions, and targets for which only their combination (1, 1, -1) is best.

    Its second tail sum is zero, and the third is not.
    """
    features = np.random.default_rng(3).standard_normal((6, 3))
    K = features @ features.T + 0.1 * np.eye(6)
    pure = loo_predictions(K, np.eye(6), ridge=1.0, n_steps=3)

    def slopes(y):
        first, second, third = pure @ y
        error = y - first - second + third
        return [error @ (first - second), error @ (second - third)]

    start = np.random.default_rng(1).standard_normal(6)
    return K, pure, scipy.optimize.least_squares(slopes, start, xtol=1e-15, ftol=1e-15, gtol=1e-15).x


@pytest.mark.parametrize("per_output", [False, True])
def test_leave_one_out_weights_out_of_reach_are_approached_with_a_warning(out_of_reach, per_output):
    K, pure, y = out_of_reach
    targets = np.stack([K @ np.ones(6), y], axis=1) if per_output else y
    with pytest.warns(LabelWeightWarning, match="no finite label weights reach the best combination"):
        weights = loo_label_weights(K, targets, ridge=1.0, n_steps=3, per_output=per_output)
    approached = loo_predictions(K, targets, ridge=1.0, n_steps=3, label_weight=weights)[-1]
    np.testing.assert_allclose(approached.T[-1] if per_output else approached, [1, 1, -1] @ (pure @ y), atol=1e-6)


def test_the_warning_of_weights_out_of_reach_points_to_the_line_that_asked_for_them(out_of_reach):
    K, _, y = out_of_reach
    with pytest.warns(LabelWeightWarning) as caught:
        loo_label_weights(K, y, ridge=1.0, n_steps=3)
    assert [warning.filename for warning in caught] == [__file__]


def test_leave_one_out_weights_weigh_the_points_by_their_sample_weights():
    rng = np.random.default_rng(6)
    X, y, counts = rng.standard_normal((12, 2)), rng.standard_normal(12), rng.integers(0, 4, 12)
    K = np.exp(-np.sum((X[:, None] - X) ** 2, axis=2))
    weights = loo_label_weights(Spectrum.from_gram(K, counts.astype(float)), y, ridge=0.3, n_steps=2)
    copies = np.repeat(np.arange(12), counts)

    def error(label_weight):
        held_out = leave_group_out_predictions(
            K[np.ix_(copies, copies)], y[copies], groups=copies, ridge=0.3, n_steps=2, label_weight=label_weight
        )
        return np.sum((held_out[-1] - y[copies]) ** 2)

    best = error(weights)
    assert best < error(weights + 1e-3)
    assert best < error(weights - 1e-3)


# Generalised cross-validation ------------------------------------------------------------------------------------


@given(st.integers(2, 12), st.integers(1, 5), real_weights, log_uniform(1e-2, 1e1), st.booleans())
def test_generalised_cross_validation_is_leaving_one_out_where_all_leverages_are_equal(n, n_steps, alpha, ridge, icpt):
    angles = 2 * np.pi * np.arange(n) / n  # points on a circle: a circulant Gram matrix
    K = np.exp(np.cos(np.subtract.outer(angles, angles)))
    y = np.random.default_rng(n).standard_normal((n, 2))
    arguments = {"ridge": ridge, "n_steps": n_steps, "label_weight": alpha, "fit_intercept": icpt}
    exact = np.mean((loo_predictions(K, y, **arguments) - y) ** 2, axis=(1, 2))
    np.testing.assert_allclose(gcv_score(K, y, **arguments), exact, rtol=1e-8)


def test_the_first_step_is_golub_heath_and_wahba():
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    K = np.exp(-np.sum((X[:, None] - X) ** 2, axis=2))
    fit = selfdistill_closed_form(K, y, ridge=0.5, n_steps=1)
    usual = np.mean((y - fit.fitted[0]) ** 2) / (1 - fit.effective_dof[0] / 20) ** 2
    np.testing.assert_allclose(gcv_score(K, y, ridge=0.5, n_steps=1), [usual], rtol=1e-12)


def trace_gcv(K, y, ridge, n_steps):
    """The usual form, which takes the teacher for given."""
    path = selfdistill_closed_form(K, y, ridge=ridge, n_steps=n_steps)
    return np.mean((y - path.fitted) ** 2, axis=1) / (1 - path.effective_dof / len(y)) ** 2


def test_generalised_cross_validation_is_consistent_and_the_trace_form_is_not():
    """Isotropic features, signal and noise of unit size, aspect ratio 1/2, ridge 0.1 for each point.

    The exact limits of the risk of the pure second fit plus the noise: 1.46380, and of the trace form: 1.47221.
    """
    rng, n, p = np.random.default_rng(8), 600, 300
    refitted, trace = [], []
    for _ in range(40):
        X = rng.standard_normal((n, p))
        y = X @ rng.standard_normal(p) / np.sqrt(p) + rng.standard_normal(n)
        spectrum = Spectrum.from_gram(X @ X.T)
        exact = loo_predictions(spectrum, y, ridge=0.1 * n, n_steps=2)
        truth = np.mean((exact[1] - y) ** 2)
        refitted.append(gcv_score(spectrum, y, ridge=0.1 * n, n_steps=2)[1] - truth)
        trace.append(trace_gcv(spectrum, y, 0.1 * n, 2)[1] - truth)
    spread = {name: np.std(errors) / np.sqrt(40) for name, errors in (("refitted", refitted), ("trace", trace))}
    assert abs(np.mean(refitted)) < 3 * spread["refitted"]
    assert abs(np.mean(trace) - (1.47221 - 1.46380)) < 3 * spread["trace"]
    assert np.mean(trace) > 5 * spread["trace"]


@given(chains())
def test_generalised_cross_validation_counts_weights_like_copies_of_a_single_point(chain):
    problem, _, intercept, label_weights = chain
    arguments = {
        "ridge": problem.ridge,
        "n_steps": len(label_weights) + 1,
        "label_weight": label_weights,
        "fit_intercept": intercept,
    }
    plain = gcv_score(problem.K, problem.y, **arguments)
    n = len(problem.y)
    nobody = np.zeros((n + 1, n + 1))
    nobody[:n, :n] = problem.K
    y = np.concatenate([problem.y, problem.y[:1]])
    with_nobody = gcv_score(Spectrum.from_gram(nobody, np.append(np.ones(n), 0.0)), y, **arguments)
    np.testing.assert_allclose(with_nobody, plain, rtol=1e-8, atol=1e-12)


# Degrees of freedom ----------------------------------------------------------------------------------------------


@given(chains())
def test_degrees_of_freedom_are_the_trace_of_the_map_from_targets_to_fitted_values(chain):
    problem, weight, intercept, label_weights = chain
    n, weights = len(problem.y), np.ones(len(problem.y)) if weight is None else weight
    hat = [np.zeros((n, n)) for _ in range(len(label_weights) + 1)]
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = weights[:, None] * problem.K + problem.ridge * np.eye(n)
    system[:n, n], system[n, :n], system[n, n] = weights * intercept, float(intercept), float(not intercept)
    solve = np.linalg.solve(system, np.concatenate([np.diag(weights), np.zeros((1, n))]))
    once = problem.K @ solve[:n] + solve[n]
    hat[0] = once
    for step, label_weight in enumerate(label_weights, start=1):
        hat[step] = once @ (label_weight * np.eye(n) + (1 - label_weight) * hat[step - 1])
    ours = effective_dof(
        spectrum_of(problem, weight),
        ridge=problem.ridge,
        n_steps=len(label_weights) + 1,
        label_weight=label_weights,
        fit_intercept=intercept,
    )
    np.testing.assert_allclose(ours, [np.trace(each) for each in hat], rtol=1e-8, atol=1e-9)


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": [[1.0]], "y": [1.0]}, "K must have at least 2 points with a sample weight > 0 to leave one out, got 1"),
        ({"ridge": 0.0}, "ridge must be > 0, got 0.0"),
        ({"n_steps": 0}, "n_steps must be >= 1, got 0"),
        ({"label_weight": [0.5, 0.5]}, "label_weight must be one number or n_steps - 1 = 1 of them, got 2"),
        ({"label_weight": [[0.5, 0.5]]}, "label_weight of two dimensions must have n_steps - 1 = 1 rows"),
        ({"y": [1.0]}, "y must have 2 rows, one for each point, got shape (1,)"),
        ({"fit_intercept": 1}, "fit_intercept must be"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"K": [[2.0, 1.0], [1.0, 2.0]], "y": [1.0, -1.0], "ridge": 1.0, "n_steps": 2, **change}
    with pytest.raises((ValueError, TypeError)) as raised:
        loo_predictions(arguments.pop("K"), arguments.pop("y"), **arguments)
    assert message in str(raised.value)


def test_a_group_with_a_leverage_of_one_is_refused():
    K = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="got 1e-20, with which the group of point 0 has the leverage 1"):
        leave_group_out_predictions(K, [1.0, 2.0, 3.0], groups=[0, 1, 0], ridge=1e-20, n_steps=2)
    held_out = leave_group_out_predictions(
        np.eye(4) * 1e20, [1.0, 2.0, 3.0, 4.0], groups=[0, 0, 1, 1], ridge=1e-20, n_steps=2, fit_intercept=True
    )
    np.testing.assert_allclose(held_out, [[3.5, 3.5, 1.5, 1.5]] * 2, rtol=1e-14)


def test_a_leverage_of_one_is_refused():
    # The first point shares nothing with the others, which are copies of each other, and the penalty is all but zero.
    K = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="got 1e-20, with which point 0 has the leverage 1"):
        loo_predictions(K, [1.0, 2.0, 3.0], ridge=1e-20, n_steps=2)
    # Without the copies, everything is far below the penalty's own scale, and all is well.
    np.testing.assert_allclose(loo_predictions(np.eye(3), [1.0, 2.0, 3.0], ridge=1e-20, n_steps=2), 0.0, atol=1e-15)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 0], r"groups must hold at least two different labels, got \[0\]"),
        ([0, 1, 1], r"groups must have shape \(2,\), one label a point, got \(3,\)"),
    ],
)
def test_bad_groups_are_named(groups, message):
    with pytest.raises(ValueError, match=message):
        leave_group_out_predictions([[2.0, 1.0], [1.0, 2.0]], [1.0, 0.0], groups=groups, ridge=1.0, n_steps=1)


def test_a_group_with_all_weights_is_refused():
    spectrum = Spectrum.from_gram(np.eye(3), [1.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="groups must leave some point with a sample weight > 0"):
        leave_group_out_predictions(spectrum, np.ones(3), groups=[0, 0, 1], ridge=1.0, n_steps=1)


def test_label_weights_for_each_output_need_several_outputs():
    with pytest.raises(ValueError, match="per_output must be False for y of one dimension, got True"):
        loo_label_weights(np.eye(3), np.ones(3), ridge=1.0, n_steps=2, per_output=True)
