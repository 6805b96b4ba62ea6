"""The spectrum itself: eigenvalues, eigenvectors, and lifting filters with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from kdtheory._decomposition import without_direction
from kdtheory._interop import from_numpy
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_bool,
    require_ndim,
    require_nonnegative,
    require_representable,
    require_targets,
    require_weights,
)

if TYPE_CHECKING:
    from kdtheory.kernels import Kernel
    from kdtheory.spectrum.lanczos import LanczosSpectrum
    from kdtheory.spectrum.nystrom import NystromSpectrum

QFilter = Callable[[Array], Array]
"""A function of the eigenvalues, such as a filter."""


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
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

    @classmethod
    def from_gram(
        cls, K: Any, sample_weight: Any = None, *, tolerance: float = 0.0, overwrite_K: bool = False
    ) -> Spectrum:
        """Decompose a Gram matrix.

        Parameters
        ----------
        K : array of shape (n, n)
            Symmetric positive semi-definite Gram matrix of numpy, jax, torch or another array API library.
        sample_weight : array of shape (n,), optional
            Weights w >= 0 of the points in every loss of the models on this spectrum, `½ Σ w_i (f(x_i) − y_i)²`; a
            weight counts as so many copies of its point, and penalties are not rescaled. Default: one each.
        tolerance : float
            A positive tolerance allows the eigenvectors of a low-rank factor, whose remainder, the part of K (with
            sample weights, of `S K S`) that is left out, has a trace of at most the tolerance, or of `n·eps·d_max`
            if that is larger. When the numerical rank of K is too large for that to pay, the whole decomposition is
            made all the same, and so it is for arrays of other libraries than numpy.
        overwrite_K : bool, default False
            Allow the memory of K to be used, which saves one n × n matrix: K then holds something else. Takes effect
            for numpy arrays in C order.

        Returns
        -------
        Spectrum
            All n eigenvalues, descending, or those of the low-rank factor, with arrays of the library, dtype and
            device of K. Eigenvalues within rounding of zero, `n·eps·d_max`, are set to zero, and so are negative
            ones up to a thousand times that, which the kernel functions of other libraries leave behind.

        Raises
        ------
        ValueError
            When K is not square, not finite, not symmetric to 1e-8 of its largest entry, or clearly indefinite; when
            a sample weight is negative, or all are zero.
        TypeError
            When K does not hold real numbers.
        OverflowError
            When the largest eigenvalue is beyond the floating-point range.

        Notes
        -----
        Cost: `O(n³)` once, and memory for three further n × n matrices, or two with `overwrite_K`. numpy arrays go to
        the first two parts of LAPACK's divide-and-conquer driver, which is as fast as any of its drivers
        (`benchmarks/bench_core.py`); its third part, multiplying out the eigenvectors, waits until they are asked for
        or n columns have been lifted. Other libraries use their own `linalg.eigh`.

        A low-rank factor with r columns costs `O(n·r²)` and, to see that K is what the factor says, `n²·r`. With a
        remainder E, fitted values and leave-one-out residuals of ridge regression change by about `tr E / ridge`,
        relatively: `1e-8·ridge` keeps eight digits, as far as rounding, up to `n·eps·d_max / ridge`, leaves them.
        Dual coefficients lack their part outside the eigenvectors, which leaves the function at the training points
        as it is but changes predictions elsewhere by up to `√(tr E · k(x, x)) · ‖y‖ / ridge`: fit the model that is
        chosen on the whole spectrum. Negative eigenvalues of K no larger than the tolerance may pass unseen;
        everything else that is refused without a tolerance is refused with one.

        See Also
        --------
        scipy.linalg.eigh : the same decomposition, ascending and without the checks.

        Examples
        --------
        >>> import numpy as np
        >>> Spectrum.from_gram(np.ones((3, 3))).eigenvalues
        array([3., 0., 0.])
        >>> Spectrum.from_gram(np.ones((3, 3)), tolerance=1e-9)
        Spectrum(n_points=3, rank=1, d_max=3, d_min=3)
        """
        from kdtheory.spectrum.gram import decompose_gram, symmetric_gram  # they make spectra, and so import this

        tolerance = require_nonnegative("tolerance", tolerance)
        gram = symmetric_gram(K, overwrite=require_bool("overwrite_K", overwrite_K))
        if sample_weight is None:
            return decompose_gram(gram, None, tolerance)
        weights = require_weights("sample_weight", sample_weight, gram.shape[0], like=gram)
        return decompose_gram(gram, weights, tolerance)

    @classmethod
    def nystrom(
        cls,
        kernel: Kernel,
        X: Any,
        n_components: SupportsIndex,
        *,
        pivots: Any = "rpcholesky",
        random_state: Any = 0,
        max_bytes: int | None = None,
        sample_weight: Any = None,
    ) -> NystromSpectrum:
        """Decompose the Nyström approximation of a kernel matrix that is never computed.

        Parameters
        ----------
        kernel : Kernel
            From `kdtheory.kernels`.
        X : array of shape (n, d)
            Points; float32 gives a spectrum of single precision.
        n_components : int
            Number m of landmarks, from 1 to n.
        pivots : {"rpcholesky", "uniform", "kmeans++"} or sequence of ints, default "rpcholesky"
            How landmarks are chosen: by randomly pivoted Cholesky, at random, far from each other (needs scikit-learn),
            or the given indices in their order.
        random_state : int >= 0 or numpy.random.Generator, default 0
        max_bytes : int, optional
            Most bytes for the factor of the matrix, in whose memory the eigenvectors end up, and for work space.
        sample_weight : array of shape (n,), optional
            Weights w > 0 of the points in every loss, as in `Spectrum.from_gram`; points that weigh more are likelier
            to be landmarks by "rpcholesky". Points without weight can be left out of X and predicted with `cross`.

        Returns
        -------
        NystromSpectrum
            A `WeightedNystromSpectrum` with sample weights. With fewer than m landmarks, and a `RankWarning`, when the
            others depend on these to rounding, as duplicates do.

        Raises
        ------
        ValueError, TypeError
            For more components than points, points that are not finite (the row is named), an unknown choice of pivots,
            `max_bytes` too small (the message says the least that works), sample weights that are not all > 0, and for
            a kernel that shows itself not to be positive semi-definite.

        Notes
        -----
        Cost: m columns of the kernel matrix and about `6 n·m²`, in matrix products; memory for `n·m` numbers and a few
        hundred columns more.

        K̂ is what ridge regression in the span of the landmarks' kernel functions uses. Leave-one-out predictions are
        exact for refits with K̂ held fixed, the landmarks and the features they give included.

        Source: Williams & Seeger (2001); Chen, Epperly, Tropp & Webber (2023) for the landmarks. Twin:
        `sklearn.kernel_approximation.Nystroem`, which takes uniform landmarks and features up to a rotation.

        Examples
        --------
        >>> from kdtheory.kernels import RBF
        >>> Spectrum.nystrom(RBF(gamma=0.1), [[0.0], [1.0], [2.0], [3.0]], 4)
        NystromSpectrum(n_points=4, rank=4, d_max=3.25044, d_min=0.00214724, trace_error=0)
        """
        from kdtheory.spectrum.nystrom import nystrom_spectrum

        return nystrom_spectrum(
            kernel,
            X,
            n_components,
            pivots=pivots,
            random_state=random_state,
            max_bytes=max_bytes,
            sample_weight=sample_weight,
        )

    @classmethod
    def lanczos(
        cls,
        operator: Any,
        targets: Any,
        n_iterations: SupportsIndex,
        *,
        filter_: QFilter | Sequence[QFilter] | None = None,
        tolerance: SupportsFloat = 1e-8,
        preconditioner: Spectrum | None = None,
    ) -> LanczosSpectrum:
        """Find what some targets see of a Gram matrix that need not be stored.

        Parameters
        ----------
        operator : scipy.sparse.linalg.LinearOperator of shape (n, n), or array
            Symmetric positive semi-definite, such as `kdtheory.kernels.RBF().operator(X)`.
        targets : array of shape (n,) or (n, k)
            Targets y. The spectrum is for them and their linear combinations only.
        n_iterations : int
            Largest number of steps; each multiplies K by a block of as many columns as there are outputs.
        filter_ : Filter, callable or sequence of them, optional
            Filters, or other functions of the eigenvalues that return `q(d)`, that are to be exact: iterations stop
            when they are. For a grid of ridges its smallest one will do. By default all iterations are made.
        tolerance : float, default 1e-8
            Largest of `LanczosSpectrum.residuals` for these filters.
        preconditioner : Spectrum, optional
            Of a matrix near K, such as `Spectrum.nystrom` gives, for small ridges. Needs `filter_`, and then with every
            ridge and every step of a distillation that will be used (one label weight will do).

        Returns
        -------
        LanczosSpectrum
            At most `n_iterations·k` eigenvalues and eigenvectors. Fitted values, dual coefficients and predictions of
            every filter, path and trajectory are had from it as from the exact one; traces and leave-one-out errors,
            which need the other modes, are refused.

        Raises
        ------
        ValueError, TypeError
            For an operator that is not square, clearly not symmetric or indefinite, and targets of another length.
        OverflowError
            When a product is not finite.

        Warns
        -----
        LanczosWarning
            When the iterations end before the filters are that exact, with the residual that they reach.

        Notes
        -----
        Block Lanczos with full reorthogonalisation; blocks shrink when the targets' Krylov space ends, and then every
        filter is exact. Cost: one product with K a step, and O(n·r·k) for a step with r columns so far; memory for
        n·r numbers. Source: Golub & Van Loan (2013), section 10.3; Saad (1992). Twin: `scipy.sparse.linalg.eigsh`
        finds the largest eigenvalues whatever the targets, `scipy.sparse.linalg.cg` one ridge at a time.

        With a preconditioner of eigenvectors U and eigenvalues d, the space begins with the targets and `q(K̂) y` for
        each filter, where `K̂ = U diag(d) Uᵀ`, and every step adds `q(K̂)` times each residual that is above the
        tolerance: for ridges the directions of preconditioned conjugate gradients, which `solve_ridge` takes for one
        alone. A step multiplies K by at most one column for each filter and output, and by fewer where these nearly
        depend on each other; memory is needed for 2·n·r numbers. Filters that were not named are much less exact, as
        their residuals say, and flows, descents and late steps named alone take more products than without.

        Examples
        --------
        >>> import numpy as np
        >>> from kdtheory import Ridge, fit_filter
        >>> K, y = np.diag([3.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0])
        >>> spectrum = Spectrum.lanczos(K, y, 10)
        >>> spectrum.eigenvalues.round(12)
        array([3., 2.])
        >>> fit_filter(spectrum, y, Ridge(1.0)).fitted.round(3)
        array([0.75 , 0.667, 0.   ])
        """
        from kdtheory.spectrum.lanczos import lanczos_spectrum

        return lanczos_spectrum(
            operator, targets, n_iterations, filter_=filter_, tolerance=tolerance, preconditioner=preconditioner
        )

    @property
    def is_whole(self) -> bool:
        """Whether every mode of the matrix is known, or those of some targets only, as to Lanczos iterations."""
        return True

    def require_whole(self, what: str) -> None:
        """Refuse to compute what needs every mode of the matrix, when some are not known."""
        if not self.is_whole:
            raise TypeError(
                f"{what} needs every mode of K, and a {type(self).__name__} knows those of its targets only: use"
                " Spectrum.from_gram or Spectrum.nystrom"
            )

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
        """Return the spectrum of the same matrix without a direction (n,) of length 1, on which it is zero."""
        self.require_whole("Spectrum.without")
        kept = without_direction(self.eigenvectors, direction)
        return self._trusted(eigenvalues=self.eigenvalues[:-1], eigenvectors=kept, **self._others())

    def _others(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name in ("root_weight", "gram", "boundary")}

    def reweighted(self, sample_weight: Array, /) -> Spectrum:
        """Return the spectrum for losses in which every point weighs that many times more; one more decomposition.

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
        """Return F of shape (n, r) with `K = F Fᵀ`, a new array, or None where r is n or arrays are not numpy's."""
        if self.eigenvalues.shape[0] == self.n_points or not is_numpy_array(self.eigenvalues):
            return None
        return np.multiply(self.eigenvectors, np.sqrt(self.eigenvalues), order="F")

    def gram_matrix(self) -> Array:
        """Return the Gram matrix, multiplied out again; of whole sample weights, it is the one before weighting."""
        self.require_whole("Spectrum.gram_matrix")
        gram = (self.eigenvectors * self.eigenvalues) @ self.eigenvectors.T
        return 0.5 * gram + 0.5 * gram.T

    def weights(self) -> Array:
        """Return the sample weights, shape (n,)."""
        return from_numpy(np.ones(self.n_points), like=self.eigenvalues)

    def whiten(self, y: Array, /) -> Array:
        """Return targets y of shape (n,) or (n, k) in units in which all points weigh the same."""
        return require_targets("y", y, self.n_points, like=self.eigenvalues)

    def coordinates(self, y: Array, /) -> Array:
        """Return `Uᵀ y`, the components of (whitened) targets y of shape (n,) or (n, k) along the eigenvectors."""
        with np.errstate(over="ignore", invalid="ignore"):
            return require_representable(self._multiply_transposed(self.whiten(y)), "the component of y")

    def lift_fitted(self, coefficient: Array, shrinkage: Array, coordinates: Array, /) -> Array:
        """Return the fitted values of models, given their coefficient filter and their shrinkage; see `lift`."""
        del coefficient
        return self.lift(shrinkage, coordinates)

    def lift_dual_coef(self, coefficient: Array, coordinates: Array, /) -> Array:
        """Return the dual coefficients of models, given their coefficient filter; see `lift`."""
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
        """`U @ columns`, from the factors of U until the columns so far have cost what multiplying them out costs."""
        factors = vars(self).get("_factors")
        if factors is None:
            return self.eigenvectors @ columns
        vars(self)["_columns"] += columns.shape[1]
        if vars(self)["_columns"] > self.n_points:
            return self.eigenvectors @ columns
        return factors.multiply(columns)

    def _multiply_transposed(self, columns: Array) -> Array:
        factors = vars(self).get("_factors")
        return self.eigenvectors.T @ columns if factors is None else factors.multiply_transposed(columns)

    def __repr__(self) -> str:
        first, last = float(self.eigenvalues[0]), float(self.eigenvalues[-1])
        return f"{type(self).__name__}(n_points={self.n_points}, rank={self.rank}, d_max={first:.6g}, d_min={last:.6g})"
