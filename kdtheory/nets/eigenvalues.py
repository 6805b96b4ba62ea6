"""Extreme eigenvalues of a Hessian by Lanczos' method."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kdtheory._validation import require_nonnegative_integer, require_positive, require_positive_integer
from kdtheory.nets._lanczos import LanczosRuns
from kdtheory.nets._symmetric import FlatnessWarning, Products

Which = Literal["largest", "smallest", "both"]

_STEPS_BETWEEN = 5
"""Steps after which Ritz values are looked at again."""


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
    found, _ = extreme_eigenvalues(products, k, which, tol, budget, seed)
    if not found.converged:
        warnings.warn(
            f"eigenvalues have residuals up to {found.residuals.max():.3g}, more than was asked for: max_products ="
            f" {max_products} are used up",
            FlatnessWarning,
            stacklevel=2,
        )
    return found


def extreme_eigenvalues(
    products: Products, k: int, which: Which, tol: float, budget: int, seed: int
) -> tuple[Eigenvalues, np.ndarray]:
    """Extreme eigenvalues with their Ritz vectors."""
    rng = np.random.default_rng(require_nonnegative_integer("seed", seed))
    run = LanczosRuns(products, rng.standard_normal((1, products.size)), rng)
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
