"""Self-distillation of a sine
===========================

Self-distillation regularises, and the ground-truth targets dampen it: Figures 2, 3 and 4 of Borup & Andersen (2021).

Eleven noisy points of a sine are distilled six times, with four choices of the label weights: (a) 0, which ends in the
zero function; (b) 0.25, which ends in kernel ridge regression with a penalty four times as large; (c) each weight the
best for its own step on the grid; (d) all weights together the best for the last step, which the paper does not have.
As in the paper, the weights of (c) and (d) are chosen on the grid of the noiseless sine on which the losses are
measured: they show what is attainable, not what would be found. The printed losses of (a) and (b) are compared with
those that the authors print, to all their digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdtheory import (
    SelfDistillationPath,
    Spectrum,
    greedy_label_weights,
    joint_label_weights,
    selfdistill_closed_form,
)
from kdtheory.figures import (
    STYLE,
    Reproduction,
    Script,
    draw_shrinkage,
    draw_shrinkage_ratios,
    draw_solutions,
    figure_parser,
    write_label_weights,
)
from kdtheory.problems import SineProblem, sine_problem
from kdtheory.reproduced import CONTRADICTED, Reproduced

LOSSES = "Borup & Andersen (2021), losses in the authors' notebook"
HALF_A_DIGIT = 5.001e-6
"""Losses are printed with five digits after the point."""


def main() -> Reproduction:
    """Print the table of losses, and return the three figures and the published losses."""
    problem = sine_problem()
    paths = distil(problem)
    print_losses(problem, paths)
    with plt.style.context(STYLE):
        figures = {
            "sine_solutions": draw(paths, lambda axes, path: draw_case(axes, path, problem)),
            "sine_shrinkage": draw(paths, draw_shrinkage),
            "sine_shrinkage_ratios": draw(paths, draw_shrinkage_ratios),
        }
    return Reproduction(figures, (*published_losses(problem, paths), *published_claims(problem, paths)))


def distil(problem: SineProblem) -> dict[str, SelfDistillationPath]:
    """Distil with the label weights of each case, all from one decomposition."""
    spectrum = Spectrum.from_gram(problem.K)
    ridge, n_steps, K_val, y_val = problem.ridge, problem.n_steps, problem.K_val, problem.y_val
    label_weights: dict[str, Any] = {
        r"(a) $\alpha = 0$": 0.0,
        r"(b) $\alpha = 0.25$": 0.25,
        r"(c) stepwise best $\alpha^{(\tau)}$": greedy_label_weights(
            spectrum, problem.y, ridge=ridge, n_steps=n_steps, K_val=K_val, y_val=y_val
        ),
        r"(d) jointly best $\alpha^{(2)}, \ldots, \alpha^{(6)}$": joint_label_weights(
            spectrum, problem.y, ridge=ridge, n_steps=n_steps, K_val=K_val, y_val=y_val
        ),
    }
    return {
        case: selfdistill_closed_form(spectrum, problem.y, ridge=ridge, n_steps=n_steps, label_weight=label_weight)
        for case, label_weight in label_weights.items()
    }


def print_losses(problem: SineProblem, paths: dict[str, SelfDistillationPath]) -> None:
    """Print the loss of every step beside the published one."""
    steps = [f"step {step}" for step in range(1, problem.n_steps + 1)]
    print("sine: losses here, and those that the paper's authors print")
    print(f"{'mean squared error on the grid':<32}" + "".join(f"{head:>10}" for head in [*steps, "limit"]))
    for case, path in paths.items():
        name = case[:3]
        losses = [*problem.losses(path.predict(problem.K_val))]
        if path.constant_label_weight is None:
            print(f"{name + ' here':<32}" + "".join(f"{loss:10.5f}" for loss in losses))
            print(f"{name} label weights: {', '.join(repr(float(weight)) for weight in path.label_weights)}")
            continue
        losses.append(problem.losses(path.limit.predict(problem.K_val)))
        published = problem.published_losses[path.constant_label_weight]
        print(f"{name + ' here':<32}" + "".join(f"{loss:10.5f}" for loss in losses))
        print(f"{name + ' published':<32}" + "".join(f"{loss:>10}" for loss in [*published.steps, published.limit]))


def published_losses(problem: SineProblem, paths: dict[str, SelfDistillationPath]) -> list[Reproduced]:
    """Hold the losses of constant label weights against those that the authors print, to all their digits."""
    rows = []
    for path in paths.values():
        if path.constant_label_weight is None:
            continue
        published = problem.published_losses[path.constant_label_weight]
        losses = [*problem.losses(path.predict(problem.K_val)), problem.losses(path.limit.predict(problem.K_val))]
        steps = [*(f"step {step}" for step in range(1, problem.n_steps + 1)), "limit"]
        for step, loss, printed in zip(steps, losses, [*published.steps, published.limit], strict=True):
            quantity = f"loss, label weight {path.constant_label_weight:g}, {step}"
            rows.append(Reproduced(quantity, loss, f"{printed:.5f}", LOSSES, tolerance=HALF_A_DIGIT))
    return rows


def published_claims(problem: SineProblem, paths: dict[str, SelfDistillationPath]) -> list[Reproduced]:
    """Hold what the paper says of its figures against what is found, its misprinted kernel included."""
    K, K_val = (np.exp(-(np.subtract.outer(x, problem.x) ** 2) / 80.0) for x in (problem.x, problem.x_val))
    loss = problem.losses(selfdistill_closed_form(K, problem.y, ridge=problem.ridge, n_steps=1).predict(K_val))[0]
    stepwise = next(path for case, path in paths.items() if case.startswith("(c)"))
    rises = float(np.max(np.diff(stepwise.shrinkage, axis=0)))
    later = float(np.ptp(stepwise.label_weights[1:]))
    return [
        Reproduced(
            "loss of step 1 with the kernel width in print, 1/80 (the losses are those of 80)",
            loss,
            "0.16477",
            "Borup & Andersen (2021), section 4.5",
            verdict="misprint",
        ),
        Reproduced(
            "stepwise best label weights: range from step 3 on",
            later,
            "about equal",
            "Borup & Andersen (2021), section 4.5",
        ),
        Reproduced(
            "stepwise best label weights: largest rise of the diagonal of B from step to step",
            rises,
            "decreases",
            "Borup & Andersen (2021), Fig. 3",
            verdict=CONTRADICTED if rises > 0.0 else "",
        ),
    ]


def draw(paths: dict[str, SelfDistillationPath], draw_panel: Callable[[Axes, SelfDistillationPath], None]) -> Figure:
    """Draw one panel for each case, with one legend for all."""
    figure, panels = plt.subplots(2, 2)
    for axes, (case, path) in zip(panels.flat, paths.items(), strict=True):
        draw_panel(axes, path)
        axes.set_title(case)
    entries = zip(*panels[0, 1].get_legend_handles_labels(), strict=True)
    steps_first = sorted(entries, key=lambda entry: ("tau" not in entry[1], "infty" in entry[1]))
    handles, labels = zip(*steps_first, strict=True)
    figure.legend(handles, labels, loc="outside lower center", ncols=5 if len(labels) > 7 else 7)
    return figure


def draw_case(axes: Axes, path: SelfDistillationPath, problem: SineProblem) -> None:
    """Draw the functions of one case, and its label weights where they vary."""
    axes.plot(problem.x_val, problem.y_val, color="0.75", linewidth=2.5, zorder=0, label=r"$\sin(2\pi x)$")
    draw_solutions(axes, path, problem.x, problem.x_val, problem.K_val)
    axes.set_ylim(-1.5, 1.5)
    if path.constant_label_weight is None:
        write_label_weights(axes, path)


SCRIPT = Script(main, figure_parser(__doc__))

if __name__ == "__main__":
    SCRIPT.run()
