"""The density of all eigenvalues of a Hessian, by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from kdtheory._validation import (
    require_nonnegative_integer,
    require_positive,
    require_positive_integer,
    require_real,
    require_vector,
)
from kdtheory.nets._lanczos import LanczosRuns
from kdtheory.nets._symmetric import Products
from kdtheory.nets.eigenvalues import extreme_eigenvalues

_MOST_BYTES = 2**28
"""Memory for the bases of random vectors that are advanced together."""

_REACH = 4.0
"""Standard deviations that a grid goes beyond the nodes."""


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
        top, outside = extreme_eigenvalues(products, n_exact, "largest", 1e-10, products.size, seed)
        nodes.append(top.values)
        weights.append(np.full(n_exact, 1.0 / products.size))
        left -= n_exact
    n_steps = min(n_steps, left)
    rng = np.random.default_rng([require_nonnegative_integer("seed", seed), 1])
    together = max(1, _MOST_BYTES // (8 * products.size * n_steps))
    for start in range(0, n_probes, together):
        some = min(together, n_probes - start)
        run = LanczosRuns(products, rng.standard_normal((some, products.size)), rng, outside)
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
