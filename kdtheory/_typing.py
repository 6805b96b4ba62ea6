"""Names for what arrays may be: anything that speaks the Python array API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of numpy, jax, torch or any other library behind the array API standard."""

Namespace: TypeAlias = Any
"""The module of functions that belongs to an `Array`: numpy, jax.numpy, ..."""

QFilter: TypeAlias = Callable[[Array], Array]
"""A function of the eigenvalues, such as a filter."""
