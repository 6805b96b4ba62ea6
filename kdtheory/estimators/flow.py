"""Kernel regression by gradient flow, stopped early."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import check_cv, train_test_split

from kdtheory._intercept import CenteredProblem
from kdtheory._typing import Array
from kdtheory._validation import (
    require_nonnegative,
    require_positive,
    require_representable,
    require_vector,
    require_weights,
)
from kdtheory.estimators._base import MultiOutputMixin, RegressorMixin
from kdtheory.estimators._gram_source import GramSource
from kdtheory.estimators._kernel_machine import KernelMachine
from kdtheory.filters import GradientFlow
from kdtheory.spectral_fit import SpectralFit, fit_filter

_GRID = np.geomspace(1e-1, 1e7, 65)
"""Times of the default grid, in units of one over the largest eigenvalue."""


class GradientFlowRegressor(MultiOutputMixin, RegressorMixin, KernelMachine):
    """Kernel regression trained by gradient flow on `½‖f − y‖²` from the mean of the targets, and stopped early.

    This is what an infinitely wide network learns that is trained until some time. The time regularises like the
    penalty of kernel ridge regression, about `1/ridge`.

    Parameters
    ----------
    time : float, default None
        When to stop, >= 0, in units of one over the eigenvalues of the Gram matrix. None: the best of `times`.
    times : array of shape (n_times,), default None
        Times to choose from when `time` is None. None: 65 times from 0.1 to 1e7 over the largest eigenvalue.
    cv : int, splitter or iterable of splits, default 5
        Folds whose held-out error chooses the time, as for scikit-learn's searches. Every fold is fitted exactly.
    validation_fraction : float, default None
        Share of the points, > 0 and < 1, to hold out once for the choice of the time, in place of `cv`.
    random_state : int, RandomState instance or None, default None
        Which points `validation_fraction` holds out.
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
        Start at the (weighted) mean of the targets, and centre the kernel, so that no constant has to be learned.
    solver : "auto", "eigh", "nystrom", "lanczos", or an object of `kdtheory.estimators.solvers`, default "auto"
        Where the spectrum comes from, and so how many points the model can be fitted to; documented in
        `kdtheory.estimators.solvers`. "lanczos" needs a given `time`.

    Attributes
    ----------
    time_ : float
        Time at which the model stopped.
    times_, validation_errors_ : arrays of shape (n_times,)
        Times tried, and their mean squared held-out errors; only with `time=None`.
    dual_coef_ : array of shape (n_samples,) or (n_samples, n_targets)
        Dual coefficients c in `f(x) = Σ_i k(x, x_i) c_i + intercept_`.
    intercept_ : float or array of shape (n_targets,)
    X_fit_ : array or sparse matrix of shape (n_samples, n_features), or None
        Points x_i: those fitted, of `Nystrom` the landmarks, which then are all that `dual_coef_` has rows for; None
        for a precomputed kernel.
    effective_dof_ : float
        Effective degrees of freedom, those of the intercept included; absent after `Lanczos`.
    solver_ : Eigh, Nystrom or Lanczos
        What was given, or what "auto" has chosen.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    See Also
    --------
    sklearn.kernel_ridge.KernelRidge : the same with a penalty in place of the stopping time.
    kdtheory.GradientFlow : the filter.

    Notes
    -----
    Cost: one eigendecomposition for each fold and one for all points, whatever the number of times; with `Nystrom` of
    matrices of as many columns as there are landmarks, held fixed in all folds. The final model is trained on all
    points, until the chosen time. Sample weights weigh points in the loss and in the held-out errors.

    Source: Nagarajan et al. (2023), eqs. 12 and 13.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0.0, 1.0, 20)[:, None]
    >>> model = GradientFlowRegressor(gamma=10.0).fit(X, np.sin(6.0 * X[:, 0]))
    >>> model.predict([[0.5]]).round(3), bool(model.time_ in model.times_)
    (array([0.141]), True)
    >>> model.set_params(solver="nystrom").fit(X, np.sin(6.0 * X[:, 0])).predict([[0.5]]).round(3)
    array([0.141])
    """

    times_: np.ndarray
    validation_errors_: np.ndarray
    time_: float

    def __init__(
        self,
        time: float | None = None,
        *,
        times: Any = None,
        cv: Any = 5,
        validation_fraction: float | None = None,
        random_state: Any = None,
        kernel: Any = "rbf",
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict[str, Any] | None = None,
        fit_intercept: bool = True,
        solver: Any = "auto",
    ) -> None:
        self.time = time
        self.times = times
        self.cv = cv
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradientFlowRegressor:
        """Train until the given time, or until the one with the least held-out error.

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
        GradientFlowRegressor
            The fitted estimator itself.
        """
        X, y = self._validated(X, y, multi_output=True, y_numeric=True)
        given = None if self.time is None else require_nonnegative("time", self.time)
        self._choose_solver(X, "for time=None, whose held-out errors need a spectrum for every fold" * (given is None))
        source = self._source(X, sample_weight)
        filters = [] if given is None else [GradientFlow(given)]
        problem = source.problem(y, self.fit_intercept, filters, keep=True)
        if given is None:
            self.times_ = self._times(float(problem.spectrum.eigenvalues[0]))
            self.validation_errors_ = self._held_out_errors(source, y, sample_weight)
            given = float(self.times_[np.argmin(self.validation_errors_)])
        self.time_ = given
        dual_coef, intercept, dof = _trained(problem, [given])
        self._keep(*source.function(dual_coef[0], intercept[0]))
        self._keep_dof(None if dof is None else float(dof[0]))
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

    def _times(self, largest: float) -> np.ndarray:
        if self.times is None:
            return _GRID / largest if largest > 0.0 else _GRID
        times = np.asarray(require_vector("times", self.times), dtype=np.float64)
        for time in times.tolist():
            require_nonnegative("times", time)
        return times

    def _held_out_errors(self, source: GramSource, y: Array, sample_weight: Any) -> np.ndarray:
        targets, weights = y.reshape(len(y), -1)[source.rows], None
        if sample_weight is not None:
            weights = require_weights("sample_weight", sample_weight, len(y), like=targets)[source.rows]
        total, weight = np.zeros(len(self.times_)), 0.0
        for each in self._splits(y):
            kept, left_out = (source.among(indices) for indices in each)
            problem, predict = source.fold(kept, left_out, targets, self.fit_intercept, weights)
            dual_coef, intercept, _ = _trained(problem, self.times_.tolist())
            predictions = predict(dual_coef) + intercept[:, None]
            with np.errstate(over="ignore"):
                squares = np.mean((predictions - targets[left_out]) ** 2, axis=2)
            require_representable(squares, "the held-out error")
            total += np.sum(squares, axis=1) if weights is None else squares @ weights[left_out]
            weight += float(len(left_out) if weights is None else np.sum(weights[left_out]))
        if weight == 0.0:
            raise ValueError("sample_weight must hold a weight > 0 for a point that is held out, got zeros only")
        return total / weight

    def _splits(self, y: Array) -> Any:
        if self.validation_fraction is None:
            return check_cv(self.cv, y).split(y, y)
        share = require_positive("validation_fraction", self.validation_fraction)
        if not share < 1.0:
            raise ValueError(f"validation_fraction must be < 1, got {self.validation_fraction!r}")
        return [train_test_split(np.arange(len(y)), test_size=share, random_state=self.random_state)]


def _trained(problem: CenteredProblem, times: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Dual coefficients, intercepts and degrees of freedom if known, the first axis counting the times."""
    spectrum = problem.spectrum
    fit = fit_filter(spectrum, problem.targets, [GradientFlow(time) for time in times])
    # Long training makes the coefficients on zero eigenvalues huge, and they do nothing at points of the same kernel.
    modes = fit.modes._replace(coefficient=np.where(spectrum.eigenvalues > 0.0, fit.modes.coefficient, 0.0))
    parts = [problem.original(each) for each in SpectralFit(spectrum, problem.targets, modes).dual_coef]
    dual_coef, intercept = (np.stack(part) for part in zip(*parts, strict=True))
    return dual_coef, intercept, fit.effective_dof if spectrum.is_whole else None
