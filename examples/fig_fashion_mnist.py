"""Bias and noise in a teacher of images
=====================================

Bias and noise in a teacher of images: of equally biased ones, those nearer to a strong one teach better.

Menon et al. (2020), Figure 4(b): a network with hidden layers of 128 and 10 units stands for the Bayes probabilities.
Teachers are the network with bias α, the share of equal probabilities mixed into its own, and noise σ, which is added
to its logits with standard deviation σ² (eq. 16). The student is a linear logistic regression on the training points of
which the network is least certain. Drawn is the AUC of the student, one class against the rest, against the mean
squared error (MSE) of its teacher's probabilities against the network's on these points, and dashed that of a student
of the labels. For equal α the AUC falls as the MSE grows; between teachers of different α an equal MSE does not make
equal students. On Fashion-MNIST the labels teach least of all, since they are those of the points that are hardest to
tell; on the digits they teach about as well as the network itself, and all distorted teachers, on average, worse. The
trials have networks, noise and points of their own.

Built in: the digits of scikit-learn, with 200 points for the student. With `--data FOLDER` Fashion-MNIST from
FOLDER/fashion_mnist.npz (arrays x_train, y_train, x_test and y_test), with `--data openml` fetched from OpenML into
scikit-learn's cache; with `--full` all of it, and 2,500 points for the student as in the paper.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from kdtheory import teacher_error
from kdtheory.datasets import load_fashion_mnist
from kdtheory.estimators import SoftLabelClassifier
from kdtheory.figures import (
    STYLE,
    Reproduction,
    Script,
    draw_equal_noise,
    draw_legend,
    draw_level,
    draw_student_against_teacher,
    mean_and_error,
)
from kdtheory.figures.trials import run_trials, trial_parser, use_all_cores
from kdtheory.reproduced import Reproduced, claimed

BIASES = (0.0, 0.3, 0.6, 0.9)
NOISES = (0.0, 1.0, 1.5, 2.0)


class Images(NamedTuple):
    """Pixels in [0, 1] in rows, labels, and how many points the student sees."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_student: int

    def head(self, n_train: int, n_test: int, *, n_student: int) -> Images:
        """Return the first images."""
        return Images(self.X[:n_train], self.y[:n_train], self.X_test[:n_test], self.y_test[:n_test], n_student)


def main(
    full: bool = False, trials: int | None = None, jobs: int | None = None, data: Images | None = None
) -> Reproduction:
    """Print errors of teachers and scores of students, and return the figure and published numbers."""
    images = read_digits() if data is None else data if full else data.head(6000, 2000, n_student=250)
    n_trials = (10 if full else 4) if trials is None else trials
    run = run_trials(partial(learn, images), n_trials, jobs=jobs, title="figure 4(b)")
    print_table(run)
    with plt.style.context(STYLE):
        if data is None:
            return Reproduction({"digits_teacher": draw(run, "digits")}, published(run))
        figure = draw(run, f"Fashion-MNIST, {len(images.X):,} images")
    source = "Menon et al. (2020), section 5.2: about 89 %"
    accuracy = Reproduced("test accuracy of the network", float(np.mean(run["accuracy"])), "0.89", source)
    return Reproduction({"fashion_mnist": figure}, (accuracy, *published(run)))


def published(run: dict[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold rank correlations of errors and scores against what the paper says of them."""
    source = "Menon et al. (2020), Fig. 4(b): the best approximation generally yields the best student"
    of_trials = [
        spearmanr(error.ravel(), auc.ravel()).statistic for error, auc in zip(run["error"], run["score"], strict=True)
    ]
    of_equal_bias = [
        np.mean([spearmanr(*row).statistic for row in zip(error, auc, strict=True)])
        for error, auc in zip(run["error"], run["score"], strict=True)
    ]
    return (
        claimed("rank correlation of the teacher's MSE and the student's AUC", of_trials, "< 0", source),
        claimed("the same among teachers of equal bias", of_equal_bias, "< 0", source),
    )


def read_digits() -> Images:
    """Split the digits of scikit-learn."""
    pixels, labels = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(pixels / 16.0, labels, test_size=600, stratify=labels, random_state=0)
    return Images(X, y, X_test, y_test, n_student=200)


def read_fashion(folder: str | Path | None) -> Images:
    """Read Fashion-MNIST from a folder, or from OpenML."""
    images = load_fashion_mnist(folder)
    X, X_test = (each.reshape(-1, 784).astype(np.float32) / 255.0 for each in (images.x_train, images.x_test))
    return Images(X, images.y_train, X_test, images.y_test, n_student=2500)


def learn(images: Images, seed: int) -> dict[str, np.ndarray]:
    """Errors of teachers and scores of their students; rows are biases, columns noises."""
    network = MLPClassifier((128, 10), early_stopping=True, random_state=seed).fit(images.X, images.y)
    certain = np.max(network.predict_proba(images.X), axis=1)
    least = np.argsort(certain)[: images.n_student]
    X = images.X[least].astype(float)
    probabilities = network.predict_proba(images.X[least])
    logits = np.log(np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)).astype(float)
    strong = softmax(logits, axis=1)
    noise = np.random.default_rng(seed).standard_normal(strong.shape)
    errors, scores = [], []
    for bias in BIASES:
        for deviation in NOISES:
            noisy = softmax(logits + deviation**2 * noise, axis=1)
            teacher = (1.0 - bias) * noisy + bias / strong.shape[1]
            errors.append(teacher_error(teacher, strong).mean_squared_error)
            scores.append(score(X, teacher, images))
    shape = (len(BIASES), len(NOISES))
    return {
        "accuracy": np.array(network.score(images.X_test, images.y_test)),
        "labels": np.array(score(X, np.eye(strong.shape[1])[images.y[least]], images)),
        "error": np.reshape(errors, shape),
        "score": np.reshape(scores, shape),
    }


def score(X: np.ndarray, targets: np.ndarray, images: Images) -> float:
    """AUC of logistic regression on probabilities, the mean over the classes, each against the rest."""
    student = SoftLabelClassifier(LogisticRegression(max_iter=1000, tol=1e-3)).fit(X, targets)
    return float(roc_auc_score(images.y_test, student.predict_proba(images.X_test), multi_class="ovr"))


def print_table(run: dict[str, np.ndarray]) -> None:
    """Print the error of every teacher with the score of its student, and their rank correlations."""
    print("accuracy of {} networks: {:.4f} ± {:.4f}".format(len(run["labels"]), *mean_and_error(run["accuracy"])))
    print("AUC of the students of labels: {:.4f} ± {:.4f}".format(*mean_and_error(run["labels"])))
    print("alpha, sigma: MSE of the teacher against the network, AUC of its student ± standard error")
    for k, bias in enumerate(BIASES):
        for j, noise in enumerate(NOISES):
            mean, error = mean_and_error(run["score"][:, k, j])
            print(f"{bias:5.1f}, {noise:5.1f}: {np.mean(run['error'][:, k, j]):.4f}, {mean:.4f} ± {error:.4f}")
    error, auc = np.mean(run["error"], axis=0), np.mean(run["score"], axis=0)
    print(f"rank correlation of the means of MSE and AUC: {spearmanr(error.ravel(), auc.ravel()).statistic:.3f}")
    for k, bias in enumerate(BIASES):
        print(f"with alpha = {bias:g}: {spearmanr(error[k], auc[k]).statistic:.3f}")
    for j, noise in enumerate(NOISES):
        print(f"with sigma = {noise:g}: {spearmanr(error[:, j], auc[:, j]).statistic:.3f}")


def draw(run: dict[str, np.ndarray], title: str) -> Figure:
    """Draw scores of students against errors of teachers, a line for each bias."""
    figure, axes = plt.subplots(figsize=(5.5, 3.4))
    colors = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(BIASES)))
    for k, (bias, color, marker) in enumerate(zip(BIASES, colors, "osDv", strict=True)):
        label = rf"bias $\alpha = {bias:g}$"
        draw_student_against_teacher(
            axes, run["error"][:, k], run["score"][:, k], label, color=color, marker=marker, fillstyle="none"
        )
    labels = [rf"$\sigma = {noise:g}$" for noise in NOISES]
    draw_equal_noise(axes, run["error"], run["score"], labels, [(0, 3, 9)] * len(NOISES))
    draw_level(axes, run["labels"], "labels")
    axes.set(
        xlabel="teacher's MSE against the network",
        title=rf"{title}; thin lines: equal noise $\sigma$ (std. $\sigma^2$ on logits)",
    )
    draw_legend(figure, [axes], n_trials=len(run["labels"]), ncols=5)
    return figure


def read_images(folder: str) -> Images:
    """Read Fashion-MNIST from a folder, or from `openml`; an argument error where that fails."""
    try:
        return read_fashion(None if folder == "openml" else folder)
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(str(error)) from error


PARSER = trial_parser(__doc__)
PARSER.add_argument(
    "--data", type=read_images, metavar="FOLDER", help="folder with fashion_mnist.npz, or `openml` to fetch it"
)
SCRIPT = Script(main, PARSER, use_all_cores)

if __name__ == "__main__":
    SCRIPT.run()
