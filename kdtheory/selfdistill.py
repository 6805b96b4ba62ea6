"""The front door: self-distillation of kernel ridge regression, every step from one decomposition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._typing import Array
from kdtheory._validation import (
    require_positive,
    require_positive_integer,
    require_targets,
    require_vector,
)
from kdtheory.combinations import combination_from_label_weights, label_weight_sequence
from kdtheory.filters import Modes, Ridge, SelfDistillationLimit, compose
from kdtheory.spectral_fit import SpectralFit
from kdtheory.spectrum import as_spectrum


@dataclass(frozen=True, eq=False, repr=False)
class SelfDistillationPath(SpectralFit):
    """Every step of one self-distillation; made by `selfdistill_closed_form`.

    Results are computed when first asked for, then kept. For n points, r eigenvalues and k outputs:

    Attributes
    ----------
    ridge : float
        Penalty of every fit.
    label_weights : array of shape (n_steps - 1,)
        Weight of the ground-truth targets at steps 2..n_steps.
    constant_label_weight : float or None
        The one label weight of all steps, if there is one.
    shrinkage : array of shape (n_steps, r)
        Diagonals of B^(1), ..., B^(n_steps), columns in the order of the eigenvalues.
    shrinkage_ratios : array of shape (n_steps, r - 1)
        Shrinkage of a mode over that of the next smaller mode, R_k^(τ).
    fitted : array of shape (n_steps, n) or (n_steps, n, k)
    dual_coef : array of shape (n_steps, n) or (n_steps, n, k)
    effective_dof : array of shape (n_steps,)
    limit : SpectralFit
        The infinite-step solution, with `shrinkage`, `fitted`, `dual_coef` and `predict` without the first axis.
    """

    ridge: float
    label_weights: Array
    constant_label_weight: float | None

    @property
    def n_steps(self) -> int:
        """Number of fits, the teacher included."""
        return int(self.shrinkage.shape[0])

    @cached_property
    def limit(self) -> SpectralFit:
        """The infinite-step solution: kernel ridge regression with the penalty `ridge / label_weight`.

        Raises
        ------
        ValueError
            Without one constant label weight, or when it lies outside the interval where the limit exists.

        Notes
        -----
        Source: Borup & Andersen (2021), Theorem 4.5.
        """
        if self.constant_label_weight is None:
            raise ValueError(
                f"label_weight must be one constant for the infinite-step limit, got {self.label_weights!r}"
            )
        limit = SelfDistillationLimit(self.ridge, self.constant_label_weight)
        return SpectralFit(self.spectrum, self.targets, limit.modes(self.spectrum.eigenvalues))

    def __repr__(self) -> str:
        weights = ", ".join(f"{weight:.4g}" for weight in to_numpy(self.label_weights)[:6])
        if self.n_steps > 7:
            weights += ", ..."
        dof = ""
        if self.spectrum.is_whole:
            first, last = to_numpy(self.effective_dof)[[0, -1]]
            dof = f", effective_dof={first:.4g} -> {last:.4g}"
        outputs = "" if self.targets.ndim == 1 else f", n_outputs={self.targets.shape[1]}"
        return (
            f"SelfDistillationPath(n_points={self.spectrum.n_points}{outputs}, ridge={self.ridge:.6g},"
            f" n_steps={self.n_steps}, label_weights=[{weights}]{dof})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class SelfDistillationGrid:
    """Self-distillations for many penalties, label weights and steps; made by `selfdistill_grid`.

    All models of one penalty are combinations of few: with label weights in [0, 1] they are weighted means of the
    n_steps pure ones, so only those are ever lifted from the spectrum. A label weight outside [0, 1] would amplify
    their rounding errors, and gets models of its own.

    Attributes
    ----------
    ridges : array of shape (n_ridges,)
    label_weights : array of shape (n_label_weights,)
    basis : SpectralFit
        The models that are lifted, with leading axes (n_ridges, n_basis).
    combinations : array of shape (n_label_weights, n_steps, n_basis)
        Every model of a penalty as a combination of its basis.
    shrinkage : array of shape (n_ridges, n_label_weights, n_steps, r)
    effective_dof : array of shape (n_ridges, n_label_weights, n_steps)
    fitted, dual_coef : array of shape (n_ridges, n_label_weights, n_steps, n) or (..., n, k)
    """

    ridges: Array
    label_weights: Array
    basis: SpectralFit
    combinations: Array

    @cached_property
    def shrinkage(self) -> Array:
        """What remains of each mode of the targets, shape (n_ridges, n_label_weights, n_steps, r)."""
        return self._combine(self.basis.shrinkage)

    @property
    def effective_dof(self) -> Array:
        """Effective degrees of freedom of every model, shape (n_ridges, n_label_weights, n_steps)."""
        return self._combine(self.basis.effective_dof)

    @cached_property
    def fitted(self) -> Array:
        """Fitted values, shape (n_ridges, n_label_weights, n_steps, n) or (..., n, k)."""
        return self._combine(self.basis.fitted)

    @cached_property
    def dual_coef(self) -> Array:
        """Dual coefficients, shape (n_ridges, n_label_weights, n_steps, n) or (..., n, k)."""
        return self._combine(self.basis.dual_coef)

    def predict(self, K_test: Any) -> Array:
        """Predict at new points with all models.

        Parameters
        ----------
        K_test : array of shape (m, n)
            Kernel values between the new points and the training points.

        Returns
        -------
        array of shape (n_ridges, n_label_weights, n_steps, m) or (..., m, k)

        Raises
        ------
        ValueError, TypeError
            When `K_test` has another shape, or entries that are not finite real numbers.
        """
        return self._combine(self.basis.predict(K_test))

    def __repr__(self) -> str:
        n_weights, n_steps, _ = self.combinations.shape
        return (
            f"SelfDistillationGrid(n_points={self.basis.spectrum.n_points}, n_ridges={self.ridges.shape[0]},"
            f" n_label_weights={n_weights}, n_steps={n_steps})"
        )

    def _combine(self, values: Array) -> Array:
        xp = array_namespace(values)
        n_ridges, n_basis, *rest = values.shape
        n_weights, n_steps, _ = self.combinations.shape
        rows = xp.reshape(self.combinations, (n_weights * n_steps, n_basis))
        combined = rows @ xp.reshape(values, (n_ridges, n_basis, -1))
        return xp.reshape(combined, (n_ridges, n_weights, n_steps, *rest))


def selfdistill_closed_form(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    label_weight: Any = 0.0,
) -> SelfDistillationPath:
    """Distil kernel ridge regression into itself, all steps at once.

    Step 1 fits the targets y. Every later step t fits `α_t·y + (1 − α_t)·(fitted values of step t − 1)`, with the
    same Gram matrix and the same penalty. No system is solved: each step is a filter on the spectrum of K.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition, which many calls can share.
    y : array of shape (n,) or (n, k)
        Ground-truth targets, one column for each output.
    ridge : float
        Penalty of `½‖f − y‖² + ridge/2 ‖f‖²_H`, > 0, in the units of K; there is no hidden factor n.
    n_steps : int
        Number of fits, >= 1. For very many steps of which only the last is wanted, use the filter
        `SelfDistillation`, whose cost does not depend on their number.
    label_weight : float or sequence of n_steps - 1 floats, default 0
        Weight α_t of the ground-truth targets at steps 2..n_steps; any real numbers. 0 trains each student on its
        teacher alone, 1 on the targets alone.

    Returns
    -------
    SelfDistillationPath
        Shrinkage, fitted values, dual coefficients and predictions of every step, and the infinite-step limit, in
        the array library, dtype and device of K.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When the label weights make the steps diverge beyond the floating-point range.

    Notes
    -----
    Cost: one eigendecomposition, `9 n³`, unless a `Spectrum` is given; then `O(r·n_steps)` for the shrinkage and
    `2·n·r·n_steps·k` for fitted values or dual coefficients. No eigenvalue is ever divided by.

    Source: Borup & Andersen (2021), Theorem 4.1, Lemma 4.2 and eq. 13. Twin: `n_steps` successive fits of
    `sklearn.kernel_ridge.KernelRidge` with `alpha=ridge`.

    Examples
    --------
    >>> import numpy as np
    >>> K = np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> path = selfdistill_closed_form(K, [1.0, -1.0], ridge=0.5, n_steps=3, label_weight=0.25)
    >>> path.fitted.round(4)
    array([[ 0.5   , -0.5   ],
           [ 0.3125, -0.3125],
           [ 0.2422, -0.2422]])
    >>> path.limit.fitted
    array([ 0.2, -0.2])
    """
    ridge_ = require_positive("ridge", ridge)
    n_steps_ = require_positive_integer("n_steps", n_steps)
    weights, constant = label_weight_sequence(label_weight, n_steps_)
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    return SelfDistillationPath(
        spectrum=spectrum,
        targets=require_targets("y", y, spectrum.n_points, like=d),
        modes=_steps(d, ridge_, weights),
        ridge=ridge_,
        label_weights=from_numpy(np.array(weights), like=d),
        constant_label_weight=constant,
    )


def selfdistill_grid(
    K: Any,
    y: Any,
    *,
    ridges: Any,
    n_steps: SupportsIndex,
    label_weights: Any,
) -> SelfDistillationGrid:
    """Self-distil for every ridge, constant label weight and step at once.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    ridges : array of shape (n_ridges,)
        Penalties, all > 0.
    n_steps : int
        Number of fits for each ridge and label weight, >= 1.
    label_weights : array of shape (n_label_weights,)
        Constant label weights, any real numbers.

    Returns
    -------
    SelfDistillationGrid
        `shrinkage`, `fitted`, `dual_coef` and `predict` with the leading axes (n_ridges, n_label_weights, n_steps).

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a label weight makes the steps diverge beyond the floating-point range.

    Notes
    -----
    Cost: one eigendecomposition, and products with `n_ridges·n_steps·k` columns, as long as the label weights lie in
    [0, 1]; each other one adds as many columns. Twin: `n_ridges·n_label_weights·n_steps` fits of
    `sklearn.kernel_ridge.KernelRidge`; `benchmarks/bench_core.py` compares the two.

    Source: Borup & Andersen (2021), Theorem 4.1: eq. 6 for the combinations.

    Examples
    --------
    >>> import numpy as np
    >>> grid = selfdistill_grid(np.eye(2), [1.0, 0.0], ridges=[0.5, 1.0], n_steps=3, label_weights=[0.0])
    >>> grid.fitted.shape
    (2, 1, 3, 2)
    >>> grid.fitted[1, 0, :, 0]
    array([0.5  , 0.25 , 0.125])
    """
    n_steps_ = require_positive_integer("n_steps", n_steps)
    penalties = [require_positive("ridges", ridge) for ridge in to_numpy(require_vector("ridges", ridges)).tolist()]
    weights = to_numpy(require_vector("label_weights", label_weights)).tolist()
    lifted = [0.0, *sorted({weight for weight in weights if not 0.0 <= weight <= 1.0})]
    combinations = np.zeros((len(weights), n_steps_, len(lifted), n_steps_))
    for row, weight in zip(combinations, weights, strict=True):
        if weight in lifted:
            row[:, lifted.index(weight)] = np.eye(n_steps_)
        else:
            for step in range(n_steps_):
                row[step, 0, : step + 1] = combination_from_label_weights([weight] * step)
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    xp = array_namespace(d)
    modes = [[_steps(d, penalty, [weight] * (n_steps_ - 1)) for weight in lifted] for penalty in penalties]
    return SelfDistillationGrid(
        ridges=from_numpy(np.array(penalties), like=d),
        label_weights=from_numpy(np.array(weights), like=d),
        basis=SpectralFit(
            spectrum=spectrum,
            targets=require_targets("y", y, spectrum.n_points, like=d),
            modes=_join(xp.stack, [_join(xp.concat, of_penalty) for of_penalty in modes]),
        ),
        combinations=from_numpy(combinations.reshape(len(weights), n_steps_, -1), like=d),
    )


def _steps(eigenvalues: Array, ridge: float, label_weights: list[float]) -> Modes:
    """Modes of steps 1, 2, ..., along a new first axis."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the fit refuses what overflows
        teacher = student = Ridge(ridge).modes(eigenvalues)
        steps = [teacher]
        for label_weight in label_weights:
            teacher = compose(teacher, student, label_weight)
            steps.append(teacher)
    return _join(array_namespace(eigenvalues).stack, steps)


def _join(join: Callable[[tuple[Array, ...]], Array], parts: list[Modes]) -> Modes:
    """Join the arrays of several modes along their first axis."""
    return Modes(*(join(arrays) for arrays in zip(*parts, strict=True)))
