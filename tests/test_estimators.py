"""The estimators, by equivalence: with scikit-learn's own, with the core, and with each other."""

import itertools
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import kernel_metrics, pairwise_kernels, rbf_kernel
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from kdtheory import GradientFlow, fit_filter
from kdtheory.estimators import (
    GradientFlowRegressor,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
)
from kdtheory.estimators._temperature import inverse_temperature

REGRESSORS = [SelfDistilledKernelRidge, SelfDistilledKernelRidgeCV, GradientFlowRegressor]
CLASSIFIERS = [SelfDistilledKernelClassifier, SelfDistilledKernelClassifierCV]
EVERY = REGRESSORS + CLASSIFIERS


@parametrize_with_checks([estimator() for estimator in EVERY])
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


def test_no_check_of_scikit_learn_is_skipped_when_scipy_dispatches():
    names = ", ".join(estimator.__name__ for estimator in EVERY)
    code = (
        f"from kdtheory.estimators import {names}\n"
        "from sklearn.utils.estimator_checks import estimator_checks_generator\n"
        f"for estimator in [{names}]:\n"
        "    checks = [check for _, check in estimator_checks_generator(estimator(), legacy=True)\n"
        "              if check.func.__name__.startswith('check_array_api')]\n"
        "    assert checks\n"
        "    for check in checks:\n"
        "        check(estimator())\n"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "SCIPY_ARRAY_API": "1"}, check=True)


def data(n=40, n_outputs=None, seed=0, n_features=3):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.0, 1.0, (n, n_features))
    signal = np.sin(5.0 * X[:, 0]) + X[:, 1] ** 2
    if n_outputs is None:
        return X, signal + 0.3 * rng.standard_normal(n)
    return X, np.outer(signal, np.arange(1, n_outputs + 1)) + 0.3 * rng.standard_normal((n, n_outputs))


def labelled(n=60, n_classes=3, seed=0):
    X, y = data(n, seed=seed)
    return X, np.array(["low", "middle", "high", "top"])[:n_classes][np.argsort(np.argsort(y)) * n_classes // n]


def chain(X, y, X_test, ridge, label_weights, **kernel):
    """Predictions of every fit of scikit-learn's KernelRidge, each on the last one's fitted values."""
    model = KernelRidge(alpha=ridge, **kernel).fit(X, y)
    for weight in label_weights:
        model = KernelRidge(alpha=ridge, **kernel).fit(X, weight * y + (1.0 - weight) * model.predict(X))
    return model.predict(X_test)


@pytest.mark.parametrize("n_outputs", [None, 2])
@pytest.mark.parametrize(
    "kernel", [{"kernel": "rbf", "gamma": 2.0}, {"kernel": "linear"}, {"kernel": "poly", "degree": 2}]
)
def test_one_fit_without_an_intercept_is_kernel_ridge_regression(kernel, n_outputs):
    X, y = data(n_outputs=n_outputs)
    weights = np.random.default_rng(1).uniform(0.1, 3.0, len(y))
    for sample_weight in (None, weights):
        ours = SelfDistilledKernelRidge(0.3, n_steps=1, fit_intercept=False, **kernel).fit(X, y, sample_weight)
        theirs = KernelRidge(alpha=0.3, **kernel).fit(X, y, sample_weight)
        np.testing.assert_allclose(ours.predict(X + 0.1), theirs.predict(X + 0.1), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(ours.dual_coef_, theirs.dual_coef_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("label_weight", [0.0, 0.4, [0.9, -0.5, 0.2]])
def test_every_further_step_is_a_kernel_ridge_regression_of_mixed_targets(label_weight):
    X, y = data()
    model = SelfDistilledKernelRidge(0.3, n_steps=4, label_weight=label_weight, gamma=2.0, fit_intercept=False)
    expected = chain(X, y, X + 0.1, 0.3, np.broadcast_to(label_weight, 3), kernel="rbf", gamma=2.0)
    np.testing.assert_allclose(model.fit(X, y).predict(X + 0.1), expected, rtol=1e-9)


def test_label_weights_in_two_dimensions_are_one_set_for_each_output():
    X, y = data(n_outputs=2)
    sets = np.array([[0.5, 1.5], [0.0, 0.3]])
    both = SelfDistilledKernelRidge(0.3, n_steps=3, label_weight=sets).fit(X, y)
    for output in range(2):
        alone = SelfDistilledKernelRidge(0.3, n_steps=3, label_weight=sets[:, output]).fit(X, y[:, output])
        np.testing.assert_allclose(both.predict(X)[:, output], alone.predict(X), rtol=1e-12)
        assert both.effective_dof_[output] == pytest.approx(alone.effective_dof_)


def test_the_intercept_is_not_penalised():
    X, y = data()
    model = SelfDistilledKernelRidge(1e9, n_steps=3, gamma=2.0).fit(X, y)
    np.testing.assert_allclose(model.predict(X), np.mean(y), rtol=1e-6)
    near, far = (SelfDistilledKernelRidge(0.3).fit(X, y + shift).predict(X) - shift for shift in (0.0, 1e4))
    np.testing.assert_allclose(near, far, rtol=1e-8)
    assert model.effective_dof_ == pytest.approx(1.0, abs=1e-6)


def test_held_out_errors_beyond_the_floating_point_range_are_refused():
    X, y = data()
    with pytest.raises(OverflowError, match="the held-out error"):
        GradientFlowRegressor(times=[0.1, 1.0]).fit(X, 1e200 * y)


def test_training_for_ever_on_few_features_is_least_squares():
    """Zero eigenvalues, of which a linear kernel has many, get no coefficients that grow with time."""
    X, y = data()
    model = GradientFlowRegressor(1e300, kernel="linear").fit(X, y)
    assert np.max(np.abs(model.dual_coef_)) < 1e3
    np.testing.assert_allclose(model.predict(X + 1.0), LinearRegression().fit(X, y).predict(X + 1.0), rtol=1e-9)


@pytest.mark.parametrize("estimator", EVERY)
def test_a_precomputed_kernel_and_a_kernel_function_give_the_same_as_its_name(estimator):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    X_test = X[:5] + 0.1
    # The smallest of the default ridges magnify the rounding of the kernel.
    grid = {"ridges": np.geomspace(1e-2, 10.0, 5)} if hasattr(estimator(), "ridges") else {}
    named = estimator(gamma=2.0, **grid).fit(X, y)
    K = rbf_kernel(X, gamma=2.0)
    precomputed = estimator(kernel="precomputed", **grid).fit(K, y)
    np.testing.assert_array_equal(K, rbf_kernel(X, gamma=2.0))
    function = estimator(
        kernel=lambda a, b, scale: np.exp(-scale * np.sum((a - b) ** 2)), kernel_params={"scale": 2.0}, **grid
    )
    assert precomputed.X_fit_ is None
    for method in ("predict", "decision_function", "predict_proba"):
        if hasattr(named, method):
            expected = getattr(named, method)(X_test)
            given = getattr(precomputed, method)(rbf_kernel(X_test, X, gamma=2.0))
            computed = getattr(function.fit(X, y), method)(X_test)
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-8)
                np.testing.assert_allclose(computed, expected, rtol=1e-6, atol=1e-8)
            else:
                np.testing.assert_array_equal(given, expected)
                np.testing.assert_array_equal(computed, expected)


@pytest.mark.parametrize("kernel", sorted(kernel_metrics()))
def test_every_kernel_of_scikit_learn_is_known(kernel):
    X, y = data()
    gamma = {"poly": 1.0, "polynomial": 1.0, "sigmoid": 1e-6}.get(kernel, 0.01)  # tanh is not positive definite itself
    parameters = {"kernel": kernel, "gamma": gamma, "coef0": 0.0}
    ridge = 1e-3 * gamma
    # Negated distances are positive definite only once they are centred, which the intercept does.
    intercept = kernel == "additive_chi2"
    model = SelfDistilledKernelRidge(ridge, n_steps=2, fit_intercept=intercept, **parameters).fit(X, y)
    if not intercept:
        np.testing.assert_allclose(model.predict(X), chain(X, y, X, ridge, [0.0], **parameters), rtol=1e-6, atol=1e-8)
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.2


@pytest.mark.parametrize("kernel", sorted(set(kernel_metrics()) - {"sigmoid"}))
def test_every_kernel_has_a_default_width(kernel):
    X, y = data()
    model = SelfDistilledKernelRidge(kernel=kernel, coef0=1.0).fit(X, y)
    K = pairwise_kernels(X, metric=kernel, filter_params=True, degree=3, coef0=1.0)
    np.testing.assert_allclose(model.predict(X), K @ model.dual_coef_ + model.intercept_, rtol=1e-9)


def test_an_indefinite_kernel_is_refused_with_the_eigenvalue():
    with pytest.raises(ValueError, match="K must be positive semi-definite, got the eigenvalue -"):
        SelfDistilledKernelRidge(kernel="sigmoid", gamma=3.0).fit(*data())


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_points_far_from_the_origin_do_no_harm_to_an_intercept(offset):
    X, y = data()
    model = SelfDistilledKernelRidge(0.1, kernel="linear").fit(X + offset, y)
    expected = SelfDistilledKernelRidge(0.1, kernel="linear").fit(X, y).predict(X)
    np.testing.assert_allclose(model.predict(X + offset), expected, atol=1e-13 * max(offset, 1.0) ** 2 * 100)
    same = SelfDistilledKernelRidge().fit(np.full((6, 2), 0.1 + offset), y[:6])
    np.testing.assert_allclose(same.predict([[0.1, 0.1]]), np.mean(y[:6]), rtol=1e-9)


@pytest.mark.parametrize("estimator", EVERY)
@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_points_are_the_same_as_dense_ones(estimator, container):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    X = np.where(X < 0.4, 0.0, X)
    dense, sparse = estimator().fit(X, y), estimator().fit(container(X), y)
    np.testing.assert_allclose(sparse.dual_coef_, dense.dual_coef_, rtol=1e-5, atol=1e-7)
    if estimator in REGRESSORS:
        np.testing.assert_allclose(sparse.predict(container(X)), dense.predict(X), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_scores_sum_to_one_and_the_highest_is_predicted(estimator, n_classes):
    X, y = labelled(n_classes=n_classes)
    model = estimator(gamma=3.0).fit(X, y)
    scores, chances = model.decision_function(X), model.predict_proba(X)
    np.testing.assert_allclose(np.sum(chances, axis=1), 1.0, rtol=1e-12)
    assert np.all(chances >= 0.0)
    if n_classes == 2:
        assert scores.shape == y.shape
        np.testing.assert_array_equal(model.predict(X), model.classes_[(scores > 0.0).astype(int)])
    else:
        np.testing.assert_allclose(np.sum(scores, axis=1), 1.0, rtol=1e-9)
        np.testing.assert_array_equal(model.predict(X), model.classes_[np.argmax(scores, axis=1)])
    likely = np.max(chances, axis=1) - chances[np.arange(len(y)), np.searchsorted(model.classes_, model.predict(X))]
    np.testing.assert_allclose(likely, 0.0, atol=1e-12)
    assert model.score(X, y) >= 0.7


def test_scores_are_kernel_ridge_regressions_of_indicators():
    X, y = labelled()
    model = SelfDistilledKernelClassifier(0.3, n_steps=2, label_weight=0.2, gamma=2.0, fit_intercept=False).fit(X, y)
    indicators = (y[:, None] == model.classes_).astype(float)
    expected = chain(X, indicators, X, 0.3, [0.2], kernel="rbf", gamma=2.0)
    np.testing.assert_allclose(model.decision_function(X), expected, rtol=1e-9, atol=1e-12)


def test_no_score_above_zero_makes_all_classes_equally_probable():
    X, y = labelled()
    model = SelfDistilledKernelClassifier(fit_intercept=False).fit(X, y)
    model.dual_coef_ = -np.abs(model.dual_coef_)
    np.testing.assert_allclose(model.predict_proba(X), 1.0 / 3.0)


def test_the_temperature_is_that_of_least_cross_entropy():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    scores = np.eye(3)[labels] + 0.7 * rng.standard_normal((200, 3))
    weights = rng.uniform(0.0, 2.0, 200)
    smoothed = (np.sum(weights) * np.eye(3)[labels] + 1.0) / (np.sum(weights) + 3.0)

    def cross_entropy(beta):
        return -weights @ np.sum(smoothed * log_softmax(beta * scores, axis=1), axis=1)

    expected = minimize_scalar(cross_entropy, bounds=(0.0, 50.0), method="bounded", options={"xatol": 1e-10}).x
    assert inverse_temperature(scores, labels, weights) == pytest.approx(expected, rel=1e-5)
    assert inverse_temperature(-scores, labels, weights) == 0.0
    assert 1.0 < inverse_temperature(np.eye(3)[labels], labels, weights) < 10.0
    assert inverse_temperature(1e-9 * scores, labels, weights) <= 1e6


def test_probabilities_are_calibrated_on_held_out_points():
    X, y = labelled(400, 2, seed=3)
    X_new, y_new = labelled(4000, 2, seed=4)
    calibrated = SelfDistilledKernelClassifierCV(gamma=3.0, n_steps=3).fit(X, y)
    chances = calibrated.predict_proba(X_new)[:, 1]
    positive = y_new == calibrated.classes_[1]
    edges = np.quantile(chances, np.linspace(0.0, 1.0, 6))
    for low, high in itertools.pairwise(edges):
        bin_ = (chances >= low) & (chances <= high)
        assert np.mean(positive[bin_]) == pytest.approx(np.mean(chances[bin_]), abs=0.08)


@pytest.mark.parametrize("n_outputs", [None, 2])
def test_a_flow_with_a_given_time_is_the_filter_of_that_time(n_outputs):
    X, y = data(n_outputs=n_outputs)
    model = GradientFlowRegressor(2.5, gamma=2.0, fit_intercept=False).fit(X, y)
    fit = fit_filter(rbf_kernel(X, gamma=2.0), y, GradientFlow(2.5))
    np.testing.assert_allclose(model.predict(X + 0.1), fit.predict(rbf_kernel(X + 0.1, X, gamma=2.0)), rtol=1e-9)
    assert model.time_ == 2.5
    assert model.effective_dof_ == pytest.approx(fit.effective_dof)
    assert not hasattr(model, "validation_errors_")


def test_a_flow_starts_at_the_mean_and_ends_at_the_targets():
    X, y = data(15)
    np.testing.assert_allclose(GradientFlowRegressor(0.0).fit(X, y).predict(X), np.mean(y), rtol=1e-12)
    np.testing.assert_allclose(GradientFlowRegressor(1e12, gamma=50.0).fit(X, y).predict(X), y, rtol=1e-6)


@pytest.mark.parametrize("n_outputs", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_stopping_time_has_the_least_held_out_error_of_exact_refits(n_outputs, weighted):
    X, y = data(n_outputs=n_outputs)
    weights = np.random.default_rng(1).uniform(0.1, 3.0, len(y)) if weighted else None
    folds = KFold(4, shuffle=True, random_state=0)
    times = [0.1, 1.0, 10.0, 100.0]
    model = GradientFlowRegressor(times=times, cv=folds, gamma=2.0).fit(X, y, weights)
    with config_context(enable_metadata_routing=True):
        errors = []
        for time in times:
            fixed = GradientFlowRegressor(time, gamma=2.0).set_fit_request(sample_weight=True)
            params = {"sample_weight": weights} if weighted else {}
            squares = (cross_val_predict(fixed, X, y, cv=folds, params=params) - y) ** 2
            errors.append(np.average(squares.reshape(len(y), -1).mean(axis=1), weights=weights))
    np.testing.assert_allclose(model.validation_errors_, errors, rtol=1e-9)
    assert model.time_ == times[int(np.argmin(errors))]
    alone = GradientFlowRegressor(model.time_, gamma=2.0).fit(X, y, weights)
    np.testing.assert_allclose(model.predict(X), alone.predict(X), rtol=1e-12)


def test_the_stopping_time_can_be_chosen_on_a_held_out_share():
    X, y = data()
    model = GradientFlowRegressor(times=[0.1, 10.0], validation_fraction=0.25, random_state=3).fit(X, y)
    kept, left_out = train_test_split(np.arange(len(y)), test_size=0.25, random_state=3)
    for time, error in zip(model.times_, model.validation_errors_, strict=True):
        fixed = GradientFlowRegressor(time).fit(X[kept], y[kept])
        assert np.mean((fixed.predict(X[left_out]) - y[left_out]) ** 2) == pytest.approx(error)


def test_the_default_times_reach_from_nothing_learned_to_everything_learned():
    X, y = data()
    model = GradientFlowRegressor(gamma=2.0).fit(X, y)
    assert model.times_[0] < model.time_ < model.times_[-1]
    assert model.score(X, y) > 0.8


@pytest.mark.parametrize("estimator", EVERY)
def test_they_work_in_pipelines_and_grid_searches(estimator):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    pipeline = make_pipeline(StandardScaler(), estimator()).set_output(transform="pandas")
    name = estimator.__name__.lower()
    search = GridSearchCV(pipeline, {f"{name}__gamma": [0.1, 1.0]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.3
    assert list(search.best_estimator_[-1].feature_names_in_) == ["x0", "x1", "x2"]


@pytest.mark.parametrize("estimator", EVERY)
def test_sample_weights_are_routed(estimator):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    with config_context(enable_metadata_routing=True):
        model = estimator().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = cross_validate(model, X, y, cv=3, params={"sample_weight": weights}, return_estimator=True)
    unweighted = cross_validate(estimator(), X, y, cv=3, return_estimator=True)
    pair = (each["estimator"][0].dual_coef_ for each in (routed, unweighted))
    assert not np.allclose(*pair)


@pytest.mark.parametrize("estimator", EVERY)
def test_clones_and_pickles_are_equal(estimator, tmp_path):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    model = estimator(gamma=2.0).fit(X, y)
    again = clone(model).fit(X, y)
    unpickled = pickle.loads(pickle.dumps(model))
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (again, unpickled, joblib.load(tmp_path / "model.joblib")):
        if estimator in CLASSIFIERS:
            np.testing.assert_array_equal(other.predict(X), model.predict(X))
        else:
            np.testing.assert_allclose(other.predict(X), model.predict(X), rtol=1e-9)
    assert len(pickle.dumps(model)) < 100_000
