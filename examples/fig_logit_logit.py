"""Logits of students against teachers
===================================

Students against teachers in the logit-logit plot: where the teacher is unsure its student is unsurer still.

Figures 5 to 9, 15 and 16 and Tables 3 and 4 of Nagarajan et al. (2023), for networks that train in seconds: stochastic
gradient descent with Nesterov's momentum, a warm-up, two falls of the learning rate and weight decay, as in their
Table 1, and clipped gradients; students have random weights of their own and learn from the teacher alone at
temperature 4. Drawn is (1) the student's log odds of the teacher's top class against the teacher's, with lines through
the quarters of the images where the teacher is least sure, and surest, for students of several kinds; (2) for one of
them the probability of that class and the entropy instead, and the divergence of the student from the teacher against
all three. Printed are the slopes of these lines over trials, and for the ablations of appendix C.5 too: a student that
trains longer, smaller batches and learning rates, another label weight.

A slope above 1 is exaggerated confidence. On MNIST at full size it is there on the least sure training images for every
student of temperature 4, least with labels of weight 0.9, and hardly at temperature 1; on new images it is about 1,
unlike in the paper, and where the teacher is surest mostly below 1: benchmarks/results/logit_logit.txt.

Built in: the digits of scikit-learn. With `--full` more images, convolutional networks too, larger ones and more
trials; with `--data FOLDER` MNIST from FOLDER/mnist.npz, with `--data openml` fetched from OpenML into scikit-learn's
cache.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from kdtheory.fidelity import (
    ExaggerationSlope,
    accuracy,
    exaggeration_slope,
    logit_logit_points,
    predictive_divergences,
    predictive_entropies,
    top1_agreement,
)
from kdtheory.figures import STUDENT, STYLE, TEACHER, Reproduction, Script, draw_logit_logit, mean_and_error
from kdtheory.figures.fidelity import HIGH, LOW
from kdtheory.figures.images import Images, draw_split, image_parser, prepare, read_digits
from kdtheory.figures.trials import run_trials
from kdtheory.nets import ConvolutionalNetwork, DistillationLoss, MultilayerPerceptron, Snapshot, TrainingPlan, train
from kdtheory.reproduced import Reproduced, claimed

WRONG = 0.2
PLACES = {"train": "training images", "test": "new images"}
SIDES = {"low": "least sure", "high": "surest"}


class Pair(NamedTuple):
    """A teacher and its student: networks, loss, and how the student is trained."""

    teacher: str = "dense"
    student: str = "dense"
    temperature: float = 4.0
    label_weight: float = 0.0
    wrong: float = 0.0
    times: int = 1
    small_steps: bool = False
    same_start: bool = False


PAIRS = {
    "same network": Pair(),
    "smaller student": Pair(student="narrow"),
    "20 % wrong labels": Pair(wrong=WRONG),
    "temperature 1": Pair(temperature=1.0),
    "label weight 0.9": Pair(label_weight=0.9),
    "student 3 times as long": Pair(times=3),
    "batches and rates 1/8": Pair(small_steps=True),
    "same initial weights": Pair(same_start=True),
}
CONVOLUTIONAL = {
    "convolutional, same": Pair("convolutional", "convolutional"),
    "convolutional teacher": Pair("convolutional"),
}
"""Which take longest to compile, for the full size."""

DRAWN = tuple(PAIRS)[:6]
OF_METRICS = "20 % wrong labels"


class Size(NamedTuple):
    """Images, units and filters, epochs, images in a batch, resamples for intervals, and trials."""

    n_train: int
    n_test: int
    width: int
    narrow: int
    filters: int
    n_epochs: int
    batch_size: int
    n_resamples: int
    n_trials: int


QUICK = Size(320, 320, 64, 16, 0, 30, 32, 200, 2)
FULL = Size(1920, 1920, 256, 16, 8, 40, 64, 1000, 5)


def main(
    full: bool = False, trials: int | None = None, jobs: int | None = None, data: Images | None = None
) -> Reproduction:
    """Print slopes, and return figures and published numbers."""
    size, images = FULL if full else QUICK, read_digits() if data is None else data
    n_train = min(size.n_train, len(images.X) // 2)  # the digits built in are fewer than the full size takes
    size = size._replace(n_train=n_train, n_test=min(size.n_test, len(images.X) - n_train))
    n_trials = size.n_trials if trials is None else trials
    run = run_trials(partial(learn, size, images), n_trials, jobs=jobs, title="networks")
    print_table(size, run)
    with plt.style.context(STYLE):
        metrics = draw_metrics(run[f"{OF_METRICS}, train"][0], f"{OF_METRICS}, training images")
        figures = {"logit_logit": draw_pairs(run), "logit_logit_metrics": metrics}
    return Reproduction(figures, published(run))


def published(run: dict[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold slopes where the teacher is least sure against those of residual networks that the paper prints."""
    tables = {
        "same network": {"train": "Table 3: 0.22 to 1.97, above 1 in 8 of 11", "test": "Table 3: 1.13 to 1.37"},
        "smaller student": {"train": "Table 4: 0.57 to 1.69, above 1 in 5 of 7", "test": "Table 4: 1.03 to 1.60"},
    }
    return tuple(
        claimed(
            f"{name}: slope where the teacher is least sure, {PLACES[place]}",
            run[f"{name}, {place} slopes"][:, 0, 0],
            "> 1",
            f"Nagarajan et al. (2023), {table}",
        )
        for name, places in tables.items()
        for place, table in places.items()
    )


def make(size: Size, kind: str, shape: tuple[int, ...], key: jax.Array) -> Any:
    """Make a network."""
    if kind == "convolutional":
        return ConvolutionalNetwork(shape, 10, width=size.filters, depth=2, kernel_size=5, key=key)
    width = size.narrow if kind == "narrow" else size.width
    return MultilayerPerceptron(math.prod(shape), 10, width=width, depth=2, key=key)


def pairs(size: Size) -> dict[str, Pair]:
    """Pairs to train."""
    return PAIRS | (CONVOLUTIONAL if size.filters else {})


def learn(size: Size, images: Images, seed: int) -> dict[str, np.ndarray]:
    """Train all teachers and students, and give their logits, slopes with intervals, and scores on new images."""
    data = draw_split(images, size.n_train, size.n_test, WRONG, np.random.default_rng(seed))
    keys = jax.random.split(jax.random.key(seed))

    def trained(kind: str, key: jax.Array, pair: Pair, **how: Any) -> Snapshot:
        labels = data.y if pair.wrong else data.truth
        return train(make(size, kind, data.X.shape[1:], key), data.X, labels, plan=plan(size, pair, seed), **how)

    @cache
    def taught(pair: Pair) -> Snapshot:  # with the student's loss, so that a step is compiled once
        return trained(pair.teacher, keys[0], pair, loss=DistillationLoss(temperature=4.0))

    results = {}
    for name, pair in pairs(size).items():
        teacher = taught(Pair(teacher=pair.teacher, wrong=pair.wrong, small_steps=pair.small_steps))
        student = trained(
            pair.student,
            keys[0 if pair.same_start else 1],
            pair,
            loss=DistillationLoss(temperature=pair.temperature),
            teacher=teacher,
            label_weight=pair.label_weight,
        )
        for place, X in (("train", data.X), ("test", data.X_test)):
            logits = np.stack([teacher.logits(X), student.logits(X)])
            results[f"{name}, {place}"] = logits
            results[f"{name}, {place} slopes"] = np.array(
                [(fit.slope, *fit.interval) for fit in fits(logits, size.n_resamples)]
            )
        scores = [accuracy(each, data.y_test) for each in logits]
        results[f"{name}, scores"] = np.array([*scores, top1_agreement(*logits)])
    return results


def fits(logits: np.ndarray, n_resamples: int) -> list[ExaggerationSlope]:
    """Lines through the quarters of the points where the teacher is least sure, and surest."""
    teacher, student = logits
    return [exaggeration_slope(teacher, student, side=side, n_resamples=n_resamples) for side in SIDES]


def plan(size: Size, pair: Pair, seed: int) -> TrainingPlan:
    """How a network is trained."""
    n, smaller = size.n_epochs * pair.times, 8 if pair.small_steps else 1
    return TrainingPlan(
        n_epochs=n,
        batch_size=size.batch_size // smaller,
        learning_rate=0.05 / smaller,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="step",
        warm_up_epochs=1,
        decay_epochs=(n // 2, 3 * n // 4),
        clip_norm=1.0,
        seed=seed,
    )


def print_table(size: Size, run: dict[str, np.ndarray]) -> None:
    """Print slopes of every pair, in how many trials their intervals are above 1, and scores on new images."""
    n_trials = len(next(iter(run.values())))
    print("slopes in the logit-logit plot through the quarters of images where the teacher is least sure, and surest,")
    print(f"mean ± standard error over {n_trials} trials of {size.n_train} images, and in how many trials all of the")
    print("interval of 95 % from resampled images is above 1; at the end, shares of new images")
    print(f"{'':24}{'training images':36}{'new images':36}teacher  student  both")
    print(f"{'':24}" + 2 * f"{'least sure':18}{'surest':18}" + "right    right    agree")
    for name in pairs(size):
        cells = []
        for place in PLACES:
            slopes = run[f"{name}, {place} slopes"]
            above = np.sum(slopes[..., 1] > 1.0, axis=0)
            for mean, error, count in zip(*mean_and_error(slopes[..., 0]), above, strict=True):
                cells.append(f"{f'{mean:5.2f} ± {error:.2f} {count:2d}/{n_trials}':18}")
        scores = np.mean(run[f"{name}, scores"], axis=0)
        print(f"{name:24}" + "".join(cells) + "    ".join(f"{score:.3f}" for score in scores))


def draw_pairs(run: dict[str, np.ndarray]) -> Figure:
    """Draw the logit-logit plots of the first trial, those of new images below those of training images."""
    figure, panels = plt.subplots(4, 3, figsize=(5.5, 6.8))
    for number, name in enumerate(DRAWN):
        first = 2 * (number // 3)
        column = panels[first : first + 2, number % 3]
        for axes, place in zip(column, PLACES, strict=True):
            draw_slopes(axes, run[f"{name}, {place}"][0])
            axes.set(ylabel=f"{PLACES[place]}\nstudent, log odds" if number % 3 == 0 else "")
        start, stop = np.transpose([axes.get_xlim() for axes in column])
        for axes in column:
            axes.set(xlim=(start.min(), stop.max()), ylim=(start.min(), stop.max()))
            axes.locator_params(nbins=5, steps=[1, 2, 5, 10])
        column[0].set(title=name, xlabel="")
        column[0].tick_params(labelbottom=False)
    lines = [line for line in column[1].lines if line.get_color() in (LOW, HIGH)]
    names = [f"where the teacher is {side}, with slope" for side in SIDES.values()]
    figure.legend(lines, names, loc="outside lower center", ncols=2)
    return figure


def draw_slopes(axes: Axes, logits: np.ndarray) -> None:
    """Draw a logit-logit plot with the slopes of its lines in a corner, for want of space."""
    low, high = fits(logits, 100)
    draw_logit_logit(axes, *logit_logit_points(*logits), low=low, high=high, cmap="Blues")
    axes.legend().remove()
    for height, (fit, color) in enumerate(((low, LOW), (high, HIGH))):
        text: dict[str, Any] = {"color": color, "ha": "right", "transform": axes.transAxes, "fontsize": 7}
        axes.text(0.98, 0.04 + 0.12 * height, f"{fit.slope:.2f}", **text)


def draw_metrics(logits: np.ndarray, title: str) -> Figure:
    """Draw the student's log odds, probability and entropy against the teacher's, and its divergence against each."""
    figure, panels = plt.subplots(2, 3, figsize=(5.5, 3.8))
    log_odds = logit_logit_points(*logits)
    metrics = {
        "log odds": log_odds,
        "probability": [expit(each) for each in log_odds],
        "entropy": [predictive_entropies(each) for each in logits],
    }
    divergences = predictive_divergences(*logits)
    dots = {"s": 6, "alpha": 0.6, "linewidths": 0.0, "rasterized": True, "color": TEACHER}
    for (above, below), (name, (teacher, student)) in zip(panels.T, metrics.items(), strict=True):
        above.scatter(teacher, student, **dots)
        above.set(xlim=above.get_xlim(), ylim=above.get_ylim())  # which the diagonal shall not widen
        above.axline((0.0, 0.0), slope=1.0, color="black", linestyle=(0, (4, 2)), linewidth=1.0)
        above.tick_params(labelbottom=False)
        below.scatter(teacher, divergences, **dots)
        tenths = np.array_split(np.argsort(teacher), 10)
        means = np.array([(np.mean(teacher[some]), np.mean(divergences[some])) for some in tenths])
        below.plot(*means.T, "s-", color=STUDENT, markersize=3, label="mean of each tenth of the images")
        below.set(xlabel=f"teacher, {name}", xlim=above.get_xlim(), yscale="log")
    panels[0, 0].set(ylabel="student, the same")
    panels[1, 0].set(ylabel="divergence from\nthe teacher, nats")
    figure.suptitle(title, fontsize=8)
    figure.legend(*panels[1, 0].get_legend_handles_labels(), loc="outside lower center")
    return figure


SCRIPT = Script(main, image_parser(__doc__), prepare)

if __name__ == "__main__":
    SCRIPT.run()
