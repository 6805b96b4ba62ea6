"""Planes of parameters and the losses on them, point by point against networks that are evaluated alone."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdtheory.nets import (
    ConvolutionalNetwork,
    DistillationLoss,
    MultilayerPerceptron,
    Snapshot,
    loss_surface,
    plane_through,
    random_plane,
)
from kdtheory.nets.models import split

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3))
Y = RNG.integers(0, 3, 6)


def network(seed, dtype=jnp.float64, width=4):
    model = MultilayerPerceptron(3, 3, width=width, depth=1, key=jax.random.key(seed))
    model = jax.tree.map(lambda leaf: leaf.astype(dtype), model)
    shift = np.random.default_rng(seed)
    return eqx.tree_at(lambda m: [layer.bias for layer in m.layers], model, [shift.random(width), shift.random(3)])


NETWORKS = [network(seed) for seed in range(3)]


def with_parameters(model, vector):
    params, rest = split(model)
    _, unravel = jax.flatten_util.ravel_pytree(params)
    return eqx.combine(unravel(jnp.asarray(vector)), rest)


@pytest.fixture(scope="module")
def plane():
    return plane_through(*NETWORKS)


def test_random_directions_have_the_lengths_of_the_filters():
    model = ConvolutionalNetwork((4, 4, 2), 3, width=3, depth=1, kernel_size=2, key=jax.random.key(0))
    model = eqx.tree_at(lambda m: m.read_out.bias, model, jnp.ones(3))
    plane = random_plane(model, 5)
    for direction in plane.directions:
        drawn = with_parameters(model, direction)
        for one, other, axes in (
            (drawn.filters[0].weight, model.filters[0].weight, (1, 2, 3)),
            (drawn.read_out.weight, model.read_out.weight, (1,)),
        ):
            lengths = [np.sqrt(np.sum(np.asarray(each, float) ** 2, axis=axes)) for each in (one, other)]
            np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-5)
        inside = [np.linalg.norm(each.filters[0].weight, axis=-1) for each in (drawn, model)]
        assert np.ptp(inside[0] / inside[1]) > 0.1  # a filter has one length, its rows have not
        assert not np.any(drawn.filters[0].bias)
        assert not np.any(drawn.read_out.bias)
    assert abs(np.corrcoef(plane.directions)[0, 1]) < 0.3
    np.testing.assert_array_equal(random_plane(model, 5).directions, plane.directions)
    assert np.any(random_plane(model, 6).directions != plane.directions)
    layers = with_parameters(model, random_plane(model, 5, normalise="layer").directions[0])
    whole = [np.linalg.norm(np.asarray(each.read_out.weight, float)) for each in (layers, model)]
    assert whole[0] == pytest.approx(whole[1], rel=1e-5)


def test_scales_and_shifts_of_normalisation_stay():
    model = eqx.nn.Sequential([eqx.nn.LayerNorm(3), NETWORKS[0]])
    drawn = with_parameters(model, random_plane(model, 0).directions[0])
    assert not np.any(drawn.layers[0].weight)
    assert not np.any(drawn.layers[0].bias)
    assert np.all(np.any(np.asarray(drawn.layers[1].layers[0].weight), axis=1))


def test_a_plane_goes_through_its_networks_and_keeps_distances(plane):
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-14)
    vectors = [jax.flatten_util.ravel_pytree(split(each)[0])[0] for each in NETWORKS]
    for place, vector in zip(plane.points, vectors, strict=True):
        np.testing.assert_allclose(plane.at(*place), vector, rtol=0, atol=1e-13)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        apart = np.linalg.norm(plane.points[i] - plane.points[j])
        assert apart == pytest.approx(np.linalg.norm(vectors[i] - vectors[j]), rel=1e-13)
    assert plane.points[0].tolist() == [0.0, 0.0]
    assert plane.points[1, 1] == 0.0 < plane.points[2, 1]


def test_losses_accuracies_and_agreements_are_those_of_each_network(plane):
    teacher, loss = RNG.standard_normal((6, 3)), DistillationLoss(temperature=2.0)
    across, up = [-1.0, 0.0, float(plane.points[1, 0])], [0.0, 2.0]
    given = {"loss": loss, "teacher": teacher, "label_weight": 0.4, "across": across, "up": up}
    surface = loss_surface(plane, X, Y, **given)
    assert surface.losses.shape == surface.accuracies.shape == surface.agreements.shape == (2, 3)
    for i, b in enumerate(up):
        for j, a in enumerate(across):
            logits = Snapshot(with_parameters(NETWORKS[0], plane.at(a, b))).logits(X)
            each = jax.vmap(loss, in_axes=(0, 0, 0, None))(logits, np.eye(3)[Y], teacher, 0.4)
            assert surface.losses[i, j] == pytest.approx(float(each.mean()), rel=1e-12)
            chosen = logits.argmax(axis=1)
            assert surface.accuracies[i, j] == pytest.approx(np.mean(chosen == Y))
            assert surface.agreements[i, j] == pytest.approx(np.mean(chosen == teacher.argmax(axis=1)))
    np.testing.assert_allclose(loss_surface(plane, X, Y, **given, batch_size=4).losses, surface.losses, rtol=1e-13)


def test_default_grids_hold_the_networks(plane):
    surface = loss_surface(plane, X, Y)
    assert surface.losses.shape == (41, 41)
    assert surface.agreements is None
    low, high = plane.points.min(axis=0), plane.points.max(axis=0)
    np.testing.assert_allclose(
        [surface.x[0], surface.x[-1]], [1.25 * low[0] - 0.25 * high[0], 1.25 * high[0] - 0.25 * low[0]]
    )
    np.testing.assert_allclose([surface.y[0], surface.y[-1]], [-0.25 * high[1], 1.25 * high[1]])
    around = loss_surface(random_plane(NETWORKS[0], 0), X, Y, across=[0.0])
    np.testing.assert_array_equal(around.y, np.linspace(-1.0, 1.0, 41))
    own = Snapshot(NETWORKS[0]).logits(X)
    own = -np.mean(jax.nn.log_softmax(own)[np.arange(6), Y])
    assert around.losses[20, 0] == pytest.approx(float(own), rel=1e-12)


def test_convolutions_are_taken_one_by_one_with_the_same_losses():
    model = ConvolutionalNetwork((4, 4), 3, width=2, depth=1, kernel_size=2, key=jax.random.key(0))
    images = RNG.standard_normal((5, 4, 4))
    plane = random_plane(model, 0)
    surface = loss_surface(plane, images, Y[:5], across=[0.0, 0.5], up=[0.0])
    logits = Snapshot(with_parameters(model, plane.at(0.5, 0.0).astype("float32"))).logits(images)
    wanted = -np.mean(jax.nn.log_softmax(logits)[np.arange(5), Y[:5]])
    assert surface.losses[0, 1] == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda *n: plane_through(n[0], n[0], n[1]),
            ValueError,
            "one must have other parameters than origin, got the same",
        ),
        (
            lambda *n: plane_through(n[0], n[1], jax.tree.map(lambda u, v: 3.0 * u - 2.0 * v, n[0], n[1])),
            ValueError,
            "origin, one and other must not lie on a line",
        ),
        (lambda *n: plane_through(n[0], n[1], n[0]), ValueError, "origin, one and other must not lie on a line"),
        (lambda *n: plane_through(n[0], n[1], network(0, width=5)), ValueError, "other must have the architecture of"),
        (lambda *n: random_plane(n[0], 0, normalise="none"), ValueError, "normalise must be 'filter' or 'layer'"),
        (lambda *n: random_plane(n[0], -1), ValueError, "seed must be >= 0, got -1"),
        (lambda *n: loss_surface(plane_through(*n), X, Y[:5]), ValueError, "y"),
        (
            lambda *n: loss_surface(plane_through(*n), X, Y, batch_size=7),
            ValueError,
            "batch_size must be <= 6, the number of points, got 7",
        ),
        (
            lambda *n: loss_surface(plane_through(*n), X, Y, across=[np.inf]),
            ValueError,
            "across must be finite, got inf",
        ),
        (
            lambda *n: loss_surface(plane_through(*n), X, Y, across=[1e300], up=[0.0]),
            FloatingPointError,
            "the loss must be finite",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call(*NETWORKS)
