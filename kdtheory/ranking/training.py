"""Training of linear rankers: the objective with its gradient, and scipy's L-BFGS-B on it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array, issparse

from kdtheory._validation import require_generator, require_nonnegative, require_positive_integer
from kdtheory.double_distillation import double_distillation_loss_and_gradient
from kdtheory.ranking.linear import LinearRanker, in_batches
from kdtheory.ranking.targets import RankingTargets, require_ranking_targets
from kdtheory.retrieval import LabelledRows

TARGETS_KEPT = 2**25
"""Targets of no more labels than this, all rows together, are made once in training: half a gigabyte."""

_Examples = tuple[LabelledRows, np.ndarray, np.ndarray, np.ndarray]


class RankerConvergenceWarning(UserWarning):
    """Training stopped at the largest number of iterations, before it was over."""


def ranking_objective(
    input_weights: np.ndarray,
    output_weights: np.ndarray,
    rows: LabelledRows,
    targets: RankingTargets,
    *,
    penalty: SupportsFloat,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean loss of a linear ranker over the examples, with its penalty, and the gradient.

    Parameters
    ----------
    input_weights : array of shape (n_features, width)
    output_weights : array of shape (width, n_labels)
    rows : LabelledRows
        Each is one example for each of its labels.
    targets : RankingTargets
    penalty : float
        Half of it times the squares of all weights is added; >= 0.

    Returns
    -------
    value : float
    input_gradient : array of shape (n_features, width)
    output_gradient : array of shape (width, n_labels)

    Raises
    ------
    ValueError, TypeError
        If no row has a label, for targets that are none or whose teacher has other features or labels, and for a
        negative penalty.

    Notes
    -----
    Source: Menon et al. (2020), eq. 13; with negative weights of one, the softmax cross-entropy.

    Rows are not repeated for their labels but weighted by their number, which is the same. Cost: O(n·width·n_labels)
    and the nonzero features of all rows times width; memory for the scores of a batch of rows only. The gradient of
    sparse features touches no others.

    Examples
    --------
    With output weights of zero all three labels are as likely, and only the first is relevant:

    >>> from scipy.sparse import csr_array
    >>> from kdtheory.ranking import OneHotTargets
    >>> rows = LabelledRows(np.ones((2, 1)), csr_array([[1, 0, 0], [1, 0, 0]]))
    >>> value, input_gradient, output_gradient = ranking_objective(
    ...     np.ones((1, 1)), np.zeros((1, 3)), rows, OneHotTargets(), penalty=0.0
    ... )
    >>> round(value, 4), output_gradient.round(4)
    (1.0986, array([[-0.6667,  0.3333,  0.3333]]))
    """
    strength = require_nonnegative("penalty", penalty)
    require_ranking_targets(targets)
    return _objective(input_weights, output_weights, _examples(_with_labels(rows), targets), strength)


def train_ranker(
    rows: LabelledRows,
    targets: RankingTargets,
    *,
    width: SupportsIndex,
    penalty: SupportsFloat = 1e-4,
    max_iterations: SupportsIndex = 5000,
    random_state: Any = 0,
) -> LinearRanker:
    """Train a linear ranker with one hidden layer by scipy's L-BFGS-B.

    Parameters
    ----------
    rows : LabelledRows
        Each is one example for each of its labels; rows without any take no part.
    targets : RankingTargets
        `OneHotTargets()`, or those of a teacher.
    width : int
        Of the hidden layer.
    penalty : float, default 1e-4
        As for `ranking_objective`.
    max_iterations : int, default 5000
    random_state : int or numpy.random.Generator, default 0
        Of the weights at the start.

    Returns
    -------
    LinearRanker

    Raises
    ------
    ValueError, TypeError
        As for `ranking_objective`, and for a width, penalty, number of iterations or random state out of range.

    Warns
    -----
    RankerConvergenceWarning
        If training stops at `max_iterations`.

    Notes
    -----
    Source: Menon et al. (2020), section 5.3, for the students; twin: `scipy.optimize.minimize`.

    Weights start from normal numbers with variance 1/n_features in the hidden layer and 1/width in the output layer.

    Every iteration goes over all rows at least once, of several hundred until convergence, and the optimiser keeps
    about 20 arrays of the size of the weights. Once over 15,539 rows with 236 features and 3,993 labels takes 2 s on a
    core, over the 1,186,239 rows of AmazonCat-13K 6 minutes at width 8 and 26 at width 512: not for such sets.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from kdtheory.ranking import OneHotTargets
    >>> rows = LabelledRows(np.eye(3), csr_array(np.eye(3)))
    >>> ranker = train_ranker(rows, OneHotTargets(), width=2)
    >>> ranker.precision(rows, ks=[1])
    array([1.])
    """
    ranker = trained_ranker(
        rows, targets, width=width, penalty=penalty, max_iterations=max_iterations, random_state=random_state
    )
    if not ranker.converged:
        warnings.warn(
            f"training stopped at max_iterations = {max_iterations} before it was over",
            RankerConvergenceWarning,
            stacklevel=2,
        )
    return ranker


def trained_ranker(
    rows: LabelledRows,
    targets: RankingTargets,
    *,
    width: SupportsIndex,
    penalty: SupportsFloat,
    max_iterations: SupportsIndex,
    random_state: Any,
) -> LinearRanker:
    """As `train_ranker`, without its warning."""
    require_ranking_targets(targets)
    n_hidden = require_positive_integer("width", width)
    n_most = require_positive_integer("max_iterations", max_iterations)
    strength = require_nonnegative("penalty", penalty)
    rng = require_generator("random_state", random_state)
    rows = _with_labels(rows)
    n_features, n_labels = rows.features.shape[1], rows.labels.shape[1]
    split = n_features * n_hidden
    kept = list(_examples(rows, targets)) if len(rows) * n_labels <= TARGETS_KEPT else None

    def unpacked(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return flat[:split].reshape(n_features, n_hidden), flat[split:].reshape(n_hidden, n_labels)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        examples = _examples(rows, targets) if kept is None else kept
        value, *gradients = _objective(*unpacked(flat), examples, strength)
        return value, np.concatenate([gradient.ravel() for gradient in gradients])

    start = np.concatenate(
        [
            rng.standard_normal(split) / np.sqrt(n_features),
            rng.standard_normal(n_hidden * n_labels) / np.sqrt(n_hidden),
        ]
    )
    limits = {"maxiter": n_most, "maxfun": sys.maxsize}  # scipy's own limit would stop some before their iterations
    found = minimize(objective, start, method="L-BFGS-B", jac=True, options=limits)
    return LinearRanker(*unpacked(found.x), n_iterations=int(found.nit), converged=bool(found.success))


def _objective(
    input_weights: np.ndarray, output_weights: np.ndarray, examples: Iterable[_Examples], penalty: float
) -> tuple[float, np.ndarray, np.ndarray]:
    value = 0.5 * penalty * float(np.sum(input_weights**2) + np.sum(output_weights**2))
    input_gradient, output_gradient = penalty * input_weights, penalty * output_weights
    for part, weights, p, psi in examples:
        hidden = part.features @ input_weights
        losses, slopes = double_distillation_loss_and_gradient(hidden @ output_weights, p, psi)
        slopes *= weights[:, None]
        value += float(weights @ losses)
        output_gradient += hidden.T @ slopes
        _add_product(input_gradient, part.features, slopes @ output_weights.T)
    return value, input_gradient, output_gradient


def _add_product(gradient: np.ndarray, features: Any, slopes: np.ndarray) -> None:
    """Add `features.T @ slopes` in place, without the rows of it that are zero."""
    if not issparse(features):
        gradient += features.T @ slopes
        return
    present, columns = np.unique(features.indices, return_inverse=True)
    narrow = csr_array((features.data, columns, features.indptr), shape=(features.shape[0], len(present)))
    gradient[present] += narrow.T @ slopes


def _examples(rows: LabelledRows, targets: RankingTargets) -> Iterator[_Examples]:
    """Batches of rows, each with the weights of its rows and its targets."""
    n_examples = float(rows.labels.sum())
    for part in in_batches(rows):
        yield part, _n_labels(part.labels) / n_examples, *targets.of(part)


def _n_labels(labels: csr_array) -> np.ndarray:
    return np.asarray(labels.sum(axis=1)).ravel()


def _with_labels(rows: LabelledRows) -> LabelledRows:
    labelled = _n_labels(rows.labels) > 0.0
    if not np.any(labelled):
        raise ValueError("rows must have at least one label, got none")
    return rows if np.all(labelled) else rows[np.flatnonzero(labelled)]
