"""Exact predictions for points, and groups of points, that a whole chain of distillations has not seen.

Leave a group S of points out, refit the teacher and every student without it, and pad the targets of each fit on S with
what it predicts there: then the fit on the other points is also the fit on all points. With the residual operator
`R = ridge·(K + ridge I)⁻¹`, the hat matrix `M = I − R` and the padded values `p_0 = y, p_1, …` of the pure chain (label
weight 0), this reads `p_j = M (p_{j−1} + I_S D_j)` with the changes `D_j` of the held-out predictions from one fit to
the next, `R_SS D_j = −(R p_{j−1})_S`. What is left out is then predicted as `y_S + D_1 + … + D_j`, and nothing has been
refitted. For single points, all of them at once, only the diagonals of `R Mᵐ` are needed.

Any label weights give combinations of the pure chain (`kdtheory.combinations`), left out or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace, device

from kdtheory._intercept import CenteredProblem
from kdtheory._interop import to_numpy
from kdtheory._typing import Array, Namespace
from kdtheory._validation import require_representable
from kdtheory.filters import Modes, Ridge
from kdtheory.spectrum import Spectrum, WeightedSpectrum

_ROWS_AT_ONCE = 512


def changes_left_out(problem: CenteredProblem, ridges: Sequence[float], n_steps: int) -> Array:
    """Return the changes `D_1, D_2, …` of the leave-one-out predictions along the pure chain of every ridge.

    Returns
    -------
    array of shape (n_steps, n_ridges, n) or (n_steps, n_ridges, n, k)
        `D_1` is the prediction minus the target, each next one what one more fit changes.

    Notes
    -----
    Cost: `O(n²·n_ridges·n_steps)` for each output after the decomposition, all of it in matrix products.
    """
    spectrum = problem.free_spectrum
    _require_two_weighed(spectrum)
    xp = array_namespace(spectrum.eigenvalues)
    modes = [Ridge(ridge).modes(spectrum.eigenvalues) for ridge in ridges]
    decays = _decays(xp, modes, n_steps)
    leverages = xp.permute_dims(_diagonals(problem, decays), (1, 0, 2))  # (R Mᵐ)_ii, shape (n_steps, n_ridges, n)
    errors = xp.moveaxis(_lift_residuals(problem, decays), 1, 0)  # (R Mᵐ y)_i, shape (n_steps, n_ridges, n[, k])
    _require_leverage_below_one(leverages[0, ...], modes, ridges)
    if problem.targets.ndim == 2:
        leverages = leverages[..., None]
    changes = _unweigh(problem, _recursion(xp, errors, leverages), modes)
    return require_representable(changes, "the leave-one-out prediction")


def changes_of_groups(problem: CenteredProblem, groups: np.ndarray, ridges: Sequence[float], n_steps: int) -> Array:
    """Return changes like those of `changes_left_out`, for groups that are left out whole.

    Parameters
    ----------
    groups : array of n integers
        The group of each point.

    Notes
    -----
    Cost for each ridge and group S: `|S|²·n + |S|³`, and `O(|S|·n)` for each step and output.
    """
    spectrum = problem.free_spectrum
    xp, place = array_namespace(spectrum.eigenvalues), device(spectrum.eigenvalues)
    modes = [Ridge(ridge).modes(spectrum.eigenvalues) for ridge in ridges]
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    parts = []
    for rows in members:
        _require_others(spectrum, groups == groups[rows[0]])
        parts.append(_changes_of_group(problem, xp.asarray(rows, device=place), modes, ridges, n_steps))
    order = xp.asarray(np.argsort(np.concatenate(members)), device=place)
    return require_representable(xp.take(xp.concat(parts, axis=2), order, axis=2), "the held-out prediction")


def mean_changes(problem: CenteredProblem, ridge: float, n_steps: int) -> Array:
    """Return changes like those of `changes_left_out`, with the mean leverage of the weighed points for each one."""
    spectrum = problem.free_spectrum
    _require_two_weighed(spectrum)
    xp = array_namespace(spectrum.eigenvalues)
    modes = [Ridge(ridge).modes(spectrum.eigenvalues)]
    decays = _decays(xp, modes, n_steps)
    traces = xp.sum(decays[0, ...], axis=1)
    # R is one where K is zero, but not in the direction of an intercept, and unweighed points do not count.
    first = traces[0] + float(spectrum.n_weighed - decays.shape[-1]) - xp.sum(problem.shares)
    leverages = xp.concat([xp.reshape(first, (1,)), traces[1:]]) / float(spectrum.n_weighed)
    _require_leverage_below_one(leverages[None, :1], modes, [ridge])
    errors = _lift_residuals(problem, decays)[0, ...]
    changes = _recursion(xp, errors, leverages)
    return require_representable(_unweigh(problem, changes[:, None, ...], modes)[:, 0, ...], "the held-out prediction")


def _recursion(xp: Namespace, errors: Array, leverages: Array) -> Array:
    """Solve `leverages_0·D_j = −errors_j − Σ_s leverages_{j−s}·D_s` for the changes `D_0, D_1, …`."""
    changes: list[Array] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(errors.shape[0]):
            total = errors[step, ...]
            for past, change in enumerate(changes):
                total = total + change * leverages[step - past, ...]
            changes.append(-total / leverages[0, ...])
        return xp.stack(changes)


def _changes_of_group(
    problem: CenteredProblem, rows: Array, modes: Sequence[Modes], ridges: Sequence[float], n_steps: int
) -> Array:
    """Return the changes at the points `rows`, shape (n_steps, n_ridges, |rows|[, k])."""
    spectrum = problem.free_spectrum
    xp = array_namespace(spectrum.eigenvalues)
    basis = xp.take(spectrum.eigenvectors, rows, axis=0)
    fixed = _fixed_block(problem, rows, basis)
    off_range = xp.take(outside(problem), rows, axis=0)
    at_ridge = []
    for ridge, mode in zip(ridges, modes, strict=True):
        block = (basis * mode.residual) @ basis.T + fixed
        if not _is_more_than_rounding(xp.linalg.eigvalsh(block)[0], mode):
            raise ValueError(
                f"ridge must leave every group a leverage below 1 to leave it out, got {ridge!r}, with which the group"
                f" of point {int(rows[0])} has the leverage 1"
            )
        padded, error = spectrum.coordinates(problem.targets), off_range
        changes, moved = [], []
        for _ in range(n_steps):
            residual = mode.residual if padded.ndim == 1 else mode.residual[:, None]
            shrinkage = mode.shrinkage if padded.ndim == 1 else mode.shrinkage[:, None]
            change = -_solve(xp, block, basis @ (residual * padded) + error)
            padded, error = padded + basis.T @ change, xp.zeros_like(error)
            changes.append(change)
            moved.append(padded)
            padded = shrinkage * padded
        at_ridge.append(_unweigh_group(problem, rows, xp.stack(changes), moved, mode))
    return xp.stack(at_ridge, axis=1)


def _fixed_block(problem: CenteredProblem, rows: Array, basis: Array) -> Array:
    """Part of `R_SS` that all ridges share: R is one where K is zero, but for what the intercept fits whole."""
    xp = array_namespace(basis)
    if problem.is_whole:
        return xp.zeros((rows.shape[0], rows.shape[0]), dtype=basis.dtype, device=device(basis))
    share = xp.sqrt(xp.take(problem.shares, rows, axis=0))
    return xp.eye(rows.shape[0], dtype=basis.dtype, device=device(basis)) - basis @ basis.T - share[:, None] * share


def _solve(xp: Namespace, block: Array, right: Array) -> Array:
    solved = xp.linalg.solve(block, right[:, None] if right.ndim == 1 else right)
    return solved[:, 0] if right.ndim == 1 else solved


def _decays(xp: Namespace, modes: Sequence[Modes], n_steps: int) -> Array:
    """Eigenvalues of `R Mᵐ` for m = 0, 1, …, shape (n_ridges, n_steps, r)."""
    rows = []
    for mode in modes:
        powers = [mode.residual]
        for _ in range(1, n_steps):
            powers.append(powers[-1] * mode.shrinkage)
        rows.append(xp.stack(powers))
    return xp.stack(rows)


def _diagonals(problem: CenteredProblem, decays: Array) -> Array:
    """Diagonals of matrices with these eigenvalues, shape (n_ridges, n_steps, n), the intercept taken into account."""
    xp = array_namespace(decays)
    u = problem.free_spectrum.eigenvectors
    n_ridges, n_steps, rank = decays.shape
    columns = xp.reshape(decays, (n_ridges * n_steps, rank)).T
    blocks, off_diagonal = [], []
    for start in range(0, u.shape[0], _ROWS_AT_ONCE):
        squares = u[start : min(start + _ROWS_AT_ONCE, u.shape[0]), :] ** 2
        blocks.append(squares @ columns)
        off_diagonal.append(1.0 - xp.sum(squares, axis=1))
    diagonals = xp.reshape(xp.concat(blocks).T, (n_ridges, n_steps, u.shape[0]))
    if problem.is_whole:
        return diagonals
    # R is one where K is zero, but for the direction that the intercept fits whole.
    first = diagonals[:, :1, :] + (xp.concat(off_diagonal) - problem.shares)
    return xp.concat([first, diagonals[:, 1:, :]], axis=1)


def _lift_residuals(problem: CenteredProblem, decays: Array) -> Array:
    """`R Mᵐ y` in whitened coordinates, shape (n_ridges, n_steps, n) or (n_ridges, n_steps, n, k)."""
    xp = array_namespace(decays)
    lifted = problem.free_spectrum.lift(decays, problem.free_spectrum.coordinates(problem.targets))
    if problem.is_whole:
        return lifted
    first = lifted[:, :1, ...] + outside(problem)
    return xp.concat([first, lifted[:, 1:, ...]], axis=1)


def outside(problem: CenteredProblem) -> Array:
    """Return what the eigenvectors leave of the whitened targets: nothing, if there are as many as points."""
    spectrum = problem.free_spectrum
    xp = array_namespace(spectrum.eigenvalues)
    whitened = spectrum.whiten(problem.targets)
    if problem.is_whole:
        return xp.zeros_like(whitened)
    return whitened - spectrum.lift(xp.ones_like(spectrum.eigenvalues), spectrum.coordinates(problem.targets))


def _unweigh(problem: CenteredProblem, changes: Array, modes: Sequence[Modes]) -> Array:
    """Return the changes in units of the targets; points without weight are predicted like new ones."""
    spectrum = problem.free_spectrum
    if not isinstance(spectrum, WeightedSpectrum):
        return changes
    xp = array_namespace(changes)
    divisor, weighed = _divisor(spectrum.root_weight, problem.targets.ndim)
    changes = changes / divisor
    if spectrum.n_weighed == spectrum.n_points:
        return changes
    coefficient, shrinkage = ([getattr(mode, name) for mode in modes] for name in ("coefficient", "shrinkage"))
    powers = [xp.ones_like(xp.stack(shrinkage))]
    for _ in range(1, changes.shape[0]):
        powers.append(powers[-1] * xp.stack(shrinkage))
    stacked = xp.stack(powers)
    fits = spectrum.lift_fitted(
        stacked * xp.stack(coefficient), stacked * xp.stack(shrinkage), spectrum.coordinates(problem.targets)
    )
    before = xp.concat([xp.zeros_like(fits[:1, ...]) + problem.targets, fits[:-1, ...]])
    return xp.where(weighed, changes, fits - before)


def _unweigh_group(problem: CenteredProblem, rows: Array, changes: Array, moved: Sequence[Array], mode: Modes) -> Array:
    """Do the same as `_unweigh` for one group and ridge, given the coordinates of the padded targets of every fit."""
    spectrum = problem.free_spectrum
    if not isinstance(spectrum, WeightedSpectrum):
        return changes
    xp = array_namespace(changes)
    root = xp.take(spectrum.root_weight, rows, axis=0)
    divisor, weighed = _divisor(root, problem.targets.ndim)
    changes = changes / divisor
    if bool(xp.all(root > 0.0)):
        return changes
    gram = xp.take(spectrum.gram, rows, axis=0)
    share = xp.take(problem.shares, rows, axis=0)
    before, mean, unseen = xp.take(problem.targets, rows, axis=0), xp.zeros_like(problem.mean_target), []
    for step, coordinates in enumerate(moved):
        change = changes[step, ...]
        mean = mean + share @ change  # what the group took from the intercept
        prediction = gram @ spectrum.lift_dual_coef(mode.coefficient, coordinates) + mean
        unseen.append(prediction - before)
        before = prediction
    return xp.where(weighed, changes, xp.stack(unseen))


def _divisor(root: Array, ndim: int) -> tuple[Array, Array]:
    """Root weights to divide by, 1 for zero, and where they are not zero, for arrays whose targets have `ndim` axes."""
    xp = array_namespace(root)
    aligned = root if ndim == 1 else root[:, None]
    weighed = aligned > 0.0
    return xp.where(weighed, aligned, xp.ones_like(aligned)), weighed


def _require_two_weighed(spectrum: Spectrum) -> None:
    """Refuse to leave out the one point that there is to learn from."""
    if spectrum.n_weighed < 2:
        raise ValueError(
            f"K must have at least 2 points with a sample weight > 0 to leave one out, got {spectrum.n_weighed}"
        )


def _require_others(spectrum: Spectrum, left_out: np.ndarray) -> None:
    """Refuse to leave out a group with all points that there are to learn from."""
    if not np.any(to_numpy(spectrum.weights())[~left_out] > 0.0):
        raise ValueError(
            "groups must leave some point with a sample weight > 0 to learn from, got one with all of them"
        )


def _require_leverage_below_one(remaining: Array, modes: Sequence[Modes], ridges: Sequence[float]) -> None:
    """Refuse points without which nothing is known of them: `1 − M_ii` is zero, or nothing but rounding."""
    xp = array_namespace(remaining)
    for index, (ridge, mode) in enumerate(zip(ridges, modes, strict=True)):
        row = remaining[index, ...]
        if not _is_more_than_rounding(xp.min(row), mode):
            raise ValueError(
                f"ridge must leave every point a leverage below 1 to leave it out, got {ridge!r}, with which point"
                f" {int(xp.argmin(row))} has the leverage 1"
            )


def _is_more_than_rounding(remaining: Array, mode: Modes) -> bool:
    xp = array_namespace(mode.residual)
    return float(remaining) > float(xp.finfo(mode.residual.dtype).eps) * float(xp.max(mode.residual))
