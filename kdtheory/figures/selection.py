"""Displays in scikit-learn's manner: held-out error against the ridge, and the label weights that were chosen."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

_ONE_SCALE = 30.0
"""Label weights up to this size are drawn on a linear axis, larger ones on a symmetric logarithmic one."""

_ROOM = 0.28
"""Room for the gain below the least error, as a share of the height above it."""

_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
_INSIDE: dict[str, Any] = {"loc": "upper right", "ncols": 2, "frameon": True}


class HeldOutErrorDisplay:
    """Held-out error against the ridge, one curve for each number of fits; usually made by `from_estimator`.

    The axes show what the choice is about: errors up to a quarter above the least one, or up to five times the gain
    above it where that is more, and the ridges with such errors. Curves go on above.

    Parameters
    ----------
    ridges : array of shape (n_ridges,)
        Penalties.
    errors : array of shape (n_ridges, n_steps)
        Mean squared held-out errors; the first column is plain kernel ridge regression.
    best_ridge : float
        Penalty of the chosen model, one of the ridges.
    best_n_steps : int
        Its number of fits.
    gain, gain_se : float, optional
        How much lower its error is than that of the best plain model, and the standard error of that; written into the
        axes unless one fit is chosen.
    gamma : float, optional
        Kernel width that was chosen along with it; written beside the ridge.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
        The curves of 1, 2, … fits.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : one curve, with a refit for every point.

    Notes
    -----
    `display.figure_.savefig("errors.png")` saves the picture. For the look of this package's figures, draw within
    `with matplotlib.pyplot.style.context(kdtheory.figures.STYLE):`.

    Examples
    --------
    >>> display = HeldOutErrorDisplay([0.1, 1.0], [[0.4, 0.3], [0.5, 0.45]], best_ridge=0.1, best_n_steps=2).plot()
    >>> [line.get_label() for line in display.lines_]
    ['1 fit', '2 fits']
    """

    ridges: np.ndarray
    errors: np.ndarray
    ax_: Axes
    figure_: Figure | Any
    lines_: list[Line2D]

    def __init__(
        self,
        ridges: Any,
        errors: Any,
        *,
        best_ridge: float,
        best_n_steps: int,
        gain: float | None = None,
        gain_se: float | None = None,
        gamma: float | None = None,
    ) -> None:
        self.ridges = np.asarray(ridges)
        self.errors = np.asarray(errors)
        self.best_ridge = best_ridge
        self.best_n_steps = best_n_steps
        self.gain = gain
        self.gain_se = gain_se
        self.gamma = gamma

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, line_kw: dict[str, Any] | None = None
    ) -> HeldOutErrorDisplay:
        """Draw the search of a fitted `SelfDistilledKernelRidgeCV` or `SelfDistilledKernelClassifierCV`.

        Parameters
        ----------
        estimator : fitted estimator, or Pipeline that ends with one
            With `gammas`, the curves are those of the chosen width, and the gain is over plain models of all widths.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; a new figure by default.
        line_kw : dict, optional
            Arguments of `matplotlib.axes.Axes.plot` for every curve.

        Returns
        -------
        HeldOutErrorDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            When the estimator is not fitted.
        ValueError
            For anything else than those two estimators.
        """
        ridges, errors, chosen, gain, gain_se = _of_fitted(
            estimator, "ridges_", "loo_error_path_", "best_params_", "distillation_gain_", "distillation_gain_se_"
        )
        display = cls(
            ridges,
            errors,
            best_ridge=chosen["ridge"],
            best_n_steps=chosen["n_steps"],
            gain=gain,
            gain_se=gain_se,
            gamma=chosen.get("gamma"),
        )
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: dict[str, Any] | None = None) -> HeldOutErrorDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; a new figure by default.
        line_kw : dict, optional
            Arguments of `matplotlib.axes.Axes.plot` for every curve.

        Returns
        -------
        HeldOutErrorDisplay
            Itself.
        """
        self.ax_ = ax if ax is not None else plt.subplots(layout="constrained")[1]
        self.figure_ = self.ax_.figure
        self._draw_curves(line_kw or {})
        row = int(np.argmin(np.abs(np.log(self.ridges / self.best_ridge))))
        self._mark(row, self.best_n_steps - 1, marker="o", markersize=6, label="chosen")
        self._mark(int(np.argmin(self.errors[:, 0])), 0, marker="s", markersize=3.5, label="best of 1 fit")
        width = "" if self.gamma is None else rf" (with the chosen $\gamma = {self.gamma:.3g}$)"
        self.ax_.set(xscale="log", xlabel=rf"ridge $\lambda${width}", ylabel="held-out error")
        self._show_the_choice(row)
        if self.gain is not None and self.best_n_steps > 1:
            text = f"gain {_with_error(self.gain, self.gain_se)}"
            self.ax_.text(0.99, 0.02, text, ha="right", va="bottom", transform=self.ax_.transAxes)
        self.ax_.legend(**(_BESIDE if ax is None else _INSIDE))
        return self

    def _draw_curves(self, line_kw: dict[str, Any]) -> None:
        order = np.argsort(self.ridges)
        n_steps = self.errors.shape[1]
        colors = ["black", *mpl.colormaps["viridis"](np.linspace(0.1, 0.9, max(n_steps - 1, 1)))]
        marker = "." if len(order) == 1 else ""
        self.lines_ = []
        for step, color in zip(range(n_steps), colors, strict=False):
            label = "1 fit" if step == 0 else f"{step + 1} fits"
            style = {"color": color, "marker": marker, "label": label, **line_kw}
            self.lines_ += self.ax_.plot(self.ridges[order], self.errors[order, step], **style)

    def _mark(self, row: int, step: int, **style: Any) -> None:
        style |= {"linestyle": "none", "markerfacecolor": "none", "markeredgecolor": "black"}
        self.ax_.plot([self.ridges[row]], [self.errors[row, step]], clip_on=False, zorder=4, **style)

    def _show_the_choice(self, row: int) -> None:
        low, high, plain = (float(each) for each in (self.errors.min(), self.errors.max(), self.errors[:, 0].min()))
        chosen = float(self.errors[row, self.best_n_steps - 1])
        height = max(min(5.0 * (plain - low), 1.05 * (high - low)), 0.25 * low, chosen - low)
        if height > 0.0:
            self.ax_.set_ylim(low - _ROOM * height, low + height)
        order = np.argsort(self.ridges)
        shown = np.flatnonzero(np.min(self.errors[order], axis=1) <= low + height)
        first, last = max(shown[0] - 1, 0), min(shown[-1] + 1, len(order) - 1)
        if first < last:
            self.ax_.set_xlim(self.ridges[order[first]], self.ridges[order[last]])


class LabelWeightsDisplay:
    """Label weights of the chosen model, step by step; usually made by `from_estimator`.

    Grey lines mark the weights 0, with which a fit learns from its teacher alone, and 1, with which it learns from the
    ground truth alone.

    Parameters
    ----------
    label_weights : array of shape (n_steps - 1,), or (n_steps - 1, k) for one set a target
        Weight of the ground truth at steps 2..n_steps; empty for plain kernel ridge regression.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
        The points, one set for every target that has its own weights.
    stems_ : list of matplotlib.collections.LineCollection
        The lines that join them with 0.

    Notes
    -----
    `display.figure_.savefig("weights.png")` saves the picture. For the look of this package's figures, draw within
    `with matplotlib.pyplot.style.context(kdtheory.figures.STYLE):`.

    Examples
    --------
    >>> LabelWeightsDisplay([1.5, -0.2]).plot().lines_[0].get_xydata().tolist()
    [[2.0, 1.5], [3.0, -0.2]]
    """

    label_weights: np.ndarray
    ax_: Axes
    figure_: Figure | Any
    lines_: list[Line2D]
    stems_: list[LineCollection]

    def __init__(self, label_weights: Any) -> None:
        self.label_weights = np.asarray(label_weights, dtype=float)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, line_kw: dict[str, Any] | None = None
    ) -> LabelWeightsDisplay:
        """Draw what a fitted `SelfDistilledKernelRidgeCV` or `SelfDistilledKernelClassifierCV` has chosen.

        Parameters
        ----------
        estimator : fitted estimator, or Pipeline that ends with one
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; a new figure by default.
        line_kw : dict, optional
            Arguments of `matplotlib.axes.Axes.plot` for the points.

        Returns
        -------
        LabelWeightsDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            When the estimator is not fitted.
        ValueError
            For anything else than those two estimators.
        """
        (chosen,) = _of_fitted(estimator, "best_params_")
        return cls(chosen["label_weight"] if chosen["n_steps"] > 1 else []).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: dict[str, Any] | None = None) -> LabelWeightsDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; a new figure by default.
        line_kw : dict, optional
            As for `LabelWeightsDisplay.from_estimator`.

        Returns
        -------
        LabelWeightsDisplay
            Itself.
        """
        self.ax_ = ax if ax is not None else plt.subplots()[1]
        self.figure_ = self.ax_.figure
        self.lines_, self.stems_ = [], []
        self.ax_.set(xlabel="number of the fit", ylabel="label weight")
        if len(self.label_weights) == 0:
            self.ax_.text(0.5, 0.5, "one fit, no label weights", ha="center", transform=self.ax_.transAxes)
            self.ax_.set_axis_off()
            return self
        for level in (0.0, 1.0):
            self.ax_.axhline(level, color="0.75", linewidth=0.8, zorder=0)
        self._draw_weights(line_kw or {})
        if np.max(np.abs(self.label_weights)) > _ONE_SCALE:
            self.ax_.set_yscale("symlog", linthresh=1.0)
        else:
            self.ax_.margins(y=0.1)
        self.ax_.set_xlim(1.5, len(self.label_weights) + 1.5)
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        return self

    def _draw_weights(self, line_kw: dict[str, Any]) -> None:
        weights = self.label_weights.reshape(len(self.label_weights), -1)
        n_targets = weights.shape[1]
        steps = np.arange(2, len(weights) + 2)
        colors = mpl.colormaps["viridis"](np.linspace(0.1, 0.9, n_targets)) if n_targets > 1 else ["C0"]
        for target, color in enumerate(colors):
            x = steps + 0.5 * ((target + 0.5) / n_targets - 0.5)
            style = {"color": color, "markersize": 4, "label": f"target {target + 1}", **line_kw}
            self.lines_ += self.ax_.plot(x, weights[:, target], "o", **style)
            self.stems_.append(self.ax_.vlines(x, 0.0, weights[:, target], color=style["color"], linewidth=0.8))
        if n_targets > 1:
            self.ax_.legend()


def _with_error(value: float, error: float | None) -> str:
    """Value ± standard error, to two digits of the error."""
    if not error:
        return f"{value:.2g}"
    decimals = max(1 - math.floor(math.log10(error)), 0)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _of_fitted(estimator: Any, *names: str) -> tuple[Any, ...]:
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if hasattr(last, "fit"):
        # Only here: other figures do without scikit-learn, and estimators are its own.
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(last)
    try:
        return tuple(getattr(last, name) for name in names)
    except AttributeError as error:
        raise ValueError(
            "estimator must be a fitted SelfDistilledKernelRidgeCV or SelfDistilledKernelClassifierCV, or a Pipeline"
            f" that ends with one, got {estimator!r}"
        ) from error
