"""The Hessian of a network's loss as a linear operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdtheory._linear_operator import LinearOperator
from kdtheory._validation import (
    require_array,
    require_nonnegative,
    require_nonnegative_integer,
    require_positive_integer,
)
from kdtheory.nets._mean_loss import MeanLoss
from kdtheory.nets._smoothness import require_bends
from kdtheory.nets._steps import like_one
from kdtheory.nets.losses import DistillationLoss

_AT_ONCE = 16
"""Vectors that are multiplied at once; fewer are filled up, so that no more than two widths are ever compiled."""

_PASSES = 4
"""Numbers that are kept for each one of a pass: of the pass itself, of the one back, and of their derivatives."""


class LossHessian(LinearOperator):
    """The Hessian of the mean loss over points, by a network's trainable parameters one after another.

    Parameters
    ----------
    model : equinox module or Snapshot
        `model(x)` gives the k logits of one point; it is taken as in use: without dropout, and with the running
        statistics of batch normalisation.
    X : array of shape (n, ...)
    y : array of shape (n,) of int, or (n, k)
        As for `kdtheory.nets.train`.
    loss : DistillationLoss, optional
        Default: cross-entropy at temperature 1.
    teacher : array of shape (n, k), or Snapshot, optional
        Its logits at the points, or itself.
    label_weight : float, optional
        Default: 0 with a teacher, 1 without.
    state : pytree, optional
        Of a network that has one.
    batch_size : int, optional
        Points that are worked at once. Default: as many as `max_bytes` allows. Results do not depend on it, but for
        rounding.
    weight_decay : float, default 0.0
        μ of `μ/2·‖θ‖²`, which is no part of the loss otherwise: it adds μ to every eigenvalue.
    max_bytes : int, default 2**28
        Memory for work, estimated from the network's operations; and most that `dense` may take.

    Attributes
    ----------
    n_parameters, n_points, batch_size : int
    kinks : tuple of str
        Operations of JAX where the network bends as its parameters vary, such as ("max",) of rectifiers; empty for a
        smooth network. With them this is the generalised Hessian, of the smooth piece that the parameters are in: the
        Hessian wherever no unit of any point is at its kink. What bends is told by the kind of operation; some can
        never be at their kink.
    dtype : dtype
        Of the parameters.

    Raises
    ------
    ValueError, TypeError
        As `train`: points and targets of different lengths, logits of other shape, classes out of range; also a
        `batch_size` above n; and a network that jumps as its parameters vary (rounding, signs, thresholds, indices),
        whose Hessian would be that of another function: the operation is named.
    FloatingPointError
        Of products, when the network's numbers overflow.

    See Also
    --------
    measure_flatness : trace and extreme eigenvalues at once.
    scipy.sparse.linalg.LinearOperator : what it is one of.

    Notes
    -----
    A product is one pass forward through the gradient, forward over reverse: about four times the work of the
    gradient, and no matrix. Batches have one shape, the last one filled with points of weight 0, so one function is
    compiled for a network, whatever its parameters. Vectors are multiplied 16 at a time, in the precision of the
    parameters; batches are added up in double precision.

    Source: Pearlmutter (1994), "Fast exact multiplication by the Hessian".

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> model = MultilayerPerceptron(2, 3, width=4, key=jax.random.key(0))
    >>> hessian = LossHessian(model, [[0.0, 1.0], [1.0, 0.0]], [0, 2])
    >>> hessian
    LossHessian(MultilayerPerceptron, n_parameters=47, n_points=2, batch_size=2, kinks=('max',))
    >>> (hessian @ np.ones(47)).shape
    (47,)
    """

    kinks: tuple[str, ...]
    n_parameters: int
    n_points: int
    batch_size: int
    weight_decay: float
    max_bytes: int

    def __init__(
        self,
        model: Any,
        X: Any,
        y: Any,
        *,
        loss: DistillationLoss | None = None,
        teacher: Any = None,
        label_weight: float | None = None,
        state: Any = None,
        batch_size: int | None = None,
        weight_decay: float = 0.0,
        max_bytes: int = 2**28,
    ) -> None:
        mean_loss = MeanLoss.of(model, X, y, loss=loss, teacher=teacher, label_weight=label_weight, state=state)
        with mean_loss.precision():
            self.kinks = require_bends(mean_loss.model, like_one(mean_loss.points), mean_loss.state)
            self._numbers = mean_loss.numbers_of_point()
        self.weight_decay = require_nonnegative("weight_decay", weight_decay)
        self.max_bytes = require_positive_integer("max_bytes", max_bytes)
        self.n_parameters = len(mean_loss.vector())
        super().__init__(mean_loss.dtype, (self.n_parameters, self.n_parameters))
        self._asked = batch_size
        self._put(mean_loss)

    def _put(self, mean_loss: MeanLoss) -> None:
        n_points = len(mean_loss)
        if self._asked is None:
            of_point = _PASSES * (1 + _AT_ONCE) * self._numbers * self.dtype.itemsize
            size = max(1, min(n_points, self.max_bytes // of_point))
        else:
            size = require_positive_integer("batch_size", self._asked)
            if size > n_points:
                raise ValueError(f"batch_size must be <= {n_points}, the number of points, got {size}")
        self.n_points, self.batch_size, self._mean_loss = n_points, size, mean_loss
        self._batches = mean_loss.batches(size)

    def minibatch(self, size: int, seed: int) -> LossHessian:
        """Give the Hessian of the mean loss over some of the points, drawn without replacement.

        Parameters
        ----------
        size : int
            From 1 to n.
        seed : int

        Returns
        -------
        LossHessian

        Raises
        ------
        ValueError
            For another size.

        Notes
        -----
        Its mean over seeds is the whole Hessian, and so is that of its trace; its largest eigenvalue is larger on
        average, by Jensen's inequality.
        """
        size = require_positive_integer("size", size)
        if size > self.n_points:
            raise ValueError(f"size must be <= {self.n_points}, the number of points, got {size}")
        rng = np.random.default_rng(require_nonnegative_integer("seed", seed))
        chosen = np.sort(rng.choice(self.n_points, size, replace=False))
        drawn = object.__new__(LossHessian)
        drawn.__dict__.update(self.__dict__)
        drawn._asked = None if self._asked is None else min(self.batch_size, size)
        drawn._put(self._mean_loss.on(chosen))
        return drawn

    def mean_loss(self) -> float:
        """Give the mean loss that this is the Hessian of, without weight decay.

        Returns
        -------
        float
        """
        return float(self._mean_loss.values(self._batches, self._mean_loss.vector()[None])[0, 0])

    def dense(self) -> np.ndarray:
        """Give the matrix, for small networks.

        Returns
        -------
        array of shape (p, p)
            Symmetric, in double precision.

        Raises
        ------
        ValueError
            When matrix and work would take more than `max_bytes`.
        """
        needed = 16 * self.n_parameters**2
        if needed > self.max_bytes:
            raise ValueError(
                f"max_bytes must be >= {needed} for the dense Hessian of {self.n_parameters} parameters, got"
                f" {self.max_bytes}"
            )
        matrix = self._multiply(np.eye(self.n_parameters))
        return 0.5 * (matrix + matrix.T)

    def double(self, vectors: np.ndarray) -> np.ndarray:
        """Multiply vectors, and keep the sums over batches in double precision.

        Parameters
        ----------
        vectors : array of shape (p, q)

        Returns
        -------
        array of shape (p, q)
        """
        return self._multiply(np.asarray(vectors, dtype=np.float64).T).T

    def _multiply(self, rows: np.ndarray) -> np.ndarray:
        result = np.empty(rows.shape)
        step = 1 if len(rows) == 1 else _AT_ONCE
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            filled = np.zeros((step, self.n_parameters))
            filled[: len(some)] = some
            result[start : start + step] = self._mean_loss.products(self._batches, filled)[: len(some)]
        if not np.isfinite(result).all():
            raise FloatingPointError("the Hessian must be finite, got products that overflow: the loss is too steep")
        return result + self.weight_decay * rows

    def _matvec(self, x: Any) -> np.ndarray:
        return self._matmat(np.asarray(x).reshape(-1, 1))[:, 0]

    def _matmat(self, X: Any) -> np.ndarray:
        vectors = np.asarray(require_array("vectors", X, allow_empty=True))
        return self.double(vectors).astype(np.result_type(self.dtype, vectors.dtype))

    def _adjoint(self) -> LossHessian:
        return self

    def __repr__(self) -> str:
        decay = f", weight_decay={self.weight_decay}" if self.weight_decay else ""
        return (
            f"LossHessian({type(self._mean_loss.model).__name__}, n_parameters={self.n_parameters},"
            f" n_points={self.n_points}, batch_size={self.batch_size}, kinks={self.kinks}{decay})"
        )
