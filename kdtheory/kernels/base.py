"""What every kernel can do: give a Gram matrix, its diagonal, and an operator that never stores it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

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

    def gram(self, X: Any, Y: Any = None) -> np.ndarray:
        """Kernel values of all pairs of points.

        Parameters
        ----------
        X : array of shape (n, d)
            Points. float32 stays float32; integers become float64.
        Y : array of shape (m, d), optional
            Other points; default: X, for which the result is symmetric to the bit.

        Returns
        -------
        array of shape (n, m)

        Raises
        ------
        ValueError
            For points that are empty, not finite (the row is named), or of different numbers of features.
        TypeError
            For points that are not real numbers.
        OverflowError
            For kernel values beyond the floating-point range.

        Notes
        -----
        Cost: `O(n·m·d)`. `operator` multiplies by the same matrix without storing it.

        See Also
        --------
        sklearn.metrics.pairwise.pairwise_kernels : the same values.

        Examples
        --------
        >>> from kdtheory.kernels import Linear
        >>> Linear().gram([[1.0, 2.0], [0.0, 1.0]])
        array([[5., 2.],
               [2., 1.]])
        """
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

    def diag(self, X: Any) -> np.ndarray:
        """Kernel value of every point with itself.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n,)
            The diagonal of `gram(X)`, to the bit.

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
        return require_representable(self._diagonal(require_points("X", X)), "the kernel value")

    def operator(
        self, X: Any, Y: Any = None, *, max_bytes: int = 2**28, n_threads: int | None = None, progress: bool = False
    ) -> GramOperator:
        """Operator that multiplies by the Gram matrix in tiles and never stores it.

        Parameters
        ----------
        X : array of shape (n, d)
        Y : array of shape (m, d), optional
            Default: X. Symmetry then saves half of the work.
        max_bytes : int, default 2**28
            Most bytes of work space, besides the points, what is multiplied and the result.
        n_threads : int, optional
            Python threads, each with one BLAS thread. Default: the cores available, at most the threads of BLAS.
        progress : bool, default False
            Show a bar on standard error; needs tqdm.

        Returns
        -------
        GramOperator
            Of shape (n, m), a `scipy.sparse.linalg.LinearOperator`.

        Raises
        ------
        ValueError, TypeError
            As for `gram`, and for `max_bytes` too small: the message names the least that works.
        ImportError
            For `progress=True` without tqdm.

        Notes
        -----
        Cost of a product with k columns: `O(n·m·(d + k))`. Results are the same to the bit for any number of threads.

        See Also
        --------
        scipy.sparse.linalg.aslinearoperator : an operator that stores its matrix.

        Examples
        --------
        >>> from kdtheory.kernels import RBF
        >>> RBF(gamma=1.0).operator([[0.0], [1.0]]) @ [1.0, 0.0]
        array([1.        , 0.36787944])
        """
        return GramOperator(self, X, Y, max_bytes=max_bytes, n_threads=n_threads, progress=progress)

    @abstractmethod
    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        """Make what fills tiles of the Gram matrix of blocks of checked points of one dtype."""

    @abstractmethod
    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        """Give the diagonal of the Gram matrix of checked points."""
