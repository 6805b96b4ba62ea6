"""Classifiers on soft labels: the stacked rows are the distilled risk, and students follow any teacher."""

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from kdtheory import distilled_risk, temper
from kdtheory.estimators import DistilledClassifier, SoftLabelClassifier


@parametrize_with_checks(
    [SoftLabelClassifier(), SoftLabelClassifier(DecisionTreeClassifier(random_state=0)), DistilledClassifier()]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def soft_data(n=60, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    logits = X @ rng.standard_normal((2, n_classes)) * 2.0
    return X, np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)


def test_logistic_regression_on_probabilities_minimises_the_distilled_risk():
    """With the gradient of that risk set to zero by hand; the parameters are the logits' own."""
    X, p = soft_data()
    model = SoftLabelClassifier(LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)).fit(X, p)
    np.testing.assert_allclose(model.predict_proba(X), p, atol=1e-5)
    other = SoftLabelClassifier(LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000)).fit(X, p)
    theirs = other.predict_proba(X)

    def objective(parameters):
        w, b = parameters[:6].reshape(2, 3), parameters[6:]
        logits = X @ w + b
        losses = np.log(np.sum(np.exp(logits), axis=1, keepdims=True)) - logits
        return len(X) * distilled_risk(np.maximum(losses, 0.0), p) + 0.5 / 0.1 * np.sum(w**2)

    found = scipy.optimize.minimize(objective, np.zeros(9), tol=1e-12)
    logits = X @ found.x[:6].reshape(2, 3) + found.x[6:]
    np.testing.assert_allclose(theirs, np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("estimator", [LogisticRegression(), DecisionTreeClassifier(max_depth=3, random_state=0)])
def test_one_hot_probabilities_are_labels_and_weights_multiply(estimator):
    X, p = soft_data()
    labels = np.argmax(p, axis=1)
    weights = np.random.default_rng(1).uniform(0.1, 2.0, len(X))
    soft = SoftLabelClassifier(estimator).fit(X, np.eye(3)[labels], sample_weight=weights)
    hard = clone(estimator).fit(X, labels, sample_weight=weights)
    np.testing.assert_allclose(soft.predict_proba(X), hard.predict_proba(X), rtol=1e-9)
    of_labels = SoftLabelClassifier(estimator).fit(X, np.array(["a", "b", "c"])[labels])
    np.testing.assert_array_equal(
        of_labels.predict(X), np.array(["a", "b", "c"])[clone(estimator).fit(X, labels).predict(X)]
    )


def test_probabilities_of_two_copies_are_the_mean():
    X, p = soft_data()
    twice = SoftLabelClassifier().fit(np.concatenate([X, X]), np.concatenate([p, p[::-1]]), np.full(120, 0.5))
    once = SoftLabelClassifier().fit(X, 0.5 * (p + p[::-1]))
    np.testing.assert_allclose(twice.predict_proba(X), once.predict_proba(X), atol=1e-4)


def test_a_class_that_is_never_possible_has_the_probability_zero():
    X, p = soft_data(n_classes=2)
    padded = np.stack([p[:, 0], np.zeros(len(p)), p[:, 1]], axis=1)
    model = SoftLabelClassifier().fit(X, padded)
    assert model.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(model.predict_proba(X)[:, 1], 0.0)
    np.testing.assert_allclose(
        model.predict_proba(X)[:, ::2], SoftLabelClassifier().fit(X, p).predict_proba(X), rtol=1e-9
    )


def test_sparse_points_and_data_frames():
    X, p = soft_data()
    dense = SoftLabelClassifier().fit(X, p).predict_proba(X)
    sparse = scipy.sparse.csr_array(X)
    np.testing.assert_allclose(SoftLabelClassifier().fit(sparse, p).predict_proba(sparse), dense, atol=1e-4)
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = SoftLabelClassifier().fit(frame, pd.DataFrame(p))
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_allclose(model.predict_proba(frame), dense, rtol=1e-9)


@pytest.mark.parametrize(
    "teacher", [RandomForestClassifier(random_state=0), GaussianNB(), HistGradientBoostingClassifier()]
)
@pytest.mark.parametrize("student", [LogisticRegression(max_iter=1000), DecisionTreeClassifier(max_depth=3)])
def test_any_teacher_and_any_student(teacher, student):
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = DistilledClassifier(teacher, student, label_weight=0.25, temperature=2.0).fit(X, names)
    tempered = temper(clone(teacher).fit(X, names).predict_proba(X), temperature=2.0)
    np.testing.assert_allclose(model.teacher_probabilities_, 0.25 * np.eye(3)[y] + 0.75 * tempered, rtol=1e-9)
    assert model.score(X, names) > 0.9
    assert set(model.predict(X)) <= set(names)


def test_a_teacher_that_is_fitted_already_and_one_that_has_not_seen_the_points():
    X, y = load_iris(return_X_y=True)
    teacher = RandomForestClassifier(random_state=0).fit(X[::2], y[::2])
    model = DistilledClassifier(FrozenEstimator(teacher)).fit(X[1::2], y[1::2])
    assert model.teacher_.estimator is teacher
    np.testing.assert_allclose(model.teacher_probabilities_, teacher.predict_proba(X[1::2]), rtol=1e-12)
    folds = KFold(5, shuffle=True, random_state=0)
    crossed = DistilledClassifier(clone(teacher), cv=folds).fit(X, y)
    expected = cross_val_predict(clone(teacher), X, y, cv=folds, method="predict_proba")
    np.testing.assert_allclose(crossed.teacher_probabilities_, expected)


def test_the_columns_of_a_data_frame_are_the_classes():
    X, p = soft_data()
    names = pd.DataFrame(p, columns=["c", "a", "b"])
    model = SoftLabelClassifier().fit(X, names)
    assert model.classes_.tolist() == ["a", "b", "c"]
    plain = SoftLabelClassifier().fit(X, p[:, [1, 2, 0]])
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X), rtol=1e-12)
    assert model.score(X, names) == plain.score(X, p[:, [1, 2, 0]])
    assert model.score(X, np.array(["c", "a", "b"])[np.argmax(p, axis=1)]) > 0.9


def test_the_score_of_probabilities_is_the_accuracy_to_be_expected():
    X, p = soft_data()
    model = SoftLabelClassifier().fit(X, p)
    labels = [np.random.default_rng(seed).uniform(size=(60, 1)) > np.cumsum(p, axis=1) for seed in range(4000)]
    accuracies = [model.score(X, np.sum(each, axis=1)) for each in labels[:400]]
    standard_error = np.std(accuracies) / 20.0
    assert abs(model.score(X, p) - np.mean(accuracies)) < 4.0 * standard_error
    weights = np.arange(60.0)
    chosen = p[np.arange(60), model.predict(X)]
    np.testing.assert_allclose(model.score(X, p, weights), np.average(chosen, weights=weights))
    assert np.all(cross_val_score(SoftLabelClassifier(), X, p, cv=3) > 0.4)


@pytest.mark.parametrize("cv", [None, 3])
def test_weights_reach_the_teacher_and_the_student(cv):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    weights = np.random.default_rng(0).uniform(0.0, 3.0, len(y))
    model = DistilledClassifier(GaussianNB(), cv=cv).fit(X, y, weights)
    teacher = GaussianNB().fit(X, y, weights).predict_proba(X)
    if cv is not None:
        teacher = cross_val_predict(
            GaussianNB(), X, y, cv=cv, method="predict_proba", params={"sample_weight": weights}
        )
    np.testing.assert_allclose(model.teacher_probabilities_, teacher, rtol=1e-12)
    student = SoftLabelClassifier().fit(X, model.teacher_probabilities_, weights)
    np.testing.assert_allclose(model.predict_proba(X), student.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("inner", [LinearSVC(), Perceptron(), RidgeClassifier()])
def test_what_has_no_probabilities_still_predicts(inner):
    X, p = soft_data()
    model = SoftLabelClassifier(inner).fit(X, p)
    assert model.score(X, np.argmax(p, axis=1)) > 0.8
    assert not hasattr(model, "predict_proba")
    student = DistilledClassifier(GaussianNB(), inner).fit(X, np.array(["a", "b", "c"])[np.argmax(p, axis=1)])
    assert set(student.predict(X)) == {"a", "b", "c"}
    assert not hasattr(student, "predict_proba")


def test_frames_and_missing_values_reach_the_classifiers_within():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X = X.assign(kind=np.where(np.arange(150) % 2, "odd", "even"))
    columns = make_column_transformer((OneHotEncoder(), ["kind"]), remainder=StandardScaler())
    teacher = make_pipeline(columns, GaussianNB())
    student = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=5)
    model = DistilledClassifier(teacher, student).fit(X.astype({"kind": "category"}), y)
    assert model.score(X.astype({"kind": "category"}), y) > 0.9
    missing = load_iris().data.copy()
    missing[::7, 2] = np.nan
    boosted = HistGradientBoostingClassifier(max_iter=5)
    assert DistilledClassifier(boosted, boosted).fit(missing, y).score(missing, y) > 0.9


def test_they_live_in_pipelines_and_searches():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), DistilledClassifier(GaussianNB()))
    search = GridSearchCV(model, {"distilledclassifier__temperature": [1.0, 4.0]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.9


X, P = soft_data(6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SoftLabelClassifier().fit(X, 0.9 * P), ValueError, "y must sum to 1 in every row"),
        (lambda: SoftLabelClassifier().fit(X, -P), ValueError, r"y must lie in \[0, 1\]"),
        (
            lambda: SoftLabelClassifier().fit(X, np.zeros(6)),
            ValueError,
            "y must hold at least 2 classes that are possible",
        ),
        (lambda: SoftLabelClassifier().fit(X, np.tile([1.0, 0.0], (6, 1))), ValueError, "got one class"),
        (lambda: SoftLabelClassifier().fit(X, P, -np.ones(6)), ValueError, "sample_weight must be >= 0"),
        (lambda: SoftLabelClassifier().fit(X, P[:5]), ValueError, "inconsistent numbers of samples"),
        (
            lambda: DistilledClassifier(Perceptron()).fit(X, [0, 1] * 3),
            TypeError,
            "teacher must be a classifier with predict_proba",
        ),
        (
            lambda: DistilledClassifier(label_weight=1.5).fit(X, [0, 1] * 3),
            ValueError,
            "label_weight must be <= 1, got 1.5",
        ),
        (
            lambda: DistilledClassifier(temperature=0.0).fit(X, [0, 1] * 3),
            ValueError,
            "temperature must be > 0, got 0.0",
        ),
        (
            lambda: DistilledClassifier(FrozenEstimator(GaussianNB().fit(X, [0, 1] * 3))).fit(X, ["a", "b"] * 3),
            ValueError,
            r"teacher must know the classes of y, \['a' 'b'\], got \[0 1\]",
        ),
        (lambda: DistilledClassifier(FrozenEstimator(GaussianNB())).fit(X, [0, 1] * 3), NotFittedError, "GaussianNB"),
        (
            lambda: SoftLabelClassifier(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, P),
            TypeError,
            "estimator must be a classifier whose fit takes sample_weight, to learn from probabilities, got Pipeline",
        ),
        (lambda: SoftLabelClassifier(Ridge()).fit(X, P), TypeError, r"fit takes sample_weight.*got Ridge\(\)"),
        (
            lambda: SoftLabelClassifier().fit(X, P[:, 0]),
            ValueError,
            r"Unknown label type.*Probabilities need a column for each class: np.column_stack\(\[1 - y, y\]\)",
        ),
        (
            lambda: SoftLabelClassifier().fit(X, P).score(X, P[:5]),
            ValueError,
            r"y must have shape \(6, 3\), got \(5, 3\)",
        ),
        (
            lambda: DistilledClassifier().fit(X, P),
            ValueError,
            r"y must be labels of shape \(n_samples,\), got shape \(6, 3\): SoftLabelClassifier learns from",
        ),
        (lambda: DistilledClassifier().fit(X, [1] * 6), ValueError, "y must hold at least 2 classes, got one class"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
