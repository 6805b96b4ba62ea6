"""Gram matrices and products with them as compiled programs over tiles, spread over devices by rows.

A tile is computed in the same way wherever it is, and each row adds up its tiles in one order, so that results do not
depend on the number of devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from kdtheory.kernels._jax_values import Formula, Parameters, product

AXIS = "rows"
_partition: Any = PartitionSpec  # has no types
SPREAD, WHOLE = _partition(AXIS), _partition()

_LARGEST_ON_CPU = 256, 1024
_LARGEST = 512, 32768
_LEAST = 8, 64
_WORKING_COPIES = 6
"""Arrays of the size of a tile that a program holds at once."""


class Plan(NamedTuple):
    """Sizes of a matrix (n, m) and of its tiles, and whether its points are the same on both sides."""

    n_rows: int
    n_columns: int
    height: int
    width: int
    is_symmetric: bool

    def work_bytes(self, n_features: int, n_outputs: int, itemsize: int) -> int:
        """Most bytes that a device needs, besides the points, for a product with that many columns."""
        vectors = 2 * (self.n_rows + self.height + self.n_columns + self.width) + 4 * self.height
        points = 4 * (self.height + self.width) * n_features
        return itemsize * (_WORKING_COPIES * self.height * self.width + vectors * n_outputs + points)

    def rows_on(self, n_devices: int) -> int:
        """Count the rows, with those that are added to give every device whole tiles."""
        return _multiple(self.n_rows, self.height * n_devices)

    @property
    def padded_columns(self) -> int:
        """Number of columns, with those that are added for whole tiles."""
        return _multiple(self.n_columns, self.width)


def plan_tiles(
    n_rows: int, n_columns: int, n_features: int, itemsize: int, *, is_symmetric: bool, max_bytes: int, on_cpu: bool
) -> Plan:
    """Tiles that fit into `max_bytes`, the least if none do. Does not depend on the number of devices."""
    largest = _LARGEST_ON_CPU if on_cpu else _LARGEST
    height, width = (_evenly(length, most) for length, most in zip((n_rows, n_columns), largest, strict=True))

    def plan() -> Plan:
        return Plan(n_rows, n_columns, height, width, is_symmetric)

    def is_too_large() -> bool:
        tile_bytes = _WORKING_COPIES * height * width * itemsize
        return plan().work_bytes(n_features, 1, itemsize) > max_bytes or tile_bytes > max_bytes // 2

    while is_too_large():
        if width > _LEAST[1]:
            width = max(width // 2, _LEAST[1])
        elif height > _LEAST[0]:
            height = max(height // 2, _LEAST[0])
        else:
            break
    return plan()


def plan_rows(n_rows: int, n_columns: int, *, is_symmetric: bool) -> Plan:
    """Tiles as long as the rows of the matrix, for one that is stored."""
    return Plan(n_rows, n_columns, _evenly(n_rows, _LARGEST_ON_CPU[0]), n_columns, is_symmetric)


def padded(points: jax.Array, length: int) -> jax.Array:
    """`points` and copies of the last one, whose kernel values are as good as those of the others."""
    return jnp.pad(points, ((0, length - points.shape[0]), (0, 0)), mode="edge")


@partial(jax.jit, static_argnames=("formula", "mesh", "plan"))
def multiply(
    rows: jax.Array,
    columns: jax.Array,
    V: jax.Array,
    parameters: Parameters,
    *,
    formula: Formula,
    mesh: Mesh,
    plan: Plan,
) -> jax.Array:
    """`K V` (n, k), for padded rows that are spread over the mesh, padded columns, and V (m, k)."""
    V = jnp.pad(V, ((0, columns.shape[0] - V.shape[0]), (0, 0)))
    features = formula.features(columns)
    if features is not None:
        on_rows = _times_features
        shared: Any = product(features.T, V)
    else:
        on_rows = _sum_over_tiles
        shared = columns, V, parameters, formula.context(rows, columns, parameters)
    return _over_rows(partial(on_rows, formula, plan), rows, shared, mesh, plan)


def _times_features(formula: Formula, plan: Plan, x: jax.Array, numbers: jax.Array, shared: Any) -> jax.Array:
    del plan, numbers
    features: Any = formula.features(x)
    return product(features, shared)


def _sum_over_tiles(formula: Formula, plan: Plan, x: jax.Array, numbers: jax.Array, shared: Any) -> jax.Array:
    columns, V, parameters, context = shared

    @partial(jax.checkpoint, prevent_cse=False)  # no gradient stores all tiles
    def add(total: jax.Array, column: Any) -> tuple[jax.Array, None]:
        y, v, column_numbers = column
        K = values(formula, x, y, parameters, context, (numbers, column_numbers) if plan.is_symmetric else None)
        return total + product(K, v), None

    tiles = (
        columns.reshape(-1, plan.width, columns.shape[1]),
        V.reshape(-1, plan.width, V.shape[1]),
        jnp.arange(len(columns)).reshape(-1, plan.width),
    )
    return lax.scan(add, jnp.zeros((plan.height, V.shape[1]), x.dtype), tiles)[0]


@partial(jax.jit, static_argnames=("formula", "mesh", "plan"))
def gram(
    rows: jax.Array, columns: jax.Array, parameters: Parameters, *, formula: Formula, mesh: Mesh, plan: Plan
) -> jax.Array:
    """`K` (n, m), for padded rows that are spread over the mesh, and all columns, not padded."""
    shared = columns, parameters, formula.context(rows, columns, parameters)
    K = _over_rows(partial(_whole_rows, formula, plan), rows, shared, mesh, plan)
    return _as_result(_mirrored(K), mesh) if plan.is_symmetric else K


def _whole_rows(formula: Formula, plan: Plan, x: jax.Array, numbers: jax.Array, shared: Any) -> jax.Array:
    columns, parameters, context = shared
    column_numbers = jnp.arange(len(columns))
    return values(formula, x, columns, parameters, context, (numbers, column_numbers) if plan.is_symmetric else None)


def values(
    formula: Formula, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, numbers: Any
) -> jax.Array:
    """Kernel values, where points with the same number have those of the diagonal."""
    if numbers is None:
        return formula.values(x, y, parameters, context, None)
    same = numbers[0][:, None] == numbers[1]
    return jnp.where(same, formula.diagonal(x, parameters)[:, None], formula.values(x, y, parameters, context, same))


def traced_gram(formula: Formula, x: jax.Array, y: jax.Array | None, parameters: Parameters) -> jax.Array:
    """`K` as part of a larger program, which decides where it is."""
    numbers = (jnp.arange(len(x)),) * 2 if y is None else None
    others = x if y is None else y
    whole = jax.checkpoint(partial(values, formula))  # no gradient stores all differences
    K = whole(x, others, parameters, formula.context(x, others, parameters), numbers)
    return _mirrored(K) if y is None else K


def _mirrored(K: jax.Array) -> jax.Array:
    row, column = (lax.broadcasted_iota(jnp.int32, K.shape, axis) for axis in (0, 1))
    return jnp.where(row >= column, K, K.T)


def _over_rows(
    on_tile: Callable[[jax.Array, jax.Array, Any], jax.Array], rows: jax.Array, shared: Any, mesh: Mesh, plan: Plan
) -> jax.Array:
    """Results for every tile of rows, given with the numbers of its points, one below the other."""

    def on_device(rows: jax.Array, shared: Any) -> jax.Array:
        numbers = lax.axis_index(AXIS) * len(rows) + jnp.arange(len(rows))
        tiles = rows.reshape(-1, plan.height, rows.shape[1]), numbers.reshape(-1, plan.height)

        def on_one(tile: tuple[jax.Array, jax.Array]) -> jax.Array:
            return on_tile(*tile, shared)

        results: jax.Array = lax.map(on_one, tiles)
        return results.reshape(len(rows), -1)

    over_devices = jax.shard_map(on_device, mesh=mesh, in_specs=(SPREAD, WHOLE), out_specs=SPREAD, check_vma=False)
    return _as_result(over_devices(rows, shared)[: plan.n_rows], mesh)


def _as_result(result: jax.Array, mesh: Mesh) -> jax.Array:
    """Leave rows of a result on the devices of the points, or the whole on each if they do not divide its length."""
    spec = SPREAD if len(result) % mesh.size == 0 else WHOLE
    constrain: Any = lax.with_sharding_constraint
    placed: jax.Array = constrain(result, NamedSharding(mesh, spec))
    return placed


def _evenly(length: int, most: int) -> int:
    """Size of equal pieces of at most that size, rounded up to what fills vectors."""
    pieces = math.ceil(length / most)
    return _multiple(math.ceil(length / pieces), _LEAST[0])


def _multiple(length: int, step: int) -> int:
    return -(-length // step) * step
