"""Names for what arrays may be: anything that speaks the Python array API."""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of numpy, jax, torch or any other library behind the array API standard."""

Namespace: TypeAlias = Any
"""The module of functions that belongs to an `Array`: numpy, jax.numpy, ..."""
