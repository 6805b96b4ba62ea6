"""Hessians of losses against dense ones, central differences, and formulas; and what networks are refused."""

import re
from itertools import combinations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from kdtheory.nets import DistillationLoss, LossHessian, MultilayerPerceptron, RandomFeatures, Snapshot
from kdtheory.nets.models import Frozen, split

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((7, 3))
Y = RNG.integers(0, 3, 7)
TEACHER = RNG.standard_normal((7, 3))


class Tanh(eqx.Module):
    weights: jax.Array
    shift: Frozen
    out: jax.Array
    inside: object = eqx.field(static=True)

    def __init__(self, inside=jnp.tanh):
        self.weights = jnp.asarray(np.random.default_rng(1).standard_normal((4, 3)))
        self.shift = Frozen(jnp.arange(4.0))
        self.out = jnp.asarray(np.random.default_rng(2).standard_normal((3, 4)))
        self.inside = inside

    def __call__(self, x):
        return self.out @ self.inside(self.weights @ x + self.shift.value)


MODEL = Tanh()


def mean_loss(model, loss=None, teacher=None, label_weight=1.0):
    loss = loss or DistillationLoss()
    params, rest = split(model)
    vector, unravel = ravel_pytree(params)
    wanted = np.eye(3)[Y] if teacher is None else teacher

    def value(flat):
        logits = jax.vmap(eqx.combine(unravel(flat), rest))(jnp.asarray(X))
        return jnp.mean(jax.vmap(lambda z, t, w: loss(z, t, w, label_weight))(logits, np.eye(3)[Y], wanted))

    return value, vector


@pytest.fixture(scope="module")
def exact():
    value, vector = mean_loss(MODEL)
    return np.asarray(jax.jit(jax.hessian(value))(vector))


@pytest.fixture(scope="module")
def hessian():
    return LossHessian(MODEL, X, Y)


def test_products_and_the_dense_matrix_are_those_of_the_second_derivatives(hessian, exact):
    assert hessian.shape == (24, 24)
    assert hessian.n_parameters == 24  # frozen arrays are left out
    np.testing.assert_allclose(hessian.dense(), exact, rtol=0, atol=1e-14)
    block = RNG.standard_normal((24, 5))
    np.testing.assert_allclose(hessian @ block, exact @ block, rtol=0, atol=1e-13)
    np.testing.assert_allclose(hessian @ block[:, 0], exact @ block[:, 0], rtol=0, atol=1e-13)
    np.testing.assert_allclose(hessian.T @ block[:, 0], exact @ block[:, 0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("batch_size", [2, 5])
def test_batches_of_any_size_give_the_same_products(hessian, exact, batch_size):
    batched = LossHessian(MODEL, X, Y, batch_size=batch_size)
    assert batched.batch_size == batch_size
    np.testing.assert_allclose(batched.dense(), exact, rtol=0, atol=1e-14)
    assert batched.mean_loss() == pytest.approx(hessian.mean_loss(), rel=1e-14, abs=0)


def test_a_teacher_is_weighed_as_in_training_and_may_be_a_snapshot(exact):
    loss = DistillationLoss(temperature=3.0)
    other = Tanh(jnp.sin)
    logits = Snapshot(other).logits(X)
    value, vector = mean_loss(MODEL, loss, logits, 0.3)
    wanted = np.asarray(jax.jit(jax.hessian(value))(vector))
    for teacher in (logits, Snapshot(other)):
        found = LossHessian(Snapshot(MODEL), X, Y, loss=loss, teacher=teacher, label_weight=0.3)
        np.testing.assert_allclose(found.dense(), wanted, rtol=0, atol=1e-13)
        assert found.mean_loss() == pytest.approx(float(value(vector)), rel=1e-13, abs=0)
    assert np.abs(wanted - exact).max() > 1e-2


def test_products_are_central_differences_of_gradients(hessian):
    value, vector = mean_loss(MODEL)
    gradient = jax.jit(jax.grad(value))
    direction = RNG.standard_normal(24)
    step = 1e-5
    difference = (gradient(vector + step * direction) - gradient(vector - step * direction)) / (2 * step)
    np.testing.assert_allclose(hessian @ direction, difference, rtol=0, atol=1e-8)


def test_the_squared_loss_of_a_linear_model_has_the_second_moments_of_its_features():
    model = RandomFeatures(3, 3, n_features=5, key=KEY)
    model = eqx.tree_at(lambda each: each.weights, model, model.weights.astype(jnp.float64))
    found = LossHessian(model, X, Y, loss=DistillationLoss("squared"), weight_decay=0.5)
    assert found.kinks == ()  # the rectifiers are before all that is trained
    features = np.asarray(jax.vmap(model.features)(jnp.asarray(X)))
    wanted = np.kron(features.T @ features / 7, np.eye(3)) + 0.5 * np.eye(15)
    np.testing.assert_allclose(found.dense(), wanted, rtol=0, atol=1e-7)  # the directions are of single precision
    assert "weight_decay=0.5" in repr(found)


def test_minibatches_are_means_over_some_points(hessian):
    drawn = hessian.minibatch(4, 3)
    assert (drawn.n_points, hessian.n_points) == (4, 7)
    np.testing.assert_array_equal(drawn.dense(), hessian.minibatch(4, 3).dense())
    singles = [LossHessian(MODEL, X[i : i + 1], Y[i : i + 1]).dense() for i in range(7)]
    subsets = [np.mean([singles[i] for i in some], axis=0) for some in combinations(range(7), 4)]
    assert min(np.abs(drawn.dense() - each).max() for each in subsets) < 1e-14
    np.testing.assert_allclose(hessian.minibatch(7, 0).dense(), hessian.dense(), rtol=0, atol=1e-14)


def test_a_network_with_running_statistics_is_taken_in_use():
    class Normalised(eqx.Module):
        weights: jax.Array
        norm: eqx.nn.BatchNorm

        def __init__(self):
            self.weights = jnp.asarray(RNG.standard_normal((3, 3)))
            self.norm = eqx.nn.BatchNorm(3, axis_name="batch", mode="batch", dtype=jnp.float64)

        def __call__(self, x, state):
            return self.norm(self.weights @ x, state)

    model, state = eqx.nn.make_with_state(Normalised)()
    all_points = jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    _, state = all_points(jnp.asarray(X), state)  # running statistics of the points
    whole, some = LossHessian(model, X, Y, state=state), LossHessian(Snapshot(model, state), X, Y, batch_size=2)
    np.testing.assert_allclose(whole.dense(), some.dense(), rtol=0, atol=1e-13)
    assert whole.n_parameters == 15


def test_single_precision_is_kept():
    model = MultilayerPerceptron(3, 3, width=2, depth=1, key=KEY)
    model = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), model)
    found = LossHessian(model, X, Y)
    assert found.dtype == np.float32
    assert (found @ np.ones(17, np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("inside", "kinks"),
    [
        (jax.nn.relu, ("max",)),
        (jnp.abs, ("abs",)),
        (lambda x: jnp.where(x > 0.0, x, 0.1 * x), ("select_n",)),
        (lambda x: x - jnp.max(x), ("reduce_max",)),
        (lambda x: jnp.sort(x), ("sort",)),
        (lambda x: jnp.clip(x, -1.0, 1.0), ("max", "min")),
        (lambda x: jax.lax.cond(x[0] > 0.0, jnp.sin, jnp.cos, x), ("select_n",)),
        (lambda x: jax.lax.scan(lambda c, v: (jnp.maximum(c, v), c), x[0], x)[1], ("max",)),
        (jax.nn.softmax, ()),
        (jax.nn.log_softmax, ()),
        (jax.nn.softplus, ()),
        (jax.nn.gelu, ()),
        (lambda x: jax.lax.scan(lambda c, v: (c * v, c), 1.0, x)[1], ()),
    ],
)
def test_kinks_are_named(inside, kinks):
    found = LossHessian(Tanh(inside), X[:1], Y[:1])
    assert found.kinks == kinks
    assert f"kinks={kinks}" in repr(found)


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        (jnp.sign, "sign"),
        (lambda x: x * jnp.round(x), "round"),
        (jnp.floor, "floor"),
        (lambda x: (x > 0.0).astype(x.dtype), "gt"),
        (lambda x: jnp.where(x > 0.0, 1.0, 0.0), "gt"),
        (lambda x: jax.nn.one_hot(jnp.argmax(x), 4, dtype=x.dtype), "argmax"),
        (lambda x: x.astype(int).astype(x.dtype), "convert_element_type"),
        (lambda x: x + jax.lax.stop_gradient(jnp.sign(x) - x), "sign"),
        (lambda x: x % 1.0, "rem"),
        (lambda x: jax.lax.scan(lambda c, v: (c + jnp.sign(v), c), 0.0, x)[1], "sign"),
    ],
)
def test_networks_that_jump_are_refused(inside, name):
    with pytest.raises(
        ValueError, match=f"model must be twice differentiable, but for bends: '{name}' of what depends"
    ):
        LossHessian(Tanh(inside), X[:1], Y[:1])


def test_what_nothing_is_made_of_does_not_count():
    def unused(x):
        jnp.sign(x)
        return jnp.tanh(x) * jnp.sign(jnp.arange(4.0))

    assert LossHessian(Tanh(unused), X[:1], Y[:1]).kinks == ()


def test_beside_its_kinks_the_hessian_of_a_rectified_network_is_that_of_its_piece():
    model = Tanh(jax.nn.relu)
    inside = np.asarray(model.weights) @ X.T + np.arange(4.0)[:, None]
    assert np.abs(inside).min() > 1e-3
    value, vector = mean_loss(model)
    gradient = jax.jit(jax.grad(value))
    direction, step = RNG.standard_normal(24), 1e-6
    difference = (gradient(vector + step * direction) - gradient(vector - step * direction)) / (2 * step)
    np.testing.assert_allclose(LossHessian(model, X, Y) @ direction, difference, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": Y[:6]}, ValueError, "y"),
        ({"X": X[:6]}, ValueError, "y"),
        ({"teacher": TEACHER[:6]}, ValueError, "teacher must have logits of shape (7, 3)"),
        ({"teacher": TEACHER[:, :2]}, ValueError, "teacher must have logits of shape (7, 3)"),
        ({"teacher": MODEL}, TypeError, "teacher must be logits or a Snapshot"),
        ({"batch_size": 8}, ValueError, "batch_size must be <= 7, the number of points, got 8"),
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
        ({"label_weight": 0.5}, ValueError, "label_weight must be 1 without a teacher, got 0.5"),
        ({"label_weight": lambda step: step}, TypeError, "label_weight must be a number"),
        ({"X": X[:, :2]}, TypeError, "model must take points of shape (2,)"),
        ({"X": np.full((7, 3), np.nan)}, ValueError, "X must be finite"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay must be >= 0, got -1.0"),
        ({"model": 3}, TypeError, "model must be a function of one point, got 3"),
    ],
)
def test_bad_input_is_named(change, error, message):
    given = {"model": MODEL, "X": X, "y": Y, **change}
    with pytest.raises(error, match=re.escape(message)):
        LossHessian(given.pop("model"), given.pop("X"), given.pop("y"), **given)


def test_other_refusals_are_named(hessian):
    with pytest.raises(ValueError, match="size must be <= 7, the number of points, got 8"):
        hessian.minibatch(8, 0)
    with pytest.raises(ValueError, match="max_bytes must be >= 9216 for the dense Hessian of 24 parameters, got 9000"):
        LossHessian(MODEL, X, Y, max_bytes=9000).dense()
    with pytest.raises(ValueError, match="vectors must be finite, got nan"):
        hessian @ np.full(24, np.nan)
    with pytest.raises(TypeError, match="state must be left out with a Snapshot"):
        LossHessian(Snapshot(MODEL), X, Y, state=1)
    steep = Tanh(lambda x: jnp.exp(jnp.exp(x + 6.0)))
    with pytest.raises(FloatingPointError, match="the Hessian must be finite"):
        LossHessian(steep, X, Y) @ np.ones(24)
