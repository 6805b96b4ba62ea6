"""What every kernel can do: give a Gram matrix, its diagonal, and an operator that never stores it."""

from __future__ import annotations

import importlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_jax_array

from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array
from kdtheory._validation import require_representable
from kdtheory.kernels._evaluators import Evaluator, tiles
from kdtheory.kernels._points import require_points, require_two_sets
from kdtheory.kernels._threads import one_blas_thread, usual_threads
from kdtheory.kernels.operator import GramOperator

_TILE = 512

_WORTH_THREADS = 2**20
"""Kernel values from which threads are started, which takes about as long as some ten thousand of them."""


@dataclass(frozen=True)
class Kernel(ABC):
    """A positive semi-definite function of two points, or one that may be indefinite: `is_psd` says which."""

    @property
    def is_psd(self) -> bool:
        """Whether every Gram matrix of the kernel is positive semi-definite."""
        return True

    def gram(self, X: Any, Y: Any = None) -> Array:
        """Kernel values of all pairs of points.

        Parameters
        ----------
        X : array of shape (n, d)
            Points. float32 stays float32; integers become float64. Of numpy, or of jax.
        Y : array of shape (m, d), optional
            Other points; default: X, for which the result is symmetric to the bit.

        Returns
        -------
        array of shape (n, m)
            Of jax for jax arrays, on their devices; `kdtheory.kernels.jax_operator.gram` says more.

        Raises
        ------
        ValueError
            For points that are empty, not finite (the row is named), or of different numbers of features.
        TypeError
            For points that are not real numbers.
        OverflowError
            For kernel values beyond the floating-point range.

        See Also
        --------
        sklearn.metrics.pairwise.pairwise_kernels : the same values.

        Notes
        -----
        Cost: `O(n·m·d)`. `operator` multiplies by the same matrix without storing it.

        Examples
        --------
        >>> from kdtheory.kernels import Linear
        >>> Linear().gram([[1.0, 2.0], [0.0, 1.0]])
        array([[5., 2.],
               [2., 1.]])
        """
        if _has_jax(X, Y):
            return _with_jax().gram(self, X, Y)
        symmetric = Y is None
        points, others = (require_points("X", X),) * 2 if symmetric else require_two_sets(X, Y)
        gram = np.empty((len(points), len(others)), dtype=points.dtype)
        values = self._evaluator(points, others)

        def write(block: tuple[slice, slice]) -> None:
            rows, columns = block
            tile = np.empty((rows.stop - rows.start, columns.stop - columns.start), dtype=points.dtype)
            with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
                values.fill(rows, columns, tile)
            if symmetric and rows == columns:
                tile = np.tril(tile, -1)
                tile += tile.T
            gram[rows, columns] = tile
            if symmetric and rows != columns:
                gram[columns, rows] = tile.T

        blocks = list(itertools.product(tiles(len(points), _TILE), tiles(len(others), _TILE)))
        if symmetric:
            blocks = [(rows, columns) for rows, columns in blocks if columns.start <= rows.start]
        threads = usual_threads() if gram.size >= _WORTH_THREADS else 1
        if threads == 1:
            for block in blocks:
                write(block)
        else:
            with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
                list(pool.map(write, blocks))
        if symmetric:
            np.fill_diagonal(gram, self._diagonal(points))
        return require_representable(gram, "the kernel value")

    def diag(self, X: Any) -> Array:
        """Kernel value of every point with itself.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n,)
            The diagonal of `gram(X)`, to the bit; with jax to rounding.

        Raises
        ------
        ValueError, TypeError, OverflowError
            As for `gram`.

        Examples
        --------
        >>> from kdtheory.kernels import RBF
        >>> RBF(gamma=0.5).diag([[1.0], [2.0]])
        array([1., 1.])
        """
        if _has_jax(X):
            return _with_jax().diag(self, X)
        return require_representable(self._diagonal(require_points("X", X)), "the kernel value")

    def operator(
        self,
        X: Any,
        Y: Any = None,
        *,
        max_bytes: int = 2**28,
        n_threads: int | None = None,
        progress: bool = False,
        devices: Sequence[Any] | None = None,
    ) -> LinearOperator:
        """Operator that multiplies by the Gram matrix in tiles and never stores it.

        Parameters
        ----------
        X : array of shape (n, d)
            Of numpy, or of jax for products on its devices.
        Y : array of shape (m, d), optional
            Default: X. Symmetry then saves half of the work, but not with jax.
        max_bytes : int, default 2**28
            Most bytes of work space, besides the points, what is multiplied and the result. With jax of each
            device, besides the points and a copy of them.
        n_threads : int, optional
            Python threads, each with one BLAS thread. Default: the cores available, at most the threads of BLAS.
        progress : bool, default False
            Show a bar on standard error; needs tqdm.
        devices : sequence of jax.Device, optional
            Rows are spread over them, for a jax array X. Default: where X is.

        Returns
        -------
        GramOperator, or JaxGramOperator for jax arrays
            Of shape (n, m), a `scipy.sparse.linalg.LinearOperator`.

        Raises
        ------
        ValueError, TypeError
            As for `gram`, for `max_bytes` too small: the message names the least that works, and for options that do
            not go with the kind of array.
        ImportError
            For `progress=True` without tqdm.

        See Also
        --------
        scipy.sparse.linalg.aslinearoperator : an operator that stores its matrix.

        Notes
        -----
        Cost of a product with k columns: `O(n·m·(d + k))`. Results are the same to the bit for any number of threads.

        Examples
        --------
        >>> from kdtheory.kernels import RBF
        >>> RBF(gamma=1.0).operator([[0.0], [1.0]]) @ [1.0, 0.0]
        array([1.        , 0.36787944])
        """
        if _has_jax(X, Y):
            if n_threads is not None or progress:
                given = "progress=True" if progress else f"n_threads={n_threads!r}"
                raise ValueError(f"{given} is for numpy arrays, got X of jax, whose products are one program")
            return _with_jax().JaxGramOperator(self, X, Y, max_bytes=max_bytes, devices=devices)
        if devices is not None:
            raise ValueError(f"devices is for jax arrays, got X of type {type(X).__name__}")
        return GramOperator(self, X, Y, max_bytes=max_bytes, n_threads=n_threads, progress=progress)

    @abstractmethod
    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        """Make what fills tiles of the Gram matrix of blocks of checked points of one dtype."""

    @abstractmethod
    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        """Give the diagonal of the Gram matrix of checked points."""


def is_gram_operator(operator: Any) -> bool:
    """Whether an operator multiplies by the Gram matrix of a kernel, on numpy or jax arrays."""
    return isinstance(operator, LinearOperator) and isinstance(getattr(operator, "kernel", None), Kernel)


def _has_jax(*points: Any) -> bool:
    return any(is_jax_array(each) for each in points)


def _with_jax() -> Any:
    """Import what works on jax arrays only when there are some, since that imports jax."""
    return importlib.import_module("kdtheory.kernels.jax_operator")
