"""Derivatives of functions in JAX, point by point and as products with vectors."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kdtheory._interop import double_precision
from kdtheory._typing import Array
from kdtheory.nets._dense_layers import DenseLayers
from kdtheory.nets._network import Derivatives, Network, Outer

Function = Callable[[Any, Any], Any]

_Shape: Any = jax.ShapeDtypeStruct


class JaxNetwork(Network):
    """A function `f(params, x)` and its parameters, checked."""

    def __init__(self, f: Function, params: Any) -> None:
        if not callable(f):
            raise TypeError(f"f must be a function of parameters and points, got {f!r}")
        self._f = _Hashable.of(f)
        leaves = jax.tree_util.tree_flatten_with_path(params)[0]
        if not leaves:
            raise ValueError(f"params must hold at least one array, got {params!r}")
        for path, leaf in leaves:
            _require_leaf(f"params{jax.tree_util.keystr(path)}", leaf)
        self.dtype = np.result_type(*(np.dtype(leaf.dtype) for _, leaf in leaves))
        self.n_parameters = sum(math.prod(leaf.shape) for _, leaf in leaves)
        with self._precision():
            self._params = jax.tree.map(jnp.array, params)  # copies: arrays of numpy may change
            self._on_cpu = all(device.platform == "cpu" for device in jax.tree.leaves(self._params)[0].devices())
        self._known: dict[tuple[int, ...], int] = {}
        self._numbers: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}

    def n_outputs(self, points: np.ndarray) -> int:
        """Count the outputs k, where the function gives shape (n, k) or (n,) for these points; any other is refused."""
        if points.shape not in self._known:
            with self._precision():
                self._known[points.shape] = self._count(points)
        return self._known[points.shape]

    def point_numbers(self, points: np.ndarray, n_outputs: int) -> tuple[int, int]:
        """Count numbers for one point: of the derivatives of as many outputs, and of what is kept to find them."""
        asked = (points.shape[1:], n_outputs)
        if asked not in self._numbers:
            with self._precision():
                combinations = _Shape((n_outputs, self.n_outputs(points)), self.dtype)
                one = _Shape((1, *points.shape[1:]), self.dtype)
                found = jax.eval_shape(partial(_derivatives, self._f), self._params, one, combinations)
                jaxpr = jax.make_jaxpr(self._f)(self._params, one)
            derivatives = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(found))
            self._numbers[asked] = derivatives, (1 + n_outputs) * intermediate_numbers(jaxpr.jaxpr)
        return self._numbers[asked]

    def derivatives(self, points: np.ndarray, combinations: np.ndarray, size: int) -> Derivatives:
        """Give the derivatives of combinations (s, k) of outputs at each point: numpy's, if it has the memory."""
        with self._precision():
            batch = jnp.asarray(_padded(points, size))
            found = _derivatives(self._f, self._params, batch, jnp.asarray(combinations, dtype=self.dtype))
        return [self._of_points(each, len(points)) for each in found]

    def _of_points(self, derivative: Any, n_points: int) -> Any:
        if isinstance(derivative, tuple):
            return Outer(*(self._of_points(each, n_points) for each in derivative))
        return (np.asarray(derivative) if self._on_cpu else derivative)[:n_points]

    def pull_back(self, points: np.ndarray, cotangents: np.ndarray, size: int) -> list[Array]:
        """`Jᵀ v` for each of q cotangents (q, b, k): arrays (q, ...) of the shapes of the parameters."""
        with self._precision():
            vectors = np.zeros((len(cotangents), size, cotangents.shape[2]), dtype=self.dtype)
            vectors[:, : len(points)] = cotangents
            return _pull_back(self._f, self._params, jnp.asarray(_padded(points, size)), jnp.asarray(vectors))

    def push_forward(self, points: np.ndarray, tangents: list[Array], size: int) -> np.ndarray:
        """`J u` for each of q tangents, arrays (q, ...): an array (q, b, k)."""
        with self._precision():
            batch = jnp.asarray(_padded(points, size))
            return np.asarray(_push_forward(self._f, self._params, batch, tangents))[:, : len(points)]

    def device_product(self, left: Array, right: Array, panel: int) -> np.ndarray:
        """`left rightᵀ` of two matrices of an accelerator, in double precision, a panel of columns at a time."""
        with double_precision():
            return np.asarray(_panel_product(left, right, panel))

    def _count(self, points: np.ndarray) -> int:
        try:
            traced = jax.make_jaxpr(self._f, return_shape=True)(self._params, _Shape(points.shape, self.dtype))
        except Exception as error:
            error.add_note(f"f(params, x) was called with its params and points x of shape {points.shape}")
            raise
        jaxpr, shape = traced
        got = getattr(shape, "shape", None)
        if got is None or len(got) not in (1, 2) or got[0] != len(points) or math.prod(got) == 0:
            given = jax.tree.structure(shape) if got is None else f"shape {got}"
            raise ValueError(
                f"f must return an array of shape (n, k) or (n,) for n points, got {given} for {len(points)} points of"
                f" shape {points.shape[1:]}"
            )
        if np.dtype(shape.dtype) not in (np.float32, np.float64):
            raise TypeError(f"f must return real numbers of float32 or float64, got {shape.dtype}")
        if not _depends_on(jaxpr.jaxpr, len(jax.tree.leaves(self._params))):
            raise ValueError("f must return what depends on its params, got a function of its points alone")
        both = _together_and_alone(self._f, self._params, jnp.asarray(_two_that_differ(points)))
        together, alone = (np.asarray(each) for each in both)
        if np.max(np.abs(together - alone)) > 1e3 * np.finfo(self.dtype).eps * np.max(np.abs(alone)):
            raise ValueError(
                "f must return rows that depend on their own points alone, got others for each point than for"
                " two together: batch normalisation must use its running averages"
            )
        return got[1] if len(got) == 2 else 1

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        """Let this thread compute in double precision if the parameters do."""
        return double_precision() if self.dtype == np.float64 else contextlib.nullcontext()


class _Hashable:
    """A function that can be the key of what is compiled for it, even if it is an object that is not hashable."""

    def __init__(self, f: Function) -> None:
        self._f = f

    @classmethod
    def of(cls, f: Function) -> Function:
        try:
            hash(f)
        except TypeError:
            return cls(f)
        return f

    def __call__(self, params: Any, x: Any) -> Any:
        return self._f(params, x)


@partial(jax.jit, static_argnums=0)
def _derivatives(f: Function, params: Any, batch: Array, combinations: Array) -> list[Any]:
    """Arrays (b, s, p), or pairs of inputs (b, p) and sensitivities (b, s, q), of all leaves."""
    leaves, structure = jax.tree.flatten(params)
    layers = DenseLayers.of(
        lambda some, point: f(jax.tree.unflatten(structure, some), point[None]).reshape(-1), leaves, batch[0]
    )
    found = jax.vmap(lambda point: layers.derivatives(leaves, point, combinations))(batch)
    return [each if isinstance(each, tuple) else each.reshape(*each.shape[:2], -1) for each in found]


@partial(jax.jit, static_argnums=0)
def _together_and_alone(f: Function, params: Any, batch: Array) -> tuple[Array, Array]:
    return f(params, batch), jax.vmap(lambda point: f(params, point[None])[0])(batch)


@partial(jax.jit, static_argnums=0)
def _pull_back(f: Function, params: Any, batch: Array, cotangents: Array) -> list[Array]:
    outputs, pull = jax.vjp(lambda some: f(some, batch), params)
    pulled = jax.vmap(lambda vector: pull(vector.reshape(outputs.shape).astype(outputs.dtype))[0])(cotangents)
    return jax.tree.leaves(pulled)


@partial(jax.jit, static_argnums=0)
def _push_forward(f: Function, params: Any, batch: Array, tangents: list[Array]) -> Array:
    structure = jax.tree.structure(params)

    def push(tangent: list[Array]) -> Array:
        return jax.jvp(lambda some: f(some, batch), (params,), (jax.tree.unflatten(structure, tangent),))[1]

    pushed = jax.vmap(push)(tangents)
    return pushed.reshape(*pushed.shape[:2], -1)


@partial(jax.jit, static_argnums=2)
def _panel_product(left: Array, right: Array, panel: int) -> Array:
    panel = min(panel, left.shape[1])
    missing = -left.shape[1] % panel

    def panels(each: Array) -> Array:
        return jnp.moveaxis(jnp.pad(each, ((0, 0), (0, missing))).reshape(len(each), -1, panel), 1, 0)

    def add(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        one, other = (each.astype(jnp.float64) for each in pair)
        return total + one @ other.T, None

    total = jnp.zeros((len(left), len(right)), dtype=jnp.float64)
    return jax.lax.scan(add, total, (panels(left), panels(right)))[0]


def _two_that_differ(points: np.ndarray) -> np.ndarray:
    """Two points of which one could change what is computed for the other."""
    if len(points) > 1 and np.any(points[0] != points[1]):
        return points[:2]
    return np.stack([points[0], points[0] + 1.0])


def _depends_on(jaxpr: Any, n_params: int) -> bool:
    """Whether what a function gives is computed from any of its first arguments."""
    reached = set(jaxpr.invars[:n_params])
    for equation in jaxpr.eqns:
        if any(not hasattr(variable, "val") and variable in reached for variable in equation.invars):
            reached.update(equation.outvars)
    return any(not hasattr(variable, "val") and variable in reached for variable in jaxpr.outvars)


def _require_leaf(path: str, leaf: Any) -> None:
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or not hasattr(leaf, "shape"):
        raise TypeError(f"{path} must be an array of float32 or float64, got {leaf!r}: keep the rest in f")
    if dtype not in (np.float32, np.float64):
        other = type(leaf).__module__.partition(".")[0] == "torch"
        advice = "ModuleNTK takes modules of PyTorch" if other else "keep the rest in f"
        raise TypeError(f"{path} must be an array of float32 or float64, got {dtype}: {advice}")
    finite = np.isfinite(np.asarray(leaf))
    if not finite.all():
        where = tuple(int(index) for index in np.unravel_index(np.argmin(finite), finite.shape))
        raise ValueError(f"{path} must be finite, got {float(np.asarray(leaf)[where])} at index {where}")


def _padded(points: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([points, np.repeat(points[-1:], size - len(points), axis=0)])


def intermediate_numbers(jaxpr: Any) -> int:
    """Count the numbers that all operations of a function give, those of functions inside it included."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [getattr(each, "jaxpr", each) for each in _jaxprs(equation.params.values())]
        repeats = int(equation.params.get("length", 1)) if inner else 1
        total += repeats * sum(intermediate_numbers(each) for each in inner)
        total += sum(math.prod(variable.aval.shape) for variable in equation.outvars)
        if equation.primitive.name == "conv_general_dilated":  # the patches that filters are multiplied with
            filters = equation.invars[1].aval.shape
            n_filters = filters[equation.params["dimension_numbers"].rhs_spec[0]]
            total += math.prod(equation.outvars[0].aval.shape) // n_filters * (math.prod(filters) // n_filters)
    return total


def _jaxprs(values: Any) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        flat.extend(value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
    return [value for value in flat if hasattr(getattr(value, "jaxpr", value), "eqns")]
