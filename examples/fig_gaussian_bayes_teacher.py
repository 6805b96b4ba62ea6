"""A student of the Bayes probabilities needs fewer points than one of the labels: the fewer, the more they overlap.

Menon et al. (2020), Figure 2: logistic regression (scikit-learn's, C = 1) on two Gaussian classes in 10 dimensions.
Area under the ROC curve (AUC) on fresh points, and below the gain of Bayes probabilities over labels: (a) against the
number of points, with the printed means ±1 per coordinate, where the classes hardly overlap and no gain can be seen,
and with means ±0.3; (b) against the distance of the means, for 100 points. The gain shrinks as points are added, and
grows as the means approach, except at the very end. It is larger without a penalty: the Bayes probabilities then give
θ* itself from 11 points on. The table has reference values of an independent run of 100 trials beside it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kdtheory.estimators import SoftLabelClassifier
from kdtheory.figures import STYLE, draw_oracle, draw_trials, mean_and_error, save_figures
from kdtheory.figures.trials import run_trials, trial_parser
from kdtheory.problems import BinarySample, GaussianClasses

OUTPUT = Path(__file__).resolve().parents[1] / "figures"
SIZES = (10, 20, 50, 100, 500, 1000, 5000)
MEANS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
PRINTED, INFORMATIVE = GaussianClasses(mean=1.0), GaussianClasses(mean=0.3)
REFERENCE_SIZES = {
    10: (0.792, 0.878, 0.086, 0.150),
    20: (0.826, 0.903, 0.077, 0.135),
    50: (0.869, 0.910, 0.041, 0.060),
    100: (0.888, 0.910, 0.0226, 0.0262),
    500: (0.906, 0.910, 0.0042, 0.0043),
    1000: (0.9079, 0.9103, 0.0024, 0.0024),
    5000: (0.9099, 0.9103, 0.0004, 0.0004),
}
"""AUC of labels and of Bayes probabilities, gain, and gain without a penalty, for means ±0.3."""
REFERENCE_MEANS = {0.05: 0.051, 0.1: 0.053, 0.2: 0.033, 0.3: 0.023, 0.5: 0.0059, 0.75: 0.0002, 1.0: 1e-6}
"""Gain for 100 points, by the mean of a coordinate."""


def main(full: bool = False, trials: int | None = None, jobs: int | None = None) -> dict[str, Figure]:
    """Print the gains beside the reference values, and return the figure by file name."""
    n_trials, n_test = trials or (100 if full else 20), 10_000 if full else 2_000
    runs = {
        title: run_trials(partial(trial, n_test=n_test), n_trials, jobs=jobs, title=f"figure 2, {title}")
        for title, trial in (
            ("(a) means ±1", partial(learn_sizes, PRINTED)),
            ("(a) means ±0.3", partial(learn_sizes, INFORMATIVE)),
            ("(a) means ±0.3, no penalty", partial(learn_sizes, INFORMATIVE, C=np.inf)),
            ("(b) 100 points", learn_means),
        )
    }
    print_sizes(*(runs[f"(a) means ±{title}"] for title in ("1", "0.3", "0.3, no penalty")))
    print_means(runs["(b) 100 points"])
    with plt.style.context(STYLE):
        return {"gaussian_bayes_teacher": draw(runs)}


def learn_sizes(problem: GaussianClasses, seed: int, *, n_test: int, C: float = 1.0) -> dict[str, np.ndarray]:
    """AUC of both students for every number of points."""
    rng = np.random.default_rng(seed)
    test = problem.sample(n_test, rng)
    return gather([learn(sample_both(problem, size, rng), test, C) for size in SIZES])


def learn_means(seed: int, *, n_test: int) -> dict[str, np.ndarray]:
    """AUC of both students for every distance of the means, with the same labels and noise."""
    rounds = []
    for mean in MEANS:
        rng, problem = np.random.default_rng(seed), GaussianClasses(mean=mean)
        rounds.append(learn(sample_both(problem, 100, rng), problem.sample(n_test, rng), C=1.0))
    return gather(rounds)


def sample_both(problem: GaussianClasses, n_points: int, rng: np.random.Generator) -> BinarySample:
    """Draw a sample with both labels, since scikit-learn's classifiers learn from no other."""
    sample = problem.sample(n_points, rng)
    return sample if len(np.unique(sample.y)) == 2 else sample_both(problem, n_points, rng)


def learn(sample: BinarySample, test: BinarySample, C: float) -> tuple[float, float]:
    """AUC of logistic regression on labels, and on Bayes probabilities."""
    scores = []
    for targets in (sample.y, sample.bayes_probabilities):
        model = SoftLabelClassifier(LogisticRegression(C=C, max_iter=1000)).fit(sample.X, targets)
        scores.append(float(roc_auc_score(test.y, model.estimator_.decision_function(test.X))))
    return scores[0], scores[1]


def gather(scores: list[tuple[float, float]]) -> dict[str, np.ndarray]:
    """Scores of labels and of Bayes probabilities, by name."""
    labels, bayes = np.transpose(scores)
    return {"labels": labels, "Bayes": bayes, "gain": bayes - labels}


def print_sizes(printed: dict[str, np.ndarray], run: dict[str, np.ndarray], free: dict[str, np.ndarray]) -> None:
    """Print AUCs and gains against the number of points, beside the reference values."""
    print(f"AUC of {len(run['gain'])} trials, means ±0.3, oracle {INFORMATIVE.oracle_auc:.4f}; [reference]")
    heads = ("one-hot", "Bayes-distilled", "gain", "gain, no penalty")
    print(
        f"{'N':>5}  " + "".join(f"{head:<27}" for head in heads) + f"gain, means ±1 (oracle {PRINTED.oracle_auc:.6f})"
    )
    for k, size in enumerate(SIZES):
        columns = (run["labels"], run["Bayes"], run["gain"], free["gain"])
        cells = [
            f"{compare(column[:, k], reference):<27}"
            for column, reference in zip(columns, REFERENCE_SIZES[size], strict=True)
        ]
        mean, error = mean_and_error(printed["gain"][:, k])
        print(f"{size:5d}  " + "".join(cells) + f"{mean:.1e} ± {error:.0e}")


def print_means(run: dict[str, np.ndarray]) -> None:
    """Print AUCs and gains against the distance of the means, beside the reference values."""
    print(f"AUC of {len(run['gain'])} trials, 100 points; [reference]")
    print(f"{'mean':>5} {'distance':>9} {'oracle':>9}  {'one-hot':<17}{'Bayes-distilled':<17}gain")
    for k, mean in enumerate(MEANS):
        problem = GaussianClasses(mean=mean)
        (labels, labels_error), (bayes, bayes_error) = (mean_and_error(run[name][:, k]) for name in ("labels", "Bayes"))
        gain, gain_error = mean_and_error(run["gain"][:, k])
        print(
            f"{mean:5.2f} {problem.distance:9.3f} {problem.oracle_auc:9.6f}  {labels:.4f} ± {labels_error:.4f}  "
            f"{bayes:.4f} ± {bayes_error:.4f}  {gain:.1e} ± {gain_error:.0e} [{REFERENCE_MEANS[mean]:g}]"
        )


def compare(trials: np.ndarray, reference: float) -> str:
    """Write a mean, its standard error and the reference value."""
    mean, error = mean_and_error(trials)
    return f"{mean:.4f} ± {error:.4f} [{reference:.4f}]"


def draw(runs: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw AUCs above gains."""
    figure, panels = plt.subplots(2, 3, figsize=(5.5, 3.9), sharex="col")
    sizes, problems = np.array(SIZES), [GaussianClasses(mean=mean) for mean in MEANS]
    distances = np.array([problem.distance for problem in problems])
    columns = {
        "(a) means ±1": (sizes, np.full(len(SIZES), PRINTED.oracle_auc)),
        "(a) means ±0.3": (sizes, np.full(len(SIZES), INFORMATIVE.oracle_auc)),
        "(b) 100 points": (distances, np.array([problem.oracle_auc for problem in problems])),
    }
    for (title, (x, oracle)), (above, below) in zip(columns.items(), panels.T, strict=True):
        run = runs[title]
        draw_oracle(above, x, oracle)
        draw_trials(above, x, {"labels (one-hot)": run["labels"], "Bayes probabilities": run["Bayes"]})
        draw_trials(below, x, {"gain": run["gain"]}, first_color=2)
        above.set_title(f"{title} (as printed)" if x is sizes and oracle[0] > 0.99 else title)
        below.set(yscale="log", ylim=(1e-7, 0.4), xlabel="points $N$" if x is sizes else "distance $r$ of the means")
        if x is sizes:
            above.set(xscale="log", ylim=(0.76, 1.01))
    free = runs["(a) means ±0.3, no penalty"]["gain"]
    draw_trials(panels[1, 1], sizes, {"gain, no penalty": free}, first_color=3)
    panels[0, 0].set_ylabel("AUC")
    panels[1, 0].set_ylabel("gain in AUC")
    above, below = panels[0, 1].get_legend_handles_labels(), panels[1, 1].get_legend_handles_labels()
    figure.legend(above[0] + below[0], above[1] + below[1], loc="outside lower center", ncols=5)
    return figure


if __name__ == "__main__":
    mpl.use("Agg")
    arguments = trial_parser(__doc__, OUTPUT).parse_args()
    jobs = arguments.jobs or (-1 if arguments.full else 1)
    save_figures(main(arguments.full, arguments.trials, jobs), arguments.output)
