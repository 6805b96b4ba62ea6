"""Sums and quotients that carry their rounding errors along, for the places where leading digits cancel.

The error-free sum and product are those of Knuth and Dekker (1971): exact in round-to-nearest arithmetic while
nothing overflows or underflows.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from kdtheory._typing import Array


def two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """`x + y` as the rounded sum and its exact error, for two numbers or two arrays of one dtype."""
    total = x + y
    shadow = total - x
    return total, (x - (total - shadow)) + (y - shadow)


def two_product(x: Array, y: Array) -> tuple[Array, Array]:
    """`x * y` as the rounded product and its exact error, for arrays of one dtype."""
    product = x * y
    x_high, x_low = _split(x)
    y_high, y_low = _split(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def weighted_share(ridge: float, eigenvalues: Array, weight: float, weight_error: float = 0.0) -> Array:
    """`(ridge + w·d) / (ridge + d)` for `w = weight + weight_error`, to a few units in the last place.

    For negative w the numerator may cancel down to its last digits; those are kept, because a filter of 10^12 steps
    raises the result to the power of 10^12. Both numbers are scaled by the larger one, so their size does not matter.
    """
    xp = array_namespace(eigenvalues)
    ridges = xp.full_like(eigenvalues, ridge)
    weights = xp.full_like(eigenvalues, weight)
    largest = xp.maximum(ridges, eigenvalues)
    x, x_error = _quotient(ridges, largest)
    y, y_error = _quotient(eigenvalues, largest)
    product, product_error = two_product(weights, y)
    errors = product_error + weights * y_error + weight_error * y + x_error
    return ((x + product) + errors) / (x + y)


def _quotient(x: Array, y: Array) -> tuple[Array, Array]:
    quotient = x / y
    product, product_error = two_product(quotient, y)
    return quotient, ((x - product) - product_error) / y


def _split(x: Array) -> tuple[Array, Array]:
    """`x` as the sum of two numbers of half its digits."""
    xp = array_namespace(x)
    half_precision = 27 if xp.finfo(x.dtype).bits == 64 else 12
    small_enough = xp.finfo(x.dtype).max / 2.0 ** (half_precision + 2)
    # The product with a power of two is exact; without it the huge would overflow in the next line.
    room = xp.where(xp.abs(x) > small_enough, xp.full_like(x, 2.0**-half_precision), xp.ones_like(x))
    scaled = (x * room) * (2.0**half_precision + 1.0)
    high = (scaled - (scaled - x * room)) / room
    return high, x - high
