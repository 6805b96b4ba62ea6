"""The advice: a model for a table, and whether distilling it into itself has paid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, SupportsIndex

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import kdtheory
from kdtheory._typing import Array
from kdtheory._validation import require_bool, require_nonnegative_integer
from kdtheory.advice.choosing import Gain, gain_without_hindsight
from kdtheory.advice.sentences import sentences
from kdtheory.advice.table import Table
from kdtheory.advice.widths import Announce, Width, find_widths
from kdtheory.estimators import SelfDistilledKernelRidge

_ONE_THREAD_UP_TO = 3000
"""Rows up to which threads of BLAS gain little, and cost much where the cores have other work."""


@dataclass(frozen=True, eq=False)
class Advice:
    """What `advise` has found. Errors are mean squared ones at rows that a model has not seen.

    Attributes
    ----------
    table : Table
    model : sklearn.pipeline.Pipeline
        The chosen model, fitted to all rows; it takes a data frame with the columns as they are in the file.
    widths : list of Width
        Every kernel width that was tried, by ascending gamma.
    mean_error : float
        Leave-one-out error of predicting the mean of the other rows.
    measured : Gain
        Leave-one-out, of the models chosen by the same errors: a little too good.
    unseen : Gain
        The same with the choice made without the rows that it is judged on; see `gain_without_hindsight`.
    refitted : Gain or None
        The gain in outer folds, of which no fit or choice has seen anything.
    n_outer_folds : int
    seed : int
    """

    table: Table
    model: Pipeline
    widths: Sequence[Width]
    mean_error: float
    measured: Gain
    unseen: Gain
    refitted: Gain | None
    n_outer_folds: int
    seed: int

    @property
    def chosen(self) -> Width:
        """Width of the chosen model."""
        return _chosen(self.widths)

    @property
    def plain(self) -> Width:
        """Width of the best kernel ridge regression."""
        return _plain(self.widths)

    @property
    def gain(self) -> Gain:
        """The most honest of the gains: that in outer folds, if there is one."""
        return self.unseen if self.refitted is None else self.refitted

    @property
    def verdict(self) -> str:
        """`"yes"`, `"no"` or `"cannot be told"`."""
        return self.gain.verdict

    @property
    def summary(self) -> list[str]:
        """The advice in sentences."""
        return sentences(self)

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers.

        Returns
        -------
        dict
            Of lists, strings and numbers.
        """
        chosen, plain = self.chosen, self.plain
        table = self.table
        return {
            "kdtheory": kdtheory.__version__,
            "verdict": self.verdict,
            "gain": {
                name: None if gain is None else {**asdict(gain), "share": gain.share, "verdict": gain.verdict}
                for name, gain in (("unseen", self.unseen), ("measured", self.measured), ("refitted", self.refitted))
            },
            "n_outer_folds": self.n_outer_folds,
            "seed": self.seed,
            "rows": {"of_file": table.n_rows_of_file, "incomplete": table.n_incomplete, "used": table.n_rows},
            "target": table.target_name,
            "numbers": list(table.numbers),
            "categories": list(table.categories),
            "remarks": list(table.remarks),
            "error_of_mean": self.mean_error,
            "plain": {
                "ridge": plain.plain_ridge,
                "gamma": plain.gamma,
                "error": self.measured.plain_error,
                "r2": r_squared(self.measured.plain_error, self.mean_error),
            },
            "chosen": {
                **chosen.model.best_params_,
                "error": self.measured.distilled_error,
                "r2": r_squared(self.measured.distilled_error, self.mean_error),
                "solver": repr(chosen.model.solver_),
            },
            "widths": [
                {"gamma": width.gamma, "plain_error": width.plain_error, "score": width.score} for width in self.widths
            ],
            "summary": self.summary,
        }

    def to_json(self) -> str:
        """Give all numbers, in the JSON of RFC 8259.

        Returns
        -------
        str
        """
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def advise(
    table: Table,
    *,
    n_steps: SupportsIndex = 10,
    n_outer_folds: SupportsIndex = 0,
    seed: SupportsIndex = 0,
    verbose: bool = False,
) -> Advice:
    """Tune a self-distilled kernel ridge regression, and say whether distillation has paid.

    Columns of numbers are standardised, categories are encoded as one column for each text. Then kernel widths, ridges,
    numbers of fits and label weights are searched by exact leave-one-out: for self-distillation, and for kernel ridge
    regression alone.

    Parameters
    ----------
    table : Table
    n_steps : int, default 10
        Largest number of fits to try, >= 2.
    n_outer_folds : int, default 0
        Do all of it again in so many folds, 2 or more, and judge it on what each leaves out. 0: not at all.
    seed : int, default 0
        Of everything random: which rows the search begins on, and the folds.
    verbose : bool, default False
        Show a progress bar.

    Returns
    -------
    Advice

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    See Also
    --------
    kdtheory.estimators.SelfDistilledKernelRidgeCV : The search at given widths.

    Notes
    -----
    Source: Borup & Andersen (2021) for the models; their exact leave-one-out errors, and the choice without hindsight,
    are derived for this package.

    Cost: about eight eigendecompositions of n rows, above 5000 rows Nyström approximations with 1000 landmarks; once
    more, and a little less, for every outer fold.

    Examples
    --------
    >>> import pandas as pd
    >>> from kdtheory.advice import Rows, make_table
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-3.0, 3.0, 60)
    >>> frame = pd.DataFrame({"x": x, "y": np.sin(2.0 * x) + 0.3 * rng.standard_normal(60)})
    >>> advice = advise(make_table(Rows(frame, 60, {}), "y"), n_steps=3)
    >>> advice.model.predict(frame[:2]).shape
    (2,)
    """
    most_steps, n_folds = require_nonnegative_integer("n_steps", n_steps), _folds(n_outer_folds, table.n_rows)
    if most_steps < 2:
        raise ValueError(f"n_steps must be >= 2, got {most_steps}")
    seed = require_nonnegative_integer("seed", seed)
    generators = np.random.default_rng(seed).spawn(3)
    target, n_rows = table.target, table.n_rows
    with _shown(require_bool("verbose", verbose)) as announce, _threads(n_rows):
        columns = _columns(table).fit(table.features)
        points = columns.transform(table.features)
        widths = find_widths(points, target, n_steps=most_steps, generator=generators[0], announce=announce)
        chosen, plain = _chosen(widths), _plain(widths)
        refitted = None
        if n_folds:
            refitted = _gain_refitted(table, most_steps, n_folds, generators[2], announce)
    return Advice(
        table=table,
        model=Pipeline([("columns", columns), ("model", chosen.model)]),
        widths=widths,
        mean_error=float(np.var(target)) * (n_rows / (n_rows - 1)) ** 2,
        measured=Gain.of((target - plain.plain_predictions) ** 2, (target - chosen.predictions) ** 2),
        unseen=gain_without_hindsight([width.point_scores for width in widths], generators[1]),
        refitted=refitted,
        n_outer_folds=n_folds,
        seed=seed,
    )


def r_squared(error: float, mean_error: float) -> float:
    """Share of the squared error of the mean that a model saves, at rows that neither has seen."""
    return 1.0 - error / mean_error


def _folds(n_outer_folds: SupportsIndex, n_rows: int) -> int:
    count = require_nonnegative_integer("n_outer_folds", n_outer_folds)
    if count == 1 or count > n_rows:
        raise ValueError(f"n_outer_folds must be 0, or from 2 to the number of rows, {n_rows}, got {count}")
    return count


def _columns(table: Table) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), list(table.numbers)),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(table.categories)),
        ],
        sparse_threshold=0.0,
    )


def _chosen(widths: Sequence[Width]) -> Width:
    return min(widths, key=lambda width: width.score)


def _plain(widths: Sequence[Width]) -> Width:
    return min(widths, key=lambda width: width.plain_error)


def _gain_refitted(
    table: Table, n_steps: int, n_folds: int, generator: np.random.Generator, announce: Announce
) -> Gain:
    """Gain at rows of which no fit and no choice has seen anything, each left out once."""
    losses, plain_losses = np.zeros(table.n_rows), np.zeros(table.n_rows)
    folds = KFold(n_folds, shuffle=True, random_state=int(generator.integers(2**31)))
    for kept, left_out in folds.split(table.features):
        columns = _columns(table).fit(table.features.iloc[kept])
        seen, unseen = (columns.transform(table.features.iloc[rows]) for rows in (kept, left_out))
        target, true = table.target[kept], table.target[left_out]
        widths = find_widths(seen, target, n_steps=n_steps, generator=generator, announce=announce)
        best = _plain(widths)
        plain = SelfDistilledKernelRidge(best.plain_ridge, n_steps=1, gamma=best.gamma, solver=best.model.solver_)
        plain_losses[left_out] = _losses(plain.fit(seen, target).predict(unseen), true)
        losses[left_out] = _losses(_chosen(widths).model.predict(unseen), true)
    return Gain.of(plain_losses, losses)


def _losses(predictions: Array, target: Array) -> Array:
    return (predictions - target) ** 2


@contextmanager
def _shown(verbose: bool) -> Iterator[Announce]:
    with tqdm(desc="kernel widths", unit="width", disable=not verbose, leave=False) as bar:

        def announce(gamma: float) -> None:
            bar.set_postfix_str(f"gamma {gamma:.3g}", refresh=False)
            bar.update()

        yield announce


@contextmanager
def _threads(n_rows: int) -> Iterator[None]:
    if n_rows > _ONE_THREAD_UP_TO:
        yield
        return
    with threadpool_limits(1, user_api="blas"):
        yield
