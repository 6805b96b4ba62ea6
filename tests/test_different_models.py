"""Teachers and students that differ: other kernels, other inputs, turns, and label weights per point."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    Distilled,
    GradientFlow,
    Ridge,
    SelfDistillationLimit,
    Spectrum,
    alternate_distillation,
    distil_to_inputs,
    distil_to_kernel,
    fit_filter,
    selfdistill_closed_form,
    selfdistill_per_sample,
)
from tests.oracles import integrate_flow
from tests.strategies import examples, log_uniform, problems, real_weights, spectra


@st.composite
def two_kernels(draw, **options):
    """A problem, and a second Gram matrix at the same points."""
    problem = draw(problems(**options))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = len(problem.eigenvalues)
    features = rng.standard_normal((n, draw(st.integers(1, n + 1))))
    return problem, features @ features.T


ridges = log_uniform(1e-2, 1e1)


@given(two_kernels(high=10.0), ridges, st.floats(0.0, 5.0), real_weights)
def test_a_student_of_another_kernel_learns_its_teachers_outputs(case, ridge, time, label_weight):
    problem, K = case
    n, y = len(K), problem.y
    teacher = fit_filter(problem.K, y, GradientFlow(1.5))
    students = distil_to_kernel(teacher, K, [Ridge(ridge), GradientFlow(time)], label_weight=label_weight)
    targets = label_weight * y + (1 - label_weight) * integrate_flow(problem.K, y, 1.5)
    size = np.abs(y).max() * (1 + abs(label_weight))
    solved = K @ scipy.linalg.solve(K + ridge * np.eye(n), targets, assume_a="pos")
    np.testing.assert_allclose(students.fitted[0], solved, rtol=1e-6, atol=1e-7 * size)
    np.testing.assert_allclose(students.fitted[1], integrate_flow(K, targets, time), rtol=1e-6, atol=1e-7 * size)


@given(problems(), ridges, ridges, real_weights)
def test_a_student_of_the_same_kernel_is_the_composition_of_filters(problem, ridge_t, ridge_s, label_weight):
    spectrum = Spectrum.from_gram(problem.K)
    teacher = fit_filter(spectrum, problem.y, Ridge(ridge_t))
    student = distil_to_kernel(teacher, spectrum, Ridge(ridge_s), label_weight=label_weight)
    composed = fit_filter(spectrum, problem.y, Distilled(Ridge(ridge_t), Ridge(ridge_s), label_weight))
    size = np.abs(problem.y).max() * (1 + abs(label_weight))
    np.testing.assert_allclose(student.fitted, composed.fitted, rtol=1e-8, atol=1e-10 * size)
    np.testing.assert_allclose(
        student.predict(problem.K_test), composed.predict(problem.K_test), rtol=1e-7, atol=1e-8 * size / ridge_s
    )


def points(seed, n, m):
    """Gram matrices of a Gaussian kernel at n points of a teacher and m of a student, and between them."""
    rng = np.random.default_rng(seed)
    X, Z = rng.uniform(-2, 2, (n, 2)), rng.uniform(-2, 2, (m, 2))

    def kernel(A, B):
        return np.exp(-np.sum((A[:, None] - B) ** 2, axis=2))

    return kernel(X, X), kernel(Z, X), kernel(Z, Z), rng.standard_normal((n, 2))


@given(st.integers(0, 1000), ridges, ridges)
def test_a_student_on_unlabelled_inputs_is_ridge_regression_on_the_teachers_predictions(seed, ridge_t, ridge_s):
    K, K_cross, K_student, y = points(seed, 7, 5)
    teacher = fit_filter(K, y, Ridge(ridge_t))
    student = distil_to_inputs(teacher, K_cross, K_student, Ridge(ridge_s))
    predictions = K_cross @ np.linalg.solve(K + ridge_t * np.eye(7), y)
    np.testing.assert_allclose(student.dual_coef, np.linalg.solve(K_student + ridge_s * np.eye(5), predictions))
    np.testing.assert_allclose(student.targets, predictions, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 1000), ridges)
def test_a_student_without_ridge_that_sees_all_of_its_teachers_points_is_its_teacher(seed, ridge):
    """What distillation regularises disappears; on fewer points it keeps the norm it cannot see."""
    K, K_cross, K_student, y = points(seed, 4, 3)
    joint = np.block([[K, K_cross.T], [K_cross, K_student]])
    assume(np.linalg.cond(joint) < 1e6)
    teacher = fit_filter(K, y, Ridge(ridge))
    everywhere = joint[:, :4]
    student = distil_to_inputs(teacher, everywhere, joint, Ridge(1e-13))
    np.testing.assert_allclose(student.fitted, teacher.predict(everywhere), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(student.dual_coef[4:], 0.0, atol=1e-5)
    fewer = distil_to_inputs(teacher, K_cross, K_student, Ridge(1e-13))
    kept, norm = np.sum(fewer.components**2), np.sum(teacher.components**2)
    assert kept <= norm * (1 + 1e-6)
    seen = K_cross @ teacher.dual_coef
    np.testing.assert_allclose(kept, np.sum(seen * np.linalg.solve(K_student, seen)), rtol=1e-5)


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


@examples(60)
@given(problems(zeros=True, high=10.0), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_per_sample_steps_are_refits(problem, n_steps, seed):
    K, y, n = problem.K, problem.y, len(problem.y)
    weights = np.random.default_rng(seed).uniform(0.0, 2.0, n)
    weights[0] = 0.0
    share = weights.reshape(-1, *[1] * (y.ndim - 1))
    path = selfdistill_per_sample(K, y, ridge=problem.ridge, n_steps=n_steps, label_weights=weights)
    target = y
    for step in range(n_steps):
        dual = scipy.linalg.solve(K + problem.ridge * np.eye(n), target, assume_a="pos")
        close = {"rtol": 1e-7, "atol": 1e-8 * np.abs(y).max()}
        np.testing.assert_allclose(path.targets[step], target, **close)
        np.testing.assert_allclose(path.fitted[step], K @ dual, **close)
        np.testing.assert_allclose(path.dual_coef[step], dual, rtol=1e-6, atol=1e-7 * np.abs(y).max() / problem.ridge)
        np.testing.assert_allclose(path.predict(problem.K_test)[step], problem.K_test @ dual, rtol=1e-5, atol=1e-5)
        target = share * y + (1 - share) * (K @ dual)


@examples(60)
@given(problems(high=3.0, low=1e-2), st.integers(0, 2**32 - 1), st.booleans())
def test_label_weights_per_point_end_as_sample_weights(problem, seed, weighted):
    """`K (Λ K + ridge·I)⁻¹ Λ y`, points without labels having no part in it."""
    K, y, n, ridge = problem.K, problem.y, len(problem.y), max(problem.ridge, 1.0)
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1.9, n)
    weights[rng.integers(n)] = 0.0
    assume(weights.any())
    sample_weight = rng.uniform(0.5, 2.0, n) if weighted else np.ones(n)
    spectrum = Spectrum.from_gram(K, sample_weight=sample_weight) if weighted else Spectrum.from_gram(K)
    path = selfdistill_per_sample(spectrum, y, ridge=ridge, n_steps=400, label_weights=weights)
    product = np.diag(weights * sample_weight)
    exact = K @ np.linalg.solve(product @ K + ridge * np.eye(n), product @ y)
    np.testing.assert_allclose(path.limit.fitted, exact, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(path.fitted[-1], exact, rtol=1e-5, atol=1e-6)
    other = y.copy()
    other[weights == 0.0] += 5.0
    ignored = selfdistill_per_sample(spectrum, other, ridge=ridge, n_steps=1, label_weights=weights)
    np.testing.assert_allclose(ignored.limit.fitted, exact, rtol=1e-7, atol=1e-8)


@given(problems(), st.floats(0.05, 1.5), st.integers(1, 5))
def test_equal_label_weights_are_plain_self_distillation(problem, label_weight, n_steps):
    setting = {"ridge": problem.ridge, "n_steps": n_steps}
    n = len(problem.y)
    ours = selfdistill_per_sample(problem.K, problem.y, label_weights=np.full(n, label_weight), **setting)
    theirs = selfdistill_closed_form(problem.K, problem.y, label_weight=label_weight, **setting)
    np.testing.assert_allclose(ours.fitted, theirs.fitted, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.dual_coef, theirs.dual_coef, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(ours.limit.fitted, theirs.limit.fitted, rtol=1e-7, atol=1e-8)


K2, Y2 = np.diag([2.0, 1.0]), np.array([1.0, 2.0])
SINGLE = fit_filter(K2, Y2, Ridge(1.0))
TURNS = {"ridge_student": 1.0, "ridge_teacher": 1.0, "label_weight_student": 0.5, "label_weight_teacher": 0.5}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: distil_to_kernel(SINGLE, np.eye(3), Ridge(1)), ValueError, "K_student must have 2 rows, one for each"),
        (lambda: distil_to_kernel(K2, K2, Ridge(1)), TypeError, "teacher must be a SpectralFit, got ndarray"),
        (
            lambda: distil_to_kernel(fit_filter(K2, Y2, [Ridge(1)]), K2, Ridge(1)),
            ValueError,
            r"teacher must be one model, got models of shape \(1,\)",
        ),
        (lambda: distil_to_kernel(SINGLE, K2, "ridge"), TypeError, "student must be a Filter"),
        (
            lambda: distil_to_kernel(SINGLE, K2, Ridge(1), label_weight=np.nan),
            ValueError,
            "label_weight must be finite",
        ),
        (lambda: distil_to_kernel(SINGLE, K2, Ridge(1), label_weight=1e308 * 1.7), OverflowError, "the target of"),
        (lambda: distil_to_inputs(SINGLE, K2, np.eye(3), Ridge(1)), ValueError, "K_student must have 2 rows, as many"),
        (lambda: distil_to_inputs(SINGLE, np.eye(3), K2, Ridge(1)), ValueError, "^K_cross must have 2 columns"),
        (lambda: distil_to_inputs(SINGLE, K2, -K2, Ridge(1)), ValueError, "^K_student must be positive semi-definite"),
        (lambda: distil_to_kernel(SINGLE, [[1.0, np.nan], [0.0, 1.0]], Ridge(1)), ValueError, "^K_student must be fin"),
        (lambda: alternate_distillation(-K2, K2, Y2, **TURNS), ValueError, "^K_student must be positive semi-definite"),
        (lambda: alternate_distillation(K2, -K2, Y2, **TURNS), ValueError, "^K_teacher must be positive semi-definite"),
        (lambda: alternate_distillation(K2, [[1.0, 2.0]], Y2, **TURNS), ValueError, "^K_teacher must be square"),
        (lambda: alternate_distillation(K2, [1.0], Y2, **TURNS), ValueError, "^K_teacher must be 2-dimensional"),
        (
            lambda: alternate_distillation([[1.0, 2.0], [0.0, 1.0]], K2, Y2, **TURNS),
            ValueError,
            "^K_student must be symmetric, got 2.0 at",
        ),
        (
            lambda: alternate_distillation(K2, np.full((2, 2), 1.7e308), Y2, **TURNS),
            OverflowError,
            "the eigenvalue of K_teacher at index 0 is too large",
        ),
        (lambda: alternate_distillation(K2, np.eye(3), Y2, **TURNS), ValueError, "K_teacher must have 2 rows"),
        (
            lambda: alternate_distillation(K2, K2, Y2, **TURNS | {"ridge_teacher": 0.0}),
            ValueError,
            "ridge_teacher must be > 0, got 0.0",
        ),
        (
            lambda: alternate_distillation(K2, K2, Y2, **TURNS | {"label_weight_student": -5.0}),
            ValueError,
            "label_weight_student and label_weight_teacher must keep the rate below 1",
        ),
        (
            lambda: alternate_distillation(Spectrum.from_gram(K2, [1.0, 2.0]), K2, Y2, **TURNS),
            TypeError,
            "K_student must be without sample weights",
        ),
        (
            lambda: alternate_distillation(K2, K2, Y2, **TURNS | {"label_weight_student": 1.0}).objective(
                SINGLE, SINGLE
            ),
            ValueError,
            "label_weight_student must be < 1 for a common objective to exist, got 1.0",
        ),
        (
            lambda: alternate_distillation(K2, K2, Y2, **TURNS).objective(fit_filter([[1.0]], [1.0], Ridge(1)), SINGLE),
            ValueError,
            r"student must have fitted values of shape \(2,\), got \(1,\)",
        ),
        (
            lambda: alternate_distillation(K2, K2, Y2, **TURNS).objective(SINGLE, "teacher"),
            TypeError,
            "teacher must be a SpectralFit, got str",
        ),
        (lambda: per_sample([0.5]), ValueError, r"label_weights must have shape \(2,\)"),
        (lambda: per_sample([0.5, -0.1]), ValueError, "label_weights must be >= 0, got -0.1"),
        (lambda: per_sample([0.5, np.nan]), ValueError, "label_weights must be finite"),
        (lambda: per_sample([0.0, 0.0]).limit, ValueError, "label_weights must hold at least one > 0"),
        (
            lambda: (
                selfdistill_per_sample(
                    Spectrum.from_gram(K2, [0.0, 2.0]), Y2, ridge=1.0, n_steps=1, label_weights=[0.5, 0.0]
                ).limit
            ),
            ValueError,
            "label_weights must hold at least one > 0 at a point of sample weight > 0",
        ),
        (lambda: per_sample([0.0, 2.5]).limit, ValueError, r"label_weights must be < 2.5 \(2 \+ ridge/d_max\)"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_label_weights_per_point_that_diverge_beyond_all_floats_are_an_overflow():
    with pytest.raises(OverflowError, match="the target of step .* at index 0 is too large for float64"):
        selfdistill_per_sample([[2.0, 1.0], [1.0, 2.0]], [1.0, -2.0], ridge=1.0, n_steps=400, label_weights=[50.0, 1.0])


def per_sample(weights):
    return selfdistill_per_sample(K2, Y2, ridge=1.0, n_steps=2, label_weights=weights)
