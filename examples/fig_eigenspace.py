"""A student goes along the top directions first, and more so than its teacher: Figures 19 to 21 of Nagarajan et al.

A linear model on random ReLU features of handwritten digits, one image in five with a wrong label, is trained by
gradient flow; its student learns its outputs from zero. Drawn is the exact solution: the length of the weights along
pairs of eigendirections of the Gram matrix, the larger eigenvalue to the right. Both models end at the same star, and
the student takes the sharper turn. The table says how far it is behind below the top direction, at equal progress along
it (Theorem 4.1/B.1).

The digits are those that come with scikit-learn; `--mnist FILE` takes MNIST instead, from an .npz file with the arrays
x_train and y_train.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from kdtheory import (
    DistillationTrajectories,
    Spectrum,
    exaggeration_ratios,
    flow_trajectories,
    matched_student_time,
)
from kdtheory.figures import STYLE, draw_eigenspace, save_figures

OUTPUT = Path(__file__).resolve().parents[1] / "figures"
N_IMAGES, N_FEATURES, WRONG_LABELS = 1000, 2000, 0.2
PAIRS = ((1, 6), (1, 11), (2, 8), (2, 15), (3, 10), (4, 20), (5, 17), (8, 30))
TEACHER_STOPS_AT = 9  # when this direction is learned to 63 %


def main(images: tuple[np.ndarray, np.ndarray] | None = None) -> dict[str, Figure]:
    """Print the table, and return the figure by file name."""
    run, teacher_time = train(*(load_digits(return_X_y=True) if images is None else images))
    print_exaggeration(run, teacher_time)
    with plt.style.context(STYLE):
        return {"eigenspace": draw(run)}


def train(pixels: np.ndarray, digits: np.ndarray) -> tuple[DistillationTrajectories, float]:
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
    alone = flow_trajectories(spectrum, targets, times=np.minimum(times, teacher_time), teacher_time=teacher_time)
    student = flow_trajectories(spectrum, targets, times=times, teacher_time=teacher_time)
    return DistillationTrajectories(alone.teacher, student.rounds), teacher_time


def print_exaggeration(run: DistillationTrajectories, teacher_time: float) -> None:
    """Print the weight of the student over that of the teacher where both are even along the top of each pair."""
    d = np.asarray(run.teacher.spectrum.eigenvalues)
    print(f"{'directions':>12} {'eigenvalues':>22} {'teacher time':>14} {'student time':>14} {'ratio below':>12}")
    for top, bottom in PAIRS:
        time = 0.5 * teacher_time
        matched = float(matched_student_time(d[top], time, teacher_time))
        ratio = exaggeration_ratios(d[[top, bottom]], time=time, teacher_time=teacher_time)[1]
        pair = f"{top + 1}, {bottom + 1}"
        print(f"{pair:>12} {d[top]:11.4g} {d[bottom]:10.4g} {time:14.4g} {matched:14.4g} {ratio:12.4f}")


def draw(run: DistillationTrajectories) -> Figure:
    """Draw one panel for each pair of directions."""
    figure, panels = plt.subplots(2, 4, figsize=(5.5, 3.2))
    for axes, (top, bottom) in zip(panels.flat, PAIRS, strict=True):
        draw_eigenspace(axes, run, top, bottom)
        axes.set(xlabel=rf"$\|W^T v_{{{top + 1}}}\|$", ylabel=rf"$\|W^T v_{{{bottom + 1}}}\|$")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def read_mnist(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read training images as rows of pixels, and their digits."""
    arrays = np.load(file)
    return arrays["x_train"].reshape(len(arrays["x_train"]), -1).astype(float), arrays["y_train"].astype(int)


if __name__ == "__main__":
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, metavar="FILE", help="MNIST as an .npz file with x_train and y_train")
    file = parser.parse_args().mnist
    save_figures(main(None if file is None else read_mnist(file)), OUTPUT)
