"""Compiled loops that carry tiles of cosines through the layers of infinitely wide networks.

Of a pair of points they carry the cosine c of its angle, and the gap 1 − |c|, which holds the digits of the angle that
c has lost near 1 and −1. Each loop runs along a row, in few arrays, since the compiler turns it into vector
instructions only where it can check that they do not overlap. Importing this module imports numba.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from kdtheory._loops import arcsine_over

RECTIFIED, ERF = range(2)
"""Activations of `carry_through_layers`."""

SINE, OTHER_SQUARED_COSINE, HALF_SINE, HALF_COSINE, ROOT, INVERSE_ROOT = range(3, 9)
DENSE, BIAS, TANGENT = range(3)
"""Rows of what a layer knows of each point: see `kdtheory.kernels.ntk`."""

_LOST_DIGITS = 0.01
"""Gap below which it is taken from the points themselves."""

_COLUMNS_AT_ONCE = 256
_TINY = 1e-300

_compiled = njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
# Sums may be regrouped: that is how they become vector instructions, and their error bound is the same.
_compiled_sums = njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")


@intrinsic
def _fused(context, x, y, z):
    """`x·y + z` with one rounding."""
    del context, x, y, z
    number = types.float64

    def generate(context, builder, signature, arguments):
        del context, signature
        double = ir.DoubleType()
        function = builder.module.declare_intrinsic("llvm.fma", [double], ir.FunctionType(double, [double] * 3))
        return builder.call(function, arguments)

    return number(number, number, number), generate


@_compiled_sums
def _gap_between(x, y):
    """`1 − |cos|` of the angle between two points, from what is left of y beside its part along x."""
    xx, xy, yy = 0.0, 0.0, 0.0
    for a in range(x.size):
        p, q = np.float64(x[a]), np.float64(y[a])
        xx += p * p
        xy += p * q
        yy += q * q
    if xx == 0.0 or yy == 0.0:
        return 1.0
    along, rest, again = -xy / xx, 0.0, 0.0
    for a in range(x.size):
        p = np.float64(x[a])
        left = _fused(along, p, np.float64(y[a]))
        rest += left * left
        again += left * p
    squared_sine = min(max(rest - again * again / xx, 0.0) / yy, 1.0)
    return squared_sine / (1.0 + math.sqrt(1.0 - squared_sine))


@_compiled
def _cosines(row, c, gap, X, i, Y, left, inverse_lengths_x, inverse_lengths_y):
    """Cosines and gaps from the inner products in `row`; where the gap is small, from the points."""
    inverse = inverse_lengths_x[i]
    lengths = inverse_lengths_y[left : left + row.size]
    for j in range(row.size):
        cosine = np.float64(row[j]) * (inverse * lengths[j])
        c[j] = cosine
        gap[j] = 1.0 - abs(cosine)
    for j in range(row.size):
        if gap[j] < _LOST_DIGITS:
            between = _gap_between(X[i], Y[left + j])
            gap[j] = between
            c[j] = math.copysign(1.0 - between, c[j])


@_compiled
def _rectify(c, gap, t, share, opposite):
    """Take cosines through `max(z, 0) + slope·min(z, 0)`, and multiply t by the derivative's, both over `(1+slope²)/2`.

    `share` is `(1 − slope)²/(1 + slope²)`, `opposite` is 2 − share. With the angle φ whose cosine is |c|, and
    `F = (sin φ − φ·cos φ)/π`, the new cosine is `c + share·F`, and `share·|c|` more where c is negative.
    """
    for j in range(c.size):
        size, near = abs(c[j]), gap[j]
        outer = size > 0.5
        root = np.sqrt(0.5 * near if outer else near * (2.0 - near))  # sine of half the angle, or of the angle
        base = root if outer else size
        angle = base * arcsine_over(base * base)
        angle = 2.0 * angle if outer else 0.5 * math.pi - angle
        u = angle * angle
        p = 1.05346752521412278e-11
        p = p * u - 1.92682750391309081e-9
        p = p * u + 2.50520891342398403e-7
        p = p * u - 2.20458553053407276e-5
        p = p * u + 0.00119047619046269698
        p = p * u - 0.0333333333333324086
        p = p * u + 0.333333333333333323
        bend = share / math.pi * (angle * u * p if outer else root - angle * size)
        turn = share / math.pi * angle
        if c[j] >= 0.0:
            value, derivative, rest = size + bend, 1.0 - turn, near - bend
        else:
            mirrored = 1.0 - share
            value, derivative = bend - mirrored * size, mirrored + turn
            rest = opposite - bend - mirrored * near if value >= 0.0 else share + bend + mirrored * near
        c[j] = value
        gap[j] = rest
        t[j] *= derivative


@_compiled
def _bend(c, gap, t, cosine, angle, x, i, y, start, stop):
    """Take cosines through erf, and multiply t by what the derivative's has beside functions of one point.

    Of each point, `sin ψ = 2q/(1 + 2q)` is known, where q is its squared norm; the kernel of erf is ψ·2/π. Of a pair,
    `sin ψ = c·√(sin ψ_x·sin ψ_y)`, and that of the derivative is in proportion to `1/cos ψ`.
    """
    sine_x, other_x = x[SINE, i], x[OTHER_SQUARED_COSINE, i]
    sine_y, other_y = y[SINE, start:stop], y[OTHER_SQUARED_COSINE, start:stop]
    for j in range(c.size):
        sines = sine_x * sine_x * sine_y[j] * sine_y[j]
        cosine[j] = np.sqrt(other_x + sine_x * sine_x * other_y[j] + gap[j] * (2.0 - gap[j]) * sines)
    for j in range(c.size):
        sine = abs(c[j]) * sine_x * sine_y[j]
        outer = sine > 0.5
        base = np.sqrt(0.5 * cosine[j] * cosine[j] / (1.0 + sine)) if outer else sine
        value = base * arcsine_over(base * base)
        angle[j] = 0.5 * math.pi - 2.0 * value if outer else value
    half_sine_x, half_cosine_x = x[HALF_SINE, i], x[HALF_COSINE, i]
    half_sine_y, half_cosine_y = y[HALF_SINE, start:stop], y[HALF_COSINE, start:stop]
    for j in range(c.size):
        # With the mean m of ψ_x and ψ_y, and h half their difference: sin(m − ψ)·sin(m + ψ) = sin²m − sin²ψ.
        mean_sine = half_sine_x * half_cosine_y[j] + half_cosine_x * half_sine_y[j]
        mean_cosine = half_cosine_x * half_cosine_y[j] - half_sine_x * half_sine_y[j]
        difference = half_sine_x * half_cosine_y[j] - half_cosine_x * half_sine_y[j]
        sine = sine_x * sine_y[j]
        total = mean_sine * cosine[j] + mean_cosine * (abs(c[j]) * sine) + _TINY
        gap[j] = gap[j] * (2.0 - gap[j]) * sine * (sine / total) + difference * (difference / total)
    for j in range(c.size):
        t[j] /= cosine[j]
    root_x, inverse_x = x[ROOT, i], x[INVERSE_ROOT, i]
    root_y, inverse_y = y[ROOT, start:stop], y[INVERSE_ROOT, start:stop]
    for j in range(c.size):
        less, sine = root_x - root_y[j], gap[j]
        close = min(sine, 0.5)
        near = (close * arcsine_over(close * close) - 0.5 * less * less) * inverse_x * inverse_y[j]
        # Of lengths far apart, the digits of the one may be lost beside the other, and the angle is not small.
        is_close = sine <= 0.5 and less * less < 4.0 * root_x * root_y[j]
        gap[j] = max(near, 0.0) if is_close else 1.0 - angle[j] * inverse_x * inverse_y[j]
    for j in range(c.size):
        c[j] = math.copysign(angle[j] * inverse_x * inverse_y[j], c[j])


@_compiled
def _add_bias(c, gap, x, i, y, start, stop):
    """Cosines of what a dense layer makes of the points: `(dense·point, bias)`, of length 1.

    Half the squared distance of those vectors of two points of one direction is `1 − dense·dense′ − bias·bias′`.
    """
    dense_x, bias_x = x[DENSE, i], x[BIAS, i]
    dense_y, bias_y = y[DENSE, start:stop], y[BIAS, start:stop]
    for j in range(c.size):
        less, more = dense_x - dense_y[j], bias_x - bias_y[j]
        both, biases = dense_x * dense_y[j], bias_x * bias_y[j]
        value, near = c[j] * both + biases, gap[j]
        # Sums of positive terms, for cosines that are positive, stay negative, and turn positive.
        added = near * both if c[j] > 0.0 else near * both + 2.0 * biases if value < 0.0 else (2.0 - near) * both
        gap[j] = 0.5 * (less * less + more * more) + added
        c[j] = value


@_compiled
def carry_through_layers(
    tile, kind, tangent, biased, share, opposite, X, first, Y, left, inverse_x, inverse_y, x, y, x_norms, y_norms
):
    """Turn inner products of points into NNGP or, with `tangent`, NTK values of networks in place.

    X and Y are the points, the tile starts at (first, left), and `inverse_x`, `inverse_y` are one over their lengths.
    Of the points of the tile alone: what layer l knows is in `x[l]` and `y[l]`, the length after the last in `x_norms`,
    `y_norms`.
    """
    work = np.empty((5, _COLUMNS_AT_ONCE))
    for start in range(0, tile.shape[1], _COLUMNS_AT_ONCE):
        stop = min(start + _COLUMNS_AT_ONCE, tile.shape[1])
        c, gap, t = work[0, : stop - start], work[1, : stop - start], work[2, : stop - start]
        cosine, angle = work[3, : stop - start], work[4, : stop - start]
        norms = y_norms[start:stop]
        for i in range(tile.shape[0]):
            row = tile[i, start:stop]
            _cosines(row, c, gap, X, first + i, Y, left + start, inverse_x, inverse_y)
            t[:] = c
            for layer in range(x.shape[0]):
                here, others = x[layer], y[layer]
                if kind == RECTIFIED:
                    _rectify(c, gap, t, share, opposite)
                else:
                    _bend(c, gap, t, cosine, angle, here, i, others, start, stop)
                if biased:
                    _add_bias(c, gap, here, i, others, start, stop)
                if biased or kind == ERF:
                    factors, factor = others[TANGENT, start:stop], here[TANGENT, i]
                    for j in range(t.size):
                        t[j] = t[j] * (factor * factors[j]) + c[j]
                else:
                    for j in range(t.size):
                        t[j] += c[j]
            values = t if tangent else c
            for j in range(row.size):
                row[j] = x_norms[i] * norms[j] * values[j]
