"""Displays in scikit-learn's manner: held-out error against the ridge, and the label weights that were chosen."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

_ONE_SCALE = 30.0
"""Label weights up to this size are drawn on a linear axis, larger ones on a symmetric logarithmic one."""


class HeldOutErrorDisplay:
    """Held-out error against the ridge, one curve for each number of fits; usually made by `from_estimator`.

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

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
        The curves of 1, 2, … fits.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : one curve, with a refit for every point.

    Examples
    --------
    >>> display = HeldOutErrorDisplay([0.1, 1.0], [[0.4, 0.3], [0.5, 0.45]], best_ridge=0.1, best_n_steps=2).plot()
    >>> [line.get_label() for line in display.lines_]
    ['1 fit', '2 fits']
    """

    ax_: Axes
    figure_: Figure | Any
    lines_: list[Line2D]

    def __init__(self, ridges: Any, errors: Any, *, best_ridge: float, best_n_steps: int) -> None:
        self.ridges = np.asarray(ridges)
        self.errors = np.asarray(errors)
        self.best_ridge = best_ridge
        self.best_n_steps = best_n_steps

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> HeldOutErrorDisplay:
        """Draw the search of a fitted `SelfDistilledKernelRidgeCV` or `SelfDistilledKernelClassifierCV`.

        Parameters
        ----------
        estimator : fitted estimator
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; a new figure by default.

        Returns
        -------
        HeldOutErrorDisplay
        """
        ridges, errors, chosen = _of_fitted(estimator, "ridges_", "loo_error_path_", "best_params_")
        return cls(ridges, errors, best_ridge=chosen["ridge"], best_n_steps=chosen["n_steps"]).plot(ax)

    def plot(self, ax: Axes | None = None) -> HeldOutErrorDisplay:
        """Draw on the given axes, or on those of a new figure."""
        self.ax_ = ax if ax is not None else plt.subplots()[1]
        self.figure_ = self.ax_.figure
        order = np.argsort(self.ridges)
        n_steps = self.errors.shape[1]
        colors = ["black", *mpl.colormaps["viridis"](np.linspace(0.1, 0.9, max(n_steps - 1, 1)))]
        self.lines_ = []
        for step in range(n_steps):
            label = "1 fit" if step == 0 else f"{step + 1} fits"
            (line,) = self.ax_.plot(self.ridges[order], self.errors[order, step], color=colors[step], label=label)
            self.lines_.append(line)
        row = int(np.argmin(np.abs(np.log(self.ridges / self.best_ridge))))
        error = self.errors[row, self.best_n_steps - 1]
        color = colors[self.best_n_steps - 1]
        style: dict[str, Any] = {
            "linestyle": "none",
            "marker": "*",
            "markersize": 9,
            "markeredgecolor": "black",
            "zorder": 4,
        }
        self.ax_.plot([self.ridges[row]], [error], color=color, markeredgewidth=0.6, label="chosen", **style)
        self.ax_.set(xscale="log", xlabel=r"ridge $\lambda$", ylabel="held-out error")
        # The ends of a grid may be many times worse: show what the choice is about.
        low, high = float(np.min(self.errors)), float(np.max(self.errors[:, 0]))
        if low > 0.0:
            self.ax_.set(yscale="log", ylim=(low / 1.05, 1.05 * min(high, 2.5 * low)))
        self.ax_.legend(ncols=2)
        return self


class LabelWeightsDisplay:
    """Label weights of the chosen model, step by step; usually made by `from_estimator`.

    Parameters
    ----------
    label_weights : array of shape (n_steps - 1,), or (n_steps - 1, k) for one set an output
        Weight of the ground truth at steps 2..n_steps; empty for plain kernel ridge regression.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
        One for every output that has its own weights.

    Examples
    --------
    >>> LabelWeightsDisplay([1.5, -0.2]).plot().lines_[0].get_xydata().tolist()
    [[2.0, 1.5], [3.0, -0.2]]
    """

    ax_: Axes
    figure_: Figure | Any
    lines_: list[Line2D]

    def __init__(self, label_weights: Any) -> None:
        self.label_weights = np.asarray(label_weights, dtype=float)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> LabelWeightsDisplay:
        """Draw what a fitted `SelfDistilledKernelRidgeCV` or `SelfDistilledKernelClassifierCV` has chosen.

        Parameters
        ----------
        estimator : fitted estimator
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; a new figure by default.

        Returns
        -------
        LabelWeightsDisplay
        """
        (chosen,) = _of_fitted(estimator, "best_params_")
        return cls(chosen["label_weight"] if chosen["n_steps"] > 1 else []).plot(ax)

    def plot(self, ax: Axes | None = None) -> LabelWeightsDisplay:
        """Draw on the given axes, or on those of a new figure."""
        self.ax_ = ax if ax is not None else plt.subplots()[1]
        self.figure_ = self.ax_.figure
        weights = self.label_weights if self.label_weights.ndim == 2 else self.label_weights[:, None]
        steps = np.arange(2, len(weights) + 2)
        for level in (0.0, 1.0):  # trained on the teacher alone, and on the truth alone
            self.ax_.axhline(level, color="0.75", linewidth=0.8, zorder=0)
        self.lines_ = []
        for column in weights.T:
            (line,) = self.ax_.plot(steps, column, "o-", markersize=4)
            self.lines_.append(line)
        if len(weights) == 0:
            self.ax_.text(0.5, 0.5, "one fit, no label weights", ha="center", transform=self.ax_.transAxes)
            self.ax_.set(xlim=(1.5, 3.5), ylim=(-0.1, 1.1))
        elif np.max(np.abs(weights)) > _ONE_SCALE:
            self.ax_.set_yscale("symlog", linthresh=1.0)
        else:
            self.ax_.margins(y=0.1)
        if len(weights):
            self.ax_.set_xlim(1.5, len(weights) + 1.5)
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.ax_.set(xlabel="number of the fit", ylabel="label weight")
        return self


def _of_fitted(estimator: Any, *names: str) -> tuple[Any, ...]:
    try:
        return tuple(getattr(estimator, name) for name in names)
    except AttributeError as error:
        raise ValueError(
            "estimator must be a fitted SelfDistilledKernelRidgeCV or SelfDistilledKernelClassifierCV, got"
            f" {estimator!r}"
        ) from error
