"""Extreme eigenvalues of a Hessian by Lanczos' method, and the density of all of them by its quadrature."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import ndtr

from kdtheory._validation import (
    require_nonnegative_integer,
    require_positive,
    require_positive_integer,
    require_real,
    require_vector,
)
from kdtheory.nets._symmetric import FlatnessWarning, Products

Which = Literal["largest", "smallest", "both"]

_STEPS_BETWEEN = 5
"""Steps after which Ritz values are looked at again."""

_MOST_BYTES = 2**28
"""Memory for the bases of random vectors that are advanced together."""

_REACH = 4.0
"""Standard deviations that a grid goes beyond the nodes."""


@dataclass(frozen=True)
class Eigenvalues:
    """Extreme eigenvalues; made by `top_eigenvalues`.

    Attributes
    ----------
    values : array of shape (k,), or (2k,) for "both" if p is as large
        Descending.
    residuals : array of the same shape
        `‖H v − λ v‖` for unit Ritz vectors v: an eigenvalue is at most so far from each value.
    rounding : float
        Size of rounding errors in the products.
    n_products : int
    converged : bool
    """

    values: np.ndarray
    residuals: np.ndarray
    rounding: float
    n_products: int
    converged: bool

    @property
    def signs(self) -> np.ndarray:
        """Signs of the values; 0 for one that is within its error of 0, so that it has none."""
        certain = np.abs(self.values) > self.residuals + self.rounding
        return np.where(certain, np.sign(self.values), 0.0).astype(int)


def top_eigenvalues(
    hessian: Any,
    k: int = 1,
    *,
    which: Which = "largest",
    tol: float = 1e-10,
    max_products: int = 1000,
    seed: int = 0,
) -> Eigenvalues:
    """Find the largest or smallest eigenvalues of a symmetric operator.

    Parameters
    ----------
    hessian : LossHessian, matrix or linear operator of shape (p, p)
        Symmetric.
    k : int, default 1
        At most p.
    which : {"largest", "smallest", "both"}, default "largest"
        By sign, not by size; "both" gives k of either end from the same products.
    tol : float, default 1e-10
        Largest error, relative to the largest eigenvalue in size, but no less than rounding.
    max_products : int, default 1000
    seed : int, default 0
        Of the first vector.

    Returns
    -------
    Eigenvalues

    Raises
    ------
    ValueError, TypeError
        For other k, which or tol, and operators that are not square.

    Warns
    -----
    FlatnessWarning
        When the products are used up first.

    See Also
    --------
    scipy.sparse.linalg.eigsh : with restarts, so less memory and more products.

    Notes
    -----
    Lanczos' method with full reorthogonalisation, stopped by the errors of its Ritz values: `r²/gap` for a residual r
    and the distance to the next Ritz value, or r where that is less. Memory: one vector of p numbers for each product.
    An eigenvalue of several dimensions is found once more for each time that the method is started again, which is
    where the space of all products is exhausted; where it is not, it may be counted too few times.

    Source: Lanczos (1950); Parlett (1998), "The symmetric eigenvalue problem", sections 11 and 13.

    Examples
    --------
    >>> found = top_eigenvalues(np.diag([3.0, 1.0, 0.0, -2.0]), which="both")
    >>> found.values.round(8).tolist(), found.signs.tolist()
    ([3.0, -2.0], [1, -1])
    """
    products = Products(hessian)
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f"which must be 'largest', 'smallest' or 'both', got {which!r}")
    if require_positive_integer("k", k) > products.size:
        raise ValueError(f"k must be <= {products.size}, the size of the operator, got {k}")
    require_positive("tol", tol)
    budget = require_positive_integer("max_products", max_products)
    if budget < min(2 * k if which == "both" else k, products.size):
        raise ValueError(f"max_products must be >= the eigenvalues that are wanted, got {max_products}")
    found, _ = _extreme(products, k, which, tol, budget, seed)
    if not found.converged:
        warnings.warn(
            f"eigenvalues have residuals up to {found.residuals.max():.3g}, more than was asked for: max_products ="
            f" {max_products} are used up",
            FlatnessWarning,
            stacklevel=2,
        )
    return found


def _extreme(
    products: Products, k: int, which: Which, tol: float, budget: int, seed: int
) -> tuple[Eigenvalues, np.ndarray]:
    """Extreme eigenvalues with their Ritz vectors."""
    rng = np.random.default_rng(require_nonnegative_integer("seed", seed))
    run = _Lanczos(products, rng.standard_normal((1, products.size)), rng)
    most = min(budget, products.size)
    wanted = 2 * k if which == "both" else k
    while True:
        run.step()
        steps = run.steps
        if steps < most and (steps < min(wanted, most) or steps % _STEPS_BETWEEN):
            continue
        ritz, vectors = run.ritz(0)
        residuals = np.abs(run.beta[-1][0] * vectors[-1]) if steps < products.size else np.zeros(steps)
        scale = float(np.abs(ritz).max())
        rounding = products.eps * math.sqrt(products.size) * scale
        chosen = _chosen(len(ritz), k, which)
        gaps = np.minimum(np.diff(ritz, prepend=-np.inf), np.diff(ritz, append=np.inf))
        errors = residuals * np.minimum(1.0, residuals / np.maximum(gaps, np.finfo(float).tiny))
        converged = bool(np.all(errors[chosen] <= max(tol * scale, rounding))) and steps > wanted
        converged = converged or steps == products.size
        if converged or steps == most:
            found = Eigenvalues(ritz[chosen], residuals[chosen], rounding, products.count, converged)
            return found, run.basis(0).T @ vectors[:, chosen]


def _chosen(n: int, k: int, which: Which) -> np.ndarray:
    """Positions among ascending Ritz values, descending."""
    order = np.arange(n)[::-1]
    if which == "largest":
        return order[:k]
    return order[-k:] if which == "smallest" else np.unique(np.concatenate([order[:k], order[-k:]]))[::-1]


class _Lanczos:
    """Lanczos' method with full reorthogonalisation, from several vectors at once and each for itself."""

    def __init__(
        self, products: Products, start: np.ndarray, rng: np.random.Generator, outside: np.ndarray | None = None
    ) -> None:
        self._products, self._rng, self._outside = products, rng, outside
        self._room = np.empty((len(start), 16, products.size))
        self.alpha: list[np.ndarray] = []
        self.beta: list[np.ndarray] = []
        self._scale = np.zeros(len(start))
        self._next = self._cleaned(start)
        self._next /= np.linalg.norm(self._next, axis=1, keepdims=True)

    @property
    def steps(self) -> int:
        return len(self.alpha)

    def basis(self, i: int) -> np.ndarray:
        """Orthonormal vectors (steps, p) of one start."""
        return self._room[i, : self.steps]

    def step(self) -> None:
        """Multiply once."""
        now = self._next
        image = self._products(now.T).T
        self.alpha.append(np.sum(now * image, axis=1))
        self._scale = np.maximum(self._scale, _lengths(image))
        if self.steps > self._room.shape[1]:
            self._room = np.concatenate([self._room, np.empty_like(self._room)], axis=1)
        self._room[:, self.steps - 1] = now
        rest = self._cleaned(image)
        lengths = _lengths(rest)
        ended = lengths <= 10.0 * self._products.eps * math.sqrt(self._products.size) * self._scale
        if np.any(ended):  # an invariant space: go on outside it
            fresh = self._cleaned(self._rng.standard_normal(rest.shape))
            rest = np.where(ended[:, None], fresh, rest)
        sizes = _lengths(rest)[:, None]
        self.beta.append(np.where(ended, 0.0, lengths))
        self._next = rest / np.where(sizes > 0.0, sizes, 1.0)

    def ritz(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Ritz values of one start, ascending, and the eigenvectors of its tridiagonal matrix."""
        diagonal, beside = (np.array([each[i] for each in values]) for values in (self.alpha, self.beta[:-1]))
        if len(diagonal) == 1:
            return diagonal, np.ones((1, 1))
        return eigh_tridiagonal(diagonal, beside)

    def _cleaned(self, vectors: np.ndarray) -> np.ndarray:
        """Take away what lies in the space so far; twice, so that nothing of it is left."""
        for _ in range(2):
            if self._outside is not None:
                vectors = vectors - (vectors @ self._outside) @ self._outside.T
            vectors = np.stack([each - self.basis(i).T @ (self.basis(i) @ each) for i, each in enumerate(vectors)])
        return vectors


def _lengths(rows: np.ndarray) -> np.ndarray:
    """Norms of rows, also where their squares are too small for a double."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.where(largest > 0.0, largest, 1.0)
    return np.asarray(scale[:, 0] * np.linalg.norm(rows / scale, axis=1))


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """The density of eigenvalues; made by `spectral_density`.

    Attributes
    ----------
    grid : array of shape (m,)
    density : array of shape (m,)
        Of all eigenvalues, each a normal density of standard deviation `sigma`; it integrates to 1.
    nodes, weights : array of shape (r,)
        The same unsmoothed: shares of the eigenvalues at places. Weights sum to 1.
    sigma : float
    n_products : int
    """

    grid: np.ndarray
    density: np.ndarray
    nodes: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    sigma: float
    n_products: int

    def moment(self, order: int) -> float:
        """Give the mean power of the eigenvalues: times p, the trace of that power of the matrix.

        Parameters
        ----------
        order : int
            The power, >= 0.

        Returns
        -------
        float
        """
        return float(np.sum(self.weights * self.nodes ** require_nonnegative_integer("order", order)))

    def cumulative(self, x: Any) -> np.ndarray:
        """Share of the eigenvalues up to places x, of the smoothed density.

        Parameters
        ----------
        x : array of shape (m,)

        Returns
        -------
        array of shape (m,)
        """
        places = np.asarray(require_vector("x", x))
        return ndtr((places[:, None] - self.nodes) / self.sigma) @ self.weights


def spectral_density(
    hessian: Any,
    *,
    n_probes: int = 16,
    n_steps: int = 40,
    n_exact: int | None = None,
    sigma: float | None = None,
    grid: Any = None,
    seed: int = 0,
) -> SpectralDensity:
    """Estimate the density of the eigenvalues of a symmetric operator.

    Parameters
    ----------
    hessian : LossHessian, matrix or linear operator of shape (p, p)
        Symmetric.
    n_probes : int, default 16
        Random vectors.
    n_steps : int, default 40
        Products for each.
    n_exact : int, optional
        Eigenvalues at the upper end that are found first, and counted exactly. Default: 30, or a tenth of all.
    sigma : float, optional
        Standard deviation of the smoothing. Default: 1/100 of the range of the eigenvalues.
    grid : array of shape (m,), optional
        Where to evaluate it. Default: 1000 places, a sixth of sigma apart, or as many as that takes.
    seed : int, default 0

    Returns
    -------
    SpectralDensity

    Raises
    ------
    ValueError, TypeError
        For a sigma that is not positive, n_exact of the size of the operator or more, and operators that are not
        square.

    See Also
    --------
    matfree.funm : traces of matrix functions by the same quadrature, which takes no operator that works in batches.

    Notes
    -----
    Stochastic Lanczos quadrature: a random vector sees every eigenvalue with the same weight on average, and the Ritz
    values of a few steps are nodes of a Gauss rule for it, exact for moments up to `2·n_steps − 1`. Few large
    eigenvalues make most of the moments of a Hessian, and random weights of theirs most of the error: so they are
    found first, and random vectors drawn orthogonal to them. Eigenvalues of many dimensions, as those at 0, are one
    node whose weight is their share; where vectors exhaust their space, the method is started again outside it, with
    weights of 0.

    Source: Golub & Meurant (2010), chapter 11; Ubaru, Chen & Saad (2017); Ghorbani, Krishnan & Xiao (2019) for
    Hessians.

    Examples
    --------
    >>> found = spectral_density(np.diag(np.repeat([0.0, 1.0], [90, 10])), n_steps=4, n_exact=0, sigma=0.1)
    >>> found.nodes.shape, round(found.moment(0), 8)
    ((64,), 1.0)
    """
    products = Products(hessian)
    n_probes, n_steps = require_positive_integer("n_probes", n_probes), require_positive_integer("n_steps", n_steps)
    n_exact = min(30, products.size // 10) if n_exact is None else require_nonnegative_integer("n_exact", n_exact)
    if n_exact >= products.size:
        raise ValueError(f"n_exact must be < {products.size}, the size of the operator, got {n_exact}")
    if sigma is not None:
        require_positive("sigma", sigma)
    nodes, weights = [np.zeros(0)], [np.zeros(0)]
    outside, left = None, products.size
    if n_exact:
        top, outside = _extreme(products, n_exact, "largest", 1e-10, products.size, seed)
        nodes.append(top.values)
        weights.append(np.full(n_exact, 1.0 / products.size))
        left -= n_exact
    n_steps = min(n_steps, left)
    rng = np.random.default_rng([require_nonnegative_integer("seed", seed), 1])
    together = max(1, _MOST_BYTES // (8 * products.size * n_steps))
    for start in range(0, n_probes, together):
        some = min(together, n_probes - start)
        run = _Lanczos(products, rng.standard_normal((some, products.size)), rng, outside)
        for _ in range(n_steps):
            run.step()
        for i in range(some):
            ritz, vectors = run.ritz(i)
            nodes.append(ritz)
            weights.append(vectors[0] ** 2 * (left / products.size / n_probes))
    return _smoothed(np.concatenate(nodes), np.concatenate(weights), sigma, grid, products.count)


def _smoothed(
    nodes: np.ndarray, weights: np.ndarray, sigma: float | None, grid: Any, n_products: int
) -> SpectralDensity:
    low, high = float(nodes.min()), float(nodes.max())
    if sigma is None:
        sigma = 0.01 * (high - low) or 0.01 * abs(high) or 1.0
    if grid is None:
        low, high = low - _REACH * sigma, high + _REACH * sigma
        grid = np.linspace(low, high, max(1000, math.ceil(6.0 * (high - low) / require_real("sigma", sigma))))
    places = np.asarray(require_vector("grid", grid))
    return SpectralDensity(places, smooth(places, nodes, weights, sigma), nodes, weights, sigma, n_products)


def smooth(grid: np.ndarray, nodes: np.ndarray, weights: np.ndarray, sigma: float) -> np.ndarray:
    """Density of weighted nodes, each spread by a normal distribution of standard deviation sigma."""
    density = np.zeros(len(grid))
    for start in range(0, len(nodes), 512):
        distance = (grid[:, None] - nodes[start : start + 512]) / sigma
        density += np.exp(-0.5 * distance**2) @ weights[start : start + 512]
    return density / (sigma * math.sqrt(2.0 * math.pi))
