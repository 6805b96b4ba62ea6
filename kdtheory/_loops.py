"""Compiled loops over tiles of kernel values: no validation, no defaults, no Python in them.

They serve where BLAS has no part: distances of few coordinates, exponentials and angles of a tile in place, and thin
products whose transpose is needed too. Tiles are in C order, and inner loops run along their rows, so that the
compiler turns them into vector instructions. Importing this module imports numba, and the first call compiles:
modules that are imported early import it late.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

DISTANCE, EXPONENTIAL, MATERN_HALF, MATERN_THREE_HALVES, MATERN_FIVE_HALVES = range(5)
"""What `finish_distances` makes of `q = factor·distance`: q, exp(−q), and Matérn's functions of √q."""

FEATURES_AT_ONCE = 3
"""Coordinates come in multiples of this, filled up with zeros."""

ROWS_AT_ONCE = 8
"""Tiles that are multiplied have a multiple of this many rows, filled up with zeros."""

STRIP_VALUES = 64 * 512
"""Room that `multiply_by_distances` needs for a tile."""

_MANY_FEATURES = 96
_COLUMNS_AT_ONCE = 16

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
_ROUND, _ROUND_SINGLE = 6755399441055744.0, np.float32(12582912.0)
_LOG2_E_SINGLE = np.float32(_LOG2_E)
_LN2_HIGH_SINGLE, _LN2_LOW_SINGLE = np.float32(0.693359375), np.float32(-2.12194440e-4)
_FARTHEST, _FARTHEST_SINGLE = 708.0, np.float32(87.0)


@intrinsic
def _times_power_of_two(context, value, rounded):
    """`value·2^k`, where the last bits of the floating-point number `rounded` are those of the integer k."""
    del context
    kinds = {types.float64: (ir.IntType(64), ir.DoubleType(), 52), types.float32: (ir.IntType(32), ir.FloatType(), 23)}
    integer, real, mantissa = kinds[value]

    def generate(context, builder, signature, arguments):
        del context, signature
        bits, power = (builder.bitcast(argument, integer) for argument in arguments)
        return builder.bitcast(builder.add(bits, builder.shl(power, integer(mantissa))), real)

    return value(value, rounded), generate


def _exponential(q):
    """`exp(−q)` for q >= 0, and 0 below the least normal number."""
    raise NotImplementedError


@overload(_exponential, jit_options={"fastmath": {"contract"}})
def _exponential_of_kind(q):
    # The integer nearest to −q/ln 2 is in the last bits of `rounded`; what is left is at most ln(2)/2 in size, where a
    # polynomial of least error serves, and the integer moves into the exponent.
    if q == types.float64:

        def exponential(q):
            x = -min(q, _FARTHEST)
            rounded = x * _LOG2_E + _ROUND
            power = rounded - _ROUND
            r = (x - power * _LN2_HIGH) - power * _LN2_LOW
            p = 2.51003758325612337e-8
            p = p * r + 2.76200758799833666e-7
            p = p * r + 2.75572684803100255e-6
            p = p * r + 2.48015213223686933e-5
            p = p * r + 1.98412698630405453e-4
            p = p * r + 1.38888889171967191e-3
            p = p * r + 8.33333333333006445e-3
            p = p * r + 4.16666666666241619e-2
            p = p * r + 1.66666666666666675e-1
            p = p * r + 0.5
            p = p * (r * r) + r + 1.0
            value = _times_power_of_two(p, rounded)
            return value if q <= _FARTHEST else 0.0

        return exponential

    def exponential_single(q):
        x = -min(q, _FARTHEST_SINGLE)
        rounded = x * _LOG2_E_SINGLE + _ROUND_SINGLE
        power = rounded - _ROUND_SINGLE
        r = (x - power * _LN2_HIGH_SINGLE) - power * _LN2_LOW_SINGLE
        p = np.float32(1.392617612e-3)
        p = p * r + np.float32(8.363173075e-3)
        p = p * r + np.float32(4.166655466e-2)
        p = p * r + np.float32(1.666657703e-1)
        p = p * r + np.float32(0.5)
        p = p * (r * r) + r + np.float32(1.0)
        value = _times_power_of_two(p, rounded)
        return value if q <= _FARTHEST_SINGLE else np.float32(0.0)

    return exponential_single


_compiled = njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
# Sums may be regrouped: that is how they become vector instructions, and their error bound is the same.
_compiled_sums = njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")


@_compiled
def squared_distances(X, first, last, Y_T, left, right, tile):
    """`Σ_a (X[i, a] − Y_T[a, j])²` for rows i in first..last and columns j in left..right."""
    height, width = last - first, right - left
    for step in range(0, height, 4):
        # The last rows may be written twice, and the only ones at once: the same values.
        i0 = min(step, max(height - 4, 0))
        i1, i2, i3 = min(i0 + 1, height - 1), min(i0 + 2, height - 1), min(i0 + 3, height - 1)
        t0, t1, t2, t3 = tile[i0], tile[i1], tile[i2], tile[i3]
        p0, p1, p2, p3 = X[first + i0], X[first + i1], X[first + i2], X[first + i3]
        for a in range(0, X.shape[1], 3):
            x00, x01, x02 = p0[a], p0[a + 1], p0[a + 2]
            x10, x11, x12 = p1[a], p1[a + 1], p1[a + 2]
            x20, x21, x22 = p2[a], p2[a + 1], p2[a + 2]
            x30, x31, x32 = p3[a], p3[a + 1], p3[a + 2]
            y0, y1, y2 = Y_T[a, left:right], Y_T[a + 1, left:right], Y_T[a + 2, left:right]
            if a == 0:
                for j in range(width):
                    b0, b1, b2 = y0[j], y1[j], y2[j]
                    d0, d1, d2 = x00 - b0, x01 - b1, x02 - b2
                    t0[j] = d0 * d0 + d1 * d1 + d2 * d2
                    d0, d1, d2 = x10 - b0, x11 - b1, x12 - b2
                    t1[j] = d0 * d0 + d1 * d1 + d2 * d2
                    d0, d1, d2 = x20 - b0, x21 - b1, x22 - b2
                    t2[j] = d0 * d0 + d1 * d1 + d2 * d2
                    d0, d1, d2 = x30 - b0, x31 - b1, x32 - b2
                    t3[j] = d0 * d0 + d1 * d1 + d2 * d2
            else:
                for j in range(width):
                    b0, b1, b2 = y0[j], y1[j], y2[j]
                    s0, s1, s2, s3 = t0[j], t1[j], t2[j], t3[j]
                    d0, d1, d2 = x00 - b0, x01 - b1, x02 - b2
                    t0[j] = s0 + d0 * d0 + d1 * d1 + d2 * d2
                    d0, d1, d2 = x10 - b0, x11 - b1, x12 - b2
                    t1[j] = s1 + d0 * d0 + d1 * d1 + d2 * d2
                    d0, d1, d2 = x20 - b0, x21 - b1, x22 - b2
                    t2[j] = s2 + d0 * d0 + d1 * d1 + d2 * d2
                    d0, d1, d2 = x30 - b0, x31 - b1, x32 - b2
                    t3[j] = s3 + d0 * d0 + d1 * d1 + d2 * d2


@_compiled
def absolute_distances(X, first, last, Y_T, left, right, tile):
    """`Σ_a |X[i, a] − Y_T[a, j]|` for rows i in first..last and columns j in left..right."""
    height, width = last - first, right - left
    for step in range(0, height, 4):
        i0 = min(step, max(height - 4, 0))
        i1, i2, i3 = min(i0 + 1, height - 1), min(i0 + 2, height - 1), min(i0 + 3, height - 1)
        t0, t1, t2, t3 = tile[i0], tile[i1], tile[i2], tile[i3]
        p0, p1, p2, p3 = X[first + i0], X[first + i1], X[first + i2], X[first + i3]
        for a in range(0, X.shape[1], 3):
            x00, x01, x02 = p0[a], p0[a + 1], p0[a + 2]
            x10, x11, x12 = p1[a], p1[a + 1], p1[a + 2]
            x20, x21, x22 = p2[a], p2[a + 1], p2[a + 2]
            x30, x31, x32 = p3[a], p3[a + 1], p3[a + 2]
            y0, y1, y2 = Y_T[a, left:right], Y_T[a + 1, left:right], Y_T[a + 2, left:right]
            if a == 0:
                for j in range(width):
                    b0, b1, b2 = y0[j], y1[j], y2[j]
                    t0[j] = abs(x00 - b0) + abs(x01 - b1) + abs(x02 - b2)
                    t1[j] = abs(x10 - b0) + abs(x11 - b1) + abs(x12 - b2)
                    t2[j] = abs(x20 - b0) + abs(x21 - b1) + abs(x22 - b2)
                    t3[j] = abs(x30 - b0) + abs(x31 - b1) + abs(x32 - b2)
            else:
                for j in range(width):
                    b0, b1, b2 = y0[j], y1[j], y2[j]
                    s0, s1, s2, s3 = t0[j], t1[j], t2[j], t3[j]
                    t0[j] = s0 + abs(x00 - b0) + abs(x01 - b1) + abs(x02 - b2)
                    t1[j] = s1 + abs(x10 - b0) + abs(x11 - b1) + abs(x12 - b2)
                    t2[j] = s2 + abs(x20 - b0) + abs(x21 - b1) + abs(x22 - b2)
                    t3[j] = s3 + abs(x30 - b0) + abs(x31 - b1) + abs(x32 - b2)


@_compiled
def finish_distances(tile, kind, factor):
    """Turn distances into kernel values in place; distances that rounding made negative count as zero."""
    number = tile.dtype.type
    zero, one, third, far = number(0.0), number(1.0), number(1.0 / 3.0), number(800.0)
    for i in range(tile.shape[0]):
        row = tile[i]
        if kind == EXPONENTIAL:
            for j in range(row.size):
                row[j] = _exponential(factor * max(row[j], zero))
        elif kind == MATERN_HALF:
            for j in range(row.size):
                row[j] = _exponential(np.sqrt(factor * max(row[j], zero)))
        elif kind == MATERN_THREE_HALVES:
            for j in range(row.size):
                s = min(np.sqrt(factor * max(row[j], zero)), far)
                row[j] = (one + s) * _exponential(s)
        elif kind == MATERN_FIVE_HALVES:
            for j in range(row.size):
                s = min(np.sqrt(factor * max(row[j], zero)), far)
                row[j] = (one + s + s * s * third) * _exponential(s)


@_compiled
def raise_to(tile, constant, degree):
    """`(tile + constant)^degree` in place, by squaring."""
    for i in range(tile.shape[0]):
        row = tile[i]
        if degree == 2:
            for j in range(row.size):
                base = row[j] + constant
                row[j] = base * base
        elif degree == 3:
            for j in range(row.size):
                base = row[j] + constant
                row[j] = base * base * base
        else:
            for j in range(row.size):
                base = row[j] + constant
                value, left = tile.dtype.type(1.0), degree
                while left > 0:
                    if left & 1:
                        value *= base
                    base *= base
                    left >>= 1
                row[j] = value


@_compiled
def arcsine_over(z):
    """`arcsin(√z)/√z` for z in [0, 1/4]: the polynomial of least error."""
    p = 0.0318796214008128394
    p = p * z - 0.0161873922715991332
    p = p * z + 0.019513468251252168
    p = p * z + 0.00652930200473656928
    p = p * z + 0.0121701385923917263
    p = p * z + 0.0138848428264020808
    p = p * z + 0.0173597796413499801
    p = p * z + 0.0223717497331640541
    p = p * z + 0.0303819596976851382
    p = p * z + 0.0446428568059989384
    p = p * z + 0.0750000000038520167
    p = p * z + 0.166666666666649412
    return p * z + 1.0


@_compiled
def finish_angles(tile, order, X, first, Y, left, x_norms, y_norms, nearly_straight):
    """Turn cosines between the directions X and Y into arc-cosine kernel values in place.

    Cosines beyond `nearly_straight` in size have lost digits of their angle, which then comes from the directions.
    """
    width = tile.shape[1]
    cosines = np.empty(width, dtype=tile.dtype)
    for i in range(tile.shape[0]):
        row = tile[i]
        x_norm = x_norms[first + i]
        for j in range(width):
            cosines[j] = row[j]
        for j in range(width):
            cosine = min(max(np.float64(cosines[j]), -1.0), 1.0)
            size = abs(cosine)
            outer = size > 0.5
            z = 0.5 * (1.0 - size) if outer else cosine * cosine
            root = np.sqrt(z)
            angle = root * arcsine_over(z)  # arcsin of √z
            folded = 2.0 * angle if outer else 0.5 * math.pi - angle  # arccos of the size
            supplement = math.pi - folded if cosine > 0.0 else folded
            if order == 0:
                row[j] = supplement / math.pi
            else:
                sine = np.sqrt((1.0 - size) * (1.0 + size))
                row[j] = (sine + supplement * cosine) / math.pi * x_norm * y_norms[left + j]
        for j in range(width):
            if abs(cosines[j]) > nearly_straight:
                difference, total = 0.0, 0.0
                for a in range(X.shape[1]):
                    x, y = np.float64(X[first + i, a]), np.float64(Y[left + j, a])
                    difference += (x - y) * (x - y)
                    total += (x + y) * (x + y)
                p = 2.0 * math.atan2(math.sqrt(total), math.sqrt(difference))
                if order == 0:
                    row[j] = p / math.pi
                    continue
                q = p * p
                if p < 0.3:  # sin p − p cos p without cancellation
                    value = p * q / 3.0 * (1.0 - q / 10.0 * (1.0 - q / 28.0 * (1.0 - q / 54.0 * (1.0 - q / 88.0))))
                else:
                    value = math.sin(p) - p * math.cos(p)
                row[j] = value / math.pi * x_norm * y_norms[left + j]


@_compiled_sums
def multiply(tile, first, last, left, V_T, W, on_rows, on_columns_T, mirrored):
    """Add `tile·V` to `on_rows` and, if mirrored, `tileᵀ·W` to `on_columns`.

    The tile starts at (first, left). Below its row `last - first` it is zero.
    """
    width = tile.shape[1]
    right = left + width
    zero, bottom = tile.dtype.type(0.0), last - 1
    for start in range(0, V_T.shape[0], _COLUMNS_AT_ONCE):
        stop = min(start + _COLUMNS_AT_ONCE, V_T.shape[0])
        for i in range(0, tile.shape[0], 8):
            t0, t1, t2, t3 = tile[i], tile[i + 1], tile[i + 2], tile[i + 3]
            t4, t5, t6, t7 = tile[i + 4], tile[i + 5], tile[i + 6], tile[i + 7]
            r0 = first + i
            r1, r2, r3, r4 = min(r0 + 1, bottom), min(r0 + 2, bottom), min(r0 + 3, bottom), min(r0 + 4, bottom)
            r5, r6, r7 = min(r0 + 5, bottom), min(r0 + 6, bottom), min(r0 + 7, bottom)
            for a in range(start, stop):
                v = V_T[a, left:right]
                s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
                if mirrored:
                    total = on_columns_T[a, left:right]
                    w0, w1, w2, w3 = W[r0, a], W[r1, a], W[r2, a], W[r3, a]
                    w4, w5, w6, w7 = W[r4, a], W[r5, a], W[r6, a], W[r7, a]
                    for j in range(width):
                        b, c = v[j], total[j]
                        k0, k1, k2, k3, k4, k5, k6, k7 = t0[j], t1[j], t2[j], t3[j], t4[j], t5[j], t6[j], t7[j]
                        s0 += k0 * b
                        s1 += k1 * b
                        s2 += k2 * b
                        s3 += k3 * b
                        s4 += k4 * b
                        s5 += k5 * b
                        s6 += k6 * b
                        s7 += k7 * b
                        total[j] = c + k0 * w0 + k1 * w1 + k2 * w2 + k3 * w3 + k4 * w4 + k5 * w5 + k6 * w6 + k7 * w7
                else:
                    for j in range(width):
                        b = v[j]
                        s0 += t0[j] * b
                        s1 += t1[j] * b
                        s2 += t2[j] * b
                        s3 += t3[j] * b
                        s4 += t4[j] * b
                        s5 += t5[j] * b
                        s6 += t6[j] * b
                        s7 += t7[j] * b
                on_rows[r0, a] += s0
                on_rows[r1, a] += s1
                on_rows[r2, a] += s2
                on_rows[r3, a] += s3
                on_rows[r4, a] += s4
                on_rows[r5, a] += s5
                on_rows[r6, a] += s6
                on_rows[r7, a] += s7


@_compiled
def multiply_by_distances(X, Y_T, squared, kind, factor, V_T, W, on_rows, on_columns_T, mirrored, diagonal, room):
    """Add the products of a whole block: tiles stay in the cache from distance to product.

    With `diagonal`, points are their own columns: tiles below the diagonal are mirrored, and on it the kernel is 1.
    """
    # With many coordinates, those of fewer columns stay in the cache.
    strip, panel = (64, 512) if X.shape[1] <= _MANY_FEATURES else (128, 256)
    for first in range(0, X.shape[0], strip):
        last = min(first + strip, X.shape[0])
        end = first if diagonal else Y_T.shape[1]
        left = 0
        while left < end or (diagonal and left == first):
            on_diagonal = left == end
            right = last if on_diagonal else min(left + panel, end)
            height, width = last - first, right - left
            padded = -(-height // 8) * 8
            tile = room[: padded * width].reshape((padded, width))
            tile[height:] = tile.dtype.type(0.0)
            if squared:
                squared_distances(X, first, last, Y_T, left, right, tile)
            else:
                absolute_distances(X, first, last, Y_T, left, right, tile)
            finish_distances(tile[:height], kind, factor)
            if on_diagonal:
                for i in range(height):
                    tile[i, i] = tile.dtype.type(1.0)
            both = (mirrored or diagonal) and not on_diagonal
            multiply(tile, first, last, left, V_T, W, on_rows, on_columns_T, both)
            left = right
