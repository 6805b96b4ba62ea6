"""Figures of the papers: functions that draw on given axes, and the style they share.

Needs matplotlib: `pip install "kdtheory[figures]"`.
"""

from importlib.resources import files

from kdtheory.figures.selfdistill import (
    draw_shrinkage,
    draw_shrinkage_ratios,
    draw_solutions,
    write_label_weights,
)

STYLE = str(files("kdtheory.figures") / "kdtheory.mplstyle")
"""Path of the style sheet, for `matplotlib.style.context`."""

__all__ = ["STYLE", "draw_shrinkage", "draw_shrinkage_ratios", "draw_solutions", "write_label_weights"]
