"""The look that all figures share."""

from importlib.resources import files

STYLE = str(files("kdtheory.figures") / "kdtheory.mplstyle")
"""Path of the style sheet, for `matplotlib.style.context`."""
