"""Figures of a report as SVG, for a light and a dark page, that need no other file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from kdtheory.figures import STUDENT, STYLE, TEACHER, draw_dissection, draw_logit_logit, draw_reliability
from kdtheory.report.numbers import Group, LogitLogit, ModelScores

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
    def settings(self) -> Any:
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
    square = (4.2, 4.2)
    return {
        "top_class": _picture(partial(_draw_log_odds, report.top_class), square),
        "true_class": _picture(partial(_draw_log_odds, report.true_class), square),
        "teacher": _picture(partial(_draw_reliability, report.teacher, 0), square),
        "student": _picture(partial(_draw_reliability, report.student, 1), square),
        "dissection": _picture(partial(_draw_groups, report.groups), (4.2, 3.4)),
    }


def _draw_log_odds(plot: LogitLogit, axes: Axes, theme: Theme) -> None:
    draw_logit_logit(axes, plot.teacher, plot.student, low=plot.low, high=plot.high, cmap=theme.cmap)


def _draw_reliability(scores: ModelScores, model: int, axes: Axes, theme: Theme) -> None:
    draw_reliability(axes, scores.reliability, color=theme.models[model])


def _draw_groups(groups: Mapping[str, Group], axes: Axes, theme: Theme) -> None:
    draw_dissection(
        axes,
        {name: group.count for name, group in groups.items()},
        {name: group.teacher_confidence for name, group in groups.items() if group.teacher_confidence is not None},
        {name: group.student_confidence for name, group in groups.items() if group.student_confidence is not None},
        colors=theme.models,
    )


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
