"""Students that rank labels: their objectives and training."""

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.special
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from kdtheory.ranking import (
    METHODS,
    DistilledTargets,
    DoubleDistilledTargets,
    LinearRanker,
    LogitDoubleDistilledTargets,
    OneHotTargets,
    RankerConvergenceWarning,
    StudentComparison,
    compare_students,
    linear,
    precision_table,
    ranking_objective,
    train_ranker,
    training,
)
from kdtheory.retrieval import LabelledRows, labels_from_classes, multiclass_examples, precision_at_k
from tests.labelled_rows import random_rows


def some_ranker(seed, width=3, n_features=6, n_labels=5):
    rng = np.random.default_rng(seed)
    return LinearRanker(rng.standard_normal((n_features, width)), rng.standard_normal((width, n_labels)), 0, True)


TEACHER = some_ranker(7, width=4)
TARGETS = [
    OneHotTargets(),
    DistilledTargets(TEACHER),
    DoubleDistilledTargets(TEACHER),
    LogitDoubleDistilledTargets(TEACHER, 0.7),
]


def name_of(targets):
    return type(targets).__name__


@pytest.mark.parametrize("targets", TARGETS, ids=name_of)
@pytest.mark.parametrize("dense", [True, False])
def test_gradients_are_those_of_finite_differences(targets, dense):
    rows, student = random_rows(3), some_ranker(1)
    if dense:
        rows = LabelledRows(rows.features.toarray(), rows.labels)
    shape, split = student.input_weights.shape, student.input_weights.size

    def objective(flat):
        return ranking_objective(flat[:split].reshape(shape), flat[split:].reshape(3, 5), rows, targets, penalty=0.3)

    flat = np.concatenate([student.input_weights.ravel(), student.output_weights.ravel()])
    value, *gradients = objective(flat)
    numeric = scipy.optimize.approx_fprime(flat, lambda flat: objective(flat)[0], 1e-6)
    found = np.concatenate([gradient.ravel() for gradient in gradients])
    np.testing.assert_allclose(found, numeric, atol=1e-5 * max(1.0, abs(value)))


@pytest.mark.parametrize("targets", TARGETS, ids=name_of)
def test_rows_of_many_labels_weigh_as_their_examples(targets):
    """Against the paper's way, one example for each label; alike for one-hot labels in sum, so in their mean."""
    rows, student = random_rows(4), some_ranker(2)
    features, classes = multiclass_examples(rows)
    examples = LabelledRows(features, labels_from_classes(classes, n_labels=5))
    weights = student.input_weights, student.output_weights
    for found, expected in zip(
        ranking_objective(*weights, rows, targets, penalty=0.1),
        ranking_objective(*weights, examples, targets, penalty=0.1),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_objectives_are_the_cross_entropies_they_claim_to_be():
    rows, student = random_rows(5), some_ranker(3)
    features, classes = multiclass_examples(rows)
    log_q = scipy.special.log_softmax(student.scores(features), axis=1)
    weights = student.input_weights, student.output_weights
    penalty = 0.05 * sum(np.sum(part**2) for part in weights)
    one_hot = -np.mean(log_q[np.arange(len(classes)), classes])
    assert ranking_objective(*weights, rows, OneHotTargets(), penalty=0.1)[0] == pytest.approx(one_hot + penalty)
    p = scipy.special.softmax(TEACHER.scores(features), axis=1)
    distilled = -np.mean(np.sum(p * log_q, axis=1))
    assert ranking_objective(*weights, rows, DistilledTargets(TEACHER), penalty=0.1)[0] == pytest.approx(
        distilled + penalty
    )


@pytest.mark.parametrize("targets", TARGETS, ids=name_of)
def test_batches_change_neither_the_objective_nor_the_precision(targets, monkeypatch):
    rows, student = random_rows(6), some_ranker(4)
    weights = student.input_weights, student.output_weights
    whole = ranking_objective(*weights, rows, targets, penalty=0.1)
    precision = student.precision(rows)
    for k, share in zip((1, 3, 5), precision, strict=True):
        assert share == pytest.approx(precision_at_k(student.scores(rows.features), rows.labels, k), rel=1e-14)
    monkeypatch.setattr(linear, "SCORES_AT_ONCE", 17)
    for found, expected in zip(ranking_objective(*weights, rows, targets, penalty=0.1), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(student.precision(rows), precision, rtol=1e-14)


def test_negatives_weigh_by_the_teachers_centred_logits():
    rows = random_rows(8)
    shifted = LinearRanker(TEACHER.input_weights, TEACHER.output_weights + 1.3, 0, True)
    p, psi = LogitDoubleDistilledTargets(shifted, 2.0).of(rows)
    logits = TEACHER.scores(rows.features)
    centred = logits - logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(p, scipy.special.softmax(logits, axis=1), rtol=1e-9)
    np.testing.assert_allclose(psi, scipy.special.expit(-2.0 * centred), rtol=1e-9)
    assert np.all(np.sum(DoubleDistilledTargets(TEACHER).of(rows)[1], axis=1) == pytest.approx(4.0))


@pytest.mark.parametrize("targets", TARGETS, ids=name_of)
def test_training_ends_where_the_gradient_is_zero(targets):
    rows = random_rows(9)
    ranker = train_ranker(rows, targets, width=2, penalty=0.05, max_iterations=2000)
    assert ranker.converged
    assert 0 < ranker.n_iterations < 2000
    _, *gradients = ranking_objective(ranker.input_weights, ranker.output_weights, rows, targets, penalty=0.05)
    assert max(np.max(np.abs(gradient)) for gradient in gradients) < 1e-3


def test_training_says_when_it_stopped_before_the_end_and_repeats_by_its_seed():
    rows = random_rows(10)
    trained = []
    for seed in (1, 1, 2):
        with pytest.warns(RankerConvergenceWarning, match="stopped at max_iterations = 3 before it was over") as seen:
            trained.append(train_ranker(rows, OneHotTargets(), width=2, max_iterations=3, random_state=seed))
        assert seen[0].filename == __file__
    first, again, other = trained
    assert not first.converged
    assert first.n_iterations == 3
    np.testing.assert_array_equal(first.input_weights, again.input_weights)
    assert np.any(first.input_weights != other.input_weights)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "width must be >= 1, got 0"),
        ({"penalty": -1.0}, "penalty must be >= 0, got -1.0"),
        ({"max_iterations": 0}, "max_iterations must be >= 1, got 0"),
        ({"random_state": -1}, "random_state must be an integer >= 0"),
        ({"rows": LabelledRows(np.ones((2, 2)), csr_array((2, 3)))}, "rows must have at least one label, got none"),
    ],
)
def test_training_on_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        train_ranker(**{"rows": random_rows(0), "targets": OneHotTargets(), "width": 2} | changed)


@pytest.mark.parametrize(
    ("targets", "got"),
    [(OneHotTargets, "the class OneHotTargets"), (None, "a value of type NoneType"), (TEACHER, "LinearRanker")],
)
def test_targets_that_are_none_are_refused(targets, got):
    rows, weights = random_rows(0), (TEACHER.input_weights, TEACHER.output_weights)
    with pytest.raises(TypeError, match=f"targets must be such as OneHotTargets\\(\\) .*, got .*{got}"):
        train_ranker(rows, targets, width=2)
    with pytest.raises(TypeError, match="targets must be such as"):
        ranking_objective(*weights, rows, targets, penalty=0.1)


@pytest.mark.parametrize("kind", [DistilledTargets, DoubleDistilledTargets, LogitDoubleDistilledTargets])
def test_teachers_must_be_rankers_of_the_same_features_and_labels(kind):
    for teacher in ("teacher", np.zeros((5, 6)), LinearRanker, LogisticRegression()):
        with pytest.raises(TypeError, match="teacher must be a LinearRanker, such as train_ranker makes, got "):
            kind(teacher)
    for part, other in (("features", some_ranker(0, n_features=7)), ("labels", some_ranker(0, n_labels=4))):
        with pytest.raises(ValueError, match=rf"teacher must have as many {part} as rows, (6|5), got (7|4)"):
            train_ranker(random_rows(0), kind(other), width=2)


def test_scores_are_of_features_that_fit():
    with pytest.raises(ValueError, match="X must have 6 features, as the ranker, got 7"):
        TEACHER.scores(np.zeros((2, 7)))
    with pytest.raises(ValueError, match=r"X must be 2-dimensional, got shape \(6,\)"):
        TEACHER.scores(np.zeros(6))
    frame = pd.DataFrame(np.eye(6))
    np.testing.assert_array_equal(TEACHER.scores(frame), TEACHER.scores(np.eye(6)))


@pytest.mark.parametrize(
    ("ks", "error", "message"),
    [
        (5, TypeError, r"ks must be a sequence of integers, such as \[5\], got 5"),
        ([2.5], TypeError, "ks must be an integer, got 2.5"),
        ([0], ValueError, "ks must be >= 1, got 0"),
        ([], ValueError, "ks must hold at least one number, got none"),
    ],
)
def test_depths_that_are_none_are_refused(ks, error, message):
    rows = random_rows(0)
    with pytest.raises(error, match=message):
        TEACHER.precision(rows, ks)
    with pytest.raises(error, match=message):
        compare_students(rows, rows, rows, teacher_width=2, student_width=1, ks=ks)
    with pytest.raises(error, match=message):
        precision_table([comparison(np.zeros((5, 1)))] * 2, ks)
    with pytest.raises(ValueError, match="ks must be <= 5, the number of labels, got 6"):
        compare_students(rows, rows, rows, teacher_width=2, student_width=1, ks=[6])


def test_scales_must_be_positive_and_parts_must_fit():
    with pytest.raises(ValueError, match="scale must be > 0, got 0.0"):
        LogitDoubleDistilledTargets(TEACHER, 0.0)
    rows, widths = random_rows(0), {"teacher_width": 2, "student_width": 1}
    with pytest.raises(ValueError, match="test must have as many labels as train, 5, got 4"):
        compare_students(rows, rows, random_rows(0, n_labels=4), **widths)
    with pytest.raises(ValueError, match="validation must have as many features as train, 6, got 7"):
        compare_students(rows, random_rows(0, n_features=7), rows, **widths)
    with pytest.raises(ValueError, match="penalties must hold at least one number, got none"):
        compare_students(rows, rows, rows, penalties=(), **widths)
    with pytest.raises(ValueError, match="scale must be > 0, got 0.0"):
        compare_students(rows, rows, rows, scale=0.0, **widths)
    with pytest.raises(ValueError, match="rows must not be empty, got none"):
        TEACHER.precision(rows[:0])


def comparison(precisions, penalty=0.01, n_unconverged=0):
    candidates = np.array([0.01, 0.1, 1.0])
    return StudentComparison(
        np.asarray(precisions), np.full(len(METHODS), penalty), candidates, np.full(len(METHODS), n_unconverged)
    )


def test_training_starts_from_weights_that_keep_the_size_of_features():
    """With a single label all losses are zero, and the start is the end."""
    rows = LabelledRows(np.ones((1, 1000)), csr_array([[1.0]]))
    ranker = train_ranker(rows, OneHotTargets(), width=800, penalty=0.0)
    assert np.std(ranker.input_weights) == pytest.approx(1000**-0.5, rel=0.01)
    assert np.std(ranker.output_weights) == pytest.approx(800**-0.5, rel=0.1)


def test_only_iterations_limit_the_training(monkeypatch):
    """Not evaluations, of which an iteration can need several."""
    asked = {}

    def minimize(*arguments, options, **settings):
        asked.update(options)
        return scipy.optimize.minimize(*arguments, options=options, **settings)

    monkeypatch.setattr(training, "minimize", minimize)
    train_ranker(random_rows(0), OneHotTargets(), width=2, penalty=0.3, max_iterations=2000)
    assert asked["maxiter"] == 2000
    assert asked["maxfun"] > 2**31


def test_targets_are_made_once_where_they_can_be_kept(monkeypatch):
    calls = []

    class Counted(DistilledTargets):
        def of(self, rows):
            calls.append(len(rows))
            return super().of(rows)

    rows = random_rows(0)
    kept = train_ranker(rows, Counted(TEACHER), width=2, penalty=0.3)
    assert calls == [11]  # one of twelve has no label
    monkeypatch.setattr(training, "TARGETS_KEPT", 54)
    again = train_ranker(rows, Counted(TEACHER), width=2, penalty=0.3)
    assert len(calls) > kept.n_iterations
    np.testing.assert_array_equal(again.input_weights, kept.input_weights)


def test_labels_as_targets_need_a_label_in_every_row():
    with pytest.raises(ValueError, match="rows must have at least one label each, got none in row 2"):
        OneHotTargets().of(random_rows(0))
