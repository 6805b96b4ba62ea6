"""Figures of a report as SVG, for a light and a dark page, that need no other file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from kdtheory.figures import STUDENT, STYLE, TEACHER, draw_dissection, draw_logit_logit, draw_reliability

if TYPE_CHECKING:
    from kdtheory.report.comparison import Report

_PIXELS_PER_INCH = 160


@dataclass(frozen=True)
class Theme:
    """Colours of figures on a page, whose background shows through."""

    ink: str
    shades: tuple[str, str]
    """Of few and of many points."""
    models: tuple[str, str]

    @property
    def cmap(self) -> Colormap:
        """Colour map from few to many points."""
        return LinearSegmentedColormap.from_list("shades", self.shades)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of matplotlib."""
        colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        return {
            **dict.fromkeys(colored, self.ink),
            "font.size": 10,
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.title_fontsize": 9,
            "svg.hashsalt": "kdtheory",
        }


LIGHT = Theme(ink="#23272e", shades=("#c9d7e6", "#0b2f57"), models=(TEACHER, STUDENT))
DARK = Theme(ink="#d8dce2", shades=("#31465c", "#d5e8fb"), models=("#56b4e9", "#ff9248"))


@dataclass(frozen=True)
class Picture:
    """One figure in both themes, each as the address of an image that holds its own data."""

    light: str
    dark: str
    width: int
    height: int


def draw(report: Report) -> dict[str, Picture]:
    """Draw all figures of a report."""
    counts = {name: group.count for name, group in report.groups.items()}
    filled = {name: group for name, group in report.groups.items() if group.count}
    means: list[Mapping[str, float]] = [
        {name: getattr(group, f"{model}_confidence") for name, group in filled.items()}
        for model in ("teacher", "student")
    ]
    square = (4.2, 4.2)
    return {
        **{
            name: _picture(
                lambda axes, theme, plot=plot: draw_logit_logit(
                    axes, plot.teacher, plot.student, low=plot.low, high=plot.high, cmap=theme.cmap
                ),
                square,
            )
            for name, plot in (("top_class", report.top_class), ("true_class", report.true_class))
        },
        **{
            name: _picture(
                lambda axes, theme, number=number, scores=scores: draw_reliability(
                    axes, scores.reliability, color=theme.models[number]
                ),
                square,
            )
            for number, (name, scores) in enumerate((("teacher", report.teacher), ("student", report.student)))
        },
        "dissection": _picture(
            lambda axes, theme: draw_dissection(axes, counts, *means, colors=theme.models), (4.6, 3.4)
        ),
    }


def _picture(draw_on: Callable[[Axes, Theme], None], size: tuple[float, float]) -> Picture:
    light, dark = (_address(draw_on, theme, size) for theme in (LIGHT, DARK))
    return Picture(light, dark, *(round(96 * inches) for inches in size))


def _address(draw_on: Callable[[Axes, Theme], None], theme: Theme, size: tuple[float, float]) -> str:
    with style.context(STYLE), mpl.rc_context(theme.settings):
        figure = Figure(figsize=size)
        draw_on(figure.add_subplot(), theme)
        file = BytesIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, dpi=_PIXELS_PER_INCH, metadata=nothing)
    return "data:image/svg+xml;base64," + b64encode(file.getvalue()).decode("ascii")
