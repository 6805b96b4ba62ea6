"""From rows of a file to numbers: which columns are features, which rows can be used; all that is left out is said."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kdtheory.advice.reading import Rows

LEAST_ROWS = 20
"""Complete rows without which no standard error of a held-out error means much."""

_MOST_TEXTS = 20
"""Distinct texts up to which a column is one of categories."""

_ROWS_PER_TEXT = 5
_MOST_INCOMPLETE = 0.5
_LARGEST = 1e100
"""Size of numbers whose squares can still be added up."""


@dataclass(frozen=True, eq=False)
class Table:
    """Features and a target without gaps; made by `make_table`.

    Attributes
    ----------
    features : pandas.DataFrame
        One column for each feature, of floats or of texts.
    target : array of shape (n,)
    target_name : str
    numbers, categories : tuple of str
        Names of the columns of floats, and of those of texts.
    n_rows_of_file : int
    n_incomplete : int
        Rows left out for a missing value.
    remarks : tuple of str
        What was done to the rows and columns, in sentences.
    """

    features: Any
    target: np.ndarray
    target_name: str
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    n_rows_of_file: int
    n_incomplete: int
    remarks: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Number of rows that are used."""
        return len(self.target)


def make_table(rows: Rows, target: str, *, drop: Sequence[str] = ()) -> Table:
    """Check rows, and leave out what cannot be learned from.

    Columns of at most 20 different texts become categories. Rows with a missing value, columns that are empty or always
    the same, second copies of columns, and unnamed columns that count the rows are left out.

    Parameters
    ----------
    rows : Rows
    target : str
        Name of the column to predict.
    drop : sequence of str, default ()
        Names of columns to leave out.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        For names that no column has; a target that is no number or always the same; texts among numbers, or too many of
        them; infinite numbers; more than half of the rows incomplete; fewer than 20 complete rows; no feature left.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(30), "kind": ["a", "b"] * 15, "y": range(30), "unit": ["m"] * 30})
    >>> table = make_table(Rows(frame, 30, {}), "y")
    >>> table.numbers, table.categories, table.remarks[:2]
    ((), ('kind',), ('Left out as always the same: unit.', 'Column x equals the target and was left out.'))
    """
    frame = rows.frame
    _require_column(frame, target, "target")
    for name in drop:
        _require_column(frame, name, "drop")
    if target in drop:
        raise ValueError(f"drop must not hold the target, got {target!r}")
    remarks: list[str] = []
    if len(frame) < rows.n_rows:
        remarks.append(f"Of {rows.n_rows:,} rows a sample of {len(frame):,} is used.")
    frame = _without_gaps(frame.drop(columns=list(drop)), target, remarks)
    n_incomplete = len(rows.frame) - len(frame)
    values = _numbers(frame, target, "a number to predict (this is regression: write two classes as 0 and 1)")
    if np.ptp(values) <= 1e-12 * float(np.max(np.abs(values))):
        raise ValueError(f"target must vary, got the same value in all rows of column {target}: {values[0]:.6g}")
    features, numbers, categories = _features(frame, target, values, remarks)
    if categories:
        remarks.append(f"Of texts, encoded as one column for each: {', '.join(categories)}.")
    repeated = int(pd.concat([features, frame[[target]]], axis=1).duplicated().sum())
    if repeated:
        verb = "repeats" if repeated == 1 else "repeat"
        remarks.append(f"{_count(repeated, 'row')} {verb} an earlier one: held-out errors then look too small.")
    return Table(features, values, target, numbers, categories, rows.n_rows, n_incomplete, tuple(remarks))


def _require_column(frame: Any, name: str, option: str) -> None:
    names = [str(column) for column in frame.columns]
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=3) or [each for each in names if each.lower() == name.lower()]
    shown = near or names[:12]
    rest = "" if near or len(names) <= len(shown) else f" and {len(names) - len(shown)} more"
    question = "did you mean" if near else "the columns are"
    raise ValueError(f"{option} must be the name of a column, got {name!r}: {question} {', '.join(shown)}{rest}")


def _without_gaps(frame: Any, target: str, remarks: list[str]) -> Any:
    """Complete rows of the columns that are not empty."""
    empty = [name for name in frame.columns if name != target and frame[name].isna().all()]
    if empty and len(frame):
        remarks.append(f"Left out as empty: {', '.join(empty)}.")
    frame = frame.drop(columns=empty)
    gaps = frame.isna()
    incomplete = gaps.any(axis=1)
    count = int(incomplete.sum())
    if count:
        worst = gaps.sum().idxmax()
        of_worst = f"{int(gaps[worst].sum()):,} in column {worst}"
        if count > _MOST_INCOMPLETE * len(frame):
            raise ValueError(
                f"at least half of the rows must be complete, got {count:,} of {len(frame):,} with a missing value,"
                f" most of them, {of_worst}: leave columns out with --drop, or fill them"
            )
        remarks.append(f"{_count(count, 'row')} with a missing value left out ({of_worst}).")
    kept = frame[~incomplete]
    if len(kept) < LEAST_ROWS:
        raise ValueError(f"data must have at least {LEAST_ROWS} complete rows, got {len(kept)}")
    return kept


def _features(
    frame: Any, target: str, values: np.ndarray, remarks: list[str]
) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    columns: dict[str, Any] = {}
    categories: list[str] = []
    constant: list[str] = []
    for name in frame.columns:
        if name == target:
            continue
        column = frame[name]
        if column.nunique() == 1:
            constant.append(name)
            continue
        if _is_text(column, name):
            columns[name], categories = column.astype(str).astype(object), [*categories, name]
            continue
        numbers = _numbers(frame, name, "numbers")
        copy = next((each for each, other in columns.items() if np.array_equal(other, numbers)), None)
        if name.startswith("Unnamed: ") and np.all(np.diff(numbers) > 0.0):
            number = name.removeprefix("Unnamed: ")
            remarks.append(f"Column {number}, without a name, counts the rows and was left out.")
        elif np.array_equal(numbers, values):
            remarks.append(f"Column {name} equals the target and was left out.")
        elif copy is not None:
            remarks.append(f"Column {name} is a copy of {copy} and was left out.")
        else:
            columns[name] = numbers
            if np.all(np.diff(numbers) == 1.0):
                remarks.append(
                    f"Column {name} counts the rows: leave it out with --drop {name!r} unless it means more."
                )
    if constant:
        remarks.insert(0, f"Left out as always the same: {', '.join(constant)}.")
    if not columns:
        raise ValueError("data must have a column that varies besides the target, got none")
    features = pd.DataFrame(columns, index=frame.index)
    return features, tuple(name for name in columns if name not in categories), tuple(categories)


def _is_text(column: Any, name: str) -> bool:
    """Whether a column holds categories; texts among numbers are refused, and too many different ones."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    bad = pd.to_numeric(column, errors="coerce").isna()
    if not bad.any():
        return False
    first = f"{column[bad].iloc[0]!r} in row {column[bad].index[0]}"
    if bad.mean() <= 0.5:
        raise ValueError(f"column {name} must hold numbers, got {first}: correct it, or use --drop {name!r}")
    distinct = column.nunique()
    if distinct > _MOST_TEXTS or distinct * _ROWS_PER_TEXT > len(column):
        raise ValueError(
            f"column {name} must hold numbers, or at most {_MOST_TEXTS} different texts of {_ROWS_PER_TEXT} rows each"
            f" on average, got {distinct} in {len(column)} rows, such as {first}: use --drop {name!r}"
        )
    return True


def _numbers(frame: Any, name: str, what: str) -> np.ndarray:
    column = frame[name]
    numbers = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float)
    for wrong, rule in ((np.isnan(numbers), what), (~(np.abs(numbers) <= _LARGEST), "numbers up to 1e100 in size")):
        if np.any(wrong):
            row = int(np.argmax(wrong))
            value = str(column.iloc[row])
            advice = ": decimal commas need semicolons between columns" if re.fullmatch(r"-?\d+,\d+", value) else ""
            raise ValueError(f"column {name} must hold {rule}, got {value} in row {column.index[row]}{advice}")
    return numbers


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
