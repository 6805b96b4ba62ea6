"""Symmetric operators as what estimators multiply with: in double precision, checked, counted, and within matfree."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from scipy.sparse.linalg import aslinearoperator

from kdtheory._typing import Array
from kdtheory.nets.hessian import LossHessian


class FlatnessWarning(UserWarning):
    """An estimate is less exact than was asked for: its products were used up."""


class Products:
    """A symmetric operator that counts the vectors it was multiplied with."""

    def __init__(self, hessian: Any) -> None:
        if not isinstance(hessian, LossHessian):
            try:
                hessian = aslinearoperator(hessian)
            except TypeError as error:
                raise TypeError(
                    f"hessian must be a LossHessian, symmetric matrix or linear operator, got {type(hessian).__name__}"
                ) from error
        if hessian.shape[0] != hessian.shape[1] or hessian.shape[0] == 0:
            raise ValueError(f"hessian must be square and not empty, got shape {tuple(hessian.shape)}")
        self._hessian = hessian
        matrix: Any = getattr(hessian, "A", None)
        finite = isinstance(matrix, np.ndarray) and bool(np.isfinite(matrix).all())  # what is not is refused below
        if finite and np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():
            raise ValueError("hessian must be symmetric, got a matrix that differs from its transpose")
        self.size = int(hessian.shape[0])
        single = isinstance(hessian, LossHessian) and hessian.dtype == np.float32
        self.eps = float(np.finfo(np.float32 if single else np.float64).eps)
        self.count = 0

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors (p, q)."""
        self.count += vectors.shape[1]
        if isinstance(self._hessian, LossHessian):
            return self._hessian.double(vectors)
        found = np.asarray(self._hessian @ vectors, dtype=np.float64)
        if not np.isfinite(found).all():
            raise ValueError("hessian must give finite products, got some that are not")
        return found

    def in_jax(self, vector: Array) -> Array:
        """Multiply one vector, or many under an eager `jax.vmap`: as a block, which no compiled function could do."""

        @custom_vmap
        def product(one: Array) -> Array:
            return jnp.zeros_like(one)  # stands for its shape alone

        def of_many(size: int, batched: list[bool], many: Array) -> tuple[Array, bool]:
            del size, batched
            with jax.disable_jit(False):
                return jnp.asarray(self(np.asarray(many).T).T), True

        product.def_vmap(of_many)
        return product(vector)


def key_of(seed: int, *steps: int) -> Array:
    """Give a key of JAX for one part of a computation."""
    key = jax.random.key(seed)
    for step in steps:
        key = jax.random.fold_in(key, step)
    return key
