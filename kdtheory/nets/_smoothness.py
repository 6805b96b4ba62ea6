"""Where a network has no second derivative: operations that jump are refused, those that bend are named."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory.nets._steps import batch_logits
from kdtheory.nets.models import split

_JUMP = frozenset({"ceil", "floor", "nextafter", "rem", "round", "sign"})
_BEND = frozenset(
    {
        *("abs", "clamp", "cond", "max", "min", "reduce_max", "reduce_min", "select_n", "sort", "top_k", "while"),
        *("cummax", "cummin", "reduce_window", "reduce_window_max", "reduce_window_min", "reduce"),
    }
)
_SMOOTH_FUNCTIONS = frozenset({"_softmax", "log_softmax", "logaddexp", "softmax"})
"""Functions that compare within, for the size of their numbers alone."""

_SMOOTH = ""
"""Mark of a value that has derivatives by the parameters; one that follows them in jumps has the operation's name."""

Mark = str | None

_DEAD, _HELD, _LIVE = 0, 1, 2
"""What becomes of a value: nothing; only what `stop_gradient` holds; the network's outputs."""


def require_bends(model: Any, point: Any, state: Any) -> tuple[str, ...]:
    """Names of operations where the network bends as its parameters vary, sorted; refuse a network that jumps."""
    params, rest = split(model)
    leaves, structure = jax.tree.flatten(params)

    def logits(some: list[Array], points: Array) -> Array:
        return batch_logits(eqx.combine(jax.tree.unflatten(structure, some), rest), points, state)[0]

    jaxpr = jax.make_jaxpr(logits)(leaves, point).jaxpr
    found: set[str] = set()
    marks: list[Mark] = [_SMOOTH] * len(leaves) + [None] * (len(jaxpr.invars) - len(leaves))
    _walk(jaxpr, marks, [_LIVE] * len(jaxpr.outvars), found)
    return tuple(sorted(found))


def _walk(jaxpr: Any, marks: Sequence[Mark], live: Sequence[int], found: set[str]) -> list[Mark]:
    """Find the marks of the results of some operations from those of their arguments."""
    uses = _uses(jaxpr, live)
    known: dict[Any, Mark] = dict(zip(jaxpr.invars, marks, strict=True))

    def mark_of(variable: Any) -> Mark:
        return None if hasattr(variable, "val") else known.get(variable)

    for equation in jaxpr.eqns:
        before = [mark_of(variable) for variable in equation.invars]
        use = [uses.get(variable, _DEAD) for variable in equation.outvars]
        if any(use) and any(mark is not None for mark in before):
            known.update(zip(equation.outvars, _after(equation, before, use, found), strict=True))
    return [mark_of(variable) for variable in jaxpr.outvars]


def _uses(jaxpr: Any, live: Sequence[int]) -> dict[Any, int]:
    uses: dict[Any, int] = {}

    def use(variables: Any, most: int) -> None:
        for variable in variables:
            if not hasattr(variable, "val"):
                uses[variable] = max(uses.get(variable, _DEAD), most)

    for variable, each in zip(jaxpr.outvars, live, strict=True):
        use([variable], each)
    for equation in reversed(jaxpr.eqns):
        most = max((uses.get(variable, _DEAD) for variable in equation.outvars), default=_DEAD)
        use(equation.invars, min(most, _HELD) if equation.primitive.name == "stop_gradient" else most)
    return uses


def _after(equation: Any, before: list[Mark], use: list[int], found: set[str]) -> list[Mark]:
    name = equation.primitive.name
    smooth = any(mark == _SMOOTH for mark in before)
    origin = next((mark for mark in before if mark), None)
    if name in _JUMP and smooth:
        raise _refused(name)
    inner = None if name in _BEND - {"cond", "while"} else _inside(equation, before)
    if inner is not None:
        if origin is not None and name in ("cond", "while") and max(use) == _LIVE:
            found.add(name)
        if _function_name(equation) in _SMOOTH_FUNCTIONS:
            return [_SMOOTH] * len(use)
        if name in ("scan", "while"):  # what a step hands on may be used by the next one
            use = [max(use)] * len(use)
        return _of_branches(inner, use, found)
    after: list[Mark] = []
    for variable, each in zip(equation.outvars, use, strict=True):
        if not jnp.issubdtype(variable.aval.dtype, jnp.inexact):
            after.append(origin or name)
            continue
        if not smooth and each:
            raise _refused(origin or name)
        if (origin is not None or name in _BEND) and each == _LIVE:
            found.add(name)
        after.append(_SMOOTH)
    return after


def _inside(equation: Any, before: list[Mark]) -> list[tuple[Any, list[Mark]]] | None:
    """Functions that an operation calls, with the marks of their arguments; None for one that calls none."""
    parameters, name = equation.params, equation.primitive.name
    if name == "cond":
        branches = [getattr(each, "jaxpr", each) for each in parameters["branches"]]
        return [(each, before[1:]) for each in branches]
    if name == "while":
        skipped = parameters["cond_nconsts"]
        return [(_body(parameters["body_jaxpr"]), before[skipped:])]
    for value in parameters.values():
        jaxpr = _body(value)
        if not hasattr(jaxpr, "eqns"):
            continue
        if len(jaxpr.invars) != len(before) or len(jaxpr.outvars) != len(equation.outvars):
            worst = next((mark for mark in before if mark == _SMOOTH), next(mark for mark in before if mark))
            return [(jaxpr, [worst] * len(jaxpr.invars))] if len(jaxpr.outvars) == len(equation.outvars) else None
        marks = list(before)
        if name == "scan":
            carry = _carry(equation, jaxpr)
            for _ in marks[carry]:  # what a step marks, the next one is given
                after = _walk(jaxpr, marks, [_LIVE] * len(jaxpr.outvars), set())
                marks[carry] = map(_worse, marks[carry], after)
        return [(jaxpr, marks)]
    return None


def _carry(scan: Any, step: Any) -> slice:
    """Which arguments of a scan its steps hand on, by their shapes, as versions of JAX store it in different ways.

    What is stacked, of arguments behind and of results behind, has one axis more outside of a step.
    """

    def axes(variables: Any) -> list[int]:
        return [len(variable.aval.shape) for variable in variables]

    end = sum(map(operator.eq, axes(scan.invars), axes(step.invars)))
    return slice(end - sum(map(operator.eq, axes(scan.outvars), axes(step.outvars))), end)


def _function_name(equation: Any) -> str:
    called = _body(equation.params.get("call_jaxpr"))
    traced = getattr(getattr(called, "debug_info", None), "func_name", "")
    return str(equation.params.get("name", traced))


def _body(value: Any) -> Any:
    return getattr(value, "jaxpr", value)


def _of_branches(inner: list[tuple[Any, list[Mark]]], use: list[int], found: set[str]) -> list[Mark]:
    results = [_walk(jaxpr, marks, use, found) for jaxpr, marks in inner]
    after = results[0]
    for other in results[1:]:
        after = list(map(_worse, after, other))
    return after


def _worse(one: Mark, other: Mark) -> Mark:
    if _SMOOTH in (one, other):
        return _SMOOTH
    return one or other


def _refused(name: str) -> ValueError:
    return ValueError(
        f"model must be twice differentiable, but for bends: {name!r} of what depends on its parameters jumps, and has"
        " no derivative but 0"
    )
