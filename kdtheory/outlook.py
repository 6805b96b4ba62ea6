"""What self-distillation can do for a problem, and how much at most.

The answers are those of the fixed design of `kdtheory.risk`, for kernel ridge regression and its self-distillation, in
the logarithm of the ridge. Sources: Dang, Patil & Rinaldo (2026) for one round; Borup & Andersen (2021) for the model;
the curvature test in the modes, the number of steps and the floor are derived for this package.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np
import scipy

from kdtheory._components import Components
from kdtheory._sequence_model import (
    LIMIT,
    SequenceModel,
    averaging_groups,
    denoised,
    observe_again,
    without_noise,
)
from kdtheory._validation import (
    require_generator,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_representable,
)


class StandardErrors(NamedTuple):
    """Bootstrap standard errors of the parts of a `DistillationOutlook`, for the noise variance that was given.

    All are zero where the signal is known.

    Attributes
    ----------
    risk, slope, one_step_gain, best_ridge_risk, curvature, largest_gain : float
        Of the part of that name.
    """

    risk: float
    slope: float
    one_step_gain: float
    best_ridge_risk: float
    curvature: float
    largest_gain: float


class BestFits(NamedTuple):
    """A number of fits with the ridge and the label weights of least risk; a part of `DistillationOutlook`.

    Attributes
    ----------
    n_steps : int
        Number of fits.
    ridge : float
    label_weights : tuple of float
        Those of steps 2..n_steps, for `selfdistill_closed_form`.
    gain : float
        How much lower the risk is than that of the best ridge alone.
    """

    n_steps: int
    ridge: float
    label_weights: tuple[float, ...]
    """Those of steps 2..n_steps, for `selfdistill_closed_form`."""
    gain: float
    """How much lower the risk is than that of the best ridge alone."""


@dataclass(frozen=True)
class DistillationOutlook:
    """What self-distillation can do for one problem; made by `can_distillation_help` and `distillation_outlook`.

    Risks and gains are in squared units of the targets: expected squared errors against the noise-free signal at the
    training points, means over points and outputs.

    Attributes
    ----------
    noise_variance : float
        What was given; everything else depends on it.
    ridge : float
        Penalty that was asked about.
    risk : float
        Risk of kernel ridge regression with it.
    slope : float
        Derivative of that risk with respect to log(ridge). Where it is negative more ridge is wanted, and a student
        should listen to its teacher (label weight < 1). Where it is positive less ridge is wanted, and a student
        should go away from its teacher (label weight > 1).
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
    best_fits : tuple of BestFits
        The best of 2, 3, ... fits, over all label weights and over ridges up to 10^4 times smaller and larger than
        the best one; among ridges within 0.1 % of the least risk the one next to the best ridge.
    largest_gain : float
        How much lower the risk of the best filter of all is than that of the best ridge.
    floor : float
        Risk of that filter; zero where an estimate would be negative.
    n_steps_to_floor : int
        Number of fits that reach the floor with any ridge: one more than there are positive levels.
    standard_errors : StandardErrors
    """

    noise_variance: float
    ridge: float
    risk: float
    slope: float
    label_weight: float
    one_step_gain: float
    best_ridge: float
    best_ridge_is_interior: bool
    best_ridge_risk: float
    curvature: float
    best_fits: tuple[BestFits, ...]
    largest_gain: float
    floor: float
    n_steps_to_floor: int
    standard_errors: StandardErrors

    @property
    def wants_more_ridge(self) -> bool:
        """Whether the risk falls as the ridge grows; the sign rule."""
        return self.slope < 0.0

    def __repr__(self) -> str:
        errors = self.standard_errors
        wanted = "more ridge is wanted" if self.wants_more_ridge else "less ridge is wanted"
        student = "towards its teacher" if self.label_weight <= 1.0 else "away from its teacher"
        where = "best ridge" if self.best_ridge_is_interior else "no best ridge, the search ended at"
        near = "do better" if self.curvature > 0.0 else "do not do better"
        lines = [
            f"DistillationOutlook for the noise variance {self.noise_variance:.4g}",
            f"  ridge {self.ridge:.4g}: risk {_with_error(self.risk, errors.risk)}; {wanted}"
            f" (slope {_with_error(self.slope, errors.slope)})",
            f"  a student there with label weight {self.label_weight:.3g}, {student}: risk lower by"
            f" {_with_error(self.one_step_gain, errors.one_step_gain)}",
            f"  {where} {self.best_ridge:.4g}: risk {_with_error(self.best_ridge_risk, errors.best_ridge_risk)};"
            f" two fits near it {near} (curvature {_with_error(self.curvature, errors.curvature)})",
            *(
                f"  best {fits.n_steps} fits, at ridge {fits.ridge:.4g} with label weights"
                f" {', '.join(f'{weight:.4g}' for weight in fits.label_weights)}: risk lower by {fits.gain:.4g}"
                for fits in self.best_fits
            ),
            f"  best filter of all: risk lower by {_with_error(self.largest_gain, errors.largest_gain)},"
            f" down to {self.floor:.4g}; {self.n_steps_to_floor} fits reach it at any ridge",
        ]
        return "\n".join(lines)


@np.errstate(all="ignore")  # what overflows is refused in the end
def distillation_outlook(
    K: Any, signal: Any, *, ridge: SupportsFloat, noise_variance: SupportsFloat, n_steps: SupportsIndex = 3
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
    n_steps : int, default 3
        Largest number of fits whose best ridge and label weights are looked for.

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
    Cost: `O(n·r)` after the decomposition, and `O(r·n_steps²)` for each of about a hundred penalties.

    Examples
    --------
    >>> outlook = distillation_outlook([[2.0, 0.0], [0.0, 1.0]], [0.0, 3.0], ridge=1.0, noise_variance=1.0)
    >>> print(outlook)
    DistillationOutlook for the noise variance 1
      ridge 1: risk 1.472; less ridge is wanted (slope 0.8519)
      a student there with label weight 2.26, away from its teacher: risk lower by 0.538
      best ridge 0.1817: risk 0.8846; two fits near it do not do better (curvature -0.004934)
      best 2 fits, at ridge 0.1817 with label weights 1: risk lower by 0
      best 3 fits, at ridge 0.1817 with label weights 2.178, 150.5: risk lower by 0.4346
      best filter of all: risk lower by 0.4346, down to 0.45; 3 fits reach it at any ridge
    """
    penalty = require_positive("ridge", ridge)
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    count = require_positive_integer("n_steps", n_steps)
    model = Components.of(K, "signal", signal).sequence_model(sigma2)
    return _outlook(model, model, sigma2, penalty, count, StandardErrors(0.0, 0.0, 0.0, 0.0, 0.0, 0.0))


@np.errstate(all="ignore")
def can_distillation_help(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    noise_variance: SupportsFloat,
    n_steps: SupportsIndex = 3,
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
        Variance of the noise on every target, >= 0; with sample weights, that at weight 1. `estimate_noise_variance`
        estimates it, but compare the outlooks of several values: more noise calls for more ridge, and the standard
        errors take it as given.
    n_steps : int, default 3
        Largest number of fits whose best ridge and label weights are looked for.
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
    The energy of the signal in a mode is the square of the component of y less the noise. Risk, slope and curvature
    are linear in these energies, which therefore stay as they are, negative ones included: the estimates are unbiased
    at any fixed ridge, and a risk may come out negative. Filters, and so the best fits and the floor, need energies
    that could be: averages over neighbouring modes (the first five alone, then groups that grow by a fifth with the
    rank; equal eigenvalues stay together), and at least zero. Where a group holds no signal, some of its noise then
    passes for signal. So of those only the gains over the best ridge are taken, in which much of that cancels.

    The standard errors are those of a parametric bootstrap: the noise is added anew to the estimated signal, and
    everything, the choice of the best ridge included, is done again.

    Source: Dang, Patil & Rinaldo (2026) for one round; more rounds and the bootstrap are derived for this package.

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
    rng = require_generator("random_state", random_state)
    observed = Components.of(K, "y", y).sequence_model(sigma2)
    groups = averaging_groups(observed.levels)
    unbiased, plausible = without_noise(observed), denoised(observed, groups)
    grid = unbiased.ridge_grid
    kept, missing = unbiased.squares_on(grid)
    kept_noise = unbiased.noise * np.sum(kept, axis=1)
    replicates = []
    for _ in range(n_new):
        seen = observe_again(plausible, rng)
        new = without_noise(seen)
        best, _ = new.best_ridge_near(grid, missing @ new.energy + kept_noise)
        replicates.append(
            StandardErrors(
                risk=new.ridge_risk(penalty),
                slope=new.ridge_slope(penalty),
                one_step_gain=new.one_step(penalty)[1],
                best_ridge_risk=new.ridge_risk(best),
                curvature=new.ridge_curvature(best),
                largest_gain=_largest_gain(denoised(seen, groups), best),
            )
        )
    # Squares of what the floats hold may be beyond them.
    size = np.max(np.abs(replicates), axis=0)
    size[size == 0.0] = 1.0
    errors = StandardErrors(*(size * np.std(replicates / size, axis=0, ddof=1)).tolist())
    return _outlook(unbiased, plausible, sigma2, penalty, count, errors)


def _outlook(
    model: SequenceModel,
    plausible: SequenceModel,
    noise_variance: float,
    ridge: float,
    n_steps: int,
    errors: StandardErrors,
) -> DistillationOutlook:
    """Take what is linear in the energies from one model, and gains over its best ridge from one that could be."""
    best_ridge, interior = model.best_ridge()
    label_weight, gain = model.one_step(ridge)
    best_risk = model.ridge_risk(best_ridge)
    largest_gain = _largest_gain(plausible, best_ridge)
    outlook = DistillationOutlook(
        noise_variance=noise_variance,
        ridge=ridge,
        risk=model.ridge_risk(ridge),
        slope=model.ridge_slope(ridge),
        label_weight=label_weight,
        one_step_gain=gain,
        best_ridge=best_ridge,
        best_ridge_is_interior=interior,
        best_ridge_risk=best_risk,
        curvature=_unless_rounding(model.ridge_curvature(best_ridge), plausible.ridge_risk(best_ridge)),
        best_fits=tuple(_best_fits(plausible, best_ridge, count) for count in range(2, n_steps + 1)),
        largest_gain=largest_gain,
        floor=max(best_risk - largest_gain, 0.0),
        n_steps_to_floor=model.n_levels + 1,
        standard_errors=errors,
    )
    numbers = [value for value in dataclasses.astuple(outlook) if isinstance(value, float)]
    parts = [value for each in outlook.best_fits for value in (each.ridge, each.gain, *each.label_weights)]
    require_representable(np.array([*numbers, *parts, *errors]), "the outlook")
    return outlook


def _largest_gain(model: SequenceModel, best_ridge: float) -> float:
    """How far the floor is below the best ridge."""
    risk = model.ridge_risk(best_ridge)
    return _unless_rounding(risk - model.floor, risk)


def _best_fits(model: SequenceModel, best_ridge: float, n_steps: int) -> BestFits:
    """Least risk of a number of fits over ridges around the best one, which is the first candidate."""
    start = math.log(best_ridge)

    def risk_at(log_ridge: float) -> float:
        return model.steps_risk(math.exp(log_ridge), n_steps)

    grid = np.linspace(max(start - math.log(1e4), -LIMIT), min(start + math.log(1e4), LIMIT), 33)
    risks = {log_ridge: risk_at(log_ridge) for log_ridge in [start, *grid.tolist()]}
    nearest = int(np.argmin([risks[log_ridge] for log_ridge in grid.tolist()]))
    around = (grid[max(nearest - 1, 0)], grid[min(nearest + 1, len(grid) - 1)])
    refined = float(scipy.optimize.minimize_scalar(risk_at, bounds=around, options={"xatol": 1e-3}).x)
    risks[refined] = risk_at(refined)
    # Where many ridges do as well, the one next to the best ridge needs the least extreme label weights.
    good = [log_ridge for log_ridge, risk in risks.items() if risk <= min(risks.values()) * (1.0 + _AS_WELL)]
    log_ridge = min(good, key=lambda candidate: abs(candidate - start))
    weights, _ = model.label_weights(math.exp(log_ridge), n_steps)
    gain = _unless_rounding(model.ridge_risk(best_ridge) - risks[log_ridge], risks[start])
    return BestFits(n_steps, math.exp(log_ridge), tuple(weights.tolist()), gain)


_AS_WELL = 1e-3
"""A risk that is larger by a smaller share is as good."""

_NOTHING = 1e-9
"""What is a smaller share of the risk is rounding."""


def _with_error(value: float, error: float) -> str:
    return f"{value:.4g} ± {error:.2g}" if error > 0.0 else f"{value:.4g}"


def _unless_rounding(difference: float, of: float) -> float:
    return difference if abs(difference) > _NOTHING * of else 0.0
