"""Nagarajan, Menon, Bhojanapalli, Mobahi & Kumar (2023), "On student-teacher deviations in distillation", appendix B.

| Paper | Here |
| --- | --- |
| X Xᵀ, its eigenvalues λ_k | `K`, `eigenvalues` (descending) |
| β(t), β_k(t) | weights of the teacher, `components` |
| β̃(t̃), β̃_k(t̃) | the same of the student |
| A(t) = I − e^{−t X Xᵀ} | `GradientFlow(t).shrinkage` |
| T^te | `teacher_time` |
| α_k(t), α̃_k(t̃) | `shrinkage` |

The eigenvectors v_k of the theorem are the right singular vectors of X (printed as eigenvectors of the n × n matrix
X Xᵀ in R^p), eq. 8 reads β_k(t) = β(t)·v_k, and eq. 15 reads Ã(t̃) = A(t̃) A(T^te).
"""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    Distilled,
    GradientDescent,
    GradientFlow,
    Ridge,
    SelfDistillation,
    Spectrum,
    descent_trajectories,
    exaggeration_ratios,
    flow_trajectories,
    matched_student_time,
    out_of_sample_risk,
)
from tests.oracles import descend_literally, integrate_flow
from tests.strategies import examples, log_uniform, problems, real_weights, spectra

times = st.one_of(log_uniform(1e-3, 1e2), st.just(0.0))


@examples(40)
@given(problems(max_size=4, high=10.0), times, times, real_weights, st.booleans(), st.sampled_from([0.0, 0.2]))
def test_equations_12_to_15_are_the_ordinary_differential_equation(
    problem, time, teacher_time, label_weight, warm_start, decay
):
    """With label weights, weight decay and a start from the teacher, which the paper does not have."""
    K, y = problem.K, problem.y
    run = flow_trajectories(
        K,
        y,
        times=[time],
        teacher_time=teacher_time,
        label_weight=label_weight,
        warm_start=warm_start,
        n_rounds=2,
        weight_decay=decay,
    )
    size = np.linalg.norm(y) * (1 + abs(label_weight)) ** 2
    np.testing.assert_allclose(run.teacher.fitted[0], integrate_flow(K, y, time, decay), rtol=1e-7, atol=1e-8 * size)
    teacher = integrate_flow(K, y, teacher_time, decay)
    for student in run.rounds:
        targets = label_weight * y + (1 - label_weight) * teacher
        start = teacher if warm_start else None
        expected = integrate_flow(K, targets, time, decay, start)
        np.testing.assert_allclose(student.fitted[0], expected, rtol=1e-7, atol=1e-8 * size)
        teacher = integrate_flow(K, targets, teacher_time, decay, start)


@examples(60)
@given(
    problems(max_size=5, high=10.0),
    st.integers(0, 25),
    st.integers(0, 25),
    st.sampled_from([(0.0, False), (0.8, False), (0.8, True)]),
    real_weights,
    st.booleans(),
    st.sampled_from([0.0, 0.2]),
)
def test_descent_trajectories_are_the_literal_loop_in_the_space_of_the_weights(
    problem, count, teacher_count, acceleration, label_weight, warm_start, decay
):
    u, d, y = problem.eigenvectors, problem.eigenvalues, problem.y
    X = u * np.sqrt(d)
    method = {
        "learning_rate": 1.3 / (d[0] + decay),
        "momentum": acceleration[0],
        "nesterov": acceleration[1],
        "weight_decay": decay,
    }
    run = descent_trajectories(
        X @ X.T,
        y,
        iterations=[0, count],
        teacher_iterations=teacher_count,
        label_weight=label_weight,
        warm_start=warm_start,
        n_rounds=2,
        **method,
    )
    size = np.linalg.norm(y) * (1 + abs(label_weight)) ** 2
    close = {"rtol": 1e-9, "atol": 1e-10 * size}
    alone = descend_literally(X, y, count, **method)
    np.testing.assert_allclose(run.teacher.fitted[1], X @ alone, **close)
    np.testing.assert_array_equal(run.teacher.fitted[0], np.zeros_like(y))
    teacher = descend_literally(X, y, teacher_count, **method)
    for student in run.rounds:
        targets = label_weight * y + (1 - label_weight) * (X @ teacher)
        start = teacher if warm_start else None
        expected = descend_literally(X, targets, count, start=start, **method)
        np.testing.assert_allclose(student.fitted[1], X @ expected, **close)
        cross = problem.K_test
        kept = d > 0
        features = (cross @ u)[:, kept] / np.sqrt(d[kept])
        np.testing.assert_allclose(
            student.predict(cross)[1],
            features @ expected[kept],
            rtol=1e-9,
            atol=1e-8 * size * (1 + np.abs(cross).max()),
        )
        teacher = descend_literally(X, targets, teacher_count, start=start, **method)


@given(problems(outputs=True), times, times)
def test_equation_8_components_are_those_of_the_weights_along_right_singular_vectors(problem, time, teacher_time):
    u, d, y = problem.eigenvectors, problem.eigenvalues, problem.y
    rng = np.random.default_rng(0)
    v = np.linalg.qr(rng.standard_normal((len(d) + 2, len(d))))[0]
    X = u * np.sqrt(d) @ v.T
    run = flow_trajectories(problem.K, y, times=[time], teacher_time=teacher_time)
    for fit in (run.teacher, run.student):
        weights = X.T @ fit.dual_coef[0]
        norms = np.sum(fit.components[0] ** 2, axis=0)
        np.testing.assert_allclose(norms, np.sum(weights**2, axis=0), rtol=1e-6, atol=1e-9)
        # The basis of (almost) equal eigenvalues is free, so only the sum over their directions is compared.
        ours = np.sum(fit.components[0].reshape(len(d), -1) ** 2, axis=1)
        theirs = np.sum((v.T @ weights).reshape(len(d), -1) ** 2, axis=1)
        for value in d:
            level = np.abs(d - value) < 1e-6 * d[0]
            np.testing.assert_allclose(ours[level].sum(), theirs[level].sum(), rtol=1e-5, atol=1e-8)


@given(spectra(), times, times, st.floats(0.0, 1.0))
def test_equation_15_the_student_is_the_composition_of_two_filters(d, time, teacher_time, label_weight):
    run = flow_trajectories(
        np.diag(d), np.ones(len(d)), times=[time], teacher_time=teacher_time, label_weight=label_weight
    )
    composed = Distilled(GradientFlow(teacher_time), GradientFlow(time), label_weight)
    np.testing.assert_array_equal(run.student.shrinkage[0], composed.shrinkage(d))
    expected = -np.expm1(-d * time) * (label_weight - (1 - label_weight) * np.expm1(-d * teacher_time))
    np.testing.assert_allclose(run.student.shrinkage[0], expected, rtol=1e-12)


@st.composite
def matched_cases(draw):
    top = draw(log_uniform(1e-3, 1e3))
    teacher_time = draw(log_uniform(1e-3, 20.0)) / top
    share = draw(st.one_of(st.floats(0.0, 1.0, exclude_max=True), log_uniform(1e-12, 1.0).map(lambda gap: 1 - gap)))
    time = share * teacher_time
    assume(time < teacher_time)
    return top, time, teacher_time


@examples(300)
@given(matched_cases())
def test_the_matched_time_is_right_to_twelve_digits(case):
    top, time, teacher_time = case
    with mpmath.workdps(400):
        d, t, stop = (mpmath.mpf(value) for value in case)
        exact = -mpmath.log(1 - (1 - mpmath.exp(-d * t)) / (1 - mpmath.exp(-d * stop))) / d
        computed = mpmath.mpf(float(matched_student_time(top, time, teacher_time)))
        assert abs(computed - exact) <= 1e-12 * exact + mpmath.mpf("1e-300")
    assert matched_student_time(top, time, teacher_time) >= time


@pytest.mark.parametrize("top", [1e-300, 1e-20, 1.0, 1e20, 1e300])
@pytest.mark.parametrize(("time", "teacher_time"), [(1e-300, 1e-299), (0.5, 1.0), (3.0, 700.0), (1e299, 1e300)])
def test_the_matched_time_has_no_range_in_which_it_fails(top, time, teacher_time):
    with mpmath.workdps(400):
        d, t, stop = mpmath.mpf(top), mpmath.mpf(time), mpmath.mpf(teacher_time)
        if d * t > 1e5:
            exact = t
        else:
            left = mpmath.exp(-d * stop) if d * stop < 1e6 else mpmath.mpf(0)
            exact = -mpmath.log(1 - (1 - mpmath.exp(-d * t)) / (1 - left)) / d if d * stop > 1e-150 else None
            if exact is None:  # the limit of slow learning
                exact = -mpmath.log(1 - t / stop) / d
        if exact > 1e308:
            with pytest.raises(OverflowError, match="the matched time"):
                matched_student_time(top, time, teacher_time)
        else:
            computed = float(matched_student_time(top, time, teacher_time))
            assert abs(computed - exact) <= 1e-12 * exact


@examples(300)
@given(spectra(min_size=2, zeros=False, low=1e-2), matched_cases(), st.integers(0, 2**32 - 1))
def test_theorem_b1_at_equal_progress_along_the_top_the_student_is_behind_everywhere_below(d, case, seed):
    """For zero start, `0 < t < T < ∞`, and targets with components along the directions that are compared."""
    _, share_time, share_stop = case
    time, teacher_time = share_time / d[0] * case[0], share_stop / d[0] * case[0]
    assume(1e-6 * teacher_time < time < (1 - 1e-6) * teacher_time)
    y = np.random.default_rng(seed).uniform(0.5, 1.5, len(d))
    matched = float(matched_student_time(d[0], time, teacher_time))
    teacher = flow_trajectories(np.diag(d), y, times=[time], teacher_time=teacher_time).teacher.components[0]
    student = flow_trajectories(np.diag(d), y, times=[matched], teacher_time=teacher_time).student.components[0]
    np.testing.assert_allclose(student[0], teacher[0], rtol=1e-9)
    ratios = student / teacher
    np.testing.assert_allclose(ratios, exaggeration_ratios(d, time=time, teacher_time=teacher_time), rtol=1e-9)
    assert np.all(ratios[d == d[0]] > 1 - 1e-9)
    below = d < 0.999 * d[0]
    with mpmath.workdps(60):  # the inequality is strict, though its gap may be below the digits of a float
        for eigenvalue in d[below]:
            a, b = (mpmath.exp(-mpmath.mpf(d[0]) * value) for value in (mpmath.mpf(time), mpmath.mpf(teacher_time)))
            left = 1 - (1 - a) / (1 - b)
            power = mpmath.mpf(eigenvalue) / mpmath.mpf(d[0])
            assert (1 - left**power) * (1 - b**power) < 1 - a**power
    assert np.all(ratios[below] < 1 + 1e-12)


@given(spectra(min_size=2, zeros=True), st.floats(0.01, 0.99))
def test_exaggeration_grows_towards_smaller_eigenvalues_and_is_one_for_equal_ones(d, share):
    ratios = exaggeration_ratios(d, time=share / d[0], teacher_time=1.0 / d[0])
    assert np.all(ratios[d == d[0]] == 1.0)
    assert np.all(np.diff(ratios) <= 1e-12)
    assert np.all(ratios[d == 0.0] == 0.0)
    assert np.all((ratios >= 0.0) & (ratios <= 1.0))


@given(spectra(min_size=2, zeros=False, low=1e-1, high=10.0), st.floats(0.01, 10.0))
def test_theorem_b1_needs_a_teacher_that_was_stopped(d, time):
    """A teacher trained for ever hands on the labels themselves, and then the student is the teacher."""
    ratios = exaggeration_ratios(d, time=time, teacher_time=1e6)
    np.testing.assert_allclose(ratios, 1.0, rtol=1e-9)


def test_theorem_b1_is_vacuous_without_a_component_along_the_top():
    """Both components along the top are zero at all times, so matching them says nothing about the others."""
    run = flow_trajectories(np.diag([2.0, 1.0]), [0.0, 1.0], times=[0.1, 5.0], teacher_time=1.0)
    assert run.teacher.components[0, 0] == run.student.components[1, 0] == 0.0
    assert run.student.components[1, 1] > run.teacher.components[0, 1]


@given(spectra(), times, times, times, st.floats(0.0, 1.0))
def test_a_student_that_starts_from_its_teacher_never_forgets(d, time, teacher_time, later, label_weight):
    def run(label_weight):
        return flow_trajectories(
            np.diag(d),
            np.ones(len(d)),
            times=[time, time + later],
            teacher_time=teacher_time,
            label_weight=label_weight,
            warm_start=True,
        ).student

    teacher = GradientFlow(teacher_time)
    student = run(label_weight)
    assert np.all(student.shrinkage >= teacher.shrinkage(d) - 1e-15)
    assert np.all(student.modes.residual[1] <= student.modes.residual[0] * (1 + 1e-15))
    same = run(0.0)
    np.testing.assert_allclose(same.shrinkage, np.tile(teacher.shrinkage(d), (2, 1)), rtol=1e-13, atol=0)
    np.testing.assert_allclose(same.modes.coefficient, np.tile(teacher(d), (2, 1)), rtol=1e-13)
    continued = run(1.0)
    np.testing.assert_allclose(
        continued.modes.residual[0], GradientFlow(teacher_time + time).residual(d), rtol=1e-11, atol=1e-300
    )


@given(spectra(), times, st.integers(1, 6), st.floats(0.0, 1.0))
def test_warm_rounds_multiply_what_is_left(d, teacher_time, n_rounds, label_weight):
    """`1 − B_k = (1 − s)(1 − α(1 − e))^k`, every round trained for the same time."""
    run = flow_trajectories(
        np.diag(d),
        np.ones(len(d)),
        times=[teacher_time],
        teacher_time=teacher_time,
        label_weight=label_weight,
        warm_start=True,
        n_rounds=n_rounds,
    )
    left = np.exp(-d * teacher_time)
    expected = left * ((1 - label_weight) + label_weight * left) ** n_rounds
    np.testing.assert_allclose(run.student.modes.residual[0], expected, rtol=1e-11, atol=1e-300)
    assert len(run.rounds) == n_rounds


@given(spectra(), st.floats(0.05, 5.0), st.floats(0.05, 1.0))
def test_many_cold_rounds_tend_to_a_logistic_filter(d, teacher_time, label_weight):
    """`B_∞ = α s/(1 − (1 − α) s)`."""
    run = flow_trajectories(
        np.diag(d),
        np.ones(len(d)),
        times=[teacher_time],
        teacher_time=teacher_time,
        label_weight=label_weight,
        n_rounds=1200,
    )
    s = -np.expm1(-d * teacher_time)
    limit = label_weight * s / (1 - (1 - label_weight) * s)
    np.testing.assert_allclose(run.student.shrinkage[0], limit, rtol=1e-9)


def test_many_cold_rounds_with_half_of_the_labels_are_a_hyperbolic_tangent():
    d = np.array([3.0, 1.0, 0.1, 0.0])
    run = flow_trajectories(np.diag(d), d, times=[2.0], teacher_time=2.0, label_weight=0.5, n_rounds=200)
    np.testing.assert_allclose(run.student.shrinkage[0], np.tanh(d), rtol=1e-12)


@given(spectra(), log_uniform(1e-2, 1e2), st.floats(0.0, 1.0), st.booleans(), st.integers(1, 4))
def test_rounds_of_long_training_with_weight_decay_are_those_of_ridge_regression(
    d, decay, label_weight, warm_start, n_rounds
):
    run = flow_trajectories(
        np.diag(d),
        np.ones(len(d)),
        times=[1e6 / decay],
        teacher_time=1e6 / decay,
        label_weight=label_weight,
        warm_start=warm_start,
        n_rounds=n_rounds,
        weight_decay=decay,
    )
    expected = SelfDistillation(decay, n_rounds + 1, label_weight)
    np.testing.assert_allclose(run.student.shrinkage[0], expected.shrinkage(d), rtol=1e-10)
    np.testing.assert_allclose(run.teacher.shrinkage[0], Ridge(decay).shrinkage(d), rtol=1e-12)


@pytest.mark.parametrize("time", [1e8, 1e16, 1e300])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.0, 1.0, 0.5, 1.0, 3.0, 1.0]])
def test_on_a_singular_gram_matrix_long_training_ends_in_least_squares(time, weights):
    """The dual coefficients of the null space grow with time; no prediction may feel it."""
    rng = np.random.default_rng(0)
    X, X_test, y = rng.standard_normal((8, 3)), rng.standard_normal((4, 3)), rng.standard_normal((8, 2))
    spectrum = Spectrum.from_gram(X @ X.T, sample_weight=weights)
    root = np.sqrt(np.ones(8) if weights is None else np.array(weights))[:, None]
    solution = np.linalg.lstsq(root * X, root * y, rcond=None)[0]
    teacher = flow_trajectories(spectrum, y, times=[time], teacher_time=1.0).teacher
    np.testing.assert_allclose(teacher.predict(X_test @ X.T)[0], X_test @ solution, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(teacher.fitted[0], X @ solution, rtol=1e-9, atol=1e-9)
    risk = out_of_sample_risk(
        spectrum, X @ solution, teacher, noise_variance=0.0, K_test=X_test @ X.T, signal_test=X_test @ solution
    )
    np.testing.assert_allclose(risk.total, 0.0, atol=1e-18)


@given(spectra(), times, times)
def test_the_shrinkage_grows_with_time_and_with_the_eigenvalue(d, time, later):
    early, late = GradientFlow(time).shrinkage(d), GradientFlow(time + later).shrinkage(d)
    assert np.all(late >= early)
    assert np.all(np.diff(late) <= 0.0)


RATIO, RATIO_AT = 1.2984256, 1.7932821
GAP, GAP_AT = 0.2036322, 2.5128624


@given(spectra(zeros=True), log_uniform(1e-4, 1e4))
def test_early_stopping_lies_between_ridge_regression_and_1_3_times_it(d, ridge):
    """`x/(1 + x) <= 1 − e^{−x} <= 1.2984256·x/(1 + x)`, never more than 0.2036322 apart, for `x = d/ridge`."""
    flow, penalised = GradientFlow(1 / ridge), Ridge(ridge)
    assert np.all(flow.shrinkage(d) >= penalised.shrinkage(d) * (1 - 1e-14))
    assert np.all(flow.shrinkage(d) <= RATIO * penalised.shrinkage(d))
    assert np.all(flow.residual(d) <= penalised.residual(d) * (1 + 1e-14))
    assert np.all(flow.shrinkage(d) - penalised.shrinkage(d) <= GAP)


def test_the_constants_of_early_stopping_are_attained():
    ratio = GradientFlow(1.0).shrinkage([RATIO_AT]) / Ridge(1.0).shrinkage([RATIO_AT])
    np.testing.assert_allclose(ratio, RATIO, rtol=1e-7)
    gap = GradientFlow(1.0).shrinkage([GAP_AT]) - Ridge(1.0).shrinkage([GAP_AT])
    np.testing.assert_allclose(gap, GAP, rtol=1e-6)


@given(st.integers(2, 10**6).map(lambda half: 2 * half), st.floats(1e-3, 30.0))
def test_gradient_descent_is_ahead_of_the_flow_by_at_most_0_271_over_its_steps(n_iterations, x):
    """`0 <= e^{−x} − (1 − x/k)^k <= 2e^{−2}/k·(1 + o(1))` for an even k, or for x <= k."""
    assume(x < 2 * n_iterations)
    descent = GradientDescent(x / n_iterations, n_iterations).residual([1.0])[0]
    flow = GradientFlow(x).residual([1.0])[0]
    if x <= n_iterations:
        assert descent <= flow * (1 + 1e-12)
    assert flow - descent <= 2 * np.exp(-2) / n_iterations * (1 + 2 / n_iterations) + 1e-15


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: matched_student_time(1.0, 2.0, 2.0), ValueError, "time must be < teacher_time = 2.0, got 2.0: the"),
        (lambda: matched_student_time(1.0, [0.5, 3.0], 2.0), ValueError, "never reaches it"),
        (lambda: matched_student_time(0.0, 0.5, 2.0), ValueError, "d_top must be > 0, got 0.0"),
        (lambda: matched_student_time(1.0, -0.5, 2.0), ValueError, "time must be >= 0, got -0.5"),
        (lambda: matched_student_time(1.0, np.nan, 2.0), ValueError, "time must be finite, got nan"),
        (lambda: matched_student_time(1.0, 0.5, 0.0), ValueError, "teacher_time must be > 0, got 0.0"),
        (lambda: exaggeration_ratios([1.0], time=0.0, teacher_time=1.0), ValueError, "time must be > 0, got 0.0"),
        (lambda: exaggeration_ratios([1.0], time=1.0, teacher_time=1.0), ValueError, "time must be < teacher_time"),
        (lambda: exaggeration_ratios([0.0], time=0.5, teacher_time=1.0), ValueError, "one value > 0, got zeros"),
        (lambda: exaggeration_ratios([-1.0, 2.0], time=0.5, teacher_time=1.0), ValueError, "must be >= 0, got -1.0"),
    ],
)
def test_times_that_do_not_match_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


FLOW = {"times": [1.0], "teacher_time": 1.0}
DESCENT = {"iterations": [1], "learning_rate": 0.1, "teacher_iterations": 1}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"times": [1.0, -0.5]}, ValueError, "times must be >= 0, got -0.5"),
        ({"times": [np.nan]}, ValueError, "times must be finite, got nan at index 0"),
        ({"times": []}, ValueError, "times must not be empty"),
        ({"times": 1.0}, ValueError, "times must be 1-dimensional"),
        ({"teacher_time": -1.0}, ValueError, "teacher_time must be >= 0, got -1.0"),
        ({"label_weight": np.inf}, ValueError, "label_weight must be finite, got inf"),
        ({"warm_start": 1}, TypeError, "warm_start must be True or False, got 1"),
        ({"n_rounds": 0}, ValueError, "n_rounds must be >= 1, got 0"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be >= 0, got -0.1"),
        ({"y": [1.0]}, ValueError, "y must have 2 rows"),
    ],
)
def test_bad_input_to_the_flow_is_named(change, error, message):
    with pytest.raises(error, match=message):
        flow_trajectories(**{"K": np.eye(2), "y": [1.0, 2.0], **FLOW, **change})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"iterations": [1.5]}, TypeError, "iterations must hold integers, got 1.5"),
        ({"iterations": [3, -1]}, ValueError, r"iterations must be >= 0 and < 2\*\*53, got -1"),
        ({"teacher_iterations": -1}, ValueError, "teacher_iterations must be >= 0, got -1"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be > 0, got 0.0"),
        ({"learning_rate": 2.0}, ValueError, "learning_rate must be < 2.0, .* to be stable, got 2.0"),
        ({"momentum": 1.0}, ValueError, "momentum must be > -1 and < 1, got 1.0"),
        ({"nesterov": "yes"}, TypeError, "nesterov must be True or False, got 'yes'"),
    ],
)
def test_bad_input_to_the_descent_is_named(change, error, message):
    with pytest.raises(error, match=message):
        descent_trajectories(**{"K": np.eye(2), "y": [1.0, 2.0], **DESCENT, **change})
