"""Forests teach trees
===================

The best teacher balances bias and variance: forests of growing depth, and the trees that learn from them.

Menon et al. (2020), Figures 3 and 4(a): teachers are forests of 3 trees, students trees of depth 4 on 100 points, and
the Bayes probabilities are known. (a) mean squared error (MSE) of the teacher against its depth; (b) AUC of its
student; (c) one against the other. The figures do not come out with teachers that see only the student's 100 points,
as printed: their error is least at depths 1 and 2 and grows from there, and depths of 4 to 16 make students that cannot
be told from each other, nor surely from that of the labels, in 100 trials. With 10,000 points of their own, depth 8
is best for the teacher, and depths 4 and 8 make the best students, which cannot be told apart either.
"""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from kdtheory import teacher_error
from kdtheory.estimators import SoftLabelClassifier
from kdtheory.figures import (
    STYLE,
    Reproduction,
    Script,
    draw_legend,
    draw_level,
    draw_student_against_teacher,
    draw_trials,
    mean_and_error,
)
from kdtheory.figures.statistical import COLORS
from kdtheory.figures.trials import run_trials, trial_parser, use_all_cores
from kdtheory.problems import BinarySample, SlabClasses
from kdtheory.reproduced import Reproduced, sampled

DEPTHS = (1, 2, 4, 8, 16)
N_STUDENT = 100
N_TEACHER = 10_000
REFERENCE = ((0.0536, 0.0388, 0.0184, 0.0122, 0.0602), (0.617, 0.672, 0.699, 0.703, 0.678))
"""MSE, summed over both classes, of teachers with 10,000 points and AUC of their students, of another 100 trials."""

OFFSETS = {
    "small": {**dict.fromkeys(DEPTHS, (4, -9)), 1: (4, -3), 8: (-9, 3)},
    "large": {1: (-8, -3), 2: (-8, -5), 4: (4, 1), 8: (-8, 1), 16: (4, 1)},
}
"""Where the depths are written beside their points, in points of the page."""


def main(full: bool = False, trials: int | None = None, jobs: int | None = None) -> Reproduction:
    """Print errors of teachers and scores of students, and return the figure and published numbers."""
    n_trials, n_test = (100 if full else 20) if trials is None else trials, 10_000 if full else 2_000
    run = run_trials(partial(learn, n_test=n_test), n_trials, jobs=jobs, title="figures 3, 4(a)")
    print_table(run)
    with plt.style.context(STYLE):
        return Reproduction({"bias_variance_trees": draw(run)}, published(run))


def published(run: dict[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold the best depth against the paper's, and errors and scores against other trials: it prints none."""
    paper, others = "Menon et al. (2020), Fig. 3", "no number in print; 100 independent trials"
    small, large = (DEPTHS[int(np.argmin(np.mean(run[f"{name} error"], axis=0)))] for name in ("small", "large"))
    return (
        Reproduced(
            f"depth of the least error, teachers with {N_STUDENT} points as printed",
            small,
            "8",
            paper,
            verdict="" if small == 8 else "not as printed",
        ),
        Reproduced(f"depth of the least error, teachers with {N_TEACHER:,} points", large, "8", paper, tolerance=0.0),
        *(
            sampled(
                f"{what}, depth {depth}, {N_TEACHER:,} points", run[f"large {name}"][:, k], f"{reference[k]:g}", others
            )
            for name, what, reference in zip(
                ("error", "score"), ("teacher's MSE", "student's AUC"), REFERENCE, strict=True
            )
            for k, depth in enumerate(DEPTHS)
        ),
    )


def learn(seed: int, *, n_test: int) -> dict[str, np.ndarray]:
    """Errors of all teachers and scores of their students, for both sizes of the teacher's sample."""
    rng, problem = np.random.default_rng(seed), SlabClasses()
    sample, large, test = (problem.sample(count, rng) for count in (N_STUDENT, N_TEACHER, n_test))
    result = {
        "one-hot": np.array(score(sample.y, sample, test, seed)),
        "Bayes": np.array(score(sample.bayes_probabilities, sample, test, seed)),
    }
    for name, seen in (("small", sample), ("large", large)):
        teachers = [
            RandomForestClassifier(n_estimators=3, max_depth=depth, random_state=seed).fit(seen.X, seen.y)
            for depth in DEPTHS
        ]
        errors = [teacher_error(teacher.predict_proba(test.X), test.bayes_probabilities) for teacher in teachers]
        result[f"{name} error"] = np.array([error.mean_squared_error for error in errors])
        result[f"{name} score"] = np.array(
            [score(teacher.predict_proba(sample.X), sample, test, seed) for teacher in teachers]
        )
    return result


def score(targets: np.ndarray, sample: BinarySample, test: BinarySample, seed: int) -> float:
    """AUC of a tree on labels or probabilities."""
    tree = DecisionTreeClassifier(max_depth=4, random_state=seed)
    student = SoftLabelClassifier(tree).fit(sample.X, targets)
    return float(roc_auc_score(test.y, student.predict_proba(test.X)[:, 1]))


def print_table(run: dict[str, np.ndarray]) -> None:
    """Print errors and scores by depth, those of large teachers beside the reference values."""
    print(f"{len(run['Bayes'])} trials; oracle AUC {SlabClasses().oracle_auc:.4f}; [of another 100 trials]")
    for name in ("one-hot", "Bayes"):
        print("AUC of the tree on {} targets: {:.4f} ± {:.4f}".format(name, *mean_and_error(run[name])))
    for name, count in (("small", N_STUDENT), ("large", N_TEACHER)):
        print(f"teachers with {count} points")
        print(f"{'depth':>5}  {'MSE of the teacher':<27} AUC of the student")
        for k, depth in enumerate(DEPTHS):
            cells = []
            for quantity, reference in zip(("error", "score"), REFERENCE, strict=True):
                mean, error = mean_and_error(run[f"{name} {quantity}"][:, k])
                cells.append(f"{mean:.4f} ± {error:.4f}" + (f" [{reference[k]:.4f}]" if name == "large" else ""))
            print(f"{depth:5d}  {cells[0]:<27} {cells[1]}")


def draw(run: dict[str, np.ndarray]) -> Figure:
    """Draw errors and scores against the depth, and against each other."""
    figure, (errors, scores, both) = plt.subplots(1, 3, figsize=(5.5, 2.6))
    depths = np.array(DEPTHS)
    labels = {"small": "teacher with the student's 100 points", "large": "teacher with 10,000 points"}
    for axes, quantity in ((errors, "error"), (scores, "score")):
        curves = {label: run[f"{name} {quantity}"] for name, label in labels.items()}
        draw_trials(axes, depths, curves, first_color=1)
        axes.set(xscale="log", xlabel="depth of the teacher")
        axes.set_xticks(depths, labels=[str(depth) for depth in DEPTHS])
        axes.minorticks_off()
    draw_level(scores, run["one-hot"], "labels")
    draw_level(scores, run["Bayes"], "Bayes probabilities", color=COLORS[3])
    for name, color, marker in (("small", COLORS[1], "s"), ("large", COLORS[2], "^")):
        values = run[f"{name} error"], run[f"{name} score"]
        draw_student_against_teacher(both, *values, name, color=color, marker=marker)
        for depth, x, y in zip(DEPTHS, *(np.mean(value, axis=0) for value in values), strict=True):
            both.annotate(
                str(depth), (x, y), OFFSETS[name][depth], textcoords="offset points", fontsize=6.5, color=color
            )
    errors.set(title="(a) teacher", ylabel="teacher's MSE", ylim=(0.0, None))
    scores.set(title="(b) student", ylabel="student's AUC")
    both.set(title="(c) numbers: depths", xlim=(-0.015, 0.205))
    draw_legend(figure, [scores], n_trials=len(run["Bayes"]), ncols=2)
    return figure


SCRIPT = Script(main, trial_parser(__doc__), use_all_cores)

if __name__ == "__main__":
    SCRIPT.run()
