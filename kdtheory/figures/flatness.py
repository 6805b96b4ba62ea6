"""Flatness of networks: densities and distributions of Hessian eigenvalues, and flatness by rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

if TYPE_CHECKING:
    import pandas as pd

TRACE, LARGEST = "#d55e00", "#0072b2"
"""Colours of trace and largest eigenvalue."""

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_LEAST_DENSITY = 1e-6

_MANY = 300.0
"""Ratio of the ends of an axis from which powers of ten are ticks enough."""
"""Share of the highest density below which nothing is drawn."""


class Density(Protocol):
    """What is drawn of a `kdtheory.nets.SpectralDensity`."""

    @property
    def grid(self) -> np.ndarray: ...  # noqa: D102
    @property
    def density(self) -> np.ndarray: ...  # noqa: D102


def draw_spectral_density(axes: Axes, densities: Mapping[str, Density]) -> None:
    """Draw densities of Hessian eigenvalues on a logarithmic axis.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    densities : mapping of str to kdtheory.nets.SpectralDensity
        By network. Only densities of one smoothing look alike: give `sigma` to `spectral_density`.

    Notes
    -----
    What is below a millionth of the highest density is left out. Source: Pham et al. (2022), figure 7.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from types import SimpleNamespace
    >>> found = SimpleNamespace(grid=np.arange(3.0), density=np.array([0.5, 1.0, 0.5]))
    >>> axes = Figure().add_subplot()
    >>> draw_spectral_density(axes, {"teacher": found})
    >>> axes.get_yscale()
    'log'
    """
    highest = max(float(np.max(each.density)) for each in densities.values())
    least = _LEAST_DENSITY * highest
    for (name, each), color in zip(densities.items(), _colors(len(densities)), strict=True):
        axes.plot(each.grid, np.where(each.density >= least, each.density, np.nan), color=color, label=name)
    axes.set(yscale="log", ylim=(least, 3.0 * highest), xlabel="eigenvalue of the Hessian", ylabel="density")
    axes.legend()


def draw_eigenvalue_ecdf(axes: Axes, eigenvalues: Mapping[str, Any]) -> None:
    """Draw the empirical distribution of the top eigenvalues of Hessians, on a logarithmic axis.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    eigenvalues : mapping of str to array of shape (k,)
        By network, such as the `values` of `kdtheory.nets.top_eigenvalues`; those that are not positive are left out of
        the picture, but not of the shares.

    Notes
    -----
    Source: Pham et al. (2022), figure 16, with k = 100.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> draw_eigenvalue_ecdf(axes, {"teacher": [3.0, 1.0, 0.5, 0.1]})
    >>> axes.lines[0].get_ydata().tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    most = max(len(values) for values in eigenvalues.values())
    for (name, values), color in zip(eigenvalues.items(), _colors(len(eigenvalues)), strict=True):
        ordered = np.sort(np.asarray(values, dtype=np.float64))
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
        shown = ordered > 0.0
        axes.step(ordered[shown], shares[shown], where="post", color=color, label=name)
    axes.set(xscale="log", ylim=(0.0, 1.02), xlabel="eigenvalue of the Hessian", ylabel=f"share of the top {most}")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > _MANY else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower right")


def draw_flatness_rounds(trace_axes: Axes, largest_axes: Axes, table: pd.DataFrame) -> None:
    """Draw trace, with its 95 % interval, and largest eigenvalue of networks one after another, in two panels.

    Parameters
    ----------
    trace_axes, largest_axes : matplotlib.axes.Axes
    table : DataFrame
        As `kdtheory.nets.measure_flatness` gives it, a row for each network: `trace`, `trace_low`, `trace_high` and
        `largest`. With several rows of one name, such as seeds, their mean is drawn, and their standard error for the
        interval.

    Notes
    -----
    Source: Pham et al. (2022), figures 4, 5 and 10 to 13.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import pandas as pd
    >>> columns = {"trace": [9.0, 6.0], "trace_low": [8.9, 5.9], "trace_high": [9.1, 6.1], "largest": [2.0, 1.0]}
    >>> table = pd.DataFrame(columns, index=["teacher", "round 1"])
    >>> one, other = Figure().subplots(1, 2)
    >>> draw_flatness_rounds(one, other, table)
    >>> [label.get_text() for label in one.get_xticklabels()]
    ['teacher', 'round 1']
    """
    groups = table.groupby(level=0, sort=False)
    names = [str(name) for name, _ in groups]
    means, errors = groups.mean(numeric_only=True), groups.sem(numeric_only=True).fillna(0.0)
    places = np.arange(len(names))
    alone = (groups.size() == 1).to_numpy()
    below = np.where(alone, means["trace"] - means["trace_low"], errors["trace"])
    above = np.where(alone, means["trace_high"] - means["trace"], errors["trace"])
    for axes, column, color, label, reach in (
        (trace_axes, "trace", TRACE, "trace of the Hessian", np.stack([below, above])),
        (largest_axes, "largest", LARGEST, "largest eigenvalue", np.stack([errors["largest"]] * 2)),
    ):
        axes.errorbar(
            places,
            means[column].to_numpy(float),
            reach,
            fmt="o-",
            color=color,
            capsize=3,
            elinewidth=1.0,
            markersize=4,
            clip_on=False,
        )
        top = float(np.max(means[column] + reach[1]))
        axes.set(ylabel=label, xlim=(-0.3, len(names) - 0.7), ylim=(min(0.0, float(np.min(means[column]))), 1.08 * top))
        axes.set_xticks(places, names)


def _colors(n: int) -> list[Any]:
    return (
        [_COLORS[i] for i in range(n)] if n <= len(_COLORS) else list(mpl.colormaps["viridis"](np.linspace(0, 0.9, n)))
    )
