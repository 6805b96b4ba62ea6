"""Teachers' probabilities and their students over many trials: means with standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdtheory.soft_labels import distort_probabilities

NOISE_LABEL = r"noise $\sigma$ (std. $\sigma^2$ on logits)"
"""Of an axis: the paper calls σ what is squared for the standard deviation."""

COLORS = ("black", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours of curves in the order in which they are drawn."""


def mean_and_error(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over trials, and its standard error.

    Parameters
    ----------
    trials : array of shape (n_trials, ...)
        Of at least two trials.

    Returns
    -------
    mean : array of shape (...)
    error : array of shape (...)
        Standard deviation, with n_trials - 1, over the root of n_trials.

    Examples
    --------
    >>> mean_and_error(np.array([1.0, 3.0]))
    (np.float64(2.0), np.float64(1.0))
    """
    return np.mean(trials, axis=0), np.std(trials, axis=0, ddof=1) / np.sqrt(len(trials))


def draw_trials(axes: Axes, x: np.ndarray, curves: Mapping[str, np.ndarray], *, first_color: int = 0) -> None:
    """Draw curves of trials, the mean of each with its standard error.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    x : array of shape (m,)
    curves : mapping of str to array of shape (n_trials, m)
        Values by label.
    first_color : int, default 0
        Which of the colours the first curve has.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_trials(axes, np.arange(2), {"student": np.array([[0.0, 1.0], [2.0, 3.0]])})
    >>> axes.lines[0].get_ydata()
    array([1., 2.])
    """
    markers = ("o", "s", "^", "v", "D")
    for number, (label, trials) in enumerate(curves.items(), first_color):
        mean, error = mean_and_error(trials)
        axes.errorbar(
            x, mean, error, color=COLORS[number], marker=markers[number], markersize=3, capsize=1.5, label=label
        )


def draw_band(axes: Axes, x: np.ndarray, trials: np.ndarray, label: str, *, color: Any, **line: Any) -> None:
    """Draw the mean of trials as a line, in a band of ± its standard error.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    x : array of shape (m,)
    trials : array of shape (n_trials, m)
    label : str
    color : colour of matplotlib
    **line
        Further arguments of `matplotlib.axes.Axes.plot`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_band(axes, np.arange(2), np.array([[0.0, 1.0], [2.0, 3.0]]), "mean", color="black")
    >>> axes.lines[0].get_ydata()
    array([1., 2.])
    """
    mean, error = mean_and_error(trials)
    axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.15, linewidth=0.0)
    axes.plot(x, mean, color=color, label=label, **line)


def draw_level(axes: Axes, trials: np.ndarray, label: str, *, color: str = "black") -> None:
    """Draw the mean of trials as a level, in a band of ± its standard error.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    trials : array of shape (n_trials,)
    label : str
    color : colour of matplotlib, default "black"

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_level(axes, np.array([1.0, 3.0]), "mean")
    >>> axes.lines[0].get_ydata()
    [2.0, 2.0]
    """
    mean, error = mean_and_error(trials)
    axes.axhline(float(mean), color=color, linestyle=(0, (4, 2)), linewidth=1.0, label=label, zorder=1)
    axes.axhspan(float(mean - error), float(mean + error), color=color, alpha=0.15, linewidth=0.0, zorder=0)


def draw_oracle(axes: Axes, x: np.ndarray, trials: np.ndarray) -> None:
    """Draw the mean over trials of the AUC of the Bayes probabilities on the test points.

    On the points on which students are tested their mean is a bound for them, up to the chance of these points; the
    exact value, over all points, is not.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    x : array of shape (m,)
    trials : array of shape (n_trials, m)

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_oracle(axes, np.arange(2), np.array([[0.7, 0.8], [0.9, 0.8]]))
    >>> axes.lines[0].get_ydata()
    array([0.8, 0.8])
    """
    axes.plot(x, np.mean(trials, axis=0), color="0.75", linewidth=2.4, label="oracle", zorder=0)


def draw_legend(
    figure: Figure, panels: Sequence[Axes], *, n_trials: int, ncols: int, shown: str = "bars and bands"
) -> None:
    """Draw one legend below panels of trials, each label once, with what their bars and bands are.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        With a constrained layout.
    panels : sequence of matplotlib.axes.Axes
    n_trials : int
    ncols : int
        Columns of the legend.
    shown : str, default "bars and bands"
        What shows the standard errors.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure(layout="constrained")
    >>> axes = figure.subplots()
    >>> draw_trials(axes, np.arange(2), {"student": np.array([[0.0, 1.0], [2.0, 3.0]])})
    >>> draw_legend(figure, [axes], n_trials=2, ncols=1)
    >>> figure.legends[0].get_title().get_text()
    'mean of 2 trials; bars and bands: ± 1 standard error'
    """
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=ncols,
        title=f"mean of {n_trials} trials; {shown}: ± 1 standard error",
        title_fontsize=7,
    )


def draw_student_against_teacher(
    axes: Axes,
    teacher_errors: np.ndarray,
    student_scores: np.ndarray,
    label: str,
    *,
    color: Any,
    marker: str = "o",
    fillstyle: str = "full",
) -> None:
    """Draw scores of students against the mean squared error of their teachers, with standard errors of both.

    Source: Menon et al. (2020), Figures 4 and 5.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    teacher_errors, student_scores : array of shape (n_trials, m)
        Of m teachers, joined by a line in their order.
    label : str
    color : colour of matplotlib
    marker : str, default "o"
    fillstyle : str, default "full"
        Of the markers; "none" shows those that lie upon each other.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> errors, scores = np.array([[0.1, 0.2], [0.3, 0.2]]), np.array([[0.9, 0.8], [0.9, 0.8]])
    >>> draw_student_against_teacher(axes, errors, scores, "student", color="black")
    >>> axes.lines[0].get_xdata()
    array([0.2, 0.2])
    """
    (x, x_error), (y, y_error) = mean_and_error(teacher_errors), mean_and_error(student_scores)
    style: dict[str, Any] = {
        "color": color,
        "marker": marker,
        "markersize": 3.5,
        "fillstyle": fillstyle,
        "linewidth": 0.8,
        "elinewidth": 0.8,
    }
    axes.errorbar(x, y, y_error, x_error, label=label, **style)
    axes.set(xlabel="teacher's MSE", ylabel="student's AUC")


def draw_equal_noise(
    axes: Axes,
    teacher_errors: np.ndarray,
    student_scores: np.ndarray,
    labels: Sequence[str],
    places: Sequence[tuple[int, float, float]],
) -> None:
    """Join teachers of equal noise by thin lines, each with its label at one of them.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    teacher_errors, student_scores : array of shape (n_trials, k, m)
        Of teachers with k biases and m noises.
    labels : sequence of m str
    places : sequence of m tuples
        At which bias each label is, and how many points of the page to the right of its teacher and above.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> errors, scores = np.array([[[0.1], [0.2]]]), np.array([[[0.9], [0.8]]])
    >>> draw_equal_noise(axes, errors, scores, ["no noise"], [(0, 3.0, 3.0)])
    >>> axes.texts[0].get_text()
    'no noise'
    """
    means = np.mean(teacher_errors, axis=0).T, np.mean(student_scores, axis=0).T
    for x, y, label, (bias, right, up) in zip(*means, labels, places, strict=True):
        axes.plot(x, y, color="0.6", linewidth=0.6, zorder=0)
        axes.annotate(
            label, (x[bias], y[bias]), (right, up), textcoords="offset points", fontsize=6.5, color="0.35", va="center"
        )


def draw_teacher_errors(
    axes: Axes, noises: np.ndarray, biases: np.ndarray, errors: np.ndarray, *, levels: Sequence[float]
) -> None:
    r"""Draw the mean squared error of teachers with noise and bias as a map, with lines where it is equal.

    Source: Menon et al. (2020), Figure 6.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    noises : array of shape (m,)
        σ, ascending.
    biases : array of shape (k,)
        α, ascending.
    errors : array of shape (k, m)
        Mean squared errors.
    levels : sequence of float
        Errors of the lines.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> errors = np.array([[0.0, 0.1], [0.1, 0.2]])
    >>> draw_teacher_errors(axes, np.array([0.0, 1.0]), np.array([1.0, 2.0]), errors, levels=[0.05])
    >>> axes.get_ylabel()
    'bias $\\alpha$'
    """
    axes.pcolormesh(noises, biases, errors, shading="gouraud", rasterized=True)
    lines = axes.contour(noises, biases, errors, levels=levels, colors="white", linewidths=0.7)
    axes.clabel(lines, fontsize=6.5, fmt="%.2f")
    axes.set(xlabel=NOISE_LABEL, ylabel=r"bias $\alpha$")


def draw_distortions(axes: Axes, amounts: Sequence[float]) -> None:
    r"""Draw distorted probabilities against Bayes probabilities, and dotted the upper branch as it is printed.

    Source: Menon et al. (2020), Figure 7(a) and appendix B.2.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    amounts : sequence of float
        α, ascending; the printed branch is drawn for the second.

    Raises
    ------
    ValueError, TypeError
        As for `kdtheory.distort_probabilities`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_distortions(axes, [1.0, 2.0])
    >>> axes.lines[0].get_label()
    '$\\alpha = 1$'
    """
    u = np.linspace(0.0, 1.0, 401)
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(amounts)))
    for amount, color in zip(amounts, colors, strict=True):
        axes.plot(u, distort_probabilities(u, amount=amount), color=color, label=rf"$\alpha = {amount:g}$")
    upper = u[u >= 0.5]
    printed = 0.5 + (2.0 * upper - 1.0) ** (1.0 / amounts[1])
    axes.plot(upper, printed, ":", color=colors[1], label="_the paper's formula")
    axes.text(0.6, 1.2, f"the paper's formula\nfor $\\alpha = {amounts[1]:g}$", color=colors[1], fontsize=7, ha="right")
    axes.axhline(1.0, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlabel="Bayes probability $u$", ylabel=r"$\Psi_\alpha(u)$")
