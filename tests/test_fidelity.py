"""Predictions, agreement and divergences of teachers and students: against scikit-learn, scipy and mpmath."""

from itertools import product

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.fidelity import (
    accuracy,
    agreement_bounds,
    dissect,
    independent_student_control,
    logit_transformed_probabilities,
    negative_log_likelihood,
    predicted_classes,
    predictive_divergences,
    predictive_entropies,
    predictive_entropy,
    predictive_kl,
    top1_agreement,
)
from tests.logits import exact_divergence, exact_entropy, exact_logit_transform, exact_loss, models, seeds, temperatures

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
