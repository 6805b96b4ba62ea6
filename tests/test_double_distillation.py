"""The loss of double distillation and its gradient, with all their digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from kdtheory import (
    double_distillation_gradient,
    double_distillation_loss,
    negative_weights_from_logits,
    negative_weights_from_probabilities,
    temper,
)
from kdtheory.double_distillation import double_distillation_loss_and_gradient


def exact_loss_and_gradient(f, p, psi):
    """By the definition, with 50 digits."""
    labels = range(len(f))
    with mpmath.workdps(50):
        f, p, psi = ([mpmath.mpf(float(value)) for value in part] for part in (f, p, psi))
        sums = [mpmath.fsum(psi[k] * mpmath.exp(f[k] - f[y]) for k in labels if k != y) for y in labels]
        loss = mpmath.fsum(p[y] * mpmath.log1p(sums[y]) for y in labels)
        gradient = [
            mpmath.fsum(p[y] * psi[k] * mpmath.exp(f[k] - f[y]) / (1 + sums[y]) for y in labels if y != k)
            - p[k] * sums[k] / (1 + sums[k])
            for k in labels
        ]
        return float(loss), [float(entry) for entry in gradient]


@st.composite
def rankings(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_classes = draw(st.integers(1, 6))
    scores = rng.standard_normal((3, n_classes)) * 10.0 ** rng.uniform(-2, 3.5)
    p = rng.dirichlet(np.full(n_classes, 10.0 ** rng.uniform(-2, 1)), 3)
    kind = draw(st.sampled_from(["probabilities", "one-hot", "ones", "zeros", "random"]))
    if kind == "one-hot":
        p = np.eye(n_classes)[np.argmax(p, axis=1)]
    psi = {"ones": np.ones_like(p), "zeros": np.zeros_like(p), "random": rng.uniform(0, 1, p.shape)}.get(kind, 1 - p)
    return scores, p, np.clip(psi, 0.0, 1.0)


@given(rankings())
def test_the_loss_and_its_gradient_have_all_digits(ranking):
    """Relative to themselves, as far as the differences of the scores have them."""
    scores, p, psi = ranking
    rows = [exact_loss_and_gradient(*row) for row in zip(scores, p, psi, strict=True)]
    digits = 1e-15 * (10.0 + np.max(np.abs(scores)))
    loss = double_distillation_loss(scores, p, psi)
    np.testing.assert_allclose(loss, [row[0] for row in rows], rtol=10.0 * digits, atol=1e-300)
    gradient = double_distillation_gradient(scores, p, psi)
    np.testing.assert_allclose(gradient, [row[1] for row in rows], rtol=0.0, atol=digits)
    np.testing.assert_allclose(np.sum(gradient, axis=1), 0.0, atol=digits)


def test_small_losses_and_weights_of_zero_beside_large_scores():
    for arguments, expected in (
        (([[40.0, 0.0]], [[1.0, 0.0]], [[0.5, 0.3]]), 0.3 * np.exp(-40.0)),
        (([[1030.0, 1000.0]], [[1.0, 0.0]], [[0.5, 0.3]]), np.log1p(0.3 * np.exp(-30.0))),
        (([[0.0, 900.0]], [[1.0, 0.0]], [[1.0, 0.0]]), 0.0),
    ):
        np.testing.assert_allclose(double_distillation_loss(*arguments), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        double_distillation_gradient([[800.0, 0.0]], [[0.5, 0.5]], [[0.0, 1.0]]), [[0.0, 0.0]]
    )
    weights = negative_weights_from_logits([[800.0, -800.0, 0.0]])
    gradient = double_distillation_gradient([[900.0, 0.0, 10.0]], [[0.0, 0.5, 0.5]], weights)
    exact = exact_loss_and_gradient([900.0, 0.0, 10.0], [0.0, 0.5, 0.5], weights[0])[1]
    np.testing.assert_allclose(gradient, [exact], atol=1e-12)
    with pytest.raises(OverflowError, match="the loss at index 0 is too large for float64"):
        double_distillation_loss([[-1e308, 1e308]], [[1.0, 0.0]], [[1.0, 1.0]])
    np.testing.assert_array_equal(double_distillation_loss([[1e308, -1e308]], [[1.0, 0.0]], [[1.0, 1.0]]), [0.0])


@settings(max_examples=10)  # JAX compiles each
@given(rankings())
def test_the_gradient_is_that_of_the_loss(ranking):
    scores, p, psi = ranking
    scores = scores / max(1.0, 0.01 * np.max(np.abs(scores)))
    derivative = jax.grad(lambda f: jnp.sum(double_distillation_loss(f, p, psi)))(jnp.asarray(scores))
    np.testing.assert_allclose(double_distillation_gradient(scores, p, psi), derivative, atol=1e-11)


@given(rankings())
def test_loss_and_gradient_together_are_those_alone(ranking):
    loss, gradient = double_distillation_loss_and_gradient(*ranking)
    size = np.max(np.abs(ranking[0]))
    np.testing.assert_allclose(loss, double_distillation_loss(*ranking), rtol=1e-12, atol=1e-13 * size)
    np.testing.assert_allclose(gradient, double_distillation_gradient(*ranking), atol=1e-13 * max(1.0, size))


@pytest.mark.parametrize("gap", [600.0, 700.0, 708.0, 720.0, 744.0, 800.0])
def test_loss_and_gradient_together_have_all_digits_where_exponentials_underflow(gap):
    """The best score is no negative, so all that others compete with is as small as themselves."""
    scores, p, psi = [[0.0, -gap, -gap - 1.0]], [[0.0, 1.0, 0.0]], [[0.0, 1.0, 1.0]]
    loss, gradient = double_distillation_loss_and_gradient(scores, p, psi)
    share = 1.0 / (1.0 + np.e)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-1.0)), rtol=1e-12)
    np.testing.assert_allclose(gradient, [[0.0, -share, share]], rtol=1e-12)
    np.testing.assert_allclose(double_distillation_gradient(scores, p, psi), gradient, rtol=1e-10)


def test_loss_and_gradient_together_are_traced_by_jax():
    arguments = jnp.asarray([[0.0, 0.0, 5.0]]), jnp.asarray([[1.0, 0.0, 0.0]]), jnp.asarray([[1.0, 1.0, 0.0]])
    loss, gradient = jax.jit(double_distillation_loss_and_gradient)(*arguments)
    np.testing.assert_allclose(loss, [np.log(2.0)], rtol=1e-12)
    np.testing.assert_allclose(gradient, [[-0.5, 0.5, 0.0]], atol=1e-12)


@given(rankings())
def test_weights_of_one_are_the_cross_entropy(ranking):
    scores, p, _ = ranking
    log_softmax = scipy.special.log_softmax(scores, axis=1)
    loss = double_distillation_loss(scores, p, np.ones_like(p))
    np.testing.assert_allclose(loss, -np.sum(p * log_softmax, axis=1), rtol=1e-12, atol=1e-12 * np.max(np.abs(scores)))


@given(rankings())
def test_as_printed_the_loss_is_a_cross_entropy_of_shifted_scores_up_to_a_constant(ranking):
    """Eq. 13 with Ψ_y on the positive label too; here its weight is one, which only adds to the loss."""
    scores, p, psi = ranking
    psi = np.maximum(psi, 1e-3)
    printed = scipy.special.logsumexp(scores + np.log(psi), axis=1) - np.sum(p * scores, axis=1)
    shifted = scipy.special.log_softmax(scores + np.log(psi), axis=1)
    constant = np.sum(p * np.log(psi), axis=1)
    np.testing.assert_allclose(printed, constant - np.sum(p * shifted, axis=1), rtol=1e-9, atol=1e-9)
    assert np.all(double_distillation_loss(scores, p, psi) >= printed - 1e-9)


def test_as_printed_the_loss_has_no_lower_bound_for_one_hot_labels():
    p, scores = np.array([[1.0, 0.0]]), np.array([[100.0, 0.0]])
    psi = negative_weights_from_probabilities(p)
    printed = np.log(np.sum(psi * np.exp(scores), axis=1)) - scores[:, 0]
    assert printed < -99.0
    assert 0.0 <= double_distillation_loss(scores, p, psi) < 1e-40


def test_jax_trains_on_it():
    """Under jit and grad, where values cannot be looked at."""
    rng = np.random.default_rng(0)
    scores, p = jnp.asarray(rng.standard_normal((4, 5))), jnp.asarray(rng.dirichlet(np.ones(5), 4))

    @jax.jit
    def mean_loss(f):
        return jnp.mean(double_distillation_loss(f, p, 1.0 - p))

    expected = double_distillation_gradient(np.asarray(scores), np.asarray(p), 1.0 - np.asarray(p)) / 4.0
    np.testing.assert_allclose(jax.grad(mean_loss)(scores), expected, atol=1e-12)

    def from_logits(f, logits, temperature, scale):
        p = temper(jax.nn.softmax(logits), temperature=temperature)
        from_p = double_distillation_loss(f, p, negative_weights_from_probabilities(p))
        return jnp.sum(from_p + double_distillation_loss(f, p, negative_weights_from_logits(logits, scale=scale)))

    arguments = (scores, jnp.log(p), 2.0, 0.5)
    gradients = jax.jit(jax.grad(from_logits, argnums=(0, 1, 2, 3)))(*arguments)
    for number, gradient in enumerate(gradients):
        step = [0.0] * 4
        step[number] = 1e-6
        ahead, behind = (from_logits(*(a + sign * s for a, s in zip(arguments, step, strict=True))) for sign in (1, -1))
        np.testing.assert_allclose(jnp.sum(gradient), (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-6)
    one_hot = jnp.eye(5)[:4]
    of_one_hot = jax.grad(lambda f: jnp.sum(double_distillation_loss(f, one_hot, 1.0 - one_hot)))(scores)
    assert bool(jnp.all(jnp.isfinite(of_one_hot)))
    of_teacher = jax.grad(lambda p: jnp.sum(double_distillation_loss(scores, p, 1.0 - p)))(one_hot)
    assert bool(jnp.all(jnp.isfinite(of_teacher)))
    with_numpy_scores = jax.grad(lambda p: jnp.sum(double_distillation_loss(np.asarray(scores), p, 1.0)))(one_hot)
    expected = -np.asarray(jax.nn.log_softmax(scores))
    np.testing.assert_allclose(with_numpy_scores, expected, rtol=1e-10)
