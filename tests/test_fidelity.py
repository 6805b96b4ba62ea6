"""Fidelity of students to teachers from logits: against scikit-learn, scipy, netcal, mpmath and plain loops."""

import re
import tracemalloc
from itertools import product

import array_api_strict
import jax.numpy as jnp
import mpmath
import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from kdtheory import fidelity
from kdtheory.fidelity import (
    accuracy,
    agreement_bounds,
    dissect,
    exaggeration_slope,
    expected_calibration_error,
    independent_student_control,
    logit_logit_points,
    logit_transformed_probabilities,
    negative_log_likelihood,
    predicted_classes,
    predictive_divergences,
    predictive_entropies,
    predictive_entropy,
    predictive_kl,
    reliability_diagram,
    top1_agreement,
)

seeds = st.integers(0, 2**32 - 1)
temperatures = st.sampled_from([0.25, 1.0, 4.0])


def models(seed, n=50, n_classes=4, scale=3.0):
    """Logits of a teacher and a student, and labels that both know something of."""
    rng = np.random.default_rng(seed)
    teacher = scale * rng.standard_normal((n, n_classes))
    student = teacher + rng.standard_normal((n, n_classes))
    labels = np.argmax(teacher + rng.gumbel(size=(n, n_classes)), axis=1)
    return teacher, student, labels


def exact_log_softmax(row, temperature):
    scaled = [mpmath.mpf(float(z)) / mpmath.mpf(float(temperature)) for z in row]
    top = max(scaled)
    normaliser = top + mpmath.log(mpmath.fsum(mpmath.exp(z - top) for z in scaled))
    return [z - normaliser for z in scaled]


def exact_divergence(teacher, student, temperature=1.0):
    """Kullback-Leibler divergence, with digits to spare for what cancels."""
    with mpmath.workdps(120):
        log_p, log_q = (exact_log_softmax(row, temperature) for row in (teacher, student))
        return float(mpmath.fsum(mpmath.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True)))


def exact_entropy(row, temperature=1.0):
    with mpmath.workdps(60):
        return float(-mpmath.fsum(mpmath.exp(p) * p for p in exact_log_softmax(row, temperature)))


def exact_loss(row, label, temperature=1.0):
    with mpmath.workdps(60):
        return float(-exact_log_softmax(row, temperature)[label])


def exact_logit_transform(row, at, temperature=1.0):
    """`log p − log(1 − p)`, with 1 − p as the sum of the other probabilities."""
    with mpmath.workdps(60):
        p = [mpmath.exp(each) for each in exact_log_softmax(row, temperature)]
        return float(mpmath.log(p[at]) - mpmath.log(mpmath.fsum(p[:at] + p[at + 1 :])))


EXTREME_ROWS = [
    [0.0, 0.0, 0.0],
    [1.0, -2.0, 0.5],
    [1e4, -1e4, 0.0],
    [-1e4, -1e4, -1e4 + 1e-3],
    [1e4, 1e4, -1e4],
    [40.0, 0.0, 1.0],
    [0.0, -750.0, -760.0],
]


@given(seeds, temperatures)
def test_losses_entropies_and_accuracy_are_those_of_scikit_learn_and_scipy(seed, temperature):
    logits, _, labels = models(seed)
    p = scipy.special.softmax(logits / temperature, axis=1)
    loss = negative_log_likelihood(logits, labels, temperature=temperature)
    if temperature >= 1.0:  # scikit-learn clips probabilities below 2e-16
        np.testing.assert_allclose(loss, sklearn.metrics.log_loss(labels, p, labels=range(4)), rtol=1e-12)
    log_p = scipy.special.log_softmax(logits / temperature, axis=1)
    np.testing.assert_allclose(loss, -np.mean(log_p[np.arange(50), labels]), rtol=1e-12)
    entropies = predictive_entropies(logits, temperature=temperature)
    np.testing.assert_allclose(entropies, scipy.stats.entropy(p, axis=1), rtol=1e-12, atol=1e-14)
    assert predictive_entropy(logits, temperature=temperature) == np.mean(entropies)
    assert accuracy(logits, labels) == sklearn.metrics.accuracy_score(labels, np.argmax(p, axis=1))


@given(seeds, temperatures)
def test_divergences_are_those_of_scipy(seed, temperature):
    teacher, student, _ = models(seed)
    p, q = (scipy.special.softmax(z / temperature, axis=1) for z in (teacher, student))
    divergences = predictive_divergences(teacher, student, temperature=temperature)
    np.testing.assert_allclose(divergences, np.sum(scipy.special.rel_entr(p, q), axis=1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(divergences, np.sum(scipy.special.kl_div(p, q), axis=1), rtol=1e-12, atol=1e-14)
    assert predictive_kl(teacher, student, temperature=temperature) == np.mean(divergences)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0])
@pytest.mark.parametrize(("teacher", "student"), list(product(EXTREME_ROWS, EXTREME_ROWS)))
def test_divergences_of_extreme_logits_are_exact(teacher, student, temperature):
    divergence = predictive_kl([teacher], [student], temperature=temperature)
    np.testing.assert_allclose(divergence, exact_divergence(teacher, student, temperature), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("shift", [0.0, 3.0, -1e3, 12345.678])
@pytest.mark.parametrize("distance", [1e-12, 1e-10, 1e-7, 1e-3, 0.3, 0.7, 2.0, 40.0, 800.0])
def test_divergences_of_nearly_equal_distributions_keep_their_digits(distance, shift):
    """1e-20 and less, also when a constant that no softmax sees takes the digits of the logits."""
    rng = np.random.default_rng(0)
    teacher = 2.0 * rng.standard_normal((6, 5))
    student = teacher + distance * rng.standard_normal((6, 5)) + shift
    exact = [exact_divergence(*rows) for rows in zip(teacher, student, strict=True)]
    np.testing.assert_allclose(predictive_divergences(teacher, student), exact, rtol=2e-13, atol=0.0)


@pytest.mark.parametrize("change", [1e-14, 1e-6, 0.5, 2.0, 30.0, 90.0])
def test_a_change_of_an_unlikely_class_alone_is_seen(change):
    teacher, student = [0.0, -70.0, -1.0], [0.0, -70.0 + change, -1.0 + 1e-17]
    np.testing.assert_allclose(
        predictive_kl([teacher], [student]), exact_divergence(teacher, student), rtol=1e-12, atol=0.0
    )


def test_divergences_of_ordinary_size_have_known_values():
    """A fair coin against one of probability 1/(1 + e²): log cosh 1."""
    assert predictive_kl([[0.0, 0.0]], [[0.0, 2.0]]) == pytest.approx(np.log(np.cosh(1.0)), rel=1e-14)
    assert predictive_kl([[0.0, 2.0]], [[0.0, 0.0]]) == pytest.approx(
        np.log(2.0) - scipy.stats.bernoulli(scipy.special.expit(2.0)).entropy(), rel=1e-14
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0])
@pytest.mark.parametrize("row", EXTREME_ROWS)
def test_losses_and_entropies_of_extreme_logits_are_exact(row, temperature):
    for label in range(3):
        loss = negative_log_likelihood([row], [label], temperature=temperature)
        np.testing.assert_allclose(loss, exact_loss(row, label, temperature), rtol=1e-13, atol=1e-307)
    np.testing.assert_allclose(
        predictive_entropies([row], temperature=temperature), [exact_entropy(row, temperature)], rtol=1e-12, atol=1e-300
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0])
@pytest.mark.parametrize("row", EXTREME_ROWS)
def test_logit_transforms_of_extreme_logits_are_exact(row, temperature):
    for at in range(3):
        np.testing.assert_allclose(
            logit_transformed_probabilities([row], [at], temperature=temperature),
            [exact_logit_transform(row, at, temperature)],
            rtol=1e-14,
            atol=1e-15,
        )


def test_logit_transforms_of_two_classes_are_differences_of_logits():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [0.1, 0.3], [5.0, 5.0]])
    np.testing.assert_array_equal(logit_transformed_probabilities(logits, [0, 0, 1, 1]), [2e4, -2e4, 0.3 - 0.1, 0.0])
    np.testing.assert_array_equal(
        logit_transformed_probabilities(logits, [0, 0, 0, 1], temperature=4.0), [5e3, -5e3, (0.1 - 0.3) / 4.0, 0.0]
    )


@given(seeds, temperatures)
def test_logit_transforms_are_those_of_scipy_where_one_minus_p_is_harmless(seed, temperature):
    logits, _, labels = models(seed, scale=1.0)
    p = scipy.special.softmax(logits / temperature, axis=1)[np.arange(50), labels]
    transformed = logit_transformed_probabilities(logits, labels, temperature=temperature)
    np.testing.assert_allclose(transformed, scipy.special.logit(p), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(scipy.special.expit(transformed), p, rtol=1e-12)


@given(seeds, st.floats(-100.0, 100.0), temperatures)
def test_constants_that_the_softmax_does_not_see_change_nothing(seed, constant, temperature):
    teacher, student, labels = models(seed)
    shift = np.round(constant * np.arange(50.0))[:, None]
    of = {"temperature": temperature}
    for metric, arguments in [
        (predictive_divergences, (teacher, student + shift)),
        (predictive_divergences, (teacher + shift, student)),
    ]:
        np.testing.assert_allclose(metric(*arguments, **of), metric(teacher, student, **of), rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(
        predictive_entropies(teacher + shift, **of), predictive_entropies(teacher, **of), rtol=1e-8, atol=1e-14
    )
    assert negative_log_likelihood(teacher + shift, labels, **of) == pytest.approx(
        negative_log_likelihood(teacher, labels, **of), rel=1e-9
    )
    assert top1_agreement(teacher + shift, student) == top1_agreement(teacher, student)


@given(seeds, st.floats(1e-8, 10.0))
def test_divergences_are_positive_and_zero_only_for_equal_distributions(seed, distance):
    teacher, _, _ = models(seed)
    direction = np.random.default_rng(seed).standard_normal(teacher.shape)
    divergences = predictive_divergences(teacher, teacher + distance * direction)
    assert np.all(divergences > 0.0)
    np.testing.assert_array_equal(predictive_divergences(teacher, teacher), 0.0)
    whole = np.round(teacher)
    np.testing.assert_array_equal(predictive_divergences(whole, whole + 7.0), 0.0)


@given(seeds)
def test_agreement_is_symmetric_and_sees_only_the_order_of_the_classes(seed):
    teacher, student, _ = models(seed)
    agreement = top1_agreement(teacher, student)
    assert agreement == np.mean(np.argmax(teacher, axis=1) == np.argmax(student, axis=1))
    assert agreement == top1_agreement(student, teacher)
    assert agreement == top1_agreement(teacher**3, np.arctan(student))
    assert top1_agreement(teacher, teacher) == 1.0
    order = np.random.default_rng(seed).permutation(50)
    assert top1_agreement(teacher[order], student[order]) == agreement


def test_of_equal_logits_the_first_class_is_predicted():
    np.testing.assert_array_equal(predicted_classes([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]), [0, 1])
    assert accuracy([[1.0, 1.0]], [1]) == 0.0
    assert accuracy([[1.0, 1.0]], [0]) == 1.0
    assert top1_agreement([[1.0, 1.0]], [[0.0, 1.0]]) == 0.0
    assert top1_agreement([[1.0, 1.0]], [[2.0, 2.0]]) == 1.0


def loop_calibration(logits, labels, n_bins):
    """Counts, confidences, accuracies and both errors, one bin and one point after the other."""
    p = scipy.special.softmax(logits, axis=1)
    rows = []
    for m in range(n_bins):
        inside = [i for i in range(len(p)) if m / n_bins < max(p[i]) <= (m + 1) / n_bins]
        right = [float(np.argmax(p[i]) == labels[i]) for i in inside]
        sure = [max(p[i]) for i in inside]
        rows.append((len(inside), sum(sure) / max(1, len(inside)), sum(right) / max(1, len(inside))))
    counts, confidences, accuracies = (np.array(column) for column in zip(*rows, strict=True))
    gaps = np.abs(accuracies - confidences)
    return counts, confidences, accuracies, np.sum(counts * gaps) / len(p), np.max(gaps)


@given(seeds, st.integers(1, 30), st.sampled_from([0.5, 3.0, 10.0]))
def test_calibration_is_that_of_a_loop_over_the_bins(seed, n_bins, scale):
    logits, _, labels = models(seed, scale=scale)
    diagram = reliability_diagram(logits, labels, n_bins)
    counts, confidences, accuracies, expected, maximum = loop_calibration(logits, labels, n_bins)
    np.testing.assert_array_equal(diagram.counts, counts)
    np.testing.assert_allclose(diagram.edges, np.linspace(0.0, 1.0, n_bins + 1), rtol=1e-15)
    np.testing.assert_allclose(diagram.mean_confidences, confidences, rtol=1e-12)
    np.testing.assert_allclose(diagram.accuracies, accuracies, rtol=1e-12)
    np.testing.assert_allclose(diagram.gaps, accuracies - confidences, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(diagram.expected_error, expected, rtol=1e-12)
    np.testing.assert_allclose(diagram.maximum_error, maximum, rtol=1e-12)
    assert expected_calibration_error(logits, labels, n_bins) == diagram.expected_error
    assert diagram.expected_error <= diagram.maximum_error * (1.0 + 1e-14)


@pytest.mark.parametrize(
    ("scale", "n_bins", "expected", "maximum"),
    [
        (0.7, 15, 0.407735175486503, 0.5129273142043513),
        (3.0, 10, 0.17166085865816977, 0.48289064378757107),
        (12.0, 7, 0.18727776359161014, 0.5915230950350834),
    ],
)
def test_calibration_is_that_of_netcal_and_torchmetrics(scale, n_bins, expected, maximum):
    """`ECE` and `MCE` of netcal 1.4.0; torchmetrics 1.9.0, computing in double precision, gives the same numbers."""
    i, j = np.arange(300)[:, None], np.arange(5)
    logits = scale * np.sin(1.0 + 0.7 * i + 1.9 * j + 0.013 * i * j)
    labels = np.where(np.arange(300) % 3 > 0, np.argmax(logits, axis=1), np.arange(300) ** 2 % 5)
    diagram = reliability_diagram(logits, labels, n_bins)
    assert diagram.expected_error == pytest.approx(expected, rel=1e-13)
    assert diagram.maximum_error == pytest.approx(maximum, rel=1e-13)


def test_a_bin_has_its_upper_edge():
    np.testing.assert_array_equal(reliability_diagram([[0.0, 0.0]], [0], 2).counts, [1, 0])
    np.testing.assert_array_equal(reliability_diagram([[0.0, 1000.0]], [0], 2).counts, [0, 1])
    np.testing.assert_array_equal(reliability_diagram(np.zeros((1, 4)), [0], 4).counts, [1, 0, 0, 0])


def test_the_calibration_error_of_sure_and_right_predictions_keeps_its_digits():
    assert expected_calibration_error([[0.0, 100.0]], [1]) == pytest.approx(np.exp(-100.0), rel=1e-14, abs=0.0)
    assert expected_calibration_error([[0.0, 100.0]], [0]) == 1.0
    assert expected_calibration_error([[0.0, 400.0]], [1], temperature=4.0) == pytest.approx(
        np.exp(-100.0), rel=1e-14, abs=0.0
    )


@given(seeds, st.integers(1, 20))
def test_calibration_errors_lie_between_0_and_1_and_know_no_order(seed, n_bins):
    logits, _, labels = models(seed, n=30)
    error = expected_calibration_error(logits, labels, n_bins)
    assert 0.0 <= error <= 1.0
    order = np.random.default_rng(seed).permutation(30)
    assert expected_calibration_error(logits[order], labels[order], n_bins) == pytest.approx(error, rel=1e-12)
    assert expected_calibration_error(logits[:, ::-1], 3 - labels, n_bins) == pytest.approx(error, rel=1e-12)


def test_bounds_of_agreement_are_attained():
    """Every pair of predictions of four points in three classes."""
    labels = np.zeros(4, dtype=int)
    met = {}
    for teacher in product(range(3), repeat=4):
        for student in product(range(3), repeat=4):
            key = np.mean(np.array(teacher) == labels), np.mean(np.array(student) == labels)
            met.setdefault(key, []).append(np.mean(np.array(teacher) == np.array(student)))
    for accuracies, agreements in met.items():
        assert agreement_bounds(*accuracies) == (min(agreements), max(agreements))


@given(seeds, temperatures)
def test_the_control_compares_with_the_mean_of_independent_students(seed, temperature):
    teacher, student, _ = models(seed, n=20)
    controls = np.stack([models(seed + index, n=20)[1] for index in (1, 2, 3)])
    of = {"temperature": temperature}
    control = independent_student_control(teacher, student, controls, **of)
    assert control.agreement == pytest.approx(top1_agreement(teacher, student), rel=1e-14)
    assert control.divergence == pytest.approx(predictive_kl(teacher, student, **of), rel=1e-14)
    agreements = [top1_agreement(teacher, each) for each in controls]
    divergences = [predictive_kl(teacher, each, **of) for each in controls]
    np.testing.assert_allclose(control.control_agreements, agreements, rtol=1e-14)
    np.testing.assert_allclose(control.control_divergences, divergences, rtol=1e-14)
    np.testing.assert_allclose(control.agreement_gain, control.agreement - np.mean(agreements), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(control.divergence_gain, np.mean(divergences) - control.divergence, rtol=1e-12)
    gains = np.mean([predictive_divergences(teacher, each, **of) for each in controls], axis=0)
    gains = gains - predictive_divergences(teacher, student, **of)
    np.testing.assert_allclose(control.divergence_gain_error, scipy.stats.sem(gains), rtol=1e-12)
    same = predicted_classes(teacher) == predicted_classes(student)
    others = np.mean([predicted_classes(teacher) == predicted_classes(each) for each in controls], axis=0)
    np.testing.assert_allclose(control.agreement_gain_error, scipy.stats.sem(same - others), rtol=1e-12)


def test_a_student_that_is_its_own_control_gains_nothing():
    teacher, student, _ = models(0)
    control = independent_student_control(teacher, student, student)
    assert control.agreement_gain == control.agreement_gain_error == 0.0
    assert control.divergence_gain == control.divergence_gain_error == 0.0
    np.testing.assert_array_equal(control.control_agreements, [control.agreement])


def test_students_of_other_teachers_agree_because_they_generalise():
    """Models that share only a signal: a student of none has no gain, one that saw the teacher has."""
    rng = np.random.default_rng(0)
    signal = 4.0 * rng.standard_normal((2000, 10))
    teacher, stranger, *others = (signal + 2.0 * rng.standard_normal(signal.shape) for _ in range(6))
    pupil = teacher + 0.5 * rng.standard_normal(signal.shape)
    none = independent_student_control(teacher, stranger, others)
    some = independent_student_control(teacher, pupil, others)
    assert min(none.control_agreements) > 0.4
    assert abs(none.agreement_gain) < 3.0 * none.agreement_gain_error
    assert abs(none.divergence_gain) < 3.0 * none.divergence_gain_error
    assert some.agreement_gain > 10.0 * some.agreement_gain_error
    assert some.divergence_gain > 10.0 * some.divergence_gain_error


def two_classes(values):
    """Logits whose second class has the given logit-transformed probabilities."""
    return np.column_stack([np.zeros(len(values)), values])


@given(
    seeds,
    st.floats(-3.0, 3.0),
    st.floats(-5.0, 5.0),
    st.sampled_from([0.1, 0.25, 1.0]),
    st.sampled_from(["low", "high"]),
)
def test_the_slope_of_an_affine_student_is_exact(seed, slope, intercept, quantile, side):
    x = np.random.default_rng(seed).uniform(0.5, 8.0, size=40)
    fit = exaggeration_slope(two_classes(x), two_classes(slope * x + intercept), quantile, side, n_resamples=100)
    scale = 1e-12 * (1.0 + abs(intercept))
    assert fit.slope == pytest.approx(slope, rel=1e-12, abs=scale)
    assert fit.intercept == pytest.approx(intercept, rel=1e-12, abs=10.0 * scale)
    assert fit.n_points == round(40 * quantile)
    assert fit.interval == pytest.approx((slope, slope), abs=1e-10)
    assert fit.threshold == np.sort(x)[fit.n_points - 1 if side == "low" else -fit.n_points]


@given(seeds, st.floats(0.1, 1.0), st.sampled_from(["low", "high"]), st.booleans(), temperatures)
def test_the_slope_is_that_of_scipy_on_the_points_of_that_side(seed, quantile, side, true_class, temperature):
    teacher, student, labels = models(seed, n=60)
    classes = labels if true_class else None
    at = labels if true_class else np.argmax(teacher, axis=1)
    x, y = (logit_transformed_probabilities(z, at, temperature=temperature) for z in (teacher, student))
    points = logit_logit_points(teacher, student, classes=classes, temperature=temperature)
    np.testing.assert_array_equal(points, (x, y))
    order = np.argsort(x if side == "low" else -x)[: int(np.ceil(round(quantile * 60, 6)))]
    fit = exaggeration_slope(
        teacher, student, quantile, side, classes=classes, temperature=temperature, n_resamples=100
    )
    expected = scipy.stats.linregress(x[order], y[order])
    assert fit.n_points == len(order)
    assert fit.slope == pytest.approx(expected.slope, rel=1e-10, abs=1e-12)
    assert fit.intercept == pytest.approx(expected.intercept, rel=1e-10, abs=1e-11)


def test_points_that_tie_with_the_last_are_taken_and_shares_are_not_hurt_by_rounding():
    x = np.array([1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0])
    assert exaggeration_slope(two_classes(x), two_classes(x**2)).n_points == 4
    assert exaggeration_slope(two_classes(x), two_classes(x**2), 0.3, "high").n_points == 4
    many = np.arange(1.0, 101.0)
    assert 0.07 * 100 > 7.0  # by rounding
    assert exaggeration_slope(two_classes(many), two_classes(many), 0.07).n_points == 7


def test_the_interval_is_that_of_scipy_but_for_the_draws():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 5.0, 400)
    y = 1.3 * x + rng.standard_normal(400) * x
    fit = exaggeration_slope(two_classes(x), two_classes(y), 0.5, n_resamples=4000, confidence_level=0.9)
    order = np.argsort(x)[:200]
    boot = scipy.stats.bootstrap(
        (x[order], y[order]),
        lambda a, b: scipy.stats.linregress(a, b).slope,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=4000,
        confidence_level=0.9,
        rng=np.random.default_rng(1),
    )
    tolerance = 0.15 * boot.standard_error
    assert fit.standard_error == pytest.approx(boot.standard_error, rel=0.05)
    assert fit.interval[0] == pytest.approx(boot.confidence_interval.low, abs=tolerance)
    assert fit.interval[1] == pytest.approx(boot.confidence_interval.high, abs=tolerance)
    assert fit.confidence_level == 0.9


@pytest.mark.parametrize("side", ["low", "high"])
def test_intervals_cover_the_slope_as_often_as_they_say(side):
    """Of 300 samples, 95 per cent but for three standard errors; noise grows with the teacher's confidence."""
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(300):
        x = rng.uniform(0.1, 5.0, 240)
        y = 1.4 * x - 0.3 + (0.2 + 0.3 * x) * rng.standard_normal(240)
        fit = exaggeration_slope(two_classes(x), two_classes(y), 0.25, side, n_resamples=300, random_state=trial)
        covered += fit.interval[0] <= 1.4 <= fit.interval[1]
    assert 0.91 <= covered / 300 <= 0.99


def test_draws_come_from_the_seed_alone():
    teacher, student, _ = models(0)
    first = exaggeration_slope(teacher, student, random_state=3)
    assert first == exaggeration_slope(teacher, student, random_state=3)
    assert first == exaggeration_slope(teacher, student, random_state=np.random.default_rng(3))
    other = exaggeration_slope(teacher, student, random_state=4)
    assert first.slope == other.slope
    assert first.interval != other.interval


def test_resamples_without_a_slope_do_not_count():
    """Two of the three points have one and the same value of the teacher."""
    x, y = np.array([1.0 / 3.0, 1.0 / 3.0, 1e3]), np.array([0.0, 1.0, 2.0])
    fit = exaggeration_slope(two_classes(x), two_classes(y), 1.0, n_resamples=500)
    slopes = np.array([2.0, 1.5, 1.0, 5.0 / 3.0, 4.0 / 3.0]) / (1e3 - 1.0 / 3.0)
    assert fit.interval[0] == pytest.approx(min(slopes), rel=1e-10)
    assert fit.interval[1] == pytest.approx(max(slopes), rel=1e-10)
    assert fit.slope == pytest.approx(slopes[1], rel=1e-12)


def test_resamples_without_an_outlier_count():
    """About a third: their points are close together, on a line of slope 2."""
    x = np.append(1.0 + 1e-7 * np.arange(100.0) / 100.0, 1e3)
    y = np.append(2.0 * x[:-1], 0.0)
    fit = exaggeration_slope(two_classes(x), two_classes(y), 1.0)
    assert abs(fit.slope) < 0.01
    assert fit.interval[1] == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("size", [1e-200, 1e-8, 1e200])
def test_slopes_do_not_depend_on_the_size_of_the_logits(size):
    rng = np.random.default_rng(0)
    x = rng.uniform(1.0, 2.0, 30)
    y = 2.0 * x + 0.1 * rng.standard_normal(30)
    fit = exaggeration_slope(two_classes(size * x), two_classes(size * y))
    plain = exaggeration_slope(two_classes(x), two_classes(y))
    assert fit.slope == pytest.approx(plain.slope, rel=1e-12)
    assert fit.interval == pytest.approx(plain.interval, rel=1e-9)


@given(seeds)
def test_the_four_groups_of_a_dissection_add_up(seed):
    teacher, student, labels = models(seed)
    groups = dissect(teacher, student, labels)
    assert sum(groups.counts.values()) == 50
    assert sum(groups.shares.values()) == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_array_equal(sum(mask.astype(int) for mask in groups.masks.values()), 1)
    right = [(np.argmax(t) == y, np.argmax(s) == y) for t, s, y in zip(teacher, student, labels, strict=True)]
    names = {(1, 1): "both", (1, 0): "only_teacher", (0, 1): "only_student", (0, 0): "neither"}
    for index, pair in enumerate(right):
        assert groups.masks[names[pair]][index]
    assert groups.shares["both"] + groups.shares["only_teacher"] == pytest.approx(accuracy(teacher, labels))
    assert groups.shares["both"] + groups.shares["only_student"] == pytest.approx(accuracy(student, labels))
    swapped = dissect(student, teacher, labels)
    np.testing.assert_array_equal(swapped.only_teacher, groups.only_student)


def test_means_of_groups_leave_empty_groups_out():
    teacher, student, labels = models(1)
    groups = dissect(teacher, student, labels)
    values = np.arange(50.0)
    for name, mean in groups.means(values).items():
        assert mean == pytest.approx(np.mean(values[groups.masks[name]]), rel=1e-14)
    overall = sum(groups.counts[name] * mean for name, mean in groups.means(values).items())
    assert overall == pytest.approx(np.sum(values), rel=1e-13)
    assert set(dissect(teacher, teacher, np.argmax(teacher, axis=1)).means(values)) == {"both"}
    with pytest.raises(
        ValueError,
        match="values must have shape (50,), one for each point, got (49,)".replace("(", r"\(").replace(")", r"\)"),
    ):
        groups.means(values[1:])


@pytest.mark.parametrize(
    "make", [array_api_strict.asarray, jnp.asarray, pd.DataFrame, np.ndarray.tolist, np.asfortranarray]
)
def test_logits_may_come_from_any_library(make):
    teacher, student, labels = models(3)
    t, s = make(teacher), make(student)
    np.testing.assert_array_equal(predictive_divergences(t, s), predictive_divergences(teacher, student))
    assert top1_agreement(t, s) == top1_agreement(teacher, student)
    assert expected_calibration_error(t, labels.tolist()) == expected_calibration_error(teacher, labels)
    assert exaggeration_slope(t, s) == exaggeration_slope(teacher, student)
    assert dissect(t, s, labels).counts == dissect(teacher, student, labels).counts
    assert negative_log_likelihood(t, labels) == negative_log_likelihood(teacher, labels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_logits_of_less_precision_are_computed_with_in_double_precision(dtype):
    teacher, student, _ = (array.astype(dtype) for array in models(4))
    np.testing.assert_array_equal(
        predictive_divergences(teacher, student),
        predictive_divergences(teacher.astype(np.float64), student.astype(np.float64)),
    )


def test_blocks_of_rows_change_nothing(monkeypatch):
    teacher, student, labels = models(5)

    def results():
        return [
            predictive_divergences(teacher, student),
            predictive_entropies(teacher),
            logit_transformed_probabilities(teacher, labels),
            predicted_classes(student),
            reliability_diagram(teacher, labels).gaps,
            negative_log_likelihood(teacher, labels),
        ]

    whole = results()
    monkeypatch.setattr(fidelity._logits, "_BLOCK", 12)
    for one, other in zip(results(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)


def test_work_memory_is_bounded():
    """300,000 rows of 10 classes, 24 MB for each model."""
    rng = np.random.default_rng(0)
    teacher, student = rng.standard_normal((2, 300_000, 10))
    labels = rng.integers(10, size=300_000)
    tracemalloc.start()
    predictive_kl(teacher, student)
    negative_log_likelihood(teacher, labels)
    expected_calibration_error(teacher, labels)
    exaggeration_slope(teacher, student, n_resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6


GOOD = [[0.0, 2.0, 1.0], [3.0, 1.0, 0.0]]
PAIRS = [
    top1_agreement,
    predictive_kl,
    predictive_divergences,
    logit_logit_points,
    exaggeration_slope,
    lambda teacher, student: dissect(teacher, student, [0, 1]),
    lambda teacher, student: independent_student_control(teacher, student, GOOD),
]
LABELLED = [accuracy, negative_log_likelihood, expected_calibration_error, reliability_diagram]


@pytest.mark.parametrize("metric", PAIRS)
@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        ([[0.0, np.nan, 1.0], GOOD[1]], GOOD, "teacher_logits must be finite, got nan at index (0, 1)"),
        (GOOD, [GOOD[0], [0.0, 1.0, -np.inf]], "student_logits must be finite, got -inf at index (1, 2)"),
        ([[0.0, 2.0], [3.0, 1.0]], GOOD, "student_logits must have the 2 classes of teacher_logits, got 3 in an array"),
        (GOOD, [[0.0, 2.0], [3.0, 1.0]], "student_logits must have the 3 classes of teacher_logits, got 2 in an array"),
        (GOOD, GOOD[:1], "student_logits must have the 2 points of teacher_logits, got 1 in an array of shape (1, 3)"),
        (np.zeros((2, 1)), GOOD, "teacher_logits must have 2 columns or more, one for each class, got shape (2, 1)"),
        (np.zeros(3), GOOD, "teacher_logits must be 2-dimensional, got shape (3,)"),
        (GOOD, np.zeros((1, 2, 3)), "student_logits must be 2-dimensional, got shape (1, 2, 3)"),
        (np.zeros((0, 3)), GOOD, "teacher_logits must not be empty, got shape (0, 3)"),
        (GOOD, [[1e301, 0.0, 0.0], GOOD[1]], "student_logits must be at most 1e300 in size, also over the temperature"),
    ],
)
def test_wrong_pairs_of_logits_are_named(metric, teacher, student, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(teacher, student)


@pytest.mark.parametrize("metric", LABELLED)
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[np.inf, 0.0]], [0], "logits must be finite, got inf at index (0, 0)"),
        ([[0.0], [1.0]], [0, 0], "logits must have 2 columns or more, one for each class, got shape (2, 1)"),
        (GOOD, [0, 3], "labels must lie in 0..2, got 3"),
        (GOOD, [-1, 0], "labels must lie in 0..2, got -1"),
        (GOOD, [0], "labels must be 2 integers, one label a point, got shape (1,)"),
        (GOOD, [0.0, 1.0], "labels must be 2 integers, one label a point, got shape (2,) of dtype float64"),
    ],
)
def test_wrong_logits_and_labels_are_named(metric, logits, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(logits, labels)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize(
    "metric",
    [
        lambda **of: predictive_kl(GOOD, GOOD, **of),
        lambda **of: predictive_entropy(GOOD, **of),
        lambda **of: negative_log_likelihood(GOOD, [0, 1], **of),
        lambda **of: expected_calibration_error(GOOD, [0, 1], **of),
        lambda **of: logit_transformed_probabilities(GOOD, [0, 1], **of),
        lambda **of: exaggeration_slope(GOOD, GOOD, **of),
        lambda **of: independent_student_control(GOOD, GOOD, GOOD, **of),
    ],
)
def test_wrong_temperatures_are_named(metric, temperature):
    with pytest.raises(ValueError, match="temperature must be"):
        metric(temperature=temperature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantile": 0.0}, "quantile must be > 0 and <= 1, got 0.0"),
        ({"quantile": 1.5}, "quantile must be > 0 and <= 1, got 1.5"),
        ({"quantile": np.nan}, "quantile must be finite, got nan"),
        ({"side": "left"}, 'side must be "low" or "high", got \'left\''),
        ({"confidence_level": 1.0}, "confidence_level must be > 0 and < 1, got 1.0"),
        ({"confidence_level": 0.0}, "confidence_level must be > 0 and < 1, got 0.0"),
        ({"n_resamples": 99}, "n_resamples must be >= 100, got 99"),
        ({"random_state": -1}, "random_state must be an integer >= 0 or a numpy.random.Generator, got -1"),
        ({"classes": [0, 5]}, "classes must lie in 0..2, got 5"),
        ({}, "teacher_logits must have 3 points or more on the low side, with different probabilities"),
    ],
)
def test_wrong_arguments_of_the_slope_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        exaggeration_slope(GOOD, GOOD, **arguments)


def test_equal_values_of_the_teacher_have_no_slope():
    with pytest.raises(ValueError, match="got 20 with 1 different ones"):
        exaggeration_slope(two_classes(np.full(20, 0.1)), two_classes(np.arange(20.0)))
    flat = exaggeration_slope(two_classes(np.arange(1.0, 21.0)), two_classes(np.full(20, 0.1)))
    assert flat.slope == 0.0
    assert flat.interval == (0.0, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: independent_student_control(GOOD[:1], GOOD[:1], GOOD[:1]),
            "teacher_logits must have 2 points or more",
        ),
        (
            lambda: independent_student_control(GOOD, GOOD, np.zeros((2, 2, 4))),
            "control_logits must have the 3 classes",
        ),
        (lambda: independent_student_control(GOOD, GOOD, np.zeros((2, 5, 3))), "control_logits must have the 2 points"),
        (lambda: independent_student_control(GOOD, GOOD, np.zeros((0, 2, 3))), "control_logits must not be empty"),
        (lambda: agreement_bounds(1.5, 0.5), "teacher_accuracy must be <= 1, got 1.5"),
        (lambda: agreement_bounds(0.5, -0.5), "student_accuracy must be >= 0, got -0.5"),
        (lambda: reliability_diagram(GOOD, [0, 1], 0), "n_bins must be >= 1, got 0"),
        (lambda: predictive_entropies([[1e299, 0.0]], temperature=0.01), "logits must be at most 1e300 in size"),
        (lambda: predictive_entropies([[0.0, -1e301]]), "logits must be at most 1e300 in size"),
    ],
)
def test_other_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@settings(max_examples=50)
@given(seeds, st.sampled_from([1e-300, 1.0, 1e150, 1e299]))
def test_no_nan_and_no_infinity_comes_of_the_largest_logits(seed, size):
    teacher, student, labels = (
        (np.random.default_rng(seed).standard_normal((2, 6, 3)) * size / 6.0).clip(-size, size),
        0,
        0,
    )
    teacher, student = teacher
    labels = np.arange(6) % 3
    for values in (
        predictive_divergences(teacher, student),
        predictive_entropies(teacher),
        negative_log_likelihood(teacher, labels),
        reliability_diagram(teacher, labels).gaps,
        logit_logit_points(teacher, student),
        independent_student_control(teacher, student, student[::-1]).divergence_gain_error,
    ):
        assert np.all(np.isfinite(values))
