"""Loss surfaces: lines of equal loss, heat maps, three dimensions, and planes through three networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import matplotlib as mpl
import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator


class Surface(Protocol):
    """What is drawn of a `kdtheory.nets.LossSurface`."""

    @property
    def x(self) -> np.ndarray: ...  # noqa: D102
    @property
    def y(self) -> np.ndarray: ...  # noqa: D102
    @property
    def losses(self) -> np.ndarray: ...  # noqa: D102
    @property
    def points(self) -> np.ndarray: ...  # noqa: D102


def draw_loss_contours(axes: Axes, surface: Surface, *, levels: Any = None, color: str | None = None) -> None:
    """Draw a loss surface in lines of equal loss, with its networks.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    surface : kdtheory.nets.LossSurface
    levels : array of shape (m,), optional
        Losses of the lines; give the same ones to surfaces that are compared. Default: nine, spaced evenly in the
        logarithm.
    color : str, optional
        Of all lines; default: by their loss.

    Notes
    -----
    Source: Li et al. (2018), figure 5; Pham et al. (2022), figure 8.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from types import SimpleNamespace
    >>> x = np.linspace(-1.0, 1.0, 9)
    >>> bowl = SimpleNamespace(x=x, y=x, losses=1.0 + x[:, None] ** 2 + x**2, points=np.zeros((1, 2)))
    >>> axes = Figure().add_subplot()
    >>> draw_loss_contours(axes, bowl)
    >>> axes.get_xlabel()
    'direction 1'
    """
    levels = loss_levels([surface], 9) if levels is None else np.asarray(levels, dtype=np.float64)
    given = {"colors": color} if color is not None else {"norm": _scale(levels[0], levels[-1])}
    lines = axes.contour(surface.x, surface.y, surface.losses, levels=levels, linewidths=0.9, **given)
    axes.clabel(lines, fontsize=6.5, fmt=_text, inline_spacing=2)
    _mark_network(axes, surface)
    _name_axes(axes)
    axes.set_aspect("equal")


def draw_loss_heat_map(axes: Axes, surface: Surface, *, limits: tuple[float, float] | None = None) -> None:
    """Draw a loss surface in colours, on a logarithmic scale, with a bar.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    surface : kdtheory.nets.LossSurface
    limits : (float, float), optional
        Losses of the first and the last colour; give the same ones to surfaces that are compared.

    Notes
    -----
    Source: Pham et al. (2022), figure 14.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from types import SimpleNamespace
    >>> x = np.linspace(-1.0, 1.0, 9)
    >>> bowl = SimpleNamespace(x=x, y=x, losses=1.0 + x[:, None] ** 2 + x**2, points=np.zeros((1, 2)))
    >>> axes = Figure().add_subplot()
    >>> draw_loss_heat_map(axes, bowl)
    >>> axes.collections[0].get_clim()
    (1.0, 3.0)
    """
    low, high = limits or (float(np.min(surface.losses)), float(np.max(surface.losses)))
    norm = _scale(low, high)
    mesh = axes.pcolormesh(surface.x, surface.y, surface.losses, norm=norm, shading="gouraud", rasterized=True)
    _bar(axes, ScalarMappable(norm, mesh.get_cmap()))
    _mark_network(axes, surface)
    _name_axes(axes)
    axes.set_aspect("equal")


def draw_loss_surface_3d(axes: Any, surface: Surface, *, limits: tuple[float, float] | None = None) -> None:
    """Draw a loss surface in three dimensions, with the logarithm of the loss for its height.

    Parameters
    ----------
    axes : mpl_toolkits.mplot3d.Axes3D
        From `figure.add_subplot(projection="3d")`.
    surface : kdtheory.nets.LossSurface
    limits : (float, float), optional
        Losses at the bottom and the top.

    Raises
    ------
    TypeError
        For axes in two dimensions.

    Notes
    -----
    Source: Li et al. (2018), figure 1; Pham et al. (2022), figure 15.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from types import SimpleNamespace
    >>> x = np.linspace(-1.0, 1.0, 9)
    >>> bowl = SimpleNamespace(x=x, y=x, losses=1.0 + x[:, None] ** 2 + x**2, points=np.zeros((1, 2)))
    >>> axes = Figure().add_subplot(projection="3d")
    >>> draw_loss_surface_3d(axes, bowl)
    >>> axes.get_zlabel()
    'loss'
    """
    if not hasattr(axes, "plot_surface"):
        raise TypeError('axes must be of three dimensions: figure.add_subplot(projection="3d") makes them')
    low, high = limits or (float(np.min(surface.losses)), float(np.max(surface.losses)))
    logarithmic = low > 0.0
    losses = np.clip(surface.losses, low, high)
    heights = np.log10(losses) if logarithmic else losses
    axes.plot_surface(
        *np.meshgrid(surface.x, surface.y), heights, cmap=mpl.rcParams["image.cmap"], linewidth=0.1, antialiased=True,
        rcount=80, ccount=80, edgecolor=(0.0, 0.0, 0.0, 0.15), rasterized=True,
    )  # fmt: skip
    if logarithmic:
        marks = _marks(low, high)
        axes.set_zticks(np.log10(marks), [_text(mark) for mark in marks])
    axes.set(xlabel="direction 1", ylabel="direction 2", zlabel="loss")
    axes.tick_params(labelsize=6.5, pad=0)
    axes.xaxis.labelpad = axes.yaxis.labelpad = axes.zaxis.labelpad = 0
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    axes.view_init(elev=32, azim=-55)
    axes.set_box_aspect(None, zoom=0.74)


def draw_plane(
    axes: Axes,
    surface: Surface,
    names: Sequence[str] = ("teacher", "student before", "student after"),
    *,
    values: np.ndarray | None = None,
    label: str = "loss",
) -> None:
    """Draw a surface on the plane through three networks, filled between lines of equal loss, with their names.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    surface : kdtheory.nets.LossSurface
        On a `kdtheory.nets.plane_through` three networks.
    names : three of str
        In the order of the networks.
    values : array of shape (l, m), optional
        What to draw for the losses, such as the `agreements` of the surface; on a linear scale.
    label : str, default "loss"
        Of the bar.

    Raises
    ------
    ValueError
        For another number of names than networks.

    Notes
    -----
    Distances are those of parameters, and the same in both directions. Source: Stanton et al. (2021), figure 6(c).

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from types import SimpleNamespace
    >>> x = np.linspace(-1.0, 2.0, 9)
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    >>> bowl = SimpleNamespace(x=x, y=x, losses=1.0 + x[:, None] ** 2 + x**2, points=points)
    >>> axes = Figure().add_subplot()
    >>> draw_plane(axes, bowl)
    >>> [text.get_text() for text in axes.texts]
    ['teacher', 'student before', 'student after']
    """
    if len(names) != len(surface.points):
        raise ValueError(f"names must be those of {len(surface.points)} networks, got {len(names)}")
    shown = surface.losses if values is None else np.asarray(values)
    low, high = float(np.min(shown)), float(np.max(shown))
    logarithmic = values is None and low > 0.0
    levels = loss_levels([surface], 17) if logarithmic else np.linspace(low, high if high > low else low + 1.0, 17)
    norm = _scale(levels[0], levels[-1]) if logarithmic else Normalize(levels[0], levels[-1])
    filled = axes.contourf(surface.x, surface.y, shown, levels=levels, norm=norm, extend="both")
    axes.contour(surface.x, surface.y, shown, levels=levels, colors="white", linewidths=0.3, alpha=0.6)
    _bar(axes, ScalarMappable(norm, filled.get_cmap()), label)
    middle = 0.5 * float(surface.x[0] + surface.x[-1])
    for (x, y), name, marker in zip(surface.points, names, ("*", "s", "o"), strict=False):
        axes.plot(x, y, marker, color="white", markeredgecolor="black", markersize=9 if marker == "*" else 6, zorder=3)
        left = x > middle
        below = name == names[0]
        text = axes.annotate(
            name, (x, y), xytext=(-6 if left else 6, -6 if below else 6), textcoords="offset points",
            ha="right" if left else "left", va="top" if below else "bottom", color="white", size=7,
        )  # fmt: skip
        text.set_path_effects([effects.withStroke(linewidth=1.8, foreground="black")])
    axes.set_aspect("equal")
    _name_axes(axes)


def loss_levels(surfaces: Sequence[Surface], n_levels: int) -> np.ndarray:
    """Losses for the lines of surfaces that are compared, spaced evenly in the logarithm.

    Parameters
    ----------
    surfaces : sequence of kdtheory.nets.LossSurface
    n_levels : int

    Returns
    -------
    array of shape (n_levels,)

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> loss_levels([SimpleNamespace(losses=np.array([[1.0, 100.0]]))], 3).tolist()
    [1.0, 10.0, 100.0]
    """
    low = min(float(np.min(each.losses)) for each in surfaces)
    high = max(float(np.max(each.losses)) for each in surfaces)
    if high <= low:
        high = low + 1.0
    return np.geomspace(low, high, n_levels) if low > 0.0 else np.linspace(low, high, n_levels)


def _scale(low: float, high: float) -> Normalize:
    return LogNorm(low, high) if 0.0 < low < high else Normalize(low, high)


def _marks(low: float, high: float) -> np.ndarray:
    """Places for a few labels on a logarithmic axis."""
    for parts in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        found = np.asarray(LogLocator(subs=parts).tick_values(low, high))
        found = found[(found >= low) & (found <= high)]
        if len(found) >= 3:
            return found[:: max(1, len(found) // 5)]
    return np.geomspace(low, high, 4)


def _text(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def _bar(axes: Axes, mappable: ScalarMappable, label: str = "loss") -> None:
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(mappable, cax=axes.inset_axes((1.04, 0.0, 0.05, 1.0)), label=label)
    low, high = mappable.get_clim()
    if isinstance(mappable.norm, LogNorm) and low is not None and high is not None:
        marks = _marks(low, high)
        bar.set_ticks(marks.tolist(), labels=[_text(mark) for mark in marks])
        bar.ax.minorticks_off()


def _mark_network(axes: Axes, surface: Surface) -> None:
    axes.plot(
        *np.asarray(surface.points).T,
        "*",
        color="white",
        markeredgecolor="black",
        markersize=7,
        markeredgewidth=0.6,
        zorder=3,
    )


def _name_axes(axes: Axes) -> None:
    axes.set(xlabel="direction 1", ylabel="direction 2")
    axes.locator_params(nbins=5)
