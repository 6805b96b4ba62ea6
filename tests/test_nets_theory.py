"""Where theory is exact, networks must be what it says: a model that is linear in its weights is a filter.

Full batches with the mean of `½‖f − y‖²`, learning rate η and weight decay μ are gradient descent on the sum with
learning rate η/n and weight decay n·μ, in the units of `kdtheory.filters`.
"""

import jax
import numpy as np
import pytest

from kdtheory import Distilled, GradientDescent, GradientFlow, Spectrum, greedy_label_weights, selfdistill_closed_form
from kdtheory.nets import DistillationLoss, RandomFeatures, TrainingPlan, self_distill, train

RNG = np.random.default_rng(1)
N = 9
X, X_VAL = RNG.standard_normal((N, 6)), RNG.standard_normal((5, 6))
Y = np.stack([np.sin(X[:, 0]) + 0.5 * RNG.standard_normal(N), X[:, 1]], axis=1)
Y_VAL = np.stack([np.sin(X_VAL[:, 0]), X_VAL[:, 1]], axis=1)
MODEL = RandomFeatures(6, 2, n_features=60, key=jax.random.key(0))
SQUARED = DistillationLoss("squared")


def features(points):
    return np.maximum(points @ np.asarray(MODEL.directions.value), 0.0) / np.sqrt(60)


K, K_VAL = features(X) @ features(X).T, features(X_VAL) @ features(X).T
RATE = 1.0 / np.linalg.eigvalsh(K)[-1]


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize("label_weight", [0.0, 0.4])
def test_teacher_and_student_are_the_composed_filters_of_gradient_descent(weight_decay, label_weight):
    teacher_plan, student_plan = (
        TrainingPlan(n_epochs=n_epochs, learning_rate=N * RATE, weight_decay=weight_decay) for n_epochs in (30, 12)
    )
    teacher = train(MODEL, X, Y, plan=teacher_plan, loss=SQUARED)
    student = train(MODEL, X, Y, plan=student_plan, loss=SQUARED, teacher=teacher, label_weight=label_weight)
    first, second = (GradientDescent(RATE, n, weight_decay=N * weight_decay) for n in (30, 12))
    spectrum = Spectrum.from_gram(K)
    for run, filter_ in ((teacher, first), (student, Distilled(first, second, label_weight))):
        basis, dual = spectrum.eigenvectors, filter_(spectrum.eigenvalues)
        coefficients = basis @ (dual[:, None] * (basis.T @ Y))
        assert run.logits(X) == pytest.approx(K @ coefficients, rel=1e-9, abs=1e-11)
        assert run.logits(X_VAL) == pytest.approx(K_VAL @ coefficients, rel=1e-9, abs=1e-11)


def test_shorter_steps_tend_to_gradient_flow_in_proportion():
    time = 20 * RATE
    spectrum = Spectrum.from_gram(K)
    basis, dual = spectrum.eigenvectors, GradientFlow(time)(spectrum.eigenvalues)
    flow = K @ basis @ (dual[:, None] * (basis.T @ Y))
    errors = []
    for n_epochs in (100, 200):
        plan = TrainingPlan(n_epochs=n_epochs, learning_rate=N * time / n_epochs)
        errors.append(np.abs(train(MODEL, X, Y, plan=plan, loss=SQUARED).logits(X) - flow).max())
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


RIDGE = 0.3
CONVERGED = TrainingPlan(n_epochs=250, learning_rate=N / (1 / RATE + RIDGE), weight_decay=RIDGE / N)


def test_converged_rounds_are_self_distilled_kernel_ridge_regression():
    weights = [0.7, 0.2]
    found = self_distill(
        lambda _: MODEL, X, Y, n_rounds=3, plan=CONVERGED, loss=SQUARED, label_weight=weights, validation=(X_VAL, Y_VAL)
    )
    exact = selfdistill_closed_form(K, Y, ridge=RIDGE, n_steps=3, label_weight=weights).predict(K_VAL)
    for run, predicted in zip(found.rounds, exact, strict=True):
        assert run.logits(X_VAL) == pytest.approx(predicted, rel=1e-8, abs=1e-9)
    errors = np.sum((exact - Y_VAL) ** 2, axis=2).mean(axis=1)
    assert found.table["val_error"].tolist() == pytest.approx(errors.tolist(), rel=1e-7)
    assert (found.n_fits, found.table["n_fits"].tolist()) == (3, [1, 1, 1])


@pytest.mark.parametrize("scale", [0.35, 3.0])
def test_estimated_label_weights_are_those_of_algorithm_1(scale):
    """The first target is the ground truth, and a weight outside [0, 1] is clipped (footnote 9)."""
    y_val = scale * Y_VAL
    found = self_distill(
        lambda _: MODEL, X, Y, n_rounds=3, plan=CONVERGED, loss=SQUARED, label_weight="estimated",
        validation=(X_VAL, y_val),
    )  # fmt: skip
    exact = greedy_label_weights(K, Y, ridge=RIDGE, n_steps=3, K_val=K_VAL, y_val=y_val, unit_interval=True)
    assert found.label_weights == pytest.approx(exact.tolist(), rel=1e-7)
    assert (found.n_fits, found.table["n_fits"].tolist()) == (5, [1, 2, 2])
    path = selfdistill_closed_form(K, Y, ridge=RIDGE, n_steps=3, label_weight=exact)
    assert found.student.logits(X_VAL) == pytest.approx(path.predict(K_VAL)[2], rel=1e-7, abs=1e-8)
    unclipped = found.table["estimated_label_weight"]
    assert unclipped.iloc[1:].clip(0, 1).tolist() == pytest.approx(list(found.label_weights), rel=1e-12)
    first = greedy_label_weights(K, Y, ridge=RIDGE, n_steps=2, K_val=K_VAL, y_val=y_val)
    assert unclipped.iloc[1] == pytest.approx(float(first[0]), rel=1e-7)
