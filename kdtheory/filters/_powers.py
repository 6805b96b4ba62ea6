"""What gradient descent keeps of its start: powers of one number, or with momentum of 2 × 2 matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from kdtheory._typing import Array


def powers(rate: Array, rate_error: Array, n_iterations: np.ndarray) -> tuple[Array, Array]:
    """`(1 − rate)^n` and its complement, from the distance of the base to 1, 0 or −1, whichever is nearest."""
    xp = array_namespace(rate)
    steps = xp.asarray(n_iterations, dtype=rate.dtype, device=device(rate))
    odd = xp.asarray(n_iterations % 2 == 1, device=device(rate))
    base = (1.0 - rate) - rate_error
    zero = xp.zeros_like(rate)
    small, large = rate < 0.5, rate > 1.5
    log_small = xp.log1p(-xp.where(small, rate, zero))
    log_large = xp.log1p(-xp.where(large, (2.0 - rate) - rate_error, zero))
    log_middle = xp.log(xp.where(small | large | (base == 0.0), xp.ones_like(rate), xp.abs(base)))
    log_size = xp.where(small, log_small, xp.where(large, log_large, log_middle))
    log_power = xp.where((base == 0.0) & (steps > 0.0), xp.full_like(zero, -xp.inf), log_size * steps)
    negative = (base < 0.0) & odd
    size = xp.exp(log_power)
    return xp.where(negative, -size, size), xp.where(negative, 1.0 + size, -xp.expm1(log_power))


class _Transfer(NamedTuple):
    """The matrix `[[1 − rate·learned, −drag], [rate·speed, kept]]` that moves the residual and the last move along.

    Its first entry is kept in two forms, each with its own full precision: as the residual and as what was learned.
    """

    residual: Array
    learned: Array
    drag: Array
    speed: Array
    kept: Array

    def then(self, first: _Transfer, rate: Array) -> _Transfer:
        """Product of this matrix with one that comes before it."""
        coupling = self.drag * first.speed
        learned = self.learned + first.learned * self.residual + coupling
        share = rate * learned
        # A product of residuals near 1 would double its error with every squaring.
        residual = array_namespace(rate).where(
            share < 0.5, 1.0 - share, self.residual * first.residual - rate * coupling
        )
        return _Transfer(
            residual,
            learned,
            self.residual * first.drag + self.drag * first.kept,
            self.speed * first.residual + self.kept * first.speed,
            self.kept * first.kept - rate * (self.speed * first.drag),
        )


def momentum_powers(
    rate: Array, rate_error: Array, momentum: float, nesterov: bool, n_iterations: np.ndarray
) -> tuple[Array, Array]:
    """Residual after n steps with momentum, and its complement over the rate; by squaring."""
    xp = array_namespace(rate)
    one, zero = xp.ones_like(rate), xp.zeros_like(rate)
    residual = (1.0 - rate) - rate_error
    drag = momentum * residual if nesterov else momentum * one
    power = _Transfer(residual, one, drag, one, drag)
    shape = xp.zeros(n_iterations.shape, dtype=rate.dtype, device=device(rate)) + zero
    result = _Transfer(*(shape + entry for entry in (one, zero, zero, zero, one)))
    for bit in range(int(n_iterations.max()).bit_length()):
        taken = xp.asarray((n_iterations >> bit) % 2 == 1, device=device(rate))
        product = result.then(power, rate)
        result = _Transfer(*(xp.where(taken, new, old) for new, old in zip(product, result, strict=True)))
        power = power.then(power, rate)
    return result.residual, result.learned
