"""How a product with a Gram matrix is cut into tasks, and one task: these alone fix the bits of the result."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kdtheory.kernels.base import Kernel

TILE = 512
"""Most rows and columns of one tile."""

_PAIRS_OF_A_TASK = 12_000_000
_LEAST_PAIRS_OF_A_TASK = 2_000_000
_USUAL_BLOCKS = 16
_BLOCK_BYTES = 2**25
"""Most bytes for the coordinates of one block."""


@dataclass(frozen=True)
class Task:
    """One block of a Gram matrix: its rows and columns, and whether its transpose counts as well.

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
    """What one task adds to a product.

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
    most_rows = max(TILE, _BLOCK_BYTES // (itemsize * (n_features + 2)))
    if symmetric:
        pairs = n_rows * n_rows / 2
        count = min(_blocks_for(pairs), _USUAL_BLOCKS)
        edges = _edges(n_rows, max(count, math.ceil(n_rows / most_rows)))
        below = [Task(edges[i], edges[j], mirrored=True) for i in range(len(edges)) for j in range(i)]
        return (*below, *(Task(edge, edge, diagonal=True) for edge in edges))
    wanted = min(2.0 * math.sqrt(_tasks_for(n_rows * n_columns) / 4), _USUAL_BLOCKS)  # blocks if both sides were equal
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
    """`length` cut into `count` almost equal pieces (fewer, if it is shorter)."""
    count = min(count, length)
    cuts = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(cuts))


def tiles(length: int) -> list[slice]:
    """Almost equal slices of at most `TILE`."""
    return [slice(*edge) for edge in _edges(length, math.ceil(length / TILE))]


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
    Every tile of at most 512² kernel values is evaluated once and kept nowhere. On the diagonal, tiles above it are
    the mirror images of those below.

    Examples
    --------
    >>> import numpy as np
    >>> from kdtheory.kernels import Linear
    >>> block_product(Linear(), Task((0, 1), (0, 2)), np.ones((1, 1)), np.ones((2, 1)), np.eye(2)).on_rows
    array([[1., 1.]])
    """
    if task.diagonal:
        V_mirrored = V
    values = kernel._evaluator(X, Y)
    on_rows = np.zeros((len(X), V.shape[1]), dtype=V.dtype)
    on_columns = on_rows if task.diagonal else np.zeros((len(Y), V.shape[1]), dtype=V.dtype)
    room = np.empty(min(TILE, len(X)) * min(TILE, len(Y)), dtype=V.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # refused by name where it leaves the package
        for rows in tiles(len(X)):
            for columns in tiles(len(Y)):
                if task.diagonal and columns.start > rows.start:
                    break
                height, width = rows.stop - rows.start, columns.stop - columns.start
                tile = room[: height * width].reshape(height, width)
                values.fill(rows, columns, tile)
                on_diagonal = task.diagonal and columns == rows
                if on_diagonal:
                    np.fill_diagonal(tile, kernel._diagonal(X[rows]))
                on_rows[rows] += tile @ V[columns]
                if V_mirrored is not None and not on_diagonal:
                    on_columns[columns] += tile.T @ V_mirrored[rows]
    return PartialProduct(task, on_rows, on_columns if task.mirrored else None)


def task_bytes(task: Task, n_features: int, n_columns: int, itemsize: int) -> int:
    """Most bytes that one task holds at once, its results and one that waits to be added included."""
    n_points = task.rows[1] - task.rows[0] + task.columns[1] - task.columns[0]
    in_tiles = TILE * TILE + 2 * TILE * n_columns
    return itemsize * (n_points * (2 * (n_features + 3) + 3 * n_columns) + in_tiles)
