"""Solvers of the estimators: each against the whole decomposition, of the same kernel or of that of its landmarks."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from kdtheory import LanczosWarning, Spectrum
from kdtheory.estimators import (
    Eigh,
    GradientFlowRegressor,
    Lanczos,
    Nystrom,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
)
from kdtheory.estimators._krylov import CentredOperator
from kdtheory.kernels import RBF, ArcCosine, Cosine, Kernel, Laplace, Linear, Matern, Polynomial
from tests.test_estimators import CLASSIFIERS, EVERY, data, labelled

SHORT = {
    SelfDistilledKernelRidge: {"ridge": 0.1, "n_steps": 3, "label_weight": [0.5, -0.2]},
    SelfDistilledKernelClassifier: {"ridge": 0.1, "n_steps": 3, "label_weight": 0.4},
    SelfDistilledKernelRidgeCV: {"ridges": [0.03, 0.1, 1.0], "n_steps": 3},
    SelfDistilledKernelClassifierCV: {"ridges": [0.03, 0.1, 1.0], "n_steps": 3},
    GradientFlowRegressor: {"times": [0.3, 3.0, 30.0], "cv": KFold(4, shuffle=True, random_state=0)},
}
PLAIN = {
    SelfDistilledKernelRidge: SHORT[SelfDistilledKernelRidge],
    SelfDistilledKernelClassifier: SHORT[SelfDistilledKernelClassifier],
    GradientFlowRegressor: {"time": 3.0},
}
EXACT = Lanczos(tolerance=1e-11)
WEIGHTS = np.random.default_rng(5).uniform(0.2, 3.0, 60)
SOME_ZERO = np.where(np.arange(60) % 7 == 0, 0.0, WEIGHTS)
LEARNED = [
    "effective_dof_",
    "loo_error_path_",
    "ridges_",
    "best_score_",
    "distillation_gain_",
    "held_out_accuracy_",
    "inverse_temperature_",
    "validation_errors_",
    "time_",
]


def points_of(estimator, n_outputs=None):
    return labelled() if estimator in CLASSIFIERS else data(60, n_outputs)


def scores(model, X):
    return model.decision_function(X) if hasattr(model, "decision_function") else model.predict(X)


def assert_same(model, expected, X, *, X_expected=None, tolerance=1e-8):
    values = scores(expected, X if X_expected is None else X_expected)
    np.testing.assert_allclose(scores(model, X), values, rtol=0.0, atol=tolerance * np.max(np.abs(values)))
    for name in LEARNED:
        assert hasattr(model, name) == hasattr(expected, name), name
        if hasattr(expected, name):
            np.testing.assert_allclose(getattr(model, name), getattr(expected, name), rtol=100 * tolerance, atol=1e-9)


@parametrize_with_checks(
    [
        *(estimator(solver="nystrom") for estimator in EVERY),
        *(estimator(solver="lanczos") for estimator in (SelfDistilledKernelRidge, SelfDistilledKernelClassifier)),
        GradientFlowRegressor(1.0, solver="lanczos"),
        SelfDistilledKernelRidge(kernel=RBF(0.1)),
    ]
)
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.mark.parametrize("weights", [None, WEIGHTS, SOME_ZERO])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("estimator", EVERY)
def test_landmarks_at_every_point_give_the_whole_decomposition(estimator, fit_intercept, weights):
    X, y = points_of(estimator)
    model = estimator(gamma=20.0, fit_intercept=fit_intercept, **SHORT[estimator])
    whole = clone(model).set_params(solver="eigh").fit(X, y, weights)
    assert_same(model.set_params(solver=Nystrom(10**6)).fit(X, y, weights), whole, X + 0.1)
    assert len(model.X_fit_) == (60 if weights is None else np.count_nonzero(weights))
    if hasattr(whole, "best_params_"):
        np.testing.assert_allclose(model.best_params_.pop("label_weight"), whole.best_params_.pop("label_weight"))
        assert model.best_params_ == whole.best_params_


@pytest.mark.parametrize(
    ("n_outputs", "pivots", "weights"),
    [(None, "rpcholesky", None), (2, "uniform", WEIGHTS), (None, "kmeans++", SOME_ZERO), (2, "rpcholesky", SOME_ZERO)],
)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("estimator", EVERY)
def test_few_landmarks_give_the_exact_model_of_their_kernel(estimator, fit_intercept, pivots, weights, n_outputs):
    """Held-out errors of leave-one-out and of folds included, with the landmarks held fixed."""
    X, y = points_of(estimator, n_outputs)
    parameters = {"fit_intercept": fit_intercept, **SHORT[estimator]}
    solver = Nystrom(9, pivots=pivots, random_state=3)
    model = estimator(gamma=5.0, solver=solver, **parameters).fit(X, y, weights)
    assert model.X_fit_.shape == (9, 3)
    assert len(model.dual_coef_) == 9

    def low_rank(left):
        between = rbf_kernel(model.X_fit_, gamma=5.0)
        return rbf_kernel(left, model.X_fit_, gamma=5.0) @ np.linalg.solve(
            between, rbf_kernel(model.X_fit_, X, gamma=5.0)
        )

    expected = estimator(kernel="precomputed", **parameters).fit(low_rank(X), y, weights)
    assert_same(model, expected, X + 0.1, X_expected=low_rank(X + 0.1), tolerance=1e-6)


@pytest.mark.parametrize("weights", [None, SOME_ZERO])
@pytest.mark.parametrize("n_components", [9, 60])
@pytest.mark.parametrize("estimator", [SelfDistilledKernelRidgeCV, SelfDistilledKernelClassifierCV])
def test_folds_are_exact_with_the_landmarks_held_fixed(estimator, n_components, weights):
    X, y = points_of(estimator)
    model = estimator([0.1, 1.0], n_steps=2, cv=KFold(5, shuffle=True, random_state=1), gamma=20.0)
    model.set_params(solver=Nystrom(n_components)).fit(X, y, weights)
    low_rank = Spectrum.nystrom(
        RBF(20.0),
        X if weights is None else X[weights > 0.0],
        min(n_components, 60 if weights is None else np.count_nonzero(weights)),
        sample_weight=None if weights is None else weights[weights > 0.0],
    )
    K = np.zeros((60, 60))
    counted = np.arange(60) if weights is None else np.flatnonzero(weights)
    K[np.ix_(counted, counted)] = low_rank.gram_matrix()
    expected = clone(model).set_params(kernel="precomputed", solver="eigh").fit(K, y, weights)
    for name in LEARNED:
        if hasattr(expected, name):
            np.testing.assert_allclose(getattr(model, name), getattr(expected, name), rtol=1e-6, atol=1e-9)


def test_landmarks_are_chosen_as_the_solver_says():
    X, y = data()
    for solver in (Nystrom(7), Nystrom(7, "uniform"), Nystrom(7, "kmeans++"), Nystrom(7, random_state=5)):
        chosen = Spectrum.nystrom(RBF(5.0), X, 7, pivots=solver.pivots, random_state=solver.random_state)
        model = SelfDistilledKernelRidge(gamma=5.0, solver=solver).fit(X, y)
        np.testing.assert_array_equal(model.X_fit_, chosen.X_pivots)


def test_the_default_ridges_follow_the_low_rank_kernel():
    X, y = points_of(SelfDistilledKernelRidgeCV)
    for weights in (None, WEIGHTS):
        for fit_intercept in (True, False):
            model = SelfDistilledKernelRidgeCV(n_steps=2, gamma=20.0, fit_intercept=fit_intercept)
            whole = clone(model).fit(X, y, weights).ridges_
            np.testing.assert_allclose(model.set_params(solver="nystrom").fit(X, y, weights).ridges_, whole, rtol=1e-9)


@pytest.mark.parametrize(("n_outputs", "weights"), [(None, None), (2, WEIGHTS), (None, SOME_ZERO)])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("estimator", PLAIN)
def test_lanczos_iterations_give_the_whole_decomposition_to_their_tolerance(
    estimator, fit_intercept, weights, n_outputs
):
    X, y = points_of(estimator, n_outputs)
    model = estimator(gamma=5.0, fit_intercept=fit_intercept, **PLAIN[estimator])
    whole = clone(model).set_params(solver="eigh").fit(X, y, weights)
    model.set_params(solver=EXACT).fit(X, y, weights)
    expected = scores(whole, X + 0.1)
    np.testing.assert_allclose(scores(model, X + 0.1), expected, rtol=0.0, atol=1e-8 * np.max(np.abs(expected)))
    assert not hasattr(model, "effective_dof_")


def test_the_tolerance_is_met_and_not_overdone():
    X, y = data(300)
    model = SelfDistilledKernelRidge(1e-3, n_steps=2, gamma=10.0)
    expected, size = model.fit(X, y).predict(X), np.linalg.norm(y - np.mean(y))
    off = {}
    for tolerance in (1e-2, 1e-5):
        model.set_params(solver=Lanczos(tolerance=tolerance)).fit(X, y)
        off[tolerance] = np.linalg.norm(model.predict(X) - expected) / size
        assert off[tolerance] <= tolerance
    assert off[1e-2] > 1e-6


def test_the_last_step_decides_when_iterations_stop():
    """Label weights that grow from step to step need more of them than ridge regression alone."""
    X, y = data(300)
    model = SelfDistilledKernelRidge(1e-3, n_steps=6, label_weight=[-8.0] * 5, gamma=10.0)
    expected = model.fit(X, y).predict(X)
    model.set_params(solver=Lanczos(tolerance=1e-4)).fit(X, y)
    assert np.linalg.norm(model.predict(X) - expected) <= 1e-4 * np.linalg.norm(y - np.mean(y))


def test_iterations_that_are_used_up_warn_with_what_was_reached():
    X, y = data(300)
    model = SelfDistilledKernelRidge(1e-6, gamma=10.0, solver=Lanczos(n_iterations=5))
    with pytest.warns(LanczosWarning, match="5 Lanczos iterations reached the residual .*, not the tolerance 1e-06"):
        model.fit(X, y)


@pytest.mark.parametrize("solver", [Nystrom(200), EXACT])
def test_label_weights_of_every_output_are_taken(solver):
    X, y = data(n_outputs=2)
    model = SelfDistilledKernelRidge(0.1, n_steps=3, label_weight=np.array([[0.5, 1.5], [0.0, 0.3]]), gamma=5.0)
    expected = model.fit(X, y).predict(X)
    np.testing.assert_allclose(model.set_params(solver=solver).fit(X, y).predict(X), expected, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("solver", [Nystrom(200), EXACT])
@pytest.mark.parametrize("estimator", PLAIN)
def test_weights_count_as_so_many_copies(estimator, solver):
    X, y = points_of(estimator)
    copies = np.random.default_rng(0).integers(0, 4, 60)
    model = estimator(gamma=5.0, solver=solver, **PLAIN[estimator])
    expected = scores(clone(model).fit(np.repeat(X, copies, axis=0), np.repeat(y, copies, axis=0)), X)
    weighed = scores(model.fit(X, y, copies), X)
    np.testing.assert_allclose(weighed, expected, rtol=0.0, atol=1e-8 * np.max(np.abs(expected)))
    assert len(model.X_fit_) == np.count_nonzero(copies)


def test_an_operator_that_centres_is_the_centred_matrix():
    rng = np.random.default_rng(0)
    X, root = rng.standard_normal((30, 2)), rng.uniform(0.5, 2.0, 30)
    shares, K = root**2 / np.sum(root**2), RBF().gram(X)
    centring = np.eye(30) - shares
    dense = root[:, None] * (centring @ K @ centring.T) * root
    operator = CentredOperator(RBF().operator(X), shares, root)
    np.testing.assert_allclose(operator @ np.eye(30), dense, atol=1e-13)
    np.testing.assert_allclose(operator @ np.ones(30), np.sum(dense, axis=1), atol=1e-13)
    np.testing.assert_allclose(operator.T @ np.eye(30), dense, atol=1e-13)


@pytest.mark.parametrize("solver", ["nystrom", "lanczos"])
def test_training_for_ever_on_few_features_is_least_squares(solver):
    X, y = data()
    model = GradientFlowRegressor(1e9, kernel="linear", solver=solver).fit(X, y)
    np.testing.assert_allclose(model.predict(X + 1.0), LinearRegression().fit(X, y).predict(X + 1.0), rtol=1e-6)


@pytest.mark.parametrize("solver", [Eigh(), Nystrom(20), Lanczos()])
@pytest.mark.parametrize("model", [SelfDistilledKernelRidge(1e-3), GradientFlowRegressor(1e30)])
def test_a_kernel_that_does_not_tell_points_apart_gives_the_mean(model, solver):
    """Centring leaves nothing but rounding, which is no signal however long it is trained on."""
    X, y = data()
    model = clone(model).set_params(solver=solver)
    np.testing.assert_allclose(model.fit(np.full((40, 3), 0.7), y).predict(X), np.mean(y), rtol=1e-12)
    np.testing.assert_allclose(model.set_params(gamma=1e-18).fit(X, y).predict(X), np.mean(y), rtol=1e-12)


def test_a_stopping_time_is_searched_where_points_are_all_the_same():
    y = data()[1]
    model = GradientFlowRegressor(solver="nystrom").fit(np.full((40, 3), 0.7), y)
    np.testing.assert_allclose(model.predict([[0.1, 0.2, 0.3]]), np.mean(y), rtol=1e-12)


@pytest.mark.parametrize("gamma", [1e-9, 1e-12])
@pytest.mark.parametrize("solver", [Nystrom(20), Lanczos()])
def test_wide_kernels_keep_the_digits_that_rounding_leaves(solver, gamma):
    X, y = data()
    model = SelfDistilledKernelRidge(gamma, gamma=gamma)
    expected = model.fit(X, y).predict(X)
    values = model.set_params(solver=solver).fit(X, y).predict(X)
    np.testing.assert_allclose(values, expected, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize("size", [2.0**1000, 2.0**-1000])
def test_targets_of_any_size_are_fitted(size):
    X, y = data()
    model = SelfDistilledKernelRidge(gamma=5.0, solver="lanczos")
    expected = model.fit(X, y).predict(X)
    np.testing.assert_allclose(model.fit(X, size * y).predict(X) / size, expected, rtol=1e-12)


NAMED = [
    ({"kernel": "rbf", "gamma": 2.0}, RBF(2.0)),
    ({"kernel": "rbf"}, RBF()),
    ({"kernel": "laplacian", "gamma": 2.0}, Laplace(2.0)),
    ({"kernel": "linear"}, Linear()),
    ({"kernel": "poly", "degree": 2.0, "gamma": 2.0, "coef0": 0.5}, Polynomial(2, 2.0, 0.5)),
    ({"kernel": "polynomial"}, Polynomial()),
    ({"kernel": "cosine"}, Cosine()),
]


@pytest.mark.parametrize(("parameters", "kernel"), NAMED)
@pytest.mark.parametrize("solver", [Eigh(), Nystrom(), EXACT])
def test_kernels_by_name_and_as_objects_are_the_same(solver, parameters, kernel):
    X, y = data()
    expected = SelfDistilledKernelRidge(0.1, **parameters, solver="eigh").fit(X, y).predict(X + 0.1)
    for given in (parameters, {"kernel": kernel, "gamma": 17.0}):
        model = SelfDistilledKernelRidge(0.1, **given, solver=solver).fit(X, y)
        np.testing.assert_allclose(model.predict(X + 0.1), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kernel", [Matern(1.5), ArcCosine()])
@pytest.mark.parametrize("estimator", EVERY)
def test_kernels_without_a_name_work_in_every_estimator(estimator, kernel):
    X, y = points_of(estimator)
    precomputed = estimator(kernel="precomputed", **SHORT[estimator]).fit(kernel.gram(X), y)
    for solver in ("eigh", "nystrom"):
        model = estimator(kernel=kernel, solver=solver, **SHORT[estimator]).fit(X, y)
        assert_same(model, precomputed, X + 0.1, X_expected=kernel.gram(X + 0.1, X), tolerance=1e-7)


def test_widths_are_searched_with_landmarks():
    X, y = data(60)
    model = SelfDistilledKernelRidgeCV([0.1, 1.0], n_steps=2, gammas=[0.1, 20.0], solver="nystrom").fit(X, y)
    assert_same(model, clone(model).set_params(solver="eigh").fit(X, y), X + 0.1, tolerance=1e-6)
    with pytest.raises(ValueError, match="gammas must be None for a kernel without gamma, and for one that is no name"):
        SelfDistilledKernelRidgeCV(kernel=RBF(), gammas=[1.0]).fit(X, y)


def test_fewer_landmarks_are_taken_where_others_depend_on_them():
    X, y = data()
    twice = np.concatenate([X, X])
    model = SelfDistilledKernelRidge(gamma=5.0, solver=Nystrom(80)).fit(twice, np.concatenate([y, y]))
    assert len(model.X_fit_) == 40


def test_a_fit_says_whether_degrees_of_freedom_are_known():
    X, y = data()
    model = SelfDistilledKernelRidge().fit(X, y)
    assert model.effective_dof_ > 1.0
    assert not hasattr(model.set_params(solver="lanczos").fit(X, y), "effective_dof_")
    assert hasattr(model.set_params(solver="nystrom").fit(X, y), "effective_dof_")


@pytest.mark.parametrize(
    "model",
    [
        SelfDistilledKernelRidge(solver=Nystrom(300)),
        SelfDistilledKernelRidge(solver="lanczos"),
        SelfDistilledKernelRidgeCV([1.0], n_steps=2, solver=Nystrom(100)),
        GradientFlowRegressor(times=[1.0, 2.0], cv=2, solver=Nystrom(100)),
        GradientFlowRegressor(1.0, solver=Lanczos(100)),
    ],
)
def test_no_square_matrix_is_ever_made(monkeypatch, model):
    X, y = data(4000)
    gram = Kernel.gram

    def small(self, X, Y=None):
        result = gram(self, X, Y)
        assert result.size <= 4000 * 1000
        return result

    monkeypatch.setattr(Kernel, "gram", small)
    tracemalloc.start()
    try:
        model.set_params(gamma=2.0).fit(X, y, np.ones(4000)).predict(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 4000**2 / 2
