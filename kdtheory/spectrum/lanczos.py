"""The spectrum of a huge Gram matrix as some targets see it.

`U q(d) Uᵀ y` on the Krylov space of y is the Lanczos approximation of `q(K) y`. It converges for every filter at once,
for a ridge as fast as conjugate gradients, and needs nothing of K but products.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from scipy.sparse.linalg import aslinearoperator

from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array, QFilter
from kdtheory._validation import require_array, require_positive, require_positive_integer, require_targets
from kdtheory.kernels.base import is_gram_operator
from kdtheory.spectrum._krylov import KrylovSpace, largest_residual, residual
from kdtheory.spectrum._lengths import column_lengths
from kdtheory.spectrum._preconditioned import PreconditionedSpace
from kdtheory.spectrum.base import Spectrum

_OUTSIDE = 1e-10
_GROWTH = 1.15
_CLEARLY = 10.0
_USUAL_ACCURACY = 1e-3
"""What is expected of filters that nobody named."""


class LanczosWarning(UserWarning):
    """A filter is not as exact as was asked for: iterations were used up, or it is not one that was named."""


@dataclass(frozen=True, eq=False, repr=False)
class LanczosSpectrum(Spectrum):
    """The spectrum of a Gram matrix on the Krylov space of some targets; made by `Spectrum.lanczos`.

    Filters on it are those of the whole matrix, for these targets and their combinations, as exactly as `residuals`
    says. The modes that the targets do not have are not known, so traces such as degrees of freedom, and leave-one-out
    errors, are refused.

    Attributes
    ----------
    eigenvalues : array of shape (r,)
        Ritz values, descending.
    eigenvectors : array of shape (n, r)
        Ritz vectors, an orthonormal basis of the space.
    boundary : array of shape (b, r)
        `K U − U diag(d)` is an orthonormal block times this.
    accuracy : float
        Largest residual that the filters which it was made for have. Others that are clearly worse, or worse than 1e-3
        if it was made for none, are used with a `LanczosWarning`.
    """

    boundary: Array
    accuracy: float

    @property
    def is_whole(self) -> bool:
        """False: only the modes of some targets are known."""
        return False

    def coordinates(self, y: Array, /) -> Array:
        """Return `Uᵀ y` for targets that lie in the space.

        Raises
        ------
        ValueError
            For other targets, of which the spectrum knows nothing.
        """
        targets, coordinates = self.whiten(y), super().coordinates(y)
        sizes, outside = (column_lengths(each) for each in (targets, targets - self.eigenvectors @ coordinates))
        if np.any(outside > _OUTSIDE * sizes):
            share = np.max(outside / np.where(sizes > 0.0, sizes, 1.0))
            raise ValueError(
                "y must be the targets that the LanczosSpectrum was made for, or a combination of them, got targets of"
                f" which the part {share:.3g} lies outside its space"
            )
        return coordinates

    def lift_fitted(self, coefficient: Array, shrinkage: Array, coordinates: Array, /) -> Array:
        """Return the fitted values of models, with a warning if they are not those of the whole matrix."""
        self._warn_if_inexact(coefficient, coordinates)
        return super().lift_fitted(coefficient, shrinkage, coordinates)

    def lift_dual_coef(self, coefficient: Array, coordinates: Array, /) -> Array:
        """Return the dual coefficients of models, with a warning if they are not those of the whole matrix."""
        self._warn_if_inexact(coefficient, coordinates)
        return super().lift_dual_coef(coefficient, coordinates)

    def _warn_if_inexact(self, coefficient: Array, coordinates: Array) -> None:
        sizes = column_lengths(coordinates)
        rows = np.reshape(coefficient, (-1, np.shape(coefficient)[-1]))
        worst = max(float(np.max(residual(self.boundary, row, coordinates, sizes))) for row in rows)
        if worst > _CLEARLY * self.accuracy:
            warnings.warn(
                f"a filter has the residual {worst:.3g} on this LanczosSpectrum, which was made for filters of at most"
                f" {self.accuracy:.3g}: name it in filter_, or take more iterations",
                LanczosWarning,
                stacklevel=2,
            )

    def residuals(self, y: Any, filter_: QFilter | Sequence[QFilter]) -> np.ndarray:
        """How far `K c` is from the fitted values of models with the dual coefficients c, relative to the targets.

        Parameters
        ----------
        y : array of shape (n,) or (n, k)
            Targets.
        filter_ : Filter, callable or sequence of them
            Filters, or other functions of the eigenvalues that return `q(d)`.

        Returns
        -------
        array of shape (), (k,), (n_filters,) or (n_filters, k)
            For `Ridge` the relative residual `‖(K + ridge·I) c − y‖ / ‖y‖`, also an upper bound of the error of the
            fitted values over ‖y‖; for other filters an estimate of it.

        Raises
        ------
        ValueError, TypeError
            For targets outside the space.

        Notes
        -----
        Nothing is multiplied by K: cost O(n·r·k). Source: Saad (1992), "Analysis of some Krylov subspace approximations
        to the matrix exponential operator", section 5.

        Examples
        --------
        >>> import numpy as np
        >>> from kdtheory import Ridge
        >>> y = np.ones(100)
        >>> spectrum = Spectrum.lanczos(np.diag(np.arange(1.0, 101.0)), y, 12)
        >>> spectrum.residuals(y, [Ridge(100.0), Ridge(10.0)]).round(5)
        array([0.     , 0.00047])
        """
        coordinates, sizes = self.coordinates(y), column_lengths(self.whiten(y))
        filters = _filters(filter_)
        relative = [residual(self.boundary, each(self.eigenvalues), coordinates, sizes) for each in filters]
        return np.stack(relative) if isinstance(filter_, Sequence) else relative[0]


def lanczos_spectrum(
    operator: Any,
    targets: Any,
    n_iterations: SupportsIndex,
    *,
    filter_: QFilter | Sequence[QFilter] | None = None,
    tolerance: SupportsFloat = 1e-8,
    preconditioner: Spectrum | None = None,
    least_scale: float = 0.0,
) -> LanczosSpectrum:
    """Make what `Spectrum.lanczos` returns, where the arguments are described.

    What is left of a matrix with entries up to `least_scale`, as centring leaves it, has their rounding errors. So has
    what is left of a kernel's where the targets have little of its largest modes.
    """
    products = _symmetric_operator(operator)
    if is_gram_operator(products) and products.is_symmetric:
        least_scale = max(least_scale, float(np.max(products.diagonal())))
    y = np.asarray(require_targets("targets", targets, products.shape[0], like=np.zeros(0)))
    most, accuracy = require_positive_integer("n_iterations", n_iterations), require_positive("tolerance", tolerance)
    filters = [] if filter_ is None else _filters(filter_)
    columns = y.reshape(len(y), -1)
    space: KrylovSpace | PreconditionedSpace
    more = "more iterations or "
    if preconditioner is None:
        space = KrylovSpace(products, columns, most, least_scale=least_scale)
        taken, reached = most, _iterate(space, most, filters, accuracy)
    else:
        _require_preconditioner(preconditioner, len(y), filters)
        space = PreconditionedSpace(products, columns, filters, preconditioner, least_scale=least_scale)
        taken, reached = _iterate_preconditioned(space, most, accuracy)
        more = "" if space.is_complete else more
    if reached > accuracy:
        warnings.warn(
            f"{taken} Lanczos iterations reached the residual {reached:.3g}, not the tolerance {accuracy:.3g}:"
            f" {more}a larger ridge would help",
            LanczosWarning,
            stacklevel=3,
        )
    d, vectors = space.ritz()
    boundary = space.boundary @ vectors
    found = max(reached, accuracy) if filters else _USUAL_ACCURACY
    return LanczosSpectrum._trusted(
        eigenvalues=d, eigenvectors=space.rotate(vectors), boundary=boundary, accuracy=found
    )


def _iterate(
    space: KrylovSpace, most: int, filters: list[Callable[[np.ndarray], np.ndarray]], accuracy: float
) -> float:
    """Return the largest residual of the filters, zero without filters and where the space ended."""
    next_look, reached = 1.0, 0.0
    for step in range(1, most + 1):
        if not space.grow():
            return 0.0
        size = len(space.matrix)
        if filters and (size >= next_look or step == most):
            next_look = _GROWTH * size + 1.0
            reached = largest_residual(space, filters)
            if reached <= accuracy:
                break
    return reached


def _iterate_preconditioned(space: PreconditionedSpace, most: int, accuracy: float) -> tuple[int, float]:
    """Return the number of steps, and the largest residual of the filters."""
    taken, reached = 0, np.inf
    while taken < most and not space.is_complete:
        taken, reached = taken + 1, space.grow(accuracy)
    return taken, reached


def _require_preconditioner(
    preconditioner: Any, n_points: int, filters: list[Callable[[np.ndarray], np.ndarray]]
) -> None:
    if not isinstance(preconditioner, Spectrum):
        raise TypeError(f"preconditioner must be a Spectrum or None, got {preconditioner!r}")
    if preconditioner.n_points != n_points:
        raise ValueError(f"preconditioner must be of {n_points} points, got {preconditioner!r}")
    if not filters:
        raise ValueError("filter_ must name the filters that a preconditioner is to be used for, got None")


def _filters(filter_: Any) -> list[Callable[[np.ndarray], np.ndarray]]:
    filters = list(filter_) if isinstance(filter_, Sequence) and not isinstance(filter_, str) else [filter_]
    if not filters:
        raise ValueError("filter_ must hold at least one filter, got an empty sequence")
    for each in filters:
        if not callable(each):
            raise TypeError(f"filter_ must be a Filter, a function of the eigenvalues, or a sequence, got {each!r}")
    return filters


def _symmetric_operator(operator: Any) -> Any:
    products = (
        operator if isinstance(operator, LinearOperator) else aslinearoperator(require_array("operator", operator))
    )
    if products.shape[0] != products.shape[1]:
        raise ValueError(f"operator must be square, got shape {tuple(products.shape)}")
    return products
