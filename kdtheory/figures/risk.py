"""Risks of ridge regression and of its students: against the ridge, and where the two separate without bound."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes


def draw_risk(axes: Axes, ridges: np.ndarray, risks: Mapping[str, np.ndarray], floor: float) -> None:
    """Draw risks against the ridge, each with a dot where it is least, above the floor of all filters.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    ridges : array of shape (m,)
        Penalties, ascending.
    risks : mapping of str to array of shape (m,)
        Risks by label; the first is drawn black.
    floor : float
        Risk of the Wiener filter.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_risk(axes, np.array([0.1, 1.0, 10.0]), {"teacher": np.array([2.0, 1.0, 3.0])}, floor=0.5)
    >>> axes.lines[1].get_xdata()  # the dot where it is least
    array([1.])
    """
    colors = ["black", *mpl.colormaps["viridis"](np.linspace(0.15, 0.82, max(len(risks) - 1, 1)))]
    for (label, values), color in zip(risks.items(), colors, strict=False):
        axes.plot(ridges, values, color=color, label=label)
        least = int(np.argmin(values))
        if 0 < least < len(ridges) - 1:
            axes.plot(ridges[least], values[least], "o", color=color, markersize=3)
    axes.plot([], [], "o", color="0.3", markersize=3, label="least")
    axes.axhline(floor, color="0.45", linestyle=(0, (4, 2)), linewidth=1.0, label="Wiener floor", zorder=0)
    axes.set(xscale="log", xlabel=r"ridge $\lambda$", ylabel="in-sample risk", xlim=(ridges[0], ridges[-1]))


def draw_separation(axes: Axes, sizes: np.ndarray, risks: Mapping[str, np.ndarray]) -> None:
    """Draw how risks grow with the number of noise directions, on logarithmic axes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    sizes : array of shape (m,)
        Numbers of noise directions.
    risks : mapping of str to array of shape (m,)
        Risks by label, in units of the noise of one direction; the first is drawn black.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_separation(axes, np.array([10.0, 100.0]), {"ridge": np.array([3.0, 9.0])})
    >>> axes.get_yscale()
    'log'
    """
    colors = ["black", *mpl.colormaps["viridis"](np.linspace(0.15, 0.82, max(len(risks) - 1, 1)))]
    markers = ["o", "s", "^", "v"]
    for (label, values), color, marker in zip(risks.items(), colors, markers, strict=False):
        axes.plot(sizes, values, color=color, marker=marker, markersize=3.5, fillstyle="none", label=label)
    axes.set(xscale="log", yscale="log", xlabel="noise directions $N$", ylabel="total risk / $\\sigma^2$")
