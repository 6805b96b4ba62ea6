"""Models fitted on one spectrum: filters lifted to fitted values, dual coefficients and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._cross import predictions
from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array
from kdtheory._validation import first_index, require_representable, require_targets
from kdtheory.filters import Filter, Modes
from kdtheory.spectrum import Spectrum, as_spectrum


@dataclass(frozen=True, eq=False, repr=False)
class SpectralFit:
    """One or many models on one spectrum and one set of targets; made by `fit_filter`.

    Results are computed when first asked for. Their leading axes `...` count the models: steps, ridges, label weights.

    Attributes
    ----------
    spectrum : Spectrum
        Decomposition of the Gram matrix.
    targets : array of shape (n,) or (n, k)
        Ground-truth targets.
    modes : Modes
        Coefficient filter, shrinkage and residual of every model, each of shape (..., r).

    Raises
    ------
    OverflowError
        When a filter is beyond the floating-point range.
    """

    spectrum: Spectrum
    targets: Array
    modes: Modes

    def __post_init__(self) -> None:
        for values in self.modes:
            require_representable(values, f"a filter value of {type(self).__name__}")
        # A copy: results are computed later, and must not follow what the caller does to the array until then.
        xp = array_namespace(self.targets)
        object.__setattr__(self, "targets", xp.asarray(self.targets, copy=True))

    @property
    def shrinkage(self) -> Array:
        """What remains of each mode of the targets in the fitted values, shape (..., r)."""
        return self.modes.shrinkage

    @property
    def effective_dof(self) -> Array:
        """Effective degrees of freedom of every model, the trace of its hat matrix, shape (...)."""
        self.spectrum.require_whole("effective_dof")
        xp = array_namespace(self.shrinkage)
        with np.errstate(over="ignore"):
            return require_representable(xp.sum(self.shrinkage, axis=-1), "the effective degrees of freedom")

    @cached_property
    def shrinkage_ratios(self) -> Array:
        """Shrinkage of a mode over that of the next smaller mode, shape (..., r - 1).

        Raises
        ------
        ZeroDivisionError
            When a shrinkage that would divide is zero, as on a zero eigenvalue; `Spectrum.positive` drops those.
        """
        xp = array_namespace(self.shrinkage)
        smaller = self.shrinkage[..., 1:]
        if bool(xp.any(smaller == 0.0)):
            where = first_index(xp, smaller == 0.0)
            raise ZeroDivisionError(
                "shrinkage_ratios must divide by a shrinkage other than 0, got 0 for the eigenvalue"
                f" {float(self.spectrum.eigenvalues[where[-1] + 1])!r}; Spectrum.positive() drops zero eigenvalues"
            )
        with np.errstate(over="ignore"):
            return require_representable(self.shrinkage[..., :-1] / smaller, "the shrinkage ratio")

    @cached_property
    def fitted(self) -> Array:
        """Fitted values at the training points, shape (..., n) or (..., n, k)."""
        return self.spectrum.lift_fitted(self.modes.coefficient, self.shrinkage, self._coordinates)

    @cached_property
    def dual_coef(self) -> Array:
        """Dual coefficients c with `f(x) = Σ_i k(x, x_i) c_i`, shape (..., n) or (..., n, k).

        A spectrum without its zero eigenvalues gives the shortest of the coefficients of the same function.
        """
        return self.spectrum.lift_dual_coef(self.modes.coefficient, self._coordinates)

    @cached_property
    def components(self) -> Array:
        """Components of the model's weights along the eigendirections, shape (..., r) or (..., r, k).

        In a feature space with `K = X Xᵀ` these are `v_jᵀ β` for the weights `β = Xᵀ c` and the right singular vectors
        `v_j` of X: `√d·q(d)` times the component of the targets. The sum of their squares is the squared norm of the
        function. Source: Nagarajan et al. (2023), eqs. 8 and 12.
        """
        values = array_namespace(self.modes.coefficient).sqrt(self.spectrum.eigenvalues) * self.modes.coefficient
        with np.errstate(over="ignore"):
            weighted = values * self._coordinates if self.targets.ndim == 1 else values[..., None] * self._coordinates
        return require_representable(weighted, "the component of the weights")

    def predict(self, K_test: Any) -> Array:
        """Predict at new points.

        Parameters
        ----------
        K_test : array of shape (m, n), or scipy.sparse.linalg.LinearOperator
            Kernel values between the m new points and the n training points. An operator multiplies by all models at
            once, and is taken to map what K maps to zero to zero, as the values of one kernel do.

        Returns
        -------
        array of shape (..., m) or (..., m, k)
            Predictions of every model.

        Raises
        ------
        ValueError
            When K_test is not finite or has a number of columns other than n.
        OverflowError
            When a prediction is beyond the floating-point range.
        """
        cross = self.spectrum.require_cross("K_test", K_test)
        outputs, coefficient = self.targets.ndim == 2, self.modes.coefficient
        effective = self.spectrum.lift_dual_coef(self._off_null * coefficient, self._coordinates)
        predicted = predictions(cross, effective, outputs=outputs)
        if isinstance(cross, LinearOperator) or self.spectrum.rank == coefficient.shape[-1]:
            return predicted
        with np.errstate(over="ignore", invalid="ignore"):
            beyond = self._beyond_the_range(cross)
            predicted = predicted + coefficient[..., -1][(..., *[None] * beyond.ndim)] * beyond
        return require_representable(predicted, "the prediction")

    def __repr__(self) -> str:
        models = tuple(self.shrinkage.shape[:-1])
        outputs = "" if self.targets.ndim == 1 else f", n_outputs={self.targets.shape[1]}"
        what = f", models={models}"
        if models == ():
            what = f", effective_dof={float(self.effective_dof):.4g}" if self.spectrum.is_whole else ""
        return f"{type(self).__name__}(n_points={self.spectrum.n_points}{outputs}{what})"

    @cached_property
    def _off_null(self) -> Array:
        """One on positive eigenvalues, zero on zero ones."""
        d = self.spectrum.eigenvalues
        return array_namespace(d).astype(d > 0.0, d.dtype)

    def _beyond_the_range(self, cross: Array) -> Array:
        """Predictions of the null space per unit of its coefficient, and zero where they are nothing but rounding.

        The rows of a joint kernel hardly reach the null space, and not at all where K is singular without rounding; but
        long training makes the coefficients on zero eigenvalues huge.
        """
        xp = array_namespace(cross)
        null = self.spectrum.lift_dual_coef(1.0 - self._off_null, self._coordinates)
        rounding = self.spectrum.n_points * xp.finfo(cross.dtype).eps * (xp.abs(cross) @ xp.abs(null))
        beyond = cross @ null
        return xp.where(xp.abs(beyond) <= rounding, xp.zeros_like(beyond), beyond)

    @cached_property
    def _coordinates(self) -> Array:
        return self.spectrum.coordinates(self.targets)


def fit_filter(K: Any, y: Any, filter_: Filter | Sequence[Filter]) -> SpectralFit:
    """Fit the model of any filter, or of several.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Targets.
    filter_ : Filter or sequence of Filter
        One model, or as many as the results have entries along their first axis.

    Returns
    -------
    SpectralFit
        Shrinkage, fitted values, dual coefficients, weight components and predictions.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a filter is beyond the floating-point range.

    Notes
    -----
    Source: the representer theorem, Schölkopf, Herbrich & Smola (2001); filters of a Gram matrix, Bauer, Pereverzev &
    Rosasco (2007), "On regularization algorithms in learning theory".

    Cost: one eigendecomposition, unless a `Spectrum` is given, then `2·n·r·k` for each model.

    Examples
    --------
    >>> from kdtheory import GradientFlow, Ridge
    >>> fit_filter([[2.0]], [1.0], Ridge(2.0)).fitted
    array([0.5])
    >>> fit_filter([[2.0]], [1.0], [GradientFlow(0.0), GradientFlow(1.0)]).fitted
    array([[0.        ],
           [0.86466472]])
    """
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    return SpectralFit(spectrum, require_targets("y", y, spectrum.n_points, like=d), evaluate(filter_, d))


def evaluate(filter_: Filter | Sequence[Filter], eigenvalues: Array, name: str = "filter_") -> Modes:
    """Modes of a filter, shape (r,), or of a sequence of them, shape (n_filters, r)."""
    filters = [filter_] if isinstance(filter_, Filter) else filter_
    if not isinstance(filters, Sequence):
        raise TypeError(f"{name} must be a Filter or a sequence of them, got {filter_!r}")
    if len(filters) == 0:
        raise ValueError(f"{name} must hold at least one Filter, got an empty sequence")
    evaluated = []
    for each in filters:
        if not isinstance(each, Filter):
            raise TypeError(f"{name} must be a Filter or a sequence of them, got {each!r}")
        with np.errstate(all="ignore"):  # what overflows is refused by the fit
            modes = each.modes(eigenvalues)
        if not isinstance(modes, Modes):
            raise TypeError(f"modes of {each!r} must return Modes, got {type(modes).__name__}")
        evaluated.append(modes)
    if isinstance(filter_, Filter):
        return evaluated[0]
    return Modes(*(array_namespace(eigenvalues).stack(parts) for parts in zip(*evaluated, strict=True)))
