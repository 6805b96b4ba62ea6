"""Filters against arithmetic with hundreds of digits, and their composition."""

import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import Distilled, GradientDescent, GradientFlow, Ridge, SelfDistillation, SelfDistillationLimit
from tests.oracles import exact_modes
from tests.strategies import examples, log_uniform, real_weights, spectra

TOLERANCE = 1e-12
DIGITS = 750  # a share of 1e-300 beside 1 to the power of 10^12 needs that many before it cancels

any_eigenvalue = st.one_of(
    st.sampled_from([0.0, 1e-300, 1e294]), log_uniform(1e-300, 1e294), log_uniform(1e-8, 1e8), log_uniform(1e280, 1e294)
)
ridges = log_uniform(1e-6, 1e6)
any_n_steps = st.one_of(st.integers(1, 12), log_uniform(1, 1e12).map(int))


@st.composite
def demanding_cases(draw):
    """Eigenvalue, penalty, number of steps and label weight, the weight often where digits cancel."""
    d, ridge = draw(any_eigenvalue), draw(ridges)
    kind = draw(st.sampled_from(["unit", "real", "huge", "tiny", "lower edge", "upper edge", "one"]))
    offset = draw(st.sampled_from([-1.0, 0.0, 1.0])) * draw(log_uniform(1e-16, 1.0))
    if kind == "unit":
        label_weight = draw(st.floats(0.0, 1.0))
    elif kind == "real":
        label_weight = draw(st.floats(-5.0, 5.0))
    elif kind in ("huge", "tiny"):
        size = draw(log_uniform(1.0, 1e200) if kind == "huge" else log_uniform(1e-300, 1.0))
        label_weight = draw(st.sampled_from([-size, size]))
    elif kind == "one":
        label_weight = 1.0 + offset
    else:
        edge = ridge / d if d > 0 else 0.0
        label_weight = (2.0 + edge if kind == "upper edge" else -edge) * (1.0 + offset)
    assume(abs(label_weight) <= 1e200)
    return d, ridge, draw(any_n_steps), label_weight


@examples(1000)
@given(demanding_cases())
def test_self_distillation_is_right_to_twelve_digits(case):
    d, ridge, n_steps, label_weight = case
    coefficient, shrinkage, residual, terms, residual_terms = exact_modes(d, ridge, n_steps, label_weight, DIGITS)
    assume(max(abs(coefficient), abs(shrinkage), abs(residual), terms) < 1e305)
    modes = SelfDistillation(ridge, n_steps, label_weight)
    # Next to a sign change of the shrinkage the error is relative to the terms that cancel there. The residual has its
    # digits there too, down to the square of the rounding of 1 + q, which n_steps multiply.
    cancels = abs(shrinkage) < 1e-2 * terms
    for computed, exact, allowed in (
        (modes([d])[0], coefficient, TOLERANCE * (terms / mpmath.mpf(d) if cancels else abs(coefficient))),
        (modes.shrinkage([d])[0], shrinkage, TOLERANCE * (terms if cancels else abs(shrinkage))),
        (modes.residual([d])[0], residual, TOLERANCE * abs(residual) + n_steps * mpmath.mpf("1e-31") * residual_terms),
    ):
        assert abs(mpmath.mpf(float(computed)) - exact) <= allowed + mpmath.mpf("1e-290")
    if 0.0 <= label_weight <= 1.0:
        assert not cancels


@given(any_eigenvalue, ridges)
def test_ridge_is_right_to_the_last_digits(d, ridge):
    with mpmath.workdps(DIGITS):
        total = mpmath.mpf(d) + mpmath.mpf(ridge)
        for computed, exact in (
            (Ridge(ridge)([d])[0], 1 / total),
            (Ridge(ridge).shrinkage([d])[0], d / total),
            (Ridge(ridge).residual([d])[0], ridge / total),
        ):
            assert abs(mpmath.mpf(float(computed)) - exact) <= 1e-15 * exact + mpmath.mpf("1e-300")


@examples(300)
@given(any_eigenvalue, ridges, st.floats(0.0, 1.0, exclude_min=True), st.booleans())
def test_the_limit_is_right_to_twelve_digits_in_its_whole_domain(d, ridge, position, at_an_edge):
    edge = min(ridge / d, 1e200) if d > 0 else 1.0
    label_weight = -edge * (1 - position) if at_an_edge else position * (2 + edge) * (1 - 1e-9)
    assume(label_weight > -edge)
    with mpmath.workdps(DIGITS):
        total = mpmath.mpf(label_weight) * d + mpmath.mpf(ridge)
        assume(total > 0)
        limit = SelfDistillationLimit(ridge, label_weight)
        for computed, exact in (
            (limit([d])[0], label_weight / total),
            (limit.shrinkage([d])[0], mpmath.mpf(label_weight) * d / total),
            (limit.residual([d])[0], ridge / total),
        ):
            assert abs(mpmath.mpf(float(computed)) - exact) <= TOLERANCE * abs(exact) + mpmath.mpf("1e-290")


@given(spectra(), ridges, st.integers(1, 30), st.floats(0.0, 1.0))
def test_self_distillation_is_repeated_composition(d, ridge, n_steps, label_weight):
    composed = Ridge(ridge)
    for _ in range(n_steps - 1):
        composed = Distilled(teacher=composed, student=Ridge(ridge), label_weight=label_weight)
    closed = SelfDistillation(ridge, n_steps, label_weight)
    np.testing.assert_allclose(closed(d), composed(d), rtol=1e-12)
    np.testing.assert_allclose(closed.shrinkage(d), composed.shrinkage(d), rtol=1e-12)
    np.testing.assert_allclose(closed.residual(d), composed.residual(d), rtol=1e-12)


@given(spectra(), ridges, ridges, real_weights)
def test_distilled_composes_teacher_and_student_of_different_penalties(d, teacher_ridge, student_ridge, label_weight):
    filter_ = Distilled(Ridge(teacher_ridge), Ridge(student_ridge), label_weight)
    teacher = d / (d + teacher_ridge)
    target = label_weight + (1 - label_weight) * teacher
    size = 1 + abs(label_weight)
    np.testing.assert_allclose(filter_(d), target / (d + student_ridge), rtol=1e-12, atol=1e-14 * size / student_ridge)
    np.testing.assert_allclose(filter_.shrinkage(d), d * target / (d + student_ridge), rtol=1e-12, atol=1e-14 * size)
    np.testing.assert_allclose(filter_.residual(d), 1 - d * target / (d + student_ridge), rtol=1e-12, atol=1e-14 * size)


@pytest.mark.parametrize("label_weight", [-1e6, 1e6])
def test_distilled_keeps_its_digits_where_the_teacher_fits_almost_everything(label_weight):
    """The mixture of a huge weight and its negative cancels, unless it is formed from the teacher's residual."""
    filter_ = Distilled(Ridge(1e-12), Ridge(1e-12), label_weight)
    exact_coefficient, exact_shrinkage, exact_residual, *_ = exact_modes(1.0, 1e-12, 2, label_weight, 60)
    np.testing.assert_allclose(filter_.shrinkage([1.0]), float(exact_shrinkage), rtol=1e-15)
    np.testing.assert_allclose(filter_([1.0]), float(exact_coefficient), rtol=1e-15)
    np.testing.assert_allclose(filter_.residual([1.0]), float(exact_residual), rtol=1e-14)


@given(spectra(), ridges, st.floats(0.01, 1.0))
def test_many_steps_reach_the_limit(d, ridge, label_weight):
    np.testing.assert_allclose(
        SelfDistillation(ridge, 10**12, label_weight).shrinkage(d),
        SelfDistillationLimit(ridge, label_weight).shrinkage(d),
        rtol=1e-12,
    )


@given(spectra(), ridges, st.integers(1, 10**9), st.floats(0.0, 1.0), log_uniform(1e-3, 1e3))
def test_scaling_kernel_and_penalty_together_changes_nothing(d, ridge, n_steps, label_weight, factor):
    original = SelfDistillation(ridge, n_steps, label_weight)
    scaled = SelfDistillation(factor * ridge, n_steps, label_weight)
    # A relative rounding of the inputs moves q^(n_steps) by up to n_steps roundings, where that power matters at all.
    np.testing.assert_allclose(scaled.shrinkage(factor * d), original.shrinkage(d), rtol=1e-9, atol=1e-300)


FILTERS = [
    Ridge(0.3),
    SelfDistillation(0.3, 5, 0.25),
    SelfDistillationLimit(0.3, 0.25),
    Distilled(Ridge(1.0), Ridge(0.3), 0.5),
]


@pytest.mark.parametrize("filter_", FILTERS)
class TestEveryFilter:
    d = np.array([4.0, 1.0, 1e-3, 0.0])

    def test_shrinkage_is_eigenvalue_times_coefficient_and_residual_its_complement(self, filter_):
        np.testing.assert_allclose(filter_.shrinkage(self.d), self.d * filter_(self.d), rtol=1e-15)
        np.testing.assert_allclose(filter_.residual(self.d), 1 - self.d * filter_(self.d), rtol=1e-14)

    def test_any_shape_and_plain_lists_are_welcome(self, filter_):
        np.testing.assert_array_equal(filter_(self.d.reshape(2, 2)), filter_(self.d).reshape(2, 2))
        np.testing.assert_array_equal(filter_(self.d.tolist()), filter_(self.d))
        assert filter_(1.0).shape == ()

    def test_single_precision_stays_single(self, filter_):
        single = filter_.shrinkage(self.d.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, filter_.shrinkage(self.d), rtol=1e-5)

    def test_it_compares_hashes_and_pickles(self, filter_):
        copy = pickle.loads(pickle.dumps(filter_))
        assert copy == filter_
        assert hash(copy) == hash(filter_)

    @pytest.mark.parametrize(
        ("eigenvalues", "message"),
        [
            ([1.0, -1e-3], "eigenvalues must be >= 0, got -0.001"),
            ([2.0, 0.5, 0.0, -0.25, -0.5], "eigenvalues must be >= 0, got -0.25"),
            ([1.0, np.nan], "eigenvalues must be finite, got nan at index 1"),
            ([], r"eigenvalues must not be empty, got shape \(0,\)"),
        ],
    )
    def test_bad_eigenvalues_are_refused(self, filter_, eigenvalues, message):
        with pytest.raises(ValueError, match=message):
            filter_(eigenvalues)


@pytest.mark.parametrize(
    "filter_",
    [
        *FILTERS,
        SelfDistillation(0.5, 5, 0.0),
        SelfDistillation(0.5, 5, 1.0),
        SelfDistillation(0.5, 5, -0.125),
        SelfDistillation(0.5, 10**6, 2.0),
        GradientFlow(0.0),
        GradientFlow(2.0, 0.5),
        GradientDescent(0.25, 0),
        GradientDescent(0.25, 5),
        GradientDescent(0.3, 5, weight_decay=0.4),
    ],
)
def test_modes_are_finite_at_zero_without_dividing_by_it(filter_):
    d = np.array([0.0, 1e-300, 0.5, 1.0, 4.0])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        modes = filter_.modes(d)
    assert np.all(np.isfinite(modes))
    assert modes.shrinkage[0] == 0.0
    assert modes.residual[0] == 1.0


@pytest.mark.parametrize("n_steps", [2, 3, 5])
@pytest.mark.parametrize("d", [1e-30, 1e-9, 1e-4])
def test_powers_of_a_small_share_keep_its_digits(d, n_steps):
    share = d / (d + 1.0)
    filter_ = SelfDistillation(1.0, n_steps, 0.0)
    np.testing.assert_allclose(filter_.shrinkage([d]), [share**n_steps], rtol=1e-13)
    np.testing.assert_allclose(filter_([d]), [share ** (n_steps - 1) / (d + 1.0)], rtol=1e-13)


def test_parameters_are_stored_as_plain_numbers():
    for filter_ in (
        SelfDistillation(np.float32(1), np.int64(2), 0),
        SelfDistillationLimit(1, np.int8(0)),
        Distilled(Ridge(1), Ridge(np.int64(2)), 1),
    ):
        for name, value in vars(filter_).items():
            assert type(value) in (float, Ridge) or (name == "n_steps" and type(value) is int)
    assert type(Ridge(1).ridge) is float


@pytest.mark.parametrize("label_weight", [-0.25, 2.25, -0.3, 3.0])
def test_the_domain_of_the_limit_excludes_its_edges_and_is_named(label_weight):
    with pytest.raises(
        ValueError, match=r"label_weight must be > -0\.25 and < 2\.25 \(-ridge/d_max and 2 \+ ridge/d_max"
    ):
        SelfDistillationLimit(0.5, label_weight)([2.0, 1.0])


@pytest.mark.parametrize(
    ("d", "ridge", "n_steps", "label_weight"),
    [(1e300, 1e-4, 17, -1e20), (1e299, 1e-6, 33, 1e10), (1e300, 1.0, 4, 1e100), (1e-300, 1.0, 3, -1e200)],
)
def test_a_tiny_residual_meets_a_huge_power_without_loss(d, ridge, n_steps, label_weight):
    exact = exact_modes(d, ridge, n_steps, label_weight, DIGITS)
    modes = SelfDistillation(ridge, n_steps, label_weight)
    np.testing.assert_allclose(modes.shrinkage([d]), float(exact[1]), rtol=TOLERANCE)
    np.testing.assert_allclose(modes.residual([d]), float(exact[2]), rtol=TOLERANCE)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4, 5, 16, 17, 10**6, 10**6 + 1, 10**9])
@pytest.mark.parametrize("label_weight", [1.9, 2.0 - 1e-7, 2.0, 2.0 + 1e-7])
def test_steps_that_alternate_keep_their_digits(n_steps, label_weight):
    """Where q is just above or below −1, and its even powers are next to 1."""
    exact = exact_modes(1.0, 1e-6, n_steps, label_weight, DIGITS)
    modes = SelfDistillation(1e-6, n_steps, label_weight)
    np.testing.assert_allclose(modes([1.0]), float(exact[0]), rtol=TOLERANCE)
    np.testing.assert_allclose(modes.shrinkage([1.0]), float(exact[1]), rtol=TOLERANCE)
    np.testing.assert_allclose(modes.residual([1.0]), float(exact[2]), rtol=TOLERANCE)


@pytest.mark.parametrize("n_steps", [2, 3, 7, 10**9])
def test_steps_that_neither_grow_nor_shrink_add_up(n_steps):
    """With the label weight −ridge/d every power of q is 1."""
    modes = SelfDistillation(1.0, n_steps, -0.25)
    np.testing.assert_allclose(modes.shrinkage([4.0]), 0.8 * (1.0 - 0.25 * (n_steps - 1)), rtol=1e-15)
    np.testing.assert_allclose(modes.residual([4.0]), 0.2 * n_steps, rtol=1e-15)


def test_nothing_is_left_of_the_targets_in_the_limit_without_labels():
    limit, d = SelfDistillationLimit(0.5, 0.0), np.array([4.0, 1e-3, 0.0])
    np.testing.assert_array_equal(limit(d), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(limit.shrinkage(d), [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(limit.residual(d), [1.0, 1.0, 1.0])


def test_only_what_is_asked_for_must_be_representable():
    assert Ridge(1e-310).shrinkage([0.0]) == 0.0
    with pytest.raises(OverflowError, match="coefficient of Ridge"):
        Ridge(1e-310)([0.0])


def test_steps_that_diverge_overflow_by_name_and_not_silently():
    with pytest.raises(OverflowError, match=r"of SelfDistillation\(ridge=1.0, n_steps=1000000, label_weight=5.0\)"):
        SelfDistillation(1.0, 10**6, 5.0).shrinkage([1.0])


def test_single_precision_takes_a_trillion_steps():
    np.testing.assert_allclose(
        SelfDistillation(1.0, 10**12, 1e-9).shrinkage(np.array([1e4], dtype=np.float32)), [1e-5], rtol=1e-4
    )
