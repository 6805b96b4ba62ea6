"""Gradient flow and gradient descent against many digits, against the literal loop, and against each other."""

import re

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import GradientDescent, GradientFlow, Ridge, flow_trajectories, in_sample_risk
from tests.oracles import descend_literally, exact_descent, exact_flow
from tests.strategies import examples, log_uniform, spectra

TOLERANCE = 1e-12
DIGITS = 700  # 1e-300 beside 1 and a rate of 1e-300 need that many before they cancel

any_size = st.one_of(st.sampled_from([0.0, 1e-300, 1.0, 1e300]), log_uniform(1e-300, 1e300))
momenta = st.one_of(st.floats(-0.9, 0.95), st.sampled_from([0.0, 0.5, 0.9, -0.5]))


def largest_stable_rate(momentum, nesterov):
    """Largest stable `learning_rate·d`, from the roots of the step's characteristic polynomial, by bisection."""

    def spectral_radius(rate):
        trace = (1 + momentum) * (1 - rate) if nesterov else 1 + momentum - rate
        product = momentum * (1 - rate) if nesterov else momentum
        return np.max(np.abs(np.roots([1.0, -trace, product])))

    low, high = 1e-3, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if spectral_radius(middle) < 1 else (low, middle)
    return low


def assert_close(computed, exact, tolerance):
    assert abs(mpmath.mpf(float(computed)) - exact) <= tolerance * abs(exact) + mpmath.mpf("1e-290")


@st.composite
def flows(draw):
    """Eigenvalue, time and weight decay, often of sizes that meet."""
    d, time, decay = draw(any_size), draw(any_size), draw(any_size)
    if draw(st.booleans()) and d > 0:
        time = draw(log_uniform(1e-8, 1e3)) / d
    if draw(st.booleans()):
        decay = 0.0 if draw(st.booleans()) else d * draw(log_uniform(1e-8, 1e8))
    assume(max(time, decay) <= 1e300)
    return d, time, decay


@examples(1000)
@given(flows())
def test_gradient_flow_is_right_to_twelve_digits(case):
    d, time, decay = case
    coefficient, shrinkage, residual = exact_flow(d, time, decay, DIGITS)
    filter_ = GradientFlow(time, decay)
    assert_close(filter_([d])[0], coefficient, TOLERANCE)
    assert_close(filter_.shrinkage([d])[0], shrinkage, TOLERANCE)
    assert_close(filter_.residual([d])[0], residual, TOLERANCE)


@st.composite
def descents(draw):
    """Eigenvalue, learning rate, number of steps and weight decay; steps often near 0, 1 and the largest stable."""
    rate = draw(
        st.one_of(
            st.floats(0.0, 1.9999),
            log_uniform(1e-60, 1.0),
            log_uniform(1e-14, 1.0).map(lambda gap: 2.0 - gap),
            st.tuples(st.sampled_from([-1, 1]), log_uniform(1e-15, 0.5)).map(lambda gap: 1.0 + gap[0] * gap[1]),
            st.just(1.0),
        )
    )
    learning_rate = draw(log_uniform(1e-200, 1e200))
    total = rate / learning_rate
    decay = draw(st.sampled_from([0.0, 0.5, 1e-6])) * total
    n_iterations = draw(st.one_of(st.integers(0, 5), log_uniform(1, 1e13).map(int)))
    return total - decay, learning_rate, n_iterations, decay


@examples(1000)
@given(descents())
def test_gradient_descent_is_right_to_twelve_digits(case):
    d, learning_rate, n_iterations, decay = case
    assume(learning_rate * (d + decay) < 2.0)
    coefficient, shrinkage, residual = exact_descent(d, learning_rate, n_iterations, 0.0, False, decay, DIGITS)
    filter_ = GradientDescent(learning_rate, n_iterations, weight_decay=decay)
    assert_close(filter_.shrinkage([d])[0], shrinkage, TOLERANCE)
    # With weight decay, steps that overshoot give the residual a change of sign: next to it the error is relative to
    # the terms that cancel.
    cancels = decay > 0.0 and learning_rate * (d + decay) > 1.0 and n_iterations % 2 == 1
    assert abs(mpmath.mpf(float(filter_.residual([d])[0])) - residual) <= TOLERANCE * (
        abs(residual) + cancels
    ) + mpmath.mpf("1e-290")
    if d + decay > 0.0:
        assert_close(filter_([d])[0], coefficient, TOLERANCE)
    else:
        np.testing.assert_allclose(filter_([d])[0], learning_rate * n_iterations, rtol=1e-15)


@pytest.mark.parametrize("n_iterations", [0, 1, 5, 10**6])
def test_gradient_descent_is_right_where_eigenvalue_and_weight_decay_add_up_to_more_than_floats_hold(n_iterations):
    d, learning_rate, decay = 1e308, 1e-309, 1.6e308
    coefficient, shrinkage, residual = exact_descent(d, learning_rate, n_iterations, 0.0, False, decay, 60)
    filter_ = GradientDescent(learning_rate, n_iterations, weight_decay=decay)
    assert_close(filter_.shrinkage([d])[0], shrinkage, TOLERANCE)
    assert_close(filter_.residual([d])[0], residual, TOLERANCE)
    assert abs(float(filter_([d])[0]) - coefficient) <= mpmath.mpf(1e-322)
    moved = GradientDescent(learning_rate, n_iterations, momentum=0.5, weight_decay=decay).shrinkage([d])[0]
    assert_close(moved, exact_descent(d, learning_rate, n_iterations, 0.5, False, decay, 60)[1], 1e-9)


def test_the_smallest_eigenvalues_keep_their_last_digit():
    d = np.array([5e-324, 1.5e-323, 1.235e-321])
    np.testing.assert_array_equal(GradientDescent(1.0, 1).shrinkage(d), d)
    np.testing.assert_array_equal(GradientDescent(1.0, 1).shrinkage([0.5, *d]), [0.5, *d])


@pytest.mark.parametrize("n_iterations", [10**9, 10**11 + 1])
@pytest.mark.parametrize("decay", [0.0, 3.3e291])
def test_the_largest_eigenvalues_take_the_longest_steps_without_loss(n_iterations, decay):
    d, learning_rate = 1e308, (2.0 - 2.0**-36) / 1e308
    _, shrinkage, residual = exact_descent(d, learning_rate, n_iterations, 0.0, False, decay, DIGITS)
    filter_ = GradientDescent(learning_rate, n_iterations, weight_decay=decay)
    assert_close(filter_.shrinkage([d])[0], shrinkage, TOLERANCE)
    assert_close(filter_.residual([d])[0], residual, TOLERANCE)


@examples(500)
@given(momenta, st.booleans(), st.floats(1e-6, 1.0), log_uniform(1, 1e12).map(int))
def test_momentum_is_right_to_nine_digits_for_any_number_of_steps(momentum, nesterov, position, n_iterations):
    """Digits are relative to the first moves; what is left after many of them is compared where it is not tiny."""
    rate = position * largest_stable_rate(momentum, nesterov) * (1 - 1e-3)
    coefficient, shrinkage, residual = exact_descent(rate, 1.0, n_iterations, momentum, nesterov, 0.0, 60)
    filter_ = GradientDescent(1.0, n_iterations, momentum, nesterov)
    assert_close(filter_.shrinkage([rate])[0], shrinkage, 1e-9)
    assert abs(float(filter_.residual([rate])[0]) - residual) <= 1e-9 * abs(residual) + 1e-13
    assert_close(filter_([rate])[0], coefficient, 1e-9)


@given(momenta, st.booleans(), log_uniform(1, 1e15).map(int), log_uniform(1e-30, 1e-2))
def test_momentum_keeps_its_digits_over_huge_numbers_of_slow_steps(momentum, nesterov, n_iterations, rate):
    _, shrinkage, residual = exact_descent(rate, 1.0, n_iterations, momentum, nesterov, 0.0, 80)
    filter_ = GradientDescent(1.0, n_iterations, momentum, nesterov)
    assert_close(filter_.shrinkage([rate])[0], shrinkage, 1e-11)
    assume(residual > 1e-100)
    assert_close(filter_.residual([rate])[0], residual, 1e-9)


@examples(200)
@given(
    spectra(low=1e-3, high=10.0),
    st.integers(0, 60),
    momenta,
    st.booleans(),
    st.floats(0.01, 0.99),
    st.sampled_from([0.0, 0.3]),
    st.integers(0, 2**32 - 1),
)
def test_gradient_descent_is_its_literal_loop(d, n_iterations, momentum, nesterov, position, decay, seed):
    rng = np.random.default_rng(seed)
    u = np.linalg.qr(rng.standard_normal((len(d), len(d))))[0]
    X = u * np.sqrt(d)  # its right singular vectors are the coordinate axes
    y = rng.standard_normal(len(d))
    setting = {
        "learning_rate": position * largest_stable_rate(momentum, nesterov) / (d[0] + decay),
        "momentum": momentum,
        "nesterov": nesterov,
        "weight_decay": decay,
    }
    weights = descend_literally(X, y, n_iterations, **setting)
    filter_ = GradientDescent(n_iterations=n_iterations, **setting)
    scale = np.linalg.norm(y)
    np.testing.assert_allclose(np.sqrt(d) * filter_(d) * (u.T @ y), weights, rtol=1e-9, atol=1e-10 * scale)
    np.testing.assert_allclose(u @ (filter_.shrinkage(d) * (u.T @ y)), X @ weights, rtol=1e-9, atol=1e-10 * scale)
    np.testing.assert_allclose(u @ (filter_.residual(d) * (u.T @ y)), y - X @ weights, rtol=1e-9, atol=1e-10 * scale)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("n_iterations", [2**30 + 1, 2**44 - 1])
@pytest.mark.parametrize("progress", [1e-3, 0.3, 3.0])
def test_momentum_keeps_its_digits_whether_little_or_much_was_learned(nesterov, n_iterations, progress):
    rate = progress / n_iterations
    coefficient, shrinkage, residual = exact_descent(rate, 1.0, n_iterations, 0.5, nesterov, 0.0, 80)
    filter_ = GradientDescent(1.0, n_iterations, 0.5, nesterov)
    assert_close(filter_([rate])[0], coefficient, 1e-13)
    assert_close(filter_.shrinkage([rate])[0], shrinkage, 1e-13)
    assert_close(filter_.residual([rate])[0], residual, 1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.25, 0.81])
def test_double_roots_are_ordinary(momentum, nesterov):
    """Where the two roots of the recursion meet, the closed root form is 0/0."""
    double = (1 - np.sqrt(momentum)) ** 2
    if nesterov:  # (1 + m)²(1 − r) = 4m
        double = 1 - 4 * momentum / (1 + momentum) ** 2
    for n_iterations in (1, 2, 7, 50):
        _, shrinkage, residual = exact_descent(double, 1.0, n_iterations, momentum, nesterov, 0.0, 60)
        filter_ = GradientDescent(1.0, n_iterations, momentum, nesterov)
        np.testing.assert_allclose(filter_.shrinkage([double]), [float(shrinkage)], rtol=1e-12)
        np.testing.assert_allclose(filter_.residual([double]), [float(residual)], rtol=1e-12)


@given(spectra(), st.floats(0.1, 100.0), st.floats(0.0, 5.0))
def test_short_steps_follow_the_flow(d, time, decay):
    n_iterations = 10**7
    flow = GradientFlow(time, decay)
    descent = GradientDescent(time / n_iterations, n_iterations, weight_decay=decay)
    np.testing.assert_allclose(descent.shrinkage(d), flow.shrinkage(d), atol=1e-6)
    for nesterov in (False, True):
        heavy = GradientDescent(time * 0.1 / n_iterations, n_iterations, 0.9, nesterov, decay)
        np.testing.assert_allclose(heavy.shrinkage(d), flow.shrinkage(d), atol=1e-4)


@given(spectra(), log_uniform(1e-3, 1e3))
def test_long_training_with_weight_decay_is_ridge_regression(d, decay):
    ridge = Ridge(decay)
    stable = 1.9 / (d[0] + decay)
    for filter_ in (
        GradientFlow(1e300, decay),
        GradientDescent(stable, 2**62, weight_decay=decay),
        GradientDescent(stable, 2**62, 0.9, False, decay),
        GradientDescent(0.5 * stable, 2**62, 0.9, True, decay),
    ):
        np.testing.assert_allclose(filter_(d), ridge(d), rtol=1e-11)
        np.testing.assert_allclose(filter_.shrinkage(d), ridge.shrinkage(d), rtol=1e-11)
        np.testing.assert_allclose(filter_.residual(d), ridge.residual(d), rtol=1e-11)


def test_no_momentum_is_plain_descent_by_either_route():
    d = np.array([1.9, 1.0, 1e-3, 0.0])
    for nesterov in (False, True):
        almost = GradientDescent(1.0, 20, 1e-300, nesterov)
        np.testing.assert_allclose(almost.shrinkage(d), GradientDescent(1.0, 20).shrinkage(d), rtol=1e-12)


def test_parameters_are_stored_as_plain_numbers_under_their_names():
    flow = GradientFlow(np.float32(2), np.int8(1))
    descent = GradientDescent(np.float32(0.5), np.int64(3), np.int8(0), np.True_, np.int8(1))
    for filter_, expected in (
        (flow, {"time": 2.0, "weight_decay": 1.0}),
        (
            descent,
            {"learning_rate": 0.5, "n_iterations": 3, "momentum": 0.0, "nesterov": True, "weight_decay": 1.0},
        ),
    ):
        assert vars(filter_) == expected
        assert [type(value) for value in vars(filter_).values()] == [type(value) for value in expected.values()]


def test_defaults_are_no_weight_decay_and_no_momentum():
    assert GradientFlow(2.0) == GradientFlow(2.0, weight_decay=0.0)
    assert GradientDescent(0.5, 3) == GradientDescent(0.5, 3, momentum=0.0, nesterov=False, weight_decay=0.0)


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        (
            GradientDescent(0.5, 3),
            "learning_rate must be < 0.4, 2(1 + m)/(d_max + weight_decay) with momentum m, to be",
        ),
        (
            GradientDescent(0.5, 3, nesterov=True),
            "learning_rate must be < 0.4, 2(1 + m)/(d_max + weight_decay) with momentum m, to be",
        ),
        (
            GradientDescent(0.6, 3, 0.5, weight_decay=1.0),
            "learning_rate must be < 0.5, 2(1 + m)/(d_max + weight_decay) with momentum m, to be",
        ),
        (
            GradientDescent(0.75, 3, 0.5, True, 1.0),
            "learning_rate must be < 0.25, (1 + 1/max(1 + 2m, -m))/(d_max + weight_decay) with momentum m, to be",
        ),
    ],
)
def test_a_learning_rate_that_is_not_stable_is_refused_with_the_rule(filter_, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)} stable, got {filter_.learning_rate}$"):
        filter_.shrinkage([5.0, 1.0])


def test_nothing_is_learned_in_no_time():
    for filter_ in (GradientFlow(0.0), GradientFlow(0.0, 1.0), GradientDescent(0.1, 0), GradientDescent(0.1, 0, 0.9)):
        np.testing.assert_array_equal(filter_([0.0, 1.0]), [0.0, 0.0])
        np.testing.assert_array_equal(filter_.residual([0.0, 1.0]), [1.0, 1.0])


def test_an_eigenvalue_and_a_weight_decay_whose_sum_overflows_are_no_trouble():
    np.testing.assert_array_equal(GradientFlow(0.0, 1e308).shrinkage([1e308]), [0.0])
    np.testing.assert_array_equal(GradientFlow(0.0, 1e308).residual([1e308]), [1.0])
    np.testing.assert_allclose(GradientFlow(1.0, 1e308).shrinkage([1e308]), [0.5])


def test_single_precision_refuses_times_beyond_its_range_by_name():
    with pytest.raises(ValueError, match="times must be finite, got inf at index 1"):
        flow_trajectories(np.eye(2, dtype=np.float32), [1.0, 2.0], times=[1.0, 1e300], teacher_time=1.0)


def test_the_largest_stable_learning_rate_is_named_and_is_the_largest():
    for momentum, nesterov in [(0.0, False), (0.9, False), (-0.5, False), (0.9, True), (-0.2, True), (-0.8, True)]:
        stable = largest_stable_rate(momentum, nesterov) / 2.5
        GradientDescent(stable * (1 - 1e-9), 3, momentum, nesterov, 0.5)([2.0, 1.0])
        with pytest.raises(ValueError, match="learning_rate must be < .* to be stable, got") as caught:
            GradientDescent(stable * (1 + 1e-9), 3, momentum, nesterov, 0.5)([2.0, 1.0])
        named = float(str(caught.value).removeprefix("learning_rate must be < ").partition(",")[0])
        np.testing.assert_allclose(named, stable, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GradientFlow(-1.0), ValueError, "time must be >= 0, got -1.0"),
        (lambda: GradientFlow(np.nan), ValueError, "time must be finite, got nan"),
        (lambda: GradientFlow(np.inf), ValueError, "time must be finite, got inf"),
        (lambda: GradientFlow(1.0, -0.1), ValueError, "weight_decay must be >= 0, got -0.1"),
        (lambda: GradientDescent(0.0, 1), ValueError, "learning_rate must be > 0, got 0.0"),
        (lambda: GradientDescent(-0.1, 1), ValueError, "learning_rate must be > 0, got -0.1"),
        (lambda: GradientDescent(0.1, -1), ValueError, "n_iterations must be >= 0, got -1"),
        (lambda: GradientDescent(0.1, 2**63), ValueError, r"n_iterations must be < 2\*\*63, got 9223372036854775808"),
        (lambda: GradientDescent(0.1, 2.0), TypeError, "n_iterations must be an integer, got 2.0"),
        (lambda: GradientDescent(0.1, 1, 1.0), ValueError, "momentum must be > -1 and < 1, got 1.0"),
        (lambda: GradientDescent(0.1, 1, -1.0), ValueError, "momentum must be > -1 and < 1, got -1.0"),
        (lambda: GradientDescent(0.1, 1, 0.5, 1), TypeError, "nesterov must be True or False, got 1"),
        (lambda: GradientDescent(0.1, 1, weight_decay=-1), ValueError, "weight_decay must be >= 0, got -1"),
    ],
)
def test_bad_parameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@given(st.integers(0, 10**6).map(lambda half: 2 * half + 1), st.floats(1e-3, 30.0))
def test_an_odd_number_of_steps_is_as_close_to_the_flow_only_without_overshooting(n_iterations, x):
    """`0 <= e^{−x} − (1 − x/k)^k <= 2e^{−2}/k·(1 + o(1))` for x <= k; beyond, each step leaves the other sign."""
    assume(x < 2 * n_iterations)
    descent = GradientDescent(x / n_iterations, n_iterations).residual([1.0])[0]
    flow = GradientFlow(x).residual([1.0])[0]
    if x <= n_iterations:
        assert descent <= flow * (1 + 1e-12)
        assert flow - descent <= 2 * np.exp(-2) / n_iterations * (1 + 2 / n_iterations) + 1e-15
    else:
        assert descent < 0.0
        np.testing.assert_allclose(flow - descent, np.exp(-x) + (x / n_iterations - 1) ** n_iterations, rtol=1e-9)


@pytest.mark.parametrize("n_iterations", [1, 11, 1001, 100_001])
def test_an_odd_number_of_the_longest_stable_steps_is_far_from_the_flow(n_iterations):
    longest = (2 - 1e-3 / n_iterations) * n_iterations
    gap = GradientFlow(longest).residual([1.0]) - GradientDescent(longest / n_iterations, n_iterations).residual([1.0])
    assert gap[0] > 0.99


@pytest.mark.parametrize("x", [1.0, 5.0, 30.0, 300.0])
def test_no_multiple_of_the_risk_of_early_stopping_bounds_that_of_ridge_regression(x):
    """Without noise, on one mode `d = x/time`, the ratio is `(e^x/(1 + x))²`, and grows without bound."""
    setting = {"K": [[x]], "signal": [1.0], "noise_variance": 0.0}
    ridge, flow = (in_sample_risk(models=filter_, **setting).total for filter_ in (Ridge(1.0), GradientFlow(1.0)))
    np.testing.assert_allclose(ridge / flow, (np.exp(x) / (1 + x)) ** 2, rtol=1e-11)
