"""Gram matrices of jax arrays, and operators that multiply by them on one device or several.

Needs JAX: `pip install "kdtheory[jax]"`. `Kernel.gram`, `diag` and `operator` come here with jax arrays.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from array_api_compat import is_jax_array

from kdtheory._interop import is_traced
from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_ndim, require_positive_integer, require_representable
from kdtheory.kernels import _jax_tiles as tiles
from kdtheory.kernels._jax_networks import formula_of
from kdtheory.kernels._jax_points import Devices, mesh_of, on_all, over_rows, require_jax_points, require_jax_sets
from kdtheory.kernels._points import require_indices
from kdtheory.kernels.base import Kernel

_COLUMNS_AT_ONCE = 32
"""Columns are computed in multiples of this, since every other number would be compiled anew."""


def gram(kernel: Kernel, X: Any, Y: Any = None) -> jax.Array:
    """Give `kernel.gram(X, Y)` for jax arrays, on the devices of X.

    Parameters
    ----------
    kernel : Kernel
    X : jax array of shape (n, d)
        Points, float32 or float64; its rows may be spread over several devices.
    Y : array of shape (m, d), optional
        Of jax or numpy.

    Returns
    -------
    jax array of shape (n, m)
        Its rows are spread over the devices of X, if their number divides n, or else the whole is on each of them.

    Raises
    ------
    ValueError, TypeError, OverflowError
        As for `Kernel.gram`, and for double precision while it is switched off in JAX.

    Notes
    -----
    It may be part of a program that JAX compiles or differentiates by X, Y and the real parameters of the kernel: then
    values are not looked at, so that nothing is refused for them. Derivatives are finite. At a kink, which Laplace,
    Matérn 1/2 and the arc-cosine of order 0 have where points coincide, they are those of one of the sides, or zero.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.kernels import RBF
    >>> x = jax.numpy.asarray([[0.0], [2.0]], dtype="float32")
    >>> print(RBF(gamma=0.5).gram(x))
    [[1.         0.13533528]
     [0.13533528 1.        ]]
    >>> print(jax.grad(lambda gamma: RBF(gamma=gamma).gram(x)[0, 1])(0.5).round(6))
    -0.541341
    """
    left, right = (require_jax_points("X", X), None) if Y is None else require_jax_sets(X, Y)
    formula, parameters = formula_of(kernel, left.shape[1])
    if is_traced(left, *parameters) or (right is not None and is_traced(right)):
        return tiles.traced_gram(formula, left, right, parameters)
    mesh = mesh_of(left, None)
    whole = on_all(left, mesh)
    columns = whole if right is None else on_all(right, mesh)
    plan = tiles.plan_rows(len(whole), len(columns), is_symmetric=right is None)
    rows = over_rows(tiles.padded(whole, plan.rows_on(mesh.size)), mesh)
    K = tiles.gram(rows, columns, parameters, formula=formula, mesh=mesh, plan=plan)
    return _representable(K, "the kernel value")


def diag(kernel: Kernel, X: Any) -> jax.Array:
    """Give `kernel.diag(X)` for jax arrays.

    Parameters
    ----------
    kernel : Kernel
    X : jax array of shape (n, d)

    Returns
    -------
    jax array of shape (n,)

    Raises
    ------
    ValueError, TypeError, OverflowError
        As for `gram`.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.kernels import Linear
    >>> print(Linear().diag(jax.numpy.asarray([[1.0, 2.0]], dtype="float32")))
    [5.]
    """
    points = require_jax_points("X", X)
    formula, parameters = formula_of(kernel, points.shape[1])
    values = formula.diagonal(points, parameters)
    return _representable(values, "the kernel value")


def _representable(values: jax.Array, what: str) -> jax.Array:
    """Pass values on that are finite, or part of a program and not known yet."""
    return values if is_traced(values) else cast(jax.Array, require_representable(values, what))


class JaxGramOperator(LinearOperator):
    """The Gram matrix `K(X, Y)` of jax arrays as a linear operator, multiplied in tiles and never stored.

    Usually made by `Kernel.operator`. Numpy arrays in give numpy arrays out, so that Lanczos and Nyström spectra,
    conjugate gradients and predictions take it as they take any operator; jax arrays in give jax arrays out.

    Parameters
    ----------
    kernel : Kernel
        One of `kdtheory.kernels`.
    X : jax array of shape (n, d)
        Points, float32 or float64.
    Y : array of shape (m, d), optional
        Of jax or numpy; default: X.
    max_bytes : int, default 2**28
        Most bytes of work space on each device, besides the points and a copy of them.
    devices : sequence of jax.Device, optional
        Rows of the matrix are spread over them. Default: where X is.

    Attributes
    ----------
    kernel, X, Y, max_bytes
        As given; the points in one dtype.
    is_symmetric : bool
        Whether Y was left out.
    devices : tuple of jax.Device

    Raises
    ------
    ValueError, TypeError
        As for `Kernel.operator`; for double precision while it is switched off in JAX, and for points of which parts
        are with other processes.

    See Also
    --------
    kdtheory.kernels.GramOperator : the same for numpy arrays.

    Notes
    -----
    Cost of a product with k columns: `O(n·m·(d + k))`, shared among the devices. Every device holds Y as a whole and
    its part of X. Symmetry saves nothing here. In return each row is added up in one order by one device, and the
    result does not depend on how many there are. Numbers of points that tiles and devices do not divide are padded.

    Matrix products keep all digits of float32, where JAX by itself would drop some on graphics processors.

    Products may be compiled as part of a larger program and differentiated by what is multiplied and by the kernel's
    parameters. Eager ones are checked for overflow.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.kernels import RBF
    >>> operator = RBF(gamma=1.0).operator(jax.numpy.asarray([[0.0], [1.0]], dtype="float32"))
    >>> print(operator @ jax.numpy.asarray([1.0, 0.0]))
    [1.         0.36787945]
    >>> operator.matvec([1.0, 0.0])
    array([1.        , 0.36787945], dtype=float32)
    """

    kernel: Kernel
    X: Array
    Y: Array
    is_symmetric: bool
    max_bytes: int
    devices: tuple[Any, ...]

    def __init__(
        self, kernel: Kernel, X: Any, Y: Any = None, *, max_bytes: int = 2**28, devices: Devices = None
    ) -> None:
        self.kernel = kernel
        self.is_symmetric = Y is None
        self.X, self.Y = (require_jax_points("X", X),) * 2 if Y is None else require_jax_sets(X, Y)
        if is_traced(self.X, self.Y):
            raise TypeError("X and Y must not be traced for an operator, got tracers: make it outside, or use gram")
        self.max_bytes = require_positive_integer("max_bytes", max_bytes)
        self._formula, self._parameters = formula_of(kernel, self.X.shape[1])
        self._mesh = mesh_of(self.X, devices)
        self.devices = tuple(self._mesh.devices.flat)
        super().__init__(np.dtype(self.X.dtype), (self.X.shape[0], self.Y.shape[0]))
        self._plan = tiles.plan_tiles(
            self.X.shape[0],
            self.Y.shape[0],
            self.X.shape[1],
            self.dtype.itemsize,
            is_symmetric=self.is_symmetric,
            max_bytes=self.max_bytes,
            on_cpu=self.devices[0].platform == "cpu",
        )
        least = self._work_bytes(1)
        if self.max_bytes < least:
            raise ValueError(f"max_bytes must be >= {least} for these points, got {max_bytes!r}")
        whole = on_all(self.Y, self._mesh)
        self._columns = tiles.padded(whole, self._plan.padded_columns)
        rows = whole if self.is_symmetric else on_all(self.X, self._mesh)
        self._rows = over_rows(tiles.padded(rows, self._plan.rows_on(len(self.devices))), self._mesh)
        self._transposed: JaxGramOperator | None = self if self.is_symmetric else None

    def product(self, V: Any) -> jax.Array:
        """Multiply a jax array.

        Parameters
        ----------
        V : array of shape (m,) or (m, k)
            Taken over into the operator's dtype.

        Returns
        -------
        jax array of shape (n,) or (n, k)
            `K V`, on the operator's devices.

        Raises
        ------
        ValueError, TypeError
            For another shape, and for values that are not finite or not real.
        OverflowError
            For a product beyond the floating-point range.

        Examples
        --------
        >>> import jax
        >>> from kdtheory.kernels import Linear
        >>> operator = Linear().operator(jax.numpy.asarray([[1.0], [2.0]], dtype="float32"))
        >>> print(jax.jit(operator.product)(jax.numpy.asarray([1.0, 1.0])))
        [3. 6.]
        """
        name = "the multiplied matrix"
        if is_traced(V):
            columns = V.astype(self.X.dtype)
        else:
            with jax.ensure_compile_time_eval():  # also in the midst of a larger program
                columns = require_array(name, V, like=self.X[:1], allow_empty=True)
                columns = on_all(columns, self._mesh)
        require_ndim(name, columns, 1, 2)
        if columns.shape[0] != self.shape[1]:
            raise ValueError(f"{name} must have {self.shape[1]} rows, got shape {tuple(columns.shape)}")
        matrix = columns[:, None] if columns.ndim == 1 else columns
        parts = [self._multiply(matrix[:, part]) for part in self.column_slices(matrix.shape[1])]
        result = jnp.concatenate(parts, axis=1) if parts else jnp.zeros((self.shape[0], 0), matrix.dtype)
        result = result[:, 0] if columns.ndim == 1 else result
        return _representable(result, "the product")

    def dot(self, x: Any) -> Any:
        """Multiply an array of jax, which gives one of jax, or anything else that scipy's operators take."""
        return self.product(x) if is_jax_array(x) else super().dot(x)

    def column_slices(self, n_columns: int) -> list[slice]:
        """Columns to be multiplied at once, so that work space stays within `max_bytes`.

        Parameters
        ----------
        n_columns : int

        Returns
        -------
        list of slice
            Fixed by the points, their dtype, `max_bytes` and the kind of device.
        """
        at_once = n_columns
        while at_once > 1 and self._work_bytes(at_once) > self.max_bytes:
            at_once //= 2
        return [slice(start, min(start + at_once, n_columns)) for start in range(0, n_columns, max(1, at_once))]

    def diagonal(self) -> np.ndarray:
        """Diagonal of a symmetric operator.

        Returns
        -------
        numpy array of shape (n,)

        Raises
        ------
        ValueError
            When the operator is not symmetric.
        """
        if not self.is_symmetric:
            raise ValueError("diagonal needs a symmetric operator, one made without Y")
        return np.array(diag(self.kernel, self.X))

    def columns(self, indices: Any) -> np.ndarray:
        """Give some columns of the matrix.

        Parameters
        ----------
        indices : array of shape (k,)
            Integers from 0 to m - 1.

        Returns
        -------
        numpy array of shape (n, k)
            In the order of the indices.

        Raises
        ------
        ValueError
            When indices are not integers in one dimension, or out of range.
        """
        chosen = require_indices("indices", indices, self.shape[1])
        if chosen.size == 0:
            return np.empty((self.shape[0], 0), dtype=self.dtype)
        padded = np.pad(chosen, (0, -chosen.size % _COLUMNS_AT_ONCE), mode="edge")
        plan = self._plan._replace(n_columns=len(padded), is_symmetric=False)
        K = tiles.gram(
            self._rows, self._columns[padded], self._parameters, formula=self._formula, mesh=self._mesh, plan=plan
        )
        values = np.array(require_representable(K, "the kernel value"))[:, : chosen.size]
        if self.is_symmetric:
            values[chosen, np.arange(len(chosen))] = self.diagonal()[chosen]
        return values

    def _multiply(self, V: jax.Array) -> jax.Array:
        return tiles.multiply(
            self._rows, self._columns, V, self._parameters, formula=self._formula, mesh=self._mesh, plan=self._plan
        )

    def _work_bytes(self, n_outputs: int) -> int:
        return self._plan.work_bytes(self.X.shape[1], n_outputs, self.dtype.itemsize)

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(np.reshape(x, (-1, 1)))[:, 0]

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        V = require_array("the multiplied matrix", X, like=np.empty(0, self.dtype), allow_empty=True)
        result = np.empty((self.shape[0], V.shape[1]), dtype=self.dtype)
        for part in self.column_slices(V.shape[1]):
            result[:, part] = self._multiply(on_all(V[:, part], self._mesh))
        return require_representable(result, "the product")

    def _adjoint(self) -> LinearOperator:
        if self._transposed is None:
            self._transposed = JaxGramOperator(
                self.kernel, self.Y, self.X, max_bytes=self.max_bytes, devices=self.devices
            )
            self._transposed._transposed = self
        return self._transposed

    _transpose = _adjoint

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._adjoint().matvec(x)

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return self._adjoint().matmat(X)
