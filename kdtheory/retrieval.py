"""Retrieval data: the Extreme Classification repository's text files, read in chunks, and the precision of rankings."""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, SupportsIndex, TextIO

import numpy as np
from scipy.sparse import csr_array, issparse, vstack

from kdtheory._validation import require_array, require_labels, require_ndim, require_positive_integer

__all__ = [
    "LabelledRows",
    "RetrievalFileError",
    "RetrievalFileWarning",
    "labels_from_classes",
    "load_retrieval_file",
    "multiclass_examples",
    "precision_at_k",
    "read_retrieval_file",
]

_HEADER = re.compile(r" *\d{1,15} +\d{1,15} +\d{1,15} *\n?", re.ASCII)
_LABELS = re.compile(r"(?:\d+(?:,\d+)*)?", re.ASCII)
_FEATURES = re.compile(r" *(?:\d+:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?: +|$))*", re.ASCII)


class RetrievalFileError(ValueError):
    """A file that is not in the Extreme Classification repository's text format; the message names the line."""


class RetrievalFileWarning(UserWarning):
    """A file that may have been cut inside its last row; the message names the line."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows of features, each with any number of relevant labels.

    Attributes
    ----------
    features : csr_array or array of shape (n, n_features)
        Finite. Data frames become arrays, and other sparse formats csr_array.
    labels : csr_array of shape (n, n_labels)
        One where a label is relevant, and zero elsewhere.

    Raises
    ------
    ValueError, TypeError
        For features that are not finite numbers, labels that are neither 0 nor 1, and different numbers of rows.

    Examples
    --------
    >>> len(LabelledRows([[1.0], [2.0], [3.0]], csr_array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]))[1:])
    2
    """

    features: Any
    labels: csr_array

    def __post_init__(self) -> None:
        if not (issparse(self.labels) and self.labels.format == "csr"):
            raise TypeError(
                f"labels must be a sparse array in CSR format, got {type(self.labels).__name__}: wrap it in"
                " scipy.sparse.csr_array"
            )
        if issparse(self.features):
            features = csr_array(self.features)
            _require_entries("features", features, np.isfinite(features.data), "must be finite")
        else:
            features = np.asarray(require_array("features", self.features, allow_empty=True))
        if features.ndim != 2 or features.shape[0] != self.labels.shape[0]:
            raise ValueError(
                f"features must be 2-dimensional with {self.labels.shape[0]} rows, as many as labels, got shape"
                f" {features.shape}"
            )
        labels = csr_array(self.labels)
        if not labels.has_canonical_format:
            labels = labels.copy()
            labels.sum_duplicates()
        _require_entries("labels", labels, (labels.data == 0) | (labels.data == 1), "must be 0 or 1")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def __getitem__(self, rows: slice | np.ndarray) -> LabelledRows:
        if not isinstance(rows, slice) and np.ndim(rows) != 1:
            raise TypeError(f"rows must be a slice or an array of row numbers or bools, got {rows!r}")
        return LabelledRows(self.features[rows], self.labels[rows])


def read_retrieval_file(path: str | PathLike[str], *, chunk_rows: SupportsIndex = 10_000) -> Iterator[LabelledRows]:
    r"""Read a file of the Extreme Classification repository chunk by chunk, without holding all of it.

    Parameters
    ----------
    path : path
        A text file with the header `n_points n_features n_labels` and a row `l1,l2,... f:v f:v ...` for every point;
        labels l and features f count from 0. Rows without labels start with a space. A name that ends in `.gz` is read
        through gzip.
    chunk_rows : int, default 10000
        Largest number of rows of a chunk.

    Yields
    ------
    LabelledRows
        With `features` as csr_array of floats.

    Raises
    ------
    RetrievalFileError
        For a header or row that is malformed, numbers out of range, a label or feature that is twice in a row, and
        more or fewer rows than the header says; it names the line. Rows of complete chunks before it are yielded. Also
        for a compressed file that is damaged.
    FileNotFoundError
        If there is no such file.
    ValueError, TypeError
        For a chunk size that is not a positive integer.

    Warns
    -----
    RetrievalFileWarning
        If the last row has no newline at its end: a file that was cut inside this row reads as complete, without the
        features after the cut.

    Notes
    -----
    Source of the format: Bhatia et al. (2016). Memory: that of a chunk.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("tiny.txt").write_text("3 4 2\n0,1 0:1.5 3:2\n 1:1\n1 2:0.5\n")
    >>> [(len(chunk), chunk.labels.toarray().tolist()) for chunk in read_retrieval_file("tiny.txt", chunk_rows=2)]
    [(2, [[1.0, 1.0], [0.0, 0.0]]), (1, [[0.0, 1.0]])]
    """
    return _chunks(Path(path), require_positive_integer("chunk_rows", chunk_rows))


def load_retrieval_file(path: str | PathLike[str]) -> LabelledRows:
    r"""Read all of a file of the Extreme Classification repository.

    Parameters
    ----------
    path : path
        As for `read_retrieval_file`.

    Returns
    -------
    LabelledRows

    Raises
    ------
    RetrievalFileError, FileNotFoundError
        As for `read_retrieval_file`.

    Warns
    -----
    RetrievalFileWarning
        As for `read_retrieval_file`.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("tiny.txt").write_text("2 4 2\n0,1 0:1.5 3:2\n1 2:0.5\n")
    >>> load_retrieval_file("tiny.txt").features.toarray()
    array([[1.5, 0. , 0. , 2. ],
           [0. , 0. , 0.5, 0. ]])
    """
    chunks = list(read_retrieval_file(path))
    return LabelledRows(
        vstack([chunk.features for chunk in chunks], format="csr"),
        vstack([chunk.labels for chunk in chunks], format="csr"),
    )


def labels_from_classes(classes: Any, *, n_labels: SupportsIndex) -> csr_array:
    """One relevant label for each row, from its number.

    Parameters
    ----------
    classes : array of n integers
        0 to n_labels - 1.
    n_labels : int

    Returns
    -------
    csr_array of shape (n, n_labels)

    Raises
    ------
    ValueError, TypeError
        For labels out of range.

    Examples
    --------
    >>> labels_from_classes([2, 0], n_labels=3).toarray()
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    count = require_positive_integer("n_labels", n_labels)
    n = len(np.atleast_1d(np.asarray(classes)))
    numbers = require_labels("classes", classes, n, count)
    return csr_array((np.ones(n), numbers.astype(np.int64), np.arange(n + 1)), shape=(n, count))


def multiclass_examples(rows: LabelledRows) -> tuple[Any, np.ndarray]:
    """One example for each relevant label of every row: rows with many labels become examples of one label each.

    Parameters
    ----------
    rows : LabelledRows

    Returns
    -------
    features : csr_array or array of shape (n_examples, n_features)
        Rows repeated for each of their labels, and left out if they have none.
    classes : array of n_examples integers

    Notes
    -----
    Source: Reddi et al. (2019), as Menon et al. (2020), section 5.3, use it.

    Examples
    --------
    >>> rows = LabelledRows(np.array([[1.0], [2.0], [3.0]]), csr_array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]))
    >>> features, classes = multiclass_examples(rows)
    >>> features.ravel(), classes
    (array([1., 1., 3.]), array([0, 2, 1]))
    """
    where, classes = rows.labels.nonzero()
    return rows.features[where], np.asarray(classes, dtype=np.int64)


def precision_at_k(scores: Any, labels: Any, k: SupportsIndex) -> float:
    """Share of relevant labels among the k of the highest scores, averaged over the rows.

    Parameters
    ----------
    scores : array of shape (n, n_labels)
        Of equal scores that of the lower label number ranks first.
    labels : array of n integers, or sparse or dense array of shape (n, n_labels)
        The relevant label of every row, or nonzero for all that are relevant, in a dense array 1. Rows without any
        count as 0.
    k : int
        1 to n_labels.

    Returns
    -------
    float
        In [0, 1]: at most 1/k for rows with a single label.

    Raises
    ------
    ValueError, TypeError
        For scores that are not finite, labels out of range or of another shape, and a k out of range.

    Notes
    -----
    Source: Menon et al. (2020), section 5.3; Bhatia et al. (2016). Twin: `sklearn.metrics.top_k_accuracy_score` is k
    times this for single labels, but for ties.

    Examples
    --------
    >>> precision_at_k([[0.1, 0.9, 0.5]], [2], 2)
    0.5
    """
    values = np.asarray(require_array("scores", scores))
    require_ndim("scores", values, 2)
    n, n_labels = values.shape
    depth = require_positive_integer("k", k)
    if depth > n_labels:
        raise ValueError(f"k must be <= {n_labels}, the number of labels, got {k!r}")
    top = np.argsort(-values, axis=1, kind="stable")[:, :depth]
    if not issparse(labels) and np.ndim(labels) == 2:
        labels = np.asarray(require_array("labels", labels))
        if not np.all((labels == 0.0) | (labels == 1.0)):
            wrong = labels[(labels != 0.0) & (labels != 1.0)]
            raise ValueError(f"labels of shape {labels.shape} must hold 0 or 1 only, got {wrong[0]:g}")
    elif not issparse(labels):
        return float(np.sum(top == require_labels("labels", labels, n, n_labels)[:, None]) / (n * depth))
    else:
        require_array("labels", labels.data, allow_empty=True)
    if labels.shape != values.shape:
        raise ValueError(f"labels must have the shape of scores, {values.shape}, got {labels.shape}")
    chosen = csr_array((np.ones(top.size), top.ravel(), depth * np.arange(n + 1)), shape=values.shape)
    return float(chosen.multiply(csr_array(labels) != 0).sum() / (n * depth))


def _chunks(path: Path, chunk_rows: int) -> Iterator[LabelledRows]:
    with _open(path) as file:
        try:
            n_points, n_features, n_labels = _header(path, file.readline())
            rows = _rows(path, file, n_points, n_features, n_labels)
            while chunk := list(islice(rows, chunk_rows)):
                labels, features, values = zip(*chunk, strict=True)
                relevant = [np.ones(len(numbers)) for numbers in labels]
                yield LabelledRows(_sparse(features, values, n_features), _sparse(labels, relevant, n_labels))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise RetrievalFileError(f"{path} must be a whole gzip file, as its name says: {error}") from error


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="ascii", errors="replace")
    return path.open(encoding="ascii", errors="replace")


def _header(path: Path, line: str) -> tuple[int, int, int]:
    if _HEADER.fullmatch(line) is None or min(sizes := [int(size) for size in line.split()]) == 0:
        raise RetrievalFileError(
            f"{path}, line 1: the header must be three integers > 0, n_points n_features n_labels, got {_shown(line)}"
        )
    n_points, n_features, n_labels = sizes
    return n_points, n_features, n_labels


def _rows(
    path: Path, file: TextIO, n_points: int, n_features: int, n_labels: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    n_read = 0
    for number, line in enumerate(file, start=2):
        if n_read < n_points:
            try:
                row = _parse(line.rstrip("\n"), n_features, n_labels)
            except ValueError as error:
                raise RetrievalFileError(f"{path}, line {number}: {error}") from None
            n_read += 1
            if n_read == n_points and not line.endswith("\n"):
                warnings.warn(
                    f"{path}, line {number}: the last row has no newline at its end, as if the file had been cut",
                    RetrievalFileWarning,
                    stacklevel=2,
                )
            yield row
        elif line.strip():
            raise RetrievalFileError(
                f"{path}, line {number}: the file must end after the {n_points} rows of its header, got {_shown(line)}"
            )
    if n_read < n_points:
        raise RetrievalFileError(
            f"{path}, line {n_read + 2}: the header says {n_points} rows, got the end of the file after {n_read}"
        )


def _parse(line: str, n_features: int, n_labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, features and values of one row."""
    if not line:
        raise ValueError("a row must not be empty: one without labels starts with a space")
    head, _, tail = line.partition(" ")
    if _LABELS.fullmatch(head) is None:
        raise ValueError(f"labels must be integers with commas between, before the first space, got {_shown(head)}")
    if _FEATURES.fullmatch(tail) is None:
        wrong = next(pair for pair in tail.split(" ") if pair and _FEATURES.fullmatch(pair) is None)
        raise ValueError(f"features must be written as number:value, got {_shown(wrong)}")
    labels = np.array(head.split(",") if head else [], dtype=np.float64)  # numbers of any size, until they are checked
    features, values = np.array(tail.replace(":", " ").split(), dtype=np.float64).reshape(-1, 2).T
    for name, numbers, count in (("labels", labels, n_labels), ("features", features, n_features)):
        if numbers.size and np.max(numbers) >= count:
            raise ValueError(f"{name} must lie in 0..{count - 1}, got {np.max(numbers):.0f}")
        if len(np.unique(numbers)) < len(numbers):
            raise ValueError(f"{name} must not repeat in a row, got {_first_repeated(numbers)} twice")
    if not np.all(np.isfinite(values)):
        raise ValueError("values must be at most about 1.8e308 in size, got a larger one")
    return labels.astype(np.int64), features.astype(np.int64), values


def _require_entries(name: str, matrix: csr_array, allowed: np.ndarray, rule: str) -> None:
    if not np.all(allowed):
        where = int(np.argmin(allowed))
        row = int(np.searchsorted(matrix.indptr, where, side="right")) - 1
        raise ValueError(f"{name} {rule}, got {float(matrix.data[where])!r} in row {row}")


def _first_repeated(numbers: np.ndarray) -> int:
    distinct, counts = np.unique(numbers, return_counts=True)
    return int(distinct[np.argmax(counts > 1)])


def _shown(text: str) -> str:
    """Beginning of a text, as an error shows it."""
    if "\0" in text or text.count("\N{REPLACEMENT CHARACTER}") > len(text) // 10 + 1:
        return "bytes that are no text: unpack the file first, unless its name ends in .gz"
    return repr(text.rstrip("\n")[:60])


def _sparse(columns: Sequence[np.ndarray], values: Sequence[np.ndarray], n_columns: int) -> csr_array:
    ends = np.cumsum([0, *map(len, columns)])
    return csr_array((np.concatenate(values), np.concatenate(columns), ends), shape=(len(columns), n_columns))
