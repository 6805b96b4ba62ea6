"""One spectrum, and every model a filter on it
============================================

A Gram matrix is decomposed once; teacher, student and early stopping differ only in what they keep of each mode.

(a) The Gram matrix of eleven points. (b) Its eigenvalues, and the share of each mode of the targets that is kept by a
teacher (kernel ridge regression), by its third student in a row, by infinitely many with a quarter of the targets from
the labels, and by gradient flow. (c) The functions: the same eleven modes, weighed by these shares. To distil is to
multiply filters.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from kdtheory import Filter, GradientFlow, Ridge, SelfDistillation, SelfDistillationLimit, Spectrum, fit_filter
from kdtheory.figures import STUDENT, STYLE, TEACHER, Reproduction, Script, figure_parser
from kdtheory.problems import SineProblem, sine_problem

FILTERS: dict[str, tuple[Filter, str]] = {
    "teacher": (Ridge(0.2), TEACHER),
    "its third student": (SelfDistillation(0.2, 4, 0.0), STUDENT),
    "students for ever": (SelfDistillationLimit(0.2, 0.25), "#e69f00"),
    "gradient flow": (GradientFlow(3.0), "#009e73"),
}


def main() -> Reproduction:
    """Return the figure."""
    problem = sine_problem()
    spectrum = Spectrum.from_gram(problem.K)
    with plt.style.context(STYLE):
        figure, (matrix, kept, functions) = plt.subplots(1, 3, figsize=(5.5, 2.1))
        draw_matrix(matrix, problem)
        draw_kept(kept, np.asarray(spectrum.eigenvalues))
        draw_functions(functions, problem, spectrum)
        figure.legend(*functions.get_legend_handles_labels(), loc="outside lower center", ncols=6, columnspacing=1.0)
        return Reproduction({"idea": figure})


def draw_matrix(axes: Axes, problem: SineProblem) -> None:
    """Draw the Gram matrix."""
    axes.imshow(problem.K, cmap="Greys")
    axes.set(
        title="(a) one Gram matrix",
        xticks=[],
        yticks=[],
        ylabel="11 points",
        xlabel=r"$K = U\,\mathrm{diag}(d)\,U^{\top}$",
    )


def draw_kept(axes: Axes, eigenvalues: np.ndarray) -> None:
    """Draw the eigenvalues on the axis, and what every filter keeps of the modes between and at them."""
    between = np.geomspace(eigenvalues.min() / 1.3, eigenvalues.max() * 1.3, 200)
    for filter_, color in (value for value in FILTERS.values()):
        axes.plot(between, filter_.shrinkage(between), color=color)
        axes.plot(eigenvalues, filter_.shrinkage(eigenvalues), ".", color=color)
    axes.plot(eigenvalues, np.zeros_like(eigenvalues), "|", color="0.3", markersize=7, clip_on=False)
    axes.set(
        xscale="log", xlabel="eigenvalue $d$", ylabel="shrinkage $d\\,q(d)$", ylim=(0.0, 1.02), title="(b) filters"
    )
    axes.set_xticks([0.25, 0.5, 1.0, 2.0], labels=["0.25", "0.5", "1", "2"])
    axes.minorticks_off()


def draw_functions(axes: Axes, problem: SineProblem, spectrum: Spectrum) -> None:
    """Draw what every filter makes of the targets."""
    for label, (filter_, color) in FILTERS.items():
        predicted = fit_filter(spectrum, problem.y, filter_).predict(problem.K_val)
        axes.plot(problem.x_val, predicted, color=color, label=label)
    axes.plot(problem.x, problem.y, "x", color="0.2", markersize=3.5, label="points")
    axes.set(xlabel="$x$", ylabel="$f(x)$", title="(c) models", xlim=(-0.02, 1.02))


SCRIPT = Script(main, figure_parser(__doc__))

if __name__ == "__main__":
    SCRIPT.run()
