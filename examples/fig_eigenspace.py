"""Students exaggerate the bias of gradient flow
=============================================

A student goes along the top directions first, and more so than its teacher: Figures 19 to 21 of Nagarajan et al.

A linear model on random ReLU features of handwritten digits, one image in five with a random label, is trained by
gradient flow; its student learns its outputs from zero. Drawn is the exact solution: the length of the weights along
pairs of eigendirections of the Gram matrix, the larger eigenvalue to the right. Both models end at the same star, and
the student takes the sharper turn. Dots mark a moment at which the two are even along the larger eigenvalue; how far
the student is then behind along the smaller one is in the table (Theorem 4.1/B.1). The first direction, the mean of the
images, hardly has a part in the labels, and is left out.

The digits are those that come with scikit-learn; `--mnist FILE` takes MNIST instead, from an .npz file with the arrays
x_train and y_train.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from kdtheory import (
    DistillationTrajectories,
    Spectrum,
    exaggeration_ratios,
    flow_trajectories,
    matched_student_time,
)
from kdtheory.figures import (
    STUDENT,
    STYLE,
    TEACHER,
    Reproduction,
    Script,
    component_lengths,
    draw_eigenspace,
    figure_parser,
)
from kdtheory.reproduced import CONTRADICTED, REPRODUCED, Reproduced

N_IMAGES, N_FEATURES, WRONG_LABELS = 1000, 2000, 0.2
PAIRS = ((1, 6), (1, 11), (2, 8), (2, 15), (3, 10), (4, 20), (5, 17), (8, 30))
TEACHER_STOPS_AT = 9  # when this direction is learned to 63 %


def main(mnist: tuple[np.ndarray, np.ndarray] | None = None) -> Reproduction:
    """Print the table, and return the figure and what the theorem claims."""
    run = train(*(load_digits(return_X_y=True) if mnist is None else mnist))
    print_exaggeration(run)
    with plt.style.context(STYLE):
        return Reproduction({"eigenspace": draw(run)}, (published(run),))


def train(pixels: np.ndarray, digits: np.ndarray) -> DistillationTrajectories:
    """Follow teacher and student on noisy labels, until the student has learned what its teacher had."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(digits))[:N_IMAGES]
    labels = digits[chosen].copy()
    wrong = rng.random(len(labels)) < WRONG_LABELS
    labels[wrong] = rng.integers(0, 10, wrong.sum())
    inputs = pixels[chosen] / pixels.max()
    directions = rng.standard_normal((inputs.shape[1], N_FEATURES)) / np.sqrt(inputs.shape[1])
    features = np.maximum(inputs @ directions, 0.0) / np.sqrt(N_FEATURES)
    spectrum = Spectrum.from_gram(features @ features.T)
    fastest, slowest = (float(spectrum.eigenvalues[k]) for k in (0, PAIRS[-1][1]))
    teacher_time = 1.0 / float(spectrum.eigenvalues[TEACHER_STOPS_AT])
    times = np.concatenate([[0.0], np.geomspace(1e-3 / fastest, 10.0 / slowest, 400)])
    targets = np.eye(10)[labels] - 0.1
    return flow_trajectories(spectrum, targets, times=times, teacher_time=teacher_time)


def print_exaggeration(run: DistillationTrajectories) -> None:
    """Print the weight of the student over that of the teacher where both are even along the first of each pair."""
    d, half = np.asarray(run.teacher.spectrum.eigenvalues), run.stopped_at / 2.0
    print(f"eigenspace: the teacher at half of its time T = {run.stopped_at:.4g}, and the student when even with it")
    print(f"{'directions':>12} {'eigenvalues':>20} {'time of student / T':>22} {'student / teacher below':>26}")
    for top, bottom in PAIRS:
        matched = float(matched_student_time(d[top], half, run.stopped_at))
        ratio = exaggeration_ratios(d[[top, bottom]], time=half, teacher_time=run.stopped_at)[1]
        pair, values = f"{top + 1}, {bottom + 1}", f"{d[top]:.4g}, {d[bottom]:.4g}"
        print(f"{pair:>12} {values:>20} {matched / run.stopped_at:22.4f} {ratio:26.4f}")


def published(run: DistillationTrajectories) -> Reproduced:
    """Hold how far the student is behind its teacher, in the pair where it is least so, against the theorem."""
    d = np.asarray(run.teacher.spectrum.eigenvalues)
    ratios = [
        exaggeration_ratios(d[list(pair)], time=run.stopped_at / 2.0, teacher_time=run.stopped_at)[1] for pair in PAIRS
    ]
    return Reproduced(
        f"student / teacher along the lower direction, even along the higher: largest of {len(PAIRS)} pairs",
        max(ratios),
        "< 1",
        "Nagarajan et al. (2023), Theorem 4.1/B.1",
        verdict=REPRODUCED if max(ratios) < 1.0 else CONTRADICTED,
    )


def draw(run: DistillationTrajectories) -> Figure:
    """Draw one panel for each pair of directions."""
    figure, panels = plt.subplots(2, 4, figsize=(5.5, 3.2))
    for axes, (top, bottom) in zip(panels.flat, PAIRS, strict=True):
        draw_eigenspace(axes, run, top, bottom)
        draw_even(axes, run, top, bottom)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def draw_even(axes: Axes, run: DistillationTrajectories, top: int, bottom: int) -> None:
    """Mark teacher and student at the moments at which they are even along the larger eigenvalue."""
    spectrum, targets, half = run.teacher.spectrum, run.teacher.targets, run.stopped_at / 2.0
    matched = float(matched_student_time(float(spectrum.eigenvalues[top]), half, run.stopped_at))
    even = flow_trajectories(spectrum, targets, times=[half, matched], teacher_time=run.stopped_at)
    for components, color in ((even.teacher.components[:1], TEACHER), (even.student.components[1:], STUDENT)):
        x, y = (component_lengths(np.asarray(components), k) for k in (top, bottom))
        axes.plot(x, y, "o", color=color, markersize=3.5, clip_on=False)


def read_mnist(file: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read training images as rows of pixels, and their digits; an argument error where that fails."""
    try:
        arrays = np.load(file)
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{file}: {error}") from error
    if not {"x_train", "y_train"} <= set(arrays):
        raise ArgumentTypeError(f"{file} must hold the arrays x_train and y_train, got {', '.join(arrays)}")
    return arrays["x_train"].reshape(len(arrays["x_train"]), -1).astype(float), arrays["y_train"].astype(int)


PARSER = figure_parser(__doc__)
PARSER.add_argument("--mnist", type=read_mnist, metavar="FILE", help="MNIST as an .npz file with x_train and y_train")
SCRIPT = Script(main, PARSER)

if __name__ == "__main__":
    SCRIPT.run()
