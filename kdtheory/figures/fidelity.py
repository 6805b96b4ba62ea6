"""Fidelity of a student to its teacher: logit-logit plots, reliability diagrams, and who is right where."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

from kdtheory.fidelity import ExaggerationSlope, ReliabilityDiagram, share_interval
from kdtheory.figures.flow import STUDENT, TEACHER

LOW, HIGH = "#d55e00", "#009e73"
"""Colours of the lines through the points where a teacher is least sure, and surest."""

_MOST_DOTS = 2000
"""Points that are drawn one by one; more are counted in hexagons."""

_LARGEST = 1000.0
"""Log odds beyond this size are drawn at it: such probabilities are 0 and 1 to 400 digits."""

_FROM_EACH_END = 0.001
"""Share of the points at either end of the axes that may lie beyond them."""

_GROUPS = {"both": "both right", "only_teacher": "only teacher", "only_student": "only student", "neither": "neither"}


def draw_logit_logit(
    axes: Axes,
    teacher_values: np.ndarray,
    student_values: np.ndarray,
    *,
    low: ExaggerationSlope | None = None,
    high: ExaggerationSlope | None = None,
    cmap: Colormap | str | None = None,
) -> None:
    """Draw the student's log odds of one class against the teacher's, with the diagonal and fitted lines.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    teacher_values, student_values : array of shape (n,)
        As `kdtheory.fidelity.logit_logit_points` returns them.
    low, high : ExaggerationSlope, optional
        Lines through the points where the teacher is least sure, and surest; each is drawn over its points.
    cmap : Colormap or str, optional
        Of the points, from few to many; default: that of the style.

    Notes
    -----
    More than 2000 points are counted in hexagons, on a logarithmic scale. Both axes have the same range; points beyond
    it, at most 1 in 500 of each model, are counted in the corner. Points are drawn as pixels, so that files stay small.
    Source: Nagarajan et al. (2023), figures 5 to 12.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_logit_logit(axes, np.array([0.0, 1.0, 2.0]), np.array([-1.0, 0.5, 3.0]))
    >>> axes.get_xlim() == axes.get_ylim()
    True
    """
    x, y = (np.clip(np.asarray(values), -_LARGEST, _LARGEST) for values in (teacher_values, student_values))
    start, stop = _common_range(x, y)
    outside = int(np.count_nonzero((np.minimum(x, y) < start) | (np.maximum(x, y) > stop)))
    colormap = mpl.colormaps.get_cmap(mpl.rcParams["image.cmap"] if cmap is None else cmap)
    if len(x) > _MOST_DOTS:
        axes.hexbin(
            x,
            y,
            gridsize=55,
            extent=(start, stop, start, stop),
            bins="log",
            mincnt=1,
            cmap=colormap,
            linewidths=0.1,
            rasterized=True,
        )
    else:
        opacity = float(np.clip(30.0 / np.sqrt(len(x)), 0.4, 0.9))
        axes.scatter(x, y, s=9, color=colormap(0.55), alpha=opacity, linewidths=0.0, rasterized=True)
    axes.axline((0.0, 0.0), slope=1.0, color=mpl.rcParams["text.color"], linestyle=(0, (4, 2)), linewidth=1.0)
    for fit, color, name, ends in (
        (low, LOW, "least sure", (max(start, float(x.min())), low and low.threshold)),
        (high, HIGH, "surest", (high and high.threshold, min(stop, float(x.max())))),
    ):
        if fit is not None:
            over = np.clip(np.array(ends, dtype=np.float64), -_LARGEST, _LARGEST)
            axes.plot(over, fit.intercept + fit.slope * over, color=color, linewidth=2.2, label=_line(name, fit))
    axes.set(xlim=(start, stop), ylim=(start, stop), aspect="equal", xlabel="teacher, log odds")
    axes.set_ylabel("student, log odds")
    if low is not None or high is not None:
        axes.legend(loc="upper left", title="slope where the teacher is", alignment="left")
    if outside:
        text = f"{outside} more outside"
        axes.text(0.99, 0.01, text, ha="right", va="bottom", transform=axes.transAxes, size="small")


def draw_reliability(axes: Axes, diagram: ReliabilityDiagram, *, color: str = TEACHER) -> None:
    """Draw how often a model is right against how sure it is, with 95 % Wilson intervals, over its points in each bin.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    diagram : ReliabilityDiagram
        As `kdtheory.fidelity.reliability_diagram` returns it; empty bins are left out.
    color : str, default that of the teacher

    Raises
    ------
    ValueError, TypeError
        For bins that are none of `kdtheory.fidelity.reliability_diagram`.

    Notes
    -----
    Below the diagonal the model is too sure. Bars from the bottom are the shares of the points. Source: Guo et al.
    (2017), figure 1.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from kdtheory.fidelity import reliability_diagram
    >>> axes = Figure().add_subplot()
    >>> draw_reliability(axes, reliability_diagram([[0.0, 1.0], [0.0, 3.0]], [1, 1]))
    >>> len(axes.patches)
    15
    """
    shares = diagram.counts / np.sum(diagram.counts)
    ink = mpl.rcParams["text.color"]
    axes.bar(
        diagram.edges[:-1],
        shares,
        width=np.diff(diagram.edges),
        align="edge",
        color=ink,
        alpha=0.15,
        label="share of points",
    )
    axes.plot([0.0, 1.0], [0.0, 1.0], color=ink, linestyle=(0, (4, 2)), linewidth=1.0)
    filled = diagram.counts > 0
    accuracies = diagram.accuracies[filled]
    low, high = share_interval(accuracies, diagram.counts[filled])
    axes.errorbar(
        diagram.mean_confidences[filled],
        accuracies,
        np.maximum([accuracies - low, high - accuracies], 0.0),
        fmt="o-",
        color=color,
        capsize=2,
        elinewidth=1.0,
        linewidth=0.9,
        markersize=4.5,
        clip_on=False,
        label="share right, of these",
    )
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal", xlabel="confidence", ylabel="accuracy")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)


def draw_dissection(
    axes: Axes,
    counts: Mapping[str, int],
    teacher_means: Mapping[str, float],
    student_means: Mapping[str, float],
    *,
    colors: tuple[str, str] = (TEACHER, STUDENT),
) -> None:
    """Draw mean confidences of teacher and student where both are right, one of them, or neither.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    counts, teacher_means, student_means : mapping of str to number
        As the `counts` and the `means` of a `kdtheory.fidelity.Dissection`; groups without points have no mean.
    colors : (str, str), default those of teacher and student

    Notes
    -----
    Source: Nagarajan et al. (2023), figure 14, in numbers.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> counts = {"both": 8, "only_teacher": 2, "only_student": 0, "neither": 0}
    >>> draw_dissection(axes, counts, {"both": 0.9, "only_teacher": 0.8}, {"both": 0.8, "only_teacher": 0.5})
    >>> [label.get_text() for label in axes.get_yticklabels()][1].splitlines()
    ['only teacher', '2 (20.0 %)']
    """
    total = max(sum(counts.values()), 1)
    names = [f"{_GROUPS[name]}\n{count:,} ({count / total:.1%})".replace("%", " %") for name, count in counts.items()]
    rows = np.array([row for row, name in enumerate(counts) if name in teacher_means])
    teacher, student = (
        np.array([means[name] for name in counts if name in means]) for means in (teacher_means, student_means)
    )
    for values, color, marker, label, shift in (
        (teacher, colors[0], "o", "teacher", -0.1),
        (student, colors[1], "s", "student", 0.1),
    ):
        axes.hlines(rows + shift, 0.0, values, color=color, alpha=0.35, linewidth=2.0)
        axes.plot(values, rows + shift, marker, color=color, markersize=6, label=label, clip_on=False)
    axes.set(xlim=(0.0, 1.0), ylim=(len(counts) - 0.5, -0.5), xlabel="mean confidence in the predicted class")
    axes.set_yticks(range(len(counts)), names)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)


def _common_range(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    ends = [np.quantile(values, [_FROM_EACH_END, 1.0 - _FROM_EACH_END]) for values in (x, y)]
    start, stop = float(np.min(ends)), float(np.max(ends))
    if len(x) <= _MOST_DOTS:
        start, stop = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    margin = 0.05 * (stop - start) or 1.0
    return start - margin, stop + margin


def _line(name: str, fit: ExaggerationSlope) -> str:
    low, high = fit.interval
    return f"{name}: {fit.slope:.2f} ({low:.2f} to {high:.2f})"
