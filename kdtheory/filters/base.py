"""What a filter is, and what composing two of them is: distilling a teacher into a student."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from kdtheory._typing import Array
from kdtheory._validation import first_index, require_array, require_real, require_representable


class Modes(NamedTuple):
    """What a `Filter` does to every eigendirection: three arrays of the shape of the eigenvalues."""

    coefficient: Array
    """`q(d)`: the dual coefficient of a mode over the targets' component."""
    shrinkage: Array
    """`d·q(d)`: the share of the targets' component that is fitted."""
    residual: Array
    """`1 − d·q(d)`, with its own full precision where the shrinkage is near 1."""


class Filter(ABC):
    """A scalar function `q` of the eigenvalues; subclasses are frozen dataclasses that carry its parameters.

    A filter of your own defines `modes`; with functions of numpy it serves arrays of numpy, with those of
    `array_api_compat.array_namespace(eigenvalues)` all.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from kdtheory import Filter, Modes, in_sample_risk
    >>> @dataclass(frozen=True)
    ... class CutOff(Filter):
    ...     smallest: float
    ...
    ...     def modes(self, eigenvalues):
    ...         kept = np.where(eigenvalues >= self.smallest, 1.0, 0.0)
    ...         return Modes(kept / np.maximum(eigenvalues, self.smallest), kept, 1.0 - kept)
    >>> float(in_sample_risk([[2.0, 0.0], [0.0, 1.0]], [3.0, 1.0], CutOff(1.5), noise_variance=0.5).total)
    0.75
    """

    def __call__(self, eigenvalues: Any, /) -> Array:
        """Return `q(d)`, the dual coefficients per unit of the targets' components.

        Parameters
        ----------
        eigenvalues : array of any shape
            Eigenvalues of a Gram matrix, all >= 0.

        Returns
        -------
        array
            `q(d)`, with the shape, library, dtype and device of `eigenvalues`.

        Raises
        ------
        ValueError, TypeError
            When the eigenvalues are not finite real numbers >= 0.
        OverflowError
            When the result is beyond the floating-point range.
        """
        return self._evaluate(eigenvalues, "coefficient")

    def shrinkage(self, eigenvalues: Any, /) -> Array:
        """Return `d·q(d)`, what remains of each mode of the targets in the fitted values.

        Parameters
        ----------
        eigenvalues : array of any shape
            Eigenvalues of a Gram matrix, all >= 0.

        Returns
        -------
        array
            With the shape, library, dtype and device of `eigenvalues`.

        Raises
        ------
        ValueError, TypeError
            When the eigenvalues are not finite real numbers >= 0.
        OverflowError
            When the result is beyond the floating-point range.
        """
        return self._evaluate(eigenvalues, "shrinkage")

    def residual(self, eigenvalues: Any, /) -> Array:
        """Return `1 − d·q(d)`, what is missing of each mode, accurate also where it is tiny.

        Parameters
        ----------
        eigenvalues : array of any shape
            Eigenvalues of a Gram matrix, all >= 0.

        Returns
        -------
        array
            With the shape, library, dtype and device of `eigenvalues`.

        Raises
        ------
        ValueError, TypeError
            When the eigenvalues are not finite real numbers >= 0.
        OverflowError
            When the result is beyond the floating-point range.
        """
        return self._evaluate(eigenvalues, "residual")

    @abstractmethod
    def modes(self, eigenvalues: Array, /) -> Modes:
        """Evaluate the formulas without any check.

        Parameters
        ----------
        eigenvalues : array of any shape
            Floating-point numbers >= 0.

        Returns
        -------
        Modes
            `q(d)`, `d·q(d)` and `1 − d·q(d)`, each of the shape of the eigenvalues and finite at d = 0.
        """

    def _evaluate(self, eigenvalues: Any, part: str) -> Array:
        d = require_array("eigenvalues", eigenvalues)
        xp = array_namespace(d)
        if bool(xp.any(d < 0.0)):
            raise ValueError(f"eigenvalues must be >= 0, got {float(d[first_index(xp, d < 0.0)])}")
        with np.errstate(all="ignore"):  # what overflows is refused under its own name
            values = getattr(self.modes(d), part)
        return require_representable(values, f"{part} of {self}")


@dataclass(frozen=True)
class Distilled(Filter):
    """A student trained on `label_weight·y + (1 − label_weight)·f_teacher`: the composition of two filters.

    With student `s` and teacher `t` the coefficient filter is
    `q(d) = q_s(d)·(label_weight + (1 − label_weight)·d·q_t(d))`.

    Parameters
    ----------
    teacher, student : Filter
        Filters on the spectrum of one Gram matrix.
    label_weight : float
        Weight of the ground-truth targets in the student's targets; any real number.

    Raises
    ------
    ValueError, TypeError
        When the label weight is not a finite real number, or teacher and student are not filters.

    Notes
    -----
    Source: Borup & Andersen (2021), eqs. 2 and 12. The mixture is evaluated from the teacher's shrinkage where that
    is small and from its residual where it is large, so that neither end loses digits.

    Examples
    --------
    >>> from kdtheory import Ridge
    >>> two_fits = Distilled(teacher=Ridge(0.5), student=Ridge(0.5), label_weight=0.0)
    >>> two_fits.shrinkage([0.5, 1.5])
    array([0.25  , 0.5625])
    """

    teacher: Filter
    student: Filter
    label_weight: float

    def __post_init__(self) -> None:
        for name in ("teacher", "student"):
            if not isinstance(getattr(self, name), Filter):
                raise TypeError(f"{name} must be a Filter, got {getattr(self, name)!r}")
        object.__setattr__(self, "label_weight", require_real("label_weight", self.label_weight))

    def modes(self, eigenvalues: Array, /) -> Modes:
        """Return the composition of the two filters."""
        return compose(self.teacher.modes(eigenvalues), self.student.modes(eigenvalues), self.label_weight)


def compose(teacher: Modes, student: Modes, label_weight: float | Array) -> Modes:
    """Compose the modes of a teacher and a student into those of the distilled student.

    The student is trained on `label_weight·y + (1 − label_weight)·f_teacher`; nothing is checked.

    Parameters
    ----------
    teacher, student : Modes
        Of shapes that broadcast.
    label_weight : float or array
        Any real numbers.

    Returns
    -------
    Modes

    See Also
    --------
    Distilled : the same as a filter.

    Notes
    -----
    Source: Borup & Andersen (2021), eq. 12, and its complement `1 − B = (1 − A) + (1 − α) A (1 − B_teacher)`.

    Examples
    --------
    >>> import numpy as np
    >>> from kdtheory import Ridge
    >>> fit = Ridge(0.5).modes(np.array([0.5, 1.5]))
    >>> compose(fit, fit, 0.0).shrinkage
    array([0.25  , 0.5625])
    """
    target = mixed_target(teacher, label_weight)
    return Modes(
        student.coefficient * target,
        student.shrinkage * target,
        student.residual + (1.0 - label_weight) * student.shrinkage * teacher.residual,
    )


def mixed_target(teacher: Modes, label_weight: float | Array) -> Array:
    """`label_weight + (1 − label_weight)·shrinkage`, from the residual where the shrinkage is large."""
    xp = array_namespace(teacher.shrinkage)
    imitation = 1.0 - label_weight
    return xp.where(
        xp.abs(teacher.shrinkage) < 0.5,
        label_weight + imitation * teacher.shrinkage,
        1.0 - imitation * teacher.residual,
    )
