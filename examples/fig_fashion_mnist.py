"""Bias and noise in a teacher of images: the nearer it stays to the probabilities of a strong one, the better.

Menon et al. (2020), Figure 4(b): a network with hidden layers of 128 and 10 units stands for the Bayes probabilities.
Its own are mixed with equal ones (bias α), and noise of standard deviation σ² is added to its logits (eq. 16). The
student is a linear logistic regression on the training points of which the network is least certain. AUC of the
student, one class against the rest, against the mean squared error (MSE) of its teacher on these points, and dashed
that of a student of the labels. The trials have networks, noise and points of their own.

Built in: the digits of scikit-learn, with 200 points for the student. With `--data FOLDER` Fashion-MNIST from
FOLDER/fashion_mnist.npz (arrays x_train, y_train, x_test and y_test), with 2,500 points as in the paper.
"""

from __future__ import annotations

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
from kdtheory.figures import STYLE, draw_level, draw_student_against_teacher, mean_and_error, save_figures
from kdtheory.figures.trials import run_trials, trial_parser

OUTPUT = Path(__file__).resolve().parents[1] / "figures"
BIASES = (0.0, 0.3, 0.6, 0.9)
NOISES = (0.0, 1.0, 1.5, 2.0)


class Images(NamedTuple):
    """Pixels in [0, 1] in rows, labels, and how many points the student sees."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    n_student: int


def main(
    full: bool = False, trials: int | None = None, jobs: int | None = None, folder: Path | None = None
) -> dict[str, Figure]:
    """Print errors of teachers and scores of students, and return the figure by file name."""
    images = read_digits() if folder is None else read_fashion(folder)
    if folder is not None and not full:
        images = Images(images.X[:6000], images.y[:6000], images.X_test[:2000], images.y_test[:2000], 250)
    n_trials = trials or (10 if full else 4)
    run = run_trials(partial(learn, images), n_trials, jobs=jobs, title="figure 4(b)")
    print_table(run)
    with plt.style.context(STYLE):
        return {"fashion_mnist": draw(run, "digits" if folder is None else "Fashion-MNIST")}


def read_digits() -> Images:
    """Split the digits of scikit-learn."""
    pixels, labels = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(pixels / 16.0, labels, test_size=600, stratify=labels, random_state=0)
    return Images(X, y, X_test, y_test, n_student=200)


def read_fashion(folder: Path) -> Images:
    """Read Fashion-MNIST."""
    images = load_fashion_mnist(folder)
    X, X_test = (each.reshape(-1, 784).astype(np.float32) / 255.0 for each in (images.x_train, images.x_test))
    return Images(X, images.y_train, X_test, images.y_test, n_student=2500)


def learn(images: Images, seed: int) -> dict[str, np.ndarray]:
    """Errors of teachers and scores of their students; rows are biases, columns noises."""
    network = MLPClassifier((128, 10), early_stopping=True, random_state=seed).fit(images.X, images.y)
    certain = np.max(network.predict_proba(images.X), axis=1)
    least = np.argsort(certain)[: images.n_student]
    X = images.X[least].astype(float)
    logits = network.predict_log_proba(images.X[least]).astype(float)
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
    """Print the error of every teacher with the score of its student, and their rank correlation."""
    print("accuracy of {} networks: {:.4f} ± {:.4f}".format(len(run["labels"]), *mean_and_error(run["accuracy"])))
    print("AUC of the students of labels: {:.4f} ± {:.4f}".format(*mean_and_error(run["labels"])))
    print("alpha, sigma: MSE of the teacher, AUC of its student ± standard error")
    for k, bias in enumerate(BIASES):
        for j, noise in enumerate(NOISES):
            mean, error = mean_and_error(run["score"][:, k, j])
            print(f"{bias:5.1f}, {noise:5.1f}: {np.mean(run['error'][:, k, j]):.4f}, {mean:.4f} ± {error:.4f}")
    means = (np.mean(run[name], axis=0).ravel() for name in ("error", "score"))
    print(f"rank correlation of the means of MSE and AUC: {spearmanr(*means).statistic:.3f}")


def draw(run: dict[str, np.ndarray], title: str) -> Figure:
    """Draw scores of students against errors of teachers, a line for each bias."""
    figure, axes = plt.subplots(figsize=(5.5, 3.0))
    colors = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(BIASES)))
    for k, (bias, color) in enumerate(zip(BIASES, colors, strict=True)):
        label = rf"teachers with $\alpha = {bias:g}$, $\sigma = {NOISES[0]:g} \ldots {NOISES[-1]:g}$"
        draw_student_against_teacher(axes, run["error"][:, k], run["score"][:, k], label, color=color)
    draw_level(axes, run["labels"], "student of the labels")
    axes.set_title(title)
    axes.legend()
    return figure


if __name__ == "__main__":
    mpl.use("Agg")
    parser = trial_parser(__doc__, OUTPUT)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder with fashion_mnist.npz")
    arguments = parser.parse_args()
    jobs = arguments.jobs or (-1 if arguments.full else 1)
    save_figures(main(arguments.full, arguments.trials, jobs, arguments.data), arguments.output)
