"""Intervals of shares: Wilson's, from no hit to nothing but hits."""

import re

import pytest
from scipy import stats

from kdtheory import fidelity


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (3, 7), (971, 1000), (1, 2)])
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_intervals_of_shares_are_wilsons(right, n, level):
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    low, high = fidelity.share_interval(right / n, n, confidence_level=level)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.1], 3), "shares must lie in [0, 1], got 1.1"),
        (([0.1, -0.5], 3), "shares must lie in [0, 1], got -0.5"),
        (([0.5], 0), "n_points must be >= 1, got 0.0"),
        (([0.5, 0.5], [2, 3, 4]), "n_points must be one number or have shape (2,), got shape (3,)"),
    ],
)
def test_shares_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fidelity.share_interval(*arguments)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_levels_out_of_range_are_refused(level):
    with pytest.raises(ValueError, match=f"confidence_level must be > 0 and < 1, got {level}"):
        fidelity.share_interval(0.5, 3, confidence_level=level)
