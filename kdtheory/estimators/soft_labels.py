"""Classifiers that learn from a teacher's probabilities instead of labels, with any classifier of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.utils import Tags, _safe_indexing, check_array, check_consistent_length, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, has_fit_parameter, validate_data

from kdtheory._interop import to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_probabilities, require_share, require_weights
from kdtheory.estimators._base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from kdtheory.soft_labels import temper


def _has_probabilities(part: str) -> Callable[[Any], bool]:
    def check(model: Any) -> bool:
        return hasattr(getattr(model, part)(), "predict_proba")

    return check


class SoftLabelClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier that learns from probabilities of the classes, through one that learns from labels and weights.

    Every point becomes one row for each class that is possible, weighted by its probability: a loss that sums over rows
    becomes the distilled risk. What counts rows, such as `min_samples_leaf` or a bootstrap, counts the stacked ones.
    Labels are learned from as they are.

    Parameters
    ----------
    estimator : classifier, default None
        Any classifier of scikit-learn whose `fit` takes `sample_weight`, such as `LogisticRegression`, a tree or a
        forest. None: `LogisticRegression()`, with its penalty. Scalers and searches go around this classifier:
        `make_pipeline(StandardScaler(), SoftLabelClassifier())`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The labels; for probabilities the columns of a data frame, sorted, or 0 … n_classes - 1.
    estimator_ : classifier
        Fitted on the stacked rows; it may lack classes of probability zero everywhere.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    See Also
    --------
    kdtheory.distilled_risk : what it minimises.
    sklearn.linear_model.LogisticRegression : the default, on labels.

    Notes
    -----
    Cost: that of the classifier on up to `n·n_classes` rows. Source: Menon et al. (2020), eqs. 5 and 7; with the
    probabilities of a Bayes teacher it minimises the Bayes-distilled risk.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[-1.0], [0.0], [1.0]])
    >>> model = SoftLabelClassifier().fit(X, [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])
    >>> model.predict(X), model.predict_proba([[0.0]]).round(3)
    (array([0, 0, 1]), array([[0.5, 0.5]]))
    """

    classes_: np.ndarray
    estimator_: Any

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._estimator())
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        if inner.classifier_tags is not None:  # what is no classifier is refused when it is fitted
            tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
            tags.classifier_tags.poor_score = inner.classifier_tags.poor_score
        return tags

    def _estimator(self) -> Any:
        return LogisticRegression() if self.estimator is None else self.estimator

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SoftLabelClassifier:
        """Fit on labels, or on probabilities.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
        y : array of shape (n_samples,) or (n_samples, n_classes)
            Labels, or in two or more columns probabilities of the classes.
        sample_weight : array of shape (n_samples,), optional
            Weights >= 0.

        Returns
        -------
        SoftLabelClassifier
            The fitted classifier itself.
        """
        columns = getattr(y, "columns", None)
        y = _checked_targets(self, X, y)
        options = {}
        if sample_weight is not None:
            options["sample_weight"] = require_weights("sample_weight", sample_weight, len(y), like=np.ones(1))
        if y.ndim == 2:
            self._require_weighted_classifier()
            self.classes_ = np.arange(y.shape[1]) if columns is None else np.unique(columns)
            probabilities = y if columns is None else y[:, np.argsort(np.asarray(columns))]
            weights = options.get("sample_weight", np.ones(len(y)))
            X, y, options["sample_weight"] = self._stacked(X, probabilities, weights)
        else:
            self.classes_ = np.unique(y)
        if len(np.unique(y)) < 2:
            raise ValueError(f"y must hold at least 2 classes that are possible, got one class: {y[0]!s}")
        self.estimator_ = clone(self._estimator()).fit(X, y, **options)
        return self

    def _stacked(self, X: Any, probabilities: Any, weights: Array) -> tuple[Any, Array, Array]:
        """One row for each point and class that is possible: inputs, labels and weights."""
        p = require_probabilities("y", probabilities)
        if issparse(X):
            X = X.tocsr()
        elif not hasattr(X, "iloc"):
            X = np.asarray(X)
        rows, numbers = np.nonzero(p * weights[:, None] > 0.0)
        return _safe_indexing(X, rows), self.classes_[numbers], weights[rows] * p[rows, numbers]

    def _require_weighted_classifier(self) -> None:
        inner = self._estimator()
        if not (is_classifier(inner) and has_fit_parameter(inner, "sample_weight")):
            raise TypeError(
                "estimator must be a classifier whose fit takes sample_weight, to learn from probabilities, got"
                f" {inner!r}; the other steps of a pipeline, and searches, go around the {type(self).__name__}"
            )

    def predict(self, X: Any) -> Array:
        """Predict labels.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features)
            As the classifier within takes it.

        Returns
        -------
        array of shape (m,)
        """
        check_is_fitted(self)
        return self.estimator_.predict(_checked_points(self, X))

    @available_if(_has_probabilities("_estimator"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of all classes; zero for classes that were never possible.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features)
            As the classifier within takes it.

        Returns
        -------
        array of shape (m, n_classes)
        """
        check_is_fitted(self)
        possible = self.estimator_.predict_proba(_checked_points(self, X))
        probabilities = np.zeros((len(possible), len(self.classes_)))
        probabilities[:, np.searchsorted(self.classes_, self.estimator_.classes_)] = possible
        return probabilities

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Measure the accuracy; for probabilities y, the accuracy to be expected of labels that are drawn from them.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features)
        y : array of shape (m,) or (m, n_classes)
            Labels, or probabilities of the classes.
        sample_weight : array of shape (m,), optional
            Default: all points weigh the same.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            For probabilities of another shape, that leave [0, 1], or that do not sum to 1.
        """
        if not _has_columns(y):
            return float(super().score(X, y, sample_weight))
        p = to_numpy(require_probabilities("y", y))
        numbers = np.asarray(np.searchsorted(self.classes_, self.predict(X)))
        if p.shape != (len(numbers), len(self.classes_)):
            raise ValueError(f"y must have shape {(len(numbers), len(self.classes_))}, got {p.shape}")
        columns = getattr(y, "columns", None)
        order = np.arange(p.shape[1]) if columns is None else np.argsort(np.asarray(columns))
        return float(np.average(p[:, order][np.arange(len(p)), numbers], weights=sample_weight))


class DistilledClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A student that learns from the probabilities of a teacher, both of them any classifiers of scikit-learn.

    Parameters
    ----------
    teacher : classifier with `predict_proba`, default None
        Fitted on the labels first. None: `LogisticRegression()`. `sklearn.frozen.FrozenEstimator` keeps one that is
        fitted already.
    student : classifier, default None
        Fitted on the teacher's probabilities. None: `LogisticRegression()`.
    label_weight : float, default 0
        Weight of the labels in the student's targets, in [0, 1].
    temperature : float, default 1
        Of the teacher's probabilities, > 0.
    cv : int, splitter or iterable, default None
        None: the teacher predicts the points that it has seen, of which it may be too sure: a forest is. Otherwise
        its probabilities for the student are cross-fitted, of teachers that have not seen them.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    teacher_ : classifier
        The fitted teacher.
    student_ : SoftLabelClassifier
        The fitted student.
    teacher_probabilities_ : array of shape (n_samples, n_classes)
        What the student was fitted on, the labels' share included.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Notes
    -----
    What is known of distilled students holds for teachers that have not seen the student's sample (`kdtheory.
    distilled_risk_deviation`): `cv` comes near to that.

    Source: Hinton et al. (2015); Menon et al. (2020), section 2.2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> student = DecisionTreeClassifier(max_depth=2, random_state=0)
    >>> model = DistilledClassifier(RandomForestClassifier(random_state=0), student, cv=5).fit(X, y)
    >>> round(model.score(X, y), 2)
    0.96
    """

    classes_: np.ndarray
    teacher_: Any
    teacher_probabilities_: np.ndarray
    student_: SoftLabelClassifier

    def __init__(
        self,
        teacher: Any = None,
        student: Any = None,
        *,
        label_weight: float = 0.0,
        temperature: float = 1.0,
        cv: Any = None,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.label_weight = label_weight
        self.temperature = temperature
        self.cv = cv

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        parts = [get_tags(part).input_tags for part in (self._teacher(), self._student())]
        tags.input_tags.sparse = all(part.sparse for part in parts)
        tags.input_tags.allow_nan = all(part.allow_nan for part in parts)
        return tags

    def _teacher(self) -> Any:
        return LogisticRegression() if self.teacher is None else self.teacher

    def _student(self) -> Any:
        return LogisticRegression() if self.student is None else self.student

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DistilledClassifier:
        """Fit the teacher on labels, then the student on the teacher's probabilities.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
        y : array of shape (n_samples,)
            Labels.
        sample_weight : array of shape (n_samples,), optional
            Weights >= 0, for the teacher and the student.

        Returns
        -------
        DistilledClassifier
            The fitted classifier itself.
        """
        weight = require_share("label_weight", self.label_weight)
        if _has_columns(y):
            raise ValueError(
                f"y must be labels of shape (n_samples,), got shape {np.shape(y)}: SoftLabelClassifier learns from"
                " probabilities"
            )
        y = _checked_targets(self, X, y)
        options = {}
        if sample_weight is not None:
            options["sample_weight"] = require_weights("sample_weight", sample_weight, len(y), like=np.ones(1))
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold at least 2 classes, got one class: {self.classes_[0]!s}")
        teacher = self._teacher()
        if not hasattr(teacher, "predict_proba"):
            raise TypeError(f"teacher must be a classifier with predict_proba, got {teacher!r}")
        self.teacher_ = clone(teacher).fit(X, y, **options)
        if not np.array_equal(self.teacher_.classes_, self.classes_):
            raise ValueError(f"teacher must know the classes of y, {self.classes_}, got {self.teacher_.classes_}")
        if self.cv is None:
            probabilities = self.teacher_.predict_proba(X)
        else:
            probabilities = cross_val_predict(clone(teacher), X, y, cv=self.cv, method="predict_proba", params=options)
        tempered = temper(probabilities, temperature=self.temperature)
        targets = weight * np.eye(len(self.classes_))[labels] + (1.0 - weight) * tempered
        self.teacher_probabilities_ = targets
        self.student_ = SoftLabelClassifier(self.student).fit(X, targets, **options)
        return self

    def predict(self, X: Any) -> Array:
        """Predict labels, those of the student.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features)
            As the classifier within takes it.

        Returns
        -------
        array of shape (m,)
        """
        check_is_fitted(self)
        return self.classes_[self.student_.predict(_checked_points(self, X))]

    @available_if(_has_probabilities("_student"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities of all classes, those of the student.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features)
            As the classifier within takes it.

        Returns
        -------
        array of shape (m, n_classes)
        """
        check_is_fitted(self)
        return self.student_.predict_proba(_checked_points(self, X))


def _has_columns(y: Any) -> bool:
    """Whether y has more than one column, as probabilities do."""
    shape = np.shape(y) if isinstance(y, list | tuple) else tuple(getattr(y, "shape", ()))
    return len(shape) == 2 and shape[1] > 1


def _checked_points(model: Any, X: Any) -> Any:
    """X as it is, for the classifiers within to check, after a look at the names of its features."""
    if len(getattr(X, "shape", ())) == 2:
        validate_data(model, X, reset=False, skip_check_array=True)
    return X


def _checked_targets(model: Any, X: Any, y: Any) -> Array:
    """Y as an array of labels or of probabilities, and the features of X noted; X is checked by those within."""
    validate_data(model, X, y, skip_check_array=True)
    values = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    check_consistent_length(X, values)
    if values.ndim == 2 and values.shape[1] > 1:
        return values
    values = column_or_1d(values, warn=True)
    try:
        check_classification_targets(values)
    except ValueError as error:
        raise ValueError(f"{error} Probabilities need a column for each class: np.column_stack([1 - y, y])") from error
    return values
