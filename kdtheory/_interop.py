"""Moving small arrays between numpy and the other array libraries."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator

import numpy as np
from array_api_compat import array_namespace, device, is_jax_array, is_numpy_array, is_torch_array, to_device

from kdtheory._typing import Array


def to_numpy(array: Array) -> np.ndarray:
    """`array` as a numpy array of double precision, whatever its library and device."""
    if is_numpy_array(array) or is_jax_array(array):
        return np.asarray(array, dtype=np.float64)
    if is_torch_array(array):
        array = to_device(array.detach(), "cpu")
    return np.asarray(np.from_dlpack(array), dtype=np.float64)


def is_traced(*arrays: Array) -> bool:
    """Whether JAX is tracing any of them, so that their values cannot be looked at."""
    return any(is_jax_array(array) and isinstance(array, sys.modules["jax"].core.Tracer) for array in arrays)


def from_numpy(values: np.ndarray, *, like: Array) -> Array:
    """`values` as an array of the library, dtype and device of `like`."""
    return array_namespace(like).asarray(np.asarray(values, order="C"), dtype=like.dtype, device=device(like))


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Let JAX compute in double precision in this thread, under the name that its version has for that."""
    if importlib.util.find_spec("jax") is None:
        raise ModuleNotFoundError('this needs jax: pip install "kdtheory[jax]"')
    jax = importlib.import_module("jax")
    home = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    with home.enable_x64(True):
        yield
