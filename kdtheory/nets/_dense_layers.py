"""Weights of dense layers in a function of JAX, whose derivatives at one point are outer products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from kdtheory._typing import Array

_INLINED = ("jit", "pjit")

_Shape: Any = jax.ShapeDtypeStruct


@dataclass(frozen=True)
class _Weight:
    """A leaf of the parameters, or a transpose or multiple of it, until something else is made of it."""

    leaf: int
    value: Any
    scale: Any = 1.0


@dataclass
class _Run:
    """One evaluation of a function, in which products with `weights` are looked for.

    Attributes
    ----------
    weights : collection of int
        Leaves that may be weights of dense layers.
    shifts : dict of int to array
        What is added to the product with each of them.
    inputs : dict of int to array
        What each was multiplied by.
    shapes : dict of int to shape
        Of the products.
    uses : Counter of int
    spoilt : set of int
        Leaves that were used for something else.
    """

    weights: Sequence[int]
    shifts: dict[int, Array] = field(default_factory=dict)
    inputs: dict[int, Array] = field(default_factory=dict)
    shapes: dict[int, Any] = field(default_factory=dict)
    uses: Counter[int] = field(default_factory=Counter)
    spoilt: set[int] = field(default_factory=set)

    def function(self, closed: Any, leaves: Sequence[Array], point: Array) -> list[Array]:
        """Evaluate a closed jaxpr of all leaves and one point."""
        marked = [_Weight(i, leaf) if i in self.weights else leaf for i, leaf in enumerate(leaves)]
        return [self._plain(value) for value in self._evaluate(closed.jaxpr, closed.consts, [*marked, point])]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, _Weight):
            self.spoilt.add(value.leaf)
            return value.value
        return value

    def _evaluate(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))

        def read(variable: Any) -> Any:
            return variable.val if hasattr(variable, "val") else known[variable]

        for equation in jaxpr.eqns:
            known.update(zip(equation.outvars, self._apply(equation, [*map(read, equation.invars)]), strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _apply(self, equation: Any, values: list[Any]) -> list[Any]:
        name = equation.primitive.name
        if name in _INLINED and "jaxpr" in equation.params:
            inner = equation.params["jaxpr"]
            return self._evaluate(inner.jaxpr, inner.consts, values)
        marked = [value for value in values if isinstance(value, _Weight)]
        if len(marked) == 1:
            weight, position = marked[0], next(i for i, value in enumerate(values) if isinstance(value, _Weight))
            if name == "transpose":
                return [_Weight(weight.leaf, self._bind(equation, [weight.value])[0], weight.scale)]
            if name == "mul" and jnp.ndim(values[1 - position]) == 0:
                factor = values[1 - position]
                scaled = self._bind(equation, [weight.value if i == position else factor for i in range(2)])[0]
                return [_Weight(weight.leaf, scaled, weight.scale * factor)]
            if name == "dot_general" and _is_dense(equation, position):
                return [self._multiply(equation, weight, values[1 - position], position)]
        return self._bind(equation, [self._plain(value) for value in values])

    def _multiply(self, equation: Any, weight: _Weight, vector: Array, position: int) -> Array:
        plain = [weight.value if i == position else vector for i in range(2)]
        product = self._bind(equation, plain)[0]
        self.uses[weight.leaf] += 1
        self.shapes[weight.leaf] = _Shape(product.shape, product.dtype)
        self.inputs[weight.leaf] = weight.scale * vector.reshape(-1)
        return product + self.shifts[weight.leaf] if weight.leaf in self.shifts else product

    @staticmethod
    def _bind(equation: Any, values: list[Any]) -> list[Any]:
        bound = equation.primitive.get_bind_params(equation.params)
        functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # a pair up to some jax 0.9
        result = equation.primitive.bind(*functions, *values, **parameters)
        return list(result) if equation.primitive.multiple_results else [result]


def _is_dense(equation: Any, position: int) -> bool:
    """Whether a matrix is multiplied by one vector, whatever axes of length one that has."""
    contracted, batched = equation.params["dimension_numbers"]
    weight, vector = equation.invars[position].aval, equation.invars[1 - position].aval
    return (
        not any(batched)
        and len(contracted[position]) == 1
        and len(weight.shape) == 2
        and vector.size == weight.shape[contracted[position][0]]
        and vector.dtype == weight.dtype == equation.outvars[0].aval.dtype
    )


@dataclass(frozen=True)
class DenseLayers:
    """A function of leaves and one point, and the leaves that it uses once, in a product with one vector."""

    closed: Any
    products: dict[int, Any]

    @classmethod
    def of(cls, function: Callable[[list[Array], Array], Array], leaves: Sequence[Array], point: Array) -> DenseLayers:
        """Find them."""
        closed = jax.make_jaxpr(function)(list(leaves), point)
        run = _Run(range(len(leaves)))
        jax.eval_shape(lambda some, where: run.function(closed, some, where), list(leaves), point)
        products = {leaf: run.shapes[leaf] for leaf, uses in run.uses.items() if uses == 1 and leaf not in run.spoilt}
        return cls(closed, products)

    def derivatives(self, leaves: Sequence[Array], point: Array, combinations: Array) -> list[Any]:
        """Arrays (s, ...), or pairs of inputs (p,) and sensitivities (s, q), of the leaves in their order."""
        rest = {i: leaf for i, leaf in enumerate(leaves) if i not in self.products}
        shifts = {i: jnp.zeros(product.shape, product.dtype) for i, product in self.products.items()}

        def outputs(some: dict[int, Array], added: dict[int, Array]) -> tuple[Array, dict[int, Array]]:
            run = _Run([*self.products], shifts=added)
            return run.function(self.closed, [some.get(i, leaf) for i, leaf in enumerate(leaves)], point)[0], run.inputs

        values, pull, inputs = jax.vjp(outputs, rest, shifts, has_aux=True)
        of_rest, of_products = jax.vmap(pull)(combinations.astype(values.dtype))
        return [
            (inputs[i], of_products[i].reshape(len(combinations), -1)) if i in self.products else of_rest[i]
            for i in range(len(leaves))
        ]
