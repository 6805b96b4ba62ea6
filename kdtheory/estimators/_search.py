"""The search of both CV estimators: ridges, numbers of fits, label weights and gammas by exact held-out errors."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics.pairwise import kernel_metrics
from sklearn.model_selection import check_cv

from kdtheory._label_weight_rules import (
    ConstantWeights,
    FreeWeights,
    LabelWeightRule,
    MonotoneWeights,
    UnitIntervalWeights,
)
from kdtheory._typing import Array
from kdtheory._validation import require_nonnegative, require_positive, require_vector
from kdtheory.estimators._gram_source import GramSource
from kdtheory.estimators._kernel_machine import KernelMachine
from kdtheory.search import SelfDistillationSearch, search_selfdistillation

_RULES = {"loo": FreeWeights(), "monotone": MonotoneWeights(), "unit-interval": UnitIntervalWeights()}
_RIDGES = np.geomspace(1e-6, 1e2, 20)
"""The default grid, in units of the mean diagonal of the (centred) Gram matrix."""


class _Tried(NamedTuple):
    """All candidates with one Gram matrix, without the matrix."""

    parameters: list[dict[str, Any]]
    errors: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, gamma: float | None, found: SelfDistillationSearch) -> _Tried:
        parameters = [
            _parameters(ridge, n_steps, found.label_weights_of(row, n_steps), gamma)
            for row, ridge in enumerate(found.ridges)
            for n_steps in range(1, found.n_steps + 1)
        ]
        return cls(parameters, found.errors.ravel(), found.scores.ravel())


class KernelSearch(KernelMachine):
    """Kernel machines that choose their own ridge, number of fits, label weights and gamma.

    Those who inherit store the parameters `ridges`, `n_steps`, `label_weight`, `gammas`, `cv` and `verbose`.
    """

    ridges: Any
    n_steps: int
    label_weight: Any
    gammas: Any
    cv: Any
    verbose: bool | int

    best_params_: dict[str, Any]
    best_score_: float
    best_index_: int
    cv_results_: dict[str, Any]
    loo_error_path_: np.ndarray
    ridges_: np.ndarray
    search_: SelfDistillationSearch
    distillation_gain_: float
    distillation_gain_se_: float

    def __getstate__(self) -> dict[str, Any]:
        """State without `search_`, which holds matrices of the size of the Gram matrix."""
        return {name: value for name, value in super().__getstate__().items() if name != "search_"}

    def _search(
        self,
        X: Array,
        targets: Array,
        y: Array,
        sample_weight: Any,
        *,
        per_output: bool = False,
        classifier: bool = False,
    ) -> tuple[SelfDistillationSearch, np.ndarray]:
        """Search, fit what was found on all points, and store the results; `y` is what folds are stratified by.

        Returns the search and the indices of the points that it has.
        """
        self._choose_solver(X, "for a search, whose held-out errors need every mode of the Gram matrix")
        folds = None if self.cv is None else fold_numbers(self.cv, X, y, classifier)
        gammas = self._gammas()
        tried: list[_Tried] = []
        best, plain = None, None
        for gamma in _with_progress(gammas, self.verbose):
            source = self._source(X, sample_weight, gamma=gamma)
            found = search_selfdistillation(
                source.gram,
                targets[source.rows],
                ridges=self._ridges(source),
                n_steps=self.n_steps,
                label_weights=self._label_weights(),
                per_output=per_output,
                groups=None if folds is None else folds[source.rows],
                fit_intercept=self.fit_intercept,
                sample_weight=source.sample_weight,
                overwrite_K=source.owned,
            )
            if best is None or found.best_score < best.best_score:  # only the best keeps its large matrices
                best, number = found, len(tried)
                function = source.function(*found.fit())
            if plain is None or found.plain_error < plain[0]:
                plain = found.plain_error, found.plain_held_out_predictions
            tried.append(_Tried.of(gamma, found))
        if best is None or plain is None:
            raise ValueError(f"gammas must hold at least one value, got {self.gammas!r}")
        self.best_params_ = _parameters(best.best_ridge, best.best_n_steps, best.best_label_weights, gammas[number])
        self.best_score_ = -best.best_error
        self.best_index_ = number * best.errors.size + _entry(best)
        self.cv_results_ = _results(tried)
        self.loo_error_path_ = best.errors
        self.ridges_ = best.ridges
        self.search_ = best
        self.distillation_gain_, self.distillation_gain_se_ = best.gain_over(plain[1])
        self._keep(*function)
        return best, source.rows

    def _fitted_gamma(self) -> Any:
        return self.best_params_.get("gamma", self.gamma)

    def _gammas(self) -> list[float | None]:
        if self.gammas is None:
            return [None]
        function = kernel_metrics().get(self.kernel) if isinstance(self.kernel, str) else None
        if function is None or "gamma" not in signature(function).parameters:
            raise ValueError(
                "gammas must be None for a kernel without gamma, and for one that is no name, got"
                f" kernel={self.kernel!r}"
            )
        return [require_nonnegative("gammas", gamma) for gamma in require_vector("gammas", self.gammas).tolist()]

    def _ridges(self, source: GramSource) -> Array:
        if self.ridges is None:
            return _RIDGES * source.scale(self.fit_intercept)
        ridges = require_vector("ridges", self.ridges)
        for ridge in ridges.tolist():
            require_positive("ridges", ridge)
        return ridges

    def _label_weights(self) -> LabelWeightRule:
        if not isinstance(self.label_weight, str):
            constants = [self.label_weight] if np.ndim(self.label_weight) == 0 else self.label_weight
            return ConstantWeights(require_vector("label_weight", constants))
        if self.label_weight not in _RULES:
            raise ValueError(
                f"label_weight must be one of {sorted(_RULES)}, or one or more numbers, got {self.label_weight!r}"
            )
        return _RULES[self.label_weight]


def fold_numbers(cv: Any, X: Array, y: Array, classifier: bool) -> np.ndarray:
    """Return the number of the fold that leaves each point out, of splits whose folds are a partition of the points."""
    n_points = X.shape[0]
    folds = np.full(n_points, -1)
    for number, (kept, left_out) in enumerate(check_cv(cv, y, classifier=classifier).split(X, y)):
        rest = np.ones(n_points, dtype=bool)
        rest[left_out] = False
        if np.any(folds[left_out] >= 0) or not np.array_equal(np.sort(kept), np.flatnonzero(rest)):
            raise ValueError(
                "cv must leave out every point exactly once, and train on all others, got other splits in the fold"
                f" {number} of {cv!r}"
            )
        folds[left_out] = number
    if np.any(folds < 0):
        raise ValueError(
            f"cv must leave out every point exactly once, got {cv!r}, which never leaves out the point"
            f" {int(np.argmax(folds < 0))}"
        )
    return folds


def _with_progress(gammas: list[float | None], verbose: Any) -> Iterable[float | None]:
    if not isinstance(verbose, bool | int | np.bool_ | np.integer):
        raise TypeError(f"verbose must be True, False or an integer, got {verbose!r}")
    if not verbose:
        return gammas
    if importlib.util.find_spec("tqdm") is None:
        raise ModuleNotFoundError('verbose=True needs tqdm: pip install "kdtheory[estimators]"')
    from tqdm import tqdm

    return tqdm(gammas, desc="kernels", unit="kernel")


def _objects(values: list[Any]) -> np.ndarray:
    """One-dimensional array of numbers and lists."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _parameters(ridge: Any, n_steps: Any, label_weights: Any, gamma: float | None) -> dict[str, Any]:
    """Parameters that make the plain estimator the chosen one."""
    weights = np.asarray(label_weights)
    parameters = {
        "ridge": float(ridge),
        "n_steps": int(n_steps),
        "label_weight": weights.tolist() if weights.size else 0.0,
    }
    return parameters if gamma is None else {**parameters, "gamma": gamma}


def _entry(found: SelfDistillationSearch) -> int:
    """Return the number of the chosen model among those of its search, row by row."""
    row = int(np.flatnonzero(found.ridges == found.best_ridge)[0])
    return row * found.errors.shape[1] + int(found.best_n_steps) - 1


def _results(tried: list[_Tried]) -> dict[str, Any]:
    """One row for every gamma, ridge and number of fits, as scikit-learn's searches have them."""
    parameters = [each for candidates in tried for each in candidates.parameters]
    columns = {}
    for name in parameters[0]:
        values = [each[name] for each in parameters]
        columns[f"param_{name}"] = np.array(values) if name != "label_weight" else _objects(values)
    scores = np.concatenate([candidates.scores for candidates in tried])
    return {
        "params": parameters,
        **columns,
        "mean_test_score": -np.concatenate([candidates.errors for candidates in tried]),
        "selection_score": -scores,
        "rank_test_score": rankdata(scores, method="min").astype(np.int64),
    }
