"""Which points teacher and student predict right: both, one of them, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdtheory._interop import to_numpy
from kdtheory._validation import require_array
from kdtheory.fidelity._logits import require_classes, require_like_teacher, require_logits
from kdtheory.fidelity.predictions import predicted_classes


@dataclass(frozen=True, eq=False)
class Dissection:
    """Points in four groups, by who predicts their label; made by `dissect`.

    Attributes
    ----------
    both, only_teacher, only_student, neither : array of n bools
        Masks of the groups; every point is in one.
    """

    both: np.ndarray
    only_teacher: np.ndarray
    only_student: np.ndarray
    neither: np.ndarray

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """The four masks by name."""
        return {
            "both": self.both,
            "only_teacher": self.only_teacher,
            "only_student": self.only_student,
            "neither": self.neither,
        }

    @property
    def counts(self) -> dict[str, int]:
        """Points in each group."""
        return {name: int(np.count_nonzero(mask)) for name, mask in self.masks.items()}

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the groups in all points, which sum to 1."""
        return {name: float(np.mean(mask)) for name, mask in self.masks.items()}

    def means(self, values: Any) -> dict[str, float]:
        """Mean of a quantity in each group that has points.

        Parameters
        ----------
        values : array of shape (n,)
            One for each point: divergences, or how far the student is below the teacher.

        Returns
        -------
        dict
            Of floats, without the names of empty groups.

        Raises
        ------
        ValueError, TypeError
            For values that are not finite, and another number of them.
        """
        numbers = to_numpy(require_array("values", values))
        if numbers.shape != self.both.shape:
            raise ValueError(f"values must have shape {self.both.shape}, one for each point, got {numbers.shape}")
        return {name: float(np.mean(numbers[mask])) for name, mask in self.masks.items() if np.any(mask)}


def dissect(teacher_logits: Any, student_logits: Any, labels: Any) -> Dissection:
    """Points that teacher and student predict right, only one of them, or neither.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
    labels : array of n integers
        0 to n_classes - 1.

    Returns
    -------
    Dissection

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, fewer than two columns, and labels out of range.

    Notes
    -----
    Of equal logits the class of the lowest number is the predicted one. In `neither` the two may be wrong in the same
    way or in different ways. Source: Nagarajan et al. (2023), appendix C.3, figure 14.

    Examples
    --------
    >>> teacher = [[0.0, 2.0], [3.0, 1.0], [0.0, 1.0]]
    >>> student = [[0.0, 1.0], [0.0, 1.0], [2.0, 1.0]]
    >>> groups = dissect(teacher, student, [1, 0, 1])
    >>> groups.counts
    {'both': 1, 'only_teacher': 2, 'only_student': 0, 'neither': 0}
    >>> groups.means([0.0, 1.0, 3.0])
    {'both': 0.0, 'only_teacher': 2.0}
    """
    teacher = require_logits("teacher_logits", teacher_logits)
    student = require_like_teacher("student_logits", student_logits, teacher, 1.0)
    classes = require_classes("labels", labels, teacher)
    teacher_right, student_right = predicted_classes(teacher) == classes, predicted_classes(student) == classes
    return Dissection(
        both=teacher_right & student_right,
        only_teacher=teacher_right & ~student_right,
        only_student=~teacher_right & student_right,
        neither=~(teacher_right | student_right),
    )
