"""How a product with a Gram matrix is cut into tasks, and one task: these alone fix the bits of the result."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kdtheory.kernels._evaluators import Sums

if TYPE_CHECKING:
    from kdtheory.kernels.base import Kernel

_STRIP = 64
"""Blocks start at multiples of this many points, so that tiles fill vectors."""

_PAIRS_OF_A_TASK = 12_000_000
_LEAST_PAIRS_OF_A_TASK = 2_000_000
_USUAL_BLOCKS = 16
_BLOCK_BYTES = 2**25
"""Most bytes for the coordinates of one block."""


@dataclass(frozen=True)
class Task:
    """One block of a Gram matrix: its rows and columns, and whether its transpose counts as well.

    A part of the products of a `GramOperator`.

    Attributes
    ----------
    rows, columns : (int, int)
        First and last but one index of the points.
    mirrored : bool
        Whether the block stands for its mirror image across the diagonal too.
    diagonal : bool
        Whether the block lies on the diagonal of a symmetric matrix.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    mirrored: bool = False
    diagonal: bool = False


@dataclass(frozen=True)
class PartialProduct:
    """What one task adds to a product; made by `block_product`.

    Attributes
    ----------
    task : Task
    on_rows : array of shape (rows, k)
    on_columns : array of shape (columns, k) or None
        The part of the mirror image, if the task has one.
    """

    task: Task
    on_rows: np.ndarray
    on_columns: np.ndarray | None


def plan_tasks(n_rows: int, n_columns: int, n_features: int, itemsize: int, *, symmetric: bool) -> tuple[Task, ...]:
    """Cut a Gram matrix into blocks. Depends on the arguments only, never on threads or machines.

    Blocks on the diagonal, which are half the work, come last, so that threads finish together.
    """
    most_rows = max(_STRIP, _BLOCK_BYTES // (itemsize * (n_features + 2)))
    if symmetric:
        pairs = n_rows * n_rows / 2
        count = min(_blocks_for(pairs), _USUAL_BLOCKS)
        edges = _edges(n_rows, max(count, math.ceil(n_rows / most_rows)))
        below = [Task(edges[i], edges[j], mirrored=True) for i in range(len(edges)) for j in range(i)]
        return (*below, *(Task(edge, edge, diagonal=True) for edge in edges))
    wanted = min(math.sqrt(_tasks_for(n_rows * n_columns)), _USUAL_BLOCKS)  # blocks a side, if both were equal
    ratio = math.sqrt(n_rows / n_columns)
    rows = _edges(n_rows, max(1, round(wanted * ratio), math.ceil(n_rows / most_rows)))
    columns = _edges(n_columns, max(1, round(wanted / ratio), math.ceil(n_columns / most_rows)))
    return tuple(Task(row, column) for row in rows for column in columns)


def _tasks_for(pairs: float) -> float:
    return min(pairs / _LEAST_PAIRS_OF_A_TASK, max(16.0, pairs / _PAIRS_OF_A_TASK))


def _blocks_for(pairs: float) -> int:
    """Give the number b of blocks a side with b(b + 1)/2 tasks."""
    return max(1, round(0.5 * (math.sqrt(1.0 + 8.0 * _tasks_for(pairs)) - 1.0)))


def _edges(length: int, count: int) -> list[tuple[int, int]]:
    """`length` cut into almost equal pieces, at most `count`, all but the last multiples of the strip."""
    strips = math.ceil(length / _STRIP)
    cuts = [strips * i // count * _STRIP for i in range(count)]
    return list(itertools.pairwise([*dict.fromkeys(cuts), length]))


def block_product(
    kernel: Kernel, task: Task, X: np.ndarray, Y: np.ndarray, V: np.ndarray, V_mirrored: np.ndarray | None = None
) -> PartialProduct:
    """Run one task: a function of its arguments alone, to the bit, if BLAS has one thread.

    Parameters
    ----------
    kernel : Kernel
    task : Task
    X : array of shape (rows, d)
        The points of the task's rows.
    Y : array of shape (columns, d)
        The points of the task's columns.
    V : array of shape (columns, k)
        The rows of the multiplied matrix that belong to `Y`.
    V_mirrored : array of shape (rows, k), optional
        Those that belong to `X`; needed for a mirrored task.

    Returns
    -------
    PartialProduct
        `K(X, Y) V`, and `K(X, Y)ᵀ V_mirrored` for a mirrored task.

    Notes
    -----
    Kernel values are evaluated once, in tiles that are kept nowhere. On the diagonal, tiles above it are the mirror
    images of those below.

    Examples
    --------
    >>> import numpy as np
    >>> from kdtheory.kernels import Linear
    >>> block_product(Linear(), Task((0, 1), (0, 2)), np.ones((1, 1)), np.ones((2, 1)), np.eye(2)).on_rows
    array([[1., 1.]])
    """
    dtype, W = X.dtype, V if V_mirrored is None else V_mirrored
    on_rows = np.zeros((len(X), V.shape[1]), dtype=dtype)
    # Columns come first here, since the loops run along points. Copies: arrays from elsewhere may be read-only, which
    # would be another type to compile for.
    on_columns_T = np.zeros((V.shape[1], len(Y) if task.mirrored or task.diagonal else 0), dtype=dtype)
    sums = Sums(np.array(V.T, dtype=dtype, order="C"), np.array(W, dtype=dtype, order="C"), on_rows, on_columns_T)
    with np.errstate(over="ignore", invalid="ignore"):  # refused by name where it leaves the package
        diagonal = kernel._diagonal(X) if task.diagonal else None
        kernel._evaluator(X, Y).add_products(sums, mirrored=task.mirrored, diagonal=diagonal)
    if task.diagonal:
        on_rows += on_columns_T.T
    return PartialProduct(task, on_rows, on_columns_T.T if task.mirrored else None)


def task_bytes(task: Task, n_features: int, n_columns: int, itemsize: int) -> int:
    """Most bytes that one task holds at once, its results and those that wait to be added included."""
    n_points = task.rows[1] - task.rows[0] + task.columns[1] - task.columns[0]
    return itemsize * (n_points * (2 * (n_features + 3) + 4 * n_columns) + 2**18)
