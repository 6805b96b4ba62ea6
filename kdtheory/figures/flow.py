"""Gradient training in the eigenspace: trajectories along pairs of directions, filters, and exaggeration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from kdtheory.filters import Filter
from kdtheory.flow import DistillationTrajectories
from kdtheory.matching import exaggeration_ratios

TEACHER, STUDENT = "#0072b2", "#d55e00"
"""Colours of teacher and student."""


def draw_eigenspace(axes: Axes, run: DistillationTrajectories, top: int, bottom: int) -> None:
    """Draw how the weights of teacher and student move along two eigendirections, with a star where each ends.

    The teacher ends where it was stopped for its student. Source: Nagarajan et al. (2023), Figures 19 to 21; with
    several outputs the length of their components is drawn, as there.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    run : DistillationTrajectories
        Trajectories with ascending times.
    top, bottom : int
        Indices of the two directions, counted from the largest eigenvalue; the first one is drawn to the right.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> from kdtheory import flow_trajectories
    >>> run = flow_trajectories([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], times=[0.0, 1.0, 2.0], teacher_time=1.5)
    >>> draw_eigenspace(axes, run, top=0, bottom=1)
    >>> [line.get_label() for line in axes.lines[::2]]
    ['teacher', 'student']
    """
    before = np.asarray(run.teacher.times) < run.stopped_at
    end = np.asarray(run.stopped_teacher.components)[None]
    teacher = np.concatenate([np.asarray(run.teacher.components)[before], end])
    for components, color, style, label, size in (
        (teacher, TEACHER, "-", "teacher", 9),
        (np.asarray(run.student.components), STUDENT, (0, (4, 1.5)), "student", 5),
    ):
        x, y = (component_lengths(components, k) for k in (top, bottom))
        axes.plot(x, y, color=color, linestyle=style, label=label, clip_on=False)
        axes.plot(x[-1], y[-1], "*", color=color, markersize=size, clip_on=False, zorder=3)
    axes.set(
        xlim=(0.0, None),
        ylim=(0.0, None),
        xlabel=rf"$\|W^T v_{{{top + 1}}}\|$",
        ylabel=rf"$\|W^T v_{{{bottom + 1}}}\|$",
    )
    axes.locator_params(nbins=3)


def component_lengths(components: np.ndarray, direction: int) -> np.ndarray:
    """Length of the weights along one eigendirection at every moment.

    Parameters
    ----------
    components : array of shape (m, r) or (m, r, k)
        Of the weights, as `Trajectory.components`.
    direction : int
        Which eigendirection, counted from the largest eigenvalue.

    Returns
    -------
    array of shape (m,)

    Examples
    --------
    >>> component_lengths(np.array([[[3.0, 4.0]], [[0.0, 1.0]]]), 0)
    array([5., 1.])
    """
    along = components[:, direction]
    return np.abs(along) if along.ndim == 1 else np.linalg.norm(along, axis=1)


def draw_filters(axes: Axes, filters: Mapping[str, Filter], eigenvalues: np.ndarray) -> None:
    """Draw the shrinkage of filters against the eigenvalue, on a logarithmic axis.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    filters : mapping of str to Filter
        Filters by label; the first is drawn as a broad grey line, for the others to be compared with.
    eigenvalues : array of shape (r,)
        Where to evaluate them, all > 0.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> from kdtheory import Ridge
    >>> draw_filters(axes, {"ridge": Ridge(1.0)}, np.array([0.5, 1.0]))
    >>> axes.lines[0].get_ydata().round(3)
    array([0.333, 0.5  ])
    """
    colors = mpl.colormaps["viridis"](np.linspace(0.15, 0.82, max(len(filters) - 1, 1)))
    styles = [{"color": "0.65", "linewidth": 3.0}, *({"color": color} for color in colors)]
    for (label, filter_), style in zip(filters.items(), styles, strict=False):
        axes.plot(eigenvalues, filter_.shrinkage(eigenvalues), label=label, **style)
    axes.set(xscale="log", xlabel="eigenvalue $d$", ylabel="shrinkage", xlim=(eigenvalues.min(), eigenvalues.max()))


def draw_exaggeration(axes: Axes, shares: Sequence[float], eigenvalues: np.ndarray, *, teacher_time: float) -> None:
    """Draw how far a student is behind its teacher along every direction when both are even along the top one.

    Source: Nagarajan et al. (2023), Theorem 4.1/B.1.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    shares : sequence of float
        Times of the teacher over `teacher_time`, > 0 and < 1; one curve each.
    eigenvalues : array of shape (r,)
        Directions to compare, all > 0; the largest is the top one.
    teacher_time : float
        Time at which the teacher was stopped.

    Raises
    ------
    ValueError, TypeError
        As for `kdtheory.exaggeration_ratios`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_exaggeration(axes, [0.5], np.array([2.0, 1.0]), teacher_time=1.0)
    >>> len(axes.lines[0].get_ydata())
    2
    """
    colors = mpl.colormaps["viridis"](np.linspace(0.15, 0.82, len(shares)))
    for share, color in zip(shares, colors, strict=True):
        ratios = exaggeration_ratios(eigenvalues, time=share * teacher_time, teacher_time=teacher_time)
        axes.plot(eigenvalues / eigenvalues.max(), ratios, color=color, label=f"$t = {share:g}\\,T$")
    relative = eigenvalues / eigenvalues.max()
    axes.set(xscale="log", xlabel="$d/d_\\mathrm{top}$", ylabel="student / teacher", xlim=(relative.min(), 1.0))
