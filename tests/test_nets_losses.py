"""Losses of students against scipy, in every precision."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from kdtheory.nets import (
    DistillationLoss,
)
from tests.test_nets_training import LOGITS


@pytest.mark.parametrize("label_weight", [0.0, 0.3, 1.0])
def test_losses_are_what_scipy_computes(label_weight):
    targets, teacher, temperature = softmax(LOGITS[1]), LOGITS[2], 3.0
    of_labels = -np.sum(targets * log_softmax(LOGITS[0]))
    p, q = softmax(teacher / temperature), softmax(LOGITS[0] / temperature)
    of_teacher = temperature**2 * np.sum(p * (np.log(p) - np.log(q)))
    found = DistillationLoss(temperature=temperature)(LOGITS[0], targets, teacher, label_weight)
    assert float(found) == pytest.approx(label_weight * of_labels + (1 - label_weight) * of_teacher, rel=1e-12)
    squared = DistillationLoss("squared")(LOGITS[0], targets, teacher, label_weight)
    parts = [np.sum((LOGITS[0] - each) ** 2) / 2 for each in (targets, teacher)]
    assert float(squared) == pytest.approx(label_weight * parts[0] + (1 - label_weight) * parts[1], rel=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 30.0, 1e4])
def test_divergences_and_their_gradients_keep_digits_in_single_precision(temperature):
    single, loss = LOGITS.astype(np.float32), DistillationLoss(temperature=temperature)
    for teacher, student in itertools.permutations(single[:4], 2):
        p, q = (softmax(each.astype(float) / temperature) for each in (teacher, student))
        found, slope = jax.jit(jax.value_and_grad(loss))(student, np.zeros(3, np.float32), teacher, 0.0)
        exact = temperature**2 * np.sum(rel_entr(p, q))
        assert found.dtype == np.float32
        assert float(found) == pytest.approx(exact, rel=3e-3, abs=1e-9)
        assert np.asarray(slope) == pytest.approx(temperature * (q - p), rel=5e-3, abs=2e-3)


def test_at_high_temperature_the_gradient_tends_to_the_difference_of_centred_logits():
    loss = DistillationLoss(temperature=1e5)
    gradient = jax.grad(loss)(jnp.asarray(LOGITS[0]), jnp.zeros(3), LOGITS[1], 0.0)
    centred = [each - each.mean() for each in LOGITS[:2]]
    assert np.asarray(gradient) == pytest.approx((centred[0] - centred[1]) / 3, rel=1e-3)


def test_what_labels_are_compared_with_are_probabilities_or_the_logits():
    assert np.asarray(DistillationLoss().predictions(LOGITS)) == pytest.approx(softmax(LOGITS, axis=1), rel=1e-12)
    assert DistillationLoss("squared").predictions(LOGITS) is LOGITS
