"""Distillation of networks: who teaches whom, with which weight, at which cost; and what is read from a folder."""

import jax
import numpy as np
import optax
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from kdtheory.label_weights import LabelWeightWarning, estimate_label_weight
from kdtheory.nets import (
    DistillationLoss,
    MultilayerPerceptron,
    Snapshot,
    TrainingPlan,
    distill,
    distillation,
    self_distill,
    train,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 4))
Y = (X[:, 0] + 0.8 * RNG.standard_normal(24) > 0).astype(int)
X_VAL = RNG.standard_normal((16, 4))
Y_VAL = (X_VAL[:, 0] > 0).astype(int)
PLAN = TrainingPlan(n_epochs=8, batch_size=12, optimiser="adam", learning_rate=0.05)
LOSS = DistillationLoss(temperature=2.0)


def network(seed=0, width=8):
    return MultilayerPerceptron(4, 2, width=width, depth=1, key=jax.random.key(seed))


def test_a_student_of_another_architecture_learns_from_an_early_teacher_for_longer():
    longer = TrainingPlan(n_epochs=12, batch_size=12, optimiser="adam", learning_rate=0.05)
    found = distill(
        network(), network(1, width=4), X, Y, plan=longer, teacher_plan=PLAN, teacher_epoch=3, loss=LOSS,
        label_weight=0.2, validation=(X_VAL, Y_VAL),
    )  # fmt: skip
    teacher = train(network(), X, Y, plan=PLAN, loss=LOSS, until=3)
    student = train(network(1, width=4), X, Y, plan=longer, loss=LOSS, teacher=teacher.logits(X), label_weight=0.2)
    assert np.array_equal(found.teacher.logits(X), teacher.logits(X))
    assert np.array_equal(found.student.logits(X), student.logits(X))
    assert (found.teacher.epoch, found.student.epoch, found.n_fits) == (3, 12, 2)
    top = [run.logits(X).argmax(axis=1) for run in found.rounds]
    table = found.table
    assert table["agreement"].tolist() == pytest.approx([np.nan, np.mean(top[0] == top[1])], nan_ok=True)
    assert table["train_accuracy"].tolist() == [np.mean(each == Y) for each in top]
    probabilities = softmax(student.logits(X_VAL), axis=1)
    assert table["val_error"][1] == pytest.approx(np.sum((probabilities - np.eye(2)[Y_VAL]) ** 2) / 16)
    assert table["val_accuracy"][1] == np.mean(probabilities.argmax(axis=1) == Y_VAL)
    assert found.seconds == pytest.approx(sum(run.history["seconds"].sum() for run in found.rounds))


def test_a_trained_teacher_costs_nothing():
    teacher = Snapshot(network())
    found = distill(teacher, network(), X, Y, plan=PLAN, loss=LOSS)
    assert found.teacher is teacher
    assert found.table["n_fits"].tolist() == [0, 1]
    assert found.student.history["loss"][0] == pytest.approx(0.0, abs=1e-12)  # starts as its teacher, and stays so


def test_every_round_learns_from_the_one_before_with_weights_of_its_own():
    weights = [0.5, optax.linear_schedule(1.0, 0.0, 4, 4)]
    found = self_distill(network, X, Y, n_rounds=3, plan=PLAN, loss=LOSS, label_weight=weights)
    run = None
    for i, weight in enumerate([1.0, *weights], start=1):
        plan = TrainingPlan(n_epochs=8, batch_size=12, optimiser="adam", learning_rate=0.05, seed=i - 1)
        run = train(network(i), X, Y, plan=plan, loss=LOSS, teacher=run, label_weight=weight)
        assert np.array_equal(found.rounds[i - 1].logits(X), run.logits(X))
    assert found.label_weights == tuple(weights)
    assert found.table["label_weight"].tolist() == [1.0, 0.5, 0.0]


def test_the_estimated_weight_is_the_best_combination_of_predicted_probabilities(monkeypatch):
    runs = []

    def recorded(*arguments, **how):
        runs.append((how.get("label_weight"), train(*arguments, **how)))
        return runs[-1][1]

    monkeypatch.setattr(distillation, "train", recorded)
    found = self_distill(
        network, X, Y, n_rounds=3, plan=PLAN, loss=LOSS, label_weight="estimated", validation=(X_VAL, Y_VAL)
    )
    assert found.n_fits == len(runs) == 2 * (3 - 1) + 1
    assert [weight for weight, _ in runs] == [None, 0.0, found.label_weights[0], 0.0, found.label_weights[1]]
    first = softmax(runs[0][1].logits(X_VAL), axis=1)
    for i, pure in enumerate((runs[1][1], runs[3][1])):
        student = softmax(pure.logits(X_VAL), axis=1)
        best = minimize_scalar(lambda a, p=student: np.sum((np.eye(2)[Y_VAL] - a * first - (1 - a) * p) ** 2)).x
        assert found.table["estimated_label_weight"][i + 1] == pytest.approx(best, rel=1e-5)
        assert found.label_weights[i] == pytest.approx(np.clip(best, 0.0, 1.0), rel=1e-5)


def test_rounds_in_a_folder_are_not_repeated(tmp_path, monkeypatch):
    def rounds(n_rounds):
        return self_distill(
            network, X, Y, n_rounds=n_rounds, plan=PLAN, loss=LOSS, label_weight="estimated",
            validation=(X_VAL, Y_VAL), folder=tmp_path / "rounds",
        )  # fmt: skip

    whole = rounds(3)
    names = ["round-1", "round-2", "round-2-pure", "round-3", "round-3-pure"]
    assert sorted(path.stem for path in (tmp_path / "rounds").iterdir()) == names
    for name in ("round-3", "round-3-pure"):
        (tmp_path / "rounds" / f"{name}.safetensors").unlink()
    trained = []
    monkeypatch.setattr("kdtheory.nets.training._steps.run_epoch", count_calls(trained))
    again = rounds(3)
    assert len(trained) == 2 * PLAN.n_epochs
    assert again.label_weights == whole.label_weights
    for one, other in zip(whole.rounds, again.rounds, strict=True):
        assert np.array_equal(one.logits(X), other.logits(X))


def count_calls(calls):
    run_epoch = train.__globals__["_steps"].run_epoch
    return lambda *arguments, **how: (calls.append(1), run_epoch(*arguments, **how))[1]


def test_a_distillation_prints_on_one_line():
    found = self_distill(network, X, Y, n_rounds=2, plan=TrainingPlan(n_epochs=1))
    assert repr(found) == (
        "Distillation(n_rounds=2, n_fits=2, teacher=MultilayerPerceptron, student=MultilayerPerceptron,"
        " loss='cross_entropy')"
    )


def test_a_weight_that_makes_no_difference_is_one():
    with pytest.warns(LabelWeightWarning, match="same for every label weight"):
        assert estimate_label_weight([1.0, 2.0], [1.0, 2.0], [0.0, 0.0]) == 1.0


def test_the_best_weight_minimises_the_frobenius_norm():
    first, pure, y_val = RNG.standard_normal((3, 7, 2))
    best = minimize_scalar(lambda a: np.sum((y_val - a * first - (1 - a) * pure) ** 2)).x
    assert estimate_label_weight(first, pure, y_val) == pytest.approx(best, rel=1e-6)
    huge = estimate_label_weight(first * 1e200, pure * 1e200, y_val * 1e200)
    assert huge == pytest.approx(estimate_label_weight(first, pure, y_val), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_rounds": 0}, "n_rounds must be >= 1, got 0"),
        ({"label_weight": 1.5}, "label_weight must be <= 1, got 1.5"),
        ({"label_weight": [0.5]}, "label_weight must hold n_rounds - 1 = 2 weights, got 1"),
        ({"label_weight": "best"}, "label_weight must be numbers, functions or 'estimated', got 'best'"),
        ({"label_weight": "estimated"}, "validation must be given for the label weight 'estimated', got None"),
        ({"validation": (X_VAL, Y_VAL + 1)}, "validation must lie in 0..1, got 2"),
        ({"validation": X_VAL}, "validation must be a pair of points and labels, got ndarray"),
        ({"validation": (X_VAL[:, :3], Y_VAL)}, "model must take points of shape (3,)"),
    ],
)
def test_rounds_that_cannot_be_are_refused_by_name(change, message):
    arguments = {"n_rounds": 3, "plan": PLAN, **change}
    with pytest.raises((TypeError, ValueError)) as error:
        self_distill(network, X, Y, **arguments)
    assert message in str(error.value)


def test_weights_of_later_rounds_are_refused_before_the_first_is_trained(monkeypatch):
    monkeypatch.setattr("kdtheory.nets.training._steps.run_epoch", lambda *_, **__: pytest.fail("trained in vain"))
    weights = [0.5, optax.linear_schedule(0.0, 2.0, 4, 4)]
    with pytest.raises(ValueError, match=r"label_weight must be between 0 and 1, got 1\.5 at step 7"):
        self_distill(network, X, Y, n_rounds=3, plan=PLAN, loss=LOSS, label_weight=weights)


def test_teachers_that_cannot_teach_are_refused_by_name(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="teacher_epoch must be left out for a teacher that is already trained, got 3"):
        distill(Snapshot(network()), network(), X, Y, plan=PLAN, teacher_epoch=3)
    fewer = MultilayerPerceptron(4, 1, width=8, depth=1, key=jax.random.key(0))
    monkeypatch.setattr("kdtheory.nets.training._steps.run_epoch", lambda *_, **__: pytest.fail("trained in vain"))
    for validation in (None, (X_VAL, Y_VAL)):
        for teacher in (fewer, Snapshot(fewer)):
            with pytest.raises(ValueError, match="teacher must have as many logits as the student, 2, got 1"):
                distill(teacher, network(), X, Y, plan=PLAN, validation=validation)
    with pytest.raises(ValueError, match=r"label_weight must be <= 1, got 1\.5"):
        distill(network(), network(), X, Y, plan=PLAN, label_weight=1.5)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        distill(network(), network(), X, Y, plan=PLAN, folder=tmp_path / "file")
