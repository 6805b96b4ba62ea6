"""Effective robustness: accuracy on shifted data against accuracy on reference data, of a testbed and of students."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis

from kdtheory.figures.statistical import COLORS
from kdtheory.robustness import EffectiveRobustness
from kdtheory.robustness._scales import SCALES

_MARGIN = 0.06
"""Share of the range of an axis that is left free at either end."""

_LEAST_GAP = 0.09
"""Share of the range of an axis between two ticks."""

_ENOUGH = 4
"""Ticks of one step between them after which no smaller one is tried."""

_STEPS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""Steps between ticks, rounder ones first."""


def draw_effective_robustness(
    axes: Axes,
    result: EffectiveRobustness,
    *,
    chains: Mapping[str, Sequence[str]] | None = None,
    texts: Mapping[str, str] | None = None,
    xlabel: str = "accuracy on the reference data (%)",
    ylabel: str = "accuracy on the shifted data (%)",
) -> None:
    """Draw accuracies on shifted data against those on reference data, on the scale of their line.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    result : EffectiveRobustness
    chains : mapping of str to sequence of str, optional
        Names of a teacher and then of its students, in the order of the label weight, by label; they are joined, and
        the teacher is a star. Other models outside the testbed are rings.
    texts : mapping of str to str, optional
        What to write beside models, such as label weights, by name.
    xlabel, ylabel : str

    Raises
    ------
    ValueError
        For names of models that the result does not have.

    Notes
    -----
    The band is the 95 % interval of the line at each point, the dashed line where both accuracies are equal. Ticks are
    accuracies in percent, which are not evenly apart. The labels are for a legend outside of the axes, as from
    `figure.legend`. Source: Taori et al. (2020), figure 1; Pham et al. (2022), figure 9.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from kdtheory.robustness import effective_robustness
    >>> axes = Figure().add_subplot()
    >>> inside = [True, True, True, True, False]
    >>> accuracies = [0.5, 0.6, 0.7, 0.8, 0.6], [0.4, 0.52, 0.6, 0.7, 0.65]
    >>> result = effective_robustness(*accuracies, testbed=inside, names=["a", "b", "c", "d", "teacher"])
    >>> draw_effective_robustness(axes, result, chains={"robust teacher": ["teacher"]})
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['50', '60', '70', '80']
    """
    groups = {label: [_place(result, name) for name in names] for label, names in (chains or {}).items()}
    notes = {_place(result, name): text for name, text in (texts or {}).items()}
    ink = mpl.rcParams["text.color"]
    x_limits, y_limits = _limits(result.x), _limits(result.y)
    scale = SCALES[result.scale]

    u = np.linspace(*x_limits, 201)
    reference = scale.accuracy(u)
    inside = (reference > 0.0) & (reference < 1.0)
    low, high = (scale.of(np.clip(ends, 1e-300, 1.0 - 1e-16)) for ends in result.line_interval(reference[inside]))
    axes.plot(u, u, color=ink, linestyle=(0, (4, 2)), linewidth=0.8, label="no loss of accuracy", zorder=1)
    axes.fill_between(u[inside], low, high, color=COLORS[1], alpha=0.2, linewidth=0.0, zorder=1)
    axes.plot(u, result.intercept + result.slope * u, color=COLORS[1], label="line, 95 % interval", zorder=2)
    count = int(np.count_nonzero(result.testbed))
    axes.scatter(
        result.x[result.testbed],
        result.y[result.testbed],
        s=13,
        color="0.45",
        alpha=0.8,
        linewidths=0.0,
        label=f"testbed, {count} models",
        zorder=3,
    )
    chained = np.zeros(len(result.x), dtype=bool)
    for number, (label, places) in enumerate(groups.items()):
        chained[places] = True
        color = COLORS[2 + number % (len(COLORS) - 2)]
        axes.plot(
            result.x[places], result.y[places], "o-", color=color, linewidth=0.9, markersize=4, label=label, zorder=4
        )
        axes.plot(
            result.x[places[:1]],
            result.y[places[:1]],
            "*",
            color=color,
            markersize=11,
            markeredgecolor="white",
            zorder=5,
        )
    others = ~result.testbed & ~chained
    if np.any(others):
        axes.plot(result.x[others], result.y[others], "o", color=ink, fillstyle="none", label="others", zorder=3)
    for place, text in notes.items():
        axes.annotate(
            text,
            (result.x[place], result.y[place]),
            (-3, 4),
            textcoords="offset points",
            ha="right",
            fontsize=6.5,
            zorder=6,
        )
    axes.set(xlim=x_limits, ylim=y_limits, xlabel=xlabel, ylabel=ylabel)
    _set_ticks(axes.xaxis, x_limits, result.scale)
    _set_ticks(axes.yaxis, y_limits, result.scale)


def draw_robustness_by_weight(
    axes: Axes, result: EffectiveRobustness, teacher: str, students: Mapping[float, str]
) -> None:
    """Draw the effective robustness of students against the weight of the labels, beside that of their teacher.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    result : EffectiveRobustness
    teacher : str
        Its name; drawn as a level with a band.
    students : mapping of float to str
        Names by label weight.

    Raises
    ------
    ValueError
        For names of models that the result does not have.

    Notes
    -----
    Bars and bands are ± 1 standard error. That of the line is in all of them, so that differences between models are
    surer than they look. Source: Pham et al. (2022), figure 9, in numbers.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from kdtheory.robustness import effective_robustness
    >>> axes = Figure().add_subplot()
    >>> result = effective_robustness([0.5, 0.6, 0.7, 0.8, 0.6], [0.4, 0.52, 0.6, 0.7, 0.65])
    >>> draw_robustness_by_weight(axes, result, "4", {0.0: "2", 0.5: "3"})
    >>> axes.get_ylabel()
    'effective robustness (percentage points)'
    """
    weights = sorted(students)
    places = [_place(result, students[weight]) for weight in weights]
    gains, errors = 100.0 * result.robustness, 100.0 * result.robustness_errors
    level, error = gains[_place(result, teacher)], errors[_place(result, teacher)]
    axes.axhline(0.0, color=COLORS[1], linewidth=1.0, label="line of the testbed", zorder=1)
    axes.axhspan(level - error, level + error, color=COLORS[3], alpha=0.15, linewidth=0.0, zorder=0)
    axes.axhline(level, color=COLORS[3], linestyle=(0, (4, 2)), linewidth=1.0, label="teacher", zorder=1)
    axes.errorbar(
        weights, gains[places], errors[places], color=COLORS[2], marker="o", markersize=4, capsize=1.5, label="students"
    )
    axes.set(xlabel="weight of the labels", ylabel="effective robustness (percentage points)")


def _place(result: EffectiveRobustness, name: str) -> int:
    if name not in result.names:
        raise ValueError(f"names must be of models of the result, got {name!r}")
    return result.names.index(name)


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    margin = _MARGIN * (high - low) or 0.1
    return low - margin, high + margin


def _set_ticks(axis: Axis, limits: tuple[float, float], scale: str) -> None:
    """Put ticks at round accuracies, where there is room for them."""
    kept: dict[float, float] = {}
    for accuracies in _round_accuracies():
        for accuracy in accuracies:
            place = float(SCALES[scale].of(np.array(accuracy)))
            near = min((abs(place - other) for other in kept), default=np.inf)
            if limits[0] <= place <= limits[1] and near >= _LEAST_GAP * (limits[1] - limits[0]):
                kept[place] = accuracy
        if len(kept) >= _ENOUGH:
            break
    places = sorted(kept)
    axis.set_ticks(places, [f"{100.0 * kept[place]:.8g}" for place in places])


def _round_accuracies() -> Iterator[list[float]]:
    """Accuracies between 0 and 1 in groups, those of round numbers first; each has finer ones towards both ends."""
    ends = [share * 10.0**-power for power in (2, 3, 4, 5, 6) for share in (1.0, 5.0, 2.0)]
    tails = [*ends, *(1.0 - end for end in ends)]
    for step in _STEPS:
        yield [*(round(step * number, 6) for number in range(1, round(1.0 / step))), *tails]
