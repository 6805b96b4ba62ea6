"""Distorted teachers
==================

A teacher's accuracy does not say what its student gains: distorted probabilities with the same decisions are worse.

Menon et al. (2020), Figure 7: the Bayes probabilities u of the Gaussian classes with means ±0.3 are distorted to
Ψ_α(u), which is on the same side of 1/2, and taught to logistic regression (scikit-learn's, C = 1) on 100 points.
(a) The distortion, for four of the α; dotted as the paper prints it, where its upper branch leaves [0, 1] and is not
the identity at α = 1; with a second factor 1/2 it is. (b) AUC of the student of Ψ_α(u) less that of the student of u on
the same points, and so for the oracle, u itself, and for a student of labels: the AUC falls as α grows, and is in the
end still far above that of the labels.
"""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kdtheory import distort_probabilities
from kdtheory.estimators import SoftLabelClassifier
from kdtheory.figures import (
    STYLE,
    Reproduction,
    Script,
    draw_distortions,
    draw_legend,
    draw_level,
    draw_oracle,
    draw_trials,
    mean_and_error,
)
from kdtheory.figures.trials import run_trials, trial_parser, use_all_cores
from kdtheory.problems import BinarySample, GaussianClasses
from kdtheory.reproduced import Reproduced, claimed, sampled

AMOUNTS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
PROBLEM = GaussianClasses(mean=0.3)
N_POINTS = 100
REFERENCE = (0.9105, 0.9103, 0.9100, 0.9095, 0.9087, 0.9076, 0.9064)
REFERENCE_LABELS = 0.8890
"""AUC of students, of an independent run of 100 trials."""


def main(full: bool = False, trials: int | None = None, jobs: int | None = None) -> Reproduction:
    """Print scores of students beside the reference values, and return them with the figure."""
    n_trials, n_test = (100 if full else 20) if trials is None else trials, 10_000 if full else 2_000
    run = run_trials(partial(learn, n_test=n_test), n_trials, jobs=jobs, title="figure 7")
    print_table(run)
    with plt.style.context(STYLE):
        return Reproduction({"uncalibrated_teacher": draw(run)}, published(run))


def published(run: dict[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold scores against what the paper says of its figure, and against other trials: it prints no numbers."""
    others, fig7 = "no number in print; 100 independent trials", "Menon et al. (2020), Fig. 7(b)"
    branch = 0.5 + (2.0 * 1.0 - 1.0) ** (1.0 / AMOUNTS[-1])  # at u = 1
    return (
        Reproduced("largest distorted probability by the printed formula", branch, "<= 1", fig7, verdict="misprint"),
        claimed(
            f"student's AUC, distortion {AMOUNTS[-1]:g} less none",
            run["distorted"][:, -1] - run["distorted"][:, 0],
            "< 0",
            fig7,
        ),
        sampled("AUC of the student of labels", run["labels"], f"{REFERENCE_LABELS:.4f}", others),
        *(
            sampled(f"AUC of the student, distortion {amount:g}", run["distorted"][:, k], f"{reference:.4f}", others)
            for k, (amount, reference) in enumerate(zip(AMOUNTS, REFERENCE, strict=True))
        ),
    )


def learn(seed: int, *, n_test: int) -> dict[str, np.ndarray]:
    """AUC of the oracle, of the student of labels, and of those of distorted probabilities."""
    rng = np.random.default_rng(seed)
    sample, test = PROBLEM.sample(N_POINTS, rng), PROBLEM.sample(n_test, rng)
    distorted = [distort_probabilities(sample.bayes_probabilities[:, 1], amount=amount) for amount in AMOUNTS]
    return {
        "oracle": np.array(roc_auc_score(test.y, test.bayes_probabilities[:, 1])),
        "labels": np.array(score(sample.y, sample, test)),
        "distorted": np.array([score(np.column_stack([1.0 - u, u]), sample, test) for u in distorted]),
    }


def score(targets: np.ndarray, sample: BinarySample, test: BinarySample) -> float:
    """AUC of logistic regression on labels or probabilities."""
    student = SoftLabelClassifier(LogisticRegression()).fit(sample.X, targets)
    return float(roc_auc_score(test.y, student.estimator_.decision_function(test.X)))


def print_table(run: dict[str, np.ndarray]) -> None:
    """Print scores, and how far they are below those of the Bayes teacher, beside the reference values."""
    print(f"AUC of {len(run['labels'])} trials; mean ± standard error [of another 100 trials]")
    oracle = "{:.4f} ± {:.4f}".format(*mean_and_error(run["oracle"]))
    print(f"oracle: exactly {PROBLEM.oracle_auc:.4f}, on the test points {oracle}")
    print("labels {:.4f} ± {:.4f} [{:.4f}]".format(*mean_and_error(run["labels"]), REFERENCE_LABELS))
    print(f"{'alpha':>6}  {'student':<26}  below the student of Bayes probabilities")
    loss = run["distorted"][:, :1] - run["distorted"]
    for k, amount in enumerate(AMOUNTS):
        (mean, error), (below, below_error) = mean_and_error(run["distorted"][:, k]), mean_and_error(loss[:, k])
        print(
            f"{amount:6g}  {mean:.4f} ± {error:.4f} [{REFERENCE[k]:.4f}]  "
            f"{below:.5f} ± {below_error:.5f} [{REFERENCE[0] - REFERENCE[k]:.4f}]"
        )


def draw(run: dict[str, np.ndarray]) -> Figure:
    """Draw the distortion, and what the student loses by it."""
    figure, (distortion, students) = plt.subplots(1, 2, figsize=(5.5, 3.0))
    draw_distortions(distortion, (1.0, 2.0, 5.0, 30.0))
    distortion.legend(loc="lower right", labelspacing=0.2)
    distortion.set_title(r"(a) teachers, for 4 of the $\alpha$")
    amounts, undistorted = np.array(AMOUNTS), run["distorted"][:, 0]
    draw_oracle(students, amounts, np.tile((run["oracle"] - undistorted)[:, None], len(amounts)))
    draw_trials(students, amounts, {"distorted probabilities": run["distorted"] - undistorted[:, None]}, first_color=1)
    draw_level(students, run["labels"] - undistorted, "labels (one-hot)")
    students.set(xscale="log", xlabel=r"distortion $\alpha$", ylabel=r"student's AUC, less that for $\alpha = 1$")
    students.set_xticks([1, 3, 10, 30], labels=["1", "3", "10", "30"])
    students.minorticks_off()
    students.locator_params(axis="y", nbins=5)
    students.set_title(rf"(b) students, for {len(AMOUNTS)} values of $\alpha$")
    draw_legend(figure, [students], n_trials=len(undistorted), ncols=3)
    return figure


SCRIPT = Script(main, trial_parser(__doc__), use_all_cores)

if __name__ == "__main__":
    SCRIPT.run()
