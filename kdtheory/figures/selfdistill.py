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
    """
    axes.plot(x, path.targets, "x", color="black", zorder=3, clip_on=False)
    for values, style in zip(path.predict(K_test), _styles(path.n_steps), strict=True):
        axes.plot(x_test, values, **style)
    if path.constant_label_weight is not None:
        axes.plot(x_test, path.limit.predict(K_test), **_LIMIT)
    axes.set(xlabel="$x$", ylabel=r"$f(x, \hat\beta^{(\tau)})$", xlim=(float(x_test[0]), float(x_test[-1])))


def draw_shrinkage(axes: Axes, path: SelfDistillationPath) -> None:
    """Draw the diagonal of B^(τ) of every step as bars over one another, smallest eigenvalue first.

    At every index the taller bars stand behind the shorter ones, so that all steps are seen. Source: Borup &
    Andersen (2021), Figure 3.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath
    """
    ascending = np.asarray(path.shrinkage)[:, ::-1]
    index = np.arange(1, ascending.shape[1] + 1)
    # Steps swap places from index to index where the weights vary, so each index stacks its own bars.
    depth = np.argsort(np.argsort(-np.abs(ascending), axis=0), axis=0)
    for values, order, style in zip(ascending, depth, _styles(path.n_steps), strict=True):
        bars = axes.bar(index, values, width=0.8, **style)
        for bar, behind in zip(bars, order, strict=True):
            bar.set_zorder(2.0 + behind / (10.0 * path.n_steps))
    if path.constant_label_weight is not None:
        edges = np.append(index, index[-1] + 1) - 0.5
        axes.stairs(np.asarray(path.limit.shrinkage)[::-1], edges, baseline=None, **_LIMIT, zorder=3)
    axes.axhline(0.0, color="black", linewidth=0.6, zorder=3)
    axes.set(xlabel="index of eigenvalue, ascending", ylabel=r"diagonal of $B^{(\tau)}$", xlim=(0.4, index[-1] + 0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_shrinkage_ratios(axes: Axes, path: SelfDistillationPath) -> None:
    """Draw the ratios of neighbouring diagonals of B^(τ), smallest eigenvalue first.

    Source: Borup & Andersen (2021), Figure 4.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath
    """
    ascending = np.asarray(path.shrinkage_ratios)[:, ::-1]
    index = np.arange(1, ascending.shape[1] + 1)
    for values, style in zip(ascending, _styles(path.n_steps), strict=True):
        axes.plot(index, values, "o-", markersize=2.5, **style)
    if path.constant_label_weight:  # the limit for the label weight 0 is zero, and has no ratios
        axes.plot(index, np.asarray(path.limit.shrinkage_ratios)[::-1], **_LIMIT)
    axes.set(xlabel="$k$", ylabel=r"$R_k^{(\tau)}$")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def write_label_weights(axes: Axes, path: SelfDistillationPath) -> None:
    """Write the label weight of every step from the second on into the lower left corner.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    path : SelfDistillationPath
    """
    lines = [rf"$\alpha^{{({step})}} = {weight:.4g}$" for step, weight in enumerate(path.label_weights, start=2)]
    axes.text(0.03, 0.02, "\n".join(lines), transform=axes.transAxes, fontsize="small", linespacing=1.1)


def _styles(n_steps: int) -> list[dict[str, Any]]:
    """Colour and label of each step, dark to light, without the palest part of the colour map."""
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, n_steps))
    return [{"color": color, "label": rf"$\tau={step}$"} for step, color in enumerate(colors, start=1)]
