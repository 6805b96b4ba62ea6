"""Teachers and students that differ: other kernels, other inputs, and label weights per point."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    Distilled,
    GradientFlow,
    Ridge,
    Spectrum,
    alternate_distillation,
    distil_to_inputs,
    distil_to_kernel,
    fit_filter,
    selfdistill_closed_form,
    selfdistill_per_sample,
)
from tests.oracles import integrate_flow
from tests.strategies import examples, log_uniform, problems, real_weights


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
