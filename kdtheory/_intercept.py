"""An intercept without a penalty: centre the kernel and the targets, and every model runs on what is left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._typing import Array
from kdtheory._validation import require_bool, require_representable, require_targets, require_weights
from kdtheory.spectrum import Spectrum
from kdtheory.spectrum.gram import decompose_factor, decompose_gram, symmetric_gram


@dataclass(frozen=True, eq=False)
class CenteredProblem:
    """Targets on a spectrum, both centred when an intercept takes up their means; made by `CenteredProblem.of`.

    The minimiser of `½ Σ w_i (f(x_i) + b − y_i)² + ridge/2 ‖f‖²_H` over f and b is the ridge fit of the centred
    targets with the kernel of centred features, plus the mean of the targets; both means have the weights w. Each step
    of a distillation keeps that mean, since label weights add up to 1. So nothing but the data changes.

    Attributes
    ----------
    spectrum : Spectrum
        Of the centred Gram matrix, or of the Gram matrix itself without an intercept.
    targets : array of shape (n,) or (n, k)
        Targets minus their mean.
    shares : array of shape (n,)
        Share `w_i / Σ w` of each point in the means; zeros without an intercept.
    mean_row : array of shape (n,)
        Mean row of the Gram matrix before centring; zeros without an intercept.
    mean_target : array of shape () or (k,)
        Zero without an intercept.
    """

    spectrum: Spectrum
    targets: Array
    shares: Array
    mean_row: Array
    mean_target: Array

    @classmethod
    def of(
        cls,
        K: Any,
        y: Any,
        fit_intercept: bool,
        sample_weight: Any = None,
        *,
        tolerance: float = 0.0,
        overwrite: bool = False,
    ) -> CenteredProblem:
        """Decompose a Gram matrix, centred if an intercept is wanted; a `Spectrum` is decomposed again for that."""
        if isinstance(K, Spectrum):
            K.require_whole("an error of left-out points, or an intercept,")
        if not require_bool("fit_intercept", fit_intercept):
            spectrum = _weighted(K, sample_weight, tolerance, overwrite)
            targets = require_targets("y", y, spectrum.n_points, like=spectrum.eigenvalues)
            xp = array_namespace(targets)
            zeros = xp.zeros_like(spectrum.weights())
            return cls(spectrum, targets, zeros, zeros, xp.zeros_like(targets[0, ...]))
        if isinstance(K, Spectrum):
            weighted = K if sample_weight is None else K.reweighted(sample_weight)
            factor = weighted.low_rank_factor()
            if factor is not None:
                return cls.of_factor(factor, y, True, weighted.weights())
            gram, weights = weighted.gram_matrix(), weighted.weights()
        else:
            gram = symmetric_gram(K, overwrite=overwrite)
            weights = None
            if sample_weight is not None:
                weights = require_weights("sample_weight", sample_weight, gram.shape[0], like=gram)
        targets = require_targets("y", y, gram.shape[0], like=gram)
        xp = array_namespace(gram)
        shares = xp.ones_like(gram[:, 0]) if weights is None else weights / xp.max(weights)
        shares = shares / xp.sum(shares)
        scale = max(float(xp.max(gram)), -float(xp.min(gram)))
        with np.errstate(over="ignore"):
            mean_row = require_representable(gram @ shares, "the mean of K")
            mean_target = require_representable(shares @ targets, "the mean of y")
            gram -= mean_row
            gram -= (mean_row - shares @ mean_row)[:, None]
            centred = require_representable(targets - mean_target, "the centred target")
        return cls(decompose_gram(gram, weights, tolerance, scale=scale), centred, shares, mean_row, mean_target)

    @classmethod
    def of_factor(cls, factor: np.ndarray, y: Any, fit_intercept: bool, weights: np.ndarray) -> CenteredProblem:
        """Decompose `F Fᵀ`, centred if an intercept is wanted, by its factor (n, r); nothing is multiplied out.

        The factor, in Fortran order and with n >= r, is overwritten; weights are > 0.
        """
        targets = require_targets("y", y, len(factor), like=factor)
        uneven = None if np.all(weights == 1.0) else weights
        if not fit_intercept:
            zeros = np.zeros(len(factor), dtype=factor.dtype)
            return cls(decompose_factor(factor, uneven), targets, zeros, zeros, np.zeros_like(targets[0, ...]))
        shares = weights / np.max(weights)
        shares = shares / np.sum(shares)
        scale = float(np.max(np.einsum("ij,ij->i", factor, factor)))
        with np.errstate(over="ignore"):
            mean_feature = shares @ factor
            mean_row = require_representable(factor @ mean_feature, "the mean of K")
            mean_target = require_representable(shares @ targets, "the mean of y")
            centred = require_representable(targets - mean_target, "the centred target")
            factor -= mean_feature
        return cls(decompose_factor(factor, uneven, scale=scale), centred, shares, mean_row, mean_target)

    @cached_property
    def free_spectrum(self) -> Spectrum:
        """The spectrum without the direction that the intercept fits whole, where it has all others."""
        if not self.has_intercept or self.spectrum.eigenvalues.shape[0] < self.spectrum.n_points:
            return self.spectrum
        return self.spectrum.without(array_namespace(self.shares).sqrt(self.shares))

    @property
    def has_intercept(self) -> bool:
        """Whether an intercept takes up the means."""
        return float(array_namespace(self.shares).max(self.shares)) > 0.0

    @property
    def is_whole(self) -> bool:
        """Whether the free spectrum has all directions, but that of the intercept."""
        return int(self.free_spectrum.eigenvalues.shape[0]) + self.has_intercept == self.spectrum.n_points

    def original(self, dual_coef: Array) -> tuple[Array, Array]:
        """Dual coefficients and intercept for the kernel before centring.

        Parameters
        ----------
        dual_coef : array of shape (n,) or (n, k)
            Dual coefficients of a model on `spectrum` and `targets`.

        Returns
        -------
        dual_coef : array of shape (n,) or (n, k)
        intercept : array of shape () or (k,)
            The model is `f(x) = Σ_i k(x, x_i) dual_coef_i + intercept`.
        """
        xp = array_namespace(dual_coef)
        total = xp.sum(dual_coef, axis=0)
        moved = dual_coef - (self.shares * total if dual_coef.ndim == 1 else self.shares[:, None] * total)
        return moved, self.mean_target - self.mean_row @ moved


def _weighted(K: Any, sample_weight: Any, tolerance: float, overwrite: bool) -> Spectrum:
    if not isinstance(K, Spectrum):
        return Spectrum.from_gram(K, sample_weight, tolerance=tolerance, overwrite_K=overwrite)
    return K if sample_weight is None else K.reweighted(sample_weight)
