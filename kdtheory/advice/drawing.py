"""The picture of an advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdtheory.figures import STYLE, HeldOutErrorDisplay

if TYPE_CHECKING:
    from kdtheory.advice.advising import Advice
    from kdtheory.advice.choosing import Gain

_PLAIN, _DISTILLED = "black", "C0"
_LEAST_PERCENT = 1.0
"""Shown on both sides of zero, so that a tiny gain looks tiny."""


def draw_advice(advice: Advice) -> Figure:
    """Draw errors against width and ridge, the gain, and predictions of unseen rows against the target."""
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
        _draw_gains(axes[0, 0], advice)
        _draw_widths(axes[0, 1], advice)
        _draw_ridges(axes[1, 0], advice)
        _draw_predictions(axes[1, 1], advice)
    return figure


def _draw_gains(ax: Axes, advice: Advice) -> None:
    gains: list[tuple[str, Gain]] = [("as measured", advice.measured), ("without\nhindsight", advice.unseen)]
    if advice.refitted is not None:
        gains.append((f"{advice.n_outer_folds} outer\nfolds", advice.refitted))
    ax.axvline(0.0, color="0.6", linewidth=0.8)
    for height, (_, gain) in enumerate(gains):
        color = _DISTILLED if height == len(gains) - 1 else "0.45"
        width = 200.0 * gain.share_standard_error
        ax.errorbar(100.0 * gain.share, -height, xerr=width, fmt="o", color=color, capsize=3)
    ax.set_yticks([-height for height in range(len(gains))], [name for name, _ in gains])
    ax.set_ylim(-len(gains) + 0.4, 0.6)
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, -_LEAST_PERCENT), max(high, _LEAST_PERCENT))
    ax.set_xlabel("gain, % of the plain error (± 2 standard errors)")
    ax.set_title(f"Does distillation help? {advice.verdict.capitalize()}", loc="left")


def _draw_widths(ax: Axes, advice: Advice) -> None:
    gammas = [width.gamma for width in advice.widths]
    plain, score = ([getattr(width, name) for width in advice.widths] for name in ("plain_error", "score"))
    ax.plot(gammas, plain, "s-", color=_PLAIN, markersize=3.5, label="kernel ridge regression")
    ax.plot(gammas, score, "o-", color=_DISTILLED, label="best number of fits")
    ax.plot(advice.chosen.gamma, advice.chosen.score, "o", markersize=9, markerfacecolor="none", color=_DISTILLED)
    shown = [each for each in plain + score if each < 2.0 * min(score)]
    if min(shown) < max(shown):
        room = 0.06 * (max(shown) - min(shown))
        ax.set_ylim(min(shown) - room, max(shown) + 4.0 * room)
    inside = [gamma for gamma, *errors in zip(gammas, plain, score, strict=True) if min(errors) <= max(shown)]
    ax.set(xscale="log", xlabel=r"$\gamma$ of the kernel $\exp(-\gamma\,|x - z|^2)$", ylabel="held-out error")
    ax.set_xlim(min(inside) / 1.2, max(inside) * 1.2)
    ax.set_xticks(inside, [f"{gamma:.2g}" for gamma in inside], rotation=45, ha="right")
    ax.set_xticks([], minor=True)
    ax.set_title("Kernel widths", loc="left")
    ax.legend()


def _draw_ridges(ax: Axes, advice: Advice) -> None:
    model = advice.chosen.model
    chosen = model.best_params_
    display = HeldOutErrorDisplay(
        model.ridges_, model.loo_error_path_, best_ridge=chosen["ridge"], best_n_steps=chosen["n_steps"]
    ).plot(ax)
    marks = [line for line in ax.lines if line.get_label() in ("chosen", "best of 1 fit")]
    ax.legend(handles=[display.lines_[0], display.lines_[-1], *marks], loc="lower right", frameon=True)
    ax.set_xlabel(r"ridge $\lambda$")
    ax.set_title(rf"Ridges at the chosen width $\gamma = {chosen['gamma']:.3g}$", loc="left")


def _draw_predictions(ax: Axes, advice: Advice) -> None:
    target, predictions = advice.table.target, advice.chosen.predictions
    ends = np.array([min(target.min(), predictions.min()), max(target.max(), predictions.max())])
    ax.plot(ends, ends, color="0.6", linewidth=0.8)
    ax.plot(predictions, target, ".", color=_DISTILLED, markersize=2.5, alpha=0.5, rasterized=True)
    ax.set(xlabel="prediction of the chosen model", ylabel=_short(advice.table.target_name))
    ax.set_title("Rows that the model has not seen", loc="left")


def _short(name: str) -> str:
    """Name of a column as plain text of an axis."""
    shown = name if len(name) <= 40 else f"{name[:37]}..."
    return shown.replace("$", r"\$")
