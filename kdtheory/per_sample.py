"""Self-distillation with a label weight of its own for every point, which ends in sample weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._cross import predictions
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_positive,
    require_positive_integer,
    require_representable,
    require_targets,
)
from kdtheory.filters import Ridge
from kdtheory.spectral_fit import SpectralFit
from kdtheory.spectrum import Spectrum, as_spectrum


@dataclass(frozen=True, eq=False, repr=False)
class PerSamplePath:
    """Every step of one self-distillation with label weights per point; made by `selfdistill_per_sample`.

    Attributes
    ----------
    spectrum : Spectrum
    y : array of shape (n,) or (n, k)
    label_weights : array of shape (n,)
    ridge : float
    targets : array of shape (n_steps, n) or (n_steps, n, k)
        What each step was trained on.
    fitted, dual_coef : array of shape (n_steps, n) or (n_steps, n, k)
    """

    spectrum: Spectrum
    y: Array
    label_weights: Array
    ridge: float
    targets: Array
    fitted: Array
    dual_coef: Array

    def predict(self, K_test: Any) -> Array:
        """Predict at new points with the models of all steps.

        Parameters
        ----------
        K_test : array of shape (m, n)
            Kernel values between the new points and the training points.

        Returns
        -------
        array of shape (n_steps, m) or (n_steps, m, k)

        Raises
        ------
        ValueError, TypeError
            When `K_test` has another shape, or entries that are not finite real numbers.
        """
        cross = self.spectrum.require_cross("K_test", K_test)
        return predictions(cross, self.dual_coef, outputs=self.y.ndim == 2)

    @cached_property
    def limit(self) -> SpectralFit:
        """The infinite-step solution: kernel ridge regression with the label weights as sample weights.

        Its penalty is the same. Points of label weight 0 have no influence on it.

        Raises
        ------
        ValueError
            When every label weight is 0, or one is `2 + ridge/d_max` or more, so that the steps need not converge.
        """
        d = self.spectrum.eigenvalues
        xp = array_namespace(d)
        largest, d_max = float(xp.max(self.label_weights)), float(xp.max(d))
        if d_max > 0.0 and not largest < 2.0 + self.ridge / d_max:
            raise ValueError(
                f"label_weights must be < {2.0 + self.ridge / d_max!r} (2 + ridge/d_max) for the steps to be sure to"
                f" converge, got {largest!r}"
            )
        if largest == 0.0:
            raise ValueError("label_weights must hold at least one > 0 for the limit to be a model, got zeros only")
        if not bool(xp.any(self.spectrum.whiten(self.label_weights) > 0.0)):
            raise ValueError(
                "label_weights must hold at least one > 0 at a point of sample weight > 0 for the limit to be a model,"
                " got those > 0 at points of sample weight 0 only"
            )
        spectrum = self.spectrum.reweighted(self.label_weights)
        return SpectralFit(spectrum, self.y, Ridge(self.ridge).modes(spectrum.eigenvalues))

    def __repr__(self) -> str:
        outputs = "" if self.y.ndim == 1 else f", n_outputs={self.y.shape[1]}"
        return (
            f"PerSamplePath(n_points={self.spectrum.n_points}{outputs}, ridge={self.ridge:.6g},"
            f" n_steps={self.fitted.shape[0]})"
        )


def selfdistill_per_sample(
    K: Any, y: Any, *, ridge: SupportsFloat, n_steps: SupportsIndex, label_weights: Any
) -> PerSamplePath:
    """Distil kernel ridge regression into itself with a label weight for every point.

    Step 1 fits y. Every later step fits `α_i·y_i + (1 − α_i)·(fitted value of the step before)` at point i, with the
    same Gram matrix and penalty.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition; sample weights of a weighted spectrum stay in force.
    y : array of shape (n,) or (n, k)
        Ground-truth targets. Where the label weight is 0 they only serve as the first pseudo-labels.
    ridge : float
        Penalty of every fit, > 0.
    n_steps : int
        Number of fits, >= 1.
    label_weights : array of shape (n,)
        Weights α_i >= 0 of the ground truth, the same at every step.

    Returns
    -------
    PerSamplePath
        Targets, fitted values, dual coefficients and predictions of every step, and the infinite-step limit.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When the steps diverge beyond the floating-point range.

    Notes
    -----
    The steps do not share the eigenvectors of K, so each costs `O(n²)` for every output. The limit `K (Λ K + ridge·I)⁻¹
    Λ y` with `Λ = diag(α)` is ridge regression with the sample weights α: unlabelled points, with α = 0, have no part
    in it, and self-training that goes on for ever is plain ridge regression on the labelled points.

    Source: derived for this package; with equal weights Borup & Andersen (2021), Theorem 4.5.

    Examples
    --------
    >>> K = [[1.0, 0.5], [0.5, 1.0]]
    >>> path = selfdistill_per_sample(K, [1.0, 0.0], ridge=0.5, n_steps=400, label_weights=[1.0, 0.0])
    >>> path.fitted[-1].round(6), path.limit.fitted.round(6)
    (array([0.666667, 0.333333]), array([0.666667, 0.333333]))
    """
    penalty = require_positive("ridge", ridge)
    count = require_positive_integer("n_steps", n_steps)
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    targets = require_targets("y", y, spectrum.n_points, like=d)
    weights = require_array("label_weights", label_weights, like=d)
    xp = array_namespace(d)
    if tuple(weights.shape) != (spectrum.n_points,):
        raise ValueError(
            f"label_weights must have shape {(spectrum.n_points,)}, one weight a point, got {tuple(weights.shape)}"
        )
    if bool(xp.any(weights < 0.0)):
        raise ValueError(f"label_weights must be >= 0, got {float(xp.min(weights))!r}")
    share = weights if targets.ndim == 1 else weights[:, None]
    modes = Ridge(penalty).modes(d)
    trained: list[Array] = [targets]
    fitted: list[Array] = []
    dual: list[Array] = []
    for step in range(count):
        if step:
            with np.errstate(over="ignore", invalid="ignore"):
                mixture = share * targets + (1.0 - share) * fitted[-1]
            trained.append(require_representable(mixture, f"the target of step {step + 1}"))
        coordinates = spectrum.coordinates(trained[-1])
        fitted.append(spectrum.lift_fitted(modes.coefficient, modes.shrinkage, coordinates))
        dual.append(spectrum.lift_dual_coef(modes.coefficient, coordinates))
    return PerSamplePath(
        spectrum=spectrum,
        y=xp.asarray(targets, copy=True),
        label_weights=xp.asarray(weights, copy=True),
        ridge=penalty,
        targets=xp.stack(trained),
        fitted=xp.stack(fitted),
        dual_coef=xp.stack(dual),
    )
