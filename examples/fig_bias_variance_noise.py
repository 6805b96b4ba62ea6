"""Bias and noise in a teacher
===========================

What bias and noise in a teacher cost its student: a better approximation of the Bayes probabilities mostly helps.

Menon et al. (2020), Figures 5 and 6: teachers (1 − α)·sigmoid(θ*ᵀx + σ²·ε) + α/2 (eq. 16) on the Gaussian classes with
means ±0.3, and logistic regression (scikit-learn's, C = 1) on 100 points. What is called noise σ has the standard
deviation σ² on the log-odds. (a) Mean squared error (MSE) of the teachers: many pairs of α and σ have the same. (b) Its
parts without injected bias: noise on the log-odds biases the probabilities as well. (c) AUC of the student against the
MSE of its teacher: it falls, but teachers of equal MSE do not have equal students, and at equal σ (thin lines) students
are the same for every α to within 0.002, however far apart their teachers. Bias towards 1/2 costs a ranking little, and
noise much; the high rank correlation over all teachers is mostly that with σ.
"""

from __future__ import annotations

from functools import partial

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kdtheory import noisy_sigmoid_error, noisy_sigmoid_teacher
from kdtheory.estimators import SoftLabelClassifier
from kdtheory.figures import (
    STYLE,
    Reproduction,
    Script,
    draw_equal_noise,
    draw_legend,
    draw_student_against_teacher,
    draw_teacher_errors,
    draw_trials,
    mean_and_error,
)
from kdtheory.figures.statistical import NOISE_LABEL
from kdtheory.figures.trials import run_trials, trial_parser, use_all_cores
from kdtheory.problems import GaussianClasses
from kdtheory.reproduced import Reproduced, claimed

BIASES = (0.0, 0.2, 0.4, 0.6, 0.8)
NOISES = (0.0, 1.0, 1.5, 2.0, 2.5)
PROBLEM = GaussianClasses(mean=0.3)
N_POINTS = 100


def main(full: bool = False, trials: int | None = None, jobs: int | None = None) -> Reproduction:
    """Print errors of teachers and scores of students, and return the figure and published numbers."""
    n_trials, n_test = (100 if full else 20) if trials is None else trials, 10_000 if full else 2_000
    run = run_trials(partial(learn, n_test=n_test), n_trials, jobs=jobs, title="figures 5, 6")
    print_table(run)
    with plt.style.context(STYLE):
        return Reproduction({"bias_variance_noise": draw(run)}, published(run))


def published(run: dict[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold rank correlations against what the paper says of its figure, and against other trials."""
    errors, scores = run["squared bias"] + run["variance"], run["score"]
    of_means = spearmanr(np.mean(errors, axis=0).ravel(), np.mean(scores, axis=0).ravel()).statistic
    of_trials = [spearmanr(*(each.ravel() for each in pair)).statistic for pair in zip(errors, scores, strict=True)]
    what = "rank correlation of the teacher's MSE and the student's AUC"
    return (
        claimed(f"{what}, each trial", of_trials, "< 0", "Menon et al. (2020), Fig. 5"),
        Reproduced(f"{what}, of means", float(of_means), "-0.85", "no number in print; of independent trials"),
    )


def learn(seed: int, *, n_test: int) -> dict[str, np.ndarray]:
    """Squared bias and variance of every teacher, and the AUC of its student; rows are biases, columns noises."""
    rng = np.random.default_rng(seed)
    sample, test = PROBLEM.sample(N_POINTS, rng), PROBLEM.sample(n_test, rng)
    log_odds = PROBLEM.log_odds(sample.X)
    parts, scores = [], []
    for bias in BIASES:
        for noise in NOISES:
            error = noisy_sigmoid_error(log_odds, bias=bias, noise=noise**2)
            parts.append((error.squared_bias, error.variance))
            own = np.random.default_rng([seed, 1])  # the same noise for every bias and level, none of it that of X
            positive = noisy_sigmoid_teacher(log_odds, bias=bias, noise=noise**2, random_state=own)
            targets = np.column_stack([1.0 - positive, positive])
            student = SoftLabelClassifier(LogisticRegression()).fit(sample.X, targets)
            scores.append(roc_auc_score(test.y, student.estimator_.decision_function(test.X)))
    shape = (len(BIASES), len(NOISES))
    squared_bias, variance = np.transpose(parts).reshape(2, *shape)
    return {"squared bias": squared_bias, "variance": variance, "score": np.reshape(scores, shape)}


def print_table(run: dict[str, np.ndarray]) -> None:
    """Print the error of every teacher with the score of its student, and their rank correlations."""
    errors, scores = run["squared bias"] + run["variance"], run["score"]
    print(f"{len(scores)} trials: MSE of the teacher, AUC of the student ± standard error")
    print("alpha  " + "".join(f"sigma = {noise:<18g}" for noise in NOISES))
    for k, bias in enumerate(BIASES):
        cells = []
        for j in range(len(NOISES)):
            mean, error = mean_and_error(scores[:, k, j])
            cells.append(f"{np.mean(errors[:, k, j]):.4f}, {mean:.4f} ± {error:.4f}")
        print(f"{bias:5.1f}  " + "".join(f"{cell:<26}" for cell in cells))
    error, score = np.mean(errors, axis=0), np.mean(scores, axis=0)
    print("rank correlation of the means of MSE and AUC, and the range of the AUC")
    print(f"all teachers: {correlate(error, score)}")
    for k, bias in enumerate(BIASES):
        print(f"alpha = {bias:g}: {correlate(error[k], score[k])}")
    for j, noise in enumerate(NOISES):
        print(f"sigma = {noise:g}: {correlate(error[:, j], score[:, j])}")


def correlate(errors: np.ndarray, scores: np.ndarray) -> str:
    """Write the rank correlation of two arrays, and the range of the second."""
    return f"{spearmanr(errors.ravel(), scores.ravel()).statistic:.3f}, {np.ptp(scores):.4f}"


def draw(run: dict[str, np.ndarray]) -> Figure:
    """Draw the errors of the teachers, their parts, and the scores of the students against them."""
    figure, panels = plt.subplot_mosaic([["grid", "parts"], ["students", "students"]], figsize=(5.5, 4.9))
    grid, parts, students = panels["grid"], panels["parts"], panels["students"]
    errors = run["squared bias"] + run["variance"]
    noises, biases = np.linspace(0.0, NOISES[-1], 16), np.linspace(0.0, BIASES[-1], 16)
    log_odds = PROBLEM.log_odds(PROBLEM.sample(2_000).X)
    fine = [
        [noisy_sigmoid_error(log_odds, bias=bias, noise=noise**2).mean_squared_error for noise in noises]
        for bias in biases
    ]
    draw_teacher_errors(grid, noises, biases, np.array(fine), levels=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3))
    curves = {"variance": run["variance"][:, 0], "squared bias": run["squared bias"][:, 0]}
    draw_trials(parts, np.array(NOISES), curves, first_color=1)
    colors = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(BIASES)))
    for k, (bias, color, marker) in enumerate(zip(BIASES, colors, "osDv^", strict=True)):
        label = rf"bias $\alpha = {bias:g}$"
        draw_student_against_teacher(
            students, errors[:, k], run["score"][:, k], label, color=color, marker=marker, fillstyle="none"
        )
    labels = [rf"$\sigma = {noise:g}$" for noise in NOISES]
    places = [(-1, 6, 4), (-1, 6, -3), (-1, 6, 0), (0, 6, 0), (0, 6, 0)]
    draw_equal_noise(students, errors, run["score"], labels, places)
    grid.set_title("(a) MSE of the teachers")
    parts.set(title=r"(b) parts at $\alpha = 0$", xlabel=NOISE_LABEL, ylabel="part of the MSE")
    parts.legend()
    students.set_title(r"(c) students; thin lines: equal noise $\sigma$")
    draw_legend(figure, [students], n_trials=len(errors), ncols=5)
    return figure


SCRIPT = Script(main, trial_parser(__doc__), use_all_cores)

if __name__ == "__main__":
    SCRIPT.run()
