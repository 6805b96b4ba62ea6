"""Networks against plain references: forward passes, sizes that are known, and what is trained of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from kdtheory.nets import (
    ConvolutionalNetwork,
    EmpiricalNTK,
    LeNet5,
    MultilayerPerceptron,
    RandomFeatures,
    ResNet,
    TrainingPlan,
    functional,
    train,
)
from kdtheory.nets.residual import _Block, _normalisation

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((4, 12, 12, 2))
LABELS = RNG.integers(0, 3, 4)


def relu(x):
    return np.maximum(x, 0.0)


def pooled(x):
    channels, height, width = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4))


def convolved(layer, x, padding):
    weights, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    x = np.pad(x, ((0, 0), *padding))
    return np.stack([correlate(x, filt, mode="valid", method="direct")[0] for filt in weights]) + bias


def n_trained(make):
    shapes = eqx.filter_eval_shape(make, key=KEY)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def make_network(name):
    if name == "mlp":
        return MultilayerPerceptron(288, 3, width=8, key=KEY), None
    if name == "features":
        return RandomFeatures(288, 3, n_features=20, key=KEY), None
    if name == "cnn":
        return ConvolutionalNetwork((12, 12, 2), 3, width=4, depth=2, key=KEY), None
    if name == "lenet":
        return LeNet5((12, 12, 2), 3, key=KEY), None
    if name == "batch":
        return eqx.nn.make_with_state(ResNet)(3, depth=8, channels=2, normalisation="batch", key=KEY)
    return ResNet(3, depth=8, channels=2, normalisation=name, key=KEY), None


@pytest.mark.parametrize("name", ["mlp", "features", "cnn", "lenet"])
def test_every_network_learns_its_points_and_predicts_each_for_itself(name):
    model, state = make_network(name)
    assert_learns(model, state)


def assert_learns(model, state):
    run = train(model, IMAGES, LABELS, plan=TrainingPlan(n_epochs=6, learning_rate=0.02, momentum=0.9), state=state)
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]
    logits, of_first = run.logits(IMAGES), run.logits(np.stack([IMAGES[0]] * 4))
    assert logits.shape == (4, 3)
    assert of_first == pytest.approx(np.stack([logits[0]] * 4), rel=1e-6, abs=1e-6)
    return run


def test_a_multilayer_perceptron_is_what_numpy_computes():
    model = MultilayerPerceptron(4, 2, width=5, depth=2, key=KEY)
    x = RNG.standard_normal((2, 2))
    value = x.reshape(-1)
    for i, layer in enumerate(model.layers):
        value = np.asarray(layer.weight) @ value + np.asarray(layer.bias)
        value = value if i == 2 else relu(value)
    assert np.asarray(model(jnp.asarray(x))) == pytest.approx(value, rel=1e-12)
    assert [each.shape for each in model.hidden(jnp.asarray(x))] == [(4,), (5,), (5,), (2,)]


def test_a_convolutional_network_is_what_scipy_computes():
    model = ConvolutionalNetwork((9, 8), 3, width=2, depth=2, kernel_size=6, key=KEY)
    x = RNG.standard_normal((9, 8))
    value = x[None]
    for layer in model.filters:  # an even filter reaches one pixel further after than before
        value = pooled(relu(convolved(layer, value, ((2, 3), (2, 3)))))
    expected = np.asarray(model.read_out.weight) @ value.reshape(-1)
    assert np.asarray(model(jnp.asarray(x))) == pytest.approx(expected, rel=1e-10)


def test_lenet_is_what_scipy_computes():
    model = LeNet5((12, 13, 2), 3, key=KEY)
    x = RNG.standard_normal((12, 13, 2))
    value = pooled(relu(convolved(model.filters[0], np.moveaxis(x, -1, 0), ((2, 2), (2, 2)))))
    value = pooled(relu(convolved(model.filters[1], value, ((0, 0), (0, 0))))).reshape(-1)
    for i, layer in enumerate(model.dense):
        value = np.asarray(layer.weight) @ value
        value = value if i == 2 else relu(value)
    assert np.asarray(model(jnp.asarray(x))) == pytest.approx(value, rel=1e-10)


def test_networks_have_as_many_weights_as_published():
    assert n_trained(lambda key: LeNet5((28, 28), 10, key=key)) == 61_706
    for depth, count in ((20, 269_722), (56, 853_018)):
        assert n_trained(lambda key, depth=depth: ResNet(10, depth=depth, normalisation="layer", key=key)) == count


def test_weights_have_the_variance_that_keeps_rectified_activations():
    model = MultilayerPerceptron(300, 200, width=400, depth=1, key=KEY)
    for layer, gain, fan_in in ((model.layers[0], 2.0, 300), (model.layers[1], 1.0, 400)):
        assert float(jnp.var(layer.weight)) == pytest.approx(gain / fan_in, rel=0.03)
        assert abs(float(jnp.mean(layer.weight))) < 4 * np.sqrt(gain / fan_in / layer.weight.size)
    two = [MultilayerPerceptron(3, 2, width=4, key=jax.random.key(seed)).layers[0].weight for seed in (0, 1)]
    assert not np.allclose(*two)


def test_training_leaves_the_directions_of_random_features_as_they_are():
    model = RandomFeatures(288, 3, n_features=20, key=KEY)
    plan = TrainingPlan(n_epochs=3, learning_rate=0.1, weight_decay=0.5)
    run = train(model, IMAGES, LABELS, plan=plan)
    assert np.array_equal(run.model.directions.value, model.directions.value)
    assert not np.array_equal(run.model.weights, model.weights)


def test_the_tangent_kernel_of_random_features_is_the_product_of_features():
    model = RandomFeatures(5, 1, n_features=30, key=KEY)
    X = RNG.standard_normal((4, 5))
    features = relu(X @ np.asarray(model.directions.value)) / np.sqrt(30)
    f, params = functional(model)
    assert EmpiricalNTK(f, params).gram(X) == pytest.approx(features @ features.T, rel=1e-10)


def test_a_shortcut_skips_pixels_and_pads_channels_on_both_sides():
    block = _Block(16, 32, "layer", key=KEY)
    block = eqx.tree_at(lambda each: each.filters[1].weight, block, replace_fn=jnp.zeros_like)
    x = RNG.standard_normal((16, 6, 6))
    value = np.asarray(jax.jit(lambda x: block(x, None)[0])(x))
    assert np.array_equal(value[8:24], x[:, ::2, ::2])
    assert not np.any(value[:8])
    assert not np.any(value[24:])


@pytest.mark.parametrize("size", [6, 7])
def test_a_filter_that_skips_pixels_is_around_those_that_its_shortcut_keeps(size):
    filter_ = _Block(16, 32, "layer", key=KEY).filters[0]
    middle = jnp.zeros((32, 16, 3, 3)).at[:16, :, 1, 1].set(jnp.eye(16))
    filter_ = eqx.tree_at(lambda each: each.weight, filter_, middle)
    x = RNG.standard_normal((16, size, size))
    assert np.array_equal(np.asarray(filter_(jnp.asarray(x)))[:16], x[:, ::2, ::2])


def test_groups_of_channels_are_normalised_each_for_itself():
    x = RNG.standard_normal((64, 3, 3))
    for normalisation, groups in (("layer", 1), ("group", 4)):
        layer = _normalisation(normalisation, 64)
        value = np.asarray(jax.jit(lambda x, layer=layer: layer(x))(x)).reshape(groups, -1)
        assert value.mean(axis=1) == pytest.approx(np.zeros(groups), abs=1e-6)
        assert value.std(axis=1) == pytest.approx(np.ones(groups), rel=1e-4)


def test_normalisation_over_a_batch_keeps_running_statistics_in_its_state():
    model, state = make_network("batch")
    run = assert_learns(model, state)
    mean, variance = run.state.get(run.model.blocks[0].norms[0].batch_state_index)[:2]
    first = np.asarray(jax.vmap(lambda x: run.model.first(jnp.moveaxis(x, -1, 0)))(jnp.asarray(IMAGES)))
    # Six batches of the same points, with filters that hardly moved.
    kept = 0.9**6
    assert np.asarray(mean) == pytest.approx((1 - kept) * first.mean(axis=(0, 2, 3)), abs=0.05)
    assert np.asarray(variance) == pytest.approx((1 - kept) * first.var(axis=(0, 2, 3)) + kept, rel=0.3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultilayerPerceptron(2, 2, width=0, key=KEY), "width must be >= 1, got 0"),
        (lambda: MultilayerPerceptron(2, 0, width=1, key=KEY), "n_outputs must be >= 1, got 0"),
        (lambda: ConvolutionalNetwork((4, 8), 2, depth=3, key=KEY), "depth must leave a pixel of 4 x 8"),
        (lambda: ConvolutionalNetwork((8,), 2, key=KEY), "shape must be (h, w) or (h, w, c), got (8,)"),
        (lambda: LeNet5((11, 28), key=KEY), "shape must have at least 12 x 12 pixels, got (11, 28)"),
        (lambda: RandomFeatures(2, 2, n_features=3, scale=np.nan, key=KEY), "scale must be finite, got nan"),
        (lambda: ResNet(10, depth=21, key=KEY), "depth must be 6m + 2"),
        (lambda: ResNet(10, channels=0, key=KEY), "channels must be >= 1, got 0"),
        (lambda: ResNet(10, normalisation="none", key=KEY), "normalisation must be"),
        (lambda: functional(3), "model must be a function of one point, got 3"),
    ],
)
def test_what_makes_no_network_is_refused_by_name(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)
