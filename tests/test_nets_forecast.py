"""Forecasts of networks: exact where a network is linear in its weights, and what wide networks tend to."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from kdtheory import GradientDescent, greedy_label_weights, selfdistill_closed_form
from kdtheory.label_weights import LabelWeightWarning
from kdtheory.nets import (
    DistillationLoss,
    MultilayerPerceptron,
    RandomFeatures,
    Snapshot,
    TrainingPlan,
    distill,
    forecast,
    self_distill,
    train,
)
from kdtheory.nets._linearised import planned_modes
from kdtheory.nets.models import Frozen

RNG = np.random.default_rng(2)
N, M = 7, 5
X, X_VAL = RNG.standard_normal((N, 3)), RNG.standard_normal((M, 3))
Y = np.stack([np.sin(X[:, 0]) + 0.5 * RNG.standard_normal(N), X[:, 1]], axis=1)
Y_VAL = np.stack([np.sin(X_VAL[:, 0]), X_VAL[:, 1]], axis=1)
SQUARED = DistillationLoss("squared")


class Linear(eqx.Module):
    """Linear in its weights, which all outputs share; and with an offset that no weights make."""

    weights: jax.Array
    mixture: Frozen

    def __init__(self):
        self.weights = jnp.asarray(np.linspace(-0.5, 0.9, 9))
        self.mixture = Frozen(jnp.asarray(0.5 * np.random.default_rng(3).standard_normal((3, 2, 9))))

    def __call__(self, x):
        return jnp.cos(x[:2]) + jnp.einsum("i,ikp,p->k", jnp.tanh(x), self.mixture.value, self.weights)


PLANS = {
    "plain": TrainingPlan(n_epochs=12, learning_rate=0.5),
    "Nesterov": TrainingPlan(n_epochs=12, learning_rate=0.2, momentum=0.8),
    "everything": TrainingPlan(
        n_epochs=12, learning_rate=0.3, momentum=0.5, weight_decay=0.2, schedule="cosine", warm_up_epochs=3
    ),
    "heavy ball": TrainingPlan(n_epochs=9, learning_rate=0.3, momentum=0.6, weight_decay=0.2, nesterov=False),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("label_weight", [[0.3, 0.8], "estimated"])
def test_what_is_linear_in_its_weights_comes_out_as_forecast(plan, label_weight):
    settings = {"plan": plan, "n_rounds": 3, "label_weight": label_weight, "validation": (X_VAL, Y_VAL)}
    expected = forecast(Linear(), X, Y, **settings)
    trained = self_distill(lambda _: Linear(), X, Y, loss=SQUARED, **settings)
    for i, run in enumerate(trained.rounds):
        assert run.logits(X) == pytest.approx(expected.train_predictions[i], rel=1e-10, abs=1e-11)
        assert run.logits(X_VAL) == pytest.approx(expected.val_predictions[i], rel=1e-10, abs=1e-11)
    assert expected.label_weights == pytest.approx(trained.label_weights, rel=1e-8)
    assert expected.table["val_error"].tolist() == pytest.approx(trained.table["val_error"].tolist(), rel=1e-9)
    if label_weight == "estimated":
        best = trained.table["estimated_label_weight"]
        assert expected.table["best_label_weight"].tolist() == pytest.approx(best.tolist(), rel=1e-8, nan_ok=True)
    found = expected.compare(trained)
    assert found["val_distance"].max() < 1e-10
    assert found["train_distance"].max() < 1e-10
    assert found["train_match"].tolist() == found["val_match"].tolist() == [1.0, 1.0, 1.0]
    assert found["gain_sign_right"].isna().tolist() == [True, False, False]
    assert found["gain_sign_right"][1:].all()
    for name in ("label_weight", "train_error", "val_error", "val_accuracy", "gain", "gain_standard_error"):
        one, other = (found[f"{name}_{kind}"].tolist() for kind in ("forecast", "trained"))
        assert one == pytest.approx(other, rel=1e-7, abs=1e-13, nan_ok=True)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, True), (0.7, True), (0.7, False)])
def test_steps_are_those_of_gradient_descent_on_the_linearised_network(momentum, nesterov):
    """A slow loop over the weights, with derivatives where a trained network has them."""
    begin = MultilayerPerceptron(3, 2, width=6, key=jax.random.key(1))
    plan = TrainingPlan(n_epochs=7, learning_rate=0.1, momentum=momentum, nesterov=nesterov, weight_decay=0.4)
    run = train(begin, X, Y, plan=PLANS["plain"], loss=SQUARED)
    expected = forecast(begin, X, Y, plan=plan, tangent=run, n_rounds=2, label_weight=0.25, validation=(X_VAL, Y_VAL))
    flat, rebuild = ravel_pytree(begin)
    start, there = np.asarray(flat), ravel_pytree(run.model)[0]
    everywhere = np.concatenate([X, X_VAL])

    def outputs(weights):
        return jax.vmap(rebuild(weights))(everywhere)

    first, derivative = np.asarray(outputs(flat)), np.asarray(jax.jacrev(outputs)(there))
    targets = Y
    for i in range(2):
        weights, velocity = start, 0.0
        for _ in range(7):
            errors = (first + derivative @ (weights - start))[:N] - targets
            gradient = np.einsum("nkp,nk->p", derivative[:N], errors) / N + 0.4 * weights
            velocity = gradient + momentum * velocity
            weights = weights - 0.1 * (gradient + momentum * velocity if nesterov else velocity)
        found = np.asarray(first + derivative @ (weights - start))
        assert expected.train_predictions[i] == pytest.approx(found[:N], rel=1e-9, abs=1e-10)
        assert expected.val_predictions[i] == pytest.approx(found[N:], rel=1e-9, abs=1e-10)
        targets = 0.25 * Y + 0.75 * found[:N]


def test_a_trained_network_is_where_training_begins_again():
    begin = MultilayerPerceptron(3, 2, width=6, key=jax.random.key(1))
    run = train(begin, X, Y, plan=PLANS["plain"], loss=SQUARED)
    again, other = (forecast(each, X, Y, plan=PLANS["plain"], label_weight=0.5) for each in (run, run.model))
    assert np.array_equal(again.train_predictions, other.train_predictions)
    moved = forecast(run, X, Y, plan=TrainingPlan(n_epochs=1, learning_rate=1e-9), n_rounds=1, label_weight=0.5)
    assert moved.train_predictions[0] == pytest.approx(run.logits(X), rel=1e-7)
    assert moved.label_weights == ()


def test_forecasts_of_small_batches_are_means_over_batches_drawn_independently():
    plan = TrainingPlan(n_epochs=1, batch_size=1, learning_rate=0.3, momentum=0.5, weight_decay=0.1)
    expected = forecast(Linear(), X[:3], Y[:3], plan=plan, n_rounds=1, label_weight=0.5, validation=(X_VAL, Y_VAL))
    network = Linear()
    offset, start = np.cos(X[:3, :2]), np.asarray(network.weights)
    derivative = np.einsum("ni,ikp->nkp", np.tanh(X[:3]), np.asarray(network.mixture.value))
    ends = []
    for order in itertools.product(range(3), repeat=3):
        weights, velocity = start, 0.0
        for i in order:
            gradient = derivative[i].T @ (offset[i] + derivative[i] @ weights - Y[i]) + 0.1 * weights
            velocity = gradient + 0.5 * velocity
            weights = weights - 0.3 * (gradient + 0.5 * velocity)
        ends.append(offset + derivative @ weights)
    assert expected.train_predictions[0] == pytest.approx(np.mean(ends, axis=0), rel=1e-10)


FEATURES = RandomFeatures(3, 2, n_features=40, key=jax.random.key(0))


def features(points):
    return np.maximum(points @ np.asarray(FEATURES.directions.value), 0.0) / np.sqrt(40)


K, K_VAL = features(X) @ features(X).T, features(X_VAL) @ features(X).T


@pytest.mark.parametrize("joint", [True, False])
def test_long_training_with_weight_decay_is_self_distilled_kernel_ridge_regression(joint):
    plan = TrainingPlan(n_epochs=400, learning_rate=N / (np.linalg.eigvalsh(K)[-1] + 0.3), weight_decay=0.3 / N)
    found = forecast(FEATURES, X, Y, plan=plan, n_rounds=4, validation=(X_VAL, 0.3 * Y_VAL), joint=joint)
    best = greedy_label_weights(K, Y, ridge=0.3, n_steps=4, K_val=K_VAL, y_val=0.3 * Y_VAL, unit_interval=True)
    assert found.label_weights == pytest.approx(best.tolist(), rel=1e-9)
    path = selfdistill_closed_form(K, Y, ridge=0.3, n_steps=4, label_weight=best)
    assert found.train_predictions == pytest.approx(path.fitted, rel=1e-10, abs=1e-12)
    assert found.val_predictions == pytest.approx(path.predict(K_VAL), rel=1e-10, abs=1e-12)


def test_points_may_be_images():
    settings = {"plan": PLANS["heavy ball"], "label_weight": 0.5}
    flat = forecast(FEATURES, X, Y, validation=(X_VAL, Y_VAL), **settings)
    images = forecast(FEATURES, X[:, None, :, None], Y, validation=(X_VAL[:, None, :, None], Y_VAL), **settings)
    assert images.val_predictions == pytest.approx(flat.val_predictions, rel=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_modes_are_those_of_the_filter_of_gradient_descent(weight_decay):
    d = np.array([3.0, 1.0, 1e-3, 1e-12, 0.0])
    for momentum in (0.0, 0.6):
        plan = TrainingPlan(
            n_epochs=50, learning_rate=0.9, momentum=momentum, nesterov=False, weight_decay=weight_decay
        )
        exact = GradientDescent(0.9 / 4, 50, momentum=momentum, weight_decay=4 * weight_decay).modes(d)
        for one, other in zip(planned_modes(d, plan, 4).wanted, exact, strict=True):
            assert one == pytest.approx(other, rel=1e-11, abs=1e-14)


def test_wide_networks_come_out_as_forecast():
    """The tangent kernel grows with the width, since weights are not scaled outside: so rates are for each width."""
    distances = []
    for width in (32, 1024):
        plan = TrainingPlan(n_epochs=150, learning_rate=1.0 / width, momentum=0.5)
        network = MultilayerPerceptron(3, 2, width=width, depth=1, key=jax.random.key(5))
        settings = {"plan": plan, "n_rounds": 3, "label_weight": 0.4, "validation": (X_VAL, Y_VAL)}
        trained = self_distill(lambda _, network=network: network, X, Y, loss=SQUARED, **settings)
        found = forecast(network, X, Y, **settings).compare(trained)
        distances.append(found["val_distance"].to_numpy())
    assert (distances[1] < 0.1 * distances[0]).all()
    assert (distances[1] < 0.005).all()


def test_the_best_label_weight_keeps_its_digits_where_the_teacher_misses_next_to_nothing():
    point, far = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0]])
    network = RandomFeatures(3, 1, n_features=40, key=jax.random.key(0))
    d, cross = float((features(point) @ features(point).T).item()), features(far) @ features(point)[0]
    plan = TrainingPlan(n_epochs=60, learning_rate=0.75 / d)
    found = forecast(network, point, [[2.0]], plan=plan, label_weight=0.5, validation=(far, [[1.0], [3.0]]))
    first = 2.0 * cross / d
    change = first * 0.25**60
    best = 1.0 + np.sum(change * (np.array([1.0, 3.0]) - first)) / np.sum(change**2)
    assert found.table["best_label_weight"][1] == pytest.approx(best, rel=1e-9)
    assert abs(best) > 1e30


def test_the_table_measures_errors_gains_and_agreement():
    network = RandomFeatures(3, 1, n_features=40, key=jax.random.key(0))
    many = np.random.default_rng(4).standard_normal((80, 3))
    y, y_val = np.sign(Y[:, :1]), np.sign(np.sin(many[:, :1]))
    plan = TrainingPlan(n_epochs=5, learning_rate=0.5)
    found = forecast(network, X, y, plan=plan, n_rounds=3, label_weight=[0.0, 0.6], validation=(many, y_val))
    table, outputs = found.table, found.val_predictions[..., 0]
    errors = (outputs - y_val[:, 0]) ** 2
    gains = errors[:-1] - errors[1:]
    assert table["round"].tolist() == [1, 2, 3]
    assert table["label_weight"].tolist() == [1.0, 0.0, 0.6]
    assert table["val_error"].tolist() == pytest.approx(errors.mean(axis=1))
    assert table["gain"].tolist()[1:] == pytest.approx(gains.mean(axis=1))
    assert table["gain_standard_error"].tolist()[1:] == pytest.approx(gains.std(axis=1, ddof=1) / np.sqrt(80))
    assert table["val_accuracy"].tolist() == pytest.approx(np.mean(np.sign(outputs) == y_val[:, 0], axis=1))
    same = np.mean(np.sign(outputs[1:]) == np.sign(outputs[:-1]), axis=1)
    assert table["val_agreement"].tolist()[1:] == pytest.approx(same)
    assert np.mean((found.train_predictions[1] - y) ** 2) == pytest.approx(table["train_error"][1])
    other = forecast(network, X, Y[:, :1], plan=plan, label_weight=0.5)
    assert other.table.columns.tolist() == ["round", "label_weight", "train_error", "train_agreement"]
    assert other.val_predictions is None


def test_networks_that_were_trained_otherwise_are_compared_with_the_forecast():
    network = MultilayerPerceptron(3, 2, width=8, depth=1, key=jax.random.key(0))
    classes, classes_val = np.arange(N) % 2, np.arange(M) % 2
    plan = TrainingPlan(n_epochs=9, learning_rate=0.1)
    expected = forecast(network, X, classes, plan=plan, label_weight=0.5, validation=(X_VAL, classes_val))
    trained = distill(network, network, X, classes, plan=plan, label_weight=0.2, validation=(X_VAL, classes_val))
    found = expected.compare(trained)
    outputs = np.stack([np.asarray(jax.nn.softmax(run.logits(X_VAL))) for run in trained.rounds])
    assert found["val_error_trained"].tolist() == pytest.approx(trained.table["val_error"].tolist())
    assert found["val_error_forecast"].tolist() == expected.table["val_error"].tolist()
    assert found["val_accuracy_trained"].tolist() == trained.table["val_accuracy"].tolist()
    assert found["train_agreement_trained"][1] == trained.table["agreement"][1]
    assert found["label_weight_forecast"].tolist() == [1.0, 0.5]
    assert found["label_weight_trained"].tolist() == [1.0, 0.2]
    distance = np.linalg.norm((outputs - expected.val_predictions)[1]) / np.linalg.norm(outputs[1])
    assert found["val_distance"][1] == pytest.approx(distance)
    same = outputs.argmax(axis=2) == expected.val_predictions.argmax(axis=2)
    assert found["val_match"].tolist() == same.mean(axis=1).tolist()
    gains = -np.diff(found["val_error_trained"]), -np.diff(found["val_error_forecast"])
    right = bool(np.prod(gains) > 0.0)
    assert found["gain_sign_right"][1] == right


def test_a_weight_that_makes_no_difference_is_one():
    plan = TrainingPlan(n_epochs=3, learning_rate=0.5)
    with pytest.warns(LabelWeightWarning, match="same for every label weight"):
        found = forecast(FEATURES, X, 0.0 * Y, plan=plan, validation=(X_VAL, Y_VAL))
    assert found.label_weights == (1.0,)
    assert found.table["gain"][1] == 0.0


PLAN = TrainingPlan(n_epochs=3, learning_rate=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_rounds": 0}, "n_rounds must be >= 1, got 0"),
        ({"label_weight": 1.5}, "label_weight must be <= 1, got 1.5"),
        ({"label_weight": [0.5, 0.5]}, "label_weight must hold n_rounds - 1 = 1 weights, got 2"),
        ({"label_weight": "best"}, "label_weight must be numbers or 'estimated', got 'best'"),
        ({"label_weight": optax.constant_schedule(0.5)}, "label_weight must be a real number, got <function"),
        ({"validation": None}, "validation must be given for the label weight 'estimated', got None"),
        ({"validation": (X_VAL[:1], Y_VAL[:1])}, "validation must hold at least 2 points, for standard errors, got 1"),
        ({"validation": X_VAL}, "validation must be a pair of points and labels, got ndarray"),
        ({"validation": (X_VAL,)}, "validation must be a pair of points and labels, got tuple"),
        ({"validation": (X_VAL, Y)}, "validation must have shape (5,) or (5, 2)"),
        ({"X": np.where(X[1, 1] == X, np.nan, X)}, "X must be finite, got nan at index (1, 1)"),
        ({"y": Y[:, :1]}, "y must have shape (7,) or (7, 2)"),
        ({"y": np.arange(N)}, "y must lie in 0..1, got 2"),
        ({"model": "network"}, "model must be a function of one point, got 'network'"),
        ({"model": Snapshot(FEATURES, state={})}, "model must have no state"),
        ({"tangent": Snapshot(FEATURES, state={})}, "tangent must have no state"),
        ({"model": MultilayerPerceptron(4, 2, width=2, key=jax.random.key(0))}, "model must take points of shape (3,)"),
        ({"tangent": Linear()}, "tangent must have the architecture of the model, got a Linear with other trainable"),
        ({"tangent": "start"}, "tangent must be a function of one point, got 'start'"),
        ({"joint": "yes"}, "joint must be True or False, got 'yes'"),
        ({"max_bytes": 0}, "max_bytes must be >= 1, got 0"),
        ({"plan": TrainingPlan(n_epochs=3, optimiser="adam")}, "plan must have the optimiser 'sgd'"),
        ({"plan": TrainingPlan(n_epochs=3, clip_norm=1.0)}, "plan must leave out clip_norm, of which no closed form"),
        ({"plan": TrainingPlan(n_epochs=3, augment=lambda _, x: x)}, "plan must leave out augment"),
        ({"plan": TrainingPlan(n_epochs=10**4, learning_rate=99.0)}, "plan must have a learning_rate < "),
    ],
)
def test_what_cannot_be_forecast_is_refused_by_name(change, message):
    arguments = {"model": FEATURES, "X": X, "y": Y, "plan": PLAN, "validation": (X_VAL, Y_VAL), **change}
    with pytest.raises((TypeError, ValueError)) as error:
        forecast(**arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("momentum", [0.0, 0.5, -0.4])
@pytest.mark.parametrize("nesterov", [True, False])
def test_the_learning_rate_that_is_named_is_the_edge_of_stability(momentum, nesterov):
    def modes(learning_rate):
        plan = TrainingPlan(
            n_epochs=2000, learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=0.01
        )
        return planned_modes(np.array([3.0, 0.5, 0.0]), plan, 4)

    with pytest.raises(ValueError, match="learning_rate < ") as error:
        modes(99.0)
    edge = float(str(error.value).partition("learning_rate < ")[2].partition(" ")[0])
    assert np.isfinite(modes(0.99 * edge).wanted.residual).all()
    with pytest.raises(ValueError, match="learning_rate < "):
        modes(1.01 * edge)


def test_distillations_that_cannot_be_compared_are_refused_by_name():
    found = forecast(FEATURES, X, Y, plan=PLAN, label_weight=0.5)
    with pytest.raises(TypeError, match="distillation must be a Distillation, got list"):
        found.compare([])
    three = self_distill(lambda _: FEATURES, X, Y, n_rounds=3, plan=PLAN, loss=SQUARED)
    with pytest.raises(ValueError, match="distillation must have 2 rounds, those of the forecast, got 3"):
        found.compare(three)
    narrow = RandomFeatures(3, 1, n_features=4, key=jax.random.key(0))
    one = self_distill(lambda _: narrow, X, Y[:, :1], n_rounds=2, plan=PLAN, loss=SQUARED)
    with pytest.raises(ValueError, match="distillation must be of networks of 2 outputs, got one of 1"):
        found.compare(one)
