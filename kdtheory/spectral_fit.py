"""Models fitted on one spectrum: filters lifted to fitted values, dual coefficients and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._typing import Array
from kdtheory._validation import first_index, require_cross_gram, require_representable
from kdtheory.filters import Modes
from kdtheory.spectrum import Spectrum


@dataclass(frozen=True, eq=False, repr=False)
class SpectralFit:
    """One or many models on one spectrum and one set of targets; results are computed when first asked for.

    The leading axes `...` of every result count the models: steps, ridges, label weights.

    Attributes
    ----------
    spectrum : Spectrum
        Decomposition of the Gram matrix.
    targets : array of shape (n,) or (n, k)
        Ground-truth targets.
    modes : Modes
        Coefficient filter, shrinkage and residual of every model, each of shape (..., r).
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
        return self.spectrum.lift(self.shrinkage, self._coordinates)

    @cached_property
    def dual_coef(self) -> Array:
        """Dual coefficients c with `f(x) = Σ_i k(x, x_i) c_i`, shape (..., n) or (..., n, k).

        A spectrum without its zero eigenvalues gives the shortest of the coefficients of the same function.
        """
        return self.spectrum.lift(self.modes.coefficient, self._coordinates)

    def predict(self, K_test: Any) -> Array:
        """Predict at new points.

        Parameters
        ----------
        K_test : array of shape (m, n)
            Kernel values between the m new points and the n training points.

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
        cross = require_cross_gram("K_test", K_test, self.spectrum.n_points, like=self.spectrum.eigenvalues)
        with np.errstate(over="ignore", invalid="ignore"):
            predictions = self.dual_coef @ cross.T if self.targets.ndim == 1 else cross @ self.dual_coef
        return require_representable(predictions, "the prediction")

    def __repr__(self) -> str:
        models = tuple(self.shrinkage.shape[:-1])
        outputs = "" if self.targets.ndim == 1 else f", n_outputs={self.targets.shape[1]}"
        dof = f"effective_dof={float(self.effective_dof):.4g}" if models == () else f"models={models}"
        return f"{type(self).__name__}(n_points={self.spectrum.n_points}{outputs}, {dof})"

    @cached_property
    def _coordinates(self) -> Array:
        return self.spectrum.coordinates(self.targets)
