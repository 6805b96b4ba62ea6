"""Retrieval: the text format, rows with labels, and the precision of rankings."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array, csr_matrix

from kdtheory.retrieval import (
    LabelledRows,
    RetrievalFileError,
    RetrievalFileWarning,
    labels_from_classes,
    load_retrieval_file,
    multiclass_examples,
    precision_at_k,
    read_retrieval_file,
)
from tests.labelled_rows import random_rows, write


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
        ("2 3 4\n0 0:1", 3, "the header says 2 rows, got the end of the file after 1"),
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


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
@pytest.mark.parametrize("cut", ["2 3 4\n0 0:1\n1 2:1", "2 3 4\n0 0:1\n0", "2 3 4\n0 0:1\n1 0:1 "])
def test_files_that_may_be_cut_inside_their_last_row_are_read_with_a_warning(cut, chunk_rows, tmp_path):
    path = text_file(tmp_path, cut)
    with pytest.warns(RetrievalFileWarning, match="line 3: the last row has no newline at its end") as seen:
        chunks = list(read_retrieval_file(path, chunk_rows=chunk_rows))
    assert sum(map(len, chunks)) == 2
    assert len(seen) == 1
    assert str(seen[0].message).startswith(str(path))
    for whole in (cut + "\n", cut + "\r\n", cut + "\n\n  "):
        assert len(load_retrieval_file(text_file(tmp_path, whole))) == 2


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


@pytest.mark.parametrize("wrong", [3.0, -1.0, 0.5, np.nan, np.inf])
def test_labels_are_zero_or_one(wrong):
    labels = csr_array(np.diag([1.0, wrong, 1.0]))
    with pytest.raises(ValueError, match=rf"labels must be 0 or 1, got {wrong} in row 1$"):
        LabelledRows(np.eye(3), labels)


def test_labels_that_are_stored_twice_or_out_of_order_are_counted_once_or_refused():
    starts = np.array([0, 2])
    with pytest.raises(ValueError, match=r"labels must be 0 or 1, got 2\.0 in row 0"):
        LabelledRows([[1.0]], csr_array((np.ones(2), np.array([1, 1]), starts), shape=(1, 3)))
    unordered = csr_array((np.ones(2), np.array([2, 0]), starts), shape=(1, 3))
    np.testing.assert_array_equal(LabelledRows([[1.0]], unordered).labels.toarray(), [[1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(unordered.indices, [2, 0])  # what was passed is left as it is


def test_sparse_features_are_finite():
    features = csr_array(np.diag([1.0, 2.0, np.nan]))
    with pytest.raises(ValueError, match="features must be finite, got nan in row 2"):
        LabelledRows(features, csr_array(np.eye(3)))


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
        ([[0.0, 1.0]], csr_array([[0.0, np.nan]]), 1, "labels must be finite"),
        ([[0.0, 1.0]], csr_array((1, 3)), 1, r"labels must have the shape of scores, \(1, 2\), got \(1, 3\)"),
    ],
)
def test_precision_of_what_does_not_fit_is_refused(scores, labels, k, message):
    with pytest.raises(ValueError, match=message):
        precision_at_k(scores, labels, k)
