"""Numbers that a paper prints, or claims in words, beside those that are computed here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from kdtheory._validation import (
    require_nonnegative,
    require_positive_integer,
    require_real,
    require_share,
    require_vector,
)

MET, NOT_MET = "met", "not met"
REPRODUCED, CONTRADICTED, OPEN = "reproduced", "contradicted", "undecided"
CLAIM = "> 0"
"""Published where a claim is in words, and `here` is a number that is positive where it holds."""

_INEQUALITY = re.compile(r"([<>]) (-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Reproduced:
    """A published number, or a claim of one's sign or size, and what is found here.

    Parameters
    ----------
    quantity : str
        What the number is, or what is claimed of it.
    here : float
        The number found here.
    published : str
        As it is printed: a number such as ``"0.16477"``, an inequality such as ``"> 1"``, or words.
    source : str
        Paper, and figure, table or equation.
    error : float, optional
        Standard error of `here`.
    tolerance : float, optional
        How far `here` may be from the published number; without it nothing is required.
    verdict : str, optional
        By default "met" or "not met" where there is a tolerance, and empty otherwise.

    Raises
    ------
    ValueError, TypeError
        For numbers that are not finite, and a tolerance for what is not published as a number.

    See Also
    --------
    claimed : For trials of an inequality.
    sampled : For a published mean over trials.

    Examples
    --------
    >>> loss = Reproduced("loss of step 1", 0.164771, "0.16477", "Someone (2021), Table 1", tolerance=5e-6)
    >>> loss.verdict, loss.is_met
    ('met', True)
    >>> round(loss.difference, 9)
    1e-06
    """

    quantity: str
    here: float
    published: str
    source: str
    error: float | None = None
    tolerance: float | None = None
    verdict: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "here", require_real("here", self.here))
        if self.error is not None:
            object.__setattr__(self, "error", require_nonnegative("error", self.error))
        if self.tolerance is not None:
            object.__setattr__(self, "tolerance", require_nonnegative("tolerance", self.tolerance))
            if self.difference is None:
                raise ValueError(f"published must be a number where there is a tolerance, got {self.published!r}")
            if not self.verdict:
                object.__setattr__(self, "verdict", MET if self.is_met else NOT_MET)

    @property
    def difference(self) -> float | None:
        """What is found here less what is published; None where that is no number."""
        try:
            difference = self.here - float(self.published)
        except ValueError:
            return None
        return difference if np.isfinite(difference) else None

    @property
    def is_met(self) -> bool:
        """Whether nothing is required, or it is within the tolerance."""
        return self.tolerance is None or self.difference is None or abs(self.difference) <= self.tolerance

    def as_record(self) -> dict[str, Any]:
        """Give all fields and the difference by name, in the order of a table.

        Examples
        --------
        >>> Reproduced("a share", 0.75, "0.5", "Someone (2021)").as_record()["difference"]
        0.25
        """
        fields = asdict(self)
        verdict = fields.pop("verdict")
        return {**fields, "difference": self.difference, "verdict": verdict}


def claimed(quantity: str, trials: Sequence[float] | np.ndarray, published: str, source: str) -> Reproduced:
    """Hold trials against a claimed inequality.

    Parameters
    ----------
    quantity : str
    trials : array of shape (n_trials,)
        At least 2 numbers.
    published : str
        Begins with an inequality, such as ``"> 1"`` or ``"< 0.5, by eye"``.
    source : str

    Returns
    -------
    Reproduced
        The mean with its standard error, and the verdict of `judge`.

    Raises
    ------
    ValueError, TypeError
        For a claim without an inequality, fewer than two trials, and numbers that are not finite.

    Examples
    --------
    >>> claimed("slope", [1.2, 1.3, 1.25], "> 1", "Someone (2023), Table 3").verdict
    'reproduced'
    """
    values = require_trials("trials", trials)
    found = _INEQUALITY.match(published)
    if found is None:
        raise ValueError(f"published must begin with an inequality, such as '> 1', got {published!r}")
    sign, bound = found.groups()
    beyond = values - float(bound) if sign == ">" else float(bound) - values
    return Reproduced(
        quantity, float(np.mean(values)), published, source, error=float(stats.sem(values)), verdict=judge(beyond)
    )


def sampled(
    quantity: str, trials: Sequence[float] | np.ndarray, published: str, source: str, *, published_trials: int = 100
) -> Reproduced:
    """Hold the mean of trials against a published mean of other trials.

    Parameters
    ----------
    quantity : str
    trials : array of shape (n_trials,)
        At least 2 numbers.
    published : str
        A number.
    source : str
    published_trials : int, default 100
        How many trials the published number is the mean of.

    Returns
    -------
    Reproduced
        With a tolerance of half a unit of the last printed digit, and of the interval of Student's t for the difference
        at the level of four standard errors, 99.994 %: for few trials, whose standard error is unsure, it is wider.

    Raises
    ------
    ValueError, TypeError
        For what is published as no number, fewer than two trials, and numbers that are not finite.

    Notes
    -----
    The variance of the published trials is taken to be that of those given.

    Examples
    --------
    >>> sampled("a gain", [0.021, 0.024, 0.022], "0.0226", "Someone (2020), Fig. 2").verdict
    'met'
    """
    values = require_trials("trials", trials)
    error = float(stats.sem(values))
    of_difference = error * np.sqrt(1.0 + len(values) / require_positive_integer("published_trials", published_trials))
    reach = float(stats.t.isf(stats.norm.sf(4.0), len(values) - 1))
    rounding = 0.5 * 10.0 ** -len(published.partition(".")[2]) if "." in published else 0.0
    return Reproduced(
        quantity, float(np.mean(values)), published, source, error=error, tolerance=reach * of_difference + rounding
    )


def judge(trials: Sequence[float] | np.ndarray, level: float = 0.95) -> str:
    """Say whether the interval of Student's t for a mean lies above zero, below it, or neither.

    Parameters
    ----------
    trials : array of shape (n_trials,)
        At least 2 numbers, whose mean is claimed to be positive.
    level : float, default 0.95

    Returns
    -------
    str
        "reproduced", "contradicted" or "undecided".

    Raises
    ------
    ValueError, TypeError
        For fewer than two trials, numbers that are not finite, and a level outside [0, 1].

    Examples
    --------
    >>> judge([0.1, 0.2, 0.15]), judge([-0.1, 0.2])
    ('reproduced', 'undecided')
    """
    values = require_trials("trials", trials)
    quantile = float(stats.t.ppf((1.0 + require_share("level", level)) / 2.0, len(values) - 1))
    mean, error = float(np.mean(values)), float(stats.sem(values))
    if abs(mean) <= (quantile * error if error else 0.0):
        return OPEN
    return REPRODUCED if mean > 0.0 else CONTRADICTED


def require_trials(name: str, value: Any) -> np.ndarray:
    """`value` as two or more finite numbers, one for each trial."""
    values = np.asarray(require_vector(name, value), dtype=float)
    if len(values) < 2:
        raise ValueError(f"{name} must be of 2 trials or more, for a standard error, got {len(values)}")
    return values
