"""The search: exact held-out errors of every ridge and number of fits, label weights in closed form, and the choice.

Every entry of the search is a model with the best label weights for its ridge and its number of fits. Those weights are
least squares in the changes of the held-out predictions from fit to fit (`kdtheory._held_out`): an orthogonal basis of
the changes gives the errors of all numbers of fits at once, and the weights themselves wait until they are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._candidates import Candidates
from kdtheory._held_out import changes_left_out, changes_of_groups, outside
from kdtheory._intercept import CenteredProblem
from kdtheory._interop import from_numpy, to_numpy
from kdtheory._label_weight_rules import ConstantWeights, LabelWeightRule, MonotoneWeights
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_bool,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_representable,
    require_vector,
)
from kdtheory.filters import Modes
from kdtheory.selection import group_numbers
from kdtheory.selfdistill import selfdistill_closed_form
from kdtheory.spectral_fit import SpectralFit

_MONOTONE = MonotoneWeights()
_TOLERANCE = 1e-8
"""Trace of K over the smallest ridge that a low-rank factor may leave out."""


@dataclass(frozen=True, eq=False, repr=False)
class SelfDistillationSearch:
    """Held-out errors of many self-distillations and the one chosen; made by `search_selfdistillation`.

    Errors are squared, meaned over the points, by their sample weights, and over the outputs.

    Attributes
    ----------
    ridges : array of shape (n_ridges,)
    errors : array of shape (n_ridges, n_steps)
        Held-out error with the best label weights for each ridge and number of fits, those of `label_weights_of`; the
        first column is plain kernel ridge regression.
    scores : array of shape (n_ridges, n_steps)
        The same when the label weights, too, are chosen without what is left out; the choice is made by these.
    best_ridge : float
    best_n_steps : int
        Number of fits; 1 unless a distilled model has a lower score than the best plain kernel ridge regression has, by
        more than can be noise.
    best_label_weights : array of shape (best_n_steps - 1,), or (best_n_steps - 1, k) with weights for each output
    best_error, best_score : float
        Of the chosen model, with the label weights as they are.
    plain_ridge, plain_error : float
        The best plain kernel ridge regression.
    gain : float
        `plain_error − best_error`.
    gain_standard_error : float
        Standard error of the gain, from the paired differences of all points or groups.
    held_out_predictions : array of shape (n,) or (n, k)
        Predictions of the chosen model at points it has not seen.
    plain_held_out_predictions : array of shape (n,) or (n, k)
        Those of the best plain kernel ridge regression.
    problem : CenteredProblem
        Spectrum and targets, less their means where an intercept is fitted.
    """

    ridges: np.ndarray
    errors: np.ndarray
    scores: np.ndarray
    best_ridge: float
    best_label_weights: np.ndarray
    best_error: float
    best_score: float
    plain_ridge: float
    plain_error: float
    gain: float
    gain_standard_error: float
    held_out_predictions: Array
    plain_held_out_predictions: Array
    problem: CenteredProblem
    _candidates: Candidates

    @property
    def n_steps(self) -> int:
        """Largest number of fits."""
        return int(self.errors.shape[1])

    @property
    def best_n_steps(self) -> int:
        """Number of fits of the chosen model."""
        return len(self.best_label_weights) + 1

    @property
    def point_scores(self) -> np.ndarray:
        """What every point adds to the scores, shape (n_ridges, n_steps, n).

        So a choice can be made again without some of the points, and judged on these.
        """
        return np.moveaxis(self._candidates.losses[1], 1, 2)

    def label_weights_of(self, ridge_index: int, n_steps: int) -> np.ndarray:
        """Return the best label weights for one entry.

        Parameters
        ----------
        ridge_index : int
            Which of `ridges`.
        n_steps : int
            Number of fits, at most the largest that was searched.

        Returns
        -------
        array of shape (n_steps - 1,), or (n_steps - 1, k) with weights for each output

        Raises
        ------
        ValueError, TypeError, IndexError
            For a number of fits or an index out of range.
        """
        count = require_positive_integer("n_steps", n_steps)
        if count > self.n_steps:
            raise ValueError(f"n_steps must be <= {self.n_steps}, the largest that was searched, got {count}")
        return self._candidates.weights(range(len(self.ridges))[ridge_index], count)

    def gain_over(self, predictions: Any) -> tuple[float, float]:
        """Return the gain over other held-out predictions, and its standard error.

        Parameters
        ----------
        predictions : array of shape (n,) or (n, k)
            Of the same targets, held out in the same way: such as those of a search with another kernel.

        Returns
        -------
        gain : float
        standard_error : float
            From the paired differences of all points or groups.

        Raises
        ------
        ValueError, TypeError
            When the predictions do not have the shape of y, or are not finite real numbers.
        """
        targets = self.problem.targets + self.problem.mean_target
        others = require_array("predictions", predictions, like=targets)
        if others.shape != targets.shape:
            raise ValueError(f"predictions must have the shape of y, {tuple(targets.shape)}, got {tuple(others.shape)}")
        worse, better = (_outputs(each - targets) ** 2 for each in (others, self.held_out_predictions))
        differences = self._candidates.shares * np.mean(worse - better, axis=1)
        return float(np.sum(differences)), self._candidates.standard_error(differences)

    def fit(self) -> tuple[Array, Array]:
        """Fit the chosen model on all points.

        Returns
        -------
        dual_coef : array of shape (n,) or (n, k)
        intercept : array of shape () or (k,)
            The model is `f(x) = Σ_i k(x, x_i) dual_coef_i + intercept`.
        """
        return fit_distilled(self.problem, self.best_ridge, self.best_label_weights)

    def __repr__(self) -> str:
        weights = np.array2string(self.best_label_weights, precision=4, threshold=8, separator=", ")
        return (
            f"SelfDistillationSearch(n_points={self.problem.spectrum.n_points}, n_ridges={len(self.ridges)},"
            f" n_steps={self.n_steps}: best ridge={self.best_ridge:.4g}, n_steps={self.best_n_steps},"
            f" label_weights={weights}, error={self.best_error:.4g}; plain ridge={self.plain_ridge:.4g},"
            f" error={self.plain_error:.4g}; gain={self.gain:.3g} ± {self.gain_standard_error:.2g})"
        )


def search_selfdistillation(
    K: Any,
    y: Any,
    *,
    ridges: Any,
    n_steps: SupportsIndex,
    label_weights: LabelWeightRule | Any = _MONOTONE,
    per_output: bool = False,
    groups: Any = None,
    fit_intercept: bool = False,
    sample_weight: Any = None,
    within_standard_errors: SupportsFloat = 1.0,
    overwrite_K: bool = False,
) -> SelfDistillationSearch:
    """Search ridges, numbers of fits and label weights by exact leave-one-out, and choose.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition. Give the matrix where you can: see Notes.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    ridges : array of shape (n_ridges,)
        Penalties, all > 0.
    n_steps : int
        Largest number of fits, >= 1.
    label_weights : LabelWeightRule or array of shape (n_label_weights,), default MonotoneWeights()
        Where to look for the label weights: `FreeWeights()`, anywhere; `MonotoneWeights()`, where the model stays as
        tame as ridge regression; `UnitIntervalWeights()`, in [0, 1]; an array, constants to try, the same for all
        steps, of which one alone is a fixed label weight.
    per_output : bool, default False
        Choose label weights for every output on its own; ridge and number of fits are shared.
    groups : sequence of n labels, optional
        Points with the same label are left out together: folds, or what belongs together. Default: leave one out.
    fit_intercept : bool, default False
        Add an intercept without a penalty to every fit.
    sample_weight : array of shape (n,), optional
        Weights >= 0 of the points in every fit and in the errors; with a `Spectrum` that has weights, further factors.
    within_standard_errors : float, default 1
        Choose the fewest fits whose score is within so many standard errors of the best; 0 takes the best.
    overwrite_K : bool, default False
        Allow the memory of K to be used, which saves one n × n matrix of at most four: K then holds something else.

    Returns
    -------
    SelfDistillationSearch

    Raises
    ------
    ValueError, TypeError, OverflowError
        As `loo_predictions` and `leave_group_out_predictions`, and for an empty grid.

    Notes
    -----
    Label weights that are best for a held-out error make that error a little too good, the more so the more of them
    there are. So the choice is made by the error that remains when the label weights are chosen without the point, too:
    they are least squares in n·k equations, and a least-squares solution has its own exact leave-one-out error. With
    several outputs of a point, its leverages are added up, which errs on the side of fewer fits. The predictions of all
    other points still know the point's target. That is why free label weights can follow the noise nevertheless, above
    all with few points and small ridges, and why they are not the default.

    Of the numbers of fits, each with its best ridge, the smallest is chosen whose score cannot be told from the best
    one's: the one-standard-error rule of Breiman et al. (1984), with the standard error of the paired difference.

    Of a matrix K whose trace is all but 1e-8 of the smallest ridge in far fewer than n eigenvalues, only those are
    computed, from a pivoted Cholesky factor, in a fraction of the time. The errors of given models stay the same to
    about 1e-8; free label weights, which cancel, may lose a digit or two more.

    Cost: one eigendecomposition, or `O(n·r²)` at rank r, then `O(n·r·n_ridges·n_steps)` for each output and
    `O(n·n_ridges·n_steps²)`; with groups, `|S|²·r + |S|³` for every group S and ridge.

    Source: derived for this package. Twin: `sklearn.model_selection.GridSearchCV` over `KernelRidge`, for the ridges
    alone and without refitting.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 1, 60)
    >>> y = np.sin(15 * x) + 0.3 * np.random.default_rng(7).standard_normal(60)
    >>> K = np.exp(-100 * np.subtract.outer(x, x) ** 2)
    >>> search = search_selfdistillation(K, y, ridges=np.geomspace(1e-3, 1e2, 11), n_steps=4)
    >>> search.best_n_steps, search.best_label_weights.round(2)
    (3, array([3., 0.]))
    >>> round(search.plain_error, 4), round(search.best_error, 4), round(search.gain_standard_error, 4)
    (0.0856, 0.081, 0.0026)
    >>> dual_coef, intercept = search.fit()
    >>> (K[:1] @ dual_coef + intercept).round(3)
    array([0.163])
    """
    penalties = [require_positive("ridges", ridge) for ridge in to_numpy(require_vector("ridges", ridges)).tolist()]
    count = require_positive_integer("n_steps", n_steps)
    rule = label_weights if isinstance(label_weights, LabelWeightRule) else ConstantWeights(label_weights)
    separate = require_bool("per_output", per_output)
    allowance = require_nonnegative("within_standard_errors", within_standard_errors)
    overwrite = require_bool("overwrite_K", overwrite_K)
    tolerance = _TOLERANCE * min(penalties, default=0.0)
    problem = CenteredProblem.of(K, y, fit_intercept, sample_weight, tolerance=tolerance, overwrite=overwrite)
    if separate and problem.targets.ndim == 1:
        raise ValueError("per_output must be False for y of one dimension, got True")
    n_points = problem.spectrum.n_points
    if groups is None:
        numbers = None
        changes = changes_left_out(problem, penalties, count)
    else:
        numbers = group_numbers(groups, n_points)
        changes = changes_of_groups(problem, numbers, penalties, count)
    weights = to_numpy(problem.spectrum.weights())
    eps = float(array_namespace(changes).finfo(changes.dtype).eps)
    candidates = Candidates(
        changes=to_numpy(changes).reshape(count, len(penalties), n_points, -1),
        rounding=eps * (1.0 + float(problem.spectrum.eigenvalues[0]) / np.array(penalties)),
        shares=weights / np.sum(weights),
        groups=numbers,
        rule=rule,
        separate=separate,
    )
    return _choose(problem, np.array(penalties), candidates, allowance)


def fit_distilled(problem: CenteredProblem, ridge: float, label_weights: np.ndarray) -> tuple[Array, Array]:
    """Dual coefficients and intercept of the last step, with label weights (n_steps - 1,) or one column an output."""
    if label_weights.ndim == 1:
        return problem.original(_last_dual_coef(problem, ridge, label_weights))
    xp = array_namespace(problem.targets)
    columns = [
        _last_dual_coef(replace(problem, targets=problem.targets[:, output]), ridge, label_weights[:, output])
        for output in range(label_weights.shape[1])
    ]
    return problem.original(xp.stack(columns, axis=1))


def _last_dual_coef(problem: CenteredProblem, ridge: float, label_weights: np.ndarray) -> Array:
    spectrum, targets = problem.spectrum, problem.targets
    path = selfdistill_closed_form(
        spectrum, targets, ridge=ridge, n_steps=len(label_weights) + 1, label_weight=label_weights
    )
    dual = SpectralFit(spectrum, targets, Modes(*(part[-1, ...] for part in path.modes))).dual_coef
    if spectrum.eigenvalues.shape[0] == spectrum.n_points:
        return dual
    # Where a spectrum leaves out next to nothing of K, the coefficients there are those of the eigenvalue zero.
    at_zero = (float(label_weights[-1]) if len(label_weights) else 1.0) / ridge
    return dual + at_zero * spectrum.whiten(outside(problem))  # S times whitened values makes dual coefficients


def _choose(
    problem: CenteredProblem, ridges: np.ndarray, candidates: Candidates, within: float
) -> SelfDistillationSearch:
    ranked = np.maximum(candidates.scores, _rounding(problem, candidates))
    ridge_of = np.argmax(np.where(ranked == np.min(ranked, axis=0), ridges[:, None], -np.inf), axis=0)
    n_steps = candidates.fewest_fits(ranked, ridge_of, within)
    plain, chosen = int(ridge_of[0]), int(ridge_of[n_steps - 1])
    weights, plain_weights = candidates.weights(chosen, n_steps), candidates.weights(plain, 1)
    losses = candidates.losses_with(chosen, weights)
    differences = candidates.losses_with(plain, plain_weights) - losses
    targets = problem.targets + problem.mean_target
    residuals, plain_residuals = (
        from_numpy(candidates.residuals(*model).reshape(targets.shape), like=targets)
        for model in ((chosen, weights), (plain, plain_weights))
    )
    return SelfDistillationSearch(
        ridges=ridges,
        errors=candidates.errors,
        scores=candidates.scores,
        best_ridge=float(ridges[chosen]),
        best_label_weights=weights,
        best_error=float(np.sum(losses)),
        best_score=float(candidates.scores[chosen, n_steps - 1]),
        plain_ridge=float(ridges[plain]),
        plain_error=float(candidates.errors[plain, 0]),
        gain=float(np.sum(differences)),
        gain_standard_error=candidates.standard_error(differences),
        held_out_predictions=targets - residuals,
        plain_held_out_predictions=targets - plain_residuals,
        problem=problem,
        _candidates=candidates,
    )


def _rounding(problem: CenteredProblem, candidates: Candidates) -> float:
    """Size of errors that cannot be told apart: of those, the largest ridge and the fewest fits are chosen."""
    with np.errstate(over="ignore"):
        squares = np.mean(_outputs(problem.targets) ** 2, axis=1)
        size = float(np.min(candidates.rounding)) * float(candidates.shares @ squares)
        mean = array_namespace(problem.targets).asarray(problem.mean_target)
        of_mean = float(np.max(len(squares) * np.finfo(float).eps * np.abs(to_numpy(mean)))) ** 2
    return float(require_representable(np.array(size + of_mean), "the mean square of y"))


def _outputs(targets: Array) -> np.ndarray:
    """Targets of shape (n, k)."""
    return to_numpy(targets).reshape(targets.shape[0], -1)
