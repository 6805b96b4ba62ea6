"""Checks of points that are jax arrays, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from array_api_compat import is_jax_array, is_numpy_array
from jax.sharding import Mesh, NamedSharding

from kdtheory._interop import is_traced
from kdtheory._validation import require_array, require_ndim
from kdtheory.kernels._jax_tiles import AXIS, SPREAD, WHOLE
from kdtheory.kernels._points import require_points

Devices: TypeAlias = Sequence[Any] | None
"""Devices of JAX, whose own types not every checker can read."""


def require_jax_points(name: str, value: Any) -> jax.Array:
    """`value` as points of shape (n, d), float32 or float64, none of them infinite or NaN if they can be looked at."""
    points, config = _freely_placed(value), cast(Any, jax.config)
    if not jnp.issubdtype(points.dtype, jnp.floating) or points.dtype.itemsize < 4:
        points = _as_floating(name, points)
    if points.dtype == np.float64 and not config.jax_enable_x64:
        raise ValueError(f"{name} of float64 needs JAX's double precision: jax.config.update('jax_enable_x64', True)")
    require_ndim(name, points, 2)
    if points.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {points.shape}")
    if is_traced(points):
        return points
    if not points.is_fully_addressable:
        raise ValueError(f"{name} must lie on devices of this process, got an array that is spread over several")
    with jax.ensure_compile_time_eval():  # also in the midst of a larger program
        where = int(_first_infinite(points))
        if where < points.size:
            row, column = divmod(where, points.shape[1])
            raise ValueError(f"{name} must be finite, got {float(points[row, column])} in row {row}, column {column}")
    return points


def require_jax_sets(X: Any, Y: Any) -> tuple[jax.Array, jax.Array]:
    """Both sets of points, of one dtype and with the same number of features."""
    if not is_jax_array(X):
        raise TypeError(f"X must be a jax array as Y is one, got {type(X).__name__}")
    left = require_jax_points("X", X)
    if is_jax_array(Y):
        right = require_jax_points("Y", Y)
        dtype = jnp.promote_types(left.dtype, right.dtype)
        left, right = left.astype(dtype), right.astype(dtype)
    else:
        if not is_numpy_array(Y) and not isinstance(Y, list | tuple):
            raise TypeError(f"Y must be an array of numpy or jax, got {type(Y).__name__}")
        right = jnp.asarray(require_points("Y", Y), dtype=left.dtype)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"Y must have {left.shape[1]} columns, one for each feature of X, got shape {right.shape}")
    return left, right


def mesh_of(points: jax.Array, devices: Devices) -> Mesh:
    """Devices as a mesh of one axis: those given, or those where the points are."""
    if devices is None:
        sharding = points.sharding
        if isinstance(sharding, NamedSharding):
            chosen = list(sharding.mesh.devices.flat)
        else:
            chosen = sorted(sharding.device_set, key=lambda device: device.id)
    else:
        chosen = list(devices)
        if not chosen or not all(isinstance(device, jax.Device) for device in chosen):
            raise ValueError(f"devices must be a sequence of jax devices, got {devices!r}")
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"devices must differ from each other, got {devices!r}")
    return Mesh(np.array(chosen), (AXIS,))


def on_all(points: jax.Array, mesh: Mesh) -> jax.Array:
    """`points` whole on every device of the mesh."""
    return jax.device_put(points, NamedSharding(mesh, WHOLE))


def over_rows(points: jax.Array, mesh: Mesh) -> jax.Array:
    """`points`, whose number the mesh divides, spread over its devices."""
    return jax.device_put(points, NamedSharding(mesh, SPREAD))


def _freely_placed(points: jax.Array) -> jax.Array:
    """`points` where they are, but free to be moved by what is computed with them."""
    if is_traced(points) or not isinstance(points.sharding, NamedSharding):
        return points
    mesh = points.sharding.mesh
    return jax.device_put(points, NamedSharding(Mesh(mesh.devices, mesh.axis_names), points.sharding.spec))


def _as_floating(name: str, points: jax.Array) -> jax.Array:
    if is_traced(points):
        return points.astype(jnp.promote_types(points.dtype, jnp.float32))
    array: jax.Array = require_array(name, points)
    return array


@jax.jit
def _first_infinite(points: jax.Array) -> jax.Array:
    """Position of the first entry that is not finite, in the order of rows; the size if there is none."""
    wrong = ~jnp.isfinite(points)
    row = jnp.argmax(jnp.any(wrong, axis=1))
    where = row * points.shape[1] + jnp.argmax(wrong[row])
    return jnp.where(jnp.any(wrong), where, points.size)
