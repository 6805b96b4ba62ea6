"""Products with tangent kernels that no Jacobian is made for: one pass back through the network and one forward."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_positive_integer, require_representable
from kdtheory.kernels._evaluators import tiles
from kdtheory.kernels.operator import GramOperator
from kdtheory.nets._tangent_kernel import rounded

if TYPE_CHECKING:
    from kdtheory.nets._tangent_kernel import TangentKernel

_MOST_POINTS = 1024


class _Products:
    """`J(X) J(Y)ᵀ` times vectors, as many vectors and points at a time as there is memory for."""

    def __init__(self, kernel: TangentKernel, X: np.ndarray, Y: np.ndarray, max_bytes: int) -> None:
        self._kernel, self._X, self._Y = kernel, X, Y
        network, k = kernel.network, kernel._n_outputs(X)
        self._kept = network.point_numbers(kernel._batch(X[:1]), 1)[1] + 2 * k
        self._of_vector = 3 * network.n_parameters + 2 * k * (len(X) + len(Y))
        self.least = network.dtype.itemsize * (self._of_vector + self._kept)
        if max_bytes < self.least:
            raise ValueError(f"max_bytes must be >= {self.least} for these points, got {max_bytes}")
        self._numbers = max_bytes // network.dtype.itemsize
        self.at_once = max(1, self._numbers // 2 // self._of_vector)

    def __call__(self, V: np.ndarray) -> np.ndarray:
        """Multiply q vectors (q, m, k): an array (q, n, k)."""
        result = np.empty((len(V), len(self._X), V.shape[2]), dtype=self._kernel.network.dtype)
        for some in tiles(len(V), min(self.at_once, len(V))):
            result[some] = self._multiply(V[some])
        return result

    def _multiply(self, V: np.ndarray) -> np.ndarray:
        network, batch = self._kernel.network, self._kernel._batch
        room = self._numbers - self._of_vector * len(V)
        step = min(max(1, room // (self._kept * len(V))), _MOST_POINTS)
        tangents: list[Array] | None = None
        for rows in tiles(len(self._Y), step):
            points = batch(self._Y[rows])
            part = network.pull_back(points, V[:, rows], rounded(len(points), step))
            tangents = part if tangents is None else [a + b for a, b in zip(tangents, part, strict=True)]
        result = np.empty((len(V), len(self._X), V.shape[2]), dtype=network.dtype)
        for rows in tiles(len(self._X), step):
            points = batch(self._X[rows])
            result[:, rows] = network.push_forward(points, tangents or [], rounded(len(points), step))
        return result


class EmpiricalNTKOperator(GramOperator):
    """A tangent kernel `K(X, Y)` as a linear operator, multiplied by passes back and forward through the network.

    Usually made by `EmpiricalNTK.operator`, which documents the parameters. `columns` and `diagonal`, which Nyström
    spectra take, are evaluated from Jacobians, and so are the tasks that a cluster runs.

    Attributes
    ----------
    kernel : EmpiricalNTK or ModuleNTK
    X : array of shape (n, d)
    Y : array of shape (m, d)
    is_symmetric : bool
        Whether Y was left out.
    max_bytes, n_threads : int
    progress : bool
        As given.

    Raises
    ------
    ValueError, TypeError
        As for `EmpiricalNTK.operator`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from kdtheory.nets import EmpiricalNTK
    >>> kernel = EmpiricalNTK(lambda w, x: x @ w, jnp.ones(2, "float32"))
    >>> kernel.operator([[1.0, 2.0], [3.0, 4.0]]) @ [1.0, 0.0]
    array([ 5., 11.], dtype=float32)
    """

    kernel: Any

    def __init__(
        self,
        kernel: TangentKernel,
        X: Any,
        Y: Any = None,
        *,
        max_bytes: int = 2**28,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> None:
        points, others = kernel._two_sets(X, Y)
        self._combinations = kernel._combinations(points)
        self._products = _Products(kernel, points, others, require_positive_integer("max_bytes", max_bytes))
        super().__init__(
            kernel, points, None if Y is None else others, max_bytes=max_bytes, n_threads=n_threads, progress=progress
        )

    def _task_bytes(self, n_columns: int) -> int:
        del n_columns
        return self._products.least - self._shared_bytes(1)

    def column_slices(self, n_columns: int) -> list[slice]:
        """Columns to be multiplied at once, so that work space stays within `max_bytes`.

        Parameters
        ----------
        n_columns : int

        Returns
        -------
        list of slice
        """
        step = max(1, self._products.at_once // len(self._combinations))
        return tiles(n_columns, step)

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        V = require_array("the multiplied matrix", X, like=self.X[:1], allow_empty=True)
        combinations = self._combinations.astype(self.dtype)
        result = np.zeros((self.shape[0], V.shape[1]), dtype=self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
            for columns in self._with_bar(self.column_slices(V.shape[1])):
                vectors = np.einsum("mp,sk->psmk", V[:, columns], combinations)
                products = self._products(vectors.reshape(-1, *vectors.shape[2:]))
                result[:, columns] = np.einsum(
                    "psnk,sk->np", products.reshape(*vectors.shape[:2], *products.shape[1:]), combinations
                )
            if self.kernel.outputs == "mean":
                result /= combinations.shape[1]
        return require_representable(result, "the product")

    def _with_bar(self, slices: list[slice]) -> Iterable[slice]:
        if not self.progress:
            return slices
        from tqdm import tqdm

        shown: Iterable[slice] = tqdm(slices, desc="Tangent kernel product", unit="pass")
        return shown

    def _adjoint(self) -> LinearOperator:
        if self.is_symmetric:
            return self
        return EmpiricalNTKOperator(
            self.kernel, self.Y, self.X, max_bytes=self.max_bytes, n_threads=self.n_threads, progress=self.progress
        )

    _transpose = _adjoint


class JointNTKOperator(LinearOperator):
    """The tangent kernel of all outputs as a linear operator of shape (n·k, m·k), as `joint_gram` orders them.

    Usually made by `EmpiricalNTK.joint_operator`. `Spectrum.lanczos` and `solve_ridge` take it, with targets
    `y.ravel()`.

    Attributes
    ----------
    kernel : EmpiricalNTK or ModuleNTK
    X : array of shape (n, d)
    Y : array of shape (m, d)
    is_symmetric : bool
        Whether Y was left out.
    max_bytes : int

    Raises
    ------
    ValueError, TypeError
        As for `EmpiricalNTK.joint_operator`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from kdtheory.nets import EmpiricalNTK
    >>> kernel = EmpiricalNTK(lambda w, x: x @ w, jnp.ones((2, 2), "float32"))
    >>> kernel.joint_operator([[1.0, 2.0], [3.0, 4.0]]) @ [1.0, 0.0, 0.0, 1.0]
    array([ 5., 11., 11., 25.], dtype=float32)
    """

    kernel: TangentKernel
    X: np.ndarray
    Y: np.ndarray
    is_symmetric: bool
    max_bytes: int

    def __init__(self, kernel: TangentKernel, X: Any, Y: Any = None, *, max_bytes: int = 2**28) -> None:
        self.kernel, self.is_symmetric = kernel, Y is None
        self.X, self.Y = kernel._two_sets(X, Y)
        self.max_bytes = require_positive_integer("max_bytes", max_bytes)
        self._k = kernel._n_outputs(self.X)
        self._products = _Products(kernel, self.X, self.Y, self.max_bytes)
        super().__init__(self.X.dtype, (len(self.X) * self._k, len(self.Y) * self._k))

    def diagonal(self) -> np.ndarray:
        """Diagonal of a symmetric operator.

        Returns
        -------
        array of shape (n·k,)

        Raises
        ------
        ValueError
            When the operator is not symmetric.
        """
        if not self.is_symmetric:
            raise ValueError("diagonal needs a symmetric operator, one made without Y")
        return require_representable(self.kernel._diagonal(self.X, joint=True), "the kernel value")

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(np.reshape(x, (-1, 1)))[:, 0]

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        V = require_array("the multiplied matrix", X, like=self.X[:1], allow_empty=True)
        if V.shape[1] == 0:
            return np.empty((self.shape[0], 0), dtype=self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
            products = self._products(np.ascontiguousarray(V.T).reshape(V.shape[1], len(self.Y), self._k))
        return require_representable(products.reshape(V.shape[1], -1).T, "the product")

    def _adjoint(self) -> LinearOperator:
        return self if self.is_symmetric else JointNTKOperator(self.kernel, self.Y, self.X, max_bytes=self.max_bytes)

    _transpose = _adjoint

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._adjoint().matvec(x)

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return self._adjoint().matmat(X)
