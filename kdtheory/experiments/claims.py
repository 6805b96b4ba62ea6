"""Claims of a paper, and what trials say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from kdtheory.reproduced import CLAIM, CONTRADICTED, OPEN, REPRODUCED, Reproduced, judge, require_trials

READING = """A number is positive where its claim holds, with its standard error over trials; reproduced or contradicted
where the interval of Student's t, at 95 % and not corrected for the number of claims, lies on one side of zero."""


@dataclass(frozen=True, eq=False)
class Claim:
    """A statement that a number is positive, and that number in every trial.

    Parameters
    ----------
    source : str
        Paper, and figure or table.
    statement : str
        What is claimed.
    setting : str
        On what it was tried here.
    values : array of shape (n_trials,)
        The number that is positive where the claim holds, such as a paired difference.
    unit : str, default ""
        What it counts, for the table.

    Raises
    ------
    ValueError, TypeError
        For fewer than two trials, and values that are not finite.

    Notes
    -----
    A claim is reproduced, or contradicted, where the interval of Student's t for the mean lies above zero, or below it;
    otherwise the trials do not decide it.

    Examples
    --------
    >>> claim = Claim("Someone (2020), Fig. 1", "students are better", "digits", np.array([0.1, 0.2, 0.15]))
    >>> claim.verdict()
    'reproduced'
    >>> claim.result
    '+0.1500 ± 0.0289'
    """

    source: str
    statement: str
    setting: str
    values: np.ndarray
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", require_trials("values", self.values))

    @property
    def mean(self) -> float:
        """Mean over trials."""
        return float(np.mean(self.values))

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(stats.sem(self.values))

    @property
    def result(self) -> str:
        """Mean and standard error as text."""
        digits = 4 if abs(self.mean) < 1.0 else 2
        return f"{self.mean:+.{digits}f} ± {self.error:.{digits}f}{self.unit and ' ' + self.unit}"

    def verdict(self, level: float = 0.95) -> str:
        """Say whether the interval of this level around the mean lies above zero, below it, or neither.

        Parameters
        ----------
        level : float, default 0.95

        Returns
        -------
        str
            "reproduced", "contradicted" or "undecided".

        Raises
        ------
        ValueError, TypeError
            For a level outside [0, 1].
        """
        return judge(self.values, level)

    def reproduced(self) -> Reproduced:
        """Give the claim as a row of a table of published numbers.

        Returns
        -------
        kdtheory.reproduced.Reproduced
            The mean over trials, with its standard error and verdict, beside "> 0".
        """
        return Reproduced(
            self.statement,
            self.mean,
            CLAIM,
            f"{self.source}; here {self.setting}",
            error=self.error,
            verdict=self.verdict(),
        )


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """Put claims into a table of one row each.

    Parameters
    ----------
    claims : sequence of Claim

    Returns
    -------
    DataFrame
        Columns `source`, `claim`, `setting`, `result` (mean ± standard error over trials), `trials` and `verdict`.

    Examples
    --------
    >>> claims_table([Claim("Someone (2020)", "it grows", "digits", np.array([1.0, 1.1]))])["verdict"].tolist()
    ['reproduced']
    """
    names = ("source", "claim", "setting", "result", "trials", "verdict")
    rows = [
        (each.source, each.statement, each.setting, each.result, len(each.values), each.verdict()) for each in claims
    ]
    return pd.DataFrame(rows, columns=list(names))


def write_table(table: pd.DataFrame, title: str, file: Path) -> None:
    """Write a table as text, a claim with its setting and result below each other.

    Parameters
    ----------
    table : DataFrame
        Of `claims_table`.
    title : str
        First line.
    file : Path
    """
    lines = [title, "", READING, ""]
    for row in table.itertuples(index=False):
        lines += [
            f"{row.source}: {row.claim}",
            f"    {row.setting}",
            f"    {row.result}, {row.trials} trials: {row.verdict}",
            "",
        ]
    counts = table["verdict"].value_counts()
    lines.append(", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in (REPRODUCED, CONTRADICTED, OPEN)))
    file.write_text("\n".join(lines) + "\n")
