"""The steps of one self-distillation: its functions, the diagonals of B^(τ), and their ratios.

Where the label weight is constant, the infinite-step limit is drawn dashed.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kdtheory.selfdistill import SelfDistillationPath

_LIMIT: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.0, "label": r"$\tau=\infty$"}


def draw_solutions(
    axes: Axes, path: SelfDistillationPath, x: np.ndarray, x_test: np.ndarray, K_test: np.ndarray
) -> None:
    """Draw the training points and the function of every step on one input dimension.

    Source: Borup & Andersen (2021), Figure 2.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath
        Self-distillation of targets of shape (n,).
    x : array of shape (n,)
        Training inputs.
    x_test : array of shape (m,)
        Inputs to draw at.
    K_test : array of shape (m, n)
        Kernel values between the two.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> from kdtheory import selfdistill_closed_form
    >>> path = selfdistill_closed_form([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], ridge=0.5, n_steps=2, label_weight=0.25)
    >>> draw_solutions(axes, path, np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.eye(2))
    >>> len(axes.lines)  # points, two fits, and the limit
    4
    """
    axes.plot(x, path.targets, "x", color="black", zorder=3, clip_on=False, label="training points")
    for values, style in zip(path.predict(K_test), _styles(path.n_steps), strict=True):
        axes.plot(x_test, values, **style)
    if path.constant_label_weight is not None:
        axes.plot(x_test, path.limit.predict(K_test), **_LIMIT)
    axes.set(xlabel="$x$", ylabel=r"$f(x, \hat\beta^{(\tau)})$", xlim=(float(x_test[0]), float(x_test[-1])))


def draw_shrinkage(axes: Axes, path: SelfDistillationPath) -> None:
    """Draw the diagonal of B^(τ) of every step, smallest eigenvalue first.

    Where every step shrinks all that the step before it left, the diagonals are bars, each before the one it shrinks;
    otherwise one would hide another, and they are outlines. Source: Borup & Andersen (2021), Figure 3.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> from kdtheory import selfdistill_closed_form
    >>> path = selfdistill_closed_form([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], ridge=0.5, n_steps=2, label_weight=0.25)
    >>> draw_shrinkage(axes, path)
    >>> axes.patches[1].get_height()  # of the first fit, along the larger eigenvalue
    np.float64(0.8)
    """
    ascending = np.asarray(path.shrinkage)[:, ::-1]
    edges = np.arange(ascending.shape[1] + 1) + 0.5
    decreasing = bool(np.all(np.diff(ascending, axis=0) <= 0.0))
    for values, style in zip(ascending, _styles(path.n_steps), strict=True):
        if decreasing:
            axes.bar(edges[:-1] + 0.5, values, width=0.8, **style)
        else:
            axes.stairs(values, edges, baseline=None, **style)
    if path.constant_label_weight is not None:
        limit = np.asarray(path.limit.shrinkage)[::-1]
        axes.stairs(limit, edges, baseline=None, **_LIMIT, zorder=3, clip_on=False)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set(xlabel="index of eigenvalue, ascending", ylabel=r"diagonal of $B^{(\tau)}$", xlim=(0.4, edges[-1] + 0.1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_shrinkage_ratios(axes: Axes, path: SelfDistillationPath) -> None:
    """Draw the ratios of neighbouring diagonals of B^(τ), smallest eigenvalue first.

    Where a diagonal changes its sign the ratios jump: they are then points on a scale that is linear up to 2 and
    logarithmic beyond. Source: Borup & Andersen (2021), Figure 4.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> from kdtheory import selfdistill_closed_form
    >>> path = selfdistill_closed_form([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], ridge=0.5, n_steps=2, label_weight=0.25)
    >>> draw_shrinkage_ratios(axes, path)
    >>> axes.lines[0].get_ydata().round(6)
    array([1.2])
    """
    ascending = np.asarray(path.shrinkage_ratios)[:, ::-1]
    index = np.arange(1, ascending.shape[1] + 1)
    jumps = bool(np.any(ascending < 0.0))
    for values, style in zip(ascending, _styles(path.n_steps), strict=True):
        axes.plot(index, values, "o" if jumps else "o-", markersize=2.5, **style)
    if jumps:
        axes.set_yscale("symlog", linthresh=2.0)
    if path.constant_label_weight:  # the limit for the label weight 0 is zero, and has no ratios
        axes.plot(index, np.asarray(path.limit.shrinkage_ratios)[::-1], **_LIMIT)
    axes.set(xlabel="$k$", ylabel=r"$R_k^{(\tau)}$")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def write_label_weights(axes: Axes, path: SelfDistillationPath) -> None:
    r"""Write the label weight of every step from the second on into the lower left corner.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> from kdtheory import selfdistill_closed_form
    >>> path = selfdistill_closed_form([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], ridge=0.5, n_steps=2, label_weight=0.25)
    >>> write_label_weights(axes, path)
    >>> axes.texts[0].get_text()
    '$\\alpha^{(2)} = 0.25$'
    """
    lines = [rf"$\alpha^{{({step})}} = {weight:.4g}$" for step, weight in enumerate(path.label_weights, start=2)]
    axes.text(0.03, 0.02, "\n".join(lines), transform=axes.transAxes, fontsize="small", linespacing=1.1)


def _styles(n_steps: int) -> list[dict[str, Any]]:
    """Colour and label of each step, dark to light, without the palest part of the colour map."""
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.78, n_steps))
    return [{"color": color, "label": rf"$\tau={step}$"} for step, color in enumerate(colors, start=1)]
