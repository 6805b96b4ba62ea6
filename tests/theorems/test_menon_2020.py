"""Menon et al. (2020): every expectation is an exact, finite sum over points, labels, samples and teachers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import (
    best_label_smoothing,
    distilled_risk,
    distilled_risk_deviation,
    empirical_risk,
    generalisation_bound,
    label_smoothing_error,
    risk_variance_gap,
    smooth_labels,
    teacher_error,
)


@st.composite
def worlds(draw, max_points=3, max_labels=3):
    """A distribution of few points, their Bayes probabilities, a student's losses and a few teachers."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n, n_classes, n_teachers = (draw(st.integers(1, bound)) for bound in (max_points, max_labels - 1, 3))
    n_classes += 1
    concentration = 10.0 ** rng.uniform(-1.5, 1.0)
    weights = rng.dirichlet(np.ones(n))
    bayes = rng.dirichlet(np.full(n_classes, concentration), n)
    teachers = rng.dirichlet(np.full(n_classes, concentration), (n_teachers, n))
    losses = rng.uniform(0.0, 1.0, (n, n_classes)) * 10.0 ** rng.uniform(-2, 2)
    return weights, bayes, losses, teachers


def samples(weights, n_samples):
    """Every sample of points, with its probability."""
    for points in itertools.product(range(len(weights)), repeat=n_samples):
        yield list(points), np.prod(weights[list(points)])


def variance(values, chances):
    mean = np.sum(values * chances)
    return np.sum(chances * (values - mean) ** 2)


@given(worlds(), st.integers(1, 3))
def test_lemma_1_the_gap_of_the_variances_is_the_mean_variance_of_the_loss_over_the_labels(world, n_samples):
    """Printed as an inequality."""
    weights, bayes, losses, _ = world
    on_labels, on_bayes, chances_of_labels, chances_of_points = [], [], [], []
    for points, chance in samples(weights, n_samples):
        on_bayes.append(distilled_risk(losses[points], bayes[points]))
        chances_of_points.append(chance)
        for labels in itertools.product(range(bayes.shape[1]), repeat=n_samples):
            on_labels.append(empirical_risk(losses[points], labels))
            chances_of_labels.append(chance * np.prod(bayes[points, labels]))
    gap = variance(np.array(on_labels), np.array(chances_of_labels)) - variance(
        np.array(on_bayes), np.array(chances_of_points)
    )
    stated = risk_variance_gap(losses, bayes, n_samples=n_samples, sample_weight=weights)
    np.testing.assert_allclose(gap, stated, rtol=1e-9, atol=1e-12 * np.max(losses) ** 2)
    # Both are unbiased.
    risk = distilled_risk(losses, bayes, sample_weight=weights)
    np.testing.assert_allclose(np.dot(on_labels, chances_of_labels), risk, rtol=1e-9)
    np.testing.assert_allclose(np.dot(on_bayes, chances_of_points), risk, rtol=1e-9)


@given(worlds(), st.integers(1, 3))
def test_proposition_3_the_deviation_of_the_distilled_risk_and_its_bounds(world, n_samples):
    """Printed with some constant C, for a fixed teacher; with the sharp one, and for a teacher that a sample shares."""
    weights, bayes, losses, teachers = world
    risk = distilled_risk(losses, bayes, sample_weight=weights)
    exact = np.mean(
        [
            sum(
                chance * (distilled_risk(losses[points], teacher[points]) - risk) ** 2
                for points, chance in samples(weights, n_samples)
            )
            for teacher in teachers
        ]
    )
    stated = distilled_risk_deviation(losses, teachers, bayes, n_samples=n_samples, sample_weight=weights)
    np.testing.assert_allclose(stated.exact, exact, rtol=1e-9, atol=1e-14 * np.max(losses) ** 2)
    assert stated.exact <= stated.bound * (1.0 + 1e-12)
    assert stated.bound <= stated.decomposed_bound * (1.0 + 1e-12)


def test_the_mean_distance_of_a_random_teacher_is_not_enough_for_the_bound():
    """As printed eq. 9 has `(E‖pᵗ − p*‖)²` over teachers, too: one that is seldom but very wrong breaks it."""
    p, wrong, ell = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])
    teachers = np.stack([wrong] + [p] * 9)
    stated = distilled_risk_deviation(ell, teachers, p, n_samples=10**9)
    mean_distance = np.mean(np.linalg.norm(teachers - p, axis=2))
    assert stated.exact > stated.sampling_variance + stated.constant * mean_distance**2
    assert stated.exact <= stated.bound * (1.0 + 1e-12)


@pytest.mark.parametrize("n_classes", range(2, 10))
def test_the_sharp_constant_of_proposition_3_is_attained(n_classes):
    """Half of the labels have the largest loss, and the teacher moves all it can to them, the same everywhere."""
    high = (np.arange(n_classes) < n_classes // 2) * 1.0
    bayes = np.full((1, n_classes), 1.0 / n_classes)
    losses, teacher = 3.0 * high[None, :], bayes + (high - np.mean(high)) / n_classes
    stated = distilled_risk_deviation(losses, teacher, bayes, n_samples=5)
    assert stated.exact == pytest.approx(stated.bound, rel=1e-12)
    assert stated.bound == pytest.approx(stated.decomposed_bound, rel=1e-12)
    # No other losses do more: those at the corners are enough, since the length of the deviations is convex.
    corners = np.array(list(itertools.product([0.0, 3.0], repeat=n_classes)))
    lengths = np.sum((corners - np.mean(corners, axis=1, keepdims=True)) ** 2, axis=1)
    assert stated.constant == pytest.approx(np.max(lengths), rel=1e-12)


def test_eq_9_has_the_mean_distance_of_points_and_eq_10_their_mean_squared_distance():
    bayes, teacher = np.full((2, 2), 0.5), np.array([[0.5, 0.5], [1.0, 0.0]])
    stated = distilled_risk_deviation([[0.0, 1.0], [0.0, 2.0]], teacher, bayes, n_samples=10, sample_weight=[3.0, 1.0])
    distance = np.sqrt(0.5)
    # Risks at the points are 0.5 and 0, their variance 0.75 * 0.25 * 0.5**2.
    sampling = 0.75 * 0.25 * 0.25 / 10.0
    assert stated.sampling_variance == pytest.approx(sampling, rel=1e-12)
    assert stated.bound == pytest.approx(sampling + 2.0 * (0.25 * distance) ** 2, rel=1e-12)
    assert stated.decomposed_bound == pytest.approx(sampling + 2.0 * 0.25 * distance**2, rel=1e-12)


@given(worlds(), st.integers(1, 5))
def test_proposition_4_no_unbiased_teacher_beats_the_bayes_teacher(world, n_samples):
    """For a teacher that has not seen the student's sample."""
    weights, bayes, losses, teachers = world
    # Reflected about the Bayes probabilities, as far as they stay probabilities, teachers become unbiased.
    step = teachers - bayes
    room = np.min(np.where(step > 0.0, bayes, np.inf) / np.maximum(step, 1e-300))
    reflected = np.concatenate([bayes + step * min(1.0, 0.999 * room), bayes - step * min(1.0, 0.999 * room)])
    reflected = np.clip(reflected, 0.0, 1.0)
    setting = {"n_samples": n_samples, "sample_weight": weights}
    of_bayes = distilled_risk_deviation(losses, bayes, bayes, **setting)
    of_teachers = distilled_risk_deviation(losses, reflected, bayes, **setting)
    assert of_teachers.teacher_error.squared_bias < 1e-20
    assert of_bayes.exact <= of_teachers.exact * (1.0 + 1e-9) + 1e-15 * np.max(losses) ** 2


def test_proposition_4_does_not_hold_for_a_teacher_that_has_seen_the_sample():
    """An unbiased teacher that knows the point drawn can undo its deviation: here it cancels it altogether."""
    bayes, losses = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, 0.5]])
    risk = distilled_risk(losses, bayes)
    deviations = []
    for point in (0, 1):  # a sample of one point
        seen = bayes.copy()
        seen[point] = [risk / 1.0, 1.0 - risk] if point == 0 else [1.0 - risk / 0.5, risk / 0.5]
        deviations.append(distilled_risk(losses[[point]], seen[[point]]) - risk)
    np.testing.assert_allclose(deviations, 0.0, atol=1e-15)
    assert distilled_risk_deviation(losses, bayes, bayes, n_samples=1).exact > 0.01


@given(worlds(), st.floats(0.0, 1.0))
def test_label_smoothing_trades_bias_for_variance(world, amount):
    weights, bayes, _, _ = world
    n, n_classes = bayes.shape
    teachers, chances = [], []
    for labels in itertools.product(range(n_classes), repeat=n):
        teachers.append(smooth_labels(list(labels), n_classes=n_classes, amount=amount))
        chances.append(np.prod(bayes[np.arange(n), labels]))
    chances = np.array(chances)
    mean = np.tensordot(chances, teachers, axes=1)
    stated = label_smoothing_error(bayes, amount=amount, sample_weight=weights)
    bias = weights @ np.sum((mean - bayes) ** 2, axis=1)
    spread = sum(c * weights @ np.sum((t - mean) ** 2, axis=1) for c, t in zip(chances, teachers, strict=True))
    np.testing.assert_allclose([stated.squared_bias, stated.variance], [bias, spread], rtol=1e-9, atol=1e-14)
    best = best_label_smoothing(bayes, sample_weight=weights)
    least = label_smoothing_error(bayes, amount=best, sample_weight=weights).mean_squared_error
    assert least <= stated.mean_squared_error * (1.0 + 1e-12)


@given(worlds())
def test_the_error_of_a_teacher_is_its_squared_bias_and_its_variance(world):
    weights, bayes, _, teachers = world
    error = teacher_error(teachers, bayes, sample_weight=weights)
    distances = np.sum((teachers - bayes) ** 2, axis=2) @ weights
    np.testing.assert_allclose(error.mean_squared_error, np.mean(distances), rtol=1e-12)
    assert teacher_error(teachers[0], bayes, sample_weight=weights).variance == 0.0


@pytest.mark.parametrize("n_predictors", [1, 50])
def test_propositions_2_and_5_the_bound_holds_as_often_as_it_says(n_predictors):
    """Over 2,000 samples, for the best of the students on each: with the Bayes teacher, and with an imperfect one."""
    rng = np.random.default_rng(0)
    bayes = rng.dirichlet(np.ones(3), 8)
    teacher = 0.9 * bayes + 0.1 * rng.dirichlet(np.ones(3), 8)
    losses = rng.uniform(0.0, 1.0, (n_predictors, 8, 3))
    risks = [distilled_risk(each, bayes) for each in losses]
    distance = float(np.mean(np.linalg.norm(teacher - bayes, axis=1)))
    failures = np.zeros(2)
    for _ in range(2000):
        points = rng.integers(0, 8, 30)
        for column, (probabilities, off) in enumerate([(bayes, 0.0), (teacher, distance)]):
            best = int(np.argmin(np.einsum("jnc,nc->j", losses[:, points], probabilities[points])))
            bound = generalisation_bound(
                losses[best][points],
                probabilities[points],
                failure_probability=0.2,
                n_predictors=n_predictors,
                teacher_distance=off,
            )
            failures[column] += risks[best] > bound
    assert np.all(failures <= 0.2 * 2000)


@pytest.mark.parametrize(("n_predictors", "covering_number"), [(1, None), (50, None), (1, 1.0), (1, 1e6)])
def test_propositions_2_and_5_have_the_constants_of_maurer_and_pontil(n_predictors, covering_number):
    """Corollary 5 and Theorem 6 of "Empirical Bernstein bounds and sample variance penalization" (2009)."""
    rng = np.random.default_rng(3)
    losses, p = rng.uniform(0.0, 2.0, (40, 3)), rng.dirichlet(np.ones(3), 40)
    values = np.sum(p * losses, axis=1) / 2.0  # in [0, 1]
    variance = np.sum((values[:, None] - values) ** 2) / (2 * 40 * 39)
    if covering_number is None:
        log_chances = np.log(2 * n_predictors / 0.1)
        deviation = np.sqrt(2 * variance * log_chances / 40) + 7 * log_chances / (3 * 39)
    else:
        log_chances = np.log(10 * covering_number / 0.1)
        deviation = np.sqrt(18 * variance * log_chances / 40) + 15 * log_chances / 39
    off = np.sqrt(2.0 / 3.0) * 0.25  # of two losses zero and one 1, or the reverse
    stated = generalisation_bound(
        losses,
        p,
        failure_probability=0.1,
        n_predictors=n_predictors,
        covering_number=covering_number,
        max_loss=2.0,
        teacher_distance=0.25,
    )
    assert stated == pytest.approx(2.0 * (np.mean(values) + deviation + off), rel=1e-12)


def test_the_bound_has_less_to_fear_from_the_bayes_teacher_than_from_labels():
    """Lemma 1 in the bound: on labels the variance is larger."""
    rng = np.random.default_rng(1)
    bayes, losses = np.full((200, 2), 0.5), np.tile([0.0, 1.0], (200, 1))
    one_hot = np.eye(2)[rng.integers(0, 2, 200)]
    of_bayes, of_labels = (
        generalisation_bound(losses, each, failure_probability=0.05) - distilled_risk(losses, each)
        for each in (bayes, one_hot)
    )
    assert of_bayes < 0.5 * of_labels
    covering = generalisation_bound(losses, one_hot, failure_probability=0.05, covering_number=1.0)
    assert covering > generalisation_bound(losses, one_hot, failure_probability=0.05)
