"""Kernel ridge regression and its self-distillation with one label weight: every step, and the limit of all steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from array_api_compat import array_namespace

from kdtheory._compensated import two_sum, weighted_share
from kdtheory._typing import Array
from kdtheory._validation import require_positive, require_positive_integer, require_real
from kdtheory.filters.base import Filter, Modes


@dataclass(frozen=True)
class Ridge(Filter):
    """Kernel ridge regression: the minimiser of `½‖f − y‖² + ridge/2 ‖f‖²_H`.

    Coefficient filter `q(d) = 1/(d + ridge)`, shrinkage `d/(d + ridge)`. There is no hidden factor n in the penalty.

    Parameters
    ----------
    ridge : float
        Penalty, > 0, in units of the eigenvalues.

    Raises
    ------
    ValueError, TypeError
        When the ridge is not a finite real number > 0.

    See Also
    --------
    sklearn.kernel_ridge.KernelRidge : the same model, whose `alpha` is `ridge`.

    Notes
    -----
    Source: Saunders, Gammerman & Vovk (1998), "Ridge regression learning algorithm in dual variables".

    Examples
    --------
    >>> Ridge(0.5)([0.0, 0.5, 1.5])
    array([2. , 1. , 0.5])
    >>> Ridge(0.5).shrinkage([0.0, 0.5, 1.5])
    array([0.  , 0.5 , 0.75])
    """

    ridge: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ridge", require_positive("ridge", self.ridge))

    def modes(self, eigenvalues: Array, /) -> Modes:
        """Return `1/(d + ridge)`, `d/(d + ridge)` and `ridge/(d + ridge)`."""
        # Halving is exact, and keeps the sum of two huge numbers finite.
        half_sum = 0.5 * eigenvalues + 0.5 * self.ridge
        return Modes(0.5 / half_sum, 0.5 * eigenvalues / half_sum, 0.5 * self.ridge / half_sum)


@dataclass(frozen=True)
class SelfDistillation(Filter):
    """Iterated self-distillation of kernel ridge regression with one constant label weight, in closed form.

    With `a = d/(d + ridge)` and `q = (1 − α)·a`, the fit number `n_steps = τ` has the shrinkage
    `B = a·(α·(1 − q^(τ−1))/(1 − q) + q^(τ−1))` and the residual `1 − B = (1 − a)·(1 − q^τ)/(1 − q)`.

    Parameters
    ----------
    ridge : float
        Penalty of every fit, > 0.
    n_steps : int
        Number of fits, >= 1; 1 is plain kernel ridge regression. The cost does not depend on it.
    label_weight : float
        Weight α of the ground-truth targets in the targets of fits 2..n_steps; any real number.

    Raises
    ------
    OverflowError
        On evaluation, when the weight makes the steps diverge beyond the floating-point range.

    Notes
    -----
    Source: Borup & Andersen (2021), Theorem 4.1 and Lemma 4.2, as a geometric sum. Relative error below 1e-12 in
    double precision for eigenvalues from 1e-300 to 1e300, penalties at most 1e300 times smaller than these, label
    weights up to 1e200 in size and 10^12 steps. Next to a sign change of B, which only label weights outside [0, 1]
    have, the error is relative to the terms that cancel.

    Examples
    --------
    >>> SelfDistillation(ridge=1.0, n_steps=3, label_weight=0.0).shrinkage([1.0])
    array([0.125])
    >>> SelfDistillation(ridge=1.0, n_steps=10**12, label_weight=0.5).shrinkage([1.0])
    array([0.33333333])
    """

    ridge: float
    n_steps: int
    label_weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ridge", require_positive("ridge", self.ridge))
        object.__setattr__(self, "n_steps", require_positive_integer("n_steps", self.n_steps))
        object.__setattr__(self, "label_weight", require_real("label_weight", self.label_weight))

    def modes(self, eigenvalues: Array, /) -> Modes:
        """Return the geometric sums of all steps up to `n_steps`."""
        xp = array_namespace(eigenvalues)
        ridge = Ridge(self.ridge).modes(eigenvalues)
        if self.n_steps == 1:
            return ridge
        alpha, imitated, n_steps = self.label_weight, self.n_steps - 1, self.n_steps
        q = _Powers.of(self.ridge, alpha, eigenvalues)
        # Away from q^m = 1 the sums are taken apart, `(1 − q^m)/(1 − q)` into a constant and a transient: the transient
        # has the factor 1 − a, which may be tiny where the two parts of the sum are huge.
        divisor = q.nonzero_complement
        target = xp.where(
            q.near_one(imitated),
            q.power(imitated) + alpha * q.geometric_sum(imitated),
            alpha / divisor + q.scale(ridge.residual, (1.0 - alpha) / divisor, imitated),
        )
        residual = xp.where(
            q.near_one(n_steps),
            ridge.residual * q.geometric_sum(n_steps),
            ridge.residual / divisor - q.scale(ridge.residual, (1.0 - alpha) * ridge.shrinkage / divisor, imitated),
        )
        return Modes(ridge.coefficient * target, ridge.shrinkage * target, residual)


@dataclass(frozen=True)
class SelfDistillationLimit(Filter):
    """The limit of infinitely many self-distillation steps with one constant label weight.

    Kernel ridge regression with the amplified penalty `ridge/label_weight`: shrinkage `α·d/(α·d + ridge)`, zero for
    `α = 0`.

    Parameters
    ----------
    ridge : float
        Penalty of every fit, > 0.
    label_weight : float
        Weight α of the ground-truth targets. The limit exists where `|1 − α|·d < d + ridge` for every eigenvalue d,
        that is for `−ridge/d_max < α < 2 + ridge/d_max`.

    Raises
    ------
    ValueError
        On evaluation, when the label weight lies outside that interval.

    Notes
    -----
    Source: Borup & Andersen (2021), Theorem 4.5, whose interval (0, 1] is smaller than the true one.

    Examples
    --------
    >>> SelfDistillationLimit(ridge=1.0, label_weight=0.5).shrinkage([0.0, 1.0, 2.0])
    array([0.        , 0.33333333, 0.5       ])
    """

    ridge: float
    label_weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ridge", require_positive("ridge", self.ridge))
        object.__setattr__(self, "label_weight", require_real("label_weight", self.label_weight))

    def modes(self, eigenvalues: Array, /) -> Modes:
        """Return the modes of the penalty `ridge/label_weight`; refuse a label weight without a limit."""
        xp = array_namespace(eigenvalues)
        ridge, alpha = Ridge(self.ridge).modes(eigenvalues), self.label_weight
        if alpha == 0.0:
            return Modes(0.0 * ridge.coefficient, 0.0 * ridge.shrinkage, xp.ones_like(ridge.residual))
        complement, above_minus_one = _gaps(self.ridge, alpha, eigenvalues)
        if not bool(xp.all((complement > 0.0) & (above_minus_one > 0.0))):
            edge = self.ridge / float(xp.max(eigenvalues))
            raise ValueError(
                f"label_weight must be > {-edge!r} and < {2.0 + edge!r} (-ridge/d_max and 2 + ridge/d_max) for the"
                f" infinite-step limit to exist, got {alpha!r}"
            )
        amplified = alpha / complement
        return Modes(ridge.coefficient * amplified, ridge.shrinkage * amplified, ridge.residual / complement)


def _gaps(ridge: float, label_weight: float, eigenvalues: Array) -> tuple[Array, Array]:
    """`1 − q` and `1 + q` for `q = (1 − α)·d/(d + ridge)`, each with its own full precision."""
    below_one = weighted_share(ridge, eigenvalues, label_weight)
    above_minus_one = weighted_share(ridge, eigenvalues, *two_sum(2.0, -label_weight))
    return below_one, above_minus_one


class _Powers(NamedTuple):
    """Powers of `q = (1 − α)·d/(d + ridge)` for exponents up to 10^12, where an error of one ulp in q is too much."""

    log_magnitude: Array
    negative: Array
    complement: Array
    """`1 − q`."""

    @classmethod
    def of(cls, ridge: float, label_weight: float, eigenvalues: Array) -> _Powers:
        xp = array_namespace(eigenvalues)
        q = (1.0 - label_weight) * Ridge(ridge).modes(eigenvalues).shrinkage
        below_one, above_minus_one = _gaps(ridge, label_weight, eigenvalues)
        gap = xp.where(q < 0.0, above_minus_one, below_one)  # 1 − |q|
        near = gap < 0.5
        log_near = xp.log1p(-xp.where(near, gap, xp.zeros_like(gap)))
        log_far = xp.log(xp.where(near | (q == 0.0), xp.ones_like(q), xp.abs(q)))
        log_magnitude = xp.where(near, log_near, log_far)
        vanishing = xp.full_like(q, -xp.inf)
        return cls(xp.where(q == 0.0, vanishing, log_magnitude), q < 0.0, below_one)

    @property
    def nonzero_complement(self) -> Array:
        xp = array_namespace(self.complement)
        return xp.where(self.complement == 0.0, xp.ones_like(self.complement), self.complement)

    def near_one(self, exponent: int) -> Array:
        """Where `q^exponent` lies between 1/e and e."""
        close = array_namespace(self.complement).abs(self._log(exponent)) < 1.0
        return close & ~self.negative if exponent % 2 else close

    def power(self, exponent: int) -> Array:
        """`q^exponent` where it is near one, and anything finite elsewhere."""
        return array_namespace(self.complement).exp(self._small_log(exponent))

    def geometric_sum(self, exponent: int) -> Array:
        """`1 + q + … + q^(exponent − 1)` where `q^exponent` is near one, and anything finite elsewhere."""
        xp = array_namespace(self.complement)
        sums = -xp.expm1(self._small_log(exponent)) / self.nonzero_complement
        return xp.where(self.complement == 0.0, xp.full_like(sums, float(exponent)), sums)

    def scale(self, tiny: Array, factor: Array, exponent: int) -> Array:
        """`tiny · factor · q^exponent`, the power in quarters: what is tiny meets what is huge without overflow."""
        xp = array_namespace(self.complement)
        quarter = xp.exp(0.25 * self._log(exponent))
        signed = xp.where(self.negative, -tiny, tiny) if exponent % 2 else tiny
        return (signed * quarter) * factor * quarter * quarter * quarter

    def _small_log(self, exponent: int) -> Array:
        return array_namespace(self.complement).clip(self._log(exponent), -1.0, 1.0)

    def _log(self, exponent: int) -> Array:
        return float(exponent) * self.log_magnitude
