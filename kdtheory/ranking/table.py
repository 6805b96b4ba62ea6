"""Comparisons of students as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kdtheory.ranking.experiment import METHODS, StudentComparison
from kdtheory.ranking.linear import require_depths

DIFFERENCES = (
    (2, 1, "distillation − student"),
    (3, 2, "double (1 − p) − distillation"),
    (4, 2, "double (1 − sigmoid) − distillation"),
    (4, 1, "double (1 − sigmoid) − student"),
)
"""Numbers of two of the `METHODS`, and the name of their difference."""


def precision_table(comparisons: Sequence[StudentComparison], ks: Sequence[int] = (1, 3, 5)) -> str:
    r"""Means and standard errors over seeds, and those of the paired differences between students, as text.

    Parameters
    ----------
    comparisons : sequence of StudentComparison
        One for each of at least 2 seeds, with the same candidates.
    ks : sequence of int, default (1, 3, 5)

    Returns
    -------
    str
        Also of every method, the range of the penalties chosen, and how many of all its models did not converge.

    Raises
    ------
    ValueError, TypeError
        For fewer than two seeds, of which no standard error is known, and for precisions at other numbers of k.

    Notes
    -----
    Source: the layout of Menon et al. (2020), Table 1.

    Examples
    --------
    >>> values = np.array([[0.8], [0.7], [0.72], [0.72], [0.71]])
    >>> seeds = [
    ...     StudentComparison(values + shift, np.full(5, 1e-3), np.array([1e-4, 1e-3, 1e-2]), np.zeros(5, dtype=int))
    ...     for shift in (0.0, 0.02)
    ... ]
    >>> print("\n".join(precision_table(seeds, ks=[1]).splitlines()[:3]))
    Method                                                     P@1          Penalties   Not converged
    Teacher                                        0.8100 ± 0.0100      0.001 … 0.001         0 of 6
    Student                                        0.7100 ± 0.0100      0.001 … 0.001         0 of 6
    """
    depths = require_depths(ks)
    shape = (len(METHODS), len(depths))
    if len(comparisons) < 2:
        raise ValueError(f"comparisons must hold at least 2 seeds, for standard errors, got {len(comparisons)}")
    for comparison in comparisons:
        if comparison.precisions.shape != shape:
            raise ValueError(f"precisions must have the shape {shape}, got {comparison.precisions.shape}")
    values = np.array([comparison.precisions for comparison in comparisons])
    penalties = np.array([comparison.penalties for comparison in comparisons])
    n_unconverged = np.sum([comparison.n_unconverged for comparison in comparisons], axis=0)
    n_models = sum(len(comparison.candidates) for comparison in comparisons)
    lines = [_row("Method", [*(f"P@{k}" for k in depths), "Penalties", "Not converged"])]
    for method, name in enumerate(METHODS):
        chosen = f"{np.min(penalties[:, method]):g} … {np.max(penalties[:, method]):g}"
        counted = f"{n_unconverged[method]} of {n_models}"
        lines.append(_row(name, [*_with_errors(values[:, method]), chosen, counted]))
    candidates = ", ".join(f"{penalty:g}" for penalty in comparisons[0].candidates)
    lines += [f"Penalties to choose from: {candidates}", "", _row("Paired difference", [f"P@{k}" for k in ks])]
    for method, baseline, name in DIFFERENCES:
        lines.append(_row(name, _with_errors(values[:, method] - values[:, baseline], signed=True)))
    return "\n".join(lines)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:44s}" + "".join(f"{cell:>19s}" for cell in cells)


def _with_errors(values: np.ndarray, *, signed: bool = False) -> list[str]:
    errors = np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
    sign = "+" if signed else ""
    return [f"{mean:{sign}.4f} ± {error:.4f}" for mean, error in zip(np.mean(values, axis=0), errors, strict=True)]
