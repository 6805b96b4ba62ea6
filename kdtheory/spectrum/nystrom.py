"""Spectra of large kernel matrices from some of their columns: the Nyström approximation at landmarks."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import scipy.linalg

from kdtheory._linear_operator import LinearOperator
from kdtheory._thin_factor import ROWS_AT_ONCE, eigh_of_factor
from kdtheory._typing import Array
from kdtheory._validation import (
    require_generator,
    require_positive_integer,
    require_targets,
    require_weights,
)
from kdtheory.kernels import Kernel
from kdtheory.kernels.base import is_gram_operator
from kdtheory.pivots import COLUMNS_AT_ONCE, PartialCholesky, cholesky_at, randomly_pivoted_cholesky
from kdtheory.spectrum.base import Spectrum
from kdtheory.spectrum.weighted import LowRankWeightedSpectrum

_RULES = ("rpcholesky", "uniform", "kmeans++")


@dataclass(frozen=True, eq=False, repr=False)
class NystromSpectrum(Spectrum):
    """The spectrum of a Nyström approximation, `K̂ = K[:, P] K[P, P]⁻¹ K[P, :]`; made by `Spectrum.nystrom`.

    Every model runs on it unchanged and is the exact model of the kernel `k̂(x, z) = k(x, P) K[P, P]⁻¹ k(P, z)`. New
    points are predicted with `cross`.

    Attributes
    ----------
    eigenvalues : array of shape (r,)
        Positive eigenvalues of K̂, descending; r is the number m of landmarks, or less by those within rounding of zero.
    eigenvectors : array of shape (n, r)
    kernel : Kernel
    X_pivots : array of shape (m, d)
        The landmarks.
    pivots : array of shape (m,)
        Their indices.
    trace_error : float
        Trace of the positive semi-definite remainder `K − K̂`: fitted values of ridge regression change by at most
        `trace_error / ridge`, relatively.
    triangle : array of shape (m, m)
        Lower Cholesky factor of `K[P, P]`.
    loadings : array of shape (m, r)
        `K[P, P]^(1/2)`-coordinates of the eigenvectors: `K̂ = K[:, P] triangle⁻ᵀ loadings Uᵀ`.
    """

    kernel: Kernel
    X_pivots: Array
    pivots: Array
    trace_error: float
    triangle: Array
    loadings: Array

    def cross(self, X_test: Any, *, max_bytes: int | None = None) -> NystromCross:
        """Give `K̂(X_test, X)` as an operator that multiplies in factors, for `predict`.

        Parameters
        ----------
        X_test : array of shape (p, d)
        max_bytes : int, optional
            Work space of the kernel's operator; default: its own.

        Returns
        -------
        NystromCross
            Of shape (p, n).

        Raises
        ------
        ValueError, TypeError
            For points that are not finite (the row is named) or have another number of features.

        Notes
        -----
        Cost of a product with k columns: `n·r·k + m²·k` once, and `p·m·(d + k)`; so a prediction does not depend on n.

        Examples
        --------
        >>> from kdtheory.kernels import RBF
        >>> spectrum = Spectrum.nystrom(RBF(gamma=1.0), [[0.0], [1.0]], 2)
        >>> (spectrum.cross([[0.0]]) @ [1.0, 1.0]).round(6)
        array([1.367879])
        """
        if max_bytes is None:
            return NystromCross(self, self.kernel.operator(X_test, self.X_pivots))
        return NystromCross(self, self.kernel.operator(X_test, self.X_pivots, max_bytes=max_bytes))

    def on_pivots(self, dual_coef: Array, /) -> np.ndarray:
        """Give the coefficients of the landmarks' kernel functions alone.

        Parameters
        ----------
        dual_coef : array of shape (n,) or (n, k)
            Dual coefficients c of a model `f(x) = Σ_i k̂(x, x_i) c_i`.

        Returns
        -------
        array of shape (m,) or (m, k)
            Coefficients v, so that `f(x) = Σ_j k(x, p_j) v_j`.

        Notes
        -----
        Cost: `n·r·k + m²·k`.

        Examples
        --------
        >>> from kdtheory.kernels import Linear
        >>> Spectrum.nystrom(Linear(), [[1.0], [2.0]], 1, pivots=[1]).on_pivots([1.0, 1.0])
        array([1.5])
        """
        dual = require_targets("dual_coef", dual_coef, self.n_points, like=self.eigenvalues)
        root = np.sqrt(self.weights())
        whitened = dual / (root if dual.ndim == 1 else root[:, None])
        features = self.loadings @ (self.eigenvectors.T @ whitened)
        return np.asarray(scipy.linalg.solve_triangular(self.triangle, features, lower=True, trans=1))

    def require_cross(self, name: str, value: Any, /) -> Any:
        """`value` as values of the approximate kernel: an array of them, or from `cross`."""
        if isinstance(getattr(value, "kernel", None), Kernel):
            raise TypeError(
                f"{name} must be spectrum.cross(X_test) for a NystromSpectrum, or an array of the values of its"
                f" approximate kernel, got an operator of the kernel itself, {value.kernel}"
            )
        return super().require_cross(name, value)

    def positive(self) -> Spectrum:
        """Return the spectrum itself: it has no zero eigenvalues."""
        return self

    def without(self, direction: Array, /) -> Spectrum:
        """Return the spectrum of the same matrix without a direction (n,) of length 1, on which it is zero."""
        return Spectrum._trusted(eigenvalues=self.eigenvalues, eigenvectors=self.eigenvectors).without(direction)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, trace_error={self.trace_error:.6g})"


class WeightedNystromSpectrum(NystromSpectrum, LowRankWeightedSpectrum):
    """The spectrum of `S K̂ S` with `S = diag(√w)`, for losses with sample weights w > 0; made by `Spectrum.nystrom`.

    Attributes
    ----------
    eigenvalues, eigenvectors, trace_error
        Those of `S K̂ S`, and of its remainder `S (K − K̂) S`.
    kernel, X_pivots, pivots, triangle
        As for `NystromSpectrum`.
    loadings : array of shape (m, r)
        With `S K̂ = S K[:, P] triangle⁻ᵀ loadings Uᵀ`.
    root_weight : array of shape (n,)
        Square roots of the sample weights.
    """

    def without(self, direction: Array, /) -> Spectrum:
        """Return the spectrum of the same matrix without a direction (n,) of length 1, on which it is zero."""
        return LowRankWeightedSpectrum.without(self, direction)


class NystromCross(LinearOperator):
    """`K̂(X_test, X)` in factors, `k(X_test, P) triangle⁻ᵀ loadings Uᵀ S⁻¹`; made by `NystromSpectrum.cross`.

    Attributes
    ----------
    spectrum : NystromSpectrum
    to_pivots : GramOperator, or JaxGramOperator for new points of jax
        `k(X_test, P)`.
    """

    spectrum: NystromSpectrum
    to_pivots: LinearOperator

    def __init__(self, spectrum: NystromSpectrum, to_pivots: LinearOperator) -> None:
        self.spectrum, self.to_pivots = spectrum, to_pivots
        self._root = np.sqrt(spectrum.weights())[:, None]
        super().__init__(spectrum.eigenvectors.dtype, (to_pivots.shape[0], spectrum.n_points))

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(np.reshape(x, (-1, 1)))[:, 0]

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        return self.to_pivots @ self.spectrum.on_pivots(X)

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._rmatmat(np.reshape(x, (-1, 1)))[:, 0]

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        features = scipy.linalg.solve_triangular(self.spectrum.triangle, self.to_pivots.T @ X, lower=True)
        return self.spectrum.eigenvectors @ (self.spectrum.loadings.T @ features) / self._root


def nystrom_spectrum(
    kernel: Any,
    X: Any,
    n_components: SupportsIndex,
    *,
    pivots: Any = "rpcholesky",
    random_state: Any = 0,
    max_bytes: int | None = None,
    sample_weight: Any = None,
) -> NystromSpectrum:
    """Make what `Spectrum.nystrom` returns, where the arguments are described."""
    operator = _operator(kernel, X)
    n, n_pivots = operator.shape[0], require_positive_integer("n_components", n_components)
    if n_pivots > n:
        raise ValueError(f"n_components must be <= {n}, the number of points, got {n_components!r}")
    _require_room(max_bytes, n, n_pivots, operator.dtype.itemsize)
    matrix = _Whitened(operator, np.asarray(operator.X), _root_weight(sample_weight, operator))
    chosen = _landmarks(matrix, n_pivots, pivots, require_generator("random_state", random_state))
    roots = matrix.root[chosen.pivots]
    triangle = np.asfortranarray(chosen.factor[chosen.pivots] / roots[:, None])
    eigenvalues, eigenvectors, loadings = eigh_of_factor(chosen.factor)
    parts: dict[str, Any] = {
        "eigenvalues": eigenvalues,
        "eigenvectors": eigenvectors,
        "kernel": operator.kernel,
        "X_pivots": matrix.points[chosen.pivots],
        "pivots": chosen.pivots,
        "trace_error": chosen.trace_error,
        "triangle": triangle,
        "loadings": loadings,
    }
    spectrum: Any
    if sample_weight is None:
        spectrum = NystromSpectrum._trusted(**parts)
    else:
        spectrum = WeightedNystromSpectrum._trusted(**parts, root_weight=matrix.root)
    return spectrum


def _operator(kernel: Any, X: Any) -> Any:
    if is_gram_operator(kernel):
        if X is not None:
            raise TypeError("X must be left out when kernel is a Gram operator, which has points of its own")
        if not kernel.is_symmetric:
            raise ValueError(f"kernel must be a symmetric Gram operator, made without Y, got shape {kernel.shape}")
        return kernel
    if not isinstance(kernel, Kernel):
        given = repr(kernel) if isinstance(kernel, str) else f"a {type(kernel).__name__}"
        raise TypeError(f"kernel must be a Kernel or a Gram operator of kdtheory.kernels, got {given}")
    if X is None:
        raise TypeError("X must be given when kernel is a Kernel")
    return kernel.operator(X)


@dataclass(frozen=True, eq=False)
class _Whitened:
    """`S K S` of a Gram operator, by its columns."""

    operator: Any
    points: np.ndarray
    root: np.ndarray

    @property
    def dtype(self) -> Any:
        return self.operator.dtype

    def diagonal(self) -> np.ndarray:
        return self.operator.diagonal() * self.root**2

    def columns(self, indices: np.ndarray, /) -> np.ndarray:
        columns = self.operator.columns(indices)
        columns *= self.root[:, None]
        columns *= self.root[indices]
        return columns

    def between(self, indices: np.ndarray) -> np.ndarray:
        gram = self.operator.kernel.gram(self.points[indices])
        return self.root[indices][:, None] * gram * self.root[indices]


def _root_weight(sample_weight: Any, operator: LinearOperator) -> np.ndarray:
    ones = np.ones(operator.shape[0], dtype=operator.dtype)
    if sample_weight is None:
        return ones
    weights = require_weights("sample_weight", sample_weight, len(ones), like=ones)
    if np.any(weights == 0.0):
        raise ValueError(
            f"sample_weight must be > 0 for a Nyström spectrum, got 0 at index {int(np.argmin(weights))}:"
            " leave such points out of X and predict them with cross"
        )
    return np.sqrt(weights)


def _landmarks(matrix: _Whitened, n_pivots: int, rule: Any, rng: np.random.Generator) -> PartialCholesky:
    candidates = rule
    if isinstance(rule, str):
        if rule not in _RULES:
            raise ValueError(f"pivots must be one of {_RULES} or indices of points, got {rule!r}")
        if rule == "rpcholesky":
            return randomly_pivoted_cholesky(matrix, n_pivots, random_state=rng, between=matrix.between)
        points = matrix.points
        candidates = rng.permutation(len(points)) if rule == "uniform" else _spread(points, n_pivots, rng)
    return cholesky_at(matrix, candidates, n_pivots, between=matrix.between)


def _spread(X: np.ndarray, n_pivots: int, rng: np.random.Generator) -> np.ndarray:
    cluster = importlib.import_module("sklearn.cluster")
    _, indices = cluster.kmeans_plusplus(X, n_pivots, random_state=int(rng.integers(2**32)))
    return np.asarray(indices)


def _require_room(max_bytes: int | None, n: int, m: int, itemsize: int) -> None:
    least = itemsize * (n * (m + COLUMNS_AT_ONCE) + 2 * m * min(n, ROWS_AT_ONCE) + 8 * m * m)
    if max_bytes is not None and max_bytes < least:
        raise ValueError(f"max_bytes must be >= {least} for {m} components of {n} points, got {max_bytes!r}")
