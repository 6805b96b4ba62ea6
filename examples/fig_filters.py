"""Ridge, early stopping and distillation as filters
=================================================

Ridge, early stopping and distillation are filters that differ in where they cut.

(a) With the same effective degrees of freedom, ridge regression and gradient flow keep small eigenvalues in proportion
to their size; every distillation without labels adds a power, and so cuts sharper. (b) Gradient descent follows the
flow until its steps are long; momentum overshoots. (c) Where a student has caught up with its teacher along the top
direction, it is behind along every other, the more the smaller the eigenvalue, and the more the earlier the moment
(Nagarajan et al. 2023, Theorem 4.1/B.1; the teacher is stopped at time T with the top direction learned to 63 %).
"""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize

from kdtheory import Distilled, Filter, GradientDescent, GradientFlow, Ridge, SelfDistillation
from kdtheory.figures import STYLE, Reproduction, Script, draw_exaggeration, draw_filters, figure_parser

SPECTRUM = np.geomspace(1e-3, 1e3, 121)
DOF = 60.0


def main() -> Reproduction:
    """Return the figure."""
    with plt.style.context(STYLE):
        figure, panels = plt.subplots(1, 3, figsize=(5.5, 3.0))
        draw_filters(panels[0], filters_of_equal_dof(), SPECTRUM)
        panels[0].set(title="(a) equal degrees of freedom", yscale="log", ylim=(1e-4, 1.5))
        grid = np.geomspace(3e-3, 1.9, 400)
        draw_filters(panels[1], training_filters(), grid)
        panels[1].set_title("(b) equal training times")
        draw_exaggeration(panels[2], (0.9, 0.5, 0.1), np.geomspace(1e-3, 1.0, 200), teacher_time=1.0)
        panels[2].set_title("(c) even along the top")
        for axes in panels:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.27))
        return Reproduction({"filters": figure})


def filters_of_equal_dof() -> dict[str, Filter]:
    """Return filters whose shrinkages on the spectrum have the same sum, from a search over their one scale."""
    families: dict[str, Callable[[float], Filter]] = {
        "ridge": Ridge,
        "gradient flow": lambda scale: GradientFlow(1.0 / scale),
        "flow distilled": lambda scale: Distilled(GradientFlow(1.0 / scale), GradientFlow(1.0 / scale), 0.0),
        "3 ridge fits": lambda scale: SelfDistillation(scale, 3, 0.0),
        "10 ridge fits": lambda scale: SelfDistillation(scale, 10, 0.0),
    }

    def matched(family: Callable[[float], Filter]) -> Filter:
        def excess(log_scale: float) -> float:
            return float(np.sum(family(np.exp(log_scale)).shrinkage(SPECTRUM))) - DOF

        return family(float(np.exp(scipy.optimize.brentq(excess, -20.0, 20.0))))

    return {label: matched(family) for label, family in families.items()}


def training_filters() -> dict[str, Filter]:
    """Return the flow at time 20, and descents with as much: learning rate times steps over 1 − momentum."""
    return {
        "flow": GradientFlow(20.0),
        "descent": GradientDescent(1.0, 20),
        "heavy ball": GradientDescent(0.2, 25, momentum=0.75),
        "Nesterov": GradientDescent(0.2, 25, momentum=0.75, nesterov=True),
    }


SCRIPT = Script(main, figure_parser(__doc__))

if __name__ == "__main__":
    SCRIPT.run()
