"""What self-distillation can do for a problem, and how much at most.

The answers are those of the fixed design of `kdtheory.risk`, for kernel ridge regression and its self-distillation, in
the logarithm of the ridge. Sources: Dang, Patil & Rinaldo (2026) for one round; Borup & Andersen (2021) for the model;
the curvature test in the modes, the number of steps and the floor are derived for this package.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._components import Components
from kdtheory._sequence_model import SequenceModel
from kdtheory._validation import (
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_representable,
)


class StandardErrors(NamedTuple):
    """Bootstrap standard errors of the parts of a `DistillationOutlook`; zero where the signal is known."""

    risk: float
    slope: float
    one_step_gain: float
    best_ridge_risk: float
    curvature: float
    largest_gain: float


@dataclass(frozen=True)
class DistillationOutlook:
    """What self-distillation can do for one problem; made by `can_distillation_help` and `distillation_outlook`.

    All risks are in-sample risks per point and output.

    Attributes
    ----------
    ridge : float
        Penalty that was asked about.
    risk : float
        Risk of kernel ridge regression with it.
    slope : float
        Derivative of that risk with respect to log(ridge). Where it is negative more ridge is wanted, and a student
        should listen to its teacher (label weight < 1); where it is positive, less ridge and a label weight > 1.
    label_weight : float
        Best label weight of a second fit with the same ridge.
    one_step_gain : float
        How much that second fit lowers the risk: never negative, and zero only where the slope is.
    best_ridge : float
        Penalty of least risk.
    best_ridge_is_interior : bool
        Whether that is a minimum; otherwise the risk falls towards one end, and `best_ridge` is where the search ended.
    best_ridge_risk : float
    curvature : float
        Inner product of the error and the second derivative of the ridge path, at the best ridge. Where it is
        positive, two fits with some ridge near the best one beat it; where it is not zero, three fits at it do.
    steps_risk : tuple of float
        Least risk of 1, 2, ... fits with the best ridge and the best label weights.
    floor : float
        Risk of the best filter of all.
    n_steps_to_floor : int
        Number of fits that reach the floor with any ridge: one more than there are positive levels.
    standard_errors : StandardErrors
    """

    ridge: float
    risk: float
    slope: float
    label_weight: float
    one_step_gain: float
    best_ridge: float
    best_ridge_is_interior: bool
    best_ridge_risk: float
    curvature: float
    steps_risk: tuple[float, ...]
    floor: float
    n_steps_to_floor: int
    standard_errors: StandardErrors

    @property
    def wants_more_ridge(self) -> bool:
        """Whether the risk falls as the ridge grows; the sign rule."""
        return self.slope < 0.0

    @property
    def largest_gain(self) -> float:
        """How much any number of steps can lower the risk of the best ridge."""
        return max(self.best_ridge_risk - self.floor, 0.0)

    def __repr__(self) -> str:
        errors = self.standard_errors
        wanted = "more" if self.wants_more_ridge else "less"
        best = "best ridge" if self.best_ridge_is_interior else "no best ridge; searched up to"
        sign = "helps" if self.curvature > 1e-9 * self.best_ridge_risk else "does not help"
        path = ", ".join(f"{risk:.4g}" for risk in self.steps_risk)
        return "\n".join(
            [
                f"DistillationOutlook: at most {_percent(self.largest_gain, self.best_ridge_risk)} below the best ridge"
                f" (± {_percent(errors.largest_gain, self.best_ridge_risk)})",
                f"  ridge {self.ridge:.4g}: risk {self.risk:.4g} ± {errors.risk:.2g}; {wanted} ridge is wanted"
                f" (slope {self.slope:.2g} ± {errors.slope:.2g})",
                f"  a second fit there with label weight {self.label_weight:.3g}:"
                f" {_percent(self.one_step_gain, self.risk)} ± {_percent(errors.one_step_gain, self.risk)} lower",
                f"  {best} {self.best_ridge:.4g}: risk {self.best_ridge_risk:.4g} ± {errors.best_ridge_risk:.2g};"
                f" a second fit {sign} near it (curvature {self.curvature:.2g} ± {errors.curvature:.2g})",
                f"  1 to {len(self.steps_risk)} fits there with the best label weights: {path}",
                f"  floor of all filters: {self.floor:.4g}, reached by {self.n_steps_to_floor} fits with any ridge",
            ]
        )


def distillation_outlook(
    K: Any, signal: Any, *, ridge: SupportsFloat, noise_variance: SupportsFloat, n_steps: SupportsIndex = 4
) -> DistillationOutlook:
    """Say what self-distillation can do for a known signal.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    signal : array of shape (n,) or (n, k)
        Noise-free targets.
    ridge : float
        Penalty to judge, > 0.
    noise_variance : float
        Variance of the noise on every target, >= 0.
    n_steps : int, default 4
        Largest number of fits to report the risk of.

    Returns
    -------
    DistillationOutlook

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a risk is beyond the floating-point range.

    Notes
    -----
    Cost: `O(n·r)` after the decomposition, and `O(r)` for each of about a hundred penalties.

    Examples
    --------
    >>> outlook = distillation_outlook([[2.0, 0.0], [0.0, 1.0]], [0.0, 3.0], ridge=1.0, noise_variance=1.0)
    >>> print(outlook)
    DistillationOutlook: at most 49 % below the best ridge (± 0 %)
      ridge 1: risk 1.472 ± 0; less ridge is wanted (slope 0.85 ± 0)
      a second fit there with label weight 2.26: 37 % ± 0 % lower
      best ridge 0.1817: risk 0.8846 ± 0; a second fit does not help near it (curvature -0.0049 ± 0)
      1 to 4 fits there with the best label weights: 0.8846, 0.8846, 0.45, 0.45
      floor of all filters: 0.45, reached by 3 fits with any ridge
    """
    penalty = require_positive("ridge", ridge)
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    count = require_positive_integer("n_steps", n_steps)
    model = Components.of(K, "signal", signal).sequence_model(sigma2)
    return _outlook(model, model.best_ridge(), penalty, count, StandardErrors(0.0, 0.0, 0.0, 0.0, 0.0, 0.0))


def can_distillation_help(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    noise_variance: SupportsFloat,
    n_steps: SupportsIndex = 4,
    n_bootstrap: SupportsIndex = 200,
    random_state: int | np.random.Generator = 0,
) -> DistillationOutlook:
    """Estimate from noisy targets what self-distillation can do.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Noisy targets.
    ridge : float
        Penalty in use, > 0.
    noise_variance : float
        Variance of the noise on every target, >= 0; `estimate_noise_variance` estimates it.
    n_steps : int, default 4
        Largest number of fits to report the risk of.
    n_bootstrap : int, default 200
        Number of new data sets for the standard errors, >= 2.
    random_state : int or numpy.random.Generator, default 0
        Where the noise of those comes from.

    Returns
    -------
    DistillationOutlook
        For the signal's energies as they are estimated, with standard errors.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a risk is beyond the floating-point range.

    Notes
    -----
    The energy of the signal in a mode is the square of the component of y less the noise, averaged over neighbouring
    modes (the first five alone, then groups that grow by a fifth with the rank; equal eigenvalues stay together), and
    at least zero. Where a group holds no signal, some of its noise passes for signal: risks and floor come out too
    high, by about the same amount, while slope, gains and curvature are hardly touched. The standard errors are those
    of a parametric bootstrap: the noise is added anew to the estimated signal, and everything, the choice of the best
    ridge included, is done again.

    Cost: `O(n·r)` after the decomposition, and `O(r)` for each of about a hundred penalties and each new data set.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0.0, 1.0, 60)
    >>> K = np.exp(-20.0 * np.subtract.outer(x, x) ** 2)
    >>> y = np.sin(9.0 * x) + np.random.default_rng(0).normal(0.0, 0.3, 60)
    >>> outlook = can_distillation_help(K, y, ridge=5.0, noise_variance=0.09)
    >>> outlook.wants_more_ridge, outlook.one_step_gain > 2.0 * outlook.standard_errors.one_step_gain
    (False, True)
    """
    penalty = require_positive("ridge", ridge)
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    count = require_positive_integer("n_steps", n_steps)
    n_new = require_positive_integer("n_bootstrap", n_bootstrap)
    if n_new < 2:
        raise ValueError(f"n_bootstrap must be >= 2, got {n_bootstrap!r}")
    rng = np.random.default_rng(random_state)
    observed = Components.of(K, "y", y).sequence_model(sigma2)
    groups = _groups(observed.levels)
    model = _denoised(observed, groups)
    grid = model.ridge_grid
    kept, missing = model.squares_on(grid)
    kept_noise = model.noise * np.sum(kept, axis=1)

    replicates = []
    for _ in range(n_new):
        new = _denoised(_observe_again(model, rng), groups)
        best, _ = new.best_ridge_near(grid, missing @ new.energy + kept_noise)
        best_risk = new.ridge_risk(best)
        replicates.append(
            StandardErrors(
                risk=new.ridge_risk(penalty),
                slope=new.ridge_slope(penalty),
                one_step_gain=new.one_step(penalty)[1],
                best_ridge_risk=best_risk,
                curvature=new.ridge_curvature(best),
                largest_gain=max(best_risk - new.floor, 0.0),
            )
        )
    errors = StandardErrors(*(float(error) for error in np.std(replicates, axis=0, ddof=1)))
    return _outlook(model, model.best_ridge(), penalty, count, errors)


def _outlook(
    model: SequenceModel, best: tuple[float, bool], ridge: float, n_steps: int, errors: StandardErrors
) -> DistillationOutlook:
    best_ridge, interior = best
    label_weight, gain = model.one_step(ridge)
    steps = tuple(model.steps_risk(best_ridge, step) for step in range(1, n_steps + 1))
    outlook = DistillationOutlook(
        ridge=ridge,
        risk=model.ridge_risk(ridge),
        slope=model.ridge_slope(ridge),
        label_weight=label_weight,
        one_step_gain=gain,
        best_ridge=best_ridge,
        best_ridge_is_interior=interior,
        best_ridge_risk=model.ridge_risk(best_ridge),
        curvature=model.ridge_curvature(best_ridge),
        steps_risk=steps,
        floor=model.floor,
        n_steps_to_floor=len(np.unique(model.levels[model.eigenvalues > 0.0])) + 1,
        standard_errors=errors,
    )
    numbers = [value for value in dataclasses.astuple(outlook) if isinstance(value, float)]
    require_representable(np.array([*numbers, *steps, *errors]), "the outlook")
    return outlook


def _groups(levels: np.ndarray) -> np.ndarray:
    """Give modes the numbers of the groups in which they are averaged; groups grow by a fifth and divide no level."""
    edges = [0]
    while edges[-1] < len(levels):
        edges.append(max(edges[-1] + 1, int(1.2 * edges[-1])))
    group = np.searchsorted(edges, np.arange(len(levels)), side="right")
    first_of_level = np.unique(levels, return_index=True)[1]
    return group[first_of_level][levels]


def _denoised(observed: SequenceModel, groups: np.ndarray) -> SequenceModel:
    """Take the noise from the squares of observed components, group by group."""
    numbers = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    surplus = np.bincount(numbers, observed.energy) - sizes * observed.noise
    energy = np.maximum(surplus, 0.0) / sizes
    beyond = observed.n_points - len(groups)
    outside = max(observed.outside - beyond * observed.noise, 0.0)
    return dataclasses.replace(observed, energy=energy[numbers], outside=outside)


def _observe_again(model: SequenceModel, rng: np.random.Generator) -> SequenceModel:
    """Add noise to every component, all of a mode's signal being in one of its outputs."""
    spread = np.sqrt(model.noise / model.n_outputs)
    noise = spread * rng.standard_normal((len(model.energy), model.n_outputs))
    noise[:, 0] += np.sqrt(model.energy)
    beyond = model.n_outputs * (model.n_points - len(model.energy))
    outside = rng.noncentral_chisquare(beyond, model.outside / spread**2) * spread**2 if beyond and spread else 0.0
    return dataclasses.replace(model, energy=np.sum(noise**2, axis=1), outside=float(outside))


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.2g} %" if whole > 0.0 else "0 %"
