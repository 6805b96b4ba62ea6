"""Bayes probabilities instead of labels
=====================================

A student of the Bayes probabilities needs fewer points than one of the labels: the fewer, the more they overlap.

Menon et al. (2020), Figure 2: logistic regression (scikit-learn's, C = 1) on two Gaussian classes in 10 dimensions.
Area under the ROC curve (AUC) on fresh points, and below the gain of Bayes probabilities over labels: against the
number of points as in Figure 2(a), (a) with the means ±1 per coordinate that the paper prints, where the classes hardly
overlap and no gain can be seen, and (b) with means ±0.3; (c) as in Figure 2(b) against the distance of the means, for
100 points. The gain shrinks as points are added, and grows as the means approach, except at the very end. It is larger
without a penalty: the Bayes probabilities then give θ* itself from 11 points on. The oracle is the AUC of the Bayes
probabilities on the same test points. Gains below 1e-4 are drawn on a linear scale. The table has the values of another
100 trials beside it, and their standard errors where they are known.
"""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kdtheory.estimators import SoftLabelClassifier
from kdtheory.figures import STYLE, Reproduction, Script, draw_legend, draw_oracle, draw_trials, mean_and_error
from kdtheory.figures.trials import run_trials, trial_parser, use_all_cores
from kdtheory.problems import BinarySample, GaussianClasses
from kdtheory.reproduced import Reproduced, claimed, sampled

SIZES = (10, 20, 50, 100, 500, 1000, 5000)
MEANS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
PRINTED, INFORMATIVE = GaussianClasses(mean=1.0), GaussianClasses(mean=0.3)
REFERENCE_SIZES = {
    10: ("0.792", "0.878", "0.086 ± 0.006", "0.150"),
    20: ("0.826", "0.903", "0.077 ± 0.004", "0.135"),
    50: ("0.869", "0.910", "0.041 ± 0.002", "0.060"),
    100: ("0.888", "0.910", "0.0226 ± 0.0012", "0.0262"),
    500: ("0.906", "0.910", "0.0042 ± 0.0002", "0.0043"),
    1000: ("0.9079", "0.9103", "0.0024 ± 0.0001", "0.0024"),
    5000: ("0.9099", "0.9103", "0.0004", "0.0004"),
}
"""AUC of labels and of Bayes probabilities, gain, and gain without a penalty, for means ±0.3, of another 100 trials."""
REFERENCE_MEANS = {0.05: "0.051", 0.1: "0.053", 0.2: "0.033", 0.3: "0.023", 0.5: "0.0059", 0.75: "0.0002", 1.0: "1e-06"}
"""Gain for 100 points, by the mean of a coordinate, of another 100 trials."""


def main(full: bool = False, trials: int | None = None, jobs: int | None = None) -> Reproduction:
    """Print the gains beside the reference values, and return them with the figure."""
    n_trials, n_test = (100 if full else 20) if trials is None else trials, 10_000 if full else 2_000
    printed, informative, free, approaching = (
        run_trials(partial(trial, n_test=n_test), n_trials, jobs=jobs, title=f"figure 2, {title}")
        for title, trial in (
            ("means ±1", partial(learn_sizes, PRINTED)),
            ("means ±0.3", partial(learn_sizes, INFORMATIVE)),
            ("means ±0.3, no penalty", partial(learn_sizes, INFORMATIVE, C=np.inf)),
            ("100 points", learn_means),
        )
    )
    print_sizes(printed, informative, free)
    print_means(approaching)
    with plt.style.context(STYLE):
        figure = draw(printed, informative, free, approaching)
    return Reproduction({"gaussian_bayes_teacher": figure}, published(printed, informative, approaching))


def published(
    printed: dict[str, np.ndarray], informative: dict[str, np.ndarray], approaching: dict[str, np.ndarray]
) -> tuple[Reproduced, ...]:
    """Hold gains against what the paper says of its figure, and against other trials: it prints no numbers."""
    few, many = (informative["gain"][:, SIZES.index(size)] for size in (20, 1000))
    close, far = (approaching["gain"][:, MEANS.index(mean)] for mean in (0.1, 0.5))
    paper, others = "Menon et al. (2020), Fig. 2", "no number in print; 100 independent trials"
    at_100 = printed["gain"][:, SIZES.index(100)]
    mean, error = mean_and_error(at_100)
    return (
        Reproduced(
            "gain in AUC of Bayes probabilities, 100 points, means ±1 as printed",
            float(mean),
            "noticeable",
            f"{paper}(a)",
            error=float(error),
            verdict="not as printed",
        ),
        claimed("gain for 20 points less that for 1,000, means ±0.3", few - many, "> 0", f"{paper}(a)"),
        claimed("gain at means ±0.1 less that at ±0.5, 100 points", close - far, "> 0", f"{paper}(b)"),
        *(
            sampled(f"gain, means ±0.3, {size:,} points", informative["gain"][:, k], reference.split()[0], others)
            for k, (size, (_, _, reference, _)) in enumerate(REFERENCE_SIZES.items())
        ),
        *(
            sampled(f"gain, 100 points, means ±{mean:g}", approaching["gain"][:, k], reference, others)
            for k, (mean, reference) in enumerate(REFERENCE_MEANS.items())
        ),
    )


def learn_sizes(problem: GaussianClasses, seed: int, *, n_test: int, C: float = 1.0) -> dict[str, np.ndarray]:
    """AUC of both students for every number of points, and of the oracle."""
    rng = np.random.default_rng(seed)
    test = problem.sample(n_test, rng)
    oracle = score_oracle(test)
    return gather([(*learn(sample_both(problem, size, rng), test, C), oracle) for size in SIZES])


def learn_means(seed: int, *, n_test: int) -> dict[str, np.ndarray]:
    """AUC of both students and of the oracle for every distance of the means, with the same labels and noise."""
    rounds = []
    for mean in MEANS:
        rng, problem = np.random.default_rng(seed), GaussianClasses(mean=mean)
        sample, test = sample_both(problem, 100, rng), problem.sample(n_test, rng)
        rounds.append((*learn(sample, test, C=1.0), score_oracle(test)))
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


def score_oracle(test: BinarySample) -> float:
    """AUC of the Bayes probabilities themselves."""
    return float(roc_auc_score(test.y, test.bayes_probabilities[:, 1]))


def gather(scores: list[tuple[float, float, float]]) -> dict[str, np.ndarray]:
    """Scores of labels, of Bayes probabilities and of the oracle, by name."""
    labels, bayes, oracle = np.transpose(scores)
    return {"labels": labels, "Bayes": bayes, "gain": bayes - labels, "oracle": oracle}


def print_sizes(printed: dict[str, np.ndarray], run: dict[str, np.ndarray], free: dict[str, np.ndarray]) -> None:
    """Print AUCs and gains against the number of points, beside the reference values."""
    oracle, error = mean_and_error(run["oracle"][:, 0])
    print(f"AUC of {len(run['gain'])} trials, means ±0.3; mean ± standard error [of another 100 trials]")
    print(f"oracle: exactly {INFORMATIVE.oracle_auc:.4f}, on the test points {oracle:.4f} ± {error:.4f}")
    heads = (("one-hot", 26), ("Bayes-distilled", 26), ("gain", 38), ("gain, no penalty", 28))
    print(
        f"{'N':>5}  "
        + "".join(f"{head:<{width}}" for head, width in heads)
        + f"gain, means ±1 (oracle {PRINTED.oracle_auc:.6f})"
    )
    for k, size in enumerate(SIZES):
        columns = (run["labels"], run["Bayes"], run["gain"], free["gain"])
        cells = [
            f"{'{:.4f} ± {:.4f}'.format(*mean_and_error(column[:, k])) + f' [{reference}]':<{width}}"
            for column, reference, (_, width) in zip(columns, REFERENCE_SIZES[size], heads, strict=True)
        ]
        mean, error = mean_and_error(printed["gain"][:, k])
        print(f"{size:5d}  " + "".join(cells) + f"{mean:.1e} ± {error:.1e}")


def print_means(run: dict[str, np.ndarray]) -> None:
    """Print AUCs and gains against the distance of the means, beside the reference values."""
    print(f"AUC of {len(run['gain'])} trials, 100 points; mean ± standard error [of another 100 trials]")
    heads = "".join(f"{head:<19}" for head in ("on test points", "one-hot", "Bayes-distilled"))
    print(f"{'mean':>5} {'distance':>9} {'exact oracle':>13}  {heads}gain")
    for k, mean in enumerate(MEANS):
        problem = GaussianClasses(mean=mean)
        scores = "  ".join(
            "{:.5f} ± {:.5f}".format(*mean_and_error(run[name][:, k])) for name in ("oracle", "labels", "Bayes")
        )
        gain, error = mean_and_error(run["gain"][:, k])
        print(
            f"{mean:5.2f} {problem.distance:9.3f} {problem.oracle_auc:13.6f}  {scores}  "
            f"{gain:.2e} ± {error:.1e} [{REFERENCE_MEANS[mean]}]"
        )


def draw(
    printed: dict[str, np.ndarray],
    informative: dict[str, np.ndarray],
    free: dict[str, np.ndarray],
    approaching: dict[str, np.ndarray],
) -> Figure:
    """Draw AUCs above gains."""
    figure, panels = plt.subplots(2, 3, figsize=(5.5, 4.1), sharex="col")
    sizes, distances = np.array(SIZES), np.array([GaussianClasses(mean=mean).distance for mean in MEANS])
    columns = {
        "(a) means ±1 (the paper's)": (printed, sizes),
        "(b) means ±0.3": (informative, sizes),
        "(c) 100 points": (approaching, distances),
    }
    for (title, (run, x)), (above, below) in zip(columns.items(), panels.T, strict=True):
        draw_oracle(above, x, run["oracle"])
        draw_trials(above, x, {"labels (one-hot)": run["labels"], "Bayes probabilities": run["Bayes"]})
        draw_trials(below, x, {"gain": run["gain"]}, first_color=2)
        above.set_title(title)
        below.axhline(0.0, color="0.6", linewidth=0.6, zorder=0)
        below.set(xlabel="points $N$" if x is sizes else "distance $r$ of the means", ylim=(-1e-4, 0.4))
        below.set_yscale("symlog", linthresh=1e-4, linscale=0.5)
        below.minorticks_off()
        if x is sizes:
            above.set(xscale="log", ylim=(0.76, 1.01))
    draw_trials(panels[1, 1], sizes, {"gain, no penalty": free["gain"]}, first_color=3)
    panels[0, 0].set_ylabel("AUC")
    panels[1, 0].set_ylabel("gain in AUC")
    draw_legend(figure, panels[:, 1], n_trials=len(printed["gain"]), ncols=5)
    return figure


SCRIPT = Script(main, trial_parser(__doc__), use_all_cores)

if __name__ == "__main__":
    SCRIPT.run()
