"""The spectrum for losses with sample weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from array_api_compat import array_namespace

from kdtheory._decomposition import rounding_units
from kdtheory._typing import Array
from kdtheory._validation import require_representable, require_weights
from kdtheory.spectrum.base import Spectrum


@dataclass(frozen=True, eq=False, repr=False)
class WeightedSpectrum(Spectrum):
    """The spectrum of `S K S` with `S = diag(√w)`, for losses with sample weights w; made by `Spectrum.from_gram`.

    Every model runs on it unchanged: the targets are whitened to `S y`, and the dual coefficients are scaled back by
    S. Nothing is divided by a weight, so weights of zero are points that are predicted but not learned from.

    Attributes
    ----------
    eigenvalues, eigenvectors : array
        Those of `S K S`.
    root_weight : array of shape (n,)
        Square roots of the sample weights.
    gram : array of shape (n, n)
        The Gram matrix itself, with which the fitted values are predicted.
    """

    root_weight: Array
    gram: Array

    @property
    def n_weighed(self) -> int:
        """Number of points with a sample weight > 0."""
        return int(array_namespace(self.root_weight).count_nonzero(self.root_weight))

    def low_rank_factor(self) -> np.ndarray | None:
        """Return None: the matrix itself is stored."""
        return None

    def reweighted(self, sample_weight: Array, /) -> Spectrum:
        """Return the spectrum with the product of the weights."""
        weights = require_weights("sample_weight", sample_weight, self.n_points, like=self.eigenvalues)
        return Spectrum.from_gram(self.gram, self.root_weight**2 * weights)

    def gram_matrix(self) -> Array:
        """Return a copy of the Gram matrix before weighting."""
        return array_namespace(self.gram).asarray(self.gram, copy=True)

    def weights(self) -> Array:
        """Return the sample weights, shape (n,)."""
        return self.root_weight**2

    def whiten(self, y: Array, /) -> Array:
        """Return `S y`."""
        targets = super().whiten(y)
        with np.errstate(over="ignore"):
            return targets * (self.root_weight if targets.ndim == 1 else self.root_weight[:, None])

    @property
    def _rounding(self) -> float:
        """Size of eigenvalues that rounding sets to zero."""
        unit = float(array_namespace(self.gram).finfo(self.gram.dtype).eps) * float(self.eigenvalues[0])
        return rounding_units(self.n_points) * unit

    @cached_property
    def _felt_without_weight(self) -> Array:
        """Whether the function of each eigenvector, shape (r,), is more than rounding at any point of weight zero."""
        xp = array_namespace(self.gram)
        (without,) = xp.nonzero(self.root_weight == 0.0)
        if without.shape[0] == 0:
            return self.eigenvalues > xp.inf
        rows = xp.take(self.gram, without, axis=0) * self.root_weight
        scale = xp.max(xp.sum(xp.abs(rows), axis=1)) * float(xp.finfo(rows.dtype).eps) * self.n_points
        return xp.max(xp.abs(rows @ self.eigenvectors), axis=0) > scale

    def lift_fitted(self, coefficient: Array, shrinkage: Array, coordinates: Array, /) -> Array:
        """Return the fitted values, zero weights included, as predictions at the training points."""
        xp = array_namespace(shrinkage)
        # On zero eigenvalues the function is zero, but perhaps at points without weight, as far as rounding lets it be.
        huge = xp.abs(coefficient) * self._rounding >= 1.0
        idle = (shrinkage == 0.0) & (huge | ~self._felt_without_weight)
        effective = xp.where(idle, xp.zeros_like(coefficient), coefficient)
        dual = self.lift_dual_coef(effective, coordinates)
        with np.errstate(over="ignore", invalid="ignore"):
            fitted = dual @ self.gram if coordinates.ndim == 1 else self.gram @ dual
        return require_representable(fitted, "the fitted value")

    def lift_dual_coef(self, coefficient: Array, coordinates: Array, /) -> Array:
        """Return `S U diag(coefficient) coordinates`."""
        root = self.root_weight if coordinates.ndim == 1 else self.root_weight[:, None]
        with np.errstate(over="ignore"):
            return require_representable(self.lift(coefficient, coordinates) * root, "the dual coefficient")


class LowRankWeightedSpectrum(WeightedSpectrum):
    """The spectrum of `S K S` with weights > 0, where K is known by its modes only and never stored.

    Attributes
    ----------
    eigenvalues, eigenvectors : array
        Those of `S K S`.
    root_weight : array of shape (n,)
        Square roots of the sample weights.
    """

    def low_rank_factor(self) -> np.ndarray | None:
        """Return F of shape (n, r) with `K = F Fᵀ`."""
        return np.divide(self.eigenvectors * np.sqrt(self.eigenvalues), self.root_weight[:, None], order="F")

    def reweighted(self, sample_weight: Array, /) -> Spectrum:
        """Return the spectrum with the product of the weights."""
        weights = require_weights("sample_weight", sample_weight, self.n_points, like=self.eigenvalues)
        return Spectrum.reweighted(self, self.root_weight**2 * weights)

    @property
    def gram(self) -> Array:
        """K itself, multiplied out: n × n."""
        return self.gram_matrix()

    def gram_matrix(self) -> Array:
        """Return K, multiplied out: n × n."""
        rows = self.eigenvectors / self.root_weight[:, None]
        gram = (rows * self.eigenvalues) @ rows.T
        return 0.5 * gram + 0.5 * gram.T

    def without(self, direction: Array, /) -> Spectrum:
        """Return the spectrum of `S K S` without a direction (n,) of length 1, on which it is zero."""
        parts = {"eigenvalues": self.eigenvalues, "eigenvectors": self.eigenvectors, "root_weight": self.root_weight}
        return WeightedSpectrum._trusted(**parts, gram=self.gram_matrix()).without(direction)

    def lift_fitted(self, coefficient: Array, shrinkage: Array, coordinates: Array, /) -> Array:
        """Return the fitted values, with the weights taken off again."""
        del coefficient
        root = self.root_weight if coordinates.ndim == 1 else self.root_weight[:, None]
        with np.errstate(over="ignore"):
            return require_representable(self.lift(shrinkage, coordinates) / root, "the fitted value")
