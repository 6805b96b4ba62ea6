"""Tangent kernels of networks in any library: Gram matrices from blocks of Jacobians under a memory bound."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kdtheory._validation import require_array, require_positive_integer, require_representable
from kdtheory.kernels import Kernel
from kdtheory.kernels._batches import require_shape
from kdtheory.kernels._evaluators import Evaluator, tiles
from kdtheory.kernels._points import require_points, require_two_sets
from kdtheory.nets._network import Derivatives, Network

if TYPE_CHECKING:
    from kdtheory.nets.operator import EmpiricalNTKOperator, JointNTKOperator

_ENOUGH_POINTS = 32
"""Points of a block from which on the products of Jacobians outweigh their evaluation."""

_MOST_POINTS = 1024


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TangentKernel(Kernel):
    """The parameters and methods of all tangent kernels; `EmpiricalNTK` describes them."""

    outputs: str | int = "mean"
    input_shape: tuple[int, ...] | None = None
    max_bytes: int = 2**28

    def __eq__(self, other: object) -> bool:  # that of a kernel compares what it has besides its network
        return self is other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __post_init__(self) -> None:
        if isinstance(self.outputs, str):
            if self.outputs not in ("mean", "trace", "sum"):
                raise ValueError(f"outputs must be 'mean', 'trace', 'sum' or the index of one, got {self.outputs!r}")
        elif isinstance(self.outputs, bool) or not isinstance(self.outputs, int | np.integer):
            raise TypeError(f"outputs must be 'mean', 'trace', 'sum' or the index of one, got {self.outputs!r}")
        elif self.outputs < 0:
            raise ValueError(f"outputs must be >= 0 where it is an index, got {self.outputs!r}")
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", require_shape("input_shape", self.input_shape))
        require_positive_integer("max_bytes", self.max_bytes)
        _ = self.network

    @cached_property
    def network(self) -> Network:
        """The checked function and parameters."""
        return self._network()

    @abstractmethod
    def _network(self) -> Network:
        """Check the function and its parameters."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "network"}

    def gram(self, X: Any, Y: Any = None) -> np.ndarray:
        """Kernel values of all pairs of points.

        Parameters
        ----------
        X : array of shape (n, d) or (n, *input_shape)
            Points.
        Y : array of shape (m, d) or (m, *input_shape), optional
            Other points; default: X, for which one half is computed and the result is symmetric to the bit.

        Returns
        -------
        array of shape (n, m)
            In double precision, whatever the parameters are of: positive semi-definite to its rounding.

        Raises
        ------
        ValueError, TypeError
            For points that are empty, not finite (the row is named) or of another shape, a function whose output is not
            (n, k) or (n,), or mixes points, an index of an output that it does not have, and `max_bytes` too small: the
            message names the least that works.
        OverflowError
            For derivatives or kernel values that are not finite.

        Notes
        -----
        Cost: `n·m·k·P` for k outputs and P parameters, half of it for Y=None, in matrix products; less by a factor of
        about a layer's width for dense layers, see `EmpiricalNTK`. Products of float32 derivatives are exact.
        """
        points, others = self._two_sets(X, Y)
        network, combinations = self.network, self._combinations(points)
        step, at_once = self._plan(points, len(combinations), n_others=0 if Y is None else len(others))
        total = np.zeros((len(points), len(others)))
        diagonal = np.zeros(len(points))
        for some in tiles(len(combinations), at_once):
            blocks = self._blocks(points, None if Y is None else others, combinations[some], step)
            for rows, columns, left, right in blocks:
                with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
                    total[rows, columns] += network.inner_products(left, right, joint=False)
                    if left is right:
                        diagonal[rows] += network.squared_norms(left, joint=False)
        return self._finished(total, None if Y is not None else diagonal, points, joint=False)

    def diag(self, X: Any) -> np.ndarray:
        """Kernel value of every point with itself.

        Parameters
        ----------
        X : array of shape (n, d) or (n, *input_shape)

        Returns
        -------
        array of shape (n,)
            The diagonal of `gram(X)`, to the bit.

        Raises
        ------
        ValueError, TypeError, OverflowError
            As for `gram`.
        """
        points = self._points("X", X)
        self._combinations(points)
        return require_representable(self._diagonal(points), "the kernel value")

    def operator(
        self,
        X: Any,
        Y: Any = None,
        *,
        max_bytes: int | None = None,
        n_threads: int | None = None,
        progress: bool = False,
        devices: Sequence[Any] | None = None,
    ) -> EmpiricalNTKOperator:
        """Operator that multiplies by the Gram matrix with one pass back and one forward, without any Jacobian.

        Parameters
        ----------
        X, Y
            As for `gram`.
        max_bytes : int, optional
            Most bytes of work space. Default: the kernel's.
        n_threads : int, optional
            Threads for the tasks of a cluster; products have those of the network's library.
        progress : bool, default False
            Show a bar on standard error; needs tqdm.
        devices : None
            Products are computed where the parameters are.

        Returns
        -------
        EmpiricalNTKOperator
            Of shape (n, m), a `GramOperator`: `Spectrum.nystrom`, `Spectrum.lanczos` and `solve_ridge` take it.

        Raises
        ------
        ValueError, TypeError, OverflowError
            As for `gram`.
        ImportError
            For `progress=True` without tqdm.

        Notes
        -----
        Cost of a product with one column: a pass back and one forward through the network for all points, k of them
        for the mean and the trace of k outputs. From about n/10 products on, the Gram matrix is faster where there is
        memory for it.
        """
        from kdtheory.nets.operator import EmpiricalNTKOperator

        if devices is not None:
            raise ValueError(f"devices must be None: products are where the parameters are, got {devices!r}")
        points, others = self._two_sets(X, Y)
        most = self.max_bytes if max_bytes is None else max_bytes
        return EmpiricalNTKOperator(
            self, points, None if Y is None else others, max_bytes=most, n_threads=n_threads, progress=progress
        )

    def joint_gram(self, X: Any, Y: Any = None) -> np.ndarray:
        """Kernel values of all pairs of points and all pairs of outputs, whatever `outputs` is.

        Parameters
        ----------
        X, Y
            As for `gram`.

        Returns
        -------
        array of shape (n·k, m·k)
            Rows are in the order of `f(params, X).ravel()`: all outputs of the first point come first.

        Raises
        ------
        ValueError, TypeError, OverflowError
            As for `gram`.

        See Also
        --------
        neural_tangents.empirical_ntk_fn : with `trace_axes=()`, of shape (n, m, k, k).

        Notes
        -----
        Its spectrum, with targets `y.ravel()`, is what training all outputs by the squared loss follows. `gram` with
        "trace" sums the diagonal of every k × k block; that with "sum" sums the whole block. Cost: `n·m·k²·P`.
        """
        points, others = self._two_sets(X, Y)
        k = self._n_outputs(points)
        step, _ = self._plan(points, k, n_others=0 if Y is None else len(others), joint=True)
        total = np.empty((len(points) * k, len(others) * k))
        diagonal = np.empty(len(points) * k)
        for rows, columns, left, right in self._blocks(points, None if Y is None else others, np.eye(k), step):
            wide, high = (slice(each.start * k, each.stop * k) for each in (columns, rows))
            with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
                total[high, wide] = self.network.inner_products(left, right, joint=True)
                if left is right:
                    diagonal[high] = self.network.squared_norms(left, joint=True)
        return self._finished(total, None if Y is not None else diagonal, points, joint=True)

    def joint_operator(self, X: Any, Y: Any = None, *, max_bytes: int | None = None) -> JointNTKOperator:
        """Operator that multiplies by `joint_gram(X, Y)` with one pass back and one forward for a column.

        Parameters
        ----------
        X, Y
            As for `gram`.
        max_bytes : int, optional
            Most bytes of work space. Default: the kernel's.

        Returns
        -------
        JointNTKOperator
            Of shape (n·k, m·k), a `scipy.sparse.linalg.LinearOperator`.

        Raises
        ------
        ValueError, TypeError, OverflowError
            As for `gram`.
        """
        from kdtheory.nets.operator import JointNTKOperator

        points, others = self._two_sets(X, Y)
        most = self.max_bytes if max_bytes is None else max_bytes
        return JointNTKOperator(self, points, None if Y is None else others, max_bytes=most)

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        return _JacobianEvaluator(self, X, Y)

    def _diagonal(self, X: np.ndarray, *, joint: bool = False) -> np.ndarray:
        combinations = np.eye(self._n_outputs(X)) if joint else self._combinations(X)
        step, at_once = self._plan(X, len(combinations), joint=joint)
        total = np.zeros(len(X) * (len(combinations) if joint else 1))
        for some in tiles(len(combinations), at_once):
            for rows in tiles(len(X), step):
                derivatives = self.network.derivatives(
                    self._batch(X[rows]), combinations[some], rounded(len(X[rows]), step)
                )
                high = slice(rows.start * len(combinations), rows.stop * len(combinations)) if joint else rows
                total[high] += self.network.squared_norms(derivatives, joint=joint)
        return self._scaled(total, X, joint=joint)

    def _scaled(self, total: np.ndarray, X: np.ndarray, *, joint: bool) -> np.ndarray:
        if self.outputs == "mean" and not joint:
            total /= self._n_outputs(X)
        return total

    def _finished(self, total: np.ndarray, diagonal: np.ndarray | None, X: np.ndarray, *, joint: bool) -> np.ndarray:
        """Scale, and with a diagonal mirror what lies below it."""
        total = self._scaled(total, X, joint=joint)
        if diagonal is not None:
            for start in range(len(total)):
                total[start, start + 1 :] = total[start + 1 :, start]
            np.fill_diagonal(total, self._scaled(diagonal, X, joint=joint))
        return require_representable(total, "the kernel value")

    def _blocks(
        self, X: np.ndarray, Y: np.ndarray | None, combinations: np.ndarray, step: int
    ) -> Iterator[tuple[slice, slice, Derivatives, Derivatives]]:
        """Go through pairs of blocks of points, none of them above the diagonal, with their derivatives."""
        others = X if Y is None else Y

        def derivatives(points: np.ndarray) -> Derivatives:
            return self.network.derivatives(self._batch(points), combinations, rounded(len(points), step))

        for rows in tiles(len(X), step):
            left = derivatives(X[rows])
            for columns in tiles(len(others), step):
                if Y is None and columns.start > rows.start:
                    break
                right = left if Y is None and columns == rows else derivatives(others[columns])
                yield rows, columns, left, right

    def _plan(self, X: np.ndarray, n_combinations: int, *, n_others: int = 0, joint: bool = False) -> tuple[int, int]:
        """Points of a block, and outputs at once, for which two blocks and their products stay below `max_bytes`.

        Where no other points are given (`n_others=0`) and all fit into one block, there is no second one.
        """
        itemsize = self.network.dtype.itemsize

        def cost(n_outputs: int, n_blocks: int = 2) -> tuple[int, int]:
            derivatives, kept = self.network.point_numbers(self._batch(X[:1]), n_outputs)
            return itemsize * (n_blocks * derivatives + kept), 32 * (n_outputs**2 if joint else 1)

        at_once, n = n_combinations, max(len(X), n_others)
        linear, square = cost(at_once, 1)
        if not n_others and n <= _MOST_POINTS and n * (linear + n * square) <= self.max_bytes:
            return n, at_once
        while True:
            linear, square = cost(at_once)
            step = (math.isqrt(linear**2 + 4 * square * self.max_bytes) - linear) // (2 * square)
            if joint or at_once == 1 or step >= min(n, _ENOUGH_POINTS):
                break
            at_once = -(-at_once // 2)
        if step < 1:
            raise ValueError(f"max_bytes must be >= {linear + square} for these points, got {self.max_bytes}")
        step = min(step, _MOST_POINTS, n)
        return -(-n // -(-n // step)), at_once

    def _n_outputs(self, X: np.ndarray) -> int:
        return self.network.n_outputs(self._batch(X[:2]))

    def _batch(self, X: np.ndarray) -> np.ndarray:
        return X if self.input_shape is None else X.reshape(len(X), *self.input_shape)

    def _combinations(self, X: np.ndarray) -> np.ndarray:
        """Coefficients (s, k) of the combinations of outputs whose kernels are added."""
        k = self._n_outputs(X)
        if isinstance(self.outputs, str):
            return np.ones((1, k)) if self.outputs == "sum" else np.eye(k)
        if self.outputs >= k:
            raise ValueError(f"outputs must be < {k}, the number of outputs, where it is an index, got {self.outputs}")
        return np.eye(k)[[int(self.outputs)]]

    def _two_sets(self, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        points = self._points("X", X)
        if Y is None:
            return points, points
        return require_two_sets(points, self._points("Y", Y))

    def _points(self, name: str, value: Any) -> np.ndarray:
        """`value` as rows of the type of the parameters."""
        shape = self.input_shape
        if shape is not None and np.ndim(value) == len(shape) + 1 and np.shape(value)[1:] == shape:
            value = np.reshape(require_array(name, value), (len(value), -1))
        if np.ndim(value) > 2:
            advice = f"pass input_shape={np.shape(value)[1:]}" if shape is None else f"input_shape is {shape}"
            raise ValueError(f"{name} must have a vector in each row, got shape {np.shape(value)}: {advice}")
        points = require_points(name, value)
        if shape is not None and math.prod(shape) != points.shape[1]:
            raise ValueError(
                f"{name} must have {math.prod(shape)} columns, which input_shape {shape} asks for, got"
                f" {points.shape[1]}"
            )
        with np.errstate(over="ignore"):
            return require_points(name, points.astype(self.network.dtype, copy=False))


class _JacobianEvaluator(Evaluator):
    """Values of a tangent kernel between two blocks of points."""

    def __init__(self, kernel: TangentKernel, X: np.ndarray, Y: np.ndarray) -> None:
        self.shape = (len(X), len(Y))
        self._kernel, self._X, self._Y = kernel, X, Y

    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""
        tile[...] = self._kernel.gram(self._X[rows], self._Y[columns])


def rounded(length: int, most: int) -> int:
    """Round up to a power of two, or to `most`: the fewer lengths, the fewer functions are compiled."""
    return min(most, 1 << (length - 1).bit_length())
