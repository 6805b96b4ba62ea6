"""What all estimators share: the kernel between points, and predictions from dual coefficients and an intercept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.metrics.pairwise import kernel_metrics, pairwise_kernels
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from kdtheory._typing import Array
from kdtheory._validation import require_nonnegative, require_real
from kdtheory.estimators._base import BaseEstimator
from kdtheory.estimators._distilled import distilled_coefficients, distilled_filters
from kdtheory.estimators._gram_source import GramSource
from kdtheory.estimators.solvers import Eigh, Lanczos, Nystrom, as_solver, choose_solver
from kdtheory.kernels import RBF, Cosine, Kernel, Laplace, Linear, Polynomial

_FORMATS = ("csr", "csc")
_COUNTERPARTS = ("cosine", "laplacian", "linear", "poly", "polynomial", "rbf")


class KernelMachine(BaseEstimator):
    """Functions `f(x) = Σ_i k(x, x_i) dual_coef_i + intercept`, with the kernel parameters of `KernelRidge`.

    Those who inherit store the parameters `kernel`, `gamma`, `degree`, `coef0`, `kernel_params` and `solver`, call
    `_choose_solver` in `fit`, and `_keep` at its end.
    """

    kernel: Any
    gamma: Any
    degree: Any
    coef0: Any
    kernel_params: Any
    fit_intercept: bool
    solver: Any

    X_fit_: Any
    dual_coef_: Array
    intercept_: Any
    effective_dof_: Any

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_precomputed()
        tags.input_tags.sparse = bool(self._formats())
        tags.input_tags.positive_only = isinstance(self.kernel, str) and self.kernel in ("chi2", "additive_chi2")
        return tags

    def _is_precomputed(self) -> bool:
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    def _formats(self) -> Any:
        """Sparse formats that the kernel and the solver can work with, or False."""
        if self._is_precomputed() or isinstance(self.kernel, Kernel) or isinstance(self.solver, Nystrom | Lanczos):
            return False
        if isinstance(self.solver, str) and self.solver in ("nystrom", "lanczos"):
            return False
        return _FORMATS

    def _validated(self, X: Any, y: Any, *, n_least: int = 1, **checks: Any) -> tuple[Array, Array]:
        """Return inputs and targets as scikit-learn checks them, after checking the kernel parameters."""
        self._check_kernel()
        as_solver(self.solver)
        options = {"accept_sparse": self._formats(), "dtype": np.float64, "ensure_min_samples": n_least}
        X, y = validate_data(self, X, y, **options, **checks)
        if self._is_precomputed() and X.shape[0] != X.shape[1]:
            raise ValueError(f"X must be a square matrix for kernel='precomputed', got shape {X.shape}")
        return X, y

    def _check_kernel(self) -> None:
        known = sorted(kernel_metrics())
        named = isinstance(self.kernel, str) and self.kernel in [*known, "precomputed"]
        if not (named or isinstance(self.kernel, Kernel) or callable(self.kernel)):
            raise ValueError(
                f"kernel must be a function, 'precomputed' or one of {known}, or a Kernel of kdtheory.kernels,"
                f" got {self.kernel!r}"
            )
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
        if isinstance(self.kernel, Kernel):
            return self.kernel.gram(X, Y)
        if callable(self.kernel):
            parameters = dict(self.kernel_params or {})
        else:
            gamma = self.gamma if gamma is None else gamma
            parameters = {"degree": self.degree, "coef0": self.coef0, **({} if gamma is None else {"gamma": gamma})}
        return pairwise_kernels(X, Y, metric=self.kernel, filter_params=True, **parameters)

    def _kernel_object(self, *, gamma: Any = None) -> Kernel | None:
        """Return the kernel as an object of `kdtheory.kernels`, or None where it has no counterpart there."""
        if isinstance(self.kernel, Kernel):
            return self.kernel
        gamma = self.gamma if gamma is None else gamma
        if self.kernel == "rbf":
            return RBF(gamma)
        if self.kernel == "laplacian":
            return Laplace(gamma)
        if self.kernel in ("poly", "polynomial") and self.degree >= 1 and self.degree == int(self.degree):
            return Polynomial(int(self.degree), gamma, float(self.coef0))
        return {"linear": Linear(), "cosine": Cosine()}.get(self.kernel) if isinstance(self.kernel, str) else None

    def _choose_solver(self, X: Array, every_mode: str = "") -> None:
        """Store the solver, given or chosen; `every_mode` says what for every mode of K is needed, if it is."""
        asked = as_solver(self.solver)
        counterpart = not issparse(X) and self._kernel_object() is not None
        if asked is None:
            asked = choose_solver(X.shape[0], every_mode=bool(every_mode)) if counterpart else Eigh()
            if getattr(self, "verbose", False):
                print(f"solver='auto': {asked} for {X.shape[0]} points")
        elif not isinstance(asked, Eigh) and not counterpart:
            raise ValueError(
                f"kernel must be one of {list(_COUNTERPARTS)}, of an integer degree, or a Kernel of kdtheory.kernels,"
                f" for solver={self.solver!r}, got {self.kernel!r}"
            )
        if isinstance(asked, Lanczos) and every_mode:
            raise ValueError(f"solver must be 'auto', 'eigh' or 'nystrom' {every_mode}, got {self.solver!r}")
        self.solver_ = asked

    def _source(self, X: Array, sample_weight: Any, *, gamma: Any = None) -> GramSource:
        """Return the Gram matrix of the points as the chosen solver has it."""
        kernel = self._kernel_object(gamma=gamma)
        if kernel is not None and not isinstance(self.solver_, Eigh):
            return GramSource.of_kernel(kernel, X, sample_weight, self.solver_)
        owned = not self._is_precomputed()
        return GramSource(X, np.arange(X.shape[0]), self._gram(X, gamma=gamma), sample_weight, owned=owned)

    def _fit_distilled(self, X: Array, targets: Array, sample_weight: Any, chain: tuple[Any, Any, Any]) -> None:
        """Fit the last step of a self-distillation of the given ridge, number of steps and label weight."""
        self._choose_solver(X)
        filters = distilled_filters(*chain, targets.shape) if isinstance(self.solver_, Lanczos) else []
        source = self._source(X, sample_weight)
        problem = source.problem(targets, self.fit_intercept, filters)
        dual_coef, intercept, dof = distilled_coefficients(problem, *chain)
        self._keep(*source.function(dual_coef, intercept))
        self._keep_dof(dof)

    def _keep(self, X: Array, dual_coef: Array, intercept: Array) -> None:
        """Store the fitted function; a precomputed Gram matrix is not needed for predictions."""
        self.X_fit_ = None if self._is_precomputed() else X
        self.dual_coef_ = dual_coef
        self.intercept_ = float(intercept) if np.ndim(intercept) == 0 else intercept

    def _keep_dof(self, dof: Any) -> None:
        """Store the effective degrees of freedom, with that of an intercept, where they are known."""
        if hasattr(self, "effective_dof_"):
            del self.effective_dof_  # of an earlier fit
        if dof is not None:
            self.effective_dof_ = dof + float(self.fit_intercept)

    def _evaluate(self, X: Any) -> Array:
        """Values of the fitted function, shape (m,) or (m, k)."""
        check_is_fitted(self)
        formats = self._formats() if isinstance(self.solver_, Eigh) else False
        return self._values(validate_data(self, X, reset=False, accept_sparse=formats, dtype=np.float64))

    def _values(self, X: Array) -> Array:
        """Return the values of the fitted function at points that are known to be right."""
        gamma = self._fitted_gamma()
        kernel = self.kernel if isinstance(self.solver_, Eigh) else self._kernel_object(gamma=gamma)
        if isinstance(kernel, Kernel):
            return kernel.operator(X, self.X_fit_) @ self.dual_coef_ + self.intercept_
        return self._gram(X, self.X_fit_, gamma=gamma) @ self.dual_coef_ + self.intercept_
