"""Two models that teach each other in turns, against rounds of refits."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    Ridge,
    SelfDistillationLimit,
    Spectrum,
    alternate_distillation,
    fit_filter,
    selfdistill_per_sample,
)
from tests.strategies import problems, spectra
from tests.test_different_models import ridges, two_kernels


@st.composite
def turns(draw):
    problem, K = draw(two_kernels())
    setting = {
        "ridge_student": draw(ridges),
        "ridge_teacher": draw(ridges),
        "label_weight_student": draw(st.floats(0.0, 1.0)),
        "label_weight_teacher": draw(st.floats(0.0, 1.0)),
    }
    return problem, K, setting


def hat(K, ridge):
    return K @ np.linalg.inv(K + ridge * np.eye(len(K)))


@given(turns())
def test_alternation_ends_where_its_rounds_end(case):
    problem, K_teacher, setting = case
    K, y = problem.K, problem.y
    run = alternate_distillation(K, K_teacher, y, **setting)
    M_s, M_t = hat(K, setting["ridge_student"]), hat(K_teacher, setting["ridge_teacher"])
    alpha, beta = setting["label_weight_student"], setting["label_weight_teacher"]
    f, g = run.student.fitted, run.teacher.fitted
    size = np.abs(y).max()
    np.testing.assert_allclose(f, M_s @ (alpha * y + (1 - alpha) * g), rtol=1e-6, atol=1e-8 * size)
    np.testing.assert_allclose(g, M_t @ (beta * y + (1 - beta) * f), rtol=1e-6, atol=1e-8 * size)
    exact_rate = (1 - alpha) * (1 - beta) * np.max(np.abs(np.linalg.eigvals(M_s @ M_t)))
    np.testing.assert_allclose(run.rate, exact_rate, rtol=1e-6, atol=1e-9)
    rounds, start = run.rounds(6), M_t @ y
    for fitted in rounds:
        expected = M_s @ (alpha * y + (1 - alpha) * start)
        np.testing.assert_allclose(fitted, expected, rtol=1e-6, atol=1e-8 * size)
        start = M_t @ (beta * y + (1 - beta) * expected)
    if run.rate < 0.8:
        np.testing.assert_allclose(run.rounds(100)[-1], f, rtol=1e-6, atol=1e-8 * size)
    np.testing.assert_allclose(
        run.student.predict(problem.K_test), problem.K_test @ run.student.dual_coef, rtol=1e-9, atol=1e-9
    )


@given(turns())
def test_alternation_is_descent_on_the_objective_of_co_distillation(case):
    problem, K_teacher, setting = case
    assume(max(setting["label_weight_student"], setting["label_weight_teacher"]) < 0.99)
    K, y = problem.K, problem.y
    run = alternate_distillation(K, K_teacher, y, **setting)
    ours, theirs = run.student.spectrum, run.teacher.spectrum
    alpha, beta = setting["label_weight_student"], setting["label_weight_teacher"]
    least = run.objective(run.student, run.teacher)
    student_filter, teacher_filter = Ridge(setting["ridge_student"]), Ridge(setting["ridge_teacher"])
    teacher, values = fit_filter(theirs, y, teacher_filter), []
    for _ in range(5):
        student = fit_filter(ours, alpha * y + (1 - alpha) * teacher.fitted, student_filter)
        values.append(run.objective(student, teacher))
        teacher = fit_filter(theirs, beta * y + (1 - beta) * student.fitted, teacher_filter)
        values.append(run.objective(student, teacher))
    tolerance = 1e-9 * (1 + abs(values[0]))
    assert np.all(np.diff(values) <= tolerance)
    assert least <= values[-1] + tolerance
    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0):
        moved = fit_filter(ours, run.student.targets + size * rng.standard_normal(y.shape), student_filter)
        also = fit_filter(theirs, run.teacher.targets + size * rng.standard_normal(y.shape), teacher_filter)
        assert least <= run.objective(moved, run.teacher) + tolerance
        assert least <= run.objective(run.student, also) + tolerance
        assert least <= run.objective(moved, also) + tolerance


@given(problems(), ridges, st.floats(0.01, 1.0))
def test_alternation_of_equals_is_their_self_distillation_for_ever(problem, ridge, label_weight):
    run = alternate_distillation(
        problem.K,
        problem.K,
        problem.y,
        ridge_student=ridge,
        ridge_teacher=ridge,
        label_weight_student=label_weight,
        label_weight_teacher=label_weight,
    )
    limit = fit_filter(problem.K, problem.y, SelfDistillationLimit(ridge, label_weight))
    np.testing.assert_allclose(run.student.fitted, limit.fitted, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(run.teacher.fitted, limit.fitted, rtol=1e-6, atol=1e-8)


@given(spectra(), spectra(), ridges, ridges, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_with_common_eigenvectors_alternation_is_a_scalar_formula(d_s, d_t, ridge_s, ridge_t, alpha, beta):
    """`b = a_s (α + (1 − α)β a_t)/(1 − ρ a_s a_t)`."""
    n = min(len(d_s), len(d_t))
    a_s, a_t = d_s[:n] / (d_s[:n] + ridge_s), d_t[:n][::-1] / (d_t[:n][::-1] + ridge_t)
    run = alternate_distillation(
        np.diag(d_s[:n]),
        np.diag(d_t[:n][::-1]),
        np.ones(n),
        ridge_student=ridge_s,
        ridge_teacher=ridge_t,
        label_weight_student=alpha,
        label_weight_teacher=beta,
    )
    expected = a_s * (alpha + (1 - alpha) * beta * a_t) / (1 - (1 - alpha) * (1 - beta) * a_s * a_t)
    np.testing.assert_allclose(run.student.fitted, expected, rtol=1e-7, atol=1e-10)


def test_the_rate_counts_alternation_that_overshoots():
    setting = {"ridge_student": 1.0, "ridge_teacher": 1.0, "label_weight_student": 2.0, "label_weight_teacher": 0.5}
    run = alternate_distillation([[1.0]], [[1.0]], [1.0], **setting)
    np.testing.assert_allclose(run.rate, 0.125)
    np.testing.assert_allclose(run.rounds(60)[-1], run.student.fitted, rtol=1e-12)
    with pytest.raises(ValueError, match="with the rate 2"):
        alternate_distillation([[1.0]], [[1.0]], [1.0], **setting | {"label_weight_student": 17.0})


@pytest.mark.parametrize(("scale", "ridge"), [(1.0, 1e-16), (1e17, 1.0), (1.0, 1e-300), (1e300, 1e-300)])
@pytest.mark.parametrize("weights", [(0.0, 0.0), (1e-20, 0.0), (0.0, 1e-17), (1.0, 0.0), (2.0, 2.0)])
def test_alternation_converges_with_ridges_that_rounding_hides(scale, ridge, weights):
    """The rates are `ρ/(1 + ridge/scale)²`, below 1 however the floats round."""
    alpha, beta = weights
    K, y = scale * np.eye(3)[:, [2, 0, 1]][[2, 0, 1]], np.array([1.0, -2.0, 3.0])
    setting = {"label_weight_student": alpha, "label_weight_teacher": beta}
    run = alternate_distillation(K, K, y, ridge_student=ridge, ridge_teacher=2 * ridge, **setting)
    with mpmath.workdps(700):
        a_s, a_t = (mpmath.mpf(scale) / (mpmath.mpf(scale) + factor * mpmath.mpf(ridge)) for factor in (1, 2))
        alpha, beta = mpmath.mpf(alpha), mpmath.mpf(beta)
        exact = a_s * (alpha + (1 - alpha) * beta * a_t) / (1 - (1 - alpha) * (1 - beta) * a_s * a_t)
        expected = float(exact)
    if weights != (2.0, 2.0):  # where the first targets cancel
        np.testing.assert_allclose(run.student.fitted, expected * y, rtol=1e-9)
    assert run.rate <= 1.0


def test_alternation_keeps_the_gap_of_slow_models_that_exaggerate_far_beyond_their_labels():
    ridge, weight = 1e5 - 1.0, 1.0 - 1e5 * (1 - 1e-8)  # ρ = 1e10·(1 − 1e-8)² over M_s M_t = 1e-10
    run = alternate_distillation(
        np.eye(2),
        np.eye(2),
        [1.0, 2.0],
        ridge_student=ridge,
        ridge_teacher=ridge,
        label_weight_student=weight,
        label_weight_teacher=weight,
    )
    with mpmath.workdps(60):
        a, alpha = 1 / (1 + mpmath.mpf(ridge)), mpmath.mpf(weight)
        expected = float(a * (alpha + (1 - alpha) * alpha * a) / (1 - ((1 - alpha) * a) ** 2))
    np.testing.assert_allclose(run.student.fitted, expected * np.array([1.0, 2.0]), rtol=1e-7)


def test_alternation_of_different_kernels_keeps_the_gap_that_rounding_hides():
    rng = np.random.default_rng(1)
    A, B = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2))
    K_s, K_t = (u * [4.0, 3.0, 2.0, 1.0] @ u.T for u in (A, B))
    y, ridge, weight = rng.standard_normal(4), 1e-17, 1e-17
    kernels = ((K_s + K_s.T) / 2, (K_t + K_t.T) / 2)
    run = alternate_distillation(
        *kernels, y, ridge_student=ridge, ridge_teacher=ridge, label_weight_student=weight, label_weight_teacher=0.0
    )
    # To first order in ridge and weight the way left is `weight·I + ridge·(K_s⁻¹ + K_t⁻¹)`.
    inverses = sum(np.linalg.inv(K) for K in kernels)
    np.testing.assert_allclose(run.student.fitted, np.linalg.solve(np.eye(4) + inverses, y), rtol=1e-9)


def test_alternation_on_fewer_eigenvectors_than_points_keeps_the_gap_too():
    u = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0]
    ours, theirs = Spectrum([2.0, 1.0], u[:, 1:3]), Spectrum([3.0, 2.0, 1.0], u[:, :3])
    weights = {"label_weight_student": 1e-16, "label_weight_teacher": 0.0}
    run = alternate_distillation(ours, theirs, u.sum(axis=1), ridge_student=1e-16, ridge_teacher=1e-16, **weights)
    expected = [0.0, 1 / (1 + 1 / 2 + 1 / 2), 1 / (1 + 1 + 1), 0.0, 0.0]
    np.testing.assert_allclose(u.T @ run.student.fitted, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("weight", [1.9, -5.0])
def test_alternation_of_targets_beyond_all_floats_is_an_overflow(weight):
    setting = {"ridge_student": 9.0, "ridge_teacher": 9.0, "label_weight_student": weight, "label_weight_teacher": 0.5}
    with pytest.raises(OverflowError, match="the target at index 0 is too large"):
        alternate_distillation([[1.0]], [[1.0]], [1.7e308], **setting).rounds(3)


def test_single_precision_reaches_the_limit_of_label_weights_per_point():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9, 4))
    K, y, weights = X @ X.T, rng.standard_normal(9), rng.uniform(0.0, 1.5, 9)
    single = selfdistill_per_sample(K.astype(np.float32), y, ridge=0.5, n_steps=2, label_weights=weights)
    double = selfdistill_per_sample(K, y, ridge=0.5, n_steps=2, label_weights=weights)
    assert single.limit.fitted.dtype == np.float32
    np.testing.assert_allclose(single.limit.fitted, double.limit.fitted, atol=1e-4)


def test_swapping_the_roles_swaps_the_models():
    rng = np.random.default_rng(5)
    A, B, y = rng.standard_normal((6, 6)), rng.standard_normal((6, 4)), rng.standard_normal(6)
    one = alternate_distillation(
        A @ A.T, B @ B.T, y, ridge_student=0.3, ridge_teacher=2.0, label_weight_student=0.2, label_weight_teacher=0.6
    )
    other = alternate_distillation(
        B @ B.T, A @ A.T, y, ridge_student=2.0, ridge_teacher=0.3, label_weight_student=0.6, label_weight_teacher=0.2
    )
    np.testing.assert_allclose(one.student.fitted, other.teacher.fitted, rtol=1e-10)
    np.testing.assert_allclose(one.teacher.fitted, other.student.fitted, rtol=1e-10)
    np.testing.assert_allclose(one.objective(one.student, one.teacher), other.objective(other.student, other.teacher))
