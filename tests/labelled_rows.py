"""Rows with labels, and files of them."""

import numpy as np
from scipy.sparse import csr_array

from kdtheory.retrieval import LabelledRows


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
