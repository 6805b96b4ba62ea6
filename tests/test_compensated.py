"""The error-free building blocks against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory._compensated import two_product, two_sum, weighted_share
from tests.strategies import log_uniform

moderate = st.floats(-1e100, 1e100).filter(lambda x: x == 0 or abs(x) > 1e-100)
ULP = np.finfo(float).eps


@given(moderate, moderate)
def test_sum_and_error_are_the_exact_sum(x, y):
    total, error = two_sum(x, y)
    assert total == x + y
    assert Fraction(total) + Fraction(error) == Fraction(x) + Fraction(y)


@given(moderate, moderate)
def test_product_and_error_are_the_exact_product(x, y):
    product, error = two_product(np.array(x), np.array(y))
    assert float(product) == x * y
    assert Fraction(float(product)) + Fraction(float(error)) == Fraction(x) * Fraction(y)


@given(log_uniform(1e-100, 1e100), log_uniform(1e-20, 1e20), st.integers(-64, 64), st.booleans(), st.booleans())
def test_a_share_is_right_to_the_last_digits_however_far_it_cancels(ridge, ratio, ulps, complement, swap):
    """The weight is a few units in the last place from the one that makes the share zero."""
    eigenvalue = ridge * ratio
    ridge, eigenvalue = (eigenvalue, ridge) if swap else (ridge, eigenvalue)
    critical = -ridge / eigenvalue
    weight = critical * (1 + ulps * ULP)
    if complement:  # the share of 2 − α, which is no floating-point number, for α near its own critical value
        alpha = 2.0 - weight
        weight, weight_error = two_sum(2.0, -alpha)
    else:
        weight_error = 0.0
    exact_weight = Fraction(weight) + Fraction(weight_error)
    exact = (Fraction(ridge) + exact_weight * Fraction(eigenvalue)) / (Fraction(ridge) + Fraction(eigenvalue))
    share = float(weighted_share(ridge, np.array([eigenvalue]), weight, weight_error)[0])
    if exact == 0:
        assert share == 0
    else:
        assume(abs(exact) > 1e-25)  # below that the second-order error of the quotients is all that is left
        assert abs(Fraction(share) - exact) <= 8 * Fraction(ULP) * abs(exact)


def test_a_share_of_numbers_near_the_largest_is_finite():
    share = weighted_share(1e308, np.array([1.7e308, 1e-300, 0.0]), -0.5)
    np.testing.assert_allclose(share, [0.15 / 2.7, 1.0, 1.0], rtol=1e-15)
    np.testing.assert_allclose(weighted_share(1.0, np.array([1e-308]), 1.5e308), [2.5], rtol=1e-15)
