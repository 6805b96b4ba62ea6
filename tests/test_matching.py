"""Matched times and exaggeration ratios over the whole floating-point range, against many digits."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kdtheory import exaggeration_ratios, matched_student_time
from tests.strategies import examples, log_uniform

any_size = st.one_of(st.sampled_from([1e-300, 1.0, 1e300]), log_uniform(1e-300, 1e300))


@st.composite
def sizes_that_may_be_far_apart(draw):
    """An eigenvalue and two times of any size, often such that their products are near 1."""
    top, teacher_time = draw(any_size), draw(any_size)
    if draw(st.booleans()):
        teacher_time = min(max(draw(log_uniform(1e-20, 1e3)) / top, 1e-299), 1e300)
    time = draw(st.one_of(any_size, st.floats(1e-3, 0.999).map(lambda share: share * teacher_time)))
    assume(1e-300 <= time < teacher_time)
    return top, time, teacher_time


def exactly_learned(eigenvalue, time):
    """`1 − exp(−d·time)`, without the powers of 10^(−10^300) that many digits do not help with."""
    x = mpmath.mpf(eigenvalue) * mpmath.mpf(time)
    return -mpmath.expm1(-x) if x < 1e4 else mpmath.mpf(1)


def exactly_matched(top, time, teacher_time):
    d, t, stop = mpmath.mpf(top), mpmath.mpf(time), mpmath.mpf(teacher_time)
    return t - mpmath.log(exactly_learned(d, stop - t) / exactly_learned(d, stop)) / d


@examples(400)
@given(sizes_that_may_be_far_apart())
def test_the_matched_time_is_right_to_twelve_digits_for_sizes_that_are_far_apart(case):
    with mpmath.workdps(1300):
        exact = exactly_matched(*case)
        if exact > 1.7e308:
            return
        computed = mpmath.mpf(float(matched_student_time(*case)))
        assert abs(computed - exact) <= 1e-12 * exact


@examples(400)
@given(sizes_that_may_be_far_apart(), st.one_of(any_size, st.floats(0.0, 1.0).map(lambda share: -share)))
@example((1.0, 1e-300, 1e300), 0.0)
@example((1.0, 1e-20, 1e300), 1e-295)
def test_exaggeration_ratios_are_right_to_twelve_digits_for_sizes_that_are_far_apart(case, other):
    """A negative `other` stands for a share of the top eigenvalue."""
    top, time, teacher_time = case
    other = -other * top if other < 0.0 else other
    assume(other <= top)
    with mpmath.workdps(1300):
        matched = exactly_matched(*case)
        assume(matched < 1.7e308)
        exact = mpmath.mpf(0)
        if other > 0.0:
            learned = exactly_learned(other, matched) * exactly_learned(other, teacher_time)
            exact = learned / exactly_learned(other, time)
        first, ratio = exaggeration_ratios([top, other], time=time, teacher_time=teacher_time)
        assert first == 1.0
        assert abs(mpmath.mpf(float(ratio)) - exact) <= 1e-12 * exact + mpmath.mpf("1e-300")


def test_single_precision_keeps_the_matched_time_and_the_ratios_where_products_leave_its_range():
    d = np.array([1.0, 1e-10, 0.0], dtype=np.float32)
    ratios = exaggeration_ratios(d, time=1e-20, teacher_time=1e20)
    assert ratios.dtype == np.float32
    np.testing.assert_allclose(ratios, [1.0, 1.0, 0.0], rtol=1e-6)
    matched = matched_student_time(1e-30, np.array([1e-20, 1e20], dtype=np.float32), teacher_time=1e22)
    assert matched.dtype == np.float32
    np.testing.assert_allclose(matched, [1e-12, -np.log1p(-0.01) / 1e-30], rtol=1e-6)
    with pytest.raises(OverflowError, match="the matched time at index 0 is too large for float32"):
        matched_student_time(1e-40, np.array([1e30], dtype=np.float32), teacher_time=1.1e30)
