"""Gram operators: products with a Gram matrix that is never stored."""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from kdtheory._linear_operator import LinearOperator
from kdtheory._validation import (
    require_array,
    require_bool,
    require_positive_integer,
    require_representable,
)
from kdtheory.kernels._evaluators import tiles
from kdtheory.kernels._points import require_indices, require_points, require_two_sets
from kdtheory.kernels._threads import one_blas_thread, usual_threads
from kdtheory.kernels.tasks import PartialProduct, Task, block_product, plan_tasks, task_bytes

if TYPE_CHECKING:
    from kdtheory.kernels.base import Kernel

_MOST_COLUMNS = 128
"""Columns multiplied at once: kernel values of more are evaluated again, which costs little beside the products."""


class GramOperator(LinearOperator):
    """The Gram matrix `K(X, Y)` as a linear operator, multiplied in tiles and never stored.

    Usually made by `Kernel.operator`, which documents the parameters.

    Attributes
    ----------
    kernel : Kernel
    X : array of shape (n, d)
    Y : array of shape (m, d)
        The points themselves, not copies: they must not change as long as the operator is used.
    is_symmetric : bool
        Whether Y was left out, so that every kernel value is used twice.
    max_bytes, n_threads : int
    progress : bool
        As given.

    Raises
    ------
    ValueError, TypeError
        For points of other shapes, entries that are not finite real numbers, and options out of range.

    Notes
    -----
    A product is a fixed list of `tasks`, each of which `run_task` runs and whose results `gather` adds in their order.
    Neither depends on the number of threads, so that the bits of the result do not either, and other processes may
    run the tasks: the result is the same to the bit where BLAS is the same.

    Examples
    --------
    >>> from kdtheory.kernels import RBF
    >>> operator = RBF(gamma=1.0).operator([[0.0], [1.0]])
    >>> operator.matvec([1.0, 0.0])
    array([1.        , 0.36787944])
    """

    kernel: Kernel
    X: np.ndarray
    Y: np.ndarray
    is_symmetric: bool
    max_bytes: int
    n_threads: int | None
    progress: bool

    def __init__(
        self,
        kernel: Kernel,
        X: Any,
        Y: Any = None,
        *,
        max_bytes: int = 2**28,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.kernel = kernel
        self.is_symmetric = Y is None
        self.X, self.Y = (require_points("X", X),) * 2 if Y is None else require_two_sets(X, Y)
        super().__init__(self.X.dtype, (len(self.X), len(self.Y)))
        self.max_bytes = require_positive_integer("max_bytes", max_bytes)
        self.n_threads = None if n_threads is None else require_positive_integer("n_threads", n_threads)
        self.progress = require_bool("progress", progress)
        if self.progress and importlib.util.find_spec("tqdm") is None:
            raise ModuleNotFoundError('progress=True needs tqdm: pip install "kdtheory[estimators]"')
        self._tasks = plan_tasks(
            len(self.X), len(self.Y), self.X.shape[1], self.dtype.itemsize, symmetric=self.is_symmetric
        )
        least = self._task_bytes(1) + self._shared_bytes(1)
        if self.max_bytes < least:
            raise ValueError(f"max_bytes must be >= {least} for these points, got {max_bytes!r}")

    def tasks(self) -> tuple[Task, ...]:
        """Tasks of one product, in the order in which `gather` adds them.

        Returns
        -------
        tuple of Task
            Fixed by the shapes and the dtype of the points.
        """
        return self._tasks

    def column_slices(self, n_columns: int) -> list[slice]:
        """Columns to be multiplied at once, so that work space stays within `max_bytes`.

        Parameters
        ----------
        n_columns : int

        Returns
        -------
        list of slice
            Fixed by the points, their dtype and `max_bytes`.
        """
        at_once = min(n_columns, _MOST_COLUMNS)
        while at_once > 1 and self._task_bytes(at_once) + self._shared_bytes(at_once) > self.max_bytes:
            at_once //= 2
        return tiles(n_columns, max(1, at_once))

    def run_task(self, task: Task, V: np.ndarray) -> PartialProduct:
        """Run one task.

        Parameters
        ----------
        task : Task
            One of `tasks()`.
        V : array of shape (m, k)
            Of the operator's dtype; k is that of one of `column_slices`.

        Returns
        -------
        PartialProduct
        """
        rows, columns = slice(*task.rows), slice(*task.columns)
        with one_blas_thread():
            mirrored = V[rows] if task.mirrored else None
            return block_product(self.kernel, task, self.X[rows], self.Y[columns], V[columns], mirrored)

    def gather(self, partials: Iterable[PartialProduct]) -> np.ndarray:
        """Add up the results of all tasks, which come in the order of `tasks()`.

        Parameters
        ----------
        partials : iterable of PartialProduct

        Returns
        -------
        array of shape (n, k)

        Raises
        ------
        ValueError
            When a result is missing or out of order, since the order fixes the bits of the sum.
        """
        total = None
        expected = iter(self._tasks)
        for partial in partials:
            if partial.task != next(expected, None):
                raise ValueError(f"partials must be the results of tasks() in their order, got {partial.task}")
            if total is None:
                total = np.zeros((self.shape[0], partial.on_rows.shape[1]), dtype=self.dtype)
            total[slice(*partial.task.rows)] += partial.on_rows
            if partial.on_columns is not None:
                total[slice(*partial.task.columns)] += partial.on_columns
        if (missing := next(expected, None)) is not None or total is None:
            raise ValueError(f"partials must be the results of all tasks(), got none of {missing}")
        return total

    def diagonal(self) -> np.ndarray:
        """Diagonal of a symmetric operator.

        Returns
        -------
        array of shape (n,)

        Raises
        ------
        ValueError
            When the operator is not symmetric.
        """
        if not self.is_symmetric:
            raise ValueError("diagonal needs a symmetric operator, one made without Y")
        return self.kernel.diag(self.X)

    def columns(self, indices: Any) -> np.ndarray:
        """Give some columns of the matrix.

        Parameters
        ----------
        indices : array of shape (k,)
            Integers from 0 to m - 1.

        Returns
        -------
        array of shape (n, k)
            In the order of the indices.

        Raises
        ------
        ValueError
            When indices are not integers in one dimension, or out of range.
        """
        chosen = require_indices("indices", indices, self.shape[1])
        if chosen.size == 0:
            return np.empty((self.shape[0], 0), dtype=self.dtype)
        values = self.kernel.gram(self.X, self.Y[chosen])
        if self.is_symmetric:
            values[chosen, np.arange(len(chosen))] = self.kernel.diag(self.X[chosen])
        return values

    def _task_bytes(self, n_columns: int) -> int:
        """Most bytes that one thread needs."""
        return max(task_bytes(task, self.X.shape[1], n_columns, self.dtype.itemsize) for task in self._tasks)

    def _shared_bytes(self, n_columns: int) -> int:
        """Bytes of what all threads multiply and of the sum of their results."""
        return sum(self.shape) * n_columns * self.dtype.itemsize

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(np.reshape(x, (-1, 1)))[:, 0]

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        V = require_array("the multiplied matrix", X, like=self.X[:1], allow_empty=True)
        result = np.empty((self.shape[0], V.shape[1]), dtype=self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
            for columns in self.column_slices(V.shape[1]):
                result[:, columns] = self.gather(self._partials(np.ascontiguousarray(V[:, columns])))
        return require_representable(result, "the product")

    def _adjoint(self) -> LinearOperator:
        if self.is_symmetric:
            return self
        return GramOperator(
            self.kernel, self.Y, self.X, max_bytes=self.max_bytes, n_threads=self.n_threads, progress=self.progress
        )

    _transpose = _adjoint

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._adjoint().matvec(x)

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return self._adjoint().matmat(X)

    def _partials(self, V: np.ndarray) -> Iterator[PartialProduct]:
        """Results of all tasks in order; no more are under way or waiting than `max_bytes` has room for."""
        wanted = usual_threads() if self.n_threads is None else self.n_threads
        room = (self.max_bytes - self._shared_bytes(V.shape[1])) // self._task_bytes(V.shape[1])
        threads = max(1, min(wanted, len(self._tasks), room))
        with one_blas_thread(), self._bar() as done:
            if threads == 1:
                for task in self._tasks:
                    yield self.run_task(task, V)
                    done.update()
                return
            with ThreadPoolExecutor(threads) as pool:
                waiting: deque[Future[PartialProduct]] = deque()
                try:
                    for task in self._tasks:
                        waiting.append(pool.submit(self.run_task, task, V))
                        if len(waiting) == 2 * threads:
                            yield waiting.popleft().result()
                            done.update()
                    while waiting:
                        yield waiting.popleft().result()
                        done.update()
                finally:
                    pool.shutdown(cancel_futures=True)

    def _bar(self) -> Any:
        if not self.progress:
            return _NoBar()
        from tqdm import tqdm

        return tqdm(total=len(self._tasks), desc="Gram product", unit="block")


class _NoBar:
    """A bar that is not shown."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self) -> None:
        pass
