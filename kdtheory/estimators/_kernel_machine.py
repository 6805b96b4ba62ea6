"""What all estimators share: the kernel between points, and predictions from dual coefficients and an intercept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics.pairwise import kernel_metrics, pairwise_kernels
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from kdtheory._intercept import CenteredProblem
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_nonnegative, require_real
from kdtheory.selfdistill import selfdistill_closed_form

_FORMATS = ("csr", "csc")


class KernelMachine(BaseEstimator):
    """Functions `f(x) = Σ_i k(x, x_i) dual_coef_i + intercept`, with the kernel parameters of `KernelRidge`.

    Those who inherit store the parameters `kernel`, `gamma`, `degree`, `coef0` and `kernel_params`, and call `_keep` at
    the end of `fit`.
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_precomputed()
        tags.input_tags.sparse = not self._is_precomputed()
        tags.input_tags.positive_only = isinstance(self.kernel, str) and self.kernel in ("chi2", "additive_chi2")
        return tags

    def _is_precomputed(self) -> bool:
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    def _validated(self, X: Any, y: Any, *, n_least: int = 1, **checks: Any) -> tuple[Array, Array]:
        """Return inputs and targets as scikit-learn checks them, after checking the kernel parameters."""
        self._check_kernel()
        formats = False if self._is_precomputed() else _FORMATS
        X, y = validate_data(self, X, y, accept_sparse=formats, dtype=np.float64, ensure_min_samples=n_least, **checks)
        if self._is_precomputed() and X.shape[0] != X.shape[1]:
            raise ValueError(f"X must be a square matrix for kernel='precomputed', got shape {X.shape}")
        return X, y

    def _check_kernel(self) -> None:
        known = sorted(kernel_metrics())
        if not callable(self.kernel) and not (isinstance(self.kernel, str) and self.kernel in [*known, "precomputed"]):
            raise ValueError(f"kernel must be a function, 'precomputed' or one of {known}, got {self.kernel!r}")
        if self.gamma is not None:
            require_nonnegative("gamma", self.gamma)
        require_nonnegative("degree", self.degree)
        require_real("coef0", self.coef0)
        if not (self.kernel_params is None or isinstance(self.kernel_params, Mapping)):
            raise TypeError(f"kernel_params must be None or a dict, got {self.kernel_params!r}")

    def _fitted_gamma(self) -> Any:
        """Return the gamma to predict with; estimators that search for it return what they have found."""
        return self.gamma

    def _gram(self, X: Array, Y: Array | None = None, *, gamma: Any = None) -> Array:
        """Kernel values between two sets of points, or between the points of one."""
        if self._is_precomputed():
            return X
        if callable(self.kernel):
            parameters = dict(self.kernel_params or {})
        else:
            gamma = self.gamma if gamma is None else gamma
            parameters = {"degree": self.degree, "coef0": self.coef0, **({} if gamma is None else {"gamma": gamma})}
        return pairwise_kernels(X, Y, metric=self.kernel, filter_params=True, **parameters)

    def _keep(self, X: Array, dual_coef: Array, intercept: Array) -> None:
        """Store the fitted function; a precomputed Gram matrix is not needed for predictions."""
        self.X_fit_ = None if self._is_precomputed() else X
        self.dual_coef_ = dual_coef
        self.intercept_ = float(intercept) if np.ndim(intercept) == 0 else intercept

    def _evaluate(self, X: Any) -> Array:
        """Values of the fitted function, shape (m,) or (m, k)."""
        check_is_fitted(self)
        formats = False if self._is_precomputed() else _FORMATS
        return self._values(validate_data(self, X, reset=False, accept_sparse=formats, dtype=np.float64))

    def _values(self, X: Array) -> Array:
        """Return the values of the fitted function at points that are known to be right."""
        return self._gram(X, self.X_fit_, gamma=self._fitted_gamma()) @ self.dual_coef_ + self.intercept_


def distilled_coefficients(
    problem: CenteredProblem, ridge: Any, n_steps: Any, label_weight: Any
) -> tuple[Array, Array, Array]:
    """Dual coefficients, intercept and degrees of freedom of the last step of a self-distillation.

    Label weights in two dimensions, (n_steps - 1, n_outputs), are one set for each output.
    """
    if np.ndim(label_weight) < 2:
        path = selfdistill_closed_form(
            problem.spectrum, problem.targets, ridge=ridge, n_steps=n_steps, label_weight=label_weight
        )
        return *problem.original(path.dual_coef[-1]), path.effective_dof[-1]
    targets = problem.targets
    sets = require_array("label_weight", label_weight, allow_empty=True)
    if sets.ndim != 2 or targets.ndim == 1 or sets.shape[1] != targets.shape[1]:
        raise ValueError(
            "label_weight of two dimensions must have shape (n_steps - 1, n_outputs), one column for each output of y,"
            f" got shape {sets.shape} for y of shape {targets.shape}"
        )
    paths = [
        selfdistill_closed_form(problem.spectrum, target, ridge=ridge, n_steps=n_steps, label_weight=weights)
        for target, weights in zip(targets.T, sets.T, strict=True)
    ]
    dual_coef = np.stack([path.dual_coef[-1] for path in paths], axis=1)
    return *problem.original(dual_coef), np.array([path.effective_dof[-1] for path in paths])
