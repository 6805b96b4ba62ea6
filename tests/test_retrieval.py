"""Retrieval: the text format, precision of rankings, and students that rank labels."""

import dataclasses
import gzip

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array, csr_matrix
from sklearn.linear_model import LogisticRegression

from kdtheory import _rankers, ranking
from kdtheory.ranking import (
    METHODS,
    DistilledTargets,
    DoubleDistilledTargets,
    LinearRanker,
    LogitDoubleDistilledTargets,
    OneHotTargets,
    RankerConvergenceWarning,
    compare_students,
    precision_table,
    ranking_objective,
    train_ranker,
)
from kdtheory.retrieval import (
    LabelledRows,
    RetrievalFileError,
    labels_from_classes,
    load_retrieval_file,
    multiclass_examples,
    precision_at_k,
    read_retrieval_file,
)
from tests.examples import call_example, load_example


def random_rows(seed, n=12, n_features=6, n_labels=5):
    """Sparse rows, of which some have no label and some no feature."""
    rng = np.random.default_rng(seed)
    features = np.where(rng.random((n, n_features)) < 0.5, rng.standard_normal((n, n_features)), 0.0)
    labels = (rng.random((n, n_labels)) < 0.4).astype(float)
    features[1], labels[2], labels[3] = 0.0, 0.0, 1.0
    return LabelledRows(csr_array(features), csr_array(labels))


def write(path, rows, end="\n"):
    lines = [f"{len(rows)} {rows.features.shape[1]} {rows.labels.shape[1]}"]
    for features, labels in zip(rows.features.toarray(), rows.labels.toarray(), strict=True):
        pairs = [f"{number}:{float(features[number])!r}" for number in np.flatnonzero(features)]
        lines.append(" ".join([",".join(map(str, np.flatnonzero(labels))), *pairs]) or " ")
    path.write_bytes((end.join(lines) + end).encode())
    return path


def text_file(tmp_path, text):
    path = tmp_path / "rows.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("chunk_rows", [1, 5, 12, 100])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_chunks_hold_every_row_once_and_no_more_than_asked(chunk_rows, end, tmp_path):
    rows = random_rows(0)
    chunks = list(read_retrieval_file(write(tmp_path / "rows.txt", rows, end), chunk_rows=chunk_rows))
    assert [len(chunk) for chunk in chunks[:-1]] == [chunk_rows] * (len(chunks) - 1)
    assert 0 < len(chunks[-1]) <= chunk_rows
    for part in ("features", "labels"):
        stacked = np.vstack([getattr(chunk, part).toarray() for chunk in chunks])
        np.testing.assert_array_equal(stacked, getattr(rows, part).toarray())


def test_a_whole_file_is_its_chunks(tmp_path):
    rows = random_rows(1)
    found = load_retrieval_file(write(tmp_path / "rows.txt", rows))
    np.testing.assert_array_equal(found.features.toarray(), rows.features.toarray())
    np.testing.assert_array_equal(found.labels.toarray(), rows.labels.toarray())


def test_compressed_files_are_read_by_their_ending(tmp_path):
    rows = random_rows(1)
    plain = write(tmp_path / "rows.txt", rows)
    packed = tmp_path / "rows.txt.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    np.testing.assert_array_equal(load_retrieval_file(packed).features.toarray(), rows.features.toarray())
    whole = packed.read_bytes()
    changed = whole[:40] + bytes([whole[40] ^ 255]) + whole[41:]
    for damaged in (whole[:-12], plain.read_bytes(), changed):
        packed.write_bytes(damaged)
        with pytest.raises(RetrievalFileError, match="must be a whole gzip file|line") as info:
            load_retrieval_file(packed)
        assert str(info.value).startswith(str(packed))
    plain.write_bytes(whole)
    with pytest.raises(RetrievalFileError, match="line 1: .*, got bytes that are no text: unpack the file first"):
        load_retrieval_file(plain)


def test_all_ways_to_write_a_number_are_read(tmp_path):
    path = text_file(tmp_path, "2 9 3\n2,0  8:1 0:-2.5  1:+.5 2:3. 3:1e2 4:2.5E-1 \n1\n\n  \n")
    rows = load_retrieval_file(path)
    np.testing.assert_array_equal(rows.features.toarray()[0], [-2.5, 0.5, 3.0, 100.0, 0.25, 0.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(rows.labels.toarray(), [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert rows.features[[1]].nnz == 0


def test_a_file_is_read_no_further_than_the_chunks_that_are_taken(tmp_path):
    path = text_file(tmp_path, "4 2 2\n0 0:1\n1 1:1\nbad\n1 1:1\n")
    chunks = read_retrieval_file(path, chunk_rows=2)
    assert len(next(chunks)) == 2
    with pytest.raises(RetrievalFileError, match="line 4: labels must be"):
        next(chunks)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the header must be three integers > 0, n_points n_features n_labels, got ''"),
        ("2 3\n0 0:1\n", 1, "got '2 3'"),
        ("2 3 4 5\n", 1, "got '2 3 4 5'"),
        ("2 3 -4\n", 1, "got '2 3 -4'"),
        ("2 0 4\n", 1, "got '2 0 4'"),
        ("2 3 4.0\n", 1, "got '2 3 4.0'"),
        ("0,1 0:1.5 3:2\n", 1, "got '0,1 0:1.5 3:2'"),
        ("2 3 4\n0 0:1\n", 3, "the header says 2 rows, got the end of the file after 1"),
        ("2 3 4\n", 2, "the header says 2 rows, got the end of the file after 0"),
        ("1 3 4\n0 0:1\n1 1:1\n", 3, "the file must end after the 1 rows of its header, got '1 1:1'"),
        ("2 3 4\n\n0 0:1\n", 2, "a row must not be empty: one without labels starts with a space"),
        (
            "2 3 4\n0 0:1\n0:1 1:2\n",
            3,
            "labels must be integers with commas between, before the first space, got '0:1'",
        ),
        ("1 3 4\n0,,1 0:1\n", 2, "got '0,,1'"),
        ("1 3 4\n0,1, 0:1\n", 2, "got '0,1,'"),
        ("1 3 4\n-1 0:1\n", 2, "got '-1'"),
        ("1 3 4\n1_0 0:1\n", 2, "got '1_0'"),
        ("1 3 4\n0\t0:1\n", 2, r"got '0\t0:1'"),
        ("1 3 4\n4 0:1\n", 2, "labels must lie in 0..3, got 4"),
        ("1 3 4\n99999999999999999999 0:1\n", 2, "labels must lie in 0..3, got 100000000000000000000"),
        ("1 3 4\n1,2,1 0:1\n", 2, "labels must not repeat in a row, got 1 twice"),
        ("1 3 4\n0 3:1\n", 2, "features must lie in 0..2, got 3"),
        ("1 3 4\n0 0:1 2:1 0:1\n", 2, "features must not repeat in a row, got 0 twice"),
        ("1 3 4\n0 0:1 1\n", 2, "features must be written as number:value, got '1'"),
        ("1 3 4\n0 0:1 1:\n", 2, "got '1:'"),
        ("1 3 4\n0 0:nan\n", 2, "got '0:nan'"),
        ("1 3 4\n0 0:inf\n", 2, "got '0:inf'"),
        ("1 3 4\n0 0:1:2\n", 2, "got '0:1:2'"),
        ("1 3 4\n0 -1:2\n", 2, "got '-1:2'"),
        ("1 3 4\n0 1.0:2\n", 2, "got '1.0:2'"),
        ("1 3 4\n0 0 :2\n", 2, "got '0'"),
        ("1 3 4\n0 0:1e999\n", 2, "values must be at most about 1.8e308 in size, got a larger one"),
        (b"1 3 4\n0 0:1\xff\n", 2, "features must be written as number:value"),
        (b"\x1f\x8b\x08 3 4\n", 1, "the header must be three integers"),
        ("1 3 4\n０ 0:1\n", 2, "labels must be integers"),
    ],
)
def test_malformed_files_are_refused_with_the_number_of_the_line(text, line, message, tmp_path):
    path = text_file(tmp_path, text)
    with pytest.raises(RetrievalFileError) as info:
        list(read_retrieval_file(path))
    assert str(info.value).startswith(f"{path}, line {line}: ")
    assert message in str(info.value)


def test_long_rows_with_an_error_at_the_end_are_refused_at_once(tmp_path):
    """A pattern with two ways to match a number would try all of them."""
    row = "0 " + " ".join(f"{number}:12345678.12345678" for number in range(5000))
    with pytest.raises(RetrievalFileError, match="line 2: features must be written as number:value, got 'x'"):
        load_retrieval_file(text_file(tmp_path, f"1 5000 1\n{row} x\n"))


def test_wrong_arguments_are_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match="chunk_rows must be >= 1, got 0"):
        read_retrieval_file(tmp_path / "none.txt", chunk_rows=0)
    with pytest.raises(FileNotFoundError):
        load_retrieval_file(tmp_path / "none.txt")


@pytest.mark.parametrize("dense", [True, False])
def test_every_label_of_a_row_is_an_example(dense):
    rows = random_rows(2)
    if dense:
        rows = LabelledRows(rows.features.toarray(), rows.labels)
    features, classes = multiclass_examples(rows)
    expected = [
        (tuple(row), label)
        for row, relevant in zip(random_rows(2).features.toarray(), rows.labels.toarray(), strict=True)
        for label in np.flatnonzero(relevant)
    ]
    found = features if dense else features.toarray()
    assert [(tuple(row), label) for row, label in zip(found, classes, strict=True)] == expected


def test_rows_and_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"features must be 2-dimensional with 2 rows, .* got shape \(3, 1\)"):
        LabelledRows(np.zeros((3, 1)), csr_array(np.eye(2)))
    with pytest.raises(TypeError, match="labels must be a sparse array in CSR format, got ndarray"):
        LabelledRows(np.zeros((2, 1)), np.eye(2))
    with pytest.raises(TypeError, match="labels must be a sparse array in CSR format, got csc_array"):
        LabelledRows(np.zeros((2, 1)), csc_array(np.eye(2)))
    with pytest.raises(ValueError, match=r"classes must lie in 0\.\.2, got 3"):
        labels_from_classes([0, 3], n_labels=3)


def test_rows_are_arrays_whatever_they_were_made_from():
    values, labels = np.arange(6.0).reshape(3, 2), csr_array(np.eye(3))
    for features in (values, pd.DataFrame(values), values.tolist()):
        rows = LabelledRows(features, csr_matrix(np.eye(3)))
        assert isinstance(rows.labels, csr_array)
        np.testing.assert_array_equal(rows[np.array([2, 0])].features, values[[2, 0]])
        np.testing.assert_array_equal(rows[1:].labels.toarray(), np.eye(3)[1:])
        np.testing.assert_array_equal(rows[np.array([True, False, False])].features, values[:1])
    assert LabelledRows(csc_array(values), labels).features.format == "csr"
    for empty in (np.nan * values, csr_array(np.inf * values[:, 1:])):
        with pytest.raises(ValueError, match="features must be finite"):
            LabelledRows(empty, labels)
    with pytest.raises(TypeError, match="features must hold real numbers"):
        LabelledRows(pd.DataFrame({"name": ["a", "b", "c"]}), labels)
    with pytest.raises(TypeError, match="rows must be a slice or an array of row numbers or bools, got 1"):
        rows[1]


def slow_precision(scores, relevant, k):
    """Of rows of numbers, with ties to the lower number."""
    hits = 0
    for row, labels in zip(scores, relevant, strict=True):
        ranked = sorted(range(len(row)), key=lambda label: (-row[label], label))
        hits += sum(label in labels for label in ranked[:k])
    return hits / (k * len(scores))


@given(st.integers(0, 1000), st.integers(1, 5))
def test_precision_is_the_share_of_relevant_labels_at_the_top(seed, k):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, (7, 5)).astype(float)
    labels = rng.random((7, 5)) < 0.4
    expected = slow_precision(scores, [set(np.flatnonzero(row)) for row in labels], k)
    for sparse in (csr_array(labels), csc_array(labels), csr_array(2.0 * labels)):
        assert precision_at_k(scores, sparse, k) == pytest.approx(expected, rel=1e-14)
    for dense in (labels, labels.astype(int), labels.astype(float)):
        assert precision_at_k(scores, dense, k) == pytest.approx(expected, rel=1e-14)
    classes = rng.integers(0, 5, 7)
    expected = slow_precision(scores, [{label} for label in classes], k)
    assert precision_at_k(scores, classes, k) == pytest.approx(expected, rel=1e-14)
    assert precision_at_k(scores, labels_from_classes(classes, n_labels=5), k) == pytest.approx(expected, rel=1e-14)


def test_stored_zeros_are_not_relevant():
    labels = csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 3))
    assert precision_at_k([[3.0, 2.0, 1.0]], labels, 1) == 0.0
    assert precision_at_k([[3.0, 2.0, 1.0]], labels, 2) == 0.5


@pytest.mark.parametrize(
    ("scores", "labels", "k", "message"),
    [
        ([[0.0, 1.0]], [0], 3, "k must be <= 2, the number of labels, got 3"),
        ([[0.0, 1.0]], [0], 0, "k must be >= 1, got 0"),
        ([[0.0, np.nan]], [0], 1, "scores must be finite, got nan"),
        ([0.0, 1.0], [0], 1, r"scores must be 2-dimensional, got shape \(2,\)"),
        ([[0.0, 1.0]], [2], 1, r"labels must lie in 0\.\.1, got 2"),
        ([[0.0, 1.0]], [0.0], 1, "labels must be 1 integers"),
        ([[0.0, 1.0]], [0, 1], 1, "labels must be 1 integers"),
        ([[0.0, 1.0]], [[0.0, 2.0]], 1, r"labels of shape \(1, 2\) must hold 0 or 1 only, got 2"),
        ([[0.0, 1.0]], [[0.0, np.nan]], 1, "labels must be finite"),
        ([[0.0, 1.0]], [[0, 1, 0]], 1, r"labels must have the shape of scores, \(1, 2\), got \(1, 3\)"),
        ([[0.0, 1.0]], csr_array((1, 3)), 1, r"labels must have the shape of scores, \(1, 2\), got \(1, 3\)"),
    ],
)
def test_precision_of_what_does_not_fit_is_refused(scores, labels, k, message):
    with pytest.raises(ValueError, match=message):
        precision_at_k(scores, labels, k)


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
    monkeypatch.setattr(_rankers, "SCORES_AT_ONCE", 17)
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


def test_a_comparison_says_which_models_had_stopped_before_the_end(monkeypatch):
    """The teacher, whose only penalty leads it slowly; candidates that are not chosen do not matter."""
    train, test = random_rows(11, n=40), random_rows(12, n=30)
    trained = ranking._trained

    def with_slow_teacher(rows, targets, **settings):
        ranker = trained(rows, targets, **settings)
        slow = settings["width"] == 4 or settings["penalty"] == 1e3  # no student chooses to know nothing
        return dataclasses.replace(ranker, converged=not slow)

    monkeypatch.setattr(ranking, "_trained", with_slow_teacher)
    settings = {"teacher_width": 4, "student_width": 2, "max_iterations": 400, "penalties": [0.1, 1e3]}
    with pytest.warns(RankerConvergenceWarning, match="at max_iterations = 400 before it was over: Teacher$") as seen:
        compare_students(train, test, test, random_state=5, **settings)
    assert seen[0].filename == __file__


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
        precision_table(np.zeros((2, 5, 1)), ks)
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
    with pytest.raises(ValueError, match="scales must hold at least one number, got none"):
        compare_students(rows, rows, rows, scales=(), **widths)
    with pytest.raises(ValueError, match="rows must not be empty, got none"):
        TEACHER.precision(rows[:0])


def test_all_methods_are_compared_on_the_same_held_out_rows():
    train, test = random_rows(11, n=40), random_rows(12, n=30)
    settings = {"teacher_width": 4, "student_width": 2, "max_iterations": 400, "penalties": [0.1]}
    precisions = compare_students(train, test, test, random_state=5, **settings)
    assert precisions.shape == (len(METHODS), 3)
    np.testing.assert_allclose(precisions[:, 2], test.labels.sum() / (5 * 30))  # all labels are among the best five
    np.testing.assert_array_equal(compare_students(train, test, test, random_state=5, **settings), precisions)


@pytest.mark.filterwarnings("ignore::kdtheory.ranking.RankerConvergenceWarning")
def test_models_take_the_penalty_that_is_best_on_the_validation_rows():
    """By choosing on the test rows themselves, no model does worse than with a penalty given."""
    train, test = random_rows(11, n=40), random_rows(12, n=30)
    settings = {"teacher_width": 4, "student_width": 2, "max_iterations": 20, "random_state": 5}
    penalties = (1e-4, 3e-2, 10.0)
    single = [compare_students(train, test, test, penalties=[penalty], **settings)[:2, 0] for penalty in penalties]
    chosen = compare_students(train, test, test, penalties=penalties, **settings)[:2, 0]
    assert np.ptp(single, axis=0).min() > 0.0
    np.testing.assert_array_equal(chosen, np.max(single, axis=0))


def test_the_table_has_means_and_paired_differences_with_standard_errors():
    values = np.zeros((2, 5, 1))
    values[:, 1, 0], values[:, 2, 0] = [0.1, 0.3], [0.2, 0.6]
    lines = precision_table(values, ks=[1]).splitlines()
    assert lines[0].split() == ["Method", "P@1"]
    assert [line[:44].strip() for line in lines[1:6]] == list(METHODS)
    assert lines[2].endswith("0.2000 ± 0.1000")
    assert lines[3].endswith("0.4000 ± 0.2000")
    assert lines[8].split("  ")[0] == "distillation − student"
    assert lines[8].endswith("+0.2000 ± 0.1000")


@pytest.mark.parametrize("shape", [(1, 5, 3), (2, 4, 3), (2, 5, 2), (5, 3)])
def test_tables_of_one_seed_or_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"precisions must have the shape \(n_seeds, 5, 3\) with n_seeds >= 2, got"):
        precision_table(np.zeros(shape))


def test_the_example_prints_the_table_of_the_built_in_task(capsys):
    precisions = load_example("table_double_distillation").main(quick=True)
    printed = capsys.readouterr().out
    table, said = printed.split("\n\nWith ")
    assert table == precision_table(precisions)
    assert said.startswith("2 of 2 seeds the training of some model stopped after 30 iterations, before it was over")
    assert precisions.shape == (2, 5, 3)
    assert np.all(precisions <= 1 / np.array([1, 3, 5]))
    assert np.all(precisions[:, 0, 0] > 0.3)  # by chance: 0.01


def test_the_example_needs_two_seeds():
    with pytest.raises(ValueError, match="n_seeds must be >= 2, for standard errors, got 1"):
        load_example("table_double_distillation").main(n_seeds=1)


def test_quick_changes_only_what_is_not_given(capsys, tmp_path):
    data = write(tmp_path / "train.txt", random_rows(13, n=40))
    settings = {"n_seeds": 3, "penalties": [0.3, 0.5], "max_iterations": 500, "teacher_width": 3}
    precisions = load_example("table_double_distillation").main(data, quick=True, **settings)
    assert precisions.shape == (3, 5, 3)
    assert "stopped" not in capsys.readouterr().out  # as with 30 iterations


def test_the_example_refuses_what_cannot_be_before_any_work(tmp_path, monkeypatch, capsys):
    few = write(tmp_path / "few.txt", random_rows(0, n=5)[:3])
    example = load_example("table_double_distillation")
    with pytest.raises(ValueError, match="at least 4 rows: too few rows to split, got 3"):
        example.main(few)
    with pytest.raises(ValueError, match="test must come with data"):
        example.main(test=few)
    for arguments, message in (
        (["--test", few], "--test FILE needs --data FILE, the rows to train on"),
        (["--seeds", 1], "argument --seeds: must be an integer >= 2, for standard errors, got '1'"),
        (["--iterations", 0], "argument --iterations: must be an integer >= 1, got '0'"),
    ):
        assert call_example("table_double_distillation", *arguments, monkeypatch=monkeypatch) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("with_test", [False, True])
def test_the_example_reads_files(with_test, capsys, tmp_path):
    data = write(tmp_path / "train.txt", random_rows(13, n=40))
    test = write(tmp_path / "test.txt", random_rows(14, n=20)) if with_test else None
    precisions = load_example("table_double_distillation").main(data, test, teacher_width=3, quick=True)
    assert precisions.shape == (2, 5, 3)
    assert "Student + distillation" in capsys.readouterr().out
