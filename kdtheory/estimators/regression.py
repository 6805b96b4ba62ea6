"""Self-distilled kernel ridge regression, with given parameters or with those of least held-out error."""

from __future__ import annotations

from typing import Any

from kdtheory._typing import Array
from kdtheory._validation import require_bool
from kdtheory.estimators._base import MultiOutputMixin, RegressorMixin
from kdtheory.estimators._kernel_machine import KernelMachine
from kdtheory.estimators._search import KernelSearch


class SelfDistilledKernelRidge(MultiOutputMixin, RegressorMixin, KernelMachine):
    """Kernel ridge regression, distilled into itself.

    Step 1 fits the targets y. Every later step t fits `α_t·y + (1 − α_t)·(fitted values of step t − 1)`, with the same
    kernel and the same penalty.

    Parameters
    ----------
    ridge : float, default 1
        Penalty of `½‖f − y‖² + ridge/2 ‖f‖²_H`, > 0: the `alpha` of scikit-learn's KernelRidge.
    n_steps : int, default 2
        Number of fits, >= 1; one is kernel ridge regression.
    label_weight : float, or array of shape (n_steps - 1,) or (n_steps - 1, n_targets), default 0
        Weight α_t of the targets at steps 2..n_steps, any real numbers; with two dimensions, every output has its own.
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
        Add a constant without a penalty.
    solver : "auto", "eigh", "nystrom", "lanczos", or an object of `kdtheory.estimators.solvers`, default "auto"
        Where the spectrum comes from, and so how many points the model can be fitted to; documented in
        `kdtheory.estimators.solvers`.

    Attributes
    ----------
    dual_coef_ : array of shape (n_samples,) or (n_samples, n_targets)
        Dual coefficients c in `f(x) = Σ_i k(x, x_i) c_i + intercept_`.
    intercept_ : float or array of shape (n_targets,)
    X_fit_ : array or sparse matrix of shape (n_samples, n_features), or None
        Points x_i: those fitted, of `Nystrom` the landmarks, which then are all that `dual_coef_` has rows for; None
        for a precomputed kernel.
    effective_dof_ : float or array of shape (n_targets,)
        Effective degrees of freedom, that of the intercept included; one for each output that has its own weights.
        Absent after `Lanczos`, which does not know them.
    solver_ : Eigh, Nystrom or Lanczos
        What was given, or what "auto" has chosen.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    See Also
    --------
    SelfDistilledKernelRidgeCV : finds the parameters without a validation set.
    sklearn.kernel_ridge.KernelRidge : equal for `n_steps=1, fit_intercept=False`.

    Notes
    -----
    Cost: one eigendecomposition, whatever the number of steps. `KernelRidge` solves by a Cholesky factorisation, which
    is about ten times as fast: use that for a single fit.

    Source: Borup & Andersen (2021), Theorem 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0])
    >>> model = SelfDistilledKernelRidge(ridge=0.1, n_steps=3, label_weight=0.5).fit(X, y)
    >>> model.predict([[1.0], [3.0]]).round(3)
    array([0.827, 0.063])
    >>> model.set_params(solver="nystrom").fit(X, y).predict([[1.0], [3.0]]).round(3)
    array([0.827, 0.063])
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SelfDistilledKernelRidge:
        """Fit every step.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Training points, or for a precomputed kernel their Gram matrix, (n_samples, n_samples).
        y : array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array of shape (n_samples,), default None
            Weights >= 0; a weight counts as so many copies of its point.

        Returns
        -------
        SelfDistilledKernelRidge
            The fitted estimator itself.
        """
        X, y = self._validated(X, y, multi_output=True, y_numeric=True)
        chain = self.ridge, self.n_steps, self.label_weight
        self._fit_distilled(X, y, sample_weight, chain)
        return self

    def predict(self, X: Any) -> Array:
        """Predict at new points.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features), or kernel values of shape (m, n_samples)

        Returns
        -------
        array of shape (m,) or (m, k)
        """
        return self._evaluate(X)


class SelfDistilledKernelRidgeCV(MultiOutputMixin, RegressorMixin, KernelSearch):
    """Self-distilled kernel ridge regression that chooses ridge, number of fits and label weights by itself.

    With `gammas` it chooses the kernel width, too, which often matters more than all the rest.
    Every candidate is judged by exact held-out errors: teachers and students are all refitted without the points that
    are left out. That takes one eigendecomposition for each gamma, not one fit for each candidate and fold. A distilled
    model is chosen only if its held-out error is below that of the best plain kernel ridge regression.

    Parameters
    ----------
    ridges : array of shape (n_ridges,), default None
        Penalties to try, > 0. None: 20 from 1e-6 to 100 times the mean diagonal of the (centred) Gram matrix.
    n_steps : int, default 10
        Largest number of fits to try; every smaller one is tried as well.
    label_weight : "monotone", "loo", "unit-interval", float, or sequence of floats, default "monotone"
        Label weights of least held-out error, in closed form: "loo" among all, which can follow the noise where there
        are few points or small ridges; "monotone" among those with which the model stays as tame as ridge regression
        (`kdtheory.MonotoneWeights`), where weights far above 1 are no cause for alarm; "unit-interval" among those in
        [0, 1]. A number is taken for every step; of several, the best.
    gammas : array of shape (n_gammas,), default None
        Kernel widths to try; None: `gamma` alone. Gains are then over plain models of that width, which may be bad.
    label_weight_per_target : bool, default False
        Choose label weights for every output of y on its own.
    cv : int, splitter or iterable of splits, default None
        None: leave-one-out. Otherwise folds as for scikit-learn's searches, if each point is left out exactly once.
    kernel, gamma, degree, coef0, kernel_params, fit_intercept
        As for `SelfDistilledKernelRidge`.
    verbose : bool or int, default False
        Show a progress bar over the gammas, and print the solver that "auto" has chosen.
    solver : "auto", "eigh", "nystrom", or an object of `kdtheory.estimators.solvers`, default "auto"
        Where the spectrum comes from, and so how many points the model can be fitted to; documented in
        `kdtheory.estimators.solvers`.

    Attributes
    ----------
    best_params_ : dict
        `ridge`, `n_steps`, `label_weight`, and `gamma` if it was searched, for `SelfDistilledKernelRidge`.
    best_score_ : float
        Negative mean squared held-out error of the chosen model, over points (with their weights) and outputs.
    best_index_ : int
        Its row in `cv_results_`.
    cv_results_ : dict of arrays
        One row for every gamma, ridge and number of fits with its best label weights, for `pandas.DataFrame`:
        `params`, `param_ridge`, `param_n_steps`, `param_label_weight`, `param_gamma`; `mean_test_score`, the negative
        held-out error; `selection_score`, the same when the label weights, too, are chosen without what is left out;
        and `rank_test_score`, the ranks of the latter. The chosen model need not be of rank 1: of models that cannot
        be told apart, it is the one with the fewest fits.
    loo_error_path_ : array of shape (n_ridges, n_steps)
        Held-out errors for the best gamma.
    ridges_ : array of shape (n_ridges,)
        Penalties tried with the best gamma.
    search_ : SelfDistillationSearch
        The search with the best gamma, with `Nystrom` of the points with a weight > 0. It is not pickled or saved.
    distillation_gain_, distillation_gain_se_ : float
        Mean squared held-out error of the best plain kernel ridge regression minus that of the chosen model, and the
        standard error of the difference, paired over the points (or folds). 0 when plain is best. The choice was made
        on the same errors, so the gain is a little too good, and far too good for `label_weight="loo"` on few points.
    dual_coef_, intercept_, X_fit_
        As in `SelfDistilledKernelRidge`.
    solver_ : Eigh, Nystrom or Lanczos
        What was given, or what "auto" has chosen.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    See Also
    --------
    SelfDistilledKernelRidge : the model with given parameters.
    sklearn.linear_model.RidgeCV : leave-one-out for linear ridge regression.
    sklearn.model_selection.GridSearchCV : refits, for every candidate and fold.

    Notes
    -----
    Cost: one eigendecomposition for each gamma, and about a fifth of one for 20 ridges and 10 steps. `best_score_`
    is the least of many errors, so a little optimistic, as in every search. With `Nystrom`, held-out errors are exact
    for the kernel that its landmarks span, held fixed in every fit.

    Source: derived for this package; the closed form is `kdtheory.search_selfdistillation`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-3.0, 3.0, (60, 1))
    >>> y = np.sin(2.0 * X[:, 0]) + 0.3 * rng.standard_normal(60)
    >>> model = SelfDistilledKernelRidgeCV(gammas=[0.1, 1.0, 10.0]).fit(X, y)
    >>> model.best_params_["gamma"], bool(model.distillation_gain_ >= 0.0), model.loo_error_path_.shape
    (0.1, True, (20, 10))
    >>> model.set_params(solver="nystrom").fit(X, y).best_params_["gamma"], model.solver_
    (0.1, Nystrom())
    """

    def __init__(
        self,
        ridges: Any = None,
        *,
        n_steps: int = 10,
        label_weight: Any = "monotone",
        gammas: Any = None,
        label_weight_per_target: bool = False,
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
        self.label_weight_per_target = label_weight_per_target
        self.cv = cv
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.fit_intercept = fit_intercept
        self.verbose = verbose
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SelfDistilledKernelRidgeCV:
        """Search, then fit the chosen model on all points.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Training points, at least 2, or for a precomputed kernel their Gram matrix, (n_samples, n_samples).
        y : array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array of shape (n_samples,), default None
            Weights >= 0 in every fit and in the held-out errors. Leave-one-out leaves a point out with all its weight.

        Returns
        -------
        SelfDistilledKernelRidgeCV
            The fitted estimator itself.
        """
        X, y = self._validated(X, y, n_least=2, multi_output=True, y_numeric=True)
        per_target = require_bool("label_weight_per_target", self.label_weight_per_target)
        self._search(X, y, y, sample_weight, per_output=per_target and y.ndim == 2)
        return self

    def predict(self, X: Any) -> Array:
        """Predict at new points.

        Parameters
        ----------
        X : array or sparse matrix of shape (m, n_features), or kernel values of shape (m, n_samples)

        Returns
        -------
        array of shape (m,) or (m, k)
        """
        return self._evaluate(X)
