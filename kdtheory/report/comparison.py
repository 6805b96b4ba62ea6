"""A student compared with its teacher: everything that the page says, as numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from os import PathLike
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

import kdtheory
from kdtheory._interop import to_numpy
from kdtheory._validation import (
    require_no_probabilities,
    require_nonnegative_integer,
    require_positive,
    require_positive_integer,
    require_real,
)
from kdtheory.fidelity import (
    IndependentStudentControl,
    agreement_bounds,
    dissect,
    independent_student_control,
    predictive_divergences,
    predictive_kl,
    top1_agreement,
)
from kdtheory.report.numbers import (
    CONFIDENCE_LEVEL,
    Change,
    Group,
    LogitLogit,
    Mean,
    ModelScores,
    PointScores,
    Share,
    changes,
    logit_logit,
    model_scores,
)
from kdtheory.report.output import require_page_path, write_together
from kdtheory.report.page import render
from kdtheory.report.sentences import summary

_LONGEST_TITLE = 200


@dataclass(frozen=True, eq=False)
class Report:
    """How a student compares with its teacher; made by `report`.

    Attributes
    ----------
    title : str
    n_points, n_classes : int
    temperature, quantile : float
    n_bins, seed : int
        As given.
    teacher, student : ModelScores
    change : Change
        Student less teacher.
    agreement : Share
        Points where both predict the same class.
    agreement_bounds : (float, float)
        Least and largest agreement of two models of these accuracies.
    divergence : Mean
        Kullback-Leibler divergence of the student from the teacher, in nats.
    control : IndependentStudentControl or None
        The same of students of other teachers.
    top_class, true_class : LogitLogit
        Log odds of the class that the teacher predicts, and of the label.
    groups : mapping of str to Group
        `both`, `only_teacher`, `only_student` and `neither`, by who is right.
    """

    title: str
    n_points: int
    n_classes: int
    temperature: float
    quantile: float
    n_bins: int
    seed: int
    teacher: ModelScores
    student: ModelScores
    change: Change
    agreement: Share
    agreement_bounds: tuple[float, float]
    divergence: Mean
    control: IndependentStudentControl | None
    top_class: LogitLogit
    true_class: LogitLogit
    groups: Mapping[str, Group]

    @property
    def summary(self) -> tuple[str, ...]:
        """The report in a few sentences."""
        return summary(self)

    def to_json(self) -> str:
        """Return every number of the page in JSON; all are finite, and none is rounded.

        Returns
        -------
        str
        """
        content = {
            "kdtheory": kdtheory.__version__,
            "confidence_level": CONFIDENCE_LEVEL,
            "summary": self.summary,
            **{field.name: getattr(self, field.name) for field in fields(self)},
        }
        return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_html(self) -> str:
        """Return the page, in one piece: it asks for no other file, and runs no code.

        Returns
        -------
        str
        """
        return render(self)

    def save(self, output: str | PathLike[str]) -> None:
        """Write the page, and its numbers beside it.

        Parameters
        ----------
        output : str or path
            Of the page, with the ending `.html`; the numbers go to the same name with the ending `.json`. Files of
            these names are replaced at the end, when both are complete.

        Raises
        ------
        ValueError
            For another ending.
        OSError
            When the folder does not exist, or cannot be written to.
        """
        page = require_page_path(output)
        write_together({page: self.to_html(), page.with_suffix(".json"): self.to_json()})


def report(
    teacher_logits: Any,
    student_logits: Any,
    labels: Any,
    *,
    control_logits: Any = None,
    temperature: SupportsFloat = 1.0,
    quantile: SupportsFloat = 0.25,
    n_bins: SupportsIndex = 15,
    seed: SupportsIndex = 0,
    title: str = "Student and teacher",
) -> Report:
    """Compare a student with its teacher.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
        Of any library, for the same points in the same order; two or more.
    labels : array of n integers
        0 to n_classes - 1.
    control_logits : array of shape (n, n_classes) or (n_controls, n, n_classes), optional
        Of students of other teachers, as for `kdtheory.fidelity.independent_student_control`.
    temperature : float, default 1
        > 0; divides all logits.
    quantile : float, default 0.25
        Share of the points, in (0, 0.5], where the teacher is least sure, and surest, for the slopes.
    n_bins : int, default 15
        Of the reliability diagrams.
    seed : int, default 0
        >= 0; of the resamples behind the intervals of the slopes.
    title : str, default "Student and teacher"
        One line of text.

    Returns
    -------
    Report
        `report(...).save("report.html")` writes the page.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, a single point, labels out of range, arguments out of range,
        and probabilities in place of logits: take their logarithms.

    Notes
    -----
    Every number is one of `kdtheory.fidelity`. Standard errors and intervals are over the points; networks trained anew
    vary as well. Cost: O(n·n_classes + 1000·n) time for the resamples.

    Examples
    --------
    >>> teacher = np.column_stack([np.zeros(40), np.linspace(-1.0, 4.0, 40)])
    >>> result = report(teacher, 1.5 * teacher, [1] * 40)
    >>> result.agreement.value, round(result.top_class.low.slope, 6)
    (1.0, 1.5)
    >>> result.save("report.html")
    """
    share = require_real("quantile", quantile)
    if not 0.0 < share <= 0.5:
        raise ValueError(f"quantile must be > 0 and <= 0.5, since the two ends may not overlap, got {quantile!r}")
    divisor = require_positive("temperature", temperature)
    bins, start = require_positive_integer("n_bins", n_bins), require_nonnegative_integer("seed", seed)
    name = _require_title(title)
    agreement = top1_agreement(teacher_logits, student_logits)
    dissection = dissect(teacher_logits, student_logits, labels)
    n = len(dissection.both)
    if n < 2:
        raise ValueError(f"teacher_logits must have 2 points or more for standard errors, got {n}")
    for argument, values in (("teacher_logits", teacher_logits), ("student_logits", student_logits)):
        require_no_probabilities(argument, to_numpy(values))
    divergences = predictive_divergences(teacher_logits, student_logits, temperature=divisor)
    control = None
    if control_logits is not None:
        control = independent_student_control(teacher_logits, student_logits, control_logits, temperature=divisor)

    teacher_points = PointScores.of(
        teacher_logits, labels, dissection.both | dissection.only_teacher, temperature=divisor
    )
    student_points = PointScores.of(
        student_logits, labels, dissection.both | dissection.only_student, temperature=divisor
    )
    teacher = model_scores(teacher_points, teacher_logits, labels, bins, divisor)
    student = model_scores(student_points, student_logits, labels, bins, divisor)
    means = [
        dissection.means(values) for values in (teacher_points.confidences, student_points.confidences, divergences)
    ]
    return Report(
        title=name,
        n_points=n,
        n_classes=int(np.shape(teacher_logits)[1]),
        temperature=divisor,
        quantile=share,
        n_bins=bins,
        seed=start,
        teacher=teacher,
        student=student,
        change=changes(
            teacher_points, student_points, student.expected_calibration_error - teacher.expected_calibration_error
        ),
        agreement=Share.of(agreement, n),
        agreement_bounds=agreement_bounds(teacher.accuracy.value, student.accuracy.value),
        divergence=Mean.of(divergences, predictive_kl(teacher_logits, student_logits, temperature=divisor)),
        control=control,
        top_class=logit_logit(teacher_logits, student_logits, None, share, divisor, start),
        true_class=logit_logit(teacher_logits, student_logits, labels, share, divisor, start),
        groups={
            key: Group(count, Share.of(dissection.shares[key], n), *(mean.get(key) for mean in means))
            for key, count in dissection.counts.items()
        },
    )


def _require_title(title: str) -> str:
    if not isinstance(title, str):
        raise TypeError(f"title must be a text, got {title!r}")
    if not title.strip() or not title.isprintable() or len(title) > _LONGEST_TITLE:
        raise ValueError(f"title must be one line of 1 to {_LONGEST_TITLE} characters, got {title!r}")
    return title.strip()


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a number or a record of them."""
    if isinstance(value, LogitLogit):
        return {name: _plain(getattr(value, name)) for name in ("low", "high", "student_below")}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
