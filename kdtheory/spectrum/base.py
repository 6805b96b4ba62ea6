"""The spectrum itself: eigenvalues, eigenvectors, and lifting filters with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from kdtheory._cross import require_cross_gram
from kdtheory._decomposition import without_direction
from kdtheory._factored import FactoredEigenvectors
from kdtheory._interop import from_numpy
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_ndim,
    require_representable,
    require_targets,
    require_weights,
)
from kdtheory.spectrum.sources import SpectrumSources


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(SpectrumSources):
    """Eigenvalues and eigenvectors of a positive semi-definite Gram matrix, `K = U diag(d) Uᵀ`.

    Usually made by `Spectrum.from_gram`; an eigendecomposition from elsewhere can be given directly. Fewer
    eigenvectors than points mean that K is zero on all other directions.

    Parameters
    ----------
    eigenvalues : array of shape (r,)
        Eigenvalues d >= 0, descending.
    eigenvectors : array of shape (n, r)
        Orthonormal columns U, in the order of the eigenvalues. Orthonormality is the caller's promise: it is not
        checked, since the check costs as much as many uses.

    Raises
    ------
    ValueError
        For wrong shapes, values that are not finite, negative or ascending eigenvalues.

    Examples
    --------
    >>> import numpy as np
    >>> Spectrum.from_gram(np.array([[2.0, 1.0], [1.0, 2.0]]))
    Spectrum(n_points=2, rank=2, d_max=3, d_min=1)
    """

    eigenvalues: Array
    eigenvectors: Array

    def __post_init__(self) -> None:
        d = require_array("eigenvalues", self.eigenvalues)
        require_ndim("eigenvalues", d, 1)
        u = require_array("eigenvectors", self.eigenvectors, like=d)
        require_ndim("eigenvectors", u, 2)
        if u.shape[1] != d.shape[0] or u.shape[0] < d.shape[0]:
            raise ValueError(
                f"eigenvectors must have {d.shape[0]} columns, one for each eigenvalue, and at least as many rows,"
                f" got shape {tuple(u.shape)}"
            )
        xp = array_namespace(d)
        if bool(xp.any(d < 0.0)):
            raise ValueError(f"eigenvalues must be >= 0, got {float(xp.min(d))}")
        if bool(xp.any(d[1:] > d[:-1])):
            raise ValueError("eigenvalues must be descending, got an ascending pair")
        # Copies: results are computed later, and must not follow what the caller does to the arrays until then.
        object.__setattr__(self, "eigenvalues", xp.asarray(d, copy=True))
        object.__setattr__(self, "eigenvectors", xp.asarray(u, copy=True))

    @classmethod
    def _trusted(cls, **parts: Any) -> Self:
        """Make a spectrum of arrays that are known to be right and belong to nobody else."""
        spectrum = object.__new__(cls)
        vars(spectrum).update(parts)
        return spectrum

    def __getattr__(self, name: str) -> Any:
        """Multiply out eigenvectors that were left in factors, when they are first asked for."""
        factors = vars(self).get("_factors")
        if name != "eigenvectors" or factors is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self)["eigenvectors"] = factors.dense()
        vars(self).pop("_factors", None)
        return vars(self)["eigenvectors"]

    @property
    def is_whole(self) -> bool:
        """Whether every mode of the matrix is known, or those of some targets only, as to Lanczos iterations."""
        return True

    def require_whole(self, what: str) -> None:
        """Refuse to compute what needs every mode of the matrix, when some are not known.

        Parameters
        ----------
        what : str
            What was asked for, named in the message.

        Raises
        ------
        TypeError
            On the spectrum of some targets only, such as one from `Spectrum.lanczos`.
        """
        if not self.is_whole:
            raise TypeError(
                f"{what} needs every mode of K, and a {type(self).__name__} knows those of its targets only: use"
                " Spectrum.from_gram or Spectrum.nystrom"
            )

    def require_cross(self, name: str, value: Any, /) -> Any:
        """Check kernel values between new points and those of the spectrum, for predictions.

        Parameters
        ----------
        name : str
            Name of the argument, for messages.
        value : array of shape (m, n)
            Kernel values.

        Returns
        -------
        array of shape (m, n)
            Of the library, dtype and device of the eigenvalues.

        Raises
        ------
        ValueError, TypeError
            For another shape, or entries that are not finite real numbers.
        """
        return require_cross_gram(name, value, self.n_points, like=self.eigenvalues)

    @property
    def n_points(self) -> int:
        """Number n of points."""
        factors = vars(self).get("_factors")
        return factors.n_points if factors is not None else int(self.eigenvectors.shape[0])

    @property
    def n_weighed(self) -> int:
        """Number of points that losses take notice of: all of them, unless some have the sample weight zero."""
        return self.n_points

    @property
    def rank(self) -> int:
        """Number of eigenvalues greater than zero."""
        xp = array_namespace(self.eigenvalues)
        return int(xp.count_nonzero(self.eigenvalues))

    def positive(self) -> Spectrum:
        """Return the spectrum of the same matrix without its zero eigenvalues.

        Returns
        -------
        Spectrum

        Raises
        ------
        ValueError
            When every eigenvalue is zero.

        Examples
        --------
        >>> import numpy as np
        >>> Spectrum.from_gram(np.ones((3, 3))).positive()
        Spectrum(n_points=3, rank=1, d_max=3, d_min=3)
        """
        if self.rank == 0:
            raise ValueError("eigenvalues must hold at least one value > 0, got zeros only")
        kept = self.eigenvectors[:, : self.rank]
        return self._trusted(eigenvalues=self.eigenvalues[: self.rank], eigenvectors=kept, **self._others())

    def without(self, direction: Array, /) -> Spectrum:
        """Return the spectrum of the same matrix without a direction on which it is zero.

        Parameters
        ----------
        direction : array of shape (n,)
            Of length 1.

        Returns
        -------
        Spectrum
            With one eigenvalue less, the last.

        Raises
        ------
        TypeError
            On the spectrum of some targets only.
        """
        self.require_whole("Spectrum.without")
        kept = without_direction(self.eigenvectors, direction)
        return self._trusted(eigenvalues=self.eigenvalues[:-1], eigenvectors=kept, **self._others())

    def _others(self) -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name in ("root_weight", "gram", "boundary", "accuracy")
        }

    def reweighted(self, sample_weight: Array, /) -> Spectrum:
        """Return the spectrum for losses in which every point weighs that many times more; one more decomposition.

        Parameters
        ----------
        sample_weight : array of shape (n,)
            Factors >= 0, not all zero.

        Returns
        -------
        Spectrum

        Raises
        ------
        ValueError, TypeError
            For wrong weights, and on the spectrum of some targets only.

        Examples
        --------
        >>> Spectrum.from_gram([[2.0, 0.0], [0.0, 1.0]]).reweighted([1.0, 5.0])
        WeightedSpectrum(n_points=2, rank=2, d_max=5, d_min=2)
        """
        from kdtheory.spectrum.gram import decompose_factor

        self.require_whole("Spectrum.reweighted")
        factor = self.low_rank_factor()
        if factor is None:
            return Spectrum.from_gram(self.gram_matrix(), sample_weight)
        weights = require_weights("sample_weight", sample_weight, self.n_points, like=self.eigenvalues)
        if np.any(weights == 0.0):
            return Spectrum.from_gram(self.gram_matrix(), weights)
        return decompose_factor(factor, weights)

    def low_rank_factor(self) -> np.ndarray | None:
        """Return F with `K = F Fᵀ`, if the spectrum knows fewer than n modes.

        Returns
        -------
        array of shape (n, r), or None
            A new array; None where r is n or arrays are not numpy's.
        """
        if self.eigenvalues.shape[0] == self.n_points or not is_numpy_array(self.eigenvalues):
            return None
        return np.multiply(self.eigenvectors, np.sqrt(self.eigenvalues), order="F")

    def gram_matrix(self) -> Array:
        """Return the Gram matrix, multiplied out again; with sample weights, it is the one before weighting.

        Returns
        -------
        array of shape (n, n)

        Raises
        ------
        TypeError
            On the spectrum of some targets only.
        """
        self.require_whole("Spectrum.gram_matrix")
        gram = (self.eigenvectors * self.eigenvalues) @ self.eigenvectors.T
        return 0.5 * gram + 0.5 * gram.T

    def weights(self) -> Array:
        """Return the sample weights.

        Returns
        -------
        array of shape (n,)
        """
        return from_numpy(np.ones(self.n_points), like=self.eigenvalues)

    def whiten(self, y: Array, /) -> Array:
        """Return targets in units in which all points weigh the same.

        Parameters
        ----------
        y : array of shape (n,) or (n, k)

        Returns
        -------
        array of the same shape
            `√w·y` for the sample weights w.

        Raises
        ------
        ValueError, TypeError
            For another shape, or entries that are not finite real numbers.
        """
        return require_targets("y", y, self.n_points, like=self.eigenvalues)

    def coordinates(self, y: Array, /) -> Array:
        """Return `Uᵀ y`, the components of (whitened) targets along the eigenvectors.

        Parameters
        ----------
        y : array of shape (n,) or (n, k)

        Returns
        -------
        array of shape (r,) or (r, k)

        Raises
        ------
        ValueError, TypeError
            For another shape, or entries that are not finite real numbers.
        OverflowError
            When a component is beyond the floating-point range.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return require_representable(self._multiply_transposed(self.whiten(y)), "the component of y")

    def lift_fitted(self, coefficient: Array, shrinkage: Array, coordinates: Array, /) -> Array:
        """Return the fitted values of models.

        Parameters
        ----------
        coefficient, shrinkage : array of shape (..., r)
            Coefficient filter and shrinkage of every model.
        coordinates : array of shape (r,) or (r, k)
            Components of the targets, from `Spectrum.coordinates`.

        Returns
        -------
        array of shape (..., n) or (..., n, k)
        """
        del coefficient
        return self.lift(shrinkage, coordinates)

    def lift_dual_coef(self, coefficient: Array, coordinates: Array, /) -> Array:
        """Return the dual coefficients of models.

        Parameters
        ----------
        coefficient : array of shape (..., r)
            Coefficient filter of every model.
        coordinates : array of shape (r,) or (r, k)
            Components of the targets, from `Spectrum.coordinates`.

        Returns
        -------
        array of shape (..., n) or (..., n, k)
        """
        return self.lift(coefficient, coordinates)

    def lift(self, values: Array, coordinates: Array, /) -> Array:
        """Return `U diag(values) coordinates` for every row of `values`, all rows in one matrix product.

        Parameters
        ----------
        values : array of shape (..., r)
            Functions of the eigenvalues, such as the shrinkage of many filters.
        coordinates : array of shape (r,) or (r, k)
            Components of the targets, from `Spectrum.coordinates`.

        Returns
        -------
        array of shape (..., n) or (..., n, k)
            One vector of length n for each row of `values` and each column of the coordinates.

        Raises
        ------
        OverflowError
            When a result is beyond the floating-point range.
        """
        xp = array_namespace(values)
        models, outputs = tuple(values.shape[:-1]), tuple(coordinates.shape[1:])
        with np.errstate(over="ignore", invalid="ignore"):
            weighted = values[..., None, :] * coordinates.T if outputs else values * coordinates
            # One product of two matrices: a stack of thin ones would read the eigenvectors again for each of them.
            lifted = self._multiply(xp.reshape(weighted, (-1, values.shape[-1])).T).T
        lifted = xp.reshape(require_representable(lifted, "the lifted value"), (*models, *outputs, self.n_points))
        return xp.matrix_transpose(lifted) if outputs else lifted

    def _multiply(self, columns: Array) -> Array:
        """`U @ columns`."""
        factors = self._cheaper_factors(columns)
        return self.eigenvectors @ columns if factors is None else factors.multiply(columns)

    def _multiply_transposed(self, columns: Array) -> Array:
        """`Uᵀ @ columns`."""
        factors = self._cheaper_factors(columns)
        return self.eigenvectors.T @ columns if factors is None else factors.multiply_transposed(columns)

    def _cheaper_factors(self, columns: Array) -> FactoredEigenvectors | None:
        """Return the factors of U until the products so far have cost what multiplying them out costs."""
        factors: FactoredEigenvectors | None = vars(self).get("_factors")
        if factors is None:
            return None
        spent = vars(self)["_spent"] + factors.cost(1 if columns.ndim == 1 else columns.shape[1])
        vars(self)["_spent"] = spent
        return factors if spent <= 1.0 else None

    def __repr__(self) -> str:
        first, last = float(self.eigenvalues[0]), float(self.eigenvalues[-1])
        return f"{type(self).__name__}(n_points={self.n_points}, rank={self.rank}, d_max={first:.6g}, d_min={last:.6g})"
