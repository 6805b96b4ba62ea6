"""Self-distilled kernel classifiers: squared loss on indicators of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets

from kdtheory._typing import Array
from kdtheory._validation import require_weights
from kdtheory.estimators._base import ClassifierMixin
from kdtheory.estimators._kernel_machine import KernelMachine
from kdtheory.estimators._search import KernelSearch
from kdtheory.estimators._temperature import inverse_temperature


class KernelClassifier(ClassifierMixin, KernelMachine):
    """One score for each class from a kernel machine; the class of the highest score."""

    classes_: np.ndarray

    def _encoded(self, X: Any, y: Any, n_least: int) -> tuple[Array, Array, Array]:
        """Points, labels and class numbers; stores the classes."""
        X, y = self._validated(X, y, n_least=n_least)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold at least two classes, got one class {self.classes_.tolist()}")
        return X, y, numbers

    def _indicators(self, numbers: Array) -> Array:
        return np.eye(len(self.classes_))[numbers]

    def decision_function(self, X: Any) -> Array:
        """Scores of the classes at m points.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features), or kernel values of shape (m, n_samples)

        Returns
        -------
        array of shape (m,) or (m, n_classes)
            Score of every class, about 1 for the right one and 0 for others; with an intercept they sum to 1. For two
            classes the score of the second minus that of the first.
        """
        scores = self._evaluate(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> Array:
        """Predict the class of the highest score.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features), or kernel values of shape (m, n_samples)

        Returns
        -------
        array of shape (m,)
        """
        scores = self._evaluate(X)  # first, since it says when the estimator is not fitted
        return self.classes_[np.argmax(scores, axis=1)]


class SelfDistilledKernelClassifier(KernelClassifier):
    """Kernel ridge regression on indicators of the classes, distilled into itself.

    Parameters
    ----------
    ridge : float, default 1
        Penalty of `½‖f − y‖² + ridge/2 ‖f‖²_H`, > 0.
    n_steps : int, default 2
        Number of fits, >= 1.
    label_weight : float or array of shape (n_steps - 1,), default 0
        Weight of the labels at steps 2..n_steps; the rest is the scores of the step before.
    kernel : str, Kernel or callable, default="rbf"
        Kernel, a name of `sklearn.metrics.pairwise.pairwise_kernels`, "precomputed", an object of `kdtheory.kernels`,
        or a function of two points; the last two have parameters of their own, so that gamma, degree and coef0 are
        ignored. It must be positive semi-definite, at least once an intercept has centred it; "sigmoid" is so for few
        data only.
    gamma : float, default None
        Parameter of the rbf, laplacian, polynomial, chi2 and sigmoid kernels; None: that of scikit-learn.
    degree : float, default 3
        Degree of the polynomial kernel.
    coef0 : float, default 1
        Constant of the polynomial and sigmoid kernels.
    kernel_params : dict, default None
        Further arguments of a kernel that is a function.
    fit_intercept : bool, default True
        Add constants without a penalty; the scores then sum to 1 at every point.
    solver : "auto", "eigh", "nystrom", "lanczos", or an object of `kdtheory.estimators.solvers`, default "auto"
        Where the spectrum comes from, and so how many points the model can be fitted to; documented in
        `kdtheory.estimators.solvers`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    dual_coef_ : array of shape (n_samples, n_classes)
        Dual coefficients of the scores.
    intercept_ : array of shape (n_classes,)
    X_fit_ : array or sparse matrix of shape (n_samples, n_features), or None
        Points x_i: those fitted, of `Nystrom` the landmarks, which then are all that `dual_coef_` has rows for; None
        for a precomputed kernel.
    effective_dof_ : float
        Effective degrees of freedom of each score, that of the intercept included; absent after `Lanczos`.
    solver_ : Eigh, Nystrom or Lanczos
        What was given, or what "auto" has chosen.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    See Also
    --------
    SelfDistilledKernelClassifierCV : finds the parameters without a validation set, and calibrates probabilities.
    sklearn.linear_model.RidgeClassifier : squared loss on classes, linear.

    Notes
    -----
    Cost: one eigendecomposition, whatever the number of steps and of classes.

    Source: Borup & Andersen (2021), Theorem 4.1, with indicators of the classes as targets.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"]
    >>> SelfDistilledKernelClassifier(ridge=0.1).fit(X, y).predict([[0.5], [2.5]]).tolist()
    ['a', 'b']
    >>> SelfDistilledKernelClassifier(ridge=0.1, solver="lanczos").fit(X, y).predict([[0.5], [2.5]]).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        ridge: float = 1.0,
        *,
        n_steps: int = 2,
        label_weight: Any = 0.0,
        kernel: Any = "rbf",
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict[str, Any] | None = None,
        fit_intercept: bool = True,
        solver: Any = "auto",
    ) -> None:
        self.ridge = ridge
        self.n_steps = n_steps
        self.label_weight = label_weight
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SelfDistilledKernelClassifier:
        """Fit every step.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Training points, or for a precomputed kernel their Gram matrix, (n_samples, n_samples).
        y : array of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array of shape (n_samples,), default None
            Weights >= 0; a weight counts as so many copies of its point.

        Returns
        -------
        SelfDistilledKernelClassifier
            The fitted estimator itself.
        """
        X, _, numbers = self._encoded(X, y, n_least=1)
        chain = self.ridge, self.n_steps, self.label_weight
        self._fit_distilled(X, self._indicators(numbers), sample_weight, chain)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Scores clipped to [0, 1] and divided by their sum, at m points.

        Squared loss estimates probabilities, but shrinks them: these are not calibrated, while those of
        `SelfDistilledKernelClassifierCV` are.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features), or kernel values of shape (m, n_samples)

        Returns
        -------
        array of shape (m, n_classes)
            Rows sum to 1. Where no score is above 0, all classes have the same.
        """
        clipped = np.clip(self._evaluate(X), 0.0, 1.0)
        clipped[np.all(clipped == 0.0, axis=1)] = 1.0
        return clipped / np.sum(clipped, axis=1, keepdims=True)


class SelfDistilledKernelClassifierCV(KernelClassifier, KernelSearch):
    """Self-distilled kernel classifier that chooses ridge, number of fits and label weights, and gamma if wanted.

    Candidates are judged by the exact held-out squared error of their scores: teachers and students are all refitted
    without the points that are left out. A distilled model is chosen only if its error is below that of the best plain
    model. Probabilities are calibrated on the held-out scores.

    Parameters
    ----------
    ridges : array of shape (n_ridges,), default None
        Penalties to try, > 0. None: 20 from 1e-6 to 100 times the mean diagonal of the (centred) Gram matrix.
    n_steps : int, default 10
        Largest number of fits to try; every smaller one is tried as well.
    label_weight : "monotone", "loo", "unit-interval", float, or sequence of floats, default "monotone"
        Label weights of least held-out error, in closed form: "loo" among all, which can follow the noise where there
        are few points or small ridges; "monotone" among those with which the model stays as tame as ridge regression
        (`kdtheory.MonotoneWeights`); "unit-interval" among those in [0, 1]. A number is taken for every step; of
        several, the best.
    gammas : array of shape (n_gammas,), default None
        Kernel widths to try; None: `gamma` alone.
    cv : int, splitter or iterable of splits, default None
        None: leave-one-out. Otherwise folds as for scikit-learn's searches, stratified for an int; each point must be
        left out exactly once.
    kernel, gamma, degree, coef0, kernel_params, fit_intercept
        As for `SelfDistilledKernelClassifier`.
    verbose : bool or int, default False
        Show a progress bar over the gammas, and print the solver that "auto" has chosen.
    solver : "auto", "eigh", "nystrom", or an object of `kdtheory.estimators.solvers`, default "auto"
        Where the spectrum comes from, and so how many points the model can be fitted to; documented in
        `kdtheory.estimators.solvers`.

    Attributes
    ----------
    best_params_ : dict
        `ridge`, `n_steps`, `label_weight`, and `gamma` if it was searched, for `SelfDistilledKernelClassifier`.
    best_score_ : float
        Negative mean squared held-out error of the chosen scores, over points (with their weights) and classes.
    held_out_accuracy_ : float
        Share of the points (with their weights) whose class the chosen model predicts when they are held out.
    best_index_, cv_results_, loo_error_path_, ridges_, search_, distillation_gain_, distillation_gain_se_
        As in `SelfDistilledKernelRidgeCV`.
    inverse_temperature_ : float
        Factor β of the scores in the probabilities `softmax(β·scores)`.
    classes_, dual_coef_, intercept_, X_fit_
        As in `SelfDistilledKernelClassifier`.
    solver_ : Eigh, Nystrom or Lanczos
        What was given, or what "auto" has chosen.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    See Also
    --------
    SelfDistilledKernelClassifier : the model with given parameters.
    sklearn.calibration.CalibratedClassifierCV : calibration by refits.

    Notes
    -----
    Cost: one eigendecomposition for each gamma, and for every class about a fifth of one for 20 ridges and 10 steps.
    With `Nystrom`, held-out errors are exact for the kernel that its landmarks span, held fixed in every fit.

    Source: derived for this package; the closed form is `kdtheory.search_selfdistillation`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 2))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0.0, "same", "mixed")
    >>> model = SelfDistilledKernelClassifierCV(n_steps=4).fit(X, y)
    >>> model.predict([[1.0, 1.0], [1.0, -1.0]]).tolist(), bool(model.held_out_accuracy_ > 0.8)
    (['same', 'mixed'], True)
    >>> model.set_params(solver="nystrom").fit(X, y).predict([[1.0, 1.0], [1.0, -1.0]]).tolist()
    ['same', 'mixed']
    """

    held_out_accuracy_: float
    inverse_temperature_: float

    def __init__(
        self,
        ridges: Any = None,
        *,
        n_steps: int = 10,
        label_weight: Any = "monotone",
        gammas: Any = None,
        cv: Any = None,
        kernel: Any = "rbf",
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict[str, Any] | None = None,
        fit_intercept: bool = True,
        verbose: bool | int = False,
        solver: Any = "auto",
    ) -> None:
        self.ridges = ridges
        self.n_steps = n_steps
        self.label_weight = label_weight
        self.gammas = gammas
        self.cv = cv
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.fit_intercept = fit_intercept
        self.verbose = verbose
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SelfDistilledKernelClassifierCV:
        """Search, then fit the chosen model on all points and calibrate its probabilities.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Training points, at least 2, or for a precomputed kernel their Gram matrix, (n_samples, n_samples).
        y : array of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array of shape (n_samples,), default None
            Weights >= 0 in every fit, in the held-out errors and in the calibration.

        Returns
        -------
        SelfDistilledKernelClassifierCV
            The fitted estimator itself.
        """
        X, y, numbers = self._encoded(X, y, n_least=2)
        targets = self._indicators(numbers)
        weights = np.ones(len(numbers))
        if sample_weight is not None:
            weights = require_weights("sample_weight", sample_weight, len(numbers), like=weights)
        search, rows = self._search(X, targets, y, sample_weight, classifier=True)
        scores, numbers, weights = search.held_out_predictions, numbers[rows], weights[rows]
        self.held_out_accuracy_ = float(accuracy_score(numbers, np.argmax(scores, axis=1), sample_weight=weights))
        self.inverse_temperature_ = inverse_temperature(scores, numbers, weights)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Calibrated probabilities of the classes at m points, `softmax(β·scores)`.

        The factor β, `inverse_temperature_`, is the one of least cross-entropy on the held-out scores, with the labels
        smoothed as in Platt (1999). It is one for all classes, so that the class of the highest score is the most
        probable one; where held-out scores tell nothing of the labels, all classes are equally probable.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features), or kernel values of shape (m, n_samples)

        Returns
        -------
        array of shape (m, n_classes)
            Rows sum to 1.
        """
        scores = self._evaluate(X)  # first, since it says when the estimator is not fitted
        return softmax(self.inverse_temperature_ * scores, axis=1)
